"""The site's state as one JSON-able object, abnormal first: what the page, ``status`` and ``read`` show; pure.

Never a number without unit, limit, age and quality.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edge_gateway.reading import Batch
from edge_gateway.rules.base import each_rule
from edge_gateway.units import symbol

#: A value older than this many intervals is stale.
STALE_INTERVALS = 3
#: Order of states on a page: abnormal first.
ORDER = ("violation", "notice", "no-data", "normal")


def points_view(
    resolved: Mapping[str, Any],
    latest: Mapping[str, Batch],
    violations: Sequence[Mapping[str, Any]],
    *,
    mono_us: int,
    wall_us: int,
) -> list[dict[str, Any]]:
    """One row a point: value, unit, limits, age, quality, state; violations first, then notices, then no data."""
    newest = _newest(resolved, latest)
    limits = _limits(resolved)
    open_steps = _open(violations)
    rows = []
    for point_id, point in resolved.get("points", {}).items():
        row = _row(point_id, point, newest.get(point_id), mono_us, wall_us)
        row["limits"] = limits.get(point_id, [])
        row |= _state(row, open_steps.get(point_id))
        rows.append(row)
    return sorted(rows, key=lambda row: (ORDER.index(row["state"]), row["point"]))


def _newest(resolved: Mapping[str, Any], latest: Mapping[str, Batch]) -> dict[str, tuple[Any, str, Batch, int]]:
    newest: dict[str, tuple[Any, str, Batch, int]] = {}
    for group_id, group in resolved.get("groups", {}).items():
        batch = latest.get(group_id)
        if batch is None:
            continue
        quality = batch.quality or ["good"] * len(batch.values)
        for index, point in enumerate(batch.group.points):
            if point in newest and newest[point][2].mono_us >= batch.mono_us:
                continue
            newest[point] = (batch.values[index], quality[index], batch, int(group.get("interval_us", 0)))
    return newest


def _row(
    point_id: str, point: Mapping[str, Any], newest: tuple[Any, str, Batch, int] | None, mono_us: int, wall_us: int
) -> dict[str, Any]:
    unit = str(point.get("unit", ""))
    row: dict[str, Any] = {
        "point": point_id,
        "name_zh": point.get("name_zh") or point_id,
        "name_en": point.get("name_en") or point_id,
        "zone": point.get("zone", ""),
        "quantity": point.get("quantity", ""),
        "unit": unit,
        "unit_shown": symbol(unit),
        "decimals": point.get("decimals", 1),
        "value": None,
        "quality": "bad:no-data",
        "observed_us": None,
        "age_s": None,
        "stale": True,
        "interval_s": 0.0,
    }
    if newest is None:
        return row
    value, quality, batch, interval_us = newest
    age_us = max(0, mono_us - batch.mono_us)
    stale = interval_us > 0 and age_us > STALE_INTERVALS * interval_us
    return row | {
        "value": value,
        "quality": quality,
        "observed_us": wall_us - age_us,
        "age_s": round(age_us / 1e6, 1),
        "stale": stale,
        "interval_s": interval_us / 1e6,
    }


def _limits(resolved: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    limits: dict[str, list[dict[str, Any]]] = {}
    for rule in each_rule(resolved.get("rules", [])):
        if rule.get("kind") != "limit":
            continue
        shown = {key: rule.get(key) for key in ("id", "low", "high", "limit", "verified", "notices_only")}
        limits.setdefault(str(rule.get("point")), []).append(shown)
    return limits


def _open(violations: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The gravest open violation or notice of each point."""
    found: dict[str, Mapping[str, Any]] = {}
    for violation in violations:
        point = str(violation["point"])
        if point not in found or is_violation(violation):
            found[point] = violation
    return found


def is_violation(violation: Mapping[str, Any]) -> bool:
    """True once the rule was broken long enough; before, it is a notice."""
    return violation.get("level") == "violation"


def _state(row: Mapping[str, Any], violation: Mapping[str, Any] | None) -> dict[str, Any]:
    if violation is not None and violation.get("condition") != "recovered":
        state = "violation" if is_violation(violation) else "notice"
        return {"state": state, "since_us": violation["first"]["wall_us"], "violation": violation.get("violation")}
    if row["value"] is None or row["stale"]:
        return {"state": "no-data", "since_us": row["observed_us"], "violation": None}
    return {"state": "normal", "since_us": None, "violation": None}
