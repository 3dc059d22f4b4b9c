"""Late readings of an exposure and of a flow-weighted mean: in any order, and as if they had come in time; through restarts, against exact sums."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest

from edge_gateway.rules import windows as windows_module
from edge_gateway.rules.aggregate import merged, product, weighted_mean
from edge_gateway.rules.base import BoundRule, Step
from edge_gateway.rules.engine import Engine
from edge_gateway.rules.exposure import ExposureTrack
from edge_gateway.rules.windows import WindowTrack
from tests.rules.test_late import COMMON
from tests.rules.traces import S, through_json

LATE_US = 300 * S
HOUR = 3600 * S
MINUTES = {"of": "minutes", "beyond_high": "7", "step_us": 10 * S, "late_us": LATE_US}
DEGREES = {"of": "degree-minutes", "beyond_high": "7", "beyond_low": "0.3", "unknown_excess": "0.1", "step_us": 10 * S, "late_us": LATE_US}


def exposure(terms: dict[str, Any], window: int = 600, most: str = "2") -> BoundRule:
    return BoundRule(id="x", kind="exposure", semantics=3, high=most, window_us=window * S, violation_after_us=0, fresh_us=45 * S, terms=terms, **COMMON)


def flow_mean(**more: Any) -> BoundRule:
    terms = {"fn": "flow-mean", "late_us": LATE_US, **({} if "period" in more else {"step_us": 10 * S}), **more}
    length = 0 if "period" in more else 600 * S
    return BoundRule(id="w", kind="window", semantics=3, high="10", window_us=length, others=("b",), violation_after_us=0, fresh_us=45 * S, terms=terms, **COMMON)


RULES = {
    "minutes": exposure(MINUTES), "degree-minutes": exposure(DEGREES, most="3"), "flow-mean": flow_mean(), "flow-mean of the hour": flow_mean(period="hour"),
}  # fmt: skip
#: What comes: when, the own time of what is late (else None), and what the two points say.
Fed = tuple[int, int | None, dict[str, Any]]


def course(seed: int) -> list[Fed]:
    """Readings every few seconds, holes longer than they are fresh, power cuts; each one late with some chance, at most the tolerance."""
    chance = random.Random(seed)
    found: list[Fed] = []
    now = 10 * S
    found.append((now, None, {"a": 5.0, "b": 1.0}))
    for _ in range(60):
        now += chance.choice([5, 10, 10, 10, 40, 100, 100, 250, 900]) * S
        said: dict[str, Any] = {"a": chance.choice([4.0, 7.5, 9.1, 30.0, 0.1, 12.3]), "b": chance.choice([0.0, 1.0, 2.7, 10.0])}
        for name in chance.choice([(), (), ("a",), ("b",)]):
            del said[name]
        wait_us = chance.randint(1, 290) * S if chance.random() < 0.4 else 0
        if wait_us and now - wait_us > 10 * S:
            found.append((now, now - wait_us - len(found), said))  # no two of one instant
        else:
            found.append((now, None, {name: None if chance.random() < 0.1 else value for name, value in said.items()}))
    found.append((now + 250 * S, None, {"a": 5.0, "b": 1.0}))
    return sorted(found, key=lambda each: each[0])


def feed(engine: Engine, fed: Fed) -> list[Step]:
    at, own, said = fed
    points, values = tuple(said), list(said.values())
    if own is None:
        words = ["bad:frame" if value is None else "good" for value in values]
        return engine.judge(at, at, points, values, words)
    words = ["uncertain:late"] * len(values)
    steps = engine.judge(at, at, points, values, words)
    engine.late((at, at), points, values, words, own)
    return steps


def outcome(rule: BoundRule, fed: list[Fed], restarts: random.Random | None = None) -> tuple[list[Step], list[Any]]:
    """Steps, and what the last judgement came to."""
    engine, steps = Engine([rule]), list[Step]()
    for each in fed:
        if restarts is not None and restarts.random() < 0.3:
            engine = through_json(engine, [rule])
        steps += feed(engine, each)
    end = fed[-1][0] + 3 * HOUR
    steps += engine.tick(end, end)
    track = engine._tracks[f"{rule.id}/a"]
    if isinstance(track, ExposureTrack):
        return steps, list(track.between())
    assert isinstance(track, WindowTrack)
    if track.period or track.pairs is None:
        return steps, [[(step.step, step.value) for step in steps]]
    return steps, [weighted_mean(merged([*track.rolling.within(fed[-1][0]), track.pairs.tally(track.fresh_us)]))]


def shuffled(fed: list[Fed], seed: int) -> list[Fed]:
    """Late ones that come between the same two readings in time, in another order."""
    chance, found, waiting = random.Random(seed), list[Fed](), list[Fed]()
    for each in fed:
        if each[1] is not None:
            waiting.append(each)
            continue
        times = sorted(late[0] for late in waiting)
        chance.shuffle(waiting)
        found += [(at, late[1], late[2]) for at, late in zip(times, waiting, strict=True) if late[1] is not None and at - late[1] <= LATE_US]
        waiting.clear()
        found.append(each)
    return found


@pytest.mark.parametrize("name", RULES)
def test_the_order_of_late_readings_does_not_matter(name: str) -> None:
    """N = 25 courses, each in three orders and once with restarts; clocks run together, so whoever may come later may be placed."""
    rule, reached = RULES[name], set()
    for seed in range(25):
        # what waits at one place comes at one instant: nothing but its order differs
        fed = [(_next(course(seed), n), own, said) for n, (_, own, said) in enumerate(course(seed))]
        fed = [each for each in fed if each[1] is None or 0 <= each[0] - each[1] <= LATE_US]
        first = outcome(rule, fed)
        assert outcome(rule, shuffled(fed, 1)) == first == outcome(rule, shuffled(fed, 2)), seed
        assert outcome(rule, fed, random.Random(seed)) == first, seed
        reached |= {step.step for step in first[0]}
    assert "violated" in reached


def _next(fed: list[Fed], n: int) -> int:
    """A late one comes at the instant of the last reading in time before it."""
    return next(at for at, own, _ in reversed(fed[: n + 1]) if own is None)


@pytest.mark.parametrize("name", RULES)
def test_what_comes_within_the_tolerance_counts_as_if_it_had_come_in_time(name: str) -> None:
    """N = 60 courses: at the end the same figure as with every reading at its own time, to the last bit."""
    rule, moved = RULES[name], 0
    for seed in range(60):
        fed = course(seed)
        in_time = sorted(((at if own is None else own, None, said) for at, own, said in fed), key=lambda each: each[0])
        assert outcome(rule, fed)[1][0] == outcome(rule, in_time)[1][0], seed
        moved += outcome(rule, [each for each in fed if each[1] is None])[1] != outcome(rule, fed)[1]
    assert moved > 3


@pytest.mark.parametrize("terms", [MINUTES, DEGREES], ids=["minutes", "degree-minutes"])
def test_an_exposure_with_late_readings_is_the_exact_sum(terms: dict[str, Any]) -> None:
    """N = 40 courses in a window that nothing leaves: each judgement against fractions over all readings that had come, in order of time."""
    rule = exposure(terms, window=20 * 3600, most="500")
    for seed in range(40):
        engine, known = Engine([rule]), list[tuple[int, float | None]]()
        for at, own, said in course(seed):
            feed(engine, (at, own, said))
            if "a" in said:
                known.append((at if own is None else own, said["a"]))
            if own is not None or "a" not in said:
                continue
            track = engine._tracks["x/a"]
            assert isinstance(track, ExposureTrack)
            assert track.between() == _exactly(rule, known), seed


def _exactly(rule: BoundRule, known: list[tuple[int, float | None]]) -> tuple[float, float]:
    terms, least, unseen = rule.terms, Fraction(0), Fraction(0)
    known = sorted(known, key=lambda each: each[0])
    for (since, value), (until, _) in pairwise(known):
        spoke = since if value is None else min(until, since + rule.fresh_us)
        if value is not None:
            over = max(value - float(terms["beyond_high"]), float(terms.get("beyond_low", "-inf")) - value, 0.0)
            least += Fraction(over if terms["of"] != "minutes" else float(over > 0)) * (spoke - since)
        unseen += (Fraction(float(terms["unknown_excess"])) if terms["of"] != "minutes" else 1) * (until - spoke)
    minutes = float(least) / 60e6
    return minutes, minutes + float(unseen) / 60e6


def test_earlier_versions_take_none_and_what_was_not_armed_stays_unseen() -> None:
    older = Engine([replace(exposure({**MINUTES, "late_us": 0}), semantics=2)])
    newer = Engine([exposure(MINUTES)])
    for engine in (older, newer):
        feed(engine, (0, None, {"a": 5.0}))
        feed(engine, (60 * S, 30 * S, {"a": 9.0}))
        feed(engine, (75 * S, None, {"a": 5.0}))
    assert [engine._tracks["x/a"].between() for engine in (older, newer)] == [(0.0, 0.5), (0.75, 0.75)]  # type: ignore[attr-defined]
    newer.stand(80 * S, 80 * S, "mark", {("x", "a"): "m1"})
    feed(newer, (90 * S, 85 * S, {"a": 9.0}))
    newer.stand(100 * S, 100 * S, "mark", {})
    feed(newer, (101 * S, 95 * S, {"a": 9.0}))  # of the marked time
    feed(newer, (102 * S, 70 * S, {"a": 9.0}))  # of before it
    feed(newer, (110 * S, 105 * S, {"a": 9.0}))  # of after it
    feed(newer, (111 * S, None, {"a": 5.0}))
    least, most = newer._tracks["x/a"].between()  # type: ignore[attr-defined]
    assert (least, most) == (pytest.approx(0.75 + 6 / 60), pytest.approx(0.75 + 6 / 60 + 25 / 60))


def test_a_flow_mean_weighs_a_late_value_with_the_flow_of_its_own_instant() -> None:
    engine = Engine([flow_mean()])
    for at, value, flow in ((10, 8.0, 1.0), (50, 8.0, 1.0)):
        feed(engine, (at * S, None, {"a": value, "b": flow}))
    feed(engine, (60 * S, 30 * S, {"a": 20.0, "b": 4.0}))
    steps = feed(engine, (70 * S, None, {"a": 8.0, "b": 1.0})) + feed(engine, (80 * S, None, {"b": 1.0}))
    assert [(step.step, step.value) for step in steps] == [("violated", (3 * 8.0 + 20.0 * 4) / 7)]
    assert isinstance(engine._tracks["w/a"], WindowTrack)


def test_products_lose_nothing() -> None:
    chance = random.Random(1)
    for _ in range(3000):
        x, y = chance.uniform(-1e6, 1e6) * chance.choice([1, 1e-9]), chance.randint(0, 1 << 52)
        assert sum(map(Fraction, product(x, y)), Fraction(0)) == Fraction(x) * y


# --- planted faults -------------------------------------------------------------------------------------------------


def test_a_late_reading_that_ends_the_present_stretch_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ExposureTrack, "late", lambda self, at, value, now, own_us: self._put(now[0], value))
    with pytest.raises(AssertionError):
        test_what_comes_within_the_tolerance_counts_as_if_it_had_come_in_time("minutes")


def test_sums_that_are_rounded_where_time_is_cut_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    from edge_gateway.rules import exposure as module

    monkeypatch.setattr(module, "product", lambda x, y: (x * y,))
    with pytest.raises(AssertionError):
        test_an_exposure_with_late_readings_is_the_exact_sum(DEGREES)


def test_a_late_flow_that_is_left_out_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows_module.Pairs, "flow", lambda self, at_us, flow: None)
    with pytest.raises(AssertionError):
        test_a_flow_mean_weighs_a_late_value_with_the_flow_of_its_own_instant()


def test_the_state_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = [replace(rule, window_us=HOUR, terms={**rule.terms, "late_us": HOUR}) for rule in (exposure(MINUTES), flow_mean())]
    engine = Engine(rules)
    for rule in rules:
        monkeypatch.setattr(type(engine._tracks[f"{rule.id}/a"]), "_verdict" if rule.kind == "window" else "between", lambda *_: (0.0, 0.0) if len(_) == 1 else None)
    for n in range(1100):
        feed(engine, (n * S // 5, None, {"a": 8.0, "b": 1.0}))
    track = engine._tracks["x/a"]
    assert isinstance(track, ExposureTrack)
    assert len(track.held) == 1024
    assert len(json.dumps(engine.snapshot())) < 150_000
