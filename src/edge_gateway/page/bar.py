"""The small bar beside a value: where it stands on a scale that has the limits in its middle; pure geometry, no colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import isfinite

#: The bar's length in its own units.
LENGTH = 100.0
#: Share of the scale beyond a limit on its far side, seen from the permitted band.
_BEYOND = 0.3
#: Half a band's least width for one-sided limits, as a share of the limit, and at least this.
_SHARE, _LEAST = Decimal("0.5"), Decimal(1)
#: One-sided limits of these get this much room on their permitted side instead: their zero means nothing. What is not
#: here is an amount: its scale never goes below zero unless a limit does.
_ROOM = {"temperature": Decimal(10), "humidity": Decimal(30)}


@dataclass(frozen=True, slots=True)
class Bar:
    """Places from 0 to LENGTH: the permitted band, the marker (None: no value); ``low`` and ``high`` are the scale's ends."""

    band_from: float
    band_to: float
    marker: float | None
    off: bool
    low: Decimal
    high: Decimal


def bar(value: float | None, limits: Sequence[tuple[str | None, str | None]], quantity: str) -> Bar | None:
    """The bar for the narrowest of the limits (decimal text, None: open); None where nothing is limited."""
    lows = [Decimal(low) for low, _ in limits if low is not None]
    highs = [Decimal(high) for _, high in limits if high is not None]
    low, high = max(lows, default=None), min(highs, default=None)
    if low is None and high is None:
        return None
    start, end = _scale(low, high, quantity)
    width = end - start

    def place(number: Decimal) -> float:
        return round(float((number - start) / width) * LENGTH, 1)

    marker, off = None, False
    if value is not None and isfinite(value):
        at = place(Decimal(value))
        marker = min(max(at, 0.0), LENGTH)
        off = at != marker
    return Bar(0.0 if low is None else place(low), LENGTH if high is None else place(high), marker, off, start, end)


def _scale(low: Decimal | None, high: Decimal | None, quantity: str) -> tuple[Decimal, Decimal]:
    if low is not None and high is not None:
        room = max(high - low, Decimal("0.001"))
        beyond = room * Decimal(str(_BEYOND)) / Decimal(str(1 - 2 * _BEYOND))
        least = low - beyond
        return (least if quantity in _ROOM or low < 0 else max(least, Decimal(0))), high + beyond
    only = low if low is not None else high
    assert only is not None
    room = _ROOM.get(quantity, max(abs(only) * _SHARE, _LEAST) if only else _LEAST)
    if quantity not in _ROOM and high is not None and only > 0:
        room = only  # amounts: the scale begins at zero
    beyond = room * Decimal(str(_BEYOND)) / Decimal(str(1 - _BEYOND))
    if high is not None:
        return only - room, only + beyond
    return (only - beyond if quantity in _ROOM or only < 0 else max(only - beyond, Decimal(0))), only + room
