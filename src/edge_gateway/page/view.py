"""The site's points as JSON-able rows, abnormal first: what the page, ``status`` and ``read`` show; pure.

Never a number without unit, limit, age and quality.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_gateway.page.newest import Reading
from edge_gateway.reading import FRESH_INTERVALS
from edge_gateway.rules.base import STALE, BoundRule, First
from edge_gateway.units import symbol
from edge_gateway.violations import MERGED

#: Order of states on a page: abnormal first. ``beyond``: out of its limit, and the rule's delay still runs.
ORDER = ("violation", "notice", "beyond", "no-data", "normal")
#: What a row says of a rule that watches its point.
_RULE_KEYS = (
    "id", "low", "high", "limit", "verified", "basis", "standard", "clause", "basis_edition", "notices_only", "title_zh",
    "title_en",
)  # fmt: skip

#: A point's newest reading, and its newest one with a value.
Readings = tuple[Reading | None, Reading | None]
#: Point -> rule id -> the rule as bound there.
Rules = Mapping[str, Mapping[str, Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Layout:
    """What a resolved configuration says of points, worked out once: rules, limits to show, expected interval (µs).

    A rule at a thousand points is one object here, not a thousand: nobody may change it.
    """

    resolved: Mapping[str, Any]
    rules: Rules
    limits: Mapping[str, list[dict[str, Any]]]
    intervals: Mapping[str, int]

    @classmethod
    def of(cls, resolved: Mapping[str, Any]) -> Layout:
        """Worth keeping as long as the configuration stays in force."""
        rules: dict[str, dict[str, Mapping[str, Any]]] = {}
        limits: dict[str, list[dict[str, Any]]] = {}
        for body in resolved.get("rules", ()):
            rule = {key: value for key, value in body.items() if key not in ("points", "renamed")}
            shown = {key: rule.get(key) for key in _RULE_KEYS}
            for point in body["points"]:
                rules.setdefault(point, {})[str(rule["id"])] = rule
                if rule.get("kind") == "limit":
                    limits.setdefault(point, []).append(shown)
        groups = resolved.get("groups", {}).values()
        intervals = {point: int(group.get("interval_us", 0)) for group in groups for point in group["points"]}
        return cls(resolved, rules, limits, intervals)


def points_view(
    layout: Layout,
    readings: Mapping[str, Readings],
    violations: Sequence[Mapping[str, Any]],
    pending: Iterable[tuple[BoundRule, First]],
    gaps: Iterable[Mapping[str, Any]],
    *,
    mono_us: int,
    wall_us: int,
) -> list[dict[str, Any]]:
    """One row a point: value, unit, limits, age, quality, state; in the order of ``ORDER``, then of ids."""
    offset_us = wall_us - mono_us
    reasons = _reasons(layout.resolved, gaps)
    steps = _open(violations)
    delays = _pending(pending)
    rows = []
    for id_, point in layout.resolved.get("points", {}).items():
        row = _about(id_, point, layout.resolved)
        row |= _reading(readings.get(id_, (None, None)), layout.intervals.get(id_, 0), mono_us, offset_us)
        mine = layout.rules.get(id_, {})
        row["gap"] = reasons.get(id_, "")
        row["limits"] = layout.limits.get(id_, [])
        row |= _state(row, steps.get(id_), mine, delays.get(id_))
        rows.append(row)
    return sorted(rows, key=lambda row: (ORDER.index(row["state"]), row["point"]))


def apparent(records: Iterable[Mapping[str, Any]], rules: Rules) -> list[Mapping[str, Any]]:
    """What rows show: what is told, and what goes on as part of that; but a power cut or a dark bus hides its points' silence."""

    def silence(each: Mapping[str, Any]) -> bool:
        return rules.get(each["point"], {}).get(each["rule"], {}).get("kind") == STALE

    return [each for each in records if each["handling"] != MERGED or not silence(each)]


def is_violation(violation: Mapping[str, Any]) -> bool:
    """True once the rule was broken long enough; before, it is a notice."""
    return violation.get("level") == "violation"


def _about(id_: str, point: Mapping[str, Any], resolved: Mapping[str, Any]) -> dict[str, Any]:
    unit = str(point.get("unit", ""))
    zone = resolved.get("zones", {}).get(point.get("zone") or "", {})
    return {
        "point": id_,
        "name_zh": point.get("name_zh") or id_,
        "name_en": point.get("name_en") or id_,
        "zone": point.get("zone") or "",
        "zone_zh": zone.get("name_zh") or point.get("zone") or "",
        "zone_en": zone.get("name_en") or point.get("zone") or "",
        "device": point.get("device", ""),
        "quantity": point.get("quantity", ""),
        "unit": unit,
        "unit_shown": symbol(unit),
        "decimals": point.get("decimals", 1),
    }


def _reading(readings: Readings, interval_us: int, mono_us: int, offset_us: int) -> dict[str, Any]:
    newest, known = readings
    row: dict[str, Any] = {
        "value": None,
        "quality": "bad:no-data",
        "observed_us": None,
        "age_s": None,
        "stale": True,
        "interval_s": interval_us / 1e6,
        "last_value": None,
        "last_observed_us": None,
    }
    if known is not None:
        row |= {"last_value": known.value, "last_observed_us": known.mono_us + offset_us}
    if newest is None:
        return row
    age_us = max(0, mono_us - newest.mono_us)
    return row | {
        "value": newest.value,
        "quality": newest.quality,
        "observed_us": newest.mono_us + offset_us,
        "age_s": round(age_us / 1e6, 1),
        "stale": 0 < interval_us * FRESH_INTERVALS < age_us,
    }


def _reasons(resolved: Mapping[str, Any], gaps: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """By point: why its group has an open gap."""
    groups = resolved.get("groups", {})
    return {
        point: str(gap.get("reason", ""))
        for gap in gaps
        for group in gap.get("groups", ())
        for point in groups.get(group, {}).get("points", ())
    }


def _open(violations: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The gravest of the open violations and notices of each point that have not recovered."""
    found: dict[str, Mapping[str, Any]] = {}
    for violation in violations:
        point = str(violation["point"])
        if violation.get("condition") != "recovered" and (
            point not in found or (is_violation(violation) and not is_violation(found[point]))
        ):
            found[point] = violation
    return found


def _pending(pending: Iterable[tuple[BoundRule, First]]) -> dict[str, tuple[BoundRule, First]]:
    """Of each point the rule whose delay has run longest."""
    found: dict[str, tuple[BoundRule, First]] = {}
    for rule, first in pending:
        if rule.point not in found or first.rule_us < found[rule.point][1].rule_us:
            found[rule.point] = (rule, first)
    return found


def _state(
    row: Mapping[str, Any],
    step: Mapping[str, Any] | None,
    rules: Mapping[str, Mapping[str, Any]],
    delay: tuple[BoundRule, First] | None,
) -> dict[str, Any]:
    """``state``, since when, of which rule, and how long that rule waits before the next state (None: no next one)."""
    calm: dict[str, Any] = {"since_us": None, "violation": None, "rule": None, "wait_s": None, "next": None}
    if step is not None:
        state = "violation" if is_violation(step) else "notice"
        found = calm | {
            "state": state,
            "since_us": step["first"]["wall_us"],
            "violation": step.get("violation"),
            "rule": step["rule"],
            "condition": step.get("condition"),
            "handling": step.get("handling"),
        }
        wait_us = rules.get(str(step["rule"]), {}).get("violation_after_us")
        if state == "notice" and wait_us is not None:
            found |= {"wait_s": wait_us / 1e6, "next": "violation"}
        return found
    if row["value"] is None or row["stale"]:
        since_us = row["last_observed_us"] if row["value"] is None else row["observed_us"]
        return calm | {"state": "no-data", "since_us": since_us}
    if delay is not None:
        rule, first = delay
        at_once = rule.violation_after_us is not None and rule.violation_after_us <= rule.notice_after_us
        wait_us = rule.violation_after_us if at_once else rule.notice_after_us
        following = "violation" if at_once else "notice"
        since = {"since_us": first.wall_us, "rule": rule.id, "wait_s": (wait_us or 0) / 1e6, "next": following}
        return calm | {"state": "beyond"} | since
    return calm | {"state": "normal"}
