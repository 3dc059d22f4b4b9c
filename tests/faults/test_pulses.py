"""The short form of `make pulses`, and its planted faults: totals that are not kept, or not in snapshots, must be found."""

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
@pytest.mark.parametrize(("planted", "kills"), [("forget", 1), ("snapshot", 2)])
def test_a_gateway_that_forgets_totals_is_caught(tmp_path: Path, planted: str, kills: int) -> None:
    result = campaign(tmp_path, n=kills, seed=1, planted=planted)
    assert result["wrong"] > 0, result
    assert not result["passed"]
