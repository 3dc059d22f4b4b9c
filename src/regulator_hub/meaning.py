"""One resolved configuration, compiled for decoding batches: groups, points, limits; pure, and knows no entry order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from edge_gateway.rules.base import each_rule
from edge_gateway.units import symbol
from regulator_hub import packs


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What a configuration says: ``groups`` give each batch its points, ``points`` what a page shows beside a value."""

    site: Mapping[str, Any]
    groups: Mapping[str, tuple[str, ...]]
    intervals_us: Mapping[str, int]  # by point; 0 where nothing is expected
    points: Mapping[str, Mapping[str, Any]]
    limits: Mapping[str, list[dict[str, Any]]]
    rules: Mapping[str, Mapping[str, Any]]  # "<rule> <point>" -> titles and what to do
    packs: Mapping[str, Mapping[str, Any]]  # by id: version, edition, state


def compile_text(text: bytes) -> Meaning:
    """Compile a resolved configuration (docs/reference/journal-format.md section 4). Raises ValueError."""
    try:
        resolved = orjson.loads(text)
        zones = resolved.get("zones", {})
        groups = {name: tuple(str(point) for point in group["points"]) for name, group in resolved["groups"].items()}
        intervals: dict[str, int] = {}
        for name, group in resolved["groups"].items():
            intervals |= dict.fromkeys(groups[name], int(group.get("interval_us") or 0))
        points = {
            name: _point(name, body, zones.get(body.get("zone")) or {}) for name, body in resolved["points"].items()
        }
        limits, rules = _rules(resolved.get("rules") or [])
        site = dict(resolved.get("site") or {})
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"no resolved configuration: {error!r}") from None
    return Meaning(site=site, groups=groups, intervals_us=intervals, points=points, limits=limits, rules=rules, packs=packs.in_use(resolved))


_TOLD = ("kind", "title_zh", "title_en", "do_zh", "do_en", "basis", "verified", "severity", "limit", "violation_after_us")


def _rules(document: Iterable[Any]) -> tuple[dict[str, list[dict[str, Any]]], dict[str, dict[str, Any]]]:
    """Limits by point, and what a page tells of "<rule> <point>". A rule that cannot be read costs no value its meaning."""
    limits: dict[str, list[dict[str, Any]]] = {}
    rules: dict[str, dict[str, Any]] = {}
    for body in document:
        try:
            bound = list(each_rule([body]))
        except (KeyError, TypeError, AttributeError):
            continue
        for rule in bound:
            rules[f"{rule.get('id')} {rule['point']}"] = {key: rule.get(key, "") for key in _TOLD}
            if rule.get("kind") == "limit":
                keys = ("id", "low", "high", "limit", "verified", "notices_only")
                limits.setdefault(str(rule["point"]), []).append({key: rule.get(key) for key in keys})
    return limits, rules


def _point(name: str, body: Mapping[str, Any], zone: Mapping[str, Any]) -> dict[str, Any]:
    unit = str(body.get("unit", ""))
    zone_id = str(body.get("zone", ""))
    return {
        "name_zh": body.get("name_zh") or name,
        "name_en": body.get("name_en") or name,
        "zone": zone_id,
        "zone_zh": zone.get("name_zh") or zone_id,
        "zone_en": zone.get("name_en") or zone_id,
        "quantity": str(body.get("quantity", "")),
        "unit": unit,
        "unit_shown": symbol(unit),
        "decimals": min(9, max(0, int(body.get("decimals", 1)))),
    }
