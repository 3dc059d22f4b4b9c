"""How many bytes a sink may be sent in a day: counted, held over restarts, begun anew at the site's midnight; sends nothing.

A day ends at midnight by a clock that somebody vouches for; while nobody does, after 24 h of running time. A clock that steps
back begins no new day, and gives nothing back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Any

from edge_gateway.clock import Clock

_DAY_US = 86_400_000_000


class Budget:
    """One sink's. ``kept`` is what ``keep`` was given last, in an earlier run; ``keep(value)`` makes it outlive this one."""

    def __init__(
        self, limit: int, *, clock: Clock, zone: tzinfo, kept: Mapping[str, Any] | None, keep: Callable[[dict[str, Any]], None]
    ) -> None:
        self.limit = limit
        self._clock = clock
        self._zone = zone
        self._keep = keep
        self._used = int(kept["used"]) if kept else 0
        self._day = int(kept["day"]) if kept else 0  # 0: no clock was right yet
        self._began_us = clock.mono_us()
        self._counted = 0  # of the sink's own count

    def book(self, sent: int) -> None:
        """The sink has sent so many bytes since its start."""
        more, self._counted = max(0, sent - self._counted), sent
        if self._roll() or more:
            self._used += more
            self._keep({"day": self._day, "used": self._used})

    @property
    def left(self) -> int:
        """Bytes that may still be sent today; 0 or less once they are spent."""
        self._roll()
        return self.limit - self._used

    def until_us(self) -> int:
        """Wall time at which a new day begins."""
        now_us = self._clock.wall_us()
        if not self._clock.trusted():
            return now_us + max(0, self._began_us + _DAY_US - self._clock.mono_us())
        tomorrow = datetime.fromtimestamp(now_us / 1e6, self._zone).date() + timedelta(days=1)
        return int(datetime.combine(tomorrow, time(), self._zone).astimezone(UTC).timestamp()) * 1_000_000

    def why(self) -> str:
        """For people, once it is spent."""
        until = datetime.fromtimestamp(self.until_us() / 1e6, self._zone).isoformat(" ", "minutes")
        return f"the {self.limit / 1e6:g} MB of this day are spent: nothing but what is urgent goes out until {until}"

    def status(self) -> dict[str, Any]:
        """JSON-able. ``until_us``: when it goes on, None while it does."""
        spent = self.left <= 0
        return {"bytes_per_day": self.limit, "used": self._used, "until_us": self.until_us() if spent else None}

    def _roll(self) -> bool:
        """Begin a new day if one began; whether anything changed."""
        before = self._day, self._began_us
        if self._clock.trusted():
            today = datetime.fromtimestamp(self._clock.wall_us() / 1e6, self._zone).date().toordinal()
            if self._day and today > self._day:
                self._fresh()
            self._day = today
        elif self._clock.mono_us() - self._began_us >= _DAY_US:
            self._fresh()
        return before != (self._day, self._began_us)

    def _fresh(self) -> None:
        self._used, self._began_us = 0, self._clock.mono_us()
