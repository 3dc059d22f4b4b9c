"""Lots out of records, in their order: where each was, what became of it, what is missing; pure.

Everything is derived from the records in force, so that a correction changes what it must and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edge_gateway.traceability.model import DISPATCH, FRESH_US, INTAKE, Lot, RecordRefused, Stay, kg, names

Lots = dict[str, Lot]
#: Lots that one is traced through.
MAX_KIN = 2_000


def fold(records: Iterable[Mapping[str, Any]]) -> Lots:
    """All lots that these records tell of. Raises RecordRefused for the first that cannot be."""
    lots: Lots = {}
    for record in records:
        apply(lots, record)
    return lots


def apply(lots: Lots, record: Mapping[str, Any]) -> None:
    """One more record; nothing is changed if it cannot be. Raises RecordRefused."""
    kind = record["type"]
    if kind == INTAKE:
        lot = _born(lots, record)
        lot.supplier, lot.certificate, lot.slip = (str(record.get(key, "")) for key in ("supplier", "certificate", "slip"))
        lot.temperature, lot.photos = record.get("temperature"), len(record.get("photos", ()))
    elif kind == DISPATCH:
        _dispatch(lots, record)
    elif kind == "lot":
        _process(lots, record)


def _born(lots: Lots, record: Mapping[str, Any]) -> Lot:
    name = str(record["lot"])
    if name in lots:
        raise RecordRefused(f"lot {name} is here already", hint="give it another number, or correct the record that is wrong")
    lot = lots[name] = Lot(
        id=name, product=str(record.get("product", "")), expires=str(record.get("expires", "")), grams_in=int(record["grams"]),
        grams_left=int(record["grams"]), began_us=int(record["wall_us"]), records=[str(record["record"])],
    )  # fmt: skip
    _move(lot, record)
    return lot


def known(lots: Lots, name: str) -> Lot:
    """A lot of which something is left. Raises RecordRefused."""
    lot = lots.get(name)
    if lot is None:
        raise RecordRefused(f"no lot {name} is known here", hint="`edge-gateway record list` shows the lots; `record intake` begins one")
    if lot.over:
        raise RecordRefused(f"nothing is left of lot {name}", hint=f"`edge-gateway record trace {name}` says where it went")
    return lot


def taken(lot: Lot, part: int | None) -> int:
    """So much of it, or all that is left. Raises RecordRefused."""
    weight = lot.grams_left if part is None else int(part)
    if weight > lot.grams_left:
        raise RecordRefused(f"of lot {lot.id} {kg(lot.grams_left)} kg are left, not {kg(weight)} kg")
    return weight


def _dispatch(lots: Lots, record: Mapping[str, Any]) -> None:
    lot = known(lots, str(record["lot"]))
    weight = taken(lot, record.get("grams"))
    told = {key: record[key] for key in ("record", "receiver", "slip", "vehicle", "disposal", "wall_us", "temperature") if key in record}
    lot.dispatches.append(told | {"grams": weight})
    lot.records.append(str(record["record"]))
    _less(lot, weight, record)


def _process(lots: Lots, record: Mapping[str, Any]) -> None:
    """A lot goes to another zone, or is made from others."""
    parents: Mapping[str, int | None] = record.get("from") or {}
    if not parents:
        lot = known(lots, str(record["lot"]))
        if "zone" not in record:
            raise RecordRefused(f"lot {lot.id} is here already", hint="name the --zone that it goes to, or the lots that a new one is made --from")
        if "grams" in record or "product" in record:
            raise RecordRefused("a lot that moves keeps its weight and its product", hint="make a new lot --from it")
        lot.records.append(str(record["record"]))
        lot.expires = str(record.get("expires", lot.expires))
        _move(lot, record)
        return
    if record["lot"] in parents:
        raise RecordRefused("a lot is not made from itself", hint="give the new lot a number of its own")
    used = [(known(lots, name), part) for name, part in parents.items()]
    weights = [taken(lot, part) for lot, part in used]
    soonest = min((lot.expires for lot, _ in used if lot.expires), default="")
    born = _born(lots, {"product": used[0][0].product, "expires": soonest, **record, "grams": record.get("grams", sum(weights))})
    for (lot, _), weight in zip(used, weights, strict=True):
        lot.children[born.id] = weight
        born.parents[lot.id] = weight
        lot.records.append(str(record["record"]))
        _less(lot, weight, record)
    if not born.stays and used[0][0].stays:  # where its first parent was
        _move(born, {**record, "zone": used[0][0].stays[-1].zone})


def _less(lot: Lot, weight: int, record: Mapping[str, Any]) -> None:
    lot.grams_left -= weight
    if lot.over:
        _leave(lot, record)


def _move(lot: Lot, record: Mapping[str, Any]) -> None:
    if zone := record.get("zone"):
        _leave(lot, record)
        lot.stays.append(Stay(str(zone), int(record["rule_us"]), int(record["wall_us"])))


def _leave(lot: Lot, record: Mapping[str, Any]) -> None:
    if lot.stays and lot.stays[-1].end_rule_us is None:
        lot.stays[-1].end_rule_us, lot.stays[-1].end_us = int(record["rule_us"]), int(record["wall_us"])


# --- questions ------------------------------------------------------------------------------------------------------


def scope(lots: Mapping[str, Lot], zones: Iterable[str], from_rule_us: int, until_rule_us: int | None) -> list[str]:
    """Lots that were in any of these zones at any instant from ``from_rule_us`` to ``until_rule_us`` (None: still), by id.

    Both ends count: a lot that came in the instant in which a violation ended was there.
    """
    wanted = frozenset(zones)
    return sorted(lot.id for lot in lots.values() if any(stay.zone in wanted and during(stay, from_rule_us, until_rule_us) for stay in lot.stays))


def of_violation(lots: Mapping[str, Lot], record: Mapping[str, Any], points: Mapping[str, Any]) -> list[str]:
    """Lots that a violation concerns: in its zones from its first offending reading to its recovery (while it is not: until now).

    ``record`` as violations keep it; ``points`` as resolved: the zone of each. Of a cause, the zones of all that it holds.
    """
    scope_, assessed = record.get("scope") or {}, record.get("assessment") or {}
    places = [str((points.get(point) or {}).get("zone") or "") for point in (record.get("point"), *scope_.get("points", ()))]
    zones = {*places, str(scope_.get("zone") or ""), str(assessed.get("zone") or "")} - {""}
    first = (record.get("whole") or record).get("first") or record.get("first") or {}
    until = record.get("recovered_us") if record.get("condition") == "recovered" else None
    return scope(lots, zones, int(first.get("rule_us", 0)), until)


def of_cause(lots: Mapping[str, Lot], cause: Mapping[str, Any], held: Iterable[Mapping[str, Any]], points: Mapping[str, Any]) -> list[str]:
    """Lots that a violation and all that it holds concern: each in its own zone and period."""
    found = (of_violation(lots, record, points) for record in (cause, *held))
    return sorted({lot for each in found for lot in each})


def during(stay: Stay, from_rule_us: int, until_rule_us: int | None) -> bool:
    """Whether a stay and a period have an instant in common; both are closed, None has no end."""
    begins_late = until_rule_us is not None and stay.begin_rule_us > until_rule_us
    return not begins_late and not (stay.end_rule_us is not None and stay.end_rule_us < from_rule_us)


def kin(lots: Mapping[str, Lot], name: str, side: str) -> list[str]:
    """Lots that ``name`` was made from (side ``parents``) or that were made of it (``children``), near ones first, each once."""
    found: dict[str, None] = {}
    waiting = [name]
    while waiting and len(found) < MAX_KIN:
        lot = lots.get(waiting.pop(0))
        for other in getattr(lot, side, {}):
            if other not in found and other != name:
                found[other] = None
                waiting.append(other)
    return list(found)


def lacking(lots: Mapping[str, Lot], name: str, requires: Sequence[str], record: Mapping[str, Any] | None = None) -> list[str]:
    """What of ``requires`` is not there for a lot: its own intake's, or that of every lot it came in as.

    With ``record`` (a dispatch, say) slip, temperature and photo are those of that record; a certificate is always the lots'.
    """
    origins = [each for each in (name, *kin(lots, name, "parents")) if each in lots and not lots[each].parents]
    missing = []
    for each in requires:
        if record is not None and each != "certificate":
            there = _has(record, each)
        else:
            there = bool(origins) and all(_lot_has(lots[origin], each) for origin in origins)
        if not there:
            missing.append(each)
    return missing


def _lot_has(lot: Lot, what: str) -> bool:
    if what == "temperature":
        return measured(lot.temperature)
    return bool(lot.photos if what == "photo" else getattr(lot, what))


def _has(record: Mapping[str, Any], what: str) -> bool:
    if what == "temperature":
        return measured(record.get("temperature"))
    return bool(record.get("photos" if what == "photo" else what))


def measured(temperature: Mapping[str, Any] | None) -> bool:
    """Whether it is a temperature: good, and fresh at that moment."""
    if temperature is None or temperature.get("value") is None:
        return False
    return temperature.get("quality") == "good" and 0 <= int(temperature.get("age_us", FRESH_US + 1)) <= FRESH_US


def refused(lot: str, what: str, missing: Sequence[str]) -> RecordRefused:
    """The refusal that names what is missing."""
    return RecordRefused(f"lot {lot} cannot be {what}: missing {names(missing)}", hint="record what is missing first")
