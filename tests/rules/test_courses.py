"""Chilling curves and cleaning cycles, sentence by sentence; a cycle against a plain reading of the page, seeded."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from edge_gateway.rules.base import BoundRule, Step
from edge_gateway.rules.courses import DescentTrack, SequenceTrack
from edge_gateway.rules.engine import Engine

from .test_engine import Line, S, rule
from .traces import differences

CHILL = {"terms": {"start": "10", "to": "3", "rise": "0.5", "within_us": 600 * S}, "violation_after_us": 0}


def test_a_run_that_falls_in_time_breaks_nothing() -> None:
    assert Line(rule("descent", **CHILL)).run((0, 30), (200, 15), (250, 15.4), (500, 4), (600, 3), (700, 8)) == []


def test_a_rise_above_the_lowest_so_far_breaks_it_at_once() -> None:
    line = Line(rule("descent", **CHILL))
    assert line.run((0, 30), (100, 15)) == []
    step = line.at(200, 15.6)[0]
    assert (step.step, step.first.rule_us, step.peak) == ("violated", 200 * S, pytest.approx(0.1))


def test_a_run_that_is_late_breaks_it_and_only_the_next_complete_run_recovers_it() -> None:
    line = Line(rule("descent", **CHILL))
    assert line.run((0, 30), (500, 9), (601, 5)) == [(601, "violated")]
    assert line.run((700, 3), (800, 2)) == []  # the end of a run that failed
    assert line.run((1000, 20), (1300, 9), (1500, 3)) == [(1500, "recovered")]


def test_unknown_readings_neither_end_a_run_nor_prove_one() -> None:
    line = Line(rule("descent", **CHILL))
    assert line.run((0, 30), (100, None), (500, None), (601, 3.1)) == [(601, "violated")]


# --- cycles -------------------------------------------------------------------------------------------------------

PLAN = [
    {"id": "rinse", "input": 0, "low": "30", "least_us": 60 * S},
    {"id": "wash", "input": 0, "low": "55", "high": "70", "least_us": 120 * S},
    {"id": "disinfect", "input": 1, "low": "2", "least_us": 30 * S},
]
CYCLE: dict[str, Any] = {
    "others": ("p2",), "violation_after_us": 0, "fresh_us": 60 * S,
    "terms": {"steps": json.dumps(PLAN), "gap_us": 100 * S, "within_us": 1000 * S},
}  # fmt: skip


def run(made: BoundRule, *course: tuple[int, float | None, float | None]) -> list[Step]:
    engine, steps = Engine([made]), list[Step]()
    for second, *values in course:
        fresh = Engine([made])
        fresh.restore(json.loads(json.dumps(engine.snapshot())))
        engine = fresh
        marks = ["bad:frame" if value is None else "good" for value in values]
        steps += engine.judge(second * S, second * S, ("p1", "p2"), values, marks)  # type: ignore[arg-type]
    return steps + engine.tick(course[-1][0] * S + 1, 0)


def washed(at: int = 0) -> list[tuple[int, float | None, float | None]]:
    rinse = [(at + n, 35.0, 0.0) for n in (0, 30, 60)]
    wash = [(at + n, 60.0, 0.0) for n in (90, 120, 150, 180, 210)]
    return [*rinse, *wash, *((at + n, 20.0, 5.0) for n in (240, 270))]


def test_a_complete_cycle_leaves_a_certificate() -> None:
    steps = run(rule("sequence", **CYCLE), *washed())
    assert [step.step for step in steps] == ["passed"]
    assert steps[0].detail == {
        "steps": [["rinse", 0, 60 * S], ["wash", 90 * S, 210 * S], ["disinfect", 240 * S, 270 * S]]
    }
    assert steps[0].first.rule_us == 0


def test_a_step_that_breaks_off_begins_anew_and_a_gap_that_is_too_long_fails_the_cycle() -> None:
    broken = [*washed()[:5], (150, 40.0, 0.0), *((n, 60.0, 0.0) for n in (180, 210, 240, 270, 300))]
    assert [step.step for step in run(rule("sequence", **CYCLE), *broken, (330, 20.0, 5.0), (360, 20.0, 5.0))] == ["passed"]
    failed = run(rule("sequence", **CYCLE), *washed()[:5], *((n, 20.0, 0.0) for n in (150, 200, 251)))
    assert [(step.step, step.value) for step in failed] == [("violated", 2.0)]  # the second step


def test_only_the_next_complete_cycle_recovers_a_failed_one() -> None:
    failed = [*washed()[:5], *((n, 20.0, 0.0) for n in (150, 200, 251))]
    steps = run(rule("sequence", **CYCLE), *failed, *washed(300))
    assert [step.step for step in steps] == ["violated", "recovered", "passed"]


def test_an_unknown_reading_neither_breaks_a_step_nor_completes_it() -> None:
    blind = [(0, 35.0, 0.0), (30, None, 0.0), (60, None, 0.0), (70, 35.0, 0.0), *((90 + n, 60.0, 0.0) for n in range(0, 121, 30))]
    assert [step.step for step in run(rule("sequence", **CYCLE), *blind, (240, 20.0, 5.0), (270, 20.0, 5.0))] == ["passed"]


@pytest.mark.parametrize("seed", range(150))
def test_cycles_agree_with_a_plain_reading_of_the_page(seed: int) -> None:
    assert not _differs(seed)


def _differs(seed: int) -> bool:
    ours, theirs = cycles(seed)
    return ours != theirs


def cycles(seed: int) -> tuple[list[tuple[str, int, float | None]], list[tuple[str, int, float | None]]]:
    """A random course of cleaning: the engine's steps, with a restart before each reading, and those of the page's words."""
    rng = random.Random(seed)
    course: list[tuple[int, float | None, float | None]] = []
    now = 0
    for _ in range(rng.randint(3, 14)):  # stretches of one activity, sometimes too short, sometimes with holes
        warm, dose = rng.choice([(35.0, 0.0), (60.0, 0.0), (60.0, 0.0), (20.0, 5.0), (20.0, 0.0)])
        for _ in range(rng.randint(1, 9)):
            hole = rng.random() < 0.1
            course.append((now, None if hole else warm, None if hole else dose))
            now += rng.choice([10, 30, 30, 90])
    steps = [(s.step, s.rule_us, s.value if s.step == "violated" else None) for s in run(rule("sequence", **CYCLE, semantics=3), *course)]
    return steps, _plainly(course)


def _plainly(course: list[tuple[int, float | None, float | None]]) -> list[tuple[str, int, float | None]]:
    """The page's words over the list of readings; no object remembers anything."""
    out: list[tuple[str, int, float | None]] = []
    broken = False
    start: int | None = None
    done = anchor = 0
    holds_since: int | None = None
    for second, *values in course:
        step = PLAN[done if start is not None else 0]
        value = values[int(str(step["input"]))]
        fits = None if value is None else float(str(step.get("low", "-9"))) <= value <= float(str(step.get("high", "999")))
        if start is None:
            if not fits:
                continue
            start = anchor = second
            holds_since, done = second, 0
        elif fits is False and holds_since is not None:
            holds_since, anchor = None, second
        elif fits and holds_since is None:
            holds_since = second
        if fits and holds_since is not None and (second - holds_since) * S >= int(str(step["least_us"])):
            done, holds_since, anchor = done + 1, None, second
            if done == len(PLAN):
                out += [("recovered", second * S, None)] * broken + [("passed", second * S, None)]
                broken, start = False, None
                continue
        if second - start > 1000 or (holds_since is None and second - anchor > 100):
            out += [] if broken else [("violated", second * S, float(done + 1))]
            broken, start, done, holds_since = True, None, 0, None
    return out


# --- planted faults -----------------------------------------------------------------------------------------------


def test_a_run_that_failed_and_recovers_by_its_own_end_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgives(self: DescentTrack, at: int, value: float | None, rule_us: int, wall_us: int) -> Step | None:
        step = observe(self, at, value, rule_us, wall_us)
        self.failed = False
        return step

    observe = DescentTrack.observe
    monkeypatch.setattr(DescentTrack, "observe", forgives)
    assert any(differences(seed) for seed in range(600))


def test_a_cycle_that_takes_unknown_for_holding_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    holds = SequenceTrack._holds
    monkeypatch.setattr(SequenceTrack, "_holds", lambda self, number, rule_us: holds(self, number, rule_us) is not False)
    assert any(_differs(seed) for seed in range(100))
