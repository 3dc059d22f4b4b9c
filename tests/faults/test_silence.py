"""The short form of `make silence`, and its planted faults: keep-alives that count, a silence that is declared twice or forgotten."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.silence import KINDS, PLANTED, campaign
from tests.faults.silence_year import year


@pytest.mark.campaign
def test_each_way_to_fall_silent_is_declared_in_time_and_once(tmp_path: Path) -> None:
    result = campaign(tmp_path, n=len(KINDS), gateways=len(KINDS), seed=1, scale=0.08)
    assert result["passed"], result
    assert result["declared"] == len(KINDS)
    assert set(result["kinds"]) == set(KINDS)


@pytest.mark.campaign
def test_a_hub_that_declares_a_silence_twice_is_caught(tmp_path: Path) -> None:
    result = campaign(tmp_path, n=1, gateways=1, seed=1, scale=0.04, planted="declared-twice")
    assert result["twice"], result
    assert set(PLANTED) == {"declared-twice", "keep-alive-counted"}


@pytest.mark.campaign
async def test_a_simulated_month_has_no_false_alarm_and_finds_what_is_planted(tmp_path: Path) -> None:
    result = await year(tmp_path, seed=2, years=0.08)
    assert result["passed"], result
    assert result["planted"] == {"year-keep-alive-counted": True, "year-restart-forgets": True}
