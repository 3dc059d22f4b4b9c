"""Violations: ids, the two axes, every permitted and every refused step, snapshots and replay."""

from __future__ import annotations

from typing import Any

import pytest

from edge_gateway.cli.words import WORDS
from edge_gateway.errors import GatewayError
from edge_gateway.record import entry as record_entry
from edge_gateway.rules.base import BoundRule, First, Step
from edge_gateway.violations import ENDED, HANDLINGS, StepRefused, Violations
from edge_gateway.web import pages

RULE = BoundRule(
    id="r1", pack="t", pack_version="1.0.0", edition="2026-11", kind="limit", point="p1", high="-18", limit="≤ -18 Cel",
    severity="major", standard="GB 1", clause="unknown", basis_edition="2019", verified="no",
)  # fmt: skip


def step(name: str, second: int = 10, *, point: str = "p1", value: float | None = -15.0) -> Step:
    us = second * 1_000_000
    first = First(rule_us=1, wall_us=2, value=-17.0)
    return Step(
        rule="r1", point=point, step=name, rule_us=us, wall_us=us, first=first, value=value, peak=-15.0, beyond_us=us
    )


def opened(*names: str) -> Violations:
    violations = Violations("tlf-007")
    for name in names:
        violations.apply(step(name), RULE)
    return violations


ID = "tlf-007-1"


def state(violations: Violations) -> list[tuple[str, str, str, str]]:
    return [(v["violation"], v["level"], v["condition"], v["handling"]) for v in violations.open()]


def test_a_step_becomes_an_entry_that_says_everything() -> None:
    body = Violations("tlf-007").apply(step("violated", 90), RULE)
    assert body == {
        "violation": ID, "rule": "r1", "point": "p1", "step": "violated", "condition": "active", "handling": "new",
        "first": {"rule_us": 1, "wall_us": 2, "value": -17.0}, "peak": -15.0, "minutes": 1.5, "value": -15.0,
        "limit": "≤ -18 Cel", "severity": "major", "basis": "GB 1 (2019), clause not verified", "verified": "no", "decision": "simple acceptance",
        "level": "violation",
        "episode": 1,
    }  # fmt: skip
    stamp = record_entry.Stamp(1, 2, 3, "boot", True)
    assert record_entry.decode(record_entry.encode(7, "violation", stamp, body))["basis"] == body["basis"]


def test_ids_are_numbered_by_order_of_opening_and_never_given_twice() -> None:
    violations = Violations("tlf-007")
    assert violations.apply(step("notice", point="a"), RULE)["violation"] == "tlf-007-1"
    assert violations.apply(step("notice", point="b"), RULE)["violation"] == "tlf-007-2"
    violations.apply(step("cancelled", point="b"), RULE)
    assert violations.apply(step("notice", point="b"), RULE)["violation"] == "tlf-007-3"
    again = Violations("tlf-007")
    again.restore(violations.snapshot())
    assert again.apply(step("notice", point="c"), RULE)["violation"] == "tlf-007-4"


def test_a_notice_becomes_a_violation_under_the_same_id() -> None:
    assert state(opened("notice")) == [(ID, "notice", "active", "new")]
    assert state(opened("notice", "violated")) == [(ID, "violation", "active", "new")]


def test_a_cancelled_notice_is_over_and_no_violation() -> None:
    violations = opened("notice")
    body = violations.apply(step("cancelled"), RULE)
    assert (body["condition"], body["handling"]) == ("recovered", "new")
    assert violations.open() == []


def test_condition_follows_readings_and_handling_stays() -> None:
    violations = opened("notice", "violated")
    violations.acknowledge(ID, "wang", "door was open")
    for name, condition in [
        ("unknown", "unknown"),
        ("active", "active"),
        ("unknown", "unknown"),
        ("recovered", "recovered"),
    ]:
        violations.apply(step(name), RULE)
        assert state(violations) == [(ID, "violation", condition, "acknowledged")]


def test_acknowledging_is_allowed_while_active_and_journals_who_and_why() -> None:
    violations = opened("violated")
    body = violations.acknowledge(ID, "wang", "on my way")
    assert (body["step"], body["handling"], body["condition"]) == ("acknowledged", "acknowledged", "active")
    assert (body["by"], body["reason"]) == ("wang", "on my way")
    assert body["limit"] == "≤ -18 Cel"


@pytest.mark.parametrize("condition", ["unknown", "recovered"])
def test_acknowledging_is_allowed_in_every_condition(condition: str) -> None:
    violations = opened("violated", condition)
    violations.acknowledge(ID, "wang", "seen")
    assert state(violations) == [(ID, "violation", condition, "acknowledged")]


def test_closing_is_allowed_when_acknowledged_and_recovered() -> None:
    violations = opened("violated", "recovered")
    violations.acknowledge(ID, "wang", "seen")
    body = violations.close(ID, "wang", "gasket replaced")
    assert (body["step"], body["handling"], body["condition"]) == ("closed", "closed", "recovered")
    assert violations.open() == []


def test_nothing_closes_by_itself() -> None:
    assert state(opened("violated", "recovered")) == [(ID, "violation", "recovered", "new")]


def test_active_again_before_closing_is_the_same_violation_and_one_episode_more() -> None:
    violations = opened("violated", "recovered")
    violations.acknowledge(ID, "wang", "seen")
    assert violations.apply(step("notice"), RULE)["episode"] == 2
    assert state(violations) == [(ID, "violation", "active", "acknowledged")]
    assert violations.apply(step("violated"), RULE)["episode"] == 2
    violations.apply(step("recovered"), RULE)
    assert violations.apply(step("violated"), RULE)["episode"] == 3


def test_a_notice_after_recovery_that_is_cancelled_leaves_the_violation_recovered() -> None:
    violations = opened("violated", "recovered", "notice", "cancelled")
    assert state(violations) == [(ID, "violation", "recovered", "new")]


def test_a_new_excursion_after_closing_is_a_new_violation() -> None:
    violations = opened("violated", "recovered")
    violations.acknowledge(ID, "wang", "seen")
    violations.close(ID, "wang", "done")
    assert violations.apply(step("violated"), RULE)["violation"] == "tlf-007-2"


def handled(handling: str, condition: str = "recovered") -> Violations:
    """An open violation in any handling, as a journal of a later release may hold it."""
    violations = opened("violated")
    violations.replay(
        {**violations.open()[0], "step": "acknowledged", "handling": handling, "condition": condition, "by": "wang"}
    )
    return violations


REFUSED: list[tuple[str, Violations, str, str]] = [
    ("ack", opened("notice"), "only a notice", "notice"),
    ("ack", handled("acknowledged"), "acknowledged already (by wang)", "twice"),
    ("ack", handled("correcting"), "correcting already", "while correcting"),
    ("ack", handled("submitted"), "submitted already", "after submission"),
    ("ack", handled("closed"), "no open violation", "after closing"),
    ("ack", handled("withdrawn"), "no open violation", "after withdrawal"),
    ("ack", handled("merged"), "no open violation", "after merging"),
    ("close", opened("notice"), "only a notice", "notice"),
    ("close", opened("violated", "recovered"), "not acknowledged", "new and recovered"),
    ("close", opened("violated"), "not acknowledged", "new and active"),
    ("close", handled("acknowledged", "active"), "still active", "active"),
    ("close", handled("acknowledged", "unknown"), "no good reading shows", "unknown"),
    ("close", handled("correcting"), "is correcting", "while correcting"),
    ("close", handled("submitted"), "is submitted", "after submission"),
    ("close", handled("closed"), "no open violation", "twice"),
    ("close", handled("withdrawn"), "no open violation", "after withdrawal"),
    ("close", handled("merged"), "no open violation", "after merging"),
]


@pytest.mark.parametrize(("what", "violations", "why", "name"), REFUSED, ids=[f"{r[0]} {r[3]}" for r in REFUSED])
def test_refused_steps_say_why_and_change_nothing(what: str, violations: Violations, why: str, name: str) -> None:
    before = violations.snapshot()
    act = violations.acknowledge if what == "ack" else violations.close
    with pytest.raises(GatewayError, match=why.replace("(", r"\(").replace(")", r"\)")):
        act(ID, "wang", "because")
    assert violations.snapshot() == before


@pytest.mark.parametrize(("by", "reason", "why"), [("", "seen", "who"), ("wang", "  ", "reason")])
def test_a_step_without_a_person_or_a_reason_is_refused(by: str, reason: str, why: str) -> None:
    violations = opened("violated", "recovered")
    with pytest.raises(StepRefused, match=why):
        violations.acknowledge(ID, by, reason)
    violations.acknowledge(ID, "wang", "seen")
    with pytest.raises(StepRefused, match=why):
        violations.close(ID, by, reason)


def test_an_unknown_id_is_refused_with_what_to_do() -> None:
    with pytest.raises(StepRefused, match="violations list"):
        Violations("tlf-007").acknowledge("tlf-007-9", "wang", "seen")


def test_every_handling_has_words_from_the_first_day() -> None:
    assert set(HANDLINGS) <= WORDS.keys()
    shown = {f"handling.{handling}" for handling in HANDLINGS if handling not in ENDED}
    assert all(shown <= pages.catalog(language).keys() for language in pages.LANGUAGES)


def test_a_removed_rule_leaves_its_violation_with_what_it_said() -> None:
    violations = opened("violated")
    body = violations.apply(step("unknown"), None)
    assert (body["condition"], body["limit"], body["severity"]) == ("unknown", "≤ -18 Cel", "major")
    violations.acknowledge(ID, "wang", "seen")
    with pytest.raises(StepRefused):
        violations.close(ID, "wang", "the rule is gone anyway")


def test_an_open_violation_follows_its_renamed_point() -> None:
    violations = opened("violated")
    renamed = BoundRule(
        **{**{k: getattr(RULE, k) for k in RULE.__dataclass_fields__}, "point": "p2", "renamed_from": "p1"}
    )
    body = violations.apply(step("recovered", point="p2"), renamed)
    assert (body["violation"], body["point"]) == (ID, "p2")
    assert state(violations) == [(ID, "violation", "recovered", "new")]


SCRIPT: list[tuple[str, str]] = [
    ("notice", "a"), ("notice", "b"), ("violated", "a"), ("cancelled", "b"), ("ack", "tlf-007-1"), ("unknown", "a"),
    ("active", "a"), ("recovered", "a"), ("notice", "a"), ("cancelled", "a"), ("violated", "c"), ("close", "tlf-007-1"),
    ("notice", "a"), ("recovered", "c"), ("violated", "c"),
]  # fmt: skip


def play(violations: Violations, what: str, where: str, second: int) -> dict[str, Any]:
    if what == "ack":
        return violations.acknowledge(where, "wang", "seen")
    if what == "close":
        return violations.close(where, "wang", "done")
    return violations.apply(step(what, second, point=where), RULE)


@pytest.mark.parametrize("cut", range(len(SCRIPT) + 1))
def test_snapshot_and_replay_give_the_same_state_at_every_cut(cut: int) -> None:
    whole = Violations("tlf-007")
    entries: list[dict[str, Any]] = []
    taken: dict[str, Any] = {}
    for second, (what, where) in enumerate(SCRIPT):
        if second == cut:
            taken = record_entry.decode(
                record_entry.canonical({"seq": 0, "kind": "snapshot", "state": whole.snapshot()})
            )["state"]
        body = play(whole, what, where, second)
        entries.append(body)
    restarted = Violations("tlf-007")
    restarted.restore(taken)
    for body in entries[cut:] if cut < len(SCRIPT) else entries:
        restarted.replay(body)
    assert restarted.snapshot() == whole.snapshot()
