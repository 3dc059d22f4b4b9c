"""Violations: ids, the two axes, what follows what, snapshots and replay. Persons' steps stand in ``test_persons``."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import orjson
import pytest

from edge_gateway.cli.words import WORDS
from edge_gateway.record import entry as record_entry
from edge_gateway.rules.base import BoundRule
from edge_gateway.rules.engine import Engine
from edge_gateway.violations import ENDED, HANDLINGS, Ask, StepRefused, Violations
from edge_gateway.web import pages
from tests.violations.acts import FULL, HOUR, ID, LI, RULE, WANG, at, do, handled, opened, state, step


def test_a_step_becomes_an_entry_that_says_everything() -> None:
    [body] = Violations("tlf-007").apply(step("violated", 90), RULE, at(90))
    assert body == {
        "violation": ID, "rule": "r1", "point": "p1", "step": "violated", "condition": "active", "handling": "new",
        "first": {"rule_us": 1, "wall_us": 2, "value": -17.0}, "peak": -15.0, "minutes": 1.5, "value": -15.0,
        "limit": "≤ -18 Cel", "severity": "major", "basis": "GB 1 (2019), clause not verified", "verified": "no",
        "decision": "simple acceptance", "level": "violation", "episode": 1, "running": "violation", "opened": {"epoch": "e1", "seq": 7},
        "whole": {
            "first": {"rule_us": 1, "wall_us": 2, "value": -17.0}, "peak": -15.0, "excess": 3.0, "beyond_us": 90_000_000, "past_us": 0,
        },
        "due": {"acknowledge": 90_000_000 + HOUR, "correct": 90_000_000 + 24 * HOUR},
    }  # fmt: skip
    stamp = record_entry.Stamp(1, 2, 3, "boot", True)
    assert record_entry.decode(record_entry.encode(7, "violation", stamp, body))["basis"] == body["basis"]


def test_ids_are_numbered_by_order_of_opening_and_never_given_twice() -> None:
    violations = Violations("tlf-007")
    assert violations.apply(step("notice", point="a"), RULE, at())[0]["violation"] == "tlf-007-1"
    assert violations.apply(step("notice", point="b"), RULE, at())[0]["violation"] == "tlf-007-2"
    violations.apply(step("cancelled", point="b"), RULE, at())
    assert violations.apply(step("notice", point="b"), RULE, at())[0]["violation"] == "tlf-007-3"
    again = Violations("tlf-007")
    again.restore(violations.snapshot())
    assert again.apply(step("notice", point="c"), RULE, at())[0]["violation"] == "tlf-007-4"


def test_a_violation_is_known_by_the_entry_that_opened_it() -> None:
    violations = Violations("tlf-007")
    violations.apply(step("notice"), RULE, at(seq=41))
    assert violations.apply(step("violated"), RULE, at(seq=60))[0]["opened"] == {"epoch": "e1", "seq": 41}
    assert do(violations, "ack", when=at(seq=70))["opened"] == {"epoch": "e1", "seq": 41}


def test_a_notice_becomes_a_violation_under_the_same_id() -> None:
    assert state(opened("notice")) == [(ID, "notice", "active", "new")]
    assert state(opened("notice", "violated")) == [(ID, "violation", "active", "new")]


def test_a_cancelled_notice_is_over_and_no_violation() -> None:
    violations = opened("notice")
    [body] = violations.apply(step("cancelled"), RULE, at())
    assert (body["condition"], body["handling"]) == ("recovered", "new")
    assert violations.open() == []


@pytest.mark.parametrize("handling", ["new", "acknowledged", "correcting"])
def test_condition_follows_readings_and_handling_stays(handling: str) -> None:
    violations = handled(handling, "active")
    for name in ("unknown", "active", "unknown", "recovered", "notice", "cancelled", "violated", "unknown"):
        violations.apply(step(name), RULE, at())
        condition = {"notice": "active", "cancelled": "recovered", "violated": "active"}.get(name, name)
        assert state(violations) == [(ID, "violation", condition, handling)]


def test_active_again_before_closing_is_the_same_violation_and_one_episode_more() -> None:
    violations = handled("acknowledged")
    assert violations.apply(step("notice"), RULE, at())[0]["episode"] == 2
    assert state(violations) == [(ID, "violation", "active", "acknowledged")]
    assert violations.apply(step("violated"), RULE, at())[0]["episode"] == 2
    violations.apply(step("recovered"), RULE, at())
    assert violations.apply(step("violated"), RULE, at())[0]["episode"] == 3


def test_active_again_sends_what_was_submitted_back_to_correcting() -> None:
    violations = handled("submitted")
    assert violations.apply(step("notice"), RULE, at())[0]["handling"] == "submitted", "a notice is no violation yet"
    with pytest.raises(StepRefused, match="still active"):
        do(violations, "close", LI)
    [body] = violations.apply(step("violated", 50), RULE, at(50))
    assert (body["handling"], body["before"], body["episode"]) == ("correcting", "submitted", 2)
    assert body["due"] == {"correct": 50_000_000 + 24 * HOUR}
    assert "returns" not in body, "nobody returned it"


def test_active_after_unknown_sends_what_was_submitted_back_too() -> None:
    violations = handled("correcting", "unknown")
    do(violations, "submit")
    assert violations.apply(step("active"), RULE, at())[0]["handling"] == "correcting"


def test_a_notice_after_recovery_that_is_cancelled_leaves_the_violation_recovered() -> None:
    violations = handled("submitted")
    for name in ("notice", "cancelled"):
        violations.apply(step(name), RULE, at())
    assert state(violations) == [(ID, "violation", "recovered", "submitted")]


def test_minutes_and_peak_of_all_episodes_are_kept_together_and_exact() -> None:
    violations = Violations("tlf-007")
    violations.apply(step("violated", 61), RULE, at())
    violations.apply(step("recovered", 100), RULE, at())
    again = step("violated", 30)
    [body] = violations.apply(again, RULE, at())
    assert body["whole"] == {
        "first": {"rule_us": 1, "wall_us": 2, "value": -17.0}, "peak": -15.0, "excess": 3.0, "beyond_us": 130_000_000,
        "past_us": 100_000_000,
    }  # fmt: skip
    assert body["minutes"] == 0.5, "the present episode's"


# --- what follows what ------------------------------------------------------------------------------------------------


def test_again_within_recur_h_after_closing_is_a_new_one_that_names_the_old() -> None:
    violations = handled("closed")
    [body] = violations.apply(step("violated", 72 * 3600 + 10), RULE, at(seq=99))
    assert body["violation"] == "tlf-007-2"
    assert body["follows"] == {"violation": ID, "opened": {"epoch": "e1", "seq": 7}, "how": "closed"}
    assert do(violations, "ack", WANG, "tlf-007-2")["follows"]["violation"] == ID


def test_again_later_names_nothing() -> None:
    violations = handled("closed")
    late = 72 * 3600 + 11
    assert "follows" not in violations.apply(step("violated", late), RULE, at(late))[0]


def test_a_notice_that_was_cancelled_in_between_does_not_hide_the_old_one() -> None:
    violations = handled("closed")
    for name in ("notice", "cancelled"):
        violations.apply(step(name), RULE, at())
    assert violations.apply(step("violated"), RULE, at())[0]["follows"]["violation"] == ID


def test_an_excursion_that_goes_on_after_a_withdrawal_opens_a_new_one_that_names_it() -> None:
    violations = opened("violated")
    do(violations, "ask-withdrawal")
    assert do(violations, "withdraw", LI)["handling"] == "withdrawn"
    assert violations.open() == []
    [body] = violations.apply(step("violated", 10**5), RULE, at(10**5))
    assert (body["violation"], body["follows"]["violation"], body["follows"]["how"]) == ("tlf-007-2", ID, "withdrawn")


def test_what_begins_long_after_a_withdrawal_goes_on_with_nothing() -> None:
    for later_s, follows in ((10 + 72 * 3600, ID), (11 + 72 * 3600, None)):
        violations = opened("violated")
        do(violations, "ask-withdrawal")
        do(violations, "withdraw", LI)
        [body] = violations.apply(step("violated", later_s), RULE, at(later_s))
        assert body.get("follows", {}).get("violation") == follows, later_s


def test_another_edition_of_its_rule_makes_no_violation_less_grave() -> None:
    for name, severity in (("violated", "major"), ("notice", "minor")):
        violations = opened(name)
        violations.apply(step("unknown", 20), replace(RULE, severity="minor"), at(20))
        assert violations.open()[0]["severity"] == severity
        restored = Violations("tlf-007")
        restored.restore(violations.snapshot())
        restored.apply(step("active", 30), replace(RULE, severity="minor"), at(30))
        assert restored.open()[0]["severity"] == severity


# --- a cause and what it hides ----------------------------------------------------------------------------------------


def cause_of(*points: str, severity: str = "minor") -> Violations:
    violations = Violations("tlf-007")
    cause = BoundRule(**{**{k: getattr(RULE, k) for k in RULE.__dataclass_fields__}, "id": "power", "point": "mains", "severity": severity})
    violations.apply(step("violated", rule="power", point="mains"), cause, at())
    for point in points:
        violations.apply(step("violated", point=point), RULE, at())
    made = violations.hold([f"tlf-007-{n + 2}" for n in range(len(points))], ID, at())
    assert [each["step"] for each in made] == ["merged"] * len(points) + ["holding"]
    return violations


def test_a_cause_takes_the_highest_severity_and_the_scope_of_what_it_holds() -> None:
    violations = cause_of("a", "b")
    [cause] = violations.open()
    assert (cause["severity"], cause["scope"], cause["holds"]) == ("major", {"points": ["a", "b"]}, 2)
    assert cause["due"]["acknowledge"] == 10_000_000 + HOUR, "as soon as a major one"
    violations.apply(step("unknown", rule="power", point="mains"), None, at())
    assert violations.open()[0]["severity"] == "major"


def test_a_merged_one_keeps_its_minutes_and_is_not_shown_as_open() -> None:
    violations = cause_of("a")
    [body] = violations.apply(step("unknown", 600, point="a"), RULE, at())
    assert (body["handling"], body["minutes"], body["into"]) == ("merged", 10.0, ID)
    assert [each["violation"] for each in violations.open()] == [ID]
    assert [each["violation"] for each in violations.held(ID)] == ["tlf-007-2"]


@pytest.mark.parametrize("condition", ["recovered", "unknown"])
def test_what_still_holds_when_its_cause_does_not_returns_as_new_with_its_own_start(condition: str) -> None:
    violations = cause_of("a", "b")
    violations.apply(step("recovered", point="b"), RULE, at())
    now_s = 99 if condition == "unknown" else 699
    made = violations.apply(step(condition, rule="power", point="mains"), None, at(99))[1:]
    if condition == "recovered":  # it has ten minutes to be over too
        assert made == violations.passing(at(698)) == []
        made = violations.passing(at(699))
    assert [(each["violation"], each["step"], each["handling"]) for each in made] == [("tlf-007-2", "unmerged", "new")]
    assert made[0]["first"] == {"rule_us": 1, "wall_us": 2, "value": -17.0}
    assert made[0]["due"]["acknowledge"] == now_s * 1_000_000 + HOUR
    assert [each["violation"] for each in violations.held(ID)] == ["tlf-007-3"]


def test_what_still_holds_returns_when_its_cause_is_withdrawn() -> None:
    violations = cause_of("a")
    do(violations, "ask-withdrawal")
    made = violations.take(Ask("withdraw", ID, LI, "it was the sensor"), at())
    assert [(each["violation"], each["step"]) for each in made] == [(ID, "withdrawn"), ("tlf-007-2", "unmerged")]
    assert state(violations) == [("tlf-007-2", "violation", "active", "new")]


def test_what_returns_when_its_cause_is_withdrawn_is_whole_after_a_restart_too() -> None:
    """Wherever the record was cut between the two entries: what was done about the held one before is not forgotten, nor itself."""
    violations = Violations("tlf-007")
    violations.apply(step("violated", rule="power", point="mains"), RULE, at())
    violations.apply(step("violated", point="a"), RULE, at())
    do(violations, "ack", WANG, "tlf-007-2")
    do(violations, "correct", WANG, "tlf-007-2", cause="door")
    violations.hold(["tlf-007-2"], ID, at())
    do(violations, "ask-withdrawal")
    taken = orjson.loads(record_entry.canonical(violations.snapshot()))
    entries = [{**body, "seq": 8 + n, "wall_us": 10_000_000, "rule_us": 10_000_000} for n, body in enumerate(violations.take(Ask("withdraw", ID, LI, "because"), at()))]
    assert [each["step"] for each in entries] == ["withdrawn", "unmerged"]
    restarted = Violations("tlf-007")
    restarted.restore(taken)
    restarted.replay(entries[0], "e1")
    assert [each["violation"] for each in restarted.records()] == ["tlf-007-2"]
    restarted.replay(entries[1], "e1")
    assert restarted.snapshot() == violations.snapshot()


def test_active_again_after_the_cause_recovered_is_new_at_once() -> None:
    violations = cause_of("a")
    violations.apply(step("recovered", point="a"), RULE, at())
    violations.apply(step("recovered", rule="power", point="mains"), None, at())
    [body] = violations.apply(step("violated", point="a"), RULE, at())
    assert (body["handling"], body["before"], body["violation"], body["episode"]) == ("new", "merged", "tlf-007-2", 2)


def test_what_recovered_ends_with_its_cause() -> None:
    violations = cause_of("a")
    violations.apply(step("recovered", point="a"), RULE, at())
    violations.apply(step("recovered", rule="power", point="mains"), None, at())
    do(violations, "ack")
    do(violations, "correct", **FULL)
    do(violations, "submit")
    do(violations, "close", LI)
    assert violations.records() == []


def test_only_an_active_one_holds_others() -> None:
    violations = cause_of("a")
    for ids, under in ((["tlf-007-2"], "tlf-007-9"), ([ID], ID), ([ID], "tlf-007-2")):
        with pytest.raises(StepRefused, match="could hold"):
            violations.hold(ids, under, at())


# --- other ------------------------------------------------------------------------------------------------------------


def test_every_handling_has_words_from_the_first_day() -> None:
    assert set(HANDLINGS) <= WORDS.keys()
    shown = {f"handling.{handling}" for handling in HANDLINGS if handling not in ENDED}
    assert all(shown <= pages.catalog(language).keys() for language in pages.LANGUAGES)


def test_a_removed_rule_leaves_its_violation_with_what_it_said() -> None:
    violations = opened("violated")
    [body] = violations.apply(step("unknown"), None, at())
    assert (body["condition"], body["limit"], body["severity"]) == ("unknown", "≤ -18 Cel", "major")
    do(violations, "ack")
    do(violations, "correct", **FULL)
    do(violations, "submit")
    with pytest.raises(StepRefused, match="no good reading shows"):
        do(violations, "close", LI)


def test_an_open_violation_follows_its_renamed_point() -> None:
    violations = opened("violated")
    renamed = BoundRule(
        **{**{k: getattr(RULE, k) for k in RULE.__dataclass_fields__}, "point": "p2", "renamed_from": "p1"}
    )
    [body] = violations.apply(step("recovered", point="p2"), renamed, at())
    assert (body["violation"], body["point"]) == (ID, "p2")
    assert state(violations) == [(ID, "violation", "recovered", "new")]


Play = tuple[str, str]
SCRIPT: list[Play] = [
    ("notice", "a"), ("notice", "b"), ("violated", "a"), ("cancelled", "b"), ("ack", ID), ("unknown", "a"),
    ("active", "a"), ("correct", ID), ("recovered", "a"), ("submit", ID), ("notice", "a"), ("cancelled", "a"), ("violated", "a"),
    ("recovered", "a"), ("submit", ID), ("return", ID), ("submit", ID), ("violated", "c"), ("close", ID), ("violated", "a"),
    ("ask-withdrawal", "tlf-007-3"), ("drop-withdrawal", "tlf-007-3"), ("ask-withdrawal", "tlf-007-3"), ("withdraw", "tlf-007-3"),
    ("violated", "c"), ("hold", "tlf-007-4"), ("recovered", "c"), ("violated", "c"), ("find", "floor"), ("passing", ""),
    ("recovered", "a"), ("passing", ""), ("find", "drain"), ("ack", "tlf-007-6"),
]  # fmt: skip


def play(violations: Violations, what: str, where: str, second: int) -> list[dict[str, Any]]:
    now = at(second, seq=second, trusted=second % 4 != 0)
    match what:
        case "find":
            return violations.find(Ask("open", "", WANG, "cracked tile", {"severity": "minor", "zone": where}), now)
        case "passing":
            return violations.passing(at(second + 10**6, seq=second))
        case "hold":
            return violations.hold([record["violation"] for record in violations.open() if record["violation"] != where], where, now)
        case "notice" | "violated" | "recovered" | "unknown" | "active" | "cancelled":
            return violations.apply(step(what, second, point=where), RULE, now)
    who = LI if what in ("close", "withdraw", "return", "drop-withdrawal") else WANG
    return violations.take(Ask(what, where, who, "because", FULL if what == "correct" else {}), now)


@pytest.mark.parametrize("cut", range(len(SCRIPT) + 1))
def test_snapshot_and_replay_give_the_same_state_at_every_cut(cut: int) -> None:
    whole = Violations("tlf-007")
    entries: list[dict[str, Any]] = []
    taken: dict[str, Any] = {}
    until = 0
    for second, (what, where) in enumerate(SCRIPT):
        if second == cut:
            taken, until = orjson.loads(record_entry.canonical(whole.snapshot())), len(entries)
        us = (second + (10**6 if what == "passing" else 0)) * 1_000_000
        entries += [{**body, "seq": second, "wall_us": us, "rule_us": us} for body in play(whole, what, where, second)]
    restarted = Violations("tlf-007")
    restarted.restore(taken)
    for body in entries[until:] if cut < len(SCRIPT) else entries:
        restarted.replay(orjson.loads(record_entry.canonical(body)), "e1")
    assert restarted.snapshot() == whole.snapshot()
    assert whole.number == 7, "the script did what it should"


def test_an_entry_that_a_snapshot_already_holds_changes_nothing() -> None:
    violations = opened("violated")
    body = do(violations, "ack")
    before = violations.snapshot()
    violations.replay({**body, "seq": 8, "wall_us": 10_000_000, "rule_us": 10_000_000}, "e1")
    assert violations.snapshot() == before


def test_entries_and_snapshots_of_earlier_releases_read() -> None:
    """As the release before this one wrote them: no identity, no deadlines, closed from acknowledged."""
    old = {
        "violation": ID, "rule": "r1", "point": "p1", "condition": "active", "handling": "new", "first": {"rule_us": 1, "wall_us": 2, "value": -17.0},
        "peak": -15.0, "minutes": 1.5, "limit": "≤ -18 Cel", "severity": "major", "basis": "GB 1", "verified": "no", "level": "violation",
        "episode": 1, "value": -15.0,
    }  # fmt: skip
    violations = Violations("tlf-007")
    violations.restore({"number": 1, "open": [old]})
    assert state(violations) == [(ID, "violation", "active", "new")]
    assert do(violations, "ack")["due"] == {"correct": 10_000_000 + 24 * HOUR}, "its deadlines begin with the first step here"
    violations = Violations("tlf-007")
    violations.replay({**old, "step": "violated", "seq": 5}, "e1")
    assert violations.open()[0]["opened"] == {"epoch": "e1", "seq": 5}
    violations.replay({**old, "step": "acknowledged", "handling": "acknowledged", "by": "wang", "reason": "seen", "seq": 6, "wall_us": 3}, "e1")
    violations.replay({**old, "step": "closed", "handling": "closed", "condition": "recovered", "by": "wang", "reason": "done", "seq": 7, "wall_us": 4}, "e1")
    assert violations.open() == []




def test_degree_minutes_are_exact_over_episodes_restarts_and_ticks() -> None:
    """Against a sum by hand, in decimal, of the readings themselves; 0.1 + 0.2 is where binary sums go wrong."""
    rule = BoundRule(
        **{**{k: getattr(RULE, k) for k in RULE.__dataclass_fields__}, "violation_after_us": 0, "clear_high": "-18", "fresh_us": 90_000_000}
    )
    engine, violations = Engine([rule]), Violations("tlf-007")
    values = [-17.9, -17.8, -17.7, -18.0, -20.0, -17.9, -17.1, float("nan"), -17.9, -21.3]
    total, us = Decimal(0), 0
    for number, value in enumerate(values):
        if number == 3:  # a restart in between
            state = orjson.loads(record_entry.canonical(engine.snapshot()))
            engine = Engine([rule])
            engine.restore(state)
        for step_ in engine.judge(us, us, ("p1",), [value], None if value == value else ["bad:nan"]):
            violations.apply(step_, rule, at())
        span = 60_000_000 + number
        if value == value and value > -18:
            total += (Decimal(repr(value)) + 18) * span
        us += span
    whole = violations.open()[0]["whole"]
    assert Decimal(whole["area"]) == total
    assert whole["degree_minutes"] == float(total / 60_000_000)
    assert violations.open()[0]["episode"] == 2


def test_degree_minutes_of_silence_say_nothing() -> None:
    violations = opened("violated")
    assert "degree_minutes" not in violations.open()[0]["whole"]
