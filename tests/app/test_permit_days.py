"""A permit's first day: the configuration is read again on it, by a clock that somebody vouches for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from edge_gateway.app.permit_days import PermitDays, begun
from edge_gateway.rules.calendar import LENGTH_US

DAY_US = LENGTH_US["day"]
#: 2026-12-31 noon in Beijing.
NOON_US = 1_798_689_600_000_000
OUTLETS = {"main": {"permit_date": "2027-01-01"}, "other": {"permit_date": "2020-01-01"}, "none": {}}


class Clock:
    def __init__(self) -> None:
        self.at_us, self.sure = NOON_US, True

    def wall_us(self) -> int:
        return self.at_us

    def trusted(self) -> bool:
        return self.sure


class Reloader:
    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    async def reload(self, by: str, why: str) -> None:
        self.asked.append((by, why))


async def test_once_on_the_day_and_only_by_a_trusted_clock() -> None:
    clock, reloader = Clock(), Reloader()
    intake: Any = SimpleNamespace(state=SimpleNamespace(resolved={"outlets": OUTLETS}))
    days = PermitDays(intake, clock, reloader)  # type: ignore[arg-type]
    assert days.day == "2026-12-31"
    await days.look()
    clock.at_us, clock.sure = NOON_US + DAY_US, False
    await days.look()
    assert reloader.asked == []
    clock.sure = True
    for _ in range(3):
        await days.look()
    assert reloader.asked == [("calendar", "the permit's day of main")]
    clock.at_us = NOON_US  # the clock had been ahead: it has not begun
    await days.look()
    assert len(reloader.asked) == 2


@pytest.mark.parametrize(("before", "day", "names"), [("2026-12-30", "2026-12-31", []), ("2026-12-31", "2027-01-01", ["main"]), ("2019-01-01", "2030-01-01", ["main", "other"])])
def test_which_began(before: str, day: str, names: list[str]) -> None:
    assert begun(OUTLETS, before, day) == names
