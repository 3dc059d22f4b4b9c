"""Reads the configuration again on the day on which an outlet's permit begins, so that its limits hold from then on; judges no reading."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_gateway.app.reloading import Reloader
from edge_gateway.clock import Clock
from edge_gateway.intake.loop import Intake
from edge_gateway.rules.calendar import day_of

#: How often the day is looked at (µs).
EVERY_US = 60_000_000


class PermitDays:
    """``day``: by which the permits in force were chosen. Only a clock that somebody vouches for moves it."""

    def __init__(self, intake: Intake, clock: Clock, reloader: Reloader) -> None:
        self._intake = intake
        self._clock = clock
        self._reloader = reloader
        self.day = day_of(clock.wall_us())

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self._clock.sleep_until(self._clock.mono_us() + EVERY_US)
            await self.look()

    async def look(self) -> None:
        """Reload if a permit began since the last look, or, where the clock had been ahead, had not begun after all."""
        if not self._clock.trusted():
            return
        before, self.day = self.day, day_of(self._clock.wall_us())
        if names := begun(self._intake.state.resolved.get("outlets") or {}, before, self.day):
            await self._reloader.reload("calendar", f"the permit's day of {', '.join(names)}")


def begun(outlets: Mapping[str, Mapping[str, Any]], before: str, day: str) -> list[str]:
    """Outlets whose permit's first day lies between two days, the later one included."""
    first, last = sorted((before, day))
    return [id_ for id_, outlet in outlets.items() if first < str(outlet.get("permit_date") or "") <= last]
