"""Why a rule fired at a point or did not, out of the record: its steps, its readings in stretches, and what it was compared with.

Decides nothing: steps are those that the record holds; stretches only say on which side of the limit readings lay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from edge_gateway.calibration import Calibrations
from edge_gateway.errors import GatewayError, JournalDamaged
from edge_gateway.history.record import AtRest, Lookback, Row
from edge_gateway.record.entry import decode
from edge_gateway.rules.base import BoundRule, each_rule
from edge_gateway.rules.calendar import day_of
from edge_gateway.rules.guard import GUARD, guarded
from edge_gateway.toml_errors import did_you_mean

#: Entries that say what is configured; an entry's kind stands at its beginning.
_CONFIGURED = (b'"kind":"config"', b'"kind":"snapshot"')
_CALIBRATION = b'"kind":"calibration"'

BEYOND, WITHIN, UNKNOWN, SEEN = "beyond", "within", "unknown", "seen"


@dataclass(slots=True)
class Stretch:
    """Readings of one point in a row on one side of the limit. Times in µs; ``least`` and ``most`` of the known values."""

    point: str
    side: str
    since_us: int
    until_us: int
    count: int = 1
    least: float | None = None
    most: float | None = None


@dataclass(slots=True)
class Explained:
    """What the record says of a rule at a point in a period."""

    rule: BoundRule
    stretches: list[Stretch] = field(default_factory=list)
    #: (time, what, the entry): steps of violations, and events of the rule
    steps: list[tuple[int, str, dict[str, Any]]] = field(default_factory=list)
    #: the reasons for which it was not armed at the end of the period
    not_armed: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    #: the calibration that its guard band took, at the end of the period
    calibration: Mapping[str, Any] | None = None

    @property
    def beyond_us(self) -> int:
        """The longest stretch beyond the limit, to the first reading that was not."""
        found, began = 0, None
        for each in (each for each in self.stretches if each.point == self.rule.point):
            if each.side == BEYOND:
                began = each.since_us if began is None else began
                found = max(found, each.until_us - began)
            elif each.side == WITHIN and began is not None:
                found, began = max(found, each.since_us - began), None
        return found

    def count(self, side: str) -> int:
        """Readings of its own point on one side."""
        return sum(each.count for each in self.stretches if each.side == side and each.point == self.rule.point)


class Kept(AtRest, Protocol):
    """A record with the texts that its entries name."""

    def text(self, sha256: str) -> bytes: ...


def explain(record: Kept, rule: str, point: str, period: tuple[int, int]) -> list[Explained]:
    """For each point at which the rule judged in the configuration in force at the end of ``period`` (µs), or for ``point`` only.

    Raises GatewayError when no such rule judged there, with the reason as far as the record knows it.
    """
    lookback, calibrations = Lookback(record), Calibrations()
    config, told, unarmed = _told(lookback, rule, period[1], lambda entry: _calibrated(record, calibrations, entry))
    bound = [BoundRule.from_config(each) for each in each_rule(config.get("rules", [])) if each["id"] == rule]
    bound = [each for each in bound if point in ("", each.point)]
    if not bound:
        raise _nothing(config, rule, point)
    found = [_with_band(each, calibrations, day_of(period[1])) for each in bound]
    names = frozenset(name for each in bound for name in (each.point, *each.others))
    for row in lookback.rows(*period, names):
        for each in found:
            if row.point in (each.rule.point, *each.rule.others):
                _add(each, row)
    for each in found:
        each.steps = [step for step in told if step[2].get("point") == each.rule.point and period[0] <= step[0] < period[1]]
        each.not_armed = tuple(sorted(why for why, rules in unarmed.items() if rule in rules))
        each.damaged = tuple(lookback.damaged)
    return found


def _with_band(rule: BoundRule, calibrations: Calibrations, day: str) -> Explained:
    about = calibrations.valid((rule.point, rule.renamed_from), rule.unit, day) if GUARD in rule.terms else None
    judged = guarded(rule, None if about is None else float(about["uncertainty"]))
    return Explained(judged, calibration=None if judged is rule else about)


def _calibrated(record: Kept, calibrations: Calibrations, entry: Mapping[str, Any]) -> None:
    """A calibration, or a snapshot that remembers those before it."""
    if entry["kind"] == "calibration":
        calibrations.replay(entry)
        return
    try:
        state = orjson.loads(record.text(str(entry["state_text"]))) if "state_text" in entry else entry.get("state") or {}
    except (KeyError, JournalDamaged):
        return
    if known := state.get("calibrations"):
        calibrations.restore(known)


def _told(
    lookback: Lookback, rule: str, until_us: int, calibrated: Callable[[Mapping[str, Any]], None]
) -> tuple[Mapping[str, Any], list[tuple[int, str, dict[str, Any]]], Mapping[str, list[str]]]:
    """The configuration in force until then, the rule's steps, and what was not armed last."""
    named, at, told = f'"rule":"{rule}"'.encode(), None, []
    unarmed: Mapping[str, list[str]] = {}
    for position, data in lookback.entries():
        if named not in data and b"rules-not-armed" not in data and not any(kind in data[:96] for kind in (*_CONFIGURED, _CALIBRATION)):
            continue
        entry = decode(data)
        kind, wall_us = entry["kind"], int(entry["wall_us"])
        if wall_us >= until_us:
            continue
        if kind in ("snapshot", "calibration"):
            calibrated(entry)
        if kind == "config":
            at = position.epoch, int(entry["seq"])
        elif kind == "snapshot" and entry.get("config"):
            at = position.epoch, int(entry["config"]["config_seq"])
        elif kind == "violation" and entry["rule"] == rule:
            told.append((wall_us, str(entry["step"]), entry))
        elif kind == "event" and entry.get("event") == "rules-not-armed":
            unarmed = entry["rules"]
        elif kind == "event" and entry.get("rule") == rule:
            told.append((wall_us, str(entry["event"]), entry))
    return ({} if at is None else lookback.record.config(*at)), told, unarmed


def _nothing(config: Mapping[str, Any], rule: str, point: str) -> GatewayError:
    known = sorted({each["id"] for each in config.get("rules", [])})
    if not config:
        return GatewayError("the record has no configuration before that time", hint="say a later time")
    if rule in config.get("not_monitored", []):
        return GatewayError(f"rule '{rule}' judged nothing here: it was not monitored, which is not compliance", hint="`edge-gateway rules check` says why")
    if rule in known:
        return GatewayError(f"rule '{rule}' does not judge at point '{point}'", hint="`edge-gateway rules check` shows where it does")
    return GatewayError(f"no rule '{rule}' was in force then", hint=did_you_mean(rule, known))


def _add(found: Explained, row: Row) -> None:
    rule = found.rule
    value = float(row.value) if isinstance(row.value, int | float) and not row.quality.startswith("bad") else None
    side = UNKNOWN if value is None else _side(rule, value) if row.point == rule.point and rule.kind == "limit" else SEEN
    last = next((each for each in reversed(found.stretches) if each.point == row.point), None)
    if last is None or last.side != side:
        found.stretches.append(Stretch(row.point, side, row.time_us, row.time_us, 1, value, value))
        return
    last.until_us, last.count = row.time_us, last.count + 1
    if value is not None:
        last.least = value if last.least is None else min(last.least, value)
        last.most = value if last.most is None else max(last.most, value)


def _side(rule: BoundRule, value: float) -> str:
    low = rule.low is None or value >= float(rule.low)
    high = rule.high is None or value <= float(rule.high)
    return WITHIN if low and high else BEYOND


def verdict(found: Explained) -> tuple[str, Mapping[str, Any]]:
    """Which sentence is true of it, and its figures: ``violated``, ``would``, ``noticed``, ``not-armed``, ``silent``, ``unknown``, ``short``, ``within``, ``several``."""
    rule = found.rule
    words: Iterable[str] = [what for _, what, _ in found.steps]
    figures = {
        "beyond_min": round(found.beyond_us / 60e6, 1), "beyond": found.count(BEYOND), "known": found.count(BEYOND) + found.count(WITHIN),
        "delay_min": None if rule.violation_after_us is None else round(rule.violation_after_us / 60e6, 1), "why": ", ".join(found.not_armed),
    }  # fmt: skip
    for what, name in (("violated", "violated"), ("would-have-fired", "would"), ("notice", "noticed")):
        if what in words:
            return name, figures
    if found.not_armed:
        return "not-armed", figures
    if not any(each.point == rule.point for each in found.stretches):
        return "silent", figures
    if rule.kind != "limit":
        return "several", figures
    if not figures["known"]:
        return "unknown", figures
    return ("short" if found.count(BEYOND) else "within"), figures
