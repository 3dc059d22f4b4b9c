"""A rule's numbers at its points, kind by kind, with limits from the outlet's permit; pure, judges no reading."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import orjson

from edge_gateway.errors import ConfigError
from edge_gateway.rules.facts import PointFacts
from edge_gateway.rules.guard import BAND, GUARD
from edge_gateway.rules.model_base import Limited, check_limits
from edge_gateway.rules.model_kinds import (
    DescentRule,
    ExposureRule,
    FlatRule,
    LimitRule,
    RateRule,
    ReadingRule,
    SequenceRule,
    SpreadRule,
    StaleRule,
    WindowRule,
)

#: Marks an outlet whose permit has ended, for whoever takes its figures.
LAPSED = "lapsed"


def numbers(
    rule: ReadingRule, points: tuple[PointFacts, ...], permit: tuple[str, Mapping[str, Any]] | None, own: frozenset[str] = frozenset()
) -> dict[str, Any] | str:
    """The numbers of a rule at its points, or why it cannot judge there. ``own``: which of the rule's numbers are the site's own."""
    if isinstance(rule, StaleRule):
        return _silence(rule, points[0])
    if isinstance(rule, SequenceRule):
        return _sequence(rule, points)
    alike = points if isinstance(rule, SpreadRule) else points[:1]
    share = isinstance(rule, WindowRule) and rule.of == "share"
    if not share and (other := next((point for point in alike if point.unit != rule.unit), None)):
        return f"its limit is in {rule.unit}, the point is in {other.unit}"
    if isinstance(rule, FlatRule):
        limit = f"moves by more than {rule.band} {rule.unit} within {rule.after_s:g} s"
        return {"after_us": us(rule.after_s), "terms": {"band": rule.band}, "limit": limit}
    if isinstance(rule, SpreadRule):
        return _spread(rule, points)
    if isinstance(rule, ExposureRule):
        return _exposure(rule, points[0])
    if isinstance(rule, DescentRule):
        terms = {"start": rule.start, "to": rule.to, "rise": rule.rise, "within_us": us(rule.within_s)}
        return {"terms": terms, "limit": f"≤ {rule.to} {rule.unit} in {rule.within_s / 3600:g} h, rising by {rule.rise} {rule.unit} at most"}
    if isinstance(rule, WindowRule):
        return _window(rule, points, permit, own)
    if isinstance(rule, RateRule):
        limit = f"≤ {rule.per_s} {rule.unit}/s"
        return {"per_s": rule.per_s, "window_us": us(rule.window_s), "limit": limit}
    found = _limit(rule, permit, own)
    return found if isinstance(found, str) or not isinstance(rule, LimitRule) else found | _condition(rule, points)


def _condition(rule: LimitRule, points: tuple[PointFacts, ...]) -> dict[str, Any]:
    """What beside its value decides a limit: the probe's uncertainty, a contact of its zone."""
    terms: dict[str, str | int] = {}
    if rule.guard:
        terms |= {GUARD: 1} | ({BAND: points[0].uncertainty} if points[0].uncertainty else {})
    if rule.excuse is not None and len(points) > 1:
        rest_s = rule.excuse.most_s if rule.excuse.rest_s is None else rule.excuse.rest_s
        terms |= {"most_us": us(rule.excuse.most_s), "rest_us": us(rest_s)}
        terms["peak_high" if rule.high is not None else "peak_low"] = rule.excuse.peak
    return {"terms": terms, "others": tuple(point.id for point in points[1:])} if terms else {}


def _sequence(rule: SequenceRule, points: tuple[PointFacts, ...]) -> dict[str, Any] | str:
    plan = []
    for step in rule.step:
        at = next((n for n, point in enumerate(points) if point.quantity == step.quantity and point.unit == step.unit), None)
        if at is None:
            return f"step '{step.id}' needs a point with quantity {step.quantity} in {step.unit} in its zone"
        limits = {key: value for key, value in (("low", step.low), ("high", step.high)) if value is not None}
        plan.append({"id": step.id, "input": at, "least_us": us(step.least_s), **limits})
    terms = {"steps": orjson.dumps(plan).decode(), "gap_us": us(rule.gap_s), "within_us": us(rule.within_s)}
    limit = " → ".join(f"{step.id} {step.least_s:g} s" for step in rule.step)
    return {"terms": terms, "others": tuple(point.id for point in points[1:]), "limit": limit}


def _window(
    rule: WindowRule, points: tuple[PointFacts, ...], permit: tuple[str, Mapping[str, Any]] | None, own: frozenset[str]
) -> dict[str, Any] | str:
    """The limits are those of ``limit``; how readings are taken together stands in ``terms``."""
    if rule.of == "flow-mean" and len(points) < 2:
        return "no flow is measured in its zone"
    if (rule.of == "share" or rule.valid_share) and not points[0].interval_us:
        return "nobody knows how many readings are due: give the device expect_every_s"
    numbers = _limit(rule, permit, own)
    if isinstance(numbers, str):
        return numbers
    terms: dict[str, str | int] = {"fn": rule.of}
    terms |= {"percentile": _plain(rule.percentile)} if rule.percentile is not None else {}
    terms |= {"valid_share": _plain(rule.valid_share)} if rule.valid_share else {}
    terms |= {"period": rule.period} if rule.period else {}
    terms |= {"late_us": us(rule.late_s)} if rule.period or rule.late_s else {}
    terms |= {"interval_us": points[0].interval_us} if points[0].interval_us else {}
    length_us = us(rule.window_s or 0.0)
    terms |= {"step_us": _step_us(length_us)} if length_us else {}
    length = rule.period or f"{rule.window_s:g} s"
    name = f"{rule.percentile:g}th percentile" if rule.percentile is not None else rule.of
    others = tuple(point.id for point in points[1:])
    limit = f"{numbers['limit']} ({name}, {length})"
    return numbers | {"terms": terms, "window_us": length_us, "others": others, "limit": limit}


def _exposure(rule: ExposureRule, point: PointFacts) -> dict[str, Any]:
    degrees = rule.most_degree_minutes is not None
    most = rule.most_degree_minutes or rule.most_minutes
    window_us = us(rule.window_s)
    terms: dict[str, str | int] = {"of": "degree-minutes" if degrees else "minutes", "step_us": _step_us(window_us)}
    terms |= {"beyond_low": rule.low} if rule.low is not None else {}
    terms |= {"beyond_high": rule.high} if rule.high is not None else {}
    terms |= {"late_us": us(rule.late_s)} if rule.late_s and point.own_time else {}
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
    after_us = us(rule.after_s or 0.0)
    if rule.factor is not None:
        if not point.interval_us:
            return "nobody knows when the next reading is due: give the device expect_every_s"
        after_us = max(after_us, round(point.interval_us * rule.factor))
    return {"after_us": after_us, "limit": f"≤ {Decimal(after_us) / 1_000_000:f} s"}


def _limit(rule: Limited, permit: tuple[str, Mapping[str, Any]] | None, own: frozenset[str]) -> dict[str, Any] | str:
    """The pack's limits, each replaced by the permit's where the outlet has one; hysteresis keeps its width.

    A number of the site's own that is stricter than the permit's stays: it is the site's word to itself.
    """
    low, high = rule.low, rule.high
    clear_low, clear_high = rule.clear
    basis: dict[str, Any] = {}
    if rule.permit is not None and permit is not None:
        outlet_id, outlet = permit
        given_low, given_high = (outlet.get(key) if key else None for key in (rule.permit.low, rule.permit.high))
        permit_low, permit_high = _granted(rule, outlet, given_low, given_high)
        kept = _stricter(rule, own, permit_low, permit_high)
        permit_low, permit_high = (None if side in kept else given for side, given in (("low", permit_low), ("high", permit_high)))
        low, clear_low = _moved(low, clear_low, permit_low)
        high, clear_high = _moved(high, clear_high, permit_high)
        if permit_low is not None or permit_high is not None:
            basis = _permit_basis(outlet_id, outlet)
            try:
                check_limits(low, high, clear_low, clear_high)
            except ValueError as error:
                key = f"outlets.{outlet_id}.{rule.permit.low or rule.permit.high}"
                raise ConfigError(f"rule '{rule.id}': {error}", key=key, code="not-permitted") from error
        if kept:
            said = ", ".join(f"{side} {kept[side]}" for side in kept)
            basis |= {"outlet": outlet_id, "source": f"{basis.get('source', rule.basis.source)}; stricter than the permit's {said}"}
            if chinese := basis.get("source_zh", rule.basis.source_zh):
                basis["source_zh"] = f"{chinese}；严于许可证的 {said}"
        elif (permit_low, permit_high) != (given_low, given_high):
            why, why_zh = _lacks(outlet)
            basis = {"outlet": outlet_id, "source": f"{rule.basis.source}; the permit's looser figure is not applied: {why}"}
            if rule.basis.source_zh:
                basis["source_zh"] = f"{rule.basis.source_zh}；许可证中较宽的数值不适用：{why_zh}"
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


def lapsed(outlet: Mapping[str, Any], day: str) -> bool:
    """Whether a permit has ended before a civil day ("": nobody says which day it is)."""
    return bool(day) and "" < str(outlet.get("permit_until") or "") < day


def missing(outlet: Mapping[str, Any]) -> list[str]:
    """What a permit lacks to be the legal limit: number, dates, its document's hash, a second person."""
    return [key for key in ("permit", "permit_date", "permit_until", "document_sha256", "checked_by") if not outlet.get(key)]


def _legal(outlet: Mapping[str, Any]) -> bool:
    """A whole permit, in its days."""
    return not missing(outlet) and not outlet.get(LAPSED)


def _lacks(outlet: Mapping[str, Any]) -> tuple[str, str]:
    """Why a looser figure of a permit does not count, in English and Chinese."""
    if outlet.get(LAPSED):
        return f"it ended on {outlet['permit_until']}", f"许可证已于 {outlet['permit_until']} 到期"
    lacking = ", ".join(missing(outlet))
    return f"{lacking} missing", f"缺少 {lacking}"


def _granted(rule: Limited, outlet: Mapping[str, Any], low: object, high: object) -> tuple[object, object]:
    """The permit's figures as far as they count: a whole permit is the legal limit, looser or not; another one only tightens what is verified, one that has ended anything."""
    if _legal(outlet) or (rule.basis.verified == "no" and not outlet.get(LAPSED)):
        return low, high
    looser_low = low is not None and rule.low is not None and Decimal(str(low)) < Decimal(rule.low)
    looser_high = high is not None and rule.high is not None and Decimal(str(high)) > Decimal(rule.high)
    return (None if looser_low else low), (None if looser_high else high)


def _stricter(rule: Limited, own: frozenset[str], low: object, high: object) -> dict[str, str]:
    """The sides on which the site's own number is stricter than the permit's: side -> the permit's number."""
    found: dict[str, str] = {}
    if "low" in own and low is not None and rule.low is not None and Decimal(rule.low) > Decimal(str(low)):
        found["low"] = str(low)
    if "high" in own and high is not None and rule.high is not None and Decimal(rule.high) < Decimal(str(high)):
        found["high"] = str(high)
    return found


def _permit_basis(outlet_id: str, outlet: Mapping[str, Any]) -> dict[str, Any]:
    """A whole permit is the legal limit; another one is the site's word: unverified."""
    date, whole = str(outlet.get("permit_date") or "unknown"), not missing(outlet)
    ended, ended_zh = (f"; {_lacks(outlet)[0]}", f"；{_lacks(outlet)[1]}") if outlet.get(LAPSED) else ("", "")
    proof = f", document {outlet['document_sha256']}, to {outlet['permit_until']}, compared by {outlet['checked_by']}" if whole else ""
    proof_zh = f"，文件 {outlet['document_sha256']}，有效期至 {outlet['permit_until']}，核对人 {outlet['checked_by']}" if whole else ""
    return {
        "outlet": outlet_id, "standard": "排污许可证 discharge permit", "clause": str(outlet.get("permit") or "unknown"),
        "basis_edition": date, "effective_from": date, "effective_to": "", "verified": "primary" if _legal(outlet) else "no",
        "source": f"site configuration, outlets.{outlet_id}{proof}{ended}", "source_zh": f"站点配置 outlets.{outlet_id}{proof_zh}{ended_zh}",
    }  # fmt: skip


def _text(number: Decimal) -> str:
    return format(number.normalize() + 0, "f")


def us(seconds: float) -> int:
    """Seconds as µs."""
    return round(seconds * 1_000_000)
