"""What is known now of the items of the phase that runs, with the readings that say so; begins no phase and signs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_gateway.intake.state import State
from edge_gateway.phases import BEYOND, DONE, OPEN, UNKNOWN, Finding, Item, items_of
from edge_gateway.reading import FRESH_INTERVALS, Batch
from edge_gateway.traceability.asked import FULL, LACKING, NOTHING, finding, required
from edge_gateway.traceability.model import civil_day


def look(state: State, latest: Mapping[str, Batch], now: tuple[int, int]) -> list[dict[str, Any]]:
    """The items of the phase that runs, each with its state and evidence. ``latest``: the newest batch of each group; ``now``: monotonic and wall time."""
    items = items_of(state.resolved.get("phases", {}))
    return state.phases.look(items, {item.id: _both(state, latest, item, now) for item in items if item.automatic and item.phase == state.phases.phase})


def _both(state: State, latest: Mapping[str, Batch], item: Item, now: tuple[int, int]) -> Finding:
    """What rules and records say of an item together: the worse of both."""
    found = [_finding(state, latest, item.rules, now[0])] if item.rules else []
    found += [_of_records(state, check, now[1]) for check in item.records]
    states = [each.state for each in found]
    worst = next(each for each in (BEYOND, UNKNOWN, OPEN, DONE) if each in states)
    return Finding(state=worst, evidence=[one for each in found for one in each.evidence])


def _of_records(state: State, check: str, wall_us: int) -> Finding:
    """What the records of lots say. Where there are none of the kind, a person says so."""
    timezone = str(state.resolved.get("site", {}).get("timezone") or "Asia/Shanghai")
    today = civil_day(timezone, wall_us)
    verdict, told = finding(check, state.ledger, required(state.resolved.get("records", {}), today), today, timezone)
    evidence = [each | {"check": check, "state": BEYOND if each["lacking"] else DONE} for each in told]
    return Finding(state={FULL: DONE, LACKING: BEYOND, NOTHING: OPEN}[verdict], evidence=evidence)


def _finding(state: State, latest: Mapping[str, Batch], rules: tuple[str, ...], mono_us: int) -> Finding:
    """What rules say now, at each of their points; a rule that is disarmed speaks by its shadow."""
    evidence = [_evidence(state, latest, rule.id, rule.point, mono_us) for rule in state.rules() if rule.id in rules]
    states = {each["state"] for each in evidence}
    verdict = BEYOND if BEYOND in states else UNKNOWN if UNKNOWN in states or not evidence else DONE
    return Finding(state=verdict, evidence=sorted(evidence, key=lambda each: (each["rule"], each["point"])))


def _evidence(state: State, latest: Mapping[str, Batch], rule: str, point: str, mono_us: int) -> dict[str, Any]:
    told: dict[str, Any] = {"rule": rule, "point": point, "state": UNKNOWN, "value": None, "wall_us": None}
    condition = state.engine.condition(rule, point)
    open_ = (r for r in state.violations.records() if (r["rule"], r["point"]) == (rule, point) and r["condition"] != "recovered")
    for batch in latest.values():
        if point in batch.group.points:
            column = batch.group.points.index(point)
            value, quality = batch.values[column], "good" if batch.quality is None else batch.quality[column]
            fresh = not batch.group.interval_us or mono_us - batch.mono_us <= FRESH_INTERVALS * batch.group.interval_us
            if value is not None and fresh and not quality.startswith("bad"):
                told |= {"value": value, "wall_us": batch.wall_us, "state": DONE if condition is True else UNKNOWN}
    if condition is False or any(open_):
        told["state"] = BEYOND
    return told
