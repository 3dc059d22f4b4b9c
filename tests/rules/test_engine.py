"""The engine's semantics, sentence by sentence: delays, hysteresis, unknown, ticks, reload, silence."""

from __future__ import annotations

import pytest

from edge_gateway.rules.base import BoundRule, Step
from edge_gateway.rules.engine import Engine

S = 1_000_000
P = ("p1",)


def rule(kind: str = "limit", *, point: str = "p1", name: str = "r1", **numbers: object) -> BoundRule:
    base: dict[str, object] = {"violation_after_us": 60 * S, "fresh_us": 30 * S}
    return BoundRule(
        id=name,
        pack="t",
        pack_version="1.0.0",
        edition="2026-11",
        kind=kind,
        point=point,
        **(base | numbers),  # type: ignore[arg-type]
    )


HIGH = {"high": "10", "clear_high": "9"}


class Line:
    """One point fed by seconds: a number is a good reading, None a bad one, "tick" the passing of time."""

    def __init__(self, *rules: BoundRule, state: dict[str, object] | None = None) -> None:
        self.engine = Engine(rules)
        if state is not None:
            self.engine.restore(state)

    def at(self, second: float, value: float | str | None, word: str | None = None) -> list[Step]:
        us = round(second * S)
        if value == "tick":
            return self.engine.tick(us, us)
        quality = None if value is not None and word is None else [word or "bad:no-answer"]
        return self.engine.judge(us, us, P, [value], quality)  # type: ignore[list-item]

    def run(self, *what: tuple[float, float | str | None]) -> list[tuple[float, str]]:
        steps = []
        for second, value in what:
            steps += [(second, step.step) for step in self.at(second, value)]
        return steps


def test_a_reading_beyond_the_limit_is_a_notice_at_once_and_a_violation_after_the_delay() -> None:
    line = Line(rule(**HIGH))
    assert line.run((0, 5), (10, 11), (40, 12), (69, 11), (70, 11), (80, 11)) == [(10, "notice"), (70, "violated")]


def test_the_limit_itself_is_within() -> None:
    assert Line(rule(**HIGH)).run((0, 10), (10, 10), (200, 10)) == []


def test_the_notice_waits_for_its_own_delay_from_the_first_offending_reading() -> None:
    line = Line(rule(**HIGH, notice_after_us=20 * S))
    assert line.run((0, 11), (10, 11), (20, 11), (30, 8), (40, 11), (50, 8)) == [(20, "notice"), (30, "cancelled")]


def test_a_step_tells_the_first_offending_reading_the_peak_and_the_time_beyond() -> None:
    line = Line(rule(**HIGH))
    line.at(0, 11)
    line.at(20, 14)
    line.at(40, 12)
    (step,) = line.at(60, 11)
    assert (step.step, step.first.rule_us, step.first.value, step.peak, step.value) == ("violated", 0, 11, 14, 11)
    assert step.beyond_us == 60 * S
    assert step.rule_us == 60 * S


def test_the_peak_of_a_lower_limit_is_the_lowest() -> None:
    line = Line(rule(low="0", violation_after_us=20 * S))
    line.run((0, -1), (10, -3))
    (step,) = line.at(20, -2)
    assert (step.step, step.peak) == ("violated", -3)


def test_within_the_limit_but_not_past_the_hysteresis_neither_cancels_nor_fires() -> None:
    line = Line(rule(**HIGH))
    assert line.run((0, 11), (30, 9.5), (65, 9.5), (66, "tick"), (70, 11)) == [(0, "notice"), (70, "violated")]


def test_past_the_hysteresis_a_notice_is_cancelled_at_once() -> None:
    assert Line(rule(**HIGH)).run((0, 11), (30, 9)) == [(0, "notice"), (30, "cancelled")]


def test_a_violation_recovers_only_after_clear_after_past_the_hysteresis() -> None:
    line = Line(rule(**HIGH, violation_after_us=0, clear_after_us=30 * S))
    steps = line.run((0, 11), (10, 8), (20, 9.5), (30, 8), (59, 8), (60, 8), (70, 8))
    assert steps == [(0, "violated"), (60, "recovered")]


def test_unknown_neither_clears_nor_fires_nor_resets() -> None:
    line = Line(rule(**HIGH))
    assert line.run((0, 11), (10, None), (50, None), (70, None), (75, "tick")) == [(0, "notice"), (10, "unknown")]
    assert line.run((80, 11)) == [(80, "violated")]


def test_after_unknown_a_value_within_the_limit_cancels() -> None:
    assert Line(rule(**HIGH)).run((0, 11), (30, None), (90, 8)) == [(0, "notice"), (30, "unknown"), (90, "cancelled")]


def test_the_start_is_the_first_offending_reading_also_after_unknown() -> None:
    line = Line(rule(**HIGH))
    line.run((5, 11), (10, None))
    (step,) = line.at(100, 12)
    assert (step.step, step.first.rule_us) == ("violated", 5 * S)
    assert step.beyond_us == 5 * S  # what is known: from the reading at 5 to the unknown one at 10


def test_unknown_does_not_restart_the_clearing() -> None:
    line = Line(rule(**HIGH, violation_after_us=0, clear_after_us=30 * S))
    steps = line.run((0, 11), (10, 8), (20, None), (40, 8))
    assert steps == [(0, "violated"), (20, "unknown"), (40, "recovered")]


def test_a_violation_comes_back_from_unknown_as_active() -> None:
    line = Line(rule(**HIGH, violation_after_us=0))
    assert line.run((0, 11), (10, None), (20, None), (30, 11)) == [(0, "violated"), (10, "unknown"), (30, "active")]


def test_a_short_unknown_is_not_told_when_the_rule_says_so() -> None:
    line = Line(rule(**HIGH, violation_after_us=0, unknown_after_us=60 * S))
    assert line.run((0, 11), (10, None), (40, None), (50, 11), (60, None), (120, None)) == [
        (0, "violated"),
        (120, "unknown"),
    ]


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_unknown_whatever_its_quality(value: float | None) -> None:
    line = Line(rule(**HIGH, low="-10", violation_after_us=0))
    line.at(0, 11)
    steps = line.engine.judge(10 * S, 10 * S, P, [value], None)
    assert [step.step for step in steps] == ["unknown"]


@pytest.mark.parametrize("word", ["uncertain:queued", "uncertain:future"])
def test_queued_and_future_readings_are_not_judged(word: str) -> None:
    line = Line(rule(**HIGH, violation_after_us=0), rule("stale", name="s", after_us=30 * S, violation_after_us=None))
    line.at(0, 5)
    assert line.at(10, 99, word) == []
    assert [step.step for step in line.at(31, "tick")] == ["notice"], "and they do not count as heard"


def test_other_uncertain_readings_are_judged() -> None:
    assert [s.step for s in Line(rule(**HIGH, violation_after_us=0)).at(0, 11, "uncertain:other")] == ["violated"]


def test_a_tick_fires_while_the_last_reading_offends_and_is_fresh() -> None:
    line = Line(rule(**HIGH, fresh_us=60 * S))
    line.at(0, 11)
    assert line.engine.due_us() == 60 * S
    assert line.run((60, "tick")) == [(60, "violated")]


def test_a_tick_does_not_fire_on_a_stale_reading() -> None:
    line = Line(rule(**HIGH, fresh_us=30 * S))
    line.at(0, 11)
    assert line.engine.due_us() is None
    assert line.run((60, "tick"), (90, "tick")) == []
    assert line.run((100, 11)) == [(100, "violated")]


def test_a_late_tick_does_not_fire_and_is_not_asked_for_again() -> None:
    line = Line(rule(**HIGH, fresh_us=60 * S))
    line.at(0, 11)
    assert line.engine.due_us() == 60 * S
    assert line.run((61, "tick")) == []
    assert line.engine.due_us() is None


def test_a_tick_does_not_fire_when_the_last_reading_is_within_or_unknown() -> None:
    assert Line(rule(**HIGH, fresh_us=90 * S)).run((0, 11), (10, 9.5), (60, "tick")) == [(0, "notice")]
    assert Line(rule(**HIGH, fresh_us=90 * S)).run((0, 11), (10, None), (60, "tick")) == [
        (0, "notice"),
        (10, "unknown"),
    ]


def test_a_rule_for_notices_never_violates() -> None:
    line = Line(rule(**HIGH, violation_after_us=None))
    assert line.run((0, 11), (9999, 12), (20000, 8)) == [(0, "notice"), (20000, "cancelled")]
    assert line.engine.due_us() is None


def test_rate_judges_the_change_per_second() -> None:
    line = Line(rule("rate", per_s="0.5", violation_after_us=None))
    assert line.run((0, 20), (10, 25), (20, 30.1), (30, 30.1)) == [(20, "notice"), (30, "cancelled")]


def test_rate_looks_over_its_window() -> None:
    line = Line(rule("rate", per_s="0.5", window_us=60 * S, violation_after_us=None))
    assert line.run((0, 20), (10, 40), (30, 20), (60, 21), (70, 0), (120, 90)) == [(120, "notice")]


def test_silence_is_a_notice_then_a_violation_and_ends_with_a_good_reading() -> None:
    line = Line(rule("stale", after_us=30 * S))
    assert line.run((0, 5), (20, 5), (49, "tick"), (50, "tick"), (109, "tick"), (110, "tick")) == [
        (50, "notice"),
        (110, "violated"),
    ]
    (step,) = line.at(120, 5)
    assert (step.step, step.first.rule_us, step.first.value, step.peak) == ("recovered", 20 * S, None, 100.0)
    assert step.beyond_us == 70 * S


def test_a_bad_reading_is_silence_too() -> None:
    line = Line(rule("stale", after_us=30 * S))
    assert line.run((0, 5), (10, None), (20, None), (30, "tick")) == [(30, "notice")]


def test_silence_counts_from_the_start_when_nothing_was_ever_heard() -> None:
    line = Line(rule("stale", after_us=30 * S))
    assert line.engine.due_us() == 0
    assert line.run((100, "tick")) == []
    assert line.engine.due_us() == 130 * S
    assert line.run((130, "tick")) == [(130, "notice")]


def test_silence_that_nobody_could_hear_gets_one_chance_and_only_one() -> None:
    line = Line(rule("stale", after_us=30 * S))
    line.at(0, 5)
    state = line.engine.snapshot()
    for second in (3600, 3620):  # power came back, and was cut again before the chance had passed
        line = Line(rule("stale", after_us=30 * S), state=state)
        assert line.run((second, "tick")) == []
        state = line.engine.snapshot()
    assert line.engine.due_us() == 3630 * S
    assert line.run((3630, "tick")) == [(3630, "violated")]


def test_silence_returns_while_recovering() -> None:
    line = Line(rule("stale", after_us=30 * S, violation_after_us=0, clear_after_us=60 * S))
    steps = line.run((0, 5), (30, "tick"), (40, 5), (110, 5), (130, 5), (150, 5), (170, 5))
    assert steps == [(30, "violated"), (170, "recovered")]


def test_a_point_may_have_several_rules_and_the_order_of_files_decides_nothing() -> None:
    several = [rule(**HIGH, name="b"), rule(high="12", name="a", violation_after_us=0)]
    for given in (several, several[::-1]):
        line = Line(*given)
        assert [(s.rule, s.step) for s in line.at(0, 13)] == [("a", "violated"), ("b", "notice")]
        assert [(s.rule, s.step) for s in line.at(10, 11)] == [("a", "recovered")]


def test_a_removed_rule_leaves_its_violation_open_and_unknown_once() -> None:
    line = Line(rule(**HIGH, violation_after_us=0))
    line.at(0, 11)
    engine = Engine([])
    engine.restore(line.engine.snapshot())  # as a reload does: state goes through an engine without rules
    line = Line(rule(name="other", high="99"), state=engine.snapshot())
    assert [(s.rule, s.point, s.step, s.first.value) for s in line.at(10, 5)] == [("r1", "p1", "unknown", 11)]
    assert line.at(20, 5) == []
    line = Line(rule(name="other", high="99"), state=line.engine.snapshot())
    assert line.at(30, 5) == []
    line = Line(rule(**HIGH, violation_after_us=0), state=line.engine.snapshot())  # the rule comes back
    assert line.run((40, 11), (50, 8)) == [(40, "active"), (50, "recovered")]


def test_a_removed_rule_without_anything_open_leaves_nothing() -> None:
    line = Line(rule(**HIGH), rule("rate", name="rate", per_s="1"))
    line.at(0, 5)
    line = Line(rule(name="other", high="99"), state=line.engine.snapshot())
    assert line.at(10, 5) == []
    assert line.engine.snapshot() == {"rules": {}, "seen": {}}


def test_a_renamed_point_keeps_its_delay() -> None:
    line = Line(rule(**HIGH))
    line.at(0, 11)
    engine = Engine([rule(**HIGH, point="p2", renamed_from="p1")])
    engine.restore(line.engine.snapshot())
    steps = engine.judge(60 * S, 60 * S, ("p2",), [11], None)
    assert [(s.point, s.step, s.first.rule_us) for s in steps] == [("p2", "violated", 0)]


def test_reload_does_not_restart_a_delay_and_new_numbers_judge_from_then_on() -> None:
    line = Line(rule(**HIGH))
    line.at(0, 11)
    line = Line(rule(high="20"), state=line.engine.snapshot())
    assert line.run((30, 11)) == [(30, "cancelled")]


def test_columns_of_different_groups_do_not_disturb_each_other() -> None:
    engine = Engine([rule(point=p, **HIGH, violation_after_us=0) for p in ("a", "b", "c")])
    assert [s.point for s in engine.judge(0, 0, ("a", "x", "b"), [11, 99, 5], None)] == ["a"]
    assert [s.point for s in engine.judge(1, 1, ("c",), [11], None)] == ["c"]
    assert [s.point for s in engine.judge(2, 2, ("a", "x", "b"), [5, None, 11], ["good", "bad:frame", "good"])] == [
        "a",
        "b",
    ]


def test_a_point_that_moves_to_another_group_keeps_when_it_was_heard() -> None:
    engine = Engine([rule("stale", point=p, after_us=30 * S) for p in ("a", "b")])
    engine.judge(0, 0, ("a", "b"), [1, 1], None)
    engine.judge(20 * S, 20 * S, ("b",), [1], None)
    assert [(s.point, s.step) for s in engine.tick(30 * S, 30 * S)] == [("a", "notice")]
    assert engine.due_us() == 50 * S
    engine.judge(31 * S, 31 * S, ("a", "b"), [1, 1], None)
    assert engine.tick(50 * S, 50 * S) == []
    assert engine.due_us() == 61 * S


def test_a_rule_that_is_armed_anew_begins_with_the_next_reading() -> None:
    """After a withdrawal: what still holds is a new excursion with its own start and delay."""
    line = Line(rule(violation_after_us=10 * S, **HIGH))
    assert line.run((1, 12), (11, 12)) == [(1, "notice"), (11, "violated")]
    line.engine.rearm("r1", "p1")
    assert line.engine.snapshot()["rules"] == {}
    steps = [step for second in (12, 21, 22) for step in line.at(second, 12)]
    assert [(step.step, step.first.rule_us // S) for step in steps] == [("notice", 12), ("violated", 12)]
    line.engine.rearm("r1", "elsewhere")
