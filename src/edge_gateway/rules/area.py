"""How far beyond a limit, for how long: value x time, exactly, in the decimal digits that the record has of reading and limit; pure.

The sum of (value - limit) x µs has no rounding: whoever adds the journaled readings up by hand comes to the same digits.
"""

from __future__ import annotations

from decimal import Context, Decimal

#: More digits than a reading (17), a limit and the µs of centuries (18) have together.
_EXACT = Context(prec=60)
_MINUTE_US = Decimal(60_000_000)
NOTHING = Decimal(0)
#: A short sum is kept as a whole number of these: 10^-9 of the unit x µs.
PER_UNIT = 1e9
#: As many of them as 15 digits hold: a decimal of so few is the only one that its double can mean.
MOST_NANOS = 1e15


def grown(area: Decimal, value: float, limit: str, span_us: int) -> Decimal:
    """``area`` and ``span_us`` more at a reading that lies beyond ``limit`` on either side; in the limit's unit x µs."""
    beyond = _EXACT.subtract(Decimal(repr(value)), Decimal(limit))
    return _EXACT.add(area, _EXACT.multiply(_EXACT.abs(beyond), Decimal(span_us)))


def nanos(number: str | None) -> int | None:
    """A limit in 10^-9 of its unit; None: there is none, or it has more decimals."""
    if number is None:
        return None
    scaled = Decimal(number).scaleb(9, _EXACT)
    whole = int(scaled)
    return whole if whole == scaled and -MOST_NANOS < whole < MOST_NANOS else None


def joined(area: Decimal, nano: int) -> Decimal:
    """``area`` and ``nano`` x 10^-9."""
    return _EXACT.add(area, Decimal(nano).scaleb(-9, _EXACT)) if nano else area


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
