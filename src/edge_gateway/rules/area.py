"""How far beyond a limit, for how long: value x time, exactly, in the decimal digits that the record has of reading and limit; pure.

The sum of (value - limit) x µs has no rounding: whoever adds the journaled readings up by hand comes to the same digits.
"""

from __future__ import annotations

from decimal import Context, Decimal

#: More digits than a reading (17), a limit and the µs of centuries (18) have together.
_EXACT = Context(prec=60)
_MINUTE_US = Decimal(60_000_000)
NOTHING = Decimal(0)


def grown(area: Decimal, value: float, limit: str, span_us: int) -> Decimal:
    """``area`` and ``span_us`` more at a reading that lies beyond ``limit`` on either side; in the limit's unit x µs."""
    beyond = _EXACT.subtract(Decimal(repr(value)), Decimal(limit))
    return _EXACT.add(area, _EXACT.multiply(_EXACT.abs(beyond), Decimal(span_us)))


def text(area: Decimal) -> str:
    """As it stands in snapshots and entries: ``1680000000``, without exponent."""
    return format(_EXACT.plus(area).normalize(_EXACT) + 0, "f")


def together(*areas: str) -> str:
    """The sum of such texts."""
    total = NOTHING
    for each in areas:
        total = _EXACT.add(total, Decimal(each))
    return text(total)


def minutes(area: str) -> float:
    """In the limit's unit x minutes: for people, rounded to the nearest double."""
    return float(_EXACT.divide(Decimal(area), _MINUTE_US))
