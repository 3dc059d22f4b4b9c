"""What a rule remembers over a standing: nothing that it would have told without a mark is without a trace with it; silent and undecided periods are told."""

from __future__ import annotations

import json
import os
import random
from dataclasses import replace
from typing import Any

import pytest

from edge_gateway.rules.base import ENDED, FIRED, RECOVERED, UNDECIDED, VIOLATED, BoundRule, Step
from edge_gateway.rules.engine import Engine
from edge_gateway.rules.kinds import KINDS, SEMANTICS
from edge_gateway.rules.track import Track

from .test_courses import CYCLE, washed
from .test_engine import rule as rule_of
from .traces import S, through_json

COURSES = int(os.environ.get("COURSES", "1000")) // 8
H, DAY = 3600 * S, 24 * 3600 * S
#: 2026-11-28 00:00 in Beijing.
MIDNIGHT = 1_795_795_200 * S
COMMON: dict[str, Any] = {"pack": "t", "pack_version": "1", "edition": "1", "point": "a", "violation_after_us": 0}


def rule(kind: str, **numbers: Any) -> BoundRule:
    return BoundRule(**{"id": "r", "kind": kind, "semantics": SEMANTICS[kind][-1], **COMMON, **numbers})


def window(fn: str = "mean", **terms: Any) -> BoundRule:
    told = {"fn": fn, "interval_us": 600 * S, "late_us": 0, **terms}
    return rule("window", **({"low": "0.9"} if fn == "share" else {"high": "10"}), window_us=0 if "period" in terms else 90 * S, terms=told, fresh_us=30 * S)


# --- no mark hides what readings come to ------------------------------------------------------------------------------


def of_each_kind(rng: random.Random) -> BoundRule:
    """A rule that looks back, with short times."""
    delay = rng.choice([0, 0, 20]) * S
    step = {"step_us": 10 * S}
    return rng.choice([
        rule("window", high="10", window_us=90 * S, violation_after_us=delay, fresh_us=30 * S, terms={"fn": rng.choice(["mean", "maximum"]), "interval_us": 10 * S, "valid_share": "0.5", **step}),
        rule("window", high="10", violation_after_us=0, fresh_us=30 * S, terms={"fn": "mean", "period": "hour", "interval_us": 60 * S, "valid_share": "0.5", "late_us": 60 * S}),
        rule("exposure", high=rng.choice(["0.5", "1"]), window_us=rng.choice([120, 300]) * S, violation_after_us=delay, fresh_us=30 * S, terms={"of": "minutes", "beyond_high": "10", **step}),
        rule("descent", violation_after_us=0, fresh_us=30 * S, terms={"start": "10", "to": "3", "rise": "1", "within_us": rng.choice([60, 120]) * S}),
        rule("flat", after_us=60 * S, violation_after_us=delay, fresh_us=30 * S, terms={"band": "0.5"}),
        rule("limit", high="10", clear_high="9", violation_after_us=delay, fresh_us=30 * S),
    ])  # fmt: skip


def hidden(seed: int) -> str:
    """What the rule tells without any mark, and of which nothing is open or counted at that instant where marks come and go."""
    rng = random.Random(seed)
    made = of_each_kind(rng)
    civil = "period" in made.terms
    plain, marked = Engine([made]), Engine([made])
    restarts = rng.random() < 0.3
    now, calm, stands = 0, 5.0, False
    open_, counted = False, False
    for _ in range(60):
        now += rng.choice([60, 120, 600] if civil else [5, 10, 10]) * S
        calm = rng.choice([5.0, 9.5, 11.0, 14.0, 2.0]) if rng.random() < 0.15 else calm
        if made.kind == "descent" and rng.random() < 0.8:
            calm = calm - 0.3 if calm > 2 else 12.0
        told: list[Step] = []
        if rng.random() < 0.2:
            stands = not stands
            told += marked.stand(now, MIDNIGHT + now, "mark", {("r", "a"): "m"} if stands else {})
        if restarts:
            marked = through_json(marked, [made])
        without = plain.tick(now, MIDNIGHT + now)
        told += marked.tick(now, MIDNIGHT + now)
        value = None if rng.random() < 0.05 else calm
        without += plain.judge(now, MIDNIGHT + now, ("a",), [value], None)
        told += marked.judge(now, MIDNIGHT + now, ("a",), [value], None)
        before = open_ or counted
        for step in told:
            open_ = True if step.step == VIOLATED else False if step.step == RECOVERED else open_
            counted = True if step.step == FIRED else False if step.step == ENDED else counted
        traced = before or open_ or counted or any(step.step in (VIOLATED, FIRED) for step in told)
        if any(step.step == VIOLATED for step in without) and not traced:
            return f"seed {seed} {made.kind} {made.terms} at {now // S}"
    return ""


def test_nothing_that_readings_come_to_is_hidden_by_marks() -> None:
    """N = 125 courses of kinds that look back, and of ``limit``, with marks and restarts; seeds 0 to 124, an eighth of COURSES in the long form."""
    found = [why for seed in range(COURSES) if (why := hidden(seed))]
    assert not found, f"{len(found)}: {found[0]}"


@pytest.mark.parametrize("kind", ["window", "exposure", "flat", "descent"])
def test_a_shadow_that_forgets_with_its_mark_is_caught(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for track in (*KINDS.values(), Track):
        monkeypatch.setattr(track, "recalls", lambda *_: False)
    assert any(f" {kind} " in hidden(seed) for seed in range(200))


def test_a_cycle_that_breaks_off_after_a_mark_is_counted() -> None:
    made = replace(rule_of("sequence", **CYCLE), semantics=3)
    engine, steps = Engine([made]), list[Step]()
    for second, *values in washed()[:8]:
        steps += engine.judge(second * S, second * S, ("p1", "p2"), list(values), None)
    steps += engine.stand(220 * S, 220 * S, "mark", {(made.id, made.point): "M-1"})
    steps += engine.stand(221 * S, 221 * S, "mark", {})
    engine = through_json(engine, [made])
    nothing_follows = [(second, 20.0, 0.0) for second in range(230, 600, 10)]
    for second, *values in [*nothing_follows, *washed(700), (980, 20.0, 0.0)]:
        steps += engine.judge(second * S, second * S, ("p1", "p2"), list(values), None)
    assert [step.step for step in steps] == [FIRED, "passed", ENDED]
    assert "stood" not in engine.snapshot()


# --- civil periods ----------------------------------------------------------------------------------------------------


def run(made: BoundRule, days: dict[int, float], *, begin: int = 0, until: int = 4, mark: tuple[int, int] | None = None) -> list[tuple[str, int, float | None]]:
    """A reading every ten minutes of these days, a look every quarter of an hour; (step, hours, value)."""
    engine, steps = Engine([made]), list[Step]()
    calls: list[tuple[int, int, Any]] = [(day * DAY + n * 600 * S, 1, value) for day, value in days.items() for n in range(144) if day * DAY + n * 600 * S >= begin]
    calls += [(us, 2, None) for us in range(0, until * DAY, 900 * S)]
    if mark is not None:
        calls += [(mark[0], 0, {(made.id, "a"): "M-1"}), (mark[1], 0, {})]
    for us, what, value in sorted(calls, key=lambda each: each[:2]):
        engine = through_json(engine, [made]) if us and us % H == 0 else engine
        if what == 0:
            steps += engine.stand(us, MIDNIGHT + us, "mark", value)
        elif what == 1:
            steps += engine.judge(us, MIDNIGHT + us, ("a",), [value], None)
        else:
            steps += engine.tick(us, MIDNIGHT + us)
    return [(step.step, step.rule_us // H, step.value) for step in steps]


def test_a_day_in_which_nothing_was_heard_is_a_day_without_data() -> None:
    days = {0: 5.0, 1: 5.0, 3: 5.0}
    assert run(window("share", period="day"), days, until=5) == [(VIOLATED, 72, 0.0), (RECOVERED, 96, 1.0)]
    assert run(replace(window("share", period="day"), semantics=3), days, until=5) == []


def test_several_silent_days_are_judged_once_and_no_day_before_the_first_reading_is() -> None:
    steps = run(window("share", period="day"), {2: 5.0, 3: 5.0, 9: 5.0}, until=11)
    assert steps == [(VIOLATED, 120, 0.0), (RECOVERED, 240, 1.0)]


def test_a_day_of_which_a_part_was_not_listened_for_is_undecided_and_not_missing() -> None:
    """That of a mark, and the first one unless it was listened for from its beginning; the shadow, which listened, has nothing to tell."""
    days = dict.fromkeys(range(4), 5.0)
    assert run(window("share", period="day"), days, mark=(30 * H, 38 * H)) == [(UNDECIDED, 48, None)]
    assert run(window("share", period="day"), days, begin=8 * H) == [(UNDECIDED, 24, None)]
    assert run(replace(window("share", period="day"), semantics=3), days, begin=8 * H) == [(VIOLATED, 24, 96 / 144), (RECOVERED, 48, 1.0)]
    assert (VIOLATED, 48, 96 / 144) in run(replace(window("share", period="day"), semantics=3), days, mark=(30 * H, 38 * H))


def test_a_day_that_is_undecided_is_told_when_it_is_over_and_what_its_shadow_saw_is_counted() -> None:
    made = window(period="day", valid_share="0.75")
    marked = run(made, {0: 50.0, 1: 5.0, 2: 5.0}, mark=(8 * H, 15 * H))
    assert marked == [(UNDECIDED, 24, None), (FIRED, 24, 50.0), (ENDED, 48, 5.0)]
    assert run(replace(made, semantics=3), {0: 50.0, 1: 5.0, 2: 5.0}, mark=(8 * H, 15 * H)) == []


def test_a_clock_that_was_wrong_makes_no_silent_years() -> None:
    engine = Engine([window("share", period="day")])
    engine.doubt(0)
    engine.judge(0, 0, ("a",), [5.0], None)
    engine.judge(S, S, ("a",), [5.0], None)
    told = [step.step for minutes in range(0, 2 * 24 * 60, 10) for step in _heard(engine, minutes * 60 * S)]
    assert told == []


def _heard(engine: Engine, us: int) -> list[Step]:
    return engine.tick(us, MIDNIGHT + us) + engine.judge(us + 1, MIDNIGHT + us + 1, ("a",), [5.0], None)


def test_a_rolling_share_waits_until_it_listened_long_enough() -> None:
    made = rule("window", low="0.9", window_us=60 * S, terms={"fn": "share", "interval_us": 10 * S, "step_us": S}, fresh_us=30 * S)
    engine = Engine([made])
    told = [step.step for n in range(20) for step in engine.judge(n * 10 * S, MIDNIGHT + n * 10 * S, ("a",), [5.0], None)]
    assert told == []
    assert Engine([replace(made, semantics=3)]).judge(0, 0, ("a",), [5.0], None) == []
    assert [step.step for step in engine.judge(400 * S, MIDNIGHT + 400 * S, ("a",), [5.0], None) + engine.judge(410 * S, MIDNIGHT + 410 * S, ("a",), [5.0], None)] == [VIOLATED]


def test_records_of_earlier_semantics_remember_nothing_more() -> None:
    for made in (window("share", period="day"), of_exposure(), rule("flat", after_us=60 * S, terms={"band": "0.5"})):
        older = replace(made, semantics=made.semantics - 1)
        engine = Engine([older])
        for n in range(4):
            engine.judge(n * S, MIDNIGHT + n * S, ("a",), [11.0], None)
        engine.stand(5 * S, MIDNIGHT + 5 * S, "mark", {("r", "a"): "M-1"})
        engine.judge(6 * S, MIDNIGHT + 6 * S, ("a",), [11.0], None)
        engine.stand(7 * S, MIDNIGHT + 7 * S, "mark", {})
        assert "stood" not in engine.snapshot()
        assert "woke" not in json.dumps(engine.snapshot())


def of_exposure() -> BoundRule:
    return rule("exposure", high="5", window_us=300 * S, fresh_us=30 * S, terms={"of": "minutes", "beyond_high": "10", "step_us": 10 * S})
