"""The numbers of docs/reference/violations.md, each from both sides: hours, deadlines, what an assessment and a record may hold."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_gateway.violations import Ask, StepRefused, Violations, Who
from edge_gateway.violations.assessment import CAUSES, DISPOSITIONS, severest
from edge_gateway.violations.causes import Causes, Declared, Silences
from edge_gateway.violations.deadlines import DEADLINES, DEFAULTS, hasten, hours, passed, restart, settle
from edge_gateway.violations.holding import shed
from tests.violations.acts import FULL, HOUR, ID, LI, MINOR, RULE, ZHANG, at, do, handled, opened, step

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "violations.md").read_text(encoding="utf-8")


# --- hours ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("severity", ["major", "minor"])
def test_hours_are_those_of_the_page(severity: str) -> None:
    head = re.search(r"^\| hours \|(.*)\|$", PAGE, re.MULTILINE)
    row = re.search(rf"^\| `{severity}` \|(.*)\|$", PAGE, re.MULTILINE)
    assert head
    assert row
    told = {name.strip(): float(cell) for name, cell in zip(head[1].split("|"), row[1].split("|"), strict=True)}
    assert set(told) == {*DEADLINES, "recur", "stable"}
    assert {what: hours({"severity": severity}, what) for what in told} == told
    assert set(DEFAULTS[severity]) == set(told)


def test_a_rule_s_own_hours_come_first_and_an_unknown_severity_has_the_longer_ones() -> None:
    assert hours({"severity": "major", "hours": {"correct": 0.25}}, "correct") == 0.25
    assert hours({"severity": "major", "hours": {"correct": 0.25}}, "verify") == 72
    assert hours({}, "acknowledge") == hours({"severity": ""}, "acknowledge") == 8


def record(**more: Any) -> dict[str, Any]:
    return {"handling": "new", "level": "violation", "severity": "major", **more}


def test_deadlines_begin_once_and_go_with_their_handling() -> None:
    one = record()
    assert settle(one, 5) is True
    assert (one["due"], one["overdue"]) == ({"acknowledge": 5 + HOUR, "correct": 5 + 24 * HOUR}, [])
    assert settle(one, 500) is False, "what runs is not begun anew"
    assert one["due"]["acknowledge"] == 5 + HOUR
    one |= {"handling": "acknowledged", "overdue": ["acknowledge", "correct"]}
    assert settle(one, None) is True
    assert (one["due"], one["overdue"]) == ({"correct": 5 + 24 * HOUR}, ["correct"])
    one |= {"handling": "closed"}
    assert settle(one, 9) is True
    assert one["due"] == {}
    notice = record(level="notice")
    assert settle(notice, 5) is False
    assert notice["due"] == {}


def test_where_nobody_vouches_for_the_clock_deadlines_wait_and_nothing_is_hastened() -> None:
    one = record()
    assert settle(one, None) is True
    assert one["due"] == {"acknowledge": None, "correct": None}
    hasten(one, 7)
    assert one["due"] == {"acknowledge": None, "correct": None}, "what does not run yet is not hastened"
    assert settle(one, 7) is True
    one["severity"] = "major"
    before = dict(one["due"])
    hasten(one, None)
    assert one["due"] == before


def test_a_graver_one_has_no_more_than_its_hours_from_now_and_never_more_than_before() -> None:
    one = record(severity="minor")
    settle(one, 0)
    assert one["due"] == {"acknowledge": 8 * HOUR, "correct": 72 * HOUR}
    one["severity"] = "major"
    hasten(one, HOUR)
    assert one["due"] == {"acknowledge": 2 * HOUR, "correct": 25 * HOUR}
    hasten(one, 100 * HOUR)
    assert one["due"] == {"acknowledge": 2 * HOUR, "correct": 25 * HOUR}


def test_a_deadline_is_over_after_its_instant_and_told_once() -> None:
    one = record(due={"acknowledge": 10, "correct": 20, "verify": None})
    assert passed(one, 10) == []
    assert passed(one, 11) == ["acknowledge"]
    assert passed(one, 21) == ["acknowledge", "correct"]
    assert passed(one | {"overdue": ["acknowledge"]}, 21) == ["correct"]
    assert passed(record(), 21) == []


def test_what_begins_anew_is_neither_due_nor_overdue() -> None:
    one = record(due={"acknowledge": 10, "correct": 20}, overdue=["correct", "acknowledge"])
    restart(one, "correct")
    assert (one["due"], one["overdue"]) == ({"acknowledge": 10}, ["acknowledge"])


def test_a_deadline_moves_by_thirty_days_and_not_a_microsecond_more() -> None:
    due = 24 * HOUR + 10_000_000
    for to_us, good in ((due + 30 * 24 * HOUR, True), (due + 30 * 24 * HOUR + 1, False), (due + 1, True), (due, False), (True, False)):
        violations = handled("acknowledged")
        if good:
            assert do(violations, "extend", LI, what="correct", to_us=to_us)["new_us"] == to_us
            continue
        with pytest.raises(StepRefused, match="by at most 30 days"):
            do(violations, "extend", LI, what="correct", to_us=to_us)


def test_a_deadline_that_does_not_run_is_refused_with_those_that_do() -> None:
    for handling, running in (("new", "acknowledge, correct"), ("acknowledged", "correct"), ("submitted", "verify")):
        with pytest.raises(StepRefused) as refused:
            do(handled(handling), "extend", LI, what="verify" if handling != "submitted" else "correct", to_us=10**15)
        assert refused.value.hint == f"running: {running}", handling
    waiting = Violations("tlf-007")
    waiting.apply(step("violated"), RULE, at(trusted=False))
    with pytest.raises(StepRefused) as refused:
        do(waiting, "extend", LI, what="correct", to_us=10**15)
    assert refused.value.hint == "running: none", "nobody vouched for a clock yet"


def test_a_severity_that_is_raised_with_the_submission_is_the_violation_s() -> None:
    violations = handled("correcting", rule=MINOR)
    do(violations, "correct", **FULL | {"severity": "minor"})
    violations.apply(step("recovered", 20), MINOR, at(20))
    made = do(violations, "submit", severity="major")
    assert (made["severity"], made["assessment"]["severity"], violations.open()[0]["severity"]) == ("major", "major", "major")


def test_a_deadline_that_is_over_moves_from_now() -> None:
    violations = handled("acknowledged")
    now = at(100 * 3600)
    with pytest.raises(StepRefused, match="to later"):
        do(violations, "extend", LI, when=now, what="correct", to_us=now.wall_us)
    latest_us = now.wall_us + 30 * 24 * HOUR
    with pytest.raises(StepRefused, match="to later"):
        do(violations, "extend", LI, when=now, what="correct", to_us=latest_us + 1)
    assert do(violations, "extend", LI, when=now, what="correct", to_us=latest_us)["new_us"] == latest_us


# --- the assessment ---------------------------------------------------------------------------------------------------


def told(**detail: Any) -> Any:
    found = do(handled("acknowledged"), "correct", **detail)["assessment"]
    assert set(found) == set(detail)
    return found[next(iter(detail))]


@pytest.mark.parametrize("cause", CAUSES)
def test_each_cause_of_the_list(cause: str) -> None:
    assert told(cause=cause) == cause


@pytest.mark.parametrize(
    ("detail", "good"),
    [
        ({"zone": "z" * 300}, True), ({"zone": "z" * 301}, False), ({"zone": 5}, False),
        ({"lots": ["x" * 64]}, True), ({"lots": ["x" * 65]}, False), ({"lots": [5]}, False), ({"lots": []}, True),
        ({"lots": [str(n) for n in range(100, 300)]}, True), ({"lots": [str(n) for n in range(100, 301)]}, False),
        ({"period": {"from_us": 0, "to_us": 0}}, True), ({"period": {"from_us": 5, "to_us": 5}}, True),
        ({"period": {"from_us": 5, "to_us": 2**53 - 1}}, True), ({"period": {"from_us": 5, "to_us": 2**53}}, False),
        ({"period": {"from_us": -1, "to_us": 5}}, False), ({"period": 5}, False), ({"period": {"from_us": "x", "to_us": 1}}, False),
        ({"products": [{"what": "kept", "kg": "1"}] * 50}, True), ({"products": [{"what": "kept", "kg": "1"}] * 51}, False),
        ({"products": [{"what": "kept", "kg": "9999999.999"}]}, True), ({"products": [{"what": "kept", "kg": "10000000"}]}, False),
        ({"products": [{"what": "kept", "kg": "0.001"}]}, True), ({"products": [{"what": "kept", "kg": "0.0001"}]}, False),
        ({"products": [{"what": "kept", "kg": "0.000"}]}, False), ({"products": [{"what": "none", "kg": "0"}]}, True),
        ({"products": ["kept"]}, False), ({"products": {}}, False), ({"products": [{"what": "kept", "kg": "1", "lot": "x" * 65}]}, False),
    ],
    ids=lambda each: str(each)[:60],
)  # fmt: skip
def test_an_assessment_from_both_sides_of_its_bounds(detail: dict[str, Any], good: bool) -> None:
    if good:
        assert told(**detail) == next(iter(detail.values()))
        return
    violations = handled("acknowledged")
    before = violations.snapshot()
    with pytest.raises(StepRefused) as refused:
        do(violations, "correct", **detail)
    assert refused.value.hint
    assert violations.snapshot() == before


@pytest.mark.parametrize("what", DISPOSITIONS)
def test_every_product_but_none_has_a_weight(what: str) -> None:
    if what == "none":
        assert told(products=[{"what": what}]) == [{"what": what, "kg": "0"}]
        return
    assert told(products=[{"what": what, "kg": "2.5", "lot": "L"}]) == [{"what": what, "kg": "2.5", "lot": "L"}]
    with pytest.raises(StepRefused, match="no weight"):
        told(products=[{"what": what}])


def test_the_gravest_of_several_and_nothing_of_none() -> None:
    assert severest() == severest(None, "", "awful") == ""
    assert severest("minor") == severest(None, "minor", "?") == "minor"
    assert severest("minor", "major") == severest("major", "minor") == "major"


def test_a_person_may_keep_or_raise_the_severity_and_not_lower_it() -> None:
    assert told(severity="major") == "major"
    violations = handled("acknowledged", rule=MINOR)
    assert do(violations, "correct", severity="minor")["severity"] == "minor"
    assert do(violations, "correct", severity="major")["severity"] == "major"
    with pytest.raises(StepRefused, match="cannot be less than 'major'"):
        do(violations, "correct", severity="minor")


# --- what a record holds ----------------------------------------------------------------------------------------------


def test_the_log_keeps_the_newest_thirty_steps_in_few_words() -> None:
    violations = handled("correcting")
    for n in range(40):
        violations.take(Ask("correct", ID, LI, f"{n:02}" + "x" * 400, {"cause": "door"}), at(n + 20))
    [kept] = violations.open()
    assert len(kept["log"]) == 30
    assert [each["reason"][:2] for each in kept["log"]] == [f"{n:02}" for n in range(10, 40)]
    assert {len(each["reason"]) for each in kept["log"]} == {300}
    assert kept["reason"] == "39" + "x" * 400, "the newest reason is whole"


def test_the_log_names_photos_and_knows_a_step_that_it_has() -> None:
    violations = opened("violated")
    photo = {"sha256": "ab" * 32, "size_bytes": 5}
    made = violations.take(Ask("ack", ID, LI, "seen", {}, (photo,)), at(20))[0]
    assert made["photos"] == [photo]
    assert violations.open()[0]["log"][-1]["photos"] == ["ab" * 32]
    again = Violations("tlf-007")
    again.restore(violations.snapshot())
    again.replay(made | {"wall_us": at(20).wall_us, "rule_us": at(20).rule_us})
    assert again.open()[0]["log"] == violations.open()[0]["log"]


def test_a_reason_is_two_thousand_characters_at_most() -> None:
    for length, good in ((2000, True), (2001, False)):
        ask = Ask("ack", ID, LI, "x" * length)
        if good:
            assert opened("violated").take(ask, at())[0]["reason"] == "x" * length
            continue
        with pytest.raises(StepRefused, match="2000"):
            opened("violated").take(ask, at())


def test_a_finding_s_words_are_cut_and_its_place_is_kept() -> None:
    violations = Violations("tlf-007")
    detail = {"severity": "minor", "title": "t" * 300, "basis": "b" * 300, "zone": "z" * 100}
    [made] = violations.find(Ask("open", "", ZHANG, "cracked tile", detail), at())
    assert (made["title"], made["basis"], made["scope"]) == ("t" * 200, "b" * 200, {"zone": "z" * 64})
    assert (made["level"], made["condition"], made["handling"], made["minutes"]) == ("violation", "active", "new", 0.0)
    [plain] = violations.find(Ask("open", "", ZHANG, "wet floor", {"severity": "major", "point": "p9"}), at())
    assert (plain["title"], plain["basis"], plain["point"], "scope" in plain) == ("wet floor", "", "p9", False)


def many(n: int) -> tuple[Violations, dict[str, Any]]:
    violations = opened("violated")
    ids = []
    for number in range(n):
        violations.apply(step("violated", point=f"q{number:03}"), MINOR, at())
        ids.append(f"tlf-007-{number + 2}")
    return violations, violations.hold(ids, ID, at())[-1]


def test_a_cause_names_two_hundred_points_and_counts_the_rest() -> None:
    _, cause = many(200)
    assert (len(cause["scope"]["points"]), cause["holds"], "more" in cause["scope"]) == (200, 200, False)
    violations, cause = many(203)
    assert (cause["scope"]["points"][-1], len(cause["scope"]["points"]), cause["scope"]["more"], cause["holds"]) == ("q199", 200, 3, 203)
    violations.apply(step("violated", point="top"), RULE, at())
    above = violations.hold([ID], "tlf-007-205", at())[-1]
    assert (len(above["scope"]["points"]), above["scope"]["more"], above["holds"]) == (200, 4, 204), "each of the 204 once"


def test_what_recurs_within_its_hours_names_the_old_one_and_not_later() -> None:
    for second, named in ((10 + 72 * 3600, True), (10 + 72 * 3600 + 1, False)):
        violations = handled("closed")
        made = violations.apply(step("violated", second), RULE, at(second))[0]
        assert ("follows" in made) is named, second


def test_what_ended_is_named_to_the_end_of_its_hours_also_when_another_ends_just_then() -> None:
    last = 10 + 72 * 3600
    for second, named in ((last, True), (last + 0.000001, False)):
        violations = handled("closed")
        violations.apply(step("violated", point="p2"), RULE, at(20))
        for what in ("ack", "correct", "submit", "close"):
            violations.apply(step("recovered", 30, point="p2"), RULE, at(30))
            do(violations, what, LI if what == "close" else ZHANG, "tlf-007-2", when=at(second), **FULL if what == "correct" else {})
        assert {each["violation"] for each in violations.ended()} == ({ID, "tlf-007-2"} if named else {"tlf-007-2"})
        assert ("follows" in violations.apply(step("violated", second), RULE, at(second))[0]) is named, second


def test_a_cause_that_goes_on_under_another_keeps_what_persons_said_of_its_scope() -> None:
    record: dict[str, Any] = {"scope": {"points": ["a"], "zones": ["z"], "more": 3, "zone": "cold1"}, "holds": 4}
    shed(record)
    assert record == {"scope": {"zone": "cold1"}, "holds": None}
    bare: dict[str, Any] = {"holds": 4}
    shed(bare)
    assert bare == {"scope": {}, "holds": None}


def test_a_finding_has_the_photos_that_came_with_it() -> None:
    photo = {"sha256": "ab" * 32, "size_bytes": 5}
    for photos in ((photo,), ()):
        violations = Violations("tlf-007")
        [made] = violations.find(Ask("open", "", ZHANG, "cracked tile", {"severity": "minor"}, photos), at())
        assert made.get("photos") == ([photo] if photos else None)
        assert violations.open()[0]["log"][0].get("photos") == (["ab" * 32] if photos else None)


def test_a_cause_s_consequences_have_ten_minutes_after_it() -> None:
    for second, returns in ((609.9, False), (610, True)):
        violations = handled("merged", "active")
        violations.apply(step("recovered", point="cause"), RULE, at(10))
        assert [each["step"] for each in violations.passing(at(second))] == (["unmerged"] if returns else [])


SITE: dict[str, Any] = {
    "semantics": {"causes": 1}, "devices": {"d1": {"bus": "b1"}, "d2": {"bus": "b1"}, "d3": {"bus": "b2"}},
    "points": {"p1": {"device": "d1", "zone": "z"}, "p2": {"device": "d2", "zone": "z"}, "p3": {"device": "d3"}, "p4": {}},
    "groups": {"g1": {"points": ["p1"], "interval_us": 30_000_000}, "g2": {"points": ["p2"], "interval_us": 10_000_000}},
    "rules": [{"id": "s", "kind": "stale"}, {"id": "c", "kind": "limit", "consequences": ["h"], "consequences_over": "zone"},
              {"id": "m", "kind": "window", "consequences": ["m"], "consequences_over": "site"}],
}  # fmt: skip


def began(rule: str, point: str, rule_us: int) -> dict[str, Any]:
    return {"rule": rule, "point": point, "first": {"rule_us": rule_us}, "handling": "new"}


@pytest.mark.parametrize(
    ("point", "other", "near_us"),
    [("p1", "p2", 90_000_000), ("p2", "p1", 70_000_000), ("p1", "p3", 120_000_000), ("p1", "p4", 120_000_000), ("p4", "p4", 120_000_000)],
)
def test_silences_of_one_time_are_as_near_as_readings_can_tell(point: str, other: str, near_us: int) -> None:
    """On a bus: the interval of the one that fell silent first, and a minute; else two minutes."""
    for apart_us, one in ((0, True), (near_us, True), (near_us + 1, False)):
        first, second = began("s", point, 5), began("s", other, 5 + apart_us)
        if apart_us:
            assert Silences(SITE).together(first, second) is Silences(SITE).together(second, first) is one, apart_us
        assert Causes(SITE).explains(first, second) is one
    assert not Causes(SITE | {"semantics": {}}).explains(began("s", point, 5), began("s", other, 5)), "records of earlier releases"


def test_a_consequence_begins_with_its_cause_or_after_it_and_what_names_itself_only_with_it() -> None:
    both_us = 30_000_000 + 10_000_000 + 60_000_000
    for later_us, follows in ((-both_us - 1, False), (-both_us, True), (both_us + 1, True), (10**12, True)):
        assert Declared(SITE).follows(began("c", "p1", 10**9), began("h", "p2", 10**9 + later_us)) is follows
    for later_us, follows in ((-both_us - 1, False), (-both_us, True), (both_us, True), (both_us + 1, False)):
        assert Declared(SITE).follows(began("m", "p1", 10**9), began("m", "p2", 10**9 + later_us)) is follows
    assert not Declared(SITE).follows(began("c", "p1", 0), began("h", "p3", 0)), "in no zone"
    assert not Declared(SITE).follows(began("c", "p3", 0), began("h", "p4", 0)), "two points without a zone share none"


def test_numbers_go_on_above_what_was_given() -> None:
    violations = Violations("tlf-007")
    violations.floor = 41
    assert violations.apply(step("notice"), RULE, at())[0]["violation"] == "tlf-007-42"
    assert violations.number == 42
    violations.number_at_least(41)
    assert violations.number == 42
    violations.number_at_least(50)
    assert violations.apply(step("notice", point="p2"), RULE, at())[0]["violation"] == "tlf-007-51"


def test_who_is_at_the_keyboard_stands_beside_whose_name_it_is() -> None:
    body = opened("violated").take(Ask("ack", ID, Who("li", "secret", "pi"), "seen"), at())[0]
    assert (body["by"], body["user"]) == ("li", "pi")
    assert "user" not in opened("violated").take(Ask("ack", ID, Who("pi", "claimed", "pi"), "seen"), at())[0]
    assert "user" not in opened("violated").take(Ask("ack", ID, Who("pi"), "seen"), at())[0]


def test_the_peak_of_all_episodes_is_the_furthest_and_of_equal_ones_the_first() -> None:
    violations = handled("correcting")
    violations.apply(step("recovered", 20), RULE, at(20))
    second = replace(step("violated", 30), peak=-14.0, excess=3.0)
    assert violations.apply(second, RULE, at(30))[0]["whole"]["peak"] == -15.0, "as far beyond is not further"
    assert violations.apply(replace(second, step="active", peak=-13.0, excess=5.0), RULE, at(40))[0]["whole"]["peak"] == -13.0
    assert violations.open()[0]["episode"] == 2
    assert FULL["severity"] == "major"
