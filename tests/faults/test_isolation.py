"""The short form of the isolation campaign, and planted faults: a line without back-off, and turns without deadlines, must be caught."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_gateway.sources import modbus_schedule, modbus_source
from tests.faults.isolation import campaign

pytestmark = pytest.mark.timing


@pytest.mark.campaign
async def test_bad_units_cost_the_others_no_slot(tmp_path: Path) -> None:
    result = await campaign(tmp_path / "line", rounds=5, units=16, interval_s=1.5, timeout_s=0.15, baud=19_200)
    assert result.passed, result
    assert result.interjections > 0


@pytest.mark.campaign
async def test_a_dead_unit_that_is_asked_first_for_long_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted: the rest after a failure is ignored and the turn is as long as the interval."""
    monkeypatch.setattr(modbus_source.Unit, "failed", lambda self, mono_us, said: None)
    result = await campaign(tmp_path / "line", rounds=3, units=8, interval_s=0.6, timeout_s=0.3, baud=19_200)
    assert result.missed, "the campaign did not see the planted fault"


@pytest.mark.campaign
async def test_turns_in_the_order_of_the_file_are_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: whoever is due comes first, failing or not."""

    def order(now_us: int, waiting: list[modbus_source.Poll]) -> list[modbus_source.Poll]:
        return [poll for poll in waiting if poll.due_us <= now_us]

    monkeypatch.setattr(modbus_schedule, "order", order)
    result = await campaign(tmp_path / "line", rounds=2, units=10, interval_s=1.0, timeout_s=0.25, baud=19_200)
    assert not result.passed, "the campaign did not see the planted fault"
