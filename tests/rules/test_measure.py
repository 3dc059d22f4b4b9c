"""Rules over several readings: a stuck probe, probes that disagree; how an instant's readings are batched changes nothing."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from edge_gateway.rules.base import BoundRule, Step
from edge_gateway.rules.engine import Engine
from edge_gateway.rules.measure import FlatTrack, SpreadTrack

from .test_engine import Line, S, rule
from .traces import differences

STUCK = {"after_us": 60 * S, "terms": {"band": "0.1"}}
APART = {"high": "2", "clear_high": "1", "others": ("p2",)}


def test_values_that_do_not_move_are_stuck_from_the_first_of_them_on() -> None:
    line = Line(rule("flat", **STUCK, violation_after_us=30 * S))
    assert line.run((0, 5), (20, 7), (40, 7.05), (60, 7)) == []
    step = line.at(90, 7.1)[0]
    assert (step.step, step.first.rule_us, step.first.value, step.peak) == ("notice", 20 * S, 7, 70)
    assert line.run((100, 7.0), (110, 7.0), (120, 7.3)) == [(110, "violated"), (120, "recovered")]


def test_a_silence_in_between_ends_no_stretch_and_proves_none() -> None:
    line = Line(rule("flat", **STUCK))
    assert line.run((0, 7), (30, None), (90, None)) == []
    assert line.run((100, 7)) == [(100, "notice")]


def both(engine: Engine, second: float, a: float | None, b: float | None) -> list[Step]:
    us = round(second * S)
    return engine.judge(us, us, ("p1", "p2"), [a, b], ["bad:frame" if v is None else "good" for v in (a, b)])


def test_probes_apart_are_told_once_the_instant_is_over() -> None:
    engine = Engine([rule("spread", **APART, violation_after_us=60 * S)])
    assert both(engine, 0, 4, 5) == []
    assert both(engine, 10, 4, 7) == []
    assert engine.due_us() == 10 * S + 1  # a notice without a delay waits for nothing but the instant's end
    assert [(s.step, s.rule_us, s.first.value, s.peak) for s in engine.tick(10 * S + 1, 0)] == [("notice", 10 * S, 3, 3)]
    assert both(engine, 20, 4, 5.5) == []
    assert both(engine, 30, 4, 4.5) == []  # 1.5 apart is within, and not past the hysteresis
    assert [s.step for s in both(engine, 40, 4, 4.5)] == ["cancelled"]


def test_one_probe_alone_says_nothing() -> None:
    engine = Engine([rule("spread", **APART, violation_after_us=60 * S)])
    both(engine, 0, 4, 9)
    assert [s.step for s in both(engine, 10, 4, None)] == ["notice"]
    assert [s.step for s in both(engine, 20, 4, None)] == ["unknown"]
    assert engine.judge(100 * S, 0, ("p1",), [4.0], None) == []  # the other one's last word is too old by now


@pytest.mark.parametrize("seed", range(120))
def test_merging_and_splitting_batches_of_one_instant_changes_nothing(seed: int) -> None:
    rng = random.Random(seed)
    made = [rule("spread", **APART, violation_after_us=rng.choice([0, 30 * S]), unknown_after_us=rng.choice([0, 20 * S]))]
    made += [rule("limit", point=point, name="l", high="8", violation_after_us=20 * S) for point in ("p1", "p2")]
    whole, parts = Engine(made), Engine(made)
    one, other = list[Step](), list[Step]()
    for number in range(60):
        us = number * 10 * S
        readings: dict[str, Any] = {name: rng.choice([4.0, 5.5, 9.0, None]) for name in ("p1", "p2") if rng.random() < 0.8}
        marks = {name: "bad:frame" if value is None else "good" for name, value in readings.items()}
        if readings:
            one += whole.judge(us, us, tuple(readings), list(readings.values()), list(marks.values()))
        for name, value in readings.items():
            other += parts.judge(us, us, (name,), [value], [marks[name]])
    assert sorted(map(repr, one)) == sorted(map(repr, other))


# --- planted faults -----------------------------------------------------------------------------------------------


def test_a_stretch_that_unknown_readings_end_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgets(self: FlatTrack, at: int, value: float | None, rule_us: int, wall_us: int) -> Step | None:
        if value is None:
            self.began = None
        return observe(self, at, value, rule_us, wall_us)

    observe = FlatTrack.observe
    monkeypatch.setattr(FlatTrack, "observe", forgets)
    assert any(differences(seed) for seed in range(400))


def test_a_spread_over_old_words_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def any_age(self: SpreadTrack, rule_us: int) -> list[float]:
        return [value for value in self.values if value is not None]

    monkeypatch.setattr(SpreadTrack, "fresh", any_age)
    assert any(differences(seed) for seed in range(400))


def test_a_measure_that_a_restart_forgets_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[BoundRule] = [rule("flat", **STUCK)]

    def outcome() -> list[str]:
        engine, steps = Engine(made), list[Step]()
        for second in (0, 30, 70):
            fresh = Engine(made)
            fresh.restore(json.loads(json.dumps(engine.snapshot())))
            engine = fresh
            steps += engine.judge(second * S, 0, ("p1",), [7.0], None)
        return [step.step for step in steps]

    assert outcome() == ["notice"]
    monkeypatch.setattr(FlatTrack, "memory", lambda self: None)
    assert outcome() == []
