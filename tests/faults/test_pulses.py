"""The short form of `make pulses`, and its planted fault: totals that are not kept must be found.

Totals that are kept, but not in snapshots, are found by the long form (EDGE_FAULTS_PLANTED=snapshot, some kills in ten) and, at
each run, by tests/intake/test_derived.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.pulses import campaign


@pytest.mark.campaign
def test_totals_survive_kills(tmp_path: Path) -> None:
    result = campaign(tmp_path, n=2, seed=1)
    assert result["passed"], result
    assert result["readings"] >= 12


@pytest.mark.campaign
def test_a_gateway_that_forgets_totals_is_caught(tmp_path: Path) -> None:
    result = campaign(tmp_path, n=1, seed=1, planted="forget")
    assert result["wrong"] > 0, result
    assert not result["passed"]
