"""What a rule remembers of an excursion that stands open elsewhere: enough to see it end, and no more; pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from edge_gateway.rules.base import UNKNOWN, BoundRule, First
from edge_gateway.rules.kinds import track_for
from edge_gateway.rules.track import BROKEN, NOTICED


def resumed(rule: BoundRule, record: Mapping[str, Any], rule_us: int) -> dict[str, Any] | None:
    """The state of ``rule`` as an engine's snapshot has it, from an open violation's record, at rule time ``rule_us`` (µs).

    Rule time of another epoch says nothing here: delays that still run count from now. What the record lacks counts as not known.
    """
    track = track_for(rule, 0)
    first = record.get("first") or {}
    track.phase = BROKEN if record.get("level") == "violation" else NOTICED
    track.first = First(rule_us=rule_us, wall_us=int(_number(first.get("wall_us")) or 0), value=_number(first.get("value")))
    track.peak = _number(record.get("peak"))
    if track.peak is not None:
        track.excess = max(track.peak - track.high, track.low - track.peak, 0.0)
    track.beyond_us = round((_number(record.get("minutes")) or 0.0) * 60e6)
    track.area = _area(record.get("whole"))
    track.last_us, track.unknown_us = rule_us, rule_us
    track.said_unknown = record.get("condition") == UNKNOWN
    return track.state()


def _area(whole: object) -> Decimal:
    """What the present episode has of the whole; nothing where the record does not tell."""
    try:
        found = {key: Decimal(whole.get(key, "0")) for key in ("area", "past_area")} if isinstance(whole, Mapping) else {}
    except (InvalidOperation, TypeError, ValueError):
        return Decimal(0)
    rest = found.get("area", Decimal(0)) - found.get("past_area", Decimal(0))
    return rest if rest.is_finite() and rest > 0 else Decimal(0)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
