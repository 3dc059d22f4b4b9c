"""The short form of `make recompute`: thirty thousand readings, written by the real intake, judged again in a process of its own."""

from __future__ import annotations

import pytest

from tests.faults.recompute import DEVICES, POINTS, run


@pytest.mark.campaign
def test_a_record_judged_again_by_another_process_is_the_same_and_what_is_altered_is_named() -> None:
    report = run(30_000, 1)
    answer = report["answer"]
    assert report["passed"], report
    assert report["n"] == 30_000 // (POINTS * DEVICES) * POINTS * DEVICES
    assert report["lives"] >= 4
    assert sum(answer["readings"]["same"].values()) + answer["readings"]["unread"] == report["n"]
    assert sum(answer["outcomes"]["same"].values()) > 20
    assert report["planted"]["value"].endswith("-0")
    assert "/" in report["planted"]["outcome"]
