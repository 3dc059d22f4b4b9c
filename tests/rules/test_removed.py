"""What is remembered of removed rules: what goes on beyond its limit, and no more than is bounded."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edge_gateway.rules import removed
from edge_gateway.rules.base import BoundRule
from edge_gateway.rules.engine import Engine

S = 1_000_000
RULE = BoundRule(
    id="warm", pack="t", pack_version="1", edition="1", kind="limit", point="p0", high="10", clear_high="9", notice_after_us=600 * S, violation_after_us=1200 * S,
)  # fmt: skip


def marked(points: int, value: float) -> dict[str, Any]:
    """The state of so many points at a value, each marked before."""
    engine = Engine([replace(RULE, point=f"p{number}") for number in range(points)])
    engine.stand(0, 0, "mark", {("warm", f"p{number}"): "M-1" for number in range(points)})
    for number in range(points):
        engine.judge((number + 1) * S, 0, (f"p{number}",), [value], None)
    return engine.snapshot()


def left(state: dict[str, Any], rounds: int = 1) -> dict[str, Any]:
    """What an engine without these rules remembers after so many reloads."""
    for _ in range(rounds):
        engine = Engine([replace(RULE, id="other")])
        engine.restore(state)
        engine.tick(10_000 * S, 0)
        state = engine.snapshot()
    return state


def test_a_removed_rule_that_was_within_its_limit_is_forgotten_also_why_it_was_not_armed() -> None:
    assert set(marked(3, 5.0)["stood"]) == {"warm/p0", "warm/p1", "warm/p2"}
    assert "stood" not in left(marked(3, 5.0))


def test_a_shadow_s_excursion_goes_on_when_its_rule_comes_back() -> None:
    state = left(marked(1, 12.0), rounds=3)
    assert set(state["stood"]) == {"warm/p0"}
    engine = Engine([RULE])
    engine.restore(state)
    fired = engine.judge(20_000 * S, 0, ("p0",), [12.0], None)
    assert [(step.step, step.first.rule_us) for step in fired] == [("would-have-fired", S)], "it began before the rule was removed"


def test_what_nobody_was_told_of_is_bounded_the_newest_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removed, "MOST_REMEMBERED", 3)
    state = left(marked(8, 12.0))
    assert set(state["stood"]) == {"warm/p5", "warm/p6", "warm/p7"}
    pending = Engine([replace(RULE, point=f"p{number}") for number in range(8)])
    for number in range(8):
        pending.judge((number + 1) * S, 0, (f"p{number}",), [12.0], None)
    assert set(left(pending.snapshot())["rules"]) == {"warm/p5", "warm/p6", "warm/p7"}


def test_what_people_know_of_is_never_forgotten_until_it_is_withdrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removed, "MOST_REMEMBERED", 0)
    engine = Engine([RULE])
    engine.judge(S, 0, ("p0",), [12.0], None)
    assert [step.step for step in engine.judge(1_300 * S, 0, ("p0",), [12.0], None)] == ["violated"]
    engine.stand(1_301 * S, 0, "mark", {("warm", "p0"): "M-1"})
    state = left(engine.snapshot(), rounds=2)
    assert (set(state["rules"]), set(state["stood"])) == ({"warm/p0"}, {"warm/p0"})
    withdrawn = Engine([])
    withdrawn.restore(state)
    withdrawn.rearm("warm", "p0")
    assert (withdrawn.snapshot()["rules"], withdrawn.snapshot().get("stood")) == ({}, None)
