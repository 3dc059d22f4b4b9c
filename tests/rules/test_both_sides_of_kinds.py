"""Stuck probes, probes that disagree, bands, excuses, rules over rules and courses at their edges, from both sides."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from edge_gateway.rules.base import Step
from edge_gateway.rules.engine import Engine

from .test_both_sides_of_windows import HOUR, told
from .test_conditions import DEFROST, DRY, HOT, Pair, Zone, both
from .test_courses import CYCLE, washed
from .test_engine import Line, S, rule
from .traces import through_json

# --- stuck probes, probes that disagree -------------------------------------------------------------------------------


def test_a_stretch_is_stuck_beyond_its_time_and_within_its_band() -> None:
    stuck = {"after_us": 60 * S, "terms": {"band": "0.5"}, "violation_after_us": 0}
    for values, second, steps in (((7, 7.5), 60, []), ((7, 7.5), 60.000001, ["violated"]), ((7, 7.6), 60.000001, []), ((7, 6.5), 61, ["violated"])):
        line = Line(rule("flat", **stuck))
        line.run(*((n, value) for n, value in enumerate(values)))
        assert told(line.at(second, values[0])) == steps, (values, second)


def test_a_new_stretch_begins_with_the_reading_that_moved() -> None:
    line = Line(rule("flat", after_us=60 * S, terms={"band": "0.5"}, violation_after_us=0))
    line.run((0, 7), (10, 7.4), (20, 6.8), (30, 6.6))
    [step] = line.at(80.5, 6.9)
    assert (step.step, step.first.rule_us, step.first.value) == ("violated", 20 * S, 6.8)


@pytest.mark.parametrize(("apart", "second", "steps"), [(2.0, 10, []), (2.0000001, 10, ["violated"]), (3.0, 30, ["violated"]), (3.0, 30.000001, [])])
def test_probes_disagree_beyond_the_limit_and_while_both_speak(apart: float, second: float, steps: list[str]) -> None:
    engine = Engine([rule("spread", high="2", others=("p2",), violation_after_us=0, fresh_us=30 * S)])
    engine.judge(0, 0, ("p1",), [4.0], None)
    at = round(second * S)
    found = engine.judge(at, at, ("p2",), [4.0 + apart], None)
    assert told([*found, *engine.tick(at + 1, at + 1)]) == steps


def test_an_instant_of_several_points_is_due_when_it_is_over_and_its_delay_ends() -> None:
    for notice, violation, wanted in ((0, 60, 1), (20, 60, 20 * S), (0, None, 1)):
        engine = Engine([rule("spread", high="2", others=("p2",), notice_after_us=notice * S, violation_after_us=violation and violation * S, fresh_us=900 * S)])
        engine.judge(0, 0, ("p1", "p2"), [4.0, 9.0], None)
        assert engine.due_us() == wanted
        engine.tick(wanted, wanted)
        assert engine.due_us() == (None if violation is None else 60 * S)
        engine.judge(30 * S, 0, ("p1", "p2"), [4.0, 5.0], None)
        assert engine.due_us() is None, "within: nothing waits for its end"


# --- guard bands and excuses ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "decided"),
    [(10.5, False), (10.500001, True), (9.5, True), (9.500001, False), (10.0, False), (-0.5, False), (-0.500001, True), (0.5, True), (0.499999, False), (5.0, True)],
)
def test_a_band_reaches_as_far_as_the_uncertainty_on_either_side_of_either_limit(value: float, decided: bool) -> None:
    zone = Zone(rule(low="0", high="10", terms={"uncertainty": "0.5"}, violation_after_us=0, undecided_after_us=0))
    beyond = value > 10 or value < 0
    assert zone.at(0, value) == (["undecided"] if not decided else ["violated"] if beyond else [])


@pytest.mark.parametrize(("second", "steps"), [(600, []), (600.000001, ["violated"])])
def test_an_excuse_lasts_as_long_as_it_may(second: float, steps: list[str]) -> None:
    zone = Zone(rule(**DEFROST))
    for each in range(0, 600, 60):
        assert zone.at(each, -15, 1) == []
    assert zone.at(second, -15, 1) == steps  # type: ignore[arg-type]


@pytest.mark.parametrize(("second", "steps"), [(600, ["violated"]), (601, [])])
def test_a_window_that_begins_later_than_its_rest_is_another(second: int, steps: list[str]) -> None:
    """The last one held until 0; the first instant of this one is judged by whose window it is."""
    made = rule(**(DEFROST | {"terms": {"most_us": 500 * S, "rest_us": 600 * S, "peak_high": "-12"}}))
    zone = Zone(made)
    zone.at(0, -20, 1)
    zone.at(60, -20, 0)
    zone.engine = through_json(zone.engine, [made])
    assert zone.at(second, -15, 1) == steps


@pytest.mark.parametrize(("value", "steps"), [(-12.0, []), (-11.999, ["violated"]), (-18.0, [])])
def test_what_is_excused_reaches_to_the_peak_itself(value: float, steps: list[str]) -> None:
    assert Zone(rule(**DEFROST)).at(0, value, 1) == steps
    low = rule(low="6", others=("p2",), terms={"most_us": 600 * S, "rest_us": 0, "peak_low": "5"}, violation_after_us=0, fresh_us=120 * S)
    assert [Zone(low).at(0, each, 1) for each in (5.0, 4.999)] == [[], ["violated"]]


@pytest.mark.parametrize(("second", "steps"), [(120, []), (120.000001, ["violated"])])
def test_a_contact_excuses_while_its_last_word_is_fresh(second: float, steps: list[str]) -> None:
    zone = Zone(rule(**DEFROST))
    zone.at(0, -20, 1)
    assert zone.at(second, -15) == steps  # type: ignore[arg-type]


def test_an_excuse_goes_on_through_a_mark_and_its_cap_too() -> None:
    made = rule(**DEFROST)
    zone = Zone(made)
    zone.at(0, -20, 1)
    zone.engine.stand(30 * S, 30 * S, "mark", {("r1", "p1"): "m"})
    for second in range(60, 600, 60):
        zone.at(second, -20, 1)
    zone.engine.stand(590 * S, 590 * S, "mark", {})
    assert zone.at(599, -15, 1) == [], "the window that began at 0 goes on"
    assert zone.at(601, -15, 1) == ["violated"], "and so does its cap"


def test_a_marked_contact_of_an_excuse_is_heard_by_it() -> None:
    """The contact's last word was said under the mark: it counts while it is fresh."""
    zone = Zone(rule(**DEFROST))
    zone.engine.stand(0, 0, "mark", {("r1", "p1"): "m"})
    zone.at(10, -20, 1)
    zone.engine.stand(20 * S, 20 * S, "mark", {})
    assert zone.at(30, -15) == []


# --- rules over rules -------------------------------------------------------------------------------------------------


def test_a_rule_for_notices_holds_with_its_notice_and_another_only_when_it_is_violated() -> None:
    for more, first in (({"violation_after_us": None}, ["violated"]), ({"violation_after_us": 60 * S}, [])):
        hot = rule(name="hot", high="10", fresh_us=120 * S, **more)
        pair = Pair(hot, DRY, both("any", "hot/p1"))
        assert pair.at(0, 15, 5) == first
        assert pair.at(60, 15, 5) == ([] if first else ["violated"])


def test_whether_a_probe_fell_silent_is_looked_at_once_a_minute() -> None:
    pair = Pair(HOT, DRY, both("all", "hot/p1", "!wet/p2"))
    pair.at(0, 15, 5)
    engine = pair.engine
    looks = []
    for _ in range(8):
        due = engine.due_us()
        assert due is not None
        looks.append(due)
        engine.tick(due, due)
    apart = {later - sooner for sooner, later in pairwise([0, *looks])}
    assert apart <= {1, 60 * S - 1, 60 * S, 60 * S + 1}, apart
    assert looks[-1] >= 180 * S


def test_its_own_delay_ends_between_two_looks() -> None:
    """Whatever comes first: the end of its delay, or the next look at who is silent."""
    hot = rule(name="hot", high="10", violation_after_us=0, fresh_us=900 * S)
    made = rule("combined", name="z", terms={"of": "any", "rules": json.dumps([[False, ["hot/p1"]]])}, notice_after_us=30 * S, violation_after_us=90 * S, semantics=3, fresh_us=900 * S)
    engine, found = Engine([hot, made]), list[tuple[int, str]]()
    engine.judge(0, 0, ("p1",), [15.0], None)
    while (due := engine.due_us()) is not None and due < 200 * S:
        found += [(due // S, step.step) for step in engine.tick(due, due) if step.rule == "z"]
    assert found == [(30, "notice"), (90, "violated")]


def test_a_rule_over_rules_looks_when_one_is_armed_again() -> None:
    hot = rule(name="hot", high="10", violation_after_us=0, fresh_us=900 * S)
    for version in (1, 2, 3):
        made = rule("combined", name="z", terms={"of": "any", "rules": json.dumps([[False, ["hot/p1"]]])}, violation_after_us=0, semantics=version)
        engine = Engine([hot, made])
        engine.judge(0, 0, ("p1",), [15.0], None)
        engine.tick(1, 1)
        assert told([*engine.stand(S, S, "mark", {("hot", "p1"): "m"}), *engine.tick(S + 1, S + 1)]) == ["unknown", "unknown"]
        assert told([*engine.stand(2 * S, 2 * S, "phase", {("hot", "p1"): "x"}), *engine.tick(2 * S + 1, 2 * S + 1)]) == [], "for one more reason it is what it was"
        engine.stand(3 * S, 3 * S, "mark", {})
        engine.stand(4 * S, 4 * S, "phase", {})
        engine.judge(5 * S, 5 * S, ("p1",), [5.0], None)
        assert [(step.rule, step.step) for step in engine.tick(5 * S + 1, 5 * S + 1)] == [("z", "recovered")], version


def test_any_holds_by_one_and_all_by_none_that_is_missing() -> None:
    for of, wanted in (("any", ["violated"]), ("all", [])):
        pair = Pair(HOT, DRY, both(of, "hot/p1", "wet/p2"))
        assert pair.at(0, 15, 5) == wanted
        gone = Pair(HOT, both(of, "hot/p1", "wet/p9"))
        assert gone.at(0, 15, 5) == wanted, "what is not there is unknown"


# --- courses ----------------------------------------------------------------------------------------------------------

CHILL = {"terms": {"start": "10", "to": "3", "rise": "0.5", "within_us": 600 * S}, "violation_after_us": 0}


@pytest.mark.parametrize(
    ("course", "steps"),
    [
        ([(0, 10.0), (700, 5.0)], []), ([(0, 10.1), (700, 5.0)], ["violated"]),  # it begins above its start
        ([(0, 30.0), (600, 5.0)], []), ([(0, 30.0), (600.000001, 5.0)], ["violated"]),
        ([(0, 30.0), (10, 30.5)], []), ([(0, 30.0), (10, 30.6)], ["violated"]),
        ([(0, 30.0), (10, 20.0), (20, 20.5), (30, 20.6)], ["violated"]),  # the lowest so far stays
        ([(0, 30.0), (500, 3.0), (700, 9.0)], []), ([(0, 30.0), (500, 3.1), (700, 3.1)], ["violated"]),  # it ends at its end
    ],
)  # fmt: skip
def test_a_chilling_curve_at_its_edges(course: list[tuple[float, float]], steps: list[str]) -> None:
    line = Line(rule("descent", **CHILL))
    assert [step for second, value in course for step in told(line.at(second, value))] == steps


def test_how_far_a_curve_is_off_is_the_more_of_rise_and_delay() -> None:
    line = Line(rule("descent", **CHILL))
    line.run((0, 30), (100, 15))
    assert line.at(700, 15.2)[0].peak == pytest.approx(12.2)
    rising = Line(rule("descent", **CHILL))
    rising.run((0, 30), (100, 4))
    assert rising.at(700, 20)[0].peak == pytest.approx(17.0)


def cycle(*course: tuple[int, float | None, float | None], wall: int = 0) -> list[Step]:
    engine = Engine([rule("sequence", **CYCLE)])
    steps = [step for second, *values in course for step in engine.judge(second * S, second * S + wall, ("p1", "p2"), list(values), None)]
    end = course[-1][0] * S + 1
    return steps + engine.tick(end, end + wall)


def test_a_certificate_says_when_its_cycle_began_by_both_clocks() -> None:
    [passed] = cycle(*washed(40), wall=7 * HOUR)
    assert (passed.step, passed.first.rule_us, passed.first.wall_us) == ("passed", 40 * S, 40 * S + 7 * HOUR)
    assert passed.detail is not None
    assert [each[1:] for each in passed.detail["steps"]] == [[40 * S, 100 * S], [130 * S, 250 * S], [280 * S, 310 * S]]


@pytest.mark.parametrize(("second", "steps"), [(160, []), (161, ["violated"])])
def test_the_next_step_has_as_long_as_its_gap(second: int, steps: list[str]) -> None:
    """The first step is done at 60; 100 s later the next one must hold."""
    assert told(cycle(*washed()[:3], (second, 40.0, 0.0))) == steps


@pytest.mark.parametrize(("second", "steps"), [(1000, []), (1001, ["violated"])])
def test_a_cycle_has_as_long_as_it_may_take(second: int, steps: list[str]) -> None:
    """The second step holds on and on, without a word for too long to be done."""
    held = [(90, 60.0, 0.0), (second, None, 0.0)]
    assert told(cycle(*washed()[:3], *held)) == steps


@pytest.mark.parametrize(("second", "steps"), [(59, []), (60, ["passed"])])
def test_a_step_is_done_when_it_held_for_its_time(second: int, steps: list[str]) -> None:
    one = {"terms": {"steps": json.dumps([{"id": "rinse", "input": 0, "low": "30", "least_us": 60 * S}]), "gap_us": 100 * S, "within_us": 1000 * S}}
    engine = Engine([rule("sequence", **(CYCLE | one))])
    found = engine.judge(0, 0, ("p1", "p2"), [30.0, 0.0], None)
    found += engine.judge(second * S, 0, ("p1", "p2"), [35.0, 0.0], None)
    assert told([*found, *engine.tick(second * S + 1, 0)]) == steps
