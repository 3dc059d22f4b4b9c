"""The short form of `python -m tests.faults.traces`: a few hundred labelled traces, a second run, planted engines."""

from __future__ import annotations

import sys

import pytest

from tests.faults.traces import KINDS, elsewhere, look, run


@pytest.mark.campaign
def test_every_violation_of_the_labels_is_found_and_none_besides() -> None:
    report = run(400, 7)
    assert report["passed"], (report["examples"], report["planted"])
    assert set(report["kinds"]) == set(KINDS)
    assert report["planted"] == dict.fromkeys(("dead-band-clears", "unknown-clears", "restart-forgets"), True)


@pytest.mark.campaign
def test_a_process_of_its_own_comes_to_the_same_outcomes() -> None:
    assert elsewhere(sys.executable, 60, 7)["sha256"] == look(60, 7)["sha256"]
