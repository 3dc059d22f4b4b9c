"""Windows and exposures at their edges, from both sides: sums, stretches, pairs of value and flow, tolerances; and what is remembered of rules that are gone."""

from __future__ import annotations

from typing import Any

import pytest

from edge_gateway.rules.aggregate import ExactSum, Pairs, Rolling, Tally, percentile
from edge_gateway.rules.base import Step
from edge_gateway.rules.engine import Engine
from edge_gateway.rules.exposure import ExposureTrack
from edge_gateway.rules.removed import remembered
from edge_gateway.rules.windows import WindowTrack

from .test_engine import S, rule
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


# --- late readings at a step's beginning, and what was not armed ------------------------------------------------------


@pytest.mark.parametrize(("own", "first", "second"), [(40, [1.0, 1.0], [1.0, 9.0]), (39, [1.0, 1.0, 9.0], [1.0])])
def test_a_late_reading_goes_into_the_step_that_had_begun_by_then(own: int, first: list[float], second: list[float]) -> None:
    engine = Engine([rule("window", high="100", window_us=600 * S, violation_after_us=0, terms={"fn": "mean", "step_us": 20 * S, "late_us": 300 * S})])
    for at in (0, 10, 40):
        engine.judge(at * S, at * S, ("p1",), [1.0], None)
    engine.tick(41 * S, 41 * S)
    engine.late((50 * S, 50 * S), ("p1",), [9.0], ["uncertain:late"], own * S)
    track = engine._tracks["r1/p1"]
    assert isinstance(track, WindowTrack)
    assert [(step.count, step.total.value) for step in track.rolling.steps] == [(len(each), sum(each)) for each in (first, second)]


@pytest.mark.parametrize(("version", "late", "taken"), [(2, 300 * S, True), (3, 300 * S, False), (3, 0, True)])
def test_what_is_late_and_of_a_time_before_it_was_armed_again_is_in_none_from_version_three_on(version: int, late: int, taken: bool) -> None:
    """A rule that waits for nothing late has no such border."""
    made = rule("window", semantics=version, high="100", violation_after_us=0, terms={"fn": "mean", "period": "hour", "late_us": late})
    engine = Engine([made])
    engine.judge(HOUR, HOUR, ("p1",), [1.0], None)
    engine.stand(HOUR + S, HOUR + S, "mark", {("r1", "p1"): "m"})
    engine.stand(HOUR + 20 * S, HOUR + 20 * S, "mark", {})
    engine.late((HOUR + 30 * S, HOUR + 30 * S), ("p1",), [9.0], ["uncertain:late"], HOUR + 10 * S)
    engine.judge(HOUR + 40 * S, HOUR + 40 * S, ("p1",), [1.0], None)
    engine.tick(HOUR + 41 * S, HOUR + 41 * S)
    track = engine._tracks["r1/p1"]
    assert isinstance(track, WindowTrack)
    assert track.periods[HOUR].total.value == (11.0 if taken else 2.0)


# --- what is remembered of rules that are gone ------------------------------------------------------------------------


def left(phase: int, began: int) -> dict[str, Any]:
    return {"phase": phase, "first": [began, 0, 1.0]}


def test_of_rules_that_are_gone_a_thousand_excursions_are_remembered_and_all_that_was_told() -> None:
    silent = {f"a/{n:04}": left(1, n) for n in range(1_002)}
    told_of = {f"b/{n:04}": left(2 + n % 2, 0) for n in range(1_100)}
    stood = {"c/1": {"shadow": left(1, 5_000)}, "c/2": {"shadow": left(0, 9_000)}, "c/3": {"shadow": None}, "a/0000": {"shadow": left(1, 6_000)}}
    kept, stands = remembered({**silent, **told_of, "d": left(0, 9_000)}, stood)
    assert set(told_of) <= set(kept)
    assert "d" not in kept, "nothing goes on in it"
    assert sorted(set(silent) - set(kept)) == ["a/0001", "a/0002", "a/0003"], "of 1,003 those that began first; a shadow's counts from its own beginning"
    assert set(stands) == {"c/1", "a/0000"}
