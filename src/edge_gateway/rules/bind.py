"""Binds rules to points by zone, stage and quantity, with limits from the outlet's permit; pure, judges no reading."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from edge_gateway.errors import ConfigError
from edge_gateway.reading import FRESH_INTERVALS
from edge_gateway.rules.base import BoundRule, NotMonitored
from edge_gateway.rules.load import LoadedPack
from edge_gateway.rules.model import (
    ExposureRule,
    FlatRule,
    Limited,
    RateRule,
    Rule,
    SpreadRule,
    StaleRule,
    WindowRule,
    check_limits,
)
from edge_gateway.toml_lines import line_of

__all__ = ["Binding", "BoundRule", "NotMonitored", "PointFacts", "ZoneFacts", "bind"]

#: How long a reading speaks for a point of which nobody knows when the next reading is due.
FRESH_WITHOUT_INTERVAL_US = 900_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PointFacts:
    """What binding asks of a point. ``interval_us`` 0: nobody knows when its next reading is due."""

    id: str
    quantity: str
    unit: str
    zone: str = ""
    interval_us: int = 0
    renamed_from: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneFacts:
    """What binding asks of a zone."""

    stage: str
    kind: str


@dataclass(frozen=True, slots=True)
class Binding:
    """Rules at points, in the order of packs, rules and points; and rules that judge nothing here, with the reason."""

    rules: list[BoundRule] = field(default_factory=list)
    not_monitored: list[NotMonitored] = field(default_factory=list)


def bind(
    packs: Sequence[LoadedPack],
    points: Sequence[PointFacts],
    zones: Mapping[str, ZoneFacts],
    outlets: Mapping[str, Mapping[str, Any]],
) -> Binding:
    """Every rule at every point it selects. ``outlets`` are the tables ``[outlets.<id>]`` as mappings.

    Raises ConfigError: two packs with one rule id, or a permit whose limits leave nothing permitted.
    """
    binding = Binding()
    owners: dict[str, LoadedPack] = {}
    permits = {str(outlet["zone"]): (id_, outlet) for id_, outlet in outlets.items()}
    for loaded in packs:
        for index, rule in enumerate(loaded.pack.rule):
            if (first := owners.setdefault(rule.id, loaded)) is not loaded:
                why = f"pack '{first.pack.id}' has a rule '{rule.id}' already"
                line = line_of(dict(loaded.lines), ("rule", index, "id"))
                raise ConfigError(why, file=str(loaded.file), line=line, key=f"rule[{index}].id", code="duplicate", hint="rename one of the two")
            _bind_rule(loaded, rule, points, zones, permits, binding)
    return binding


def _bind_rule(
    loaded: LoadedPack,
    rule: Rule,
    points: Sequence[PointFacts],
    zones: Mapping[str, ZoneFacts],
    permits: Mapping[str, tuple[str, Mapping[str, Any]]],
    binding: Binding,
) -> None:
    found = False
    for point, *others in _places(rule, list(_selected(rule, points, zones)), points):
        found = True
        outcome = _numbers(rule, (point, *others), permits.get(point.zone))
        if isinstance(outcome, str):
            binding.not_monitored.append(_not_monitored(loaded, rule, outcome, point.id))
        else:
            binding.rules.append(BoundRule(**_shared(loaded, rule, point) | outcome))
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
    """Where a rule judges: at each point (with its zone's flow), or (``spread``) once in each zone, over all of its points."""
    if isinstance(rule, WindowRule) and rule.of == "flow-mean":
        flows = {point.zone: point for point in points if point.quantity == "flow"}
        return [[point, *([flows[point.zone]] if point.zone in flows else [])] for point in selected]
    if not isinstance(rule, SpreadRule):
        return [[point] for point in selected]
    zones: dict[str, list[PointFacts]] = {}
    for point in sorted(selected, key=lambda each: each.id):
        zones.setdefault(point.zone, []).append(point)
    return list(zones.values())


def _not_monitored(loaded: LoadedPack, rule: Rule, why: str, place: str) -> NotMonitored:
    return NotMonitored(
        rule=rule.id, pack=loaded.pack.id, why=why, title_zh=rule.title_zh, title_en=rule.title_en, place=place
    )


def _shared(loaded: LoadedPack, rule: Rule, point: PointFacts) -> dict[str, Any]:
    """What a bound rule has whatever its kind."""
    fresh_us = point.interval_us * FRESH_INTERVALS or FRESH_WITHOUT_INTERVAL_US
    basis = rule.basis
    return {
        "id": rule.id, "pack": loaded.pack.id, "pack_version": loaded.pack.version, "edition": loaded.pack.edition,
        "kind": rule.kind, "point": point.id, "quantity": point.quantity, "unit": point.unit,
        "notice_after_us": _us(rule.notice_after_s),
        "violation_after_us": None if rule.violation_after_s is None else _us(rule.violation_after_s),
        "clear_after_us": _us(rule.clear_after_s),
        "unknown_after_us": _us(rule.unknown_after_s),
        "fresh_us": fresh_us if rule.fresh_for_s is None else _us(rule.fresh_for_s),
        "severity": rule.severity, "department": rule.department,
        "standard": basis.standard, "clause": basis.clause, "basis_edition": basis.edition,
        "effective_from": basis.effective_from, "effective_to": basis.effective_to or "",
        "verified": basis.verified, "source": basis.source,
        "title_zh": rule.title_zh, "title_en": rule.title_en, "do_zh": rule.do_zh, "do_en": rule.do_en,
        "renamed_from": point.renamed_from,
    }  # fmt: skip


def _numbers(
    rule: Rule, points: tuple[PointFacts, ...], permit: tuple[str, Mapping[str, Any]] | None
) -> dict[str, Any] | str:
    """The numbers of a rule at its points, or why it cannot judge there."""
    if isinstance(rule, StaleRule):
        return _silence(rule, points[0])
    own = points if isinstance(rule, SpreadRule) else points[:1]
    share = isinstance(rule, WindowRule) and rule.of == "share"
    if not share and (other := next((point for point in own if point.unit != rule.unit), None)):
        return f"its limit is in {rule.unit}, the point is in {other.unit}"
    if isinstance(rule, FlatRule):
        limit = f"moves by more than {rule.band} {rule.unit} within {rule.after_s:g} s"
        return {"after_us": _us(rule.after_s), "terms": {"band": rule.band}, "limit": limit}
    if isinstance(rule, SpreadRule):
        return _spread(rule, points)
    if isinstance(rule, ExposureRule):
        return _exposure(rule)
    if isinstance(rule, WindowRule):
        return _window(rule, points, permit)
    if isinstance(rule, RateRule):
        limit = f"≤ {rule.per_s} {rule.unit}/s"
        return {"per_s": rule.per_s, "window_us": _us(rule.window_s), "limit": limit}
    return _limit(rule, permit)


def _window(
    rule: WindowRule, points: tuple[PointFacts, ...], permit: tuple[str, Mapping[str, Any]] | None
) -> dict[str, Any] | str:
    """The limits are those of ``limit``; how readings are taken together stands in ``terms``."""
    if rule.of == "flow-mean" and len(points) < 2:
        return "no flow is measured in its zone"
    if (rule.of == "share" or rule.valid_share) and not points[0].interval_us:
        return "nobody knows how many readings are due: give the device expect_every_s"
    numbers = _limit(rule, permit)
    if isinstance(numbers, str):
        return numbers
    terms: dict[str, str | int] = {"fn": rule.of}
    terms |= {"percentile": _plain(rule.percentile)} if rule.percentile is not None else {}
    terms |= {"valid_share": _plain(rule.valid_share)} if rule.valid_share else {}
    terms |= {"period": rule.period, "late_us": _us(rule.late_s)} if rule.period else {}
    terms |= {"interval_us": points[0].interval_us} if points[0].interval_us else {}
    length_us = _us(rule.window_s or 0.0)
    terms |= {"step_us": _step_us(length_us)} if length_us else {}
    length = rule.period or f"{rule.window_s:g} s"
    name = f"{rule.percentile:g}th percentile" if rule.percentile is not None else rule.of
    others = tuple(point.id for point in points[1:])
    limit = f"{numbers['limit']} ({name}, {length})"
    return numbers | {"terms": terms, "window_us": length_us, "others": others, "limit": limit}


def _exposure(rule: ExposureRule) -> dict[str, Any]:
    degrees = rule.most_degree_minutes is not None
    most = rule.most_degree_minutes or rule.most_minutes
    window_us = _us(rule.window_s)
    terms: dict[str, str | int] = {"of": "degree-minutes" if degrees else "minutes", "step_us": _step_us(window_us)}
    terms |= {"beyond_low": rule.low} if rule.low is not None else {}
    terms |= {"beyond_high": rule.high} if rule.high is not None else {}
    terms |= {"unknown_excess": rule.unknown_excess} if rule.unknown_excess is not None else {}
    beyond = " or ".join([*([f"< {rule.low}"] if rule.low is not None else []), *([f"> {rule.high}"] if rule.high is not None else [])])
    limit = f"≤ {most} {f'{rule.unit}·min' if degrees else 'min'} {beyond} {rule.unit} in {rule.window_s / 3600:g} h"
    return {"high": most, "terms": terms, "window_us": window_us, "limit": limit}


def _step_us(window_us: int) -> int:
    """A window moves in sixtieths of itself, and in no less than a second."""
    return max(window_us // 60, 1_000_000)


def _plain(number: float) -> str:
    return _text(Decimal(repr(number)))


def _spread(rule: SpreadRule, points: tuple[PointFacts, ...]) -> dict[str, Any] | str:
    if len(points) < 2:
        return "there is one such point here: nothing to compare it with"
    others = tuple(point.id for point in points[1:])
    limit = f"≤ {rule.most} {rule.unit} apart"
    return {"high": rule.most, "clear_high": rule.clear_at, "others": others, "limit": limit}


def _silence(rule: StaleRule, point: PointFacts) -> dict[str, Any] | str:
    after_us = _us(rule.after_s or 0.0)
    if rule.factor is not None:
        if not point.interval_us:
            return "nobody knows when the next reading is due: give the device expect_every_s"
        after_us = max(after_us, round(point.interval_us * rule.factor))
    return {"after_us": after_us, "limit": f"≤ {Decimal(after_us) / 1_000_000:f} s"}


def _limit(rule: Limited, permit: tuple[str, Mapping[str, Any]] | None) -> dict[str, Any] | str:
    """The pack's limits, each replaced by the permit's where the outlet has one; hysteresis keeps its width."""
    low, high = rule.low, rule.high
    clear_low, clear_high = rule.clear
    basis: dict[str, Any] = {}
    if rule.permit is not None and permit is not None:
        outlet_id, outlet = permit
        permit_low = outlet.get(rule.permit.low) if rule.permit.low else None
        permit_high = outlet.get(rule.permit.high) if rule.permit.high else None
        low, clear_low = _moved(low, clear_low, permit_low)
        high, clear_high = _moved(high, clear_high, permit_high)
        if permit_low is not None or permit_high is not None:
            basis = _permit_basis(outlet_id, outlet)
            try:
                check_limits(low, high, clear_low, clear_high)
            except ValueError as error:
                key = f"outlets.{outlet_id}.{rule.permit.low or rule.permit.high}"
                raise ConfigError(f"rule '{rule.id}': {error}", key=key, code="not-permitted") from error
    if low is None and high is None:
        return "there is no limit: the outlet's permit names none, and no standard we know does"
    words = [f"≥ {low}"] if low is not None else []
    words += [f"≤ {high}"] if high is not None else []
    limit = f"{', '.join(words)} {rule.unit}"
    return {"low": low, "high": high, "clear_low": clear_low, "clear_high": clear_high, "limit": limit} | basis


def _moved(limit: str | None, clear: str | None, permit: object) -> tuple[str | None, str | None]:
    """A limit and its ``clear_at`` after the permit's number took its place."""
    if permit is None:
        return limit, clear
    number = Decimal(str(permit))
    if limit is None or clear is None:
        return _text(number), None
    return _text(number), _text(number + Decimal(clear) - Decimal(limit))


def _permit_basis(outlet_id: str, outlet: Mapping[str, Any]) -> dict[str, Any]:
    """A permit is the site's word until its document is checked: unverified."""
    date = str(outlet.get("permit_date") or "unknown")
    return {
        "outlet": outlet_id, "standard": "排污许可证 discharge permit", "clause": str(outlet.get("permit") or "unknown"),
        "basis_edition": date, "effective_from": date, "effective_to": "", "verified": "no",
        "source": f"site configuration, outlets.{outlet_id}",
    }  # fmt: skip


def _text(number: Decimal) -> str:
    return format(number.normalize() + 0, "f")


def _us(seconds: float) -> int:
    return round(seconds * 1_000_000)
