"""Phases on their way into the record: what rules say of automatic items, a person's steps, then which rules are armed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edge_gateway.intake.loop import Intake
from edge_gateway.phases import BEYOND, DONE, UNKNOWN, Finding, Signer, items_of
from edge_gateway.reading import FRESH_INTERVALS


def look(intake: Intake, mono_us: int) -> list[dict[str, Any]]:
    """The items of the phase that runs, each with its state and evidence."""
    items = items_of(intake.state.resolved.get("phases", {}))
    return intake.state.phases.look(items, {item.id: _finding(intake, item.rules, mono_us) for item in items if item.rules})


async def sign_item(intake: Intake, item: str, who: Signer) -> dict[str, Any]:
    """Somebody signs an item. Durable on return. Raises PhaseRefused."""
    return await _step(intake, lambda seen, wall_us: intake.state.phases.sign(seen, item, who, wall_us))


async def next_phase(intake: Intake, who: Signer) -> dict[str, Any]:
    """The next phase begins. Durable on return. Raises PhaseRefused."""
    return await _step(intake, lambda seen, wall_us: intake.state.phases.next(seen, who, wall_us))


async def _step(intake: Intake, act: Callable[[list[dict[str, Any]], int], dict[str, Any]]) -> dict[str, Any]:
    async def step() -> object:
        _, stamp = await intake.moment()
        body = act(look(intake, stamp.mono_us), stamp.wall_us)
        seq = await intake.add("phase", body, stamp=stamp, urgent=True)
        await intake.stand(stamp)
        return body | {"seq": seq}

    result = await intake.command(step)
    return dict(result) if isinstance(result, Mapping) else {}


def _finding(intake: Intake, rules: tuple[str, ...], mono_us: int) -> Finding:
    """What rules say now, at each of their points; a rule that is disarmed speaks by its shadow."""
    evidence = [_evidence(intake, rule.id, rule.point, mono_us) for rule in intake.state.rules() if rule.id in rules]
    states = {each["state"] for each in evidence}
    state = BEYOND if BEYOND in states else UNKNOWN if UNKNOWN in states or not evidence else DONE
    return Finding(state=state, evidence=sorted(evidence, key=lambda each: (each["rule"], each["point"])))


def _evidence(intake: Intake, rule: str, point: str, mono_us: int) -> dict[str, Any]:
    told: dict[str, Any] = {"rule": rule, "point": point, "state": UNKNOWN, "value": None, "wall_us": None}
    condition = intake.state.engine.condition(rule, point)
    open_ = (r for r in intake.state.violations.records() if (r["rule"], r["point"]) == (rule, point) and r["condition"] != "recovered")
    for batch in intake.latest.values():
        if point in batch.group.points:
            column = batch.group.points.index(point)
            value, quality = batch.values[column], "good" if batch.quality is None else batch.quality[column]
            fresh = not batch.group.interval_us or mono_us - batch.mono_us <= FRESH_INTERVALS * batch.group.interval_us
            if value is not None and fresh and not quality.startswith("bad"):
                told |= {"value": value, "wall_us": batch.wall_us, "state": DONE if condition is True else UNKNOWN}
    if condition is False or any(open_):
        told["state"] = BEYOND
    return told
