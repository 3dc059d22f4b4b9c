"""An outlet's permit on its days: read again when it begins or has ended, and told of ahead of its end and after it; judges no reading."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_gateway import events
from edge_gateway.app.reloading import Reloader
from edge_gateway.clock import Clock
from edge_gateway.intake.loop import Intake
from edge_gateway.rules.calendar import day_of
from edge_gateway.rules.permits import due, why

#: How often the day is looked at (µs).
EVERY_US = 60_000_000


class PermitDays:
    """``day``: by which the permits in force were chosen. Only a clock that somebody vouches for moves it."""

    def __init__(self, intake: Intake, clock: Clock, reloader: Reloader, tell: events.Tell) -> None:
        self._intake = intake
        self._clock = clock
        self._reloader = reloader
        self._tell = tell
        self.day = day_of(clock.wall_us())

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await self._clock.sleep_until(self._clock.mono_us() + EVERY_US)

    async def look(self) -> None:
        """Reload if a permit began or has ended since the last look, or, where the clock had been ahead, had not after all. Then tell what is due, once."""
        if not self._clock.trusted():
            return
        before, self.day = self.day, day_of(self._clock.wall_us())
        if names := turned(self._outlets(), before, self.day):
            await self._reloader.reload("calendar", f"the permit's day of {', '.join(names)}")
        for each in due(self._outlets(), self.day):
            if self._intake.state.permits.get(each["outlet"]) != [each["permit_until"], each["event"]]:
                await self._say(each)

    def _outlets(self) -> Mapping[str, Mapping[str, Any]]:
        return self._intake.state.resolved.get("outlets") or {}

    async def _say(self, about: dict[str, Any]) -> None:
        """On record and remembered, so that it is said once, whatever is started again; then to whoever hears."""

        async def note() -> object:
            seq = await self._intake.add("event", about, urgent=True)
            self._intake.state.hear(about)
            return seq

        await self._intake.command(note)
        self._tell(events.Alarmed(code=str(about["event"]), why=why(about, "en")))


def turned(outlets: Mapping[str, Mapping[str, Any]], before: str, day: str) -> list[str]:
    """Outlets whose permit's first day, or the day after its last, lies between two days, the later one included."""
    first, last = sorted((before, day))
    return [
        id_
        for id_, outlet in outlets.items()
        if first < str(outlet.get("permit_date") or "") <= last or first <= str(outlet.get("permit_until") or "") < last
    ]
