"""A permit's first day: the configuration is read again on it, by a clock that somebody vouches for."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge_gateway.app.permit_days import PermitDays, turned
from edge_gateway.events import Alarmed
from edge_gateway.rules import permits
from edge_gateway.rules.calendar import LENGTH_US, day_of
from edge_gateway.telemetry import silent
from edge_gateway.testing import FakeClock
from tests.intake.test_loop import running, setup_of

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
    days = PermitDays(intake, clock, reloader, silent)  # type: ignore[arg-type]
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
    assert turned(OUTLETS, before, day) == names


@pytest.mark.parametrize(("before", "day", "names"), [("2026-12-30", "2026-12-31", []), ("2026-12-31", "2027-01-01", ["x"]), ("2027-01-01", "2026-12-31", ["x"]), ("2027-01-01", "2027-01-02", [])])
def test_which_ended(before: str, day: str, names: list[str]) -> None:
    """It holds on its last day."""
    assert turned({"x": {"permit_until": "2026-12-31"}, "y": {"permit_until": ""}}, before, day) == names


def test_thirty_days_ahead_is_due() -> None:
    outlets = {"a": {"permit_until": "2026-12-31", "permit": "P"}, "b": {"permit_until": "2026-11-27"}, "c": {"permit_until": "2027-01-01"}, "d": {}}
    found = permits.due(outlets, "2026-12-01")
    assert [(each["outlet"], each["event"], each["days"]) for each in found] == [("b", "permit-ended", -4), ("a", "permit-ends", 30)]
    assert permits.why(found[0], "en").startswith("the permit of outlet 'b' ended on 2026-11-27")
    assert "许可证 P 将于 2026-12-31 到期" in permits.why(found[1], "zh")


async def test_a_running_gateway_tells_it_once_ahead_and_once_after_also_across_restarts(tmp_path: Path) -> None:
    clock, reloader, told = FakeClock(), Reloader(), list[Any]()
    until = day_of(clock.wall_us() + 40 * DAY_US)
    setup = setup_of(outlets={"main": {"permit": "P", "permit_until": until}})
    seen: dict[int, list[str]] = {}
    for day in range(45):
        async with running(tmp_path, clock, setup=setup, segment_entries=16) as run:
            days = PermitDays(run.intake, clock, reloader, told.append)  # type: ignore[arg-type]
            clock.trust = day != 41  # nobody vouches for the clock on the very day
            await days.look()
            await days.look()
            clock.trust = True
            entries = await run.all_entries()
            seen[day] = [str(each["event"]) for each in entries if each.get("event") in permits.EVENTS and day_of(each["wall_us"]) == day_of(clock.wall_us())]
        clock.advance(DAY_US)
    assert {day: events for day, events in seen.items() if events} == {10: ["permit-ends"], 42: ["permit-ended"]}
    assert [(type(each), each.code) for each in told] == [(Alarmed, "permit-ends"), (Alarmed, "permit-ended")]
