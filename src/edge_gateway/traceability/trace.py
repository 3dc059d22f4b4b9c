"""One lot from where it came to where it went, and what it met on the way, out of entries; pure.

Unlike the ledger it knows every record that there is, also of lots that are long over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_gateway.traceability.lots import Lots, apply, during, kin
from edge_gateway.traceability.model import RecordRefused


@dataclass(slots=True)
class Period:
    """A violation or a mark on rule time (µs): in which zone, from, until (None: it goes on)."""

    id: str
    what: str
    zone: str
    begin_rule_us: int
    begin_us: int
    end_rule_us: int | None
    end_us: int | None
    told: Mapping[str, Any]


def in_force(entries: Iterable[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], int]:
    """The records in force out of all ``record`` entries, in order, and how many entries fit nowhere."""
    found: dict[str, dict[str, Any]] = {}
    odd = 0
    for entry in entries:
        old = str(entry.get("corrects", ""))
        if not old:
            found[str(entry["record"])] = dict(entry)
            continue
        before = found.get(old)
        if before is None:
            odd += 1
            continue
        new = {**entry, "rule_us": before["rule_us"], "wall_us": before["wall_us"]}
        placed = {name: record for name, record in found.items() if name != old or not entry.get("void")}
        found = {(str(new["record"]) if name == old else name): (new if name == old else record) for name, record in placed.items()}
    return list(found.values()), odd


def lots_in_force(records: Iterable[Mapping[str, Any]]) -> tuple[Lots, int]:
    """All lots, and how many records could not be (an earlier part of the record is gone)."""
    lots: Lots = {}
    odd = 0
    for record in records:
        try:
            apply(lots, record)
        except RecordRefused:
            odd += 1
    return lots, odd


def violation_periods(entries: Iterable[Mapping[str, Any]], zone_of: Mapping[str, str]) -> list[Period]:
    """Violations (no mere notices) as periods, from the first offending reading to the last recovery; ``zone_of`` by point."""
    found: dict[str, Period] = {}
    real: set[str] = set()
    for entry in entries:
        id_, first = str(entry["violation"]), entry.get("first") or {}
        period = found.get(id_)
        if period is None:
            began = int(first.get("rule_us", entry["rule_us"])), int(first.get("wall_us", entry["wall_us"]))
            zone = zone_of.get(str(entry.get("point")), "")
            period = found[id_] = Period(id_, str(entry.get("rule")), zone, *began, None, None, {})
        over = entry.get("condition") == "recovered"
        if not over:
            period.end_rule_us = period.end_us = None
        elif period.end_rule_us is None:
            period.end_rule_us, period.end_us = int(entry["rule_us"]), int(entry["wall_us"])
        period.told = {key: entry[key] for key in ("point", "peak", "minutes", "limit", "severity", "condition", "handling") if key in entry}
        if entry.get("level") == "violation" or entry.get("step") == "violated":
            real.add(id_)
    return [period for period in found.values() if period.id in real]


def mark_periods(entries: Iterable[Mapping[str, Any]], zone_of: Mapping[str, str]) -> list[Period]:
    """Marks as periods, one for each zone that they touch."""
    found: dict[str, list[Period]] = {}
    for entry in entries:
        id_ = str(entry["mark"])
        if id_ not in found:
            scope = entry.get("scope") or {}
            zones = {zone_of.get(str(point), "") for point in entry.get("points", ())} | set(scope.get("zones", ()))
            began = int(entry.get("from_rule_us", entry["rule_us"])), int(entry.get("from_wall_us", entry["wall_us"]))
            told = {key: entry[key] for key in ("reason", "by") if key in entry}
            found[id_] = [Period(id_, str(entry.get("type")), zone, *began, None, None, told) for zone in sorted(zones - {""})]
        if entry.get("step") == "ended":
            for period in found[id_]:
                period.end_rule_us, period.end_us = int(entry["rule_us"]), int(entry["wall_us"])
    return [period for periods in found.values() for period in periods]


def met(lots: Lots, name: str, periods: Sequence[Period]) -> list[dict[str, Any]]:
    """What happened in the zones of a lot while it was there, in order of beginning."""
    found = []
    for period in sorted(periods, key=lambda each: (each.begin_rule_us, each.id)):
        zones = [stay.zone for stay in lots[name].stays if stay.zone == period.zone and during(stay, period.begin_rule_us, period.end_rule_us)]
        if zones:
            where = {"id": period.id, "what": period.what, "zone": period.zone, "begin_us": period.begin_us, "end_us": period.end_us}
            found.append(where | {"told": dict(period.told)})
    return found


def trace(lots: Lots, records: Sequence[Mapping[str, Any]], name: str, periods: Sequence[Period]) -> dict[str, Any]:
    """Where a lot came from, what it met (it, and what it was made from), where it went; JSON-able. Raises RecordRefused."""
    if name not in lots:
        raise RecordRefused(f"no lot {name[:40]} is in the record", hint="`edge-gateway record list --all` shows them")
    by_id = {str(record["record"]): record for record in records}
    came, went = kin(lots, name, "parents"), kin(lots, name, "children")
    documents = [record for record in records if record["type"] == "document" and record.get("lot") in {name, *came}]
    return {
        "lot": _told(lots, name, by_id, periods),
        "from": [_told(lots, each, by_id, periods) for each in came],
        "into": [_told(lots, each, by_id, periods) for each in went],
        "dispatches": [{**each, "lot": one} for one in (name, *went) for each in lots[one].dispatches],
        "documents": [_short(record) for record in documents],
    }


def _told(lots: Lots, name: str, by_id: Mapping[str, Mapping[str, Any]], periods: Sequence[Period]) -> dict[str, Any]:
    lot = lots[name]
    told = {key: getattr(lot, key) for key in ("id", "product", "supplier", "certificate", "slip", "expires", "grams_in", "grams_left", "began_us")}
    stays = [{"zone": stay.zone, "begin_us": stay.begin_us, "end_us": stay.end_us} for stay in lot.stays]
    made = {"from": dict(lot.parents), "into": dict(lot.children)}
    records = [_short(by_id[each]) for each in lot.records if each in by_id]
    return told | made | {"stays": stays, "temperature": lot.temperature, "met": met(lots, name, periods), "records": records}


def _short(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record without what every entry has."""
    return {key: value for key, value in record.items() if key not in ("v", "kind", "mono_us", "boot", "rule_us")}
