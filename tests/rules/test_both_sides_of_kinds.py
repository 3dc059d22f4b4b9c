"""Kinds that look at several readings, at their edges and from both sides: windows, exposures, stuck probes, bands, courses, rules over rules."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest

from edge_gateway.rules.aggregate import ExactSum, Pairs, Rolling, Tally, percentile
from edge_gateway.rules.base import Step
from edge_gateway.rules.engine import Engine
from edge_gateway.rules.exposure import ExposureTrack
from edge_gateway.rules.windows import WindowTrack

from .test_conditions import DEFROST, DRY, HOT, Pair, Zone, both
from .test_courses import CYCLE, washed
from .test_engine import Line, S, rule
from .traces import through_json

HOUR = 3600 * S


def told(steps: list[Step]) -> list[str]:
    return [step.step for step in steps]


# --- sums, stretches, pairs -------------------------------------------------------------------------------------------


def test_nothing_more_changes_no_sum_and_the_first_of_all_is_kept() -> None:
    total = ExactSum()
    total.add(0.0)
    assert total.parts == [0.0]
    total.add(2.5)
    total.add(0.0)
    assert total.parts == [2.5]
    total.add(1e-30)
    total.add(0.0)
    assert (len(total.parts), total.value) == (2, 2.5)


def test_a_tally_counts_what_it_is_told_and_ranks_only_where_it_is_asked_to() -> None:
    tally = Tally()
    for value in (3.0, 1.0, 3.0):
        tally.add(value)
    assert (tally.count, tally.least, tally.most, tally.total.value, tally.ranks) == (3, 1.0, 3.0, 7.0, {})
    tally.weigh(2.0, 5.0)
    assert (tally.count, tally.total.value, tally.weight.value, tally.least) == (4, 17.0, 5.0, 1.0)
    ranked = Tally(9)
    for value in (3.0, 1.0, 3.0):
        ranked.add(value, ranked=True)
    assert ranked.state() == [9, 3, [7.0], [], 1.0, 3.0, [[1.0, 1], [3.0, 2]], False]
    assert Tally.of(ranked.state()).state() == ranked.state()


@pytest.mark.parametrize(("share", "wanted"), [(0.0, 1.0), (0.25, 1.0), (0.2500001, 2.0), (0.5, 2.0), (0.5000001, 4.0), (1.0, 4.0)])
def test_the_nearest_rank_is_the_first_that_enough_do_not_exceed(share: float, wanted: float) -> None:
    tally = Tally()
    for value in (4.0, 2.0, 1.0, 4.0):
        tally.add(value, ranked=True)
    assert percentile(tally, share) == wanted


def test_a_stretch_goes_into_the_steps_that_it_lies_in_and_what_is_before_the_window_into_none() -> None:
    rolling = Rolling(window_us=100, step_us=25)
    pieces = [(step.begin_us, length) for step, length in rolling.stretches(10, 70)]
    assert pieces == [(10, 25), (35, 25), (60, 10)]
    assert [(step.begin_us, length) for step, length in rolling.stretches(70, 85)] == [(60, 15)]
    assert list(rolling.stretches(85, 85)) == []
    late = [(step.begin_us, length) for step, length in rolling.stretches(85, 300)]
    assert late == [(175, 25), (200, 25), (225, 25), (250, 25), (275, 25)], "of the last window and one step"
    assert [step.begin_us for step in rolling.steps] == [200, 225, 250, 275]


def test_values_have_the_flow_of_their_own_instant_or_the_newest_fresh_one_before() -> None:
    pairs = Pairs()
    for at, flow in ((10, 2.0), (10, 3.0), (10, None), (20, None), (30, 5.0)):
        pairs.flow(at, flow)
    for at in (5, 10, 19, 20, 30, 40, 41):
        pairs.value(at, at + 1000, float(at))
    assert [(value, flow) for _, _, value, flow in pairs.taken(1000, 10)] == [(10.0, 3.0), (19.0, 3.0), (30.0, 5.0), (40.0, 5.0)]


def test_what_is_given_up_is_what_is_older_and_the_flow_that_still_holds_stays() -> None:
    pairs = Pairs()
    for at in (10, 20, 30):
        pairs.flow(at, float(at))
        pairs.value(at, at + 1000, 1.0)
    assert pairs.taken(20, 100) == [(10, 1010, 1.0, 10.0)]
    assert pairs.state() == [[[20, 1020, 1.0], [30, 1030, 1.0]], [[10, 10.0], [20, 20.0], [30, 30.0]]], "one of its own instant may still come late"
    assert pairs.tally(100).state()[1:4] == [2, [50.0], [50.0]]
    assert pairs.taken(31, 100) == [(20, 1020, 1.0, 20.0), (30, 1030, 1.0, 30.0)]
    assert Pairs(*pairs.state()).state() == [[], [[30, 30.0]]]


# --- windows ----------------------------------------------------------------------------------------------------------


def window(fn: str = "mean", **more: Any) -> Any:
    terms = {"fn": fn, "step_us": 10 * S, "interval_us": 10 * S, **more.pop("terms", {})}
    return rule("window", window_us=100 * S, violation_after_us=0, terms=terms, **({"high": "10"} | more))


@pytest.mark.parametrize(("known", "steps"), [(5, ["violated"]), (4, [])])
def test_as_many_known_readings_as_are_asked_for_decide(known: int, steps: list[str]) -> None:
    engine = Engine([window(terms={"valid_share": "0.5"})])
    found = []
    for n in range(known):
        found += engine.judge(n * 10 * S, 0, ("p1",), [11.0], None)
    assert told([*found, *engine.tick(HOUR, HOUR)]) == steps


def test_a_share_is_never_more_than_all_and_is_judged_however_small() -> None:
    engine = Engine([window("share", low="0.3", high=None, terms={"valid_share": "0.9"})])
    steps = engine.judge(0, 0, ("p1",), [1.0], None) + engine.tick(1, 1)
    assert [(step.step, step.value) for step in steps] == [("violated", 0.1)]
    full = Engine([window("share", high="1", low=None)])
    steps = [step for n in range(25) for step in full.judge(n * 5 * S, 0, ("p1",), [1.0], None)]
    assert told([*steps, *full.tick(HOUR, HOUR)]) == []


@pytest.mark.parametrize(("late", "taken"), [(300 * S, True), (300 * S + 1, False)])
@pytest.mark.parametrize("fn", ["mean", "flow-mean"])
def test_late_readings_are_taken_up_to_the_tolerance_itself(fn: str, late: int, taken: bool) -> None:
    flow = fn == "flow-mean"
    terms = {"fn": fn, "step_us": 10 * S, "late_us": 300 * S}
    made = rule("window", semantics=3, high="10", window_us=900 * S, violation_after_us=0, fresh_us=900 * S, terms=terms, others=("p2",) if flow else ())
    engine = Engine([made])
    for second in (0, 100, 400):
        engine.judge(second * S, second * S, ("p1", "p2"), [5.0, 1.0], None)
    own = 400 * S + S - late
    engine.judge(401 * S, 401 * S, ("p1",), [95.0], ["uncertain:late"])
    engine.late((401 * S, 401 * S), ("p1",), [95.0], ["uncertain:late"], own)
    steps = engine.judge(402 * S, 402 * S, ("p1", "p2"), [5.0, 1.0], None) + engine.tick(403 * S, 403 * S)
    assert [(step.step, step.value) for step in steps] == ([("violated", (4 * 5.0 + 95.0) / 5)] if taken else [])


@pytest.mark.parametrize(("wall", "taken"), [(2 * HOUR + 60 * S - 1, True), (2 * HOUR + 60 * S, False)])
def test_a_period_takes_late_readings_until_it_is_due(wall: int, taken: bool) -> None:
    engine = Engine([rule("window", high="10", violation_after_us=0, terms={"fn": "mean", "period": "hour", "late_us": 60 * S})])
    engine.judge(HOUR, HOUR, ("p1",), [5.0], None)
    engine.judge(2 * HOUR, 2 * HOUR, ("p1",), [5.0], None)
    engine.late((wall, wall), ("p1",), [95.0], ["uncertain:late"], HOUR + 5)
    steps = engine.tick(2 * HOUR + 60 * S, 2 * HOUR + 60 * S)
    assert [(step.step, step.value, step.first.wall_us) for step in steps] == ([("violated", 50.0, HOUR)] if taken else [])


def test_a_period_ends_at_its_end_and_no_sooner() -> None:
    engine = Engine([rule("window", high="10", violation_after_us=0, terms={"fn": "maximum", "period": "day", "late_us": 0})])
    midnight = 16 * HOUR  # of Beijing
    engine.judge(0, midnight - 1, ("p1",), [11.0], None)
    assert told(engine.tick(1, midnight - 1)) == []
    assert told(engine.tick(2, midnight)) == ["violated"]


def test_a_flow_of_nothing_and_a_flow_that_is_unknown_decide_nothing() -> None:
    for flow in (0.0, None):
        engine = Engine([window("flow-mean", others=("p2",), undecided_after_us=0)])
        engine.judge(0, 0, ("p1", "p2"), [11.0, flow], ["good", "good" if flow is not None else "bad:frame"])
        assert told(engine.tick(1, 1)) == ["undecided"]


# --- exposures --------------------------------------------------------------------------------------------------------


def exposure(most: str = "1", **terms: Any) -> Any:
    body = {"of": "minutes", "beyond_high": "7", "beyond_low": "0", "step_us": S, **terms}
    return rule("exposure", semantics=3, high=most, window_us=600 * S, violation_after_us=0, fresh_us=60 * S, terms=body)


def spans(engine: Engine) -> tuple[float, float]:
    track = engine._tracks["r1/p1"]
    assert isinstance(track, ExposureTrack)
    return track.between()


@pytest.mark.parametrize(("value", "beyond"), [(7.0, False), (7.0000001, True), (0.0, False), (-0.0000001, True), (3.0, False)])
def test_the_limit_itself_exposes_nothing(value: float, beyond: bool) -> None:
    engine = Engine([exposure()])
    engine.judge(0, 0, ("p1",), [value], None)
    engine.judge(30 * S, 0, ("p1",), [3.0], None)
    assert spans(engine) == ((0.5, 0.5) if beyond else (0.0, 0.0))


def test_as_much_as_is_permitted_is_permitted_and_more_is_not() -> None:
    engine = Engine([exposure()])
    assert told([*engine.judge(0, 0, ("p1",), [8.0], None), *engine.judge(60 * S, 0, ("p1",), [8.0], None)]) == []
    assert told(engine.judge(60 * S + 1, 0, ("p1",), [8.0], None)) == ["violated"]


def test_only_what_nobody_saw_makes_it_undecided() -> None:
    engine = Engine([rule("exposure", semantics=3, high="1", window_us=600 * S, fresh_us=60 * S, undecided_after_us=0, terms={"of": "minutes", "beyond_high": "7", "step_us": S})])
    engine.judge(0, 0, ("p1",), [5.0], None)
    assert told(engine.judge(120 * S, 0, ("p1",), [5.0], None)) == [], "a minute that it spoke for, and a minute that it may have been"
    assert spans(engine) == (0.0, 1.0)
    assert told(engine.judge(180 * S + 1, 0, ("p1",), [5.0], None)) == ["undecided"]
    assert spans(engine) == (0.0, pytest.approx(1 + 1 / 60e6))


def test_of_several_readings_of_one_instant_the_furthest_beyond_speaks() -> None:
    for order in ((8.0, 30.0, None), (30.0, None, 8.0), (None, 8.0, 30.0)):
        engine = Engine([exposure("100", of="degree-minutes", unknown_excess="1", late_us=300 * S)])
        for value in order:
            engine.judge(0, 0, ("p1",), [value], ["bad:frame" if value is None else "good"])
        engine.judge(30 * S, 0, ("p1",), [3.0], None)
        assert spans(engine) == (11.5, 11.5), order


@pytest.mark.parametrize(("own", "least"), [(0, 1.0), (-1, 0.0), (30, 0.5), (59, 1 / 60)])
def test_a_late_reading_speaks_from_its_own_time_on_if_that_is_not_over(own: int, least: float) -> None:
    """The first reading of all is where it begins; before that, nobody asks."""
    engine = Engine([exposure("100", late_us=300 * S)])
    engine.judge(0, 0, ("p1",), [5.0], None)
    engine.judge(60 * S, 60 * S, ("p1",), [5.0], None)
    engine.late((60 * S, 60 * S), ("p1",), [9.0], ["uncertain:late"], own * S)
    assert spans(engine) == (pytest.approx(least), pytest.approx(least))


@pytest.mark.parametrize(("late", "taken"), [(20 * S, True), (20 * S + 1, False)])
def test_an_exposure_takes_late_readings_up_to_the_tolerance_itself(late: int, taken: bool) -> None:
    engine = Engine([exposure("100", late_us=20 * S)])
    engine.judge(0, 0, ("p1",), [5.0], None)
    engine.judge(40 * S, 40 * S, ("p1",), [5.0], None)
    engine.late((40 * S, 40 * S), ("p1",), [9.0], ["uncertain:late"], 40 * S - late)
    engine = through_json(engine, [exposure("100", late_us=20 * S)])
    engine.judge(45 * S, 45 * S, ("p1",), [5.0], None)
    assert spans(engine)[0] == (pytest.approx(20 / 60) if taken else 0.0)


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


def test_where_a_window_s_track_is_one() -> None:
    assert isinstance(Engine([window()])._tracks["r1/p1"], WindowTrack)
