"""A rule whose kind changes under one name: what is open goes on, what the other kind measured does not, and no restore stops."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from itertools import permutations

import pytest

from edge_gateway.rules.base import BoundRule
from edge_gateway.rules.engine import Engine
from tests.rules.traces import course, rules

KINDS = ("limit", "rate", "stale", "flat", "spread", "window", "exposure", "descent")


def _one_of(kind: str) -> BoundRule:
    return next(replace(rule, id="r", point="a") for seed in range(500) for rule in rules(random.Random(seed)) if rule.kind == kind and "a" not in rule.others)


@pytest.mark.parametrize(("before", "after"), list(permutations(KINDS, 2)), ids=lambda kind: kind)
def test_any_kind_may_follow_any_other(before: str, after: str) -> None:
    """N = 12 courses each: the state of every instant is taken over by the other kind, which then judges on and gives a state of its own."""
    old, new = _one_of(before), _one_of(after)
    for seed in range(12):
        engine = Engine([old])
        calls, _ = course(random.Random(seed), Engine([old]))
        for n, call in enumerate(calls):
            call.make(engine)
            if n % 7 == 3:
                told = json.loads(json.dumps(engine.snapshot()))
                follower = Engine([new])
                follower.restore(told)
                open_before, phase = told["rules"].get("r/a", {}).get("phase", 0), follower._tracks["r/a"].phase
                assert phase == open_before or (open_before == 1 and phase == 0)
                for later in calls[n + 1 :]:
                    later.make(follower)
                json.dumps(follower.snapshot())


def test_the_memory_of_the_same_kind_is_taken_over() -> None:
    rule = _one_of("window")
    engine, again = Engine([rule]), Engine([rule])
    for call in course(random.Random(1), Engine([rule]))[0]:
        call.make(engine)
    again.restore(json.loads(json.dumps(engine.snapshot())))
    assert json.dumps(again.snapshot(), sort_keys=True) == json.dumps(engine.snapshot(), sort_keys=True)
    assert engine.snapshot()["rules"]["r/a"]["kind"] == "window"
