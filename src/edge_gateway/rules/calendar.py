"""Civil hours and days as the standards mean them, in Beijing time; whole numbers of µs only, no clock is read."""

from __future__ import annotations

import datetime as dt

EPOCH = dt.date(1970, 1, 1)
#: UTC+8 all year, also in Xinjiang; HJ 212 and the food standards count by it.
BEIJING_US = 8 * 3600 * 1_000_000
LENGTH_US = {"hour": 3600 * 1_000_000, "day": 86_400 * 1_000_000}


def day_of(wall_us: int) -> str:
    """The civil day in Beijing time of an instant, as ``2026-11-28``."""
    return (EPOCH + dt.timedelta(days=(wall_us + BEIJING_US) // LENGTH_US["day"])).isoformat()


def period_of(wall_us: int, period: str) -> tuple[int, int]:
    """Begin and end (µs UTC) of the ``hour`` or ``day`` in which ``wall_us`` lies; its end belongs to the next one."""
    length_us = LENGTH_US[period]
    begin_us = (wall_us + BEIJING_US) // length_us * length_us - BEIJING_US
    return begin_us, begin_us + length_us


def multiple_of(length_us: int, at_us: int) -> int:
    """The last whole multiple of a length that is not after ``at_us``."""
    return at_us // length_us * length_us
