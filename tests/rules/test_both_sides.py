"""Rules at their edges, from both sides: the instant itself, one before and one after; what earlier versions of a kind still come to."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import fsum
from typing import Any

import pytest

from edge_gateway.rules import exposure as exposure_module
from edge_gateway.rules.aggregate import Rolling, Tally, product
from edge_gateway.rules.base import BoundRule, First, Step
from edge_gateway.rules.engine import Engine
from edge_gateway.rules.exposure import ExposureTrack
from edge_gateway.rules.kinds import SEMANTICS, can_judge
from edge_gateway.rules.track import Track

from .test_conditions import combined
from .test_engine import Line, S, rule
from .traces import through_json

HOUR = 3600 * S


def test_a_step_that_says_nothing_of_figures_has_none() -> None:
    plain = Step(rule="r", point="p", step="undecided", rule_us=5, wall_us=6, first=First(rule_us=1, wall_us=2, value=None))
    assert (plain.value, plain.peak, plain.beyond_us, plain.excess, plain.area, plain.detail, plain.marked_us) == (None, None, 0, 0.0, "", None, 0)
    assert (plain.minutes, plain.marked_minutes) == (0.0, 0.0)


@pytest.mark.parametrize(("us", "minutes"), [(0, 0.0), (5_999_999, 0.0), (6_000_000, 0.1), (59_999_999, 0.9), (60_000_000, 1.0), (66_000_000, 1.1)])
def test_minutes_are_rounded_down_to_a_tenth(us: int, minutes: float) -> None:
    step = Step(rule="r", point="p", step="notice", rule_us=5, wall_us=6, first=First(rule_us=1, wall_us=2, value=None), beyond_us=us, marked_us=us)
    assert (step.minutes, step.marked_minutes) == (minutes, minutes)


def test_which_versions_of_each_kind_are_judged() -> None:
    newest = {
        "limit": 3, "rate": 2, "stale": 2, "flat": 3, "spread": 2, "window": 4, "exposure": 4, "descent": 3, "sequence": 3, "combined": 3,
    }  # fmt: skip
    assert {kind: versions[-1] for kind, versions in SEMANTICS.items()} == newest
    for kind, last in newest.items():
        judged = [version for version in range(last + 3) if can_judge(rule(kind, semantics=version))]
        assert judged == list(range(1, last + 1)), f"{kind}: no version is ever given up"
    assert not can_judge(rule("tide", semantics=1))


def test_a_rule_says_nothing_that_its_pack_does_not() -> None:
    """What an entry of an earlier release leaves out means what it meant then."""
    plain = BoundRule.from_config({"id": "r", "pack": "t", "pack_version": "1", "edition": "1", "kind": "limit", "point": "a"})
    assert (plain.semantics, plain.undecided_after_us, plain.fresh_us) == (1, HOUR, 900 * S)
    assert (plain.window_us, plain.after_us, plain.notice_after_us, plain.clear_after_us, plain.unknown_after_us) == (0, 0, 0, 0, 0)
    assert plain.notices_only
    assert hash(replace(plain, terms={"a": 1}, hours={"b": 2.0})) == hash(plain)


# --- limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [1, -1])
def test_the_short_way_takes_what_is_on_a_grid_on_either_side(side: int) -> None:
    """A busy point's further readings cost one call each, whatever side of the limits they are on."""
    track = Track(rule(low="-10", high="10", violation_after_us=600 * S))
    assert track.known(side * 10.5, 0, 0) is not None
    track.calm_us = track.calm_until()
    for n, value in enumerate((10.1, 11.25, 10.000000001, 12.5, 12.499999999), start=1):
        assert track.goes_on(side * value, n * S), value
    assert not track.goes_on(side * 10.0, 6 * S), "within"
    assert not track.goes_on(side * 11.0, 5 * S + 30 * S + 1), "the last one was not fresh any more"
    assert track.goes_on(side * 11.0, 5 * S + 30 * S), "it was fresh until just then"
    assert (track.beyond_us, track.peak, track.excess) == (35 * S, side * 12.5, 2.5)


def test_a_reading_of_the_instant_at_which_the_delay_ends_fires() -> None:
    for second, steps in ((59.999999, []), (60, ["violated"])):
        line = Line(rule(high="10", notice_after_us=90 * S))
        line.at(0, 11)
        line.at(40, 11)
        assert [step.step for step in line.at(second, 11)] == steps


def test_a_last_reading_speaks_for_as_long_as_it_is_fresh_and_no_longer() -> None:
    for second, steps in ((30, ["notice"]), (30.000001, [])):
        line = Line(rule(high="10", notice_after_us=20 * S, fresh_us=30 * S))
        line.at(0, 11)
        assert [step.step for step in line.at(second, "tick")] == steps
    line = Line(rule(high="10", notice_after_us=30 * S, fresh_us=30 * S))
    line.at(0, 11)
    assert line.engine.due_us() == 30 * S
    line = Line(rule(high="10", notice_after_us=30 * S + 1, fresh_us=30 * S))
    line.at(0, 11)
    assert line.engine.due_us() is None


@pytest.mark.parametrize(("after", "second", "said"), [(0, 10, True), (20, 29.999999, False), (20, 30, True)])
def test_unknown_is_said_at_the_end_of_its_time(after: int, second: float, said: bool) -> None:
    line = Line(rule(high="10", violation_after_us=0, unknown_after_us=after * S))
    line.at(0, 11)
    first = line.at(10, None)
    assert [step.step for step in [*first, *(line.at(second, None) if second > 10 else [])]] == (["unknown"] if said else [])


@pytest.mark.parametrize(("second", "steps"), [(39.999999, []), (40, ["recovered"])])
def test_it_is_over_at_the_end_of_its_time(second: float, steps: list[str]) -> None:
    line = Line(rule(high="10", clear_high="9", violation_after_us=0, clear_after_us=30 * S))
    line.run((0, 11), (10, 9))
    assert [step.step for step in line.at(second, 9)] == steps


def test_a_change_is_judged_from_the_end_of_its_window_on_and_never_within_one_instant() -> None:
    line = Line(rule("rate", per_s="0.1", window_us=10 * S, violation_after_us=0))
    assert line.run((0, 5), (9.999999, 9), (10, 6.0)) == [], "0.1 a second is permitted"
    assert line.run((19.999999, 5), (20, 4.99)) == [(20, "violated")]
    at_once = Line(rule("rate", per_s="0.1", violation_after_us=0))
    assert at_once.run((0, 5), (0, 50), (1, 5.1)) == []


def test_what_waits_does_not_grow_with_readings() -> None:
    """A rule whose delay runs is due once, however many readings come meanwhile."""
    engine = Engine([rule(point=point, name=name, high=high) for point in ("p1", "p2") for name, high in (("a", "10"), ("b", "11"))])
    for n in range(200):
        engine.judge(n * S // 10, n, ("p1", "p2"), [12, 12], None)
    assert len(engine._due) <= 8


def test_a_batch_holds_a_value_for_each_of_its_points() -> None:
    for made in ([rule(high="10")], [rule("rate", per_s="0.1", window_us=10 * S)]):
        for short in ([5.0], [5.0, 5.0, 5.0]):
            engine = Engine(made)
            for second in (0, 10, 20):
                engine.judge(second * S, 0, ("p1", "p2"), [5.0, 5.0], None)
            with pytest.raises(ValueError, match="zip"):
                engine.judge(30 * S, 0, ("p1", "p2"), short, None)  # type: ignore[arg-type]
            with pytest.raises(ValueError, match="zip"):
                engine.judge(30 * S, 0, ("p1", "p2"), short, ["good", "bad:frame"])  # type: ignore[arg-type]


# --- silence ----------------------------------------------------------------------------------------------------------


def silence(**numbers: Any) -> Line:
    return Line(rule("stale", after_us=60 * S, violation_after_us=120 * S, **numbers))


def test_a_silence_that_was_due_ten_seconds_ago_is_told_and_one_later_gets_its_time_again() -> None:
    for late, told in ((10, True), (10.000001, False)):
        line = silence()
        line.at(0, 5)
        assert [step.step for step in line.at(60 + late, "tick")] == (["notice"] if told else [])
        assert line.engine.due_us() == (180 if told else 120 + late) * S


def test_minutes_of_silence_leave_out_what_was_marked_whether_it_began_before_or_within() -> None:
    key = {("r1", "p1"): "m"}
    began_before = silence(clear_after_us=0)
    began_before.run((0, 5), (60, "tick"), (180, "tick"))
    began_before.engine.stand(200 * S, 200 * S, "mark", key)
    began_before.engine.stand(300 * S, 300 * S, "mark", {})
    [over] = [step for step in began_before.at(360, 5) if step.step == "recovered"]
    assert (over.first.rule_us, over.beyond_us, over.marked_us) == (0, (360 - 60 - 100) * S, 100 * S)
    began_within = silence(clear_after_us=0)
    began_within.at(0, 5)
    began_within.engine.stand(10 * S, 10 * S, "mark", key)
    began_within.engine.stand(300 * S, 300 * S, "mark", {})
    steps = [*began_within.at(360, "tick"), *began_within.at(480, "tick"), *began_within.at(500, 5)]
    assert [(s.step, s.first.rule_us // S, s.beyond_us // S, s.marked_us // S) for s in steps if s.rule == "r1" and "would" not in s.step] == [
        ("notice", 300, 0, 240), ("violated", 300, 120, 240), ("recovered", 300, 140, 240),
    ]  # fmt: skip


def test_a_silence_is_a_second_where_its_interval_is_less() -> None:
    """A due time is asked for each silence of a batch by itself, and the nearest one stands."""
    engine = Engine([rule("stale", name=name, after_us=after * S, violation_after_us=None) for name, after in (("a", 90), ("b", 30), ("c", 60))])
    engine.judge(5 * S, 0, ("p1",), [5.0], None)
    assert engine.due_us() == 35 * S
    assert [(step.rule, step.rule_us // S) for second in (35, 65, 95) for step in engine.tick(second * S, 0)] == [("b", 35), ("c", 65), ("a", 95)]


# --- not armed --------------------------------------------------------------------------------------------------------


def test_marked_minutes_are_those_of_the_readings_while_it_was_marked() -> None:
    line = Line(rule(high="10", violation_after_us=0, fresh_us=30 * S))
    line.run((0, 11), (10, 11))
    line.engine.stand(15 * S, 15 * S, "mark", {("r1", "p1"): "m"})
    line.run((20, 12), (30, 12), (80, 12), (90, 5), (95, 12))
    line.engine.stand(100 * S, 100 * S, "mark", {})
    [over] = [step for step in [*line.at(105, 11), *line.at(110, 5)] if step.step == "recovered"]
    assert (over.beyond_us, over.peak) == ((15 + 5) * S, 11)
    assert over.marked_us == (5 + 10 + 30 + 10 + 5) * S, "the reading before it speaks on, a first one no longer than it is fresh"


def test_what_lost_its_rule_is_said_to_be_unknown_by_whatever_comes_first() -> None:
    before = Line(rule(high="10", violation_after_us=0), rule(name="kept", high="100"))
    before.at(0, 11)
    for first in ("stand", "tick", "judge"):
        engine = Engine([rule(name="kept", high="100")])
        engine.restore(before.engine.snapshot())
        if first == "stand":
            steps = engine.stand(5 * S, 6 * S, "mark", {("kept", "p1"): "m"})
        else:
            steps = engine.tick(5 * S, 6 * S) if first == "tick" else engine.judge(5 * S, 6 * S, ("p1",), [5.0], None)
        assert [(step.rule, step.step, step.rule_us, step.wall_us) for step in steps] == [("r1", "unknown", 5 * S, 6 * S)], first
        assert engine.tick(7 * S, 8 * S) == [], "once"
        assert engine.stand(9 * S, 9 * S, "phase", {("kept", "p1"): "x"}) == []


def test_what_is_known_of_a_condition() -> None:
    """``phases`` asks it: within, beyond, unknown; by the shadow while it is not armed."""
    line = Line(rule(high="10", violation_after_us=60 * S))
    ask = lambda: (line.engine.condition("r1", "p1"), line.engine.excursion("r1", "p1") is not None, line.engine.stands("r1", "p1"))  # noqa: E731
    assert (ask(), line.engine.condition("r1", "p9"), line.engine.excursion("r9", "p1")) == ((True, False, False), None, None)
    line.run((0, 5), (10, 11))
    assert ask() == (False, True, False)
    line.run((20, None))
    assert ask() == (None, True, False)
    line.run((30, 5))
    assert ask() == (True, False, False)
    line.engine.stand(40 * S, 40 * S, "mark", {("r1", "p1"): "m"})
    assert ask() == (True, False, True)
    line.at(50, 11)
    assert ask() == (False, False, True), "its shadow sees it"
    line.engine.stand(60 * S, 60 * S, "mark", {})
    assert ask()[2] is False
    doubtful = Line(rule(high="10", terms={"uncertainty": "0.5"}))
    doubtful.run((0, 10.2), (10, 10.2))
    assert doubtful.engine.condition("r1", "p1") is None


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_rule_over_rules_looks_when_one_is_marked_or_withdrawn(version: int) -> None:
    """In every version of the kind: it says ``unknown`` an instant after a mark, and is over an instant after the withdrawal."""
    hot = rule(name="hot", high="10", violation_after_us=0)
    for what, said in (("mark", "unknown"), ("withdrawn", "recovered")):
        engine = Engine([hot, combined("all", "hot", violation_after_us=0, semantics=version)])
        engine.judge(0, 0, ("p1",), [11.0], None)
        assert [step.rule for step in engine.tick(1, 1)] == ["z"]
        if what == "mark":
            engine.stand(10 * S, 10 * S, "mark", {("hot", "p1"): "m"})
        else:
            engine.rearm("hot", "p1")
            engine.tick(10 * S, 10 * S)
        steps = engine.tick(10 * S + 2, 10 * S + 2)
        assert [(step.rule, step.step) for step in steps] == [("z", said)], what


# --- windows and exposures --------------------------------------------------------------------------------------------


def test_a_step_is_over_where_the_window_begins() -> None:
    rolling = Rolling(window_us=100, step_us=25)
    for us in (0, 25, 50):
        rolling.at(us)
    begins = lambda found: [step.begin_us for step in found]  # noqa: E731
    assert begins(rolling.within(124)) == [0, 25, 50]
    assert begins(rolling.within(125)) == [25, 50]
    assert begins(rolling.within(150)) == [50]
    assert begins(rolling.within(175)) == []
    assert begins(rolling.steps) == [0, 25, 50], "nothing is let go by looking"
    rolling.drop(149)
    assert begins(rolling.steps) == [25, 50]
    rolling.drop(150)
    assert begins(rolling.steps) == [50]
    assert rolling.at(74) is rolling.steps[0]
    assert begins([rolling.at(75)]) == [75]
    whole = Rolling(window_us=100, step_us=25, whole=True)
    assert begins([whole.at(74), whole.at(75)]) == [50, 75]


def test_a_product_of_what_is_too_large_is_its_double_alone() -> None:
    for x in (0.0, 1.0, 1e150, -1e150, 1e200, -1e300):
        assert product(x, 3.0) == (x * 3.0,)
    assert sum(map(Fraction, product(1e149, 0.1)), Fraction(0)) == Fraction(1e149) * Fraction(0.1)


def test_the_oldest_reading_is_taken_as_it_is_and_one_more_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exposure_module, "MOST_HELD", 4)
    terms = {"of": "minutes", "beyond_high": "7", "step_us": S, "late_us": 1000 * S}
    track = ExposureTrack(rule("exposure", semantics=3, high="60", window_us=HOUR, terms=terms))
    for n in range(12):
        track.observe(0, 8.0, n * 10 * S, 0)
        assert len(track.held) == min(n + 1, 4)
        assert track.held[0][0] == max(n - 3, 0) * 10 * S == track.until_us
        assert track.between() == (n / 6, n / 6)


#: Excess and length of stretches (s): the sum of their products, each rounded, is another double than the exact one.
STRETCHES = ((4.9, 2), (2.8, 21), (8.2, 32), (0.6, 18), (0.5, 21))


@pytest.mark.parametrize("version", [1, 2, 3])
def test_degree_minutes_are_rounded_a_stretch_up_to_version_two_and_exact_from_three_on(version: int) -> None:
    terms = {"of": "degree-minutes", "beyond_high": "0", "unknown_excess": "0.1", "step_us": HOUR}
    made = rule("exposure", semantics=version, high="60", window_us=HOUR, terms=terms, fresh_us=60 * S)
    engine, at = Engine([made]), 0
    for excess, length in STRETCHES:
        engine.judge(at, at, ("p1",), [excess], None)
        at += length * S
    engine = through_json(engine, [made])
    engine.judge(at, at, ("p1",), [-5.0], None)
    track = engine._tracks["r1/p1"]
    assert isinstance(track, ExposureTrack)
    exact = float(sum(Fraction(excess) * length * S for excess, length in STRETCHES)) / 60e6
    rounded = fsum(excess * (length * S) for excess, length in STRETCHES) / 60e6
    assert exact != rounded
    assert track.between() == ((exact, exact) if version == 3 else (rounded, rounded))


def test_an_hour_between_two_that_wait_is_taken() -> None:
    """The clock went ahead and came back: what was not judged yet is in its own hour."""
    terms = {"fn": "mean", "period": "hour", "interval_us": 600 * S, "late_us": 10 * HOUR}
    engine = Engine([rule("window", high="10", violation_after_us=0, terms=terms)])
    for rule_s, wall_h in ((0, 3), (10, 5), (20, 4), (30, 2)):
        engine.judge(rule_s * S, wall_h * HOUR, ("p1",), [5.0], None)
        engine.tick(rule_s * S + 1, wall_h * HOUR + 1)
    assert sorted(begin // HOUR for begin in engine._tracks["r1/p1"].periods) == [3, 4, 5]  # type: ignore[attr-defined]


def test_a_window_is_due_where_the_next_of_its_delays_ends() -> None:
    terms = {"fn": "maximum", "step_us": 10 * S}
    engine = Engine([rule("window", high="10", window_us=600 * S, notice_after_us=20 * S, violation_after_us=60 * S, fresh_us=900 * S, terms=terms)])
    engine.judge(0, 0, ("p1",), [11.0], None)
    assert engine.due_us() == 20 * S, "an instant that is not judged yet may begin one"
    assert [step.step for step in engine.tick(20 * S, 0)] == ["notice"]
    assert engine.due_us() == 60 * S
    engine.judge(30 * S, 0, ("p1",), [11.0], None)
    assert engine.due_us() == 60 * S, "and one that is not judged yet may be in it"
    assert [step.step for step in engine.tick(60 * S, 0)] == ["violated"]
    assert engine.due_us() is None


def test_any_tally_begins_where_it_is_said_to() -> None:
    assert (Tally().begin_us, Tally().count, Tally(7).begin_us) == (0, 0, 7)
