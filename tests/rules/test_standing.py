"""Rules that are not armed: against a reference written from the page, across restarts, and no excursion is without a trace."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from typing import Any

import pytest

from edge_gateway.rules import engine as engine_module
from edge_gateway.rules.base import ENDED, FIRED, NOTICE, VIOLATED, BoundRule, Step
from edge_gateway.rules.engine import Engine
from edge_gateway.rules.standing import Stood
from edge_gateway.rules.track import Track

from .reference_standing import Seen, standing
from .test_courses import CYCLE, washed
from .test_engine import rule as rule_of
from .traces import S, course, expected, rules, through_json

COURSES = int(os.environ.get("COURSES", "1000"))
WHYS = ("mark", "mark", "phase", "shadow", "season")


def limit(rng: random.Random) -> BoundRule:
    notice = rng.choice([0, 0, 10, 20])
    return BoundRule(
        id="r", pack="t", pack_version="1", edition="1", kind="limit", semantics=3, point="a", high="10",
        clear_high=rng.choice([None, "9"]), notice_after_us=notice * S,
        violation_after_us=rng.choice([None, notice * S, (notice + 20) * S, (notice + 60) * S]),
        clear_after_us=rng.choice([0, 0, 15, 30]) * S, unknown_after_us=rng.choice([0, 0, 20]) * S, fresh_us=rng.choice([15, 30, 90]) * S,
    )  # fmt: skip


def drive(rng: random.Random, build: Callable[[list[BoundRule]], Engine], length: int = 60) -> tuple[BoundRule, list[Any], list[Step]]:
    """Readings, standings and passing time around one limit; what was told."""
    rule = limit(rng)
    engine = build([rule])
    again = rng.random() < 0.3
    events: list[Any] = []
    steps: list[Step] = []
    held: dict[str, bool] = {}
    now, calm = 0, 5.0
    for _ in range(length):
        calm = rng.choice([5.0, 9.5, 11.0, 12.0]) if rng.random() < 0.2 else calm
        until = now + rng.choice([1, 5, 10, 10, 20, 45]) * S
        while (due := engine.due_us()) is not None and max(due, now) < until:
            now = max(due, now)
            events.append((now, "tick"))
            steps += engine.tick(now, now)
            if engine.due_us() == due:
                break
        now = until
        if rng.random() < 0.2:
            why = rng.choice(WHYS)
            held[why] = not held.get(why, False)
            events.append((now, frozenset(each for each in held if held[each])))
            steps += engine.stand(now, now, why, {("r", "a"): "x"} if held[why] else {})
        else:
            value: Any = None if rng.random() < 0.15 else rng.choice([calm, calm, 5.0, 11.0])
            events.append((now, value))
            steps += engine.judge(now, now, ("a",), [value], None)
        if again:
            engine = through_json(engine, [rule])
    return rule, events, steps


def seen(steps: list[Step]) -> list[Seen]:
    return [Seen(s.rule_us, s.step, s.first.rule_us, s.peak, s.beyond_us, s.marked_us if s.step not in (FIRED, ENDED) else 0) for s in steps]


def differs(seed: int) -> str:
    rule, events, steps = drive(random.Random(seed), Engine)
    ours, theirs = seen(steps), standing(rule, events)
    return "" if ours == theirs else f"seed {seed} {rule}\n{events}\n engine    {ours}\n reference {theirs}"


@pytest.mark.parametrize("part", range(5))
def test_limits_agree_with_the_reference(part: int) -> None:
    """N = 1,000 courses, seeds 0 to 999, and COURSES in the long form."""
    found = [why for seed in range(part * COURSES // 5, (part + 1) * COURSES // 5) if (why := differs(seed))]
    assert not found, f"{len(found)}: {found[0]}"


def test_the_courses_reach_everything() -> None:
    told = {step.step for seed in range(300) for step in drive(random.Random(seed), Engine)[2]}
    assert told == {"notice", "violated", "recovered", "cancelled", "unknown", "active", FIRED, ENDED}
    assert any(step.marked_us and step.step == "violated" for seed in range(300) for step in drive(random.Random(seed), Engine)[2])


@pytest.mark.parametrize("seed", range(150))
def test_a_rule_that_was_never_armed_tells_what_it_would_have_done(seed: int) -> None:
    """Every kind: as the reference of armed rules says, and nothing else."""
    assert not shadow_differs(seed)


def shadow_differs(seed: int) -> str:
    rng = random.Random(seed)
    made = rules(rng)
    calls, _ = course(rng, Engine(made))
    engine = Engine(made)
    keys = {(rule.id, rule.point): "p" for rule in made}
    steps = engine.stand(calls[0].at, calls[0].at, "draft", keys) if calls else []
    for call in calls:
        steps += call.make(engine)
    for rule in made:
        fires = NOTICE if rule.notices_only else VIOLATED
        theirs = [(t.at, t.first, t.peak, t.beyond) for t in expected(rule, calls) if t.step == fires]
        mine = [step for step in steps if (step.rule, step.point) == (rule.id, rule.point)]
        ours = [(s.rule_us, s.first.rule_us, s.peak, s.beyond_us) for s in mine if s.step == FIRED]
        if ours != theirs or not {s.step for s in mine} <= {FIRED, ENDED}:
            return f"seed {seed} {rule.kind}: {mine} {theirs}"
    return ""


def with_standings(seed: int, *, restart: bool) -> tuple[list[Step], str]:
    """A course of all kinds with standings put between the calls."""
    rng = random.Random(seed)
    made = rules(rng)
    calls, _ = course(rng, Engine(made))
    engine, steps = Engine(made), list[Step]()
    keys = [(rule.id, rule.point) for rule in made]
    for call in calls:
        if restart:
            engine = through_json(engine, made)
        if rng.random() < 0.15:
            chosen = {key: "m" for key in keys if rng.random() < 0.5}
            steps += engine.stand(call.at, call.at, rng.choice(WHYS), chosen)
            if restart:
                engine = through_json(engine, made)
        steps += call.make(engine)
    return steps, json.dumps(engine.snapshot(), sort_keys=True)


@pytest.mark.parametrize("seed", range(100))
def test_a_restart_before_every_call_changes_nothing(seed: int) -> None:
    assert with_standings(seed, restart=True) == with_standings(seed, restart=False)


def wrong_while_standing(seed: int) -> list[str]:
    """Every kind: what an armed rule tells while it is not armed, and may not."""
    rng = random.Random(seed)
    made = rules(rng)
    calls, _ = course(rng, Engine(made))
    engine = Engine(made)
    keys = [(rule.id, rule.point) for rule in made]
    whys: dict[tuple[str, str], set[str]] = {key: set() for key in keys}
    since: dict[tuple[str, str], int] = {}
    broken: set[tuple[str, str]] = set()
    wrong = []
    for call in calls:
        told: list[Step] = []
        if rng.random() < 0.15:
            why, chosen = rng.choice(WHYS), {key: "m" for key in keys if rng.random() < 0.5}
            told = engine.stand(call.at, call.at, why, chosen)
            for key in keys:
                stood = bool(whys[key])
                (whys[key].add if key in chosen else whys[key].discard)(why)
                if whys[key] and not stood:
                    since[key] = call.at
        for step in [*told, *call.make(engine)]:
            key = step.rule, step.point
            was_broken = key in broken
            if step.step == VIOLATED:
                broken.add(key)
            elif step.step == "recovered":
                broken.discard(key)
            if not whys[key] or step.rule_us <= since[key] or step.step in (FIRED, ENDED, "unknown", "cancelled", "undecided"):
                continue
            runs_on = whys[key] <= {"mark", "phase"} and step.first.rule_us <= since[key]
            if step.step not in (NOTICE, VIOLATED, "active") or not runs_on or was_broken:
                wrong.append(f"seed {seed}: {step} while {whys[key]} since {since[key]}")
    return wrong


def test_no_rule_of_any_kind_recovers_or_begins_anything_while_it_is_not_armed() -> None:
    """N = 400 courses of every kind but ``sequence`` and ``combined``, seeds 0 to 399."""
    found = [why for seed in range(400) for why in wrong_while_standing(seed)]
    assert not found, f"{len(found)}: {found[0]}"


def test_an_armed_rule_that_is_told_of_marked_readings_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stood, "runs_on", lambda self, seen_us, rule_us: True)
    assert any(wrong_while_standing(seed) for seed in range(60))


def test_what_is_told_twice_changes_nothing() -> None:
    rule = limit(random.Random(0))
    engine = Engine([rule])
    engine.judge(0, 0, ("a",), [5.0], None)
    engine.stand(S, S, "mark", {("r", "a"): "M-1"})
    before = json.dumps(engine.snapshot())
    assert engine.stand(2 * S, 2 * S, "mark", {("r", "a"): "M-1"}) == []
    assert json.dumps(engine.snapshot()) == before
    [(bound, reasons)] = engine.standing()
    assert (bound, [(each.why, each.ref) for each in reasons]) == (rule, [("mark", "M-1")])
    engine.stand(3 * S, 3 * S, "mark", {})
    assert engine.standing() == []
    assert "stood" not in engine.snapshot()


# --- no excursion is without a trace ----------------------------------------------------------------------------------


def without_a_trace(seed: int) -> str:
    """A stretch of readings beyond the limit that lasted longer than the delay, of which nothing was told."""
    rule, events, steps = drive(random.Random(seed), Engine)
    fires = NOTICE if rule.notices_only else VIOLATED
    delay = rule.notice_after_us if rule.notices_only else rule.violation_after_us or 0
    told = [(s.first.rule_us, s.rule_us, s.step) for s in steps]
    began: int | None = None
    for at, what in events:
        if isinstance(what, frozenset) or what in (None, "tick"):
            continue
        if what <= 10:
            began = began if what > float(rule.clear_high or "10") else None
            continue
        began = at if began is None else began
        if at - began < delay:
            continue
        since = began
        before = [step for _, when, step in told if when <= since]
        ended = {fires: ("recovered", "cancelled"), FIRED: (ENDED,)}
        if any(step == began_by and not {*before[n:]} & {*ended[began_by]} for began_by in ended for n, step in enumerate(before)):
            continue  # one that has not recovered yet: it holds these minutes
        if not any(step in (fires, FIRED) and first <= at and when >= since for first, when, step in told):
            return f"seed {seed}: beyond from {since} to {at}, delay {delay}: {told}"
    return ""


def test_no_excursion_longer_than_its_delay_is_without_a_trace() -> None:
    """N = COURSES courses with marks, phases, seasons, shadow and restarts, seeds from 10,000 on."""
    found = [why for seed in range(10_000, 10_000 + COURSES) if (why := without_a_trace(seed))]
    assert not found, f"{len(found)}: {found[0]}"


def test_a_shadow_that_ends_with_its_mark_leaves_excursions_without_a_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stood, "is_over", drops_the_shadow_at_the_end)
    assert any(without_a_trace(seed) for seed in range(10_000, 10_400))


# --- planted faults ---------------------------------------------------------------------------------------------------


def forgets_the_running_delay(self: Stood, seen_us: int, rule_us: int) -> bool:
    return False


def recovers_under_a_mark(self: Track, rule_us: int, wall_us: int) -> Step | None:
    self._hold(rule_us)
    self.last_us, self.last_value, self.offends = rule_us, None, False
    return None


def counts_twice(self: Stood, step: Step) -> Step | None:
    return self._told(FIRED, step) if step.step in (NOTICE, VIOLATED) else None


def drops_the_shadow_at_the_end(self: Stood, seen_us: int, rule_us: int) -> bool:
    return True


def forgets_the_marked_minutes(self: Stood, seen_us: int, rule_us: int, wall_us: int) -> None:
    self.armed.muted = False
    self.armed.awake(self.shadow, rule_us, wall_us)


FAULTS: list[tuple[type, str, Callable[..., Any]]] = [
    (Stood, "runs_on", forgets_the_running_delay),
    (Track, "blind", recovers_under_a_mark),
    (Stood, "tell", counts_twice),
    (Stood, "is_over", drops_the_shadow_at_the_end),
    (Stood, "wake", forgets_the_marked_minutes),
]


@pytest.mark.parametrize(("owner", "name", "fault"), FAULTS, ids=[fault.__name__ for _, _, fault in FAULTS])
def test_a_planted_fault_is_caught(owner: type, name: str, fault: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner, name, fault)
    assert any(differs(seed) for seed in range(400))


def test_a_shadow_that_its_rules_do_not_see_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "is_shade", lambda rule: False)
    assert any(shadow_differs(seed) for seed in range(20))


def test_a_snapshot_that_forgets_why_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Stood.state
    monkeypatch.setattr(Stood, "state", lambda self: {**real(self), "own": True})
    assert any(with_standings(seed, restart=True) != with_standings(seed, restart=False) for seed in range(60))


# --- what goes on over a border ---------------------------------------------------------------------------------------


def test_a_shadow_completes_a_cycle_that_its_rule_began_and_neither_breaks_the_other() -> None:
    made = rule_of("sequence", **CYCLE)
    engine, steps = Engine([made]), list[Step]()

    def feed(course: list[tuple[int, float | None, float | None]]) -> None:
        nonlocal steps
        for second, *values in course:
            steps += engine.judge(second * S, second * S, ("p1", "p2"), list(values), None)

    cycle = washed()
    feed(cycle[:4])  # the first step is done
    steps += engine.stand(95 * S, 95 * S, "phase", {(made.id, made.point): "production"})
    engine = through_json(engine, [made])
    feed(cycle[4:])
    steps += engine.stand(300 * S, 300 * S, "phase", {})
    feed(washed(2000))
    steps += engine.tick(3000 * S, 3000 * S)
    assert [step.step for step in steps if step.step in (VIOLATED, FIRED)] == []
    assert [step.step for step in steps if step.step == "passed"] == ["passed"]


def test_late_readings_of_a_batch_that_ends_a_standing_are_taken() -> None:
    made = [
        BoundRule(id="l", pack="t", pack_version="1", edition="1", kind="limit", point="x", high="10", violation_after_us=60 * S, fresh_us=10**9),
        BoundRule(id="w", pack="t", pack_version="1", edition="1", kind="window", point="y", high="10", window_us=90 * S, violation_after_us=0,
                  terms={"fn": "mean", "step_us": 10 * S, "interval_us": 10 * S, "late_us": 60 * S}),
    ]  # fmt: skip
    engine = Engine(made)
    engine.judge(0, 0, ("x", "y"), [11.0, 1.0], None)
    engine.stand(S, S, "mark", {("l", "x"): "M-1"})
    assert [step.step for step in engine.judge(2 * S, 2 * S, ("x", "y"), [1.0, 1.0], ["good", "uncertain:late"])] == ["cancelled"]
    engine.late((2 * S, 2 * S), ("x", "y"), [1.0, 1.0], ["good", "uncertain:late"], S)
