"""The short form of `python -m tests.faults.clocksteps`: 40 steps on the simulated clock, with every planted fault."""

from __future__ import annotations

import pytest

from tests.faults.clocksteps import run


@pytest.mark.campaign
@pytest.mark.timeout(300)
def test_a_wrong_clock_costs_no_order_and_no_reading() -> None:
    report = run(40, 11)
    assert report["faults"] == {}
    assert report["passed"], report["planted"]
    assert len(report["planted"]) == 7
    assert report["marked"] > 50
