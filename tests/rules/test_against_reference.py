"""Engine against an independent reference model on random traces; restarts everywhere; planted faults must be caught."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_gateway.rules import engine as engine_module
from edge_gateway.rules import plan as plan_module
from edge_gateway.rules.base import BoundRule, First, Step
from edge_gateway.rules.cases import load_cases, run_case
from edge_gateway.rules.engine import Engine
from edge_gateway.rules.kinds import RateTrack, StaleTrack
from edge_gateway.rules.load import load_pack
from edge_gateway.rules.plan import Plan
from edge_gateway.rules.track import BROKEN, IDLE, Track

from .traces import Call, S, course, differences, expected, rules, through_json, told

#: Seeds to try; the long form is TRACES=10000.
TRACES = int(os.environ.get("TRACES", "1200"))
RULES = Path(__file__).resolve().parents[2] / "rules"


def test_the_engine_agrees_with_the_reference_on_random_traces() -> None:
    found = [difference for seed in range(TRACES) for difference in differences(seed)]
    assert not found, found[0]


def test_the_traces_reach_every_step_of_every_kind() -> None:
    seen = set()
    for seed in range(300):
        rng = random.Random(seed)
        made = rules(rng)
        kinds = {(rule.id, rule.point): rule.kind for rule in made}
        seen |= {(kinds[s.rule, s.point], s.step) for s in course(rng, Engine(made))[1]}
    timed = {"notice", "violated", "recovered", "cancelled"}
    wanted = {(kind, step) for kind in ("limit", "rate", "flat", "spread") for step in timed | {"unknown", "active"}}
    assert seen == wanted | {(kind, step) for kind in ("stale", "window", "exposure") for step in timed} | {
        ("descent", step) for step in timed | {"unknown", "active"}
    } | {(kind, "undecided") for kind in ("limit", "window", "exposure")}


@pytest.mark.parametrize("seed", range(120))
def test_a_restart_before_every_call_changes_nothing(seed: int) -> None:
    rng = random.Random(seed)
    made = rules(rng)
    calls, steps = course(rng, Engine(made))
    engine = Engine(made)
    again: list[Step] = []
    for call in calls:
        engine = through_json(engine, made)
        again += call.make(engine)
    assert again == steps


@pytest.mark.parametrize("seed", range(120))
def test_an_old_snapshot_and_the_entries_after_it_give_the_present_state(seed: int) -> None:
    rng = random.Random(seed)
    made = rules(rng)
    engine = Engine(made)
    calls, _ = course(rng, engine)
    cut = rng.randrange(len(calls) or 1)
    first = Engine(made)
    for call in calls[:cut]:
        call.make(first)
    second = through_json(first, made)
    for call in calls[cut:]:
        call.make(second)
    assert json.dumps(second.snapshot(), sort_keys=True) == json.dumps(engine.snapshot(), sort_keys=True)


@pytest.mark.parametrize("seed", range(120))
def test_being_asked_only_when_due_misses_nothing(seed: int) -> None:
    assert not _missed(seed)


def _missed(seed: int) -> bool:
    """Whether an engine ticked at ``due_us`` tells other steps than the reference that looks every second."""
    rng = random.Random(seed)
    made = rules(rng)
    engine, steps, calls = Engine(made), list[Step](), list[Call]()
    loss = rng.choice([0.1, 0.5])
    for second in range(400):
        at = second * S
        if second % 10 == 0 and rng.random() > loss:
            values: list[Any] = [rng.choice([5.0, 11.0, -1.0]), rng.choice([5.0, 9.5, None])]
            calls.append(Call(at, ("a", "b"), values, ["good", "good"] if rng.random() < 0.3 else None))
            steps += calls[-1].make(engine)
        calls.append(Call(at))
        if (due := engine.due_us()) is not None and due <= at:
            steps += engine.tick(at, at)
    steps += engine.tick(399 * S, 399 * S)  # the last instant of a rule over several points is over
    return any(told(steps, rule) != expected(rule, calls) for rule in made)


def test_an_engine_that_forgets_to_watch_the_silent_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Engine, "_unwatch", lambda self, plan: setattr(plan, "queued_us", None))
    assert any(_missed(seed) for seed in range(50))


@pytest.mark.parametrize("seed", range(1000))
def test_power_cycling_and_reloading_never_dodge_a_violation(seed: int) -> None:
    """Whatever is switched off and when: one violation, with the right start, at the first chance after the delay."""
    rng = random.Random(seed)
    delay = 60 * S
    made = [BoundRule(id="r", pack="t", pack_version="1", edition="1", kind="limit", point="a", high="10",
                      violation_after_us=delay, fresh_us=30 * S)]  # fmt: skip
    engine = Engine(made)
    begin = rng.randint(0, 30)
    now, steps = 0, list[Step]()
    chance = None
    while now < 300:
        beyond = now >= begin
        value: Any = None if rng.random() < 0.2 else 11.0 if beyond else 5.0
        steps += Call(now * S, ("a", "b"), [value, 1.0], ["bad:frame" if value is None else "good", "good"]).make(
            engine
        )
        starts = [s.first.rule_us for s in steps]
        if value == 11.0 and starts and chance is None and now * S - starts[0] >= delay:
            chance = now
        if rng.random() < 0.3:  # kill -9, power cut, SIGHUP: all go through the state
            engine = through_json(engine, made)
            now += rng.choice([0, 1, 50, 61])
        steps += engine.tick(now * S, now * S)
        now += rng.choice([1, 7, 10])
    violated = [s for s in steps if s.step == "violated"]
    assert len(violated) == 1
    assert violated[0].first.rule_us == steps[0].first.rule_us
    assert chance is None or violated[0].rule_us <= chance * S
    assert violated[0].rule_us - violated[0].first.rule_us >= delay


# --- planted faults: each must be found by the random traces, and by the packs' own traces or cases ---------------


def unknown_clears(self: Track, rule_us: int, wall_us: int) -> None:
    self.reset()


def unknown_resets_the_delay(self: Track, rule_us: int, wall_us: int) -> Step | None:
    if self.phase != IDLE:
        self.first = First(rule_us=rule_us, wall_us=wall_us, value=self.first.value)
    return _unknown(self, rule_us, wall_us)


def unknown_fires(self: Track, rule_us: int, wall_us: int) -> Step | None:
    return _unknown(self, rule_us, wall_us) or (self._advance(rule_us, wall_us) if self.phase != IDLE else None)


def unknown_resets_the_clearing(self: Track, rule_us: int, wall_us: int) -> Step | None:
    self.clear_us = None
    return _unknown(self, rule_us, wall_us)


def tick_fires_on_a_stale_reading(self: Track, rule_us: int, wall_us: int) -> Step | None:
    return self._advance(rule_us, wall_us) if self.offends else None


def due_forgets_freshness(self: Track) -> int | None:
    if not self.offends or self.phase == IDLE or self.phase == BROKEN:
        return None
    after_us = self.notice_after_us if self.phase == 1 else self.violation_after_us
    due_us = None if after_us is None else self.first.rule_us + after_us
    return due_us if due_us is None or due_us > self.last_us else None


def dead_band_clears(self: Track, value: float, rule_us: int, wall_us: int) -> Step | None:
    self.clear_low, self.clear_high = self.low, self.high
    return _within(self, value, rule_us, wall_us)


def delay_counts_from_the_notice(self: Track, rule_us: int, wall_us: int) -> Step | None:
    step = _advance(self, rule_us, wall_us)
    if step is not None and step.step == "notice":
        self.first = replace(self.first, rule_us=rule_us)
    return step


def state_forgets_the_start(self: Track) -> dict[str, Any] | None:
    state = _state(self)
    return None if state is None else {**state, "first": [state["last"][0], *state["first"][1:]]}


def grace_every_time(self: StaleTrack, seen_us: int, seen_wall_us: int, rule_us: int, wall_us: int) -> Step | None:
    if self.phase == IDLE and self.grace_until_us <= rule_us:
        self.grace_for_us = -1
    return _silent(self, seen_us, seen_wall_us, rule_us, wall_us)


_unknown, _within, _advance, _state, _silent = (
    Track.unknown,
    Track._within,
    Track._advance,
    Track.state,
    StaleTrack.silent,
)

FAULTS: list[tuple[type, dict[str, Callable[..., Any]]]] = [
    (Track, {"unknown": unknown_clears}),
    (Track, {"unknown": unknown_resets_the_delay}),
    (Track, {"unknown": unknown_fires}),
    (Track, {"unknown": unknown_resets_the_clearing}),
    (Track, {"tick": tick_fires_on_a_stale_reading, "due_us": due_forgets_freshness}),
    (Track, {"_within": dead_band_clears}),
    (Track, {"_advance": delay_counts_from_the_notice}),
    (Track, {"state": state_forgets_the_start}),
    (StaleTrack, {"silent": grace_every_time}),
]
IDS = [next(iter(methods.values())).__name__ for _, methods in FAULTS]


@pytest.mark.parametrize(("owner", "methods"), FAULTS, ids=IDS)
def test_a_planted_fault_is_caught(
    owner: type, methods: dict[str, Callable[..., Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, method in methods.items():
        monkeypatch.setattr(owner, name, method)
    in_state = "state" in methods or owner is StaleTrack  # shows only across restarts, or after power cuts
    assert _packs_catch_it() or in_state, "the packs' traces and cases do not catch it"
    if "state" in methods:
        assert _restarts_catch_it()
    elif owner is StaleTrack:
        assert _packs_catch_it()
    else:
        assert any(_disagrees(seed) for seed in range(400)), "400 random traces do not catch it"


def test_a_value_of_nan_taken_for_good_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "is_number", lambda value: value is not None)
    monkeypatch.setattr(plan_module, "is_number", lambda value: value is not None)
    assert any(_disagrees(seed) for seed in range(400))


def test_rates_that_stay_in_step_over_an_unknown_reading_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Plan, "fall_out", lambda self: None)
    assert any(_disagrees(seed) for seed in range(400))


def test_a_rate_that_is_quiet_where_it_offends_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_module, "_SAFE", 1.5)
    assert any(_disagrees(seed) for seed in (1538, *range(4000)))  # the first of them that meets it, tried first


def test_a_snapshot_without_the_last_judged_reading_of_a_rate_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RateTrack, "state", Track.state)
    assert _restarts_catch_it()


def test_a_queued_reading_that_is_judged_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "_UNJUDGED", ())
    assert any(_disagrees(seed) for seed in range(400))


def _disagrees(seed: int) -> bool:
    try:
        return bool(differences(seed))
    except AssertionError:  # the reference saw a step that cannot be
        return True


def _packs_catch_it() -> bool:
    for name in ("cold-chain", "cleaning-water", "wastewater"):
        pack = load_pack(name, [RULES])
        if not all(run_case(pack, case).passed for case in load_cases(RULES / f"{name}.cases.toml")):
            return True
    return False


def _restarts_catch_it() -> bool:
    for seed in range(50):
        rng = random.Random(seed)
        made = rules(rng)
        calls, steps = course(rng, Engine(made))
        engine, again = Engine(made), list[Step]()
        for call in calls:
            engine = through_json(engine, made)
            again += call.make(engine)
        if any(told(again, rule) != told(steps, rule) for rule in made):
            return True
    return False
