"""What is remembered of rules and points that are not there any more, until they come back: bounded; pure, judges nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_gateway.rules.track import IDLE, NOTICED

#: Excursions of which nobody was told yet, and of shadows, that are remembered, the ones that began last. What people know of is never forgotten.
MOST_REMEMBERED = 1_000
_States = dict[str, dict[str, Any]]


def remembered(left: Mapping[str, dict[str, Any]], stood: Mapping[str, dict[str, Any]]) -> tuple[_States, _States]:
    """Of the state that no rule claims, and of why such a rule was not armed, what goes on mattering: something beyond its limit goes on in it.

    ``left`` and ``stood`` as ``Engine.snapshot`` has them, by ``<rule>/<point>``; in their order.
    """
    going = {key: state for key, state in left.items() if state.get("phase", IDLE) != IDLE}
    told = {key for key, state in going.items() if state["phase"] >= NOTICED}
    began = {key: _began(state) for key, state in going.items() if key not in told}
    for key, each in stood.items():
        shadow = each["shadow"] or {}
        if key not in told and shadow.get("phase", IDLE) != IDLE:
            began[key] = max(began.get(key, 0), _began(shadow))
    kept = told | set(sorted(began, key=lambda key: (-began[key], key))[:MOST_REMEMBERED])
    return {key: state for key, state in going.items() if key in kept}, {key: each for key, each in stood.items() if key in kept}


def _began(state: Mapping[str, Any]) -> int:
    return int(state["first"][0])
