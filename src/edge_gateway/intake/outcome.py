"""A step of a rule as the entries that tell it; knows no journal and no clock: live, replayed and recomputed steps are told alike."""

from __future__ import annotations

from typing import Any

from edge_gateway.intake.state import State
from edge_gateway.rules.base import ENDED, FIRED, PASSED, UNDECIDED, Step
from edge_gateway.violations import Moment, causes

#: What rules tell that is no step of a violation, as events.
NO_CONDITIONS = {UNDECIDED: "stayed-undecided", PASSED: "cycle-passed", FIRED: FIRED, ENDED: ENDED}


def outcome(state: State, step: Step, at: Moment) -> tuple[str, list[dict[str, Any]]]:
    """Kind and bodies of the entries at ``at``; violations move. ``at_rule_us``, in the first, is the step's own rule time."""
    if (told := NO_CONDITIONS.get(step.step)) is None:
        bodies = state.violations.apply(step, state.rule(step.rule, step.point), at)
        bodies = causes.told(state.violations, state.causes, step, bodies, at)
        bodies[0] = bodies[0] | {"at_rule_us": step.rule_us}
        return "violation", bodies
    body = {"event": told, "rule": step.rule, "point": step.point, "since_wall_us": step.first.wall_us, **(step.detail or {})}
    if step.step in (FIRED, ENDED):
        body |= {"minutes": step.minutes, "peak": step.peak}
    return "event", [body | {"at_rule_us": step.rule_us}]
