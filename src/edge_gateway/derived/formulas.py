"""The formulas of derived points: numbers and qualities in, one number and its quality out; pure, time is an argument.

Every result is rounded to nine significant digits and then journaled: nobody computes it again, and no other machine's
mathematics can make it another. An accumulator's state is JSON-able and stands in the journal's snapshots.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from edge_gateway.reading import BAD_RANGE, BAD_STALE, GOOD, UNCERTAIN_INCOMPLETE, UNCERTAIN_RESET, Value

#: One metre and one m³/s in each unit.
METRES = {"m": 1.0, "cm": 0.01, "mm": 0.001}
FLOWS = {"m3/s": 1.0, "m3/h": 3600.0, "L/s": 1000.0, "L/min": 60_000.0}

_RANK = {"good": 0, "uncertain": 1, "bad": 2}

State = dict[str, Any]


def worst(qualities: Sequence[str]) -> str:
    """The first of the gravest: bad before uncertain before good."""
    found, rank = GOOD, 0
    for quality in qualities:
        its = _RANK.get(quality.partition(":")[0], 2)
        if its > rank:
            found, rank = quality, its
    return found


def rounded(value: float) -> tuple[Value, str]:
    """Nine significant digits; what is no number any more is ``bad:range``."""
    return (float(f"{value:.9g}"), GOOD) if value - value == 0 else (None, BAD_RANGE)


def flume(level: float, about: State) -> tuple[Value, str]:
    """Q = c · hⁿ (ISO 1438 weirs, ISO 9826 Parshall flumes in free flow); h from the level in its unit, less its zero.

    No water, or a level below zero, is no flow. Above ``most_m`` the flume is flooded and the formula says nothing.
    """
    h_m = level * METRES[about["level_unit"]] - about["zero_m"]
    if about.get("most_m") is not None and h_m > about["most_m"]:
        return None, BAD_RANGE
    if h_m <= 0:
        return 0.0, GOOD
    try:
        return rounded(about["c"] * h_m ** about["n"] * FLOWS[about["unit"]])
    except OverflowError:
        return None, BAD_RANGE


def total(values: Sequence[float]) -> tuple[Value, str]:
    """Their sum, without the error of adding up decimals."""
    return rounded(float(sum((Fraction(repr(value)) for value in values), Fraction(0))))


def difference(values: Sequence[float]) -> tuple[Value, str]:
    """The first less the second."""
    return rounded(float(Fraction(repr(values[0])) - Fraction(repr(values[1]))))


def degree_minutes(
    state: State, value: float | None, quality: str, about: State, now_us: int, fresh_us: int
) -> tuple[Value, str]:
    """The area between temperature and limit in this excursion (K·min), by trapezoids; changes ``state``.

    ``now_us`` is rule time. A straight line bridges up to ``fresh_us`` between two readings; a longer stretch is not counted:
    from then on, until the excursion is over, the sum is a lower bound and says so. So is one whose beginning nobody saw.
    """
    if value is None:
        return None, quality
    excess = max(0.0, value - about["limit_cel"] if about["side"] == "above" else about["limit_cel"] - value)
    before, last_us = state.get("excess"), state.get("at_us")
    if last_us is not None and before is not None and now_us - last_us <= fresh_us:
        state["sum"] = state.get("sum", 0.0) + (before + excess) / 2 * ((now_us - last_us) / 60e6)
    else:
        state["calm_us"] = None  # what nobody saw was not within the limit
        if excess > 0 or state.get("sum", 0.0) > 0:
            state["incomplete"] = True
    state["excess"], state["at_us"] = excess, now_us
    if excess > 0:
        state["calm_us"] = None
    elif state.get("calm_us") is None:
        state["calm_us"] = now_us
    if excess == 0 and now_us - state["calm_us"] >= about["reset_after_us"]:
        state["sum"], state["incomplete"] = 0.0, False
    shown, mark = rounded(state.get("sum", 0.0))
    return shown, worst((mark, quality, UNCERTAIN_INCOMPLETE if state.get("incomplete") else GOOD))


def counter(state: State, value: float | None, quality: str, about: State) -> tuple[Value, str]:
    """A total over a counter that wraps at ``modulus``; changes ``state``.

    A step of less than half the modulus is forward, also across 0; else the counter was set anew, and what it shows is what
    came since. More than half a modulus between two readings cannot be told.
    """
    if value is None:
        return None, quality
    modulus, raw = int(about["modulus"]), int(value)
    if not 0 <= raw < modulus or raw != value:
        return None, BAD_RANGE
    last = state.get("raw")
    counts = int(state.get("counts", 0))
    mark = GOOD
    if last is not None:
        step = (raw - int(last)) % modulus
        if step < modulus // 2:
            counts += step
        else:
            counts, mark = counts + raw, UNCERTAIN_RESET
    state["raw"], state["counts"] = raw, counts
    shown = float(Fraction(repr(about["start"])) + counts * Fraction(repr(about["per_count"])))
    return shown, worst((quality, mark))


def stale() -> tuple[Value, str]:
    """An input that was never read, or too long ago."""
    return None, BAD_STALE
