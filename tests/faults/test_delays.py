"""The short form of `make delays`: 60 patterns of kills and power cuts around a delay, with every planted fault."""

from __future__ import annotations

import pytest

from tests.faults.delays import PLANTED, run


@pytest.mark.campaign
@pytest.mark.timeout(300)
def test_no_kill_and_no_power_cut_costs_or_doubles_a_violation() -> None:
    report = run(60, 4000)
    assert report["faults"] == {}, report["broken_seeds"]
    assert report["violations"] == 60
    assert report["planted"] == dict.fromkeys(PLANTED, True)
    assert len(report["interruptions"]) == 6, "each kind of interruption was there"
