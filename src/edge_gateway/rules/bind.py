"""Binds rules to points by zone, stage and quantity, with limits from the outlet's permit; pure, judges no reading."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from edge_gateway import toml_errors
from edge_gateway.errors import ConfigError
from edge_gateway.reading import FRESH_INTERVALS
from edge_gateway.rules.base import BoundRule, NotMonitored
from edge_gateway.rules.bind_kinds import LAPSED, lapsed, numbers, us
from edge_gateway.rules.facts import PointFacts, ZoneFacts
from edge_gateway.rules.kinds import SEMANTICS
from edge_gateway.rules.load import LoadedPack
from edge_gateway.rules.model_kinds import (
    CombinedRule,
    LimitRule,
    ReadingRule,
    Rule,
    SequenceRule,
    SpreadRule,
    WindowRule,
)
from edge_gateway.toml_lines import line_of

__all__ = ["Binding", "BoundRule", "NotMonitored", "PointFacts", "ZoneFacts", "bind"]

#: How long a reading speaks for a point of which nobody knows when the next reading is due.
FRESH_WITHOUT_INTERVAL_US = 900_000_000


@dataclass(frozen=True, slots=True)
class Binding:
    """Rules at points, in the order of packs, rules and points; and rules that judge nothing here, with the reason."""

    rules: list[BoundRule] = field(default_factory=list)
    not_monitored: list[NotMonitored] = field(default_factory=list)


def bind(
    packs: Sequence[LoadedPack],
    points: Sequence[PointFacts],
    zones: Mapping[str, ZoneFacts],
    outlets: Mapping[str, dict[str, Any]],
    day: str = "",
) -> Binding:
    """Every rule at every point it selects. ``outlets`` are the tables ``[outlets.<id>]`` as mappings.

    A permit that begins after the civil ``day`` gives no limit yet, and one that has ended only tightens ("": nobody says which day it is, and every permit counts).

    Raises ConfigError: two packs with one rule id, or a permit whose limits leave nothing permitted.
    """
    binding = Binding()
    owners: dict[str, LoadedPack] = {}
    permits = {str(outlet["zone"]): (id_, outlet | ({LAPSED: True} if lapsed(outlet, day) else {})) for id_, outlet in outlets.items() if not day or str(outlet.get("permit_date") or "") <= day}
    for loaded in packs:
        for index, rule in loaded.rules():
            if (first := owners.setdefault(rule.id, loaded)) is not loaded:
                why = f"pack '{first.pack.id}' has a rule '{rule.id}' already"
                line = line_of(dict(loaded.lines), ("rule", index, "id"))
                raise ConfigError(why, file=str(loaded.file), line=line, key=f"rule[{index}].id", code="duplicate", hint="rename one of the two")
            if not isinstance(rule, CombinedRule):
                _bind_rule(loaded, rule, points, zones, permits, binding)
    for loaded in packs:
        for index, rule in loaded.rules():
            _check_consequences(loaded, index, rule, packs)
            if isinstance(rule, CombinedRule):
                _check_names(loaded, index, rule, owners)
                _combine(loaded, rule, points, zones, binding)
    return binding


def _bind_rule(
    loaded: LoadedPack,
    rule: ReadingRule,
    points: Sequence[PointFacts],
    zones: Mapping[str, ZoneFacts],
    permits: Mapping[str, tuple[str, Mapping[str, Any]]],
    binding: Binding,
) -> None:
    found = False
    for point, *others in _places(rule, list(_selected(rule, points, zones)), points):
        found = True
        outcome = numbers(rule, (point, *others), permits.get(point.zone), loaded.own.get(rule.id, frozenset()))
        if isinstance(outcome, str):
            binding.not_monitored.append(_not_monitored(loaded, rule, outcome, point.id))
        else:
            binding.rules.append(BoundRule(**shared(loaded, rule, point) | outcome))
    if not found:
        binding.not_monitored.append(_not_monitored(loaded, rule, "no point is in such a place", ""))


def _selected(rule: Rule, points: Sequence[PointFacts], zones: Mapping[str, ZoneFacts]) -> Iterator[PointFacts]:
    """Points that agree with every key of ``select``; a point without a zone agrees with no stage and no zone kind."""
    select = rule.select
    for point in points:
        zone = zones.get(point.zone)
        if select.stage and (zone is None or zone.stage not in select.stage):
            continue
        if select.zone_kind and (zone is None or zone.kind not in select.zone_kind):
            continue
        if not select.quantity or point.quantity in select.quantity:
            yield point


def _places(rule: Rule, selected: Sequence[PointFacts], points: Sequence[PointFacts]) -> list[list[PointFacts]]:
    """Where a rule judges: at each point (beside the flow or the contact of its zone that it needs), or once in each zone."""
    if isinstance(rule, SpreadRule):
        return list(_by_zone(selected).values())
    if isinstance(rule, SequenceRule):
        return [_of_steps(rule, zone, points) for zone in _by_zone(selected)]
    beside = ""
    if isinstance(rule, WindowRule) and rule.of == "flow-mean":
        beside = "flow"
    elif isinstance(rule, LimitRule) and rule.excuse is not None:
        beside = rule.excuse.quantity
    others = {point.zone: point for point in sorted(points, key=lambda each: each.id, reverse=True) if point.quantity == beside}
    return [[point, *([others[point.zone]] if point.zone in others else [])] for point in selected]


def _by_zone(points: Sequence[PointFacts]) -> dict[str, list[PointFacts]]:
    zones: dict[str, list[PointFacts]] = {}
    for point in sorted(points, key=lambda each: each.id):
        zones.setdefault(point.zone, []).append(point)
    return zones


def _of_steps(rule: SequenceRule, zone: str, points: Sequence[PointFacts]) -> list[PointFacts]:
    """The points of a zone that the steps of a cycle need, each once; the first one of each quantity."""
    quantities = dict.fromkeys(step.quantity for step in rule.step)
    here = _by_zone(points)[zone]
    found = (next((point for point in here if point.quantity == quantity), None) for quantity in quantities)
    return [point for point in found if point is not None] or here[:1]


def _check_names(loaded: LoadedPack, index: int, rule: CombinedRule, owners: Mapping[str, LoadedPack]) -> None:
    for name in (*rule.all, *rule.any):
        other = name.removeprefix("!")
        pack = owners.get(other)
        combined = pack is not None and any(each.id == other and isinstance(each, CombinedRule) for _, each in pack.rules())
        if pack is None or combined:
            why = f"'{other}' is combined itself" if combined else f"no rule '{other}' in the packs that are in force"
            hint = "name rules that judge readings" if combined else toml_errors.did_you_mean(other, list(owners))
            line = line_of(dict(loaded.lines), ("rule", index, "id"))
            raise ConfigError(why, file=str(loaded.file), line=line, key=f"rule[{index}]", code="unknown-rule", hint=hint)


def _check_consequences(loaded: LoadedPack, index: int, rule: Rule, packs: Sequence[LoadedPack]) -> None:
    """A pack that is not in use may be named; one that is must have the rule."""
    known = {each.pack.id: [other.id for other in each.pack.rule] for each in packs}
    for name in rule.consequences.rules if rule.consequences else ():
        pack, _, other = name.rpartition("/")
        if pack in known and other not in known[pack]:
            line = line_of(dict(loaded.lines), ("rule", index, "id"))
            hint = toml_errors.did_you_mean(other, known[pack])
            raise ConfigError(f"pack '{pack}' has no rule '{other}'", file=str(loaded.file), line=line, key=f"rule[{index}].consequences", code="unknown-rule", hint=hint)


def _combine(
    loaded: LoadedPack, rule: CombinedRule, points: Sequence[PointFacts], zones: Mapping[str, ZoneFacts], binding: Binding
) -> None:
    """Once in each zone that it selects, over the other rules at that zone's points."""
    places = _by_zone(list(_selected(rule, points, zones)))
    if not places:
        binding.not_monitored.append(_not_monitored(loaded, rule, "no point is in such a place", ""))
    for zone, selected in places.items():
        here = {point.id for point in points if point.zone == zone}
        names = rule.all or rule.any
        keys = [[f"{each.id}/{each.point}" for each in binding.rules if each.id == name.removeprefix("!") and each.point in here] for name in names]
        if missing := [name for name, found in zip(names, keys, strict=True) if not found]:
            why = f"rule '{missing[0].removeprefix('!')}' judges nothing here"
            binding.not_monitored.append(_not_monitored(loaded, rule, why, selected[0].id))
            continue
        whole = "all" if rule.all else "any"
        rules = orjson.dumps([[name.startswith("!"), sorted(found)] for name, found in zip(names, keys, strict=True)]).decode()
        limit = f"not {whole} of: {', '.join(names)}"
        binding.rules.append(BoundRule(**shared(loaded, rule, selected[0]) | {"terms": {"of": whole, "rules": rules}, "limit": limit}))


def _not_monitored(loaded: LoadedPack, rule: Rule, why: str, place: str) -> NotMonitored:
    return NotMonitored(
        rule=rule.id, pack=loaded.pack.id, why=why, title_zh=rule.title_zh, title_en=rule.title_en, place=place
    )


#: What a rule may say of people's time.
HOURS = ("acknowledge", "correct", "verify", "recur", "stable")


def shared(loaded: LoadedPack, rule: Rule, point: PointFacts) -> dict[str, Any]:
    """What a bound rule has whatever its kind."""
    fresh_us = point.interval_us * FRESH_INTERVALS or FRESH_WITHOUT_INTERVAL_US
    basis = rule.basis
    return {
        "id": rule.id, "pack": loaded.pack.id, "pack_version": loaded.pack.version, "edition": loaded.pack.edition,
        "kind": rule.kind, "semantics": SEMANTICS[rule.kind][-1], "point": point.id, "quantity": point.quantity, "unit": point.unit,
        "notice_after_us": us(rule.notice_after_s),
        "violation_after_us": None if rule.violation_after_s is None else us(rule.violation_after_s),
        "clear_after_us": us(rule.clear_after_s),
        "unknown_after_us": us(rule.unknown_after_s),
        "undecided_after_us": us(rule.undecided_after_s),
        "fresh_us": fresh_us if rule.fresh_for_s is None else us(rule.fresh_for_s),
        "hours": {what: given for what in HOURS if (given := getattr(rule, f"{what}_h")) is not None},
        "severity": rule.severity, "department": rule.department,
        "standard": basis.standard, "clause": basis.clause, "basis_edition": basis.edition,
        "effective_from": basis.effective_from, "effective_to": "" if basis.effective_to in (None, "unknown") else basis.effective_to,
        "verified": basis.verified, "source": basis.source, "source_zh": basis.source_zh,
        "title_zh": rule.title_zh, "title_en": rule.title_en, "do_zh": rule.do_zh, "do_en": rule.do_en,
        "consequence_zh": rule.consequence_zh, "consequence_en": rule.consequence_en,
        "state": loaded.state, "armed_in": rule.armed_in, "season": tuple(f"{each.begins}/{each.ends}" for each in rule.season),
        "consequences": tuple(name.rpartition("/")[2] for name in rule.consequences.rules) if rule.consequences else (),
        "consequences_over": rule.consequences.over if rule.consequences else "",
        "renamed_from": point.renamed_from,
    }  # fmt: skip
