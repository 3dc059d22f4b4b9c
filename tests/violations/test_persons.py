"""Persons' steps: every cell of the state table, and every other reason for which a step is refused; nothing changes then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from edge_gateway.rules.base import BoundRule
from edge_gateway.violations import HANDLINGS, HUB, SECRET, TABLE, Ask, StepRefused, Violations, Who
from edge_gateway.violations.table import ENDED, OPEN, OVER, Refused
from tests.violations.acts import (
    FULL,
    HOUR,
    HUB_KEY,
    ID,
    LI,
    MINOR,
    RULE,
    WANG,
    ZHANG,
    at,
    do,
    handled,
    opened,
    state,
    step,
)

#: What each step needs besides: given here, so that only the table decides.
NEEDS: dict[str, dict[str, Any]] = {
    "correct": FULL, "submit": FULL, "extend": {"what": "correct", "to_us": 30 * HOUR}, "refer": {"to": "ecology"},
}  # fmt: skip


def ready(handling: str, what: str) -> Violations:
    """A book in this handling in which nothing but the table can refuse the step."""
    violations = found("submitted") if what == "state" and handling == "submitted" else handled(handling)
    if what in ("withdraw", "drop-withdrawal") and handling in OPEN:
        do(violations, "ask-withdrawal")
    return violations


def found(handling: str = "new") -> Violations:
    """A book in which zhang found something."""
    violations = Violations("tlf-007")
    violations.find(Ask("open", "", ZHANG, "cracked tile", {"severity": "minor", "zone": "hall"}), at())
    for what in ("ack", "correct", "submit")[: OPEN.index(handling)]:
        do(violations, what, **FULL if what == "correct" else {})
    return violations


def refused(violations: Violations, what: str, who: Who, why: str, reason: str = "because", /, **detail: Any) -> None:
    before = violations.snapshot()
    with pytest.raises(StepRefused) as told:
        violations.take(Ask(what, ID, who, reason, detail), at())
    assert why in told.value.why, told.value.why
    assert told.value.hint, "what to do is said"
    assert violations.snapshot() == before


CELLS = [(what, handling) for what in TABLE for handling in HANDLINGS]


@pytest.mark.parametrize(("what", "handling"), CELLS, ids=[f"{what} {handling}" for what, handling in CELLS])
def test_every_cell_of_the_table(what: str, handling: str) -> None:
    violations = ready(handling, what)
    cell = OVER[handling] if handling in ENDED else TABLE[what][handling]
    detail = NEEDS.get(what, {}) | ({"what": "acknowledge"} if (what, handling) == ("extend", "new") else {})
    detail |= {"what": "verify", "to_us": 100 * HOUR} if (what, handling) == ("extend", "submitted") else {}
    if isinstance(cell, Refused):
        refused(violations, what, LI, cell.why.split("{")[1].partition("}")[2].strip(" :").partition("{")[0] or ID, **detail)
        return
    body = violations.take(Ask(what, ID, LI, "because", detail), at())[0]
    assert (body["before"], body["handling"]) == (handling, cell or handling)
    assert (body["by"], body["proof"], body["reason"]) == ("li", SECRET, "because")


def test_the_table_knows_every_step_and_every_handling() -> None:
    assert all(set(row) == set(OPEN) for row in TABLE.values())
    assert set(OVER) == set(ENDED)
    assert set(OPEN) | set(ENDED) == set(HANDLINGS)


# --- what every step needs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", [*TABLE, "find"])
@pytest.mark.parametrize(("who", "reason", "why"), [(Who("", SECRET), "seen", "not known"), (LI, "  ", "reason"), (LI, "x" * 2001, "2000")])
def test_no_step_without_a_person_and_a_reason(what: str, who: Who, reason: str, why: str) -> None:
    if what == "find":
        with pytest.raises(StepRefused, match="missing"):
            Violations("tlf-007").find(Ask("open", "", who, reason[:1].strip() if len(reason) > 2000 else reason, {"severity": "bad"}), at())
        return
    refused(ready("submitted", what), what, who, why, reason)


@pytest.mark.parametrize("what", TABLE)
def test_nothing_can_be_done_to_a_notice(what: str) -> None:
    refused(opened("notice"), what, LI, "only a notice", **NEEDS.get(what, {}))


@pytest.mark.parametrize("what", TABLE)
def test_what_is_not_open_is_not_found(what: str) -> None:
    with pytest.raises(StepRefused, match="violations list"):
        do(Violations("tlf-007"), what, LI)


def test_an_unknown_step_is_refused() -> None:
    refused(opened("violated"), "forget", LI, "no step 'forget'")


# --- conditions -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("condition", "why"), [("active", "still active"), ("unknown", "no good reading shows")])
@pytest.mark.parametrize("who", [LI, HUB_KEY])
@pytest.mark.parametrize("rule", [RULE, MINOR])
def test_neither_active_nor_unknown_closes(condition: str, why: str, who: Who, rule: BoundRule) -> None:
    violations = handled("submitted", rule=rule)
    violations.apply(step("notice"), rule, at())  # does not send it back yet
    if condition == "unknown":
        violations.apply(step("unknown"), rule, at())
    refused(violations, "close", who, why)


def test_what_is_active_is_not_submitted_and_what_is_unknown_may_be() -> None:
    refused(handled("correcting", "active"), "submit", LI, "still active")
    assert do(handled("correcting", "unknown"), "submit")["handling"] == "submitted"


# --- the assessment ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lacking", FULL)
def test_submission_needs_the_full_assessment(lacking: str) -> None:
    violations = opened("violated", "recovered")
    do(violations, "ack")
    do(violations, "correct", **{key: value for key, value in FULL.items() if key != lacking})
    refused(violations, "submit", LI, f"{lacking} missing")
    assert do(violations, "submit", **{lacking: FULL[lacking]})["assessment"] == FULL


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"cause": "gremlins"}, "no cause"),
        ({"severity": "harmless"}, "no severity"),
        ({"severity": "minor"}, "cannot be less"),
        ({"zone": " "}, "no short text"),
        ({"period": {"from_us": 2, "to_us": 1}}, "ends before"),
        ({"period": {"from_us": 2}}, "beginning and an end"),
        ({"lots": "all"}, "no list"),
        ({"lots": ["", "b"]}, "no list"),
        ({"lots": [str(n) for n in range(201)]}, "no list"),
        ({"products": []}, "not said"),
        ({"products": [{"what": "eaten", "kg": "1"}]}, "what became of it"),
        ({"products": [{"what": "kept"}]}, "no weight"),
        ({"products": [{"what": "kept", "kg": "-1"}]}, "no weight"),
        ({"products": [{"what": "kept", "kg": "1e3"}]}, "no weight"),
        ({"products": [{"what": "kept", "kg": "0"}]}, "no weight"),
        ({"products": [{"what": "none", "kg": "3"}]}, "no weight"),
        ({"mood": "bad"}, "has no 'mood'"),
    ],
)  # fmt: skip
def test_an_assessment_that_says_nothing_is_refused(told: dict[str, Any], why: str) -> None:
    violations = handled("acknowledged")
    refused(violations, "correct", LI, why, **told)


def test_an_assessment_grows_step_by_step_and_a_product_may_be_none() -> None:
    violations = handled("acknowledged")
    assert do(violations, "correct", cause="door")["assessment"] == {"cause": "door"}
    body = do(violations, "correct", cause="power", lots=["b", "a", "b"], products=[{"what": "none"}, {"what": "kept", "kg": "3", "lot": "L1"}])
    products = [{"what": "none", "kg": "0"}, {"what": "kept", "kg": "3", "lot": "L1"}]
    assert body["assessment"] == {"cause": "power", "lots": ["a", "b"], "products": products}


def test_a_person_may_find_it_graver_than_its_rule_and_then_it_is() -> None:
    violations = handled("acknowledged", "active", MINOR)
    body = do(violations, "correct", severity="major")
    assert (body["severity"], body["due"]["correct"]) == ("major", 10_000_000 + 24 * HOUR)
    assert violations.apply(step("recovered"), MINOR, at())[0]["severity"] == "major", "its rule does not lower it again"
    do(violations, "submit", **FULL)
    refused(violations, "close", WANG, "a name alone")


# --- the second person ------------------------------------------------------------------------------------------------

GRAVE: list[tuple[str, str]] = [("close", "submitted"), ("return", "submitted"), ("withdraw", "new"), ("extend", "new"), ("refer", "new")]
DETAIL = {"extend": {"what": "correct", "to_us": 30 * HOUR}, "refer": {"to": "health"}}


def by_submitter(who: Who) -> Violations:
    violations = handled("correcting")
    do(violations, "submit", who)
    do(violations, "ask-withdrawal", ZHANG)
    return violations


@pytest.mark.parametrize("what", ["close", "return", "withdraw", "extend", "refer"])
@pytest.mark.parametrize(
    ("who", "submitter", "why"),
    [
        (Who("li"), WANG, "a name alone"),
        (Who("li", "automatic"), WANG, "a name alone"),
        (Who("wang", SECRET), WANG, "wang submitted it"),
        (Who(" WANG ", SECRET), WANG, "submitted it"),
        (Who("pi", SECRET), WANG, "pi submitted it"),
        (ZHANG, WANG, "zhang asked for its withdrawal"),
    ],
)
def test_a_name_the_submitter_and_the_asker_decide_nothing(what: str, who: Who, submitter: Who, why: str) -> None:
    detail = {"what": "verify", "to_us": 100 * HOUR} if what == "extend" else DETAIL.get(what, {})
    refused(by_submitter(submitter), what, who, why, **detail)


@pytest.mark.parametrize("who", [LI, HUB_KEY])
@pytest.mark.parametrize(("what", "handling"), [("close", "closed"), ("return", "correcting"), ("withdraw", "withdrawn")])
def test_a_second_person_decides(what: str, handling: str, who: Who) -> None:
    assert do(by_submitter(WANG), what, who)["handling"] == handling


def test_everybody_who_ever_submitted_stays_a_submitter() -> None:
    violations = by_submitter(LI)
    do(violations, "return", HUB_KEY)
    do(violations, "submit", WANG)
    refused(violations, "close", LI, "li submitted it")
    assert violations.open()[0]["returns"] == 1


def test_a_minor_one_is_closed_by_whoever_says_so_and_withdrawn_by_a_second_person_only() -> None:
    violations = handled("submitted", rule=MINOR)
    do(violations, "ask-withdrawal")
    refused(violations, "withdraw", WANG, "a name alone")
    assert do(violations, "close", WANG)["handling"] == "closed"


# --- 自查 -------------------------------------------------------------------------------------------------------------


def test_a_finding_takes_the_same_path_and_recovers_by_a_second_persons_statement() -> None:
    violations = found("submitted")
    assert violations.open()[0]["condition"] == "active"
    refused(violations, "close", LI, "nobody stated")
    for who, why in ((WANG, "a name alone"), (Who("wang", SECRET), "submitted it"), (ZHANG, "zhang found it")):
        refused(violations, "state", who, why)
    body = do(violations, "state", LI)
    assert (body["step"], body["condition"], body["handling"], body["statement"]) == ("recovered", "recovered", "submitted", "because")
    refused(violations, "state", LI, "already")
    refused(violations, "close", WANG, "a name alone")
    assert do(violations, "close", LI)["handling"] == "closed"


def test_what_a_rule_found_recovers_by_no_statement() -> None:
    refused(handled("submitted", "unknown"), "state", LI, "by readings")


def test_several_findings_stand_beside_each_other() -> None:
    violations = found()
    violations.find(Ask("open", "", ZHANG, "drain blocked", {"severity": "major"}), at())
    assert [each["violation"] for each in violations.open()] == [ID, "tlf-007-2"]


# --- withdrawal, deadlines, departments -------------------------------------------------------------------------------


@pytest.mark.parametrize("handling", OPEN)
def test_a_withdrawal_is_asked_for_once_and_confirmed_or_dropped(handling: str) -> None:
    violations = handled(handling)
    for what in ("withdraw", "drop-withdrawal"):
        refused(violations, what, LI, "nobody asked")
    do(violations, "ask-withdrawal")
    refused(violations, "ask-withdrawal", LI, "asked for already (by wang)")
    refused(violations, "drop-withdrawal", Who("zhang"), "a name alone")
    assert "withdrawal" not in do(violations, "drop-withdrawal", WANG), "who asked may think better of it"
    do(violations, "ask-withdrawal")
    assert do(violations, "withdraw", LI)["handling"] == "withdrawn"


def test_deadlines_follow_the_handling() -> None:
    violations = opened("violated")
    assert do(violations, "ack")["due"] == {"correct": 10_000_000 + 24 * HOUR}
    assert do(violations, "correct", **FULL)["due"] == {"correct": 10_000_000 + 24 * HOUR}
    violations.apply(step("recovered"), RULE, at())
    assert do(violations, "submit", when=at(60))["due"] == {"verify": 60_000_000 + 72 * HOUR}
    assert do(violations, "return", LI, when=at(90))["due"] == {"correct": 90_000_000 + 24 * HOUR}


def test_a_rule_may_say_its_own_hours() -> None:
    own = BoundRule(**{**{k: getattr(RULE, k) for k in RULE.__dataclass_fields__}, "hours": {"acknowledge": 0.5, "recur": 1}})
    violations = opened("violated", rule=own)
    assert violations.open()[0]["due"] == {"acknowledge": 10_000_000 + HOUR // 2, "correct": 10_000_000 + 24 * HOUR}


def test_deadlines_begin_once_somebody_vouches_for_the_clock() -> None:
    violations = Violations("tlf-007")
    violations.apply(step("violated"), RULE, at(trusted=False))
    assert violations.open()[0]["due"] == {"acknowledge": None, "correct": None}
    assert violations.passing(at(10**6, trusted=False)) == []
    [body] = violations.passing(at(50))
    assert (body["step"], body["due"]["acknowledge"]) == ("timed", 50_000_000 + HOUR)
    assert violations.passing(at(51)) == []


def test_what_is_overdue_is_told_once_and_stays_visible() -> None:
    violations = opened("violated")
    assert violations.passing(at(3610)) == []
    [body] = violations.passing(at(3611))
    assert (body["step"], body["deadlines"], body["overdue"]) == ("overdue", ["acknowledge"], ["acknowledge"])
    assert violations.passing(at(3612)) == []
    assert violations.apply(step("unknown"), RULE, at())[0]["overdue"] == ["acknowledge"]
    assert "overdue" not in do(violations, "ack")


@pytest.mark.parametrize(
    ("detail", "why"),
    [
        ({"what": "verify", "to_us": 30 * HOUR}, "no deadline 'verify' runs"),
        ({"to_us": 30 * HOUR}, "no deadline"),
        ({"what": "correct"}, "to later"),
        ({"what": "correct", "to_us": 2 * HOUR}, "to later"),
        ({"what": "correct", "to_us": 24 * HOUR + 10_000_000}, "to later"),
        ({"what": "correct", "to_us": 24 * HOUR * 31 + 10_000_001}, "to later"),
    ],
)
def test_a_deadline_moves_to_later_and_not_too_far(detail: dict[str, Any], why: str) -> None:
    refused(handled("acknowledged"), "extend", LI, why, **detail)


def test_an_extended_deadline_is_overdue_anew() -> None:
    violations = opened("violated")
    violations.passing(at(3611))
    body = do(violations, "extend", LI, when=at(3700), what="acknowledge", to_us=2 * HOUR)
    assert (body["old_us"], body["new_us"]) == (10_000_000 + HOUR, 2 * HOUR)
    assert "overdue" not in body
    assert violations.passing(at(7200)) == []
    assert violations.passing(at(7201))[0]["deadlines"] == ["acknowledge"]


def test_no_deadline_moves_while_nobody_vouches_for_the_clock() -> None:
    violations = opened("violated")
    with pytest.raises(StepRefused, match="vouches"):
        do(violations, "extend", LI, when=at(trusted=False), what="correct", to_us=30 * HOUR)


def test_it_is_referred_to_a_department_that_exists() -> None:
    refused(opened("violated"), "refer", LI, "no department", to="police")
    assert do(opened("violated"), "refer", HUB_KEY, to="ecology")["referred"] == "ecology"


# --- minor ones close by themselves -----------------------------------------------------------------------------------

STABLE = 24 * 3600


def test_a_minor_one_closes_by_itself_after_stable_hours_and_a_complete_record() -> None:
    violations = handled("submitted", rule=MINOR)
    assert violations.passing(at(10 + STABLE - 1)) == []
    [body] = violations.passing(at(10 + STABLE, trusted=False))
    assert (body["step"], body["handling"], body["by"], body["proof"]) == ("closed", "closed", "edge-gateway", "automatic")
    assert violations.open() == []
    assert violations.apply(step("violated"), MINOR, at(10 + STABLE))[0]["follows"]["violation"] == ID


def _again(violations: Violations) -> None:
    for name, second in (("notice", 100), ("cancelled", 200)):
        violations.apply(step(name, second), MINOR, at(second))


OPENS: list[tuple[str, Callable[[], Violations]]] = [
    ("major", lambda: handled("submitted")),
    ("not submitted", lambda: handled("correcting", rule=MINOR)),
    ("only acknowledged", lambda: handled("acknowledged", rule=MINOR)),
    ("new", lambda: handled("new", rule=MINOR)),
    ("a finding", lambda: found("submitted")),
    ("unknown", lambda: handled("submitted", "unknown", MINOR)),
]


@pytest.mark.parametrize(("name", "make"), OPENS, ids=[name for name, _ in OPENS])
def test_nothing_else_closes_by_itself(name: str, make: Callable[[], Violations]) -> None:
    violations = make()
    violations.passing(at(10**7))
    assert [handling for *_, handling in state(violations)] == [make().open()[0]["handling"]]


def test_stable_hours_count_from_the_last_recovery_and_only_while_readings_come() -> None:
    violations = handled("submitted", rule=MINOR)
    _again(violations)
    assert violations.passing(at(10 + STABLE)) == []
    assert violations.passing(at(200 + STABLE), lambda rule, point: (rule, point) == ("r1", "p1")) == []
    assert violations.passing(at(200 + STABLE))[0]["handling"] == "closed"


def test_one_whose_withdrawal_was_asked_for_waits_for_the_second_person() -> None:
    violations = handled("submitted", rule=MINOR)
    do(violations, "ask-withdrawal")
    assert [body["step"] for body in violations.passing(at(10**6))] == ["overdue"]


def test_the_hub_is_a_second_person_by_its_key() -> None:
    assert Who("x", HUB).proven
    assert not Who("x").proven


def test_an_assessment_from_before_it_became_graver_still_counts() -> None:
    """Found by the random courses: a cause that took a major one's severity could not be submitted any more."""
    violations = handled("correcting", "active", MINOR)
    violations.apply(step("violated", point="p2"), RULE, at())
    violations.hold(["tlf-007-2"], ID, at())
    violations.apply(step("recovered"), MINOR, at())
    body = do(violations, "submit")
    assert (body["handling"], body["severity"], body["assessment"]["severity"]) == ("submitted", "major", "major")


@pytest.mark.parametrize("period", [{"from_us": 1e22, "to_us": 1e22}, {"from_us": 0, "to_us": float("inf")}, {"from_us": "1" * 400, "to_us": "2" * 400}, {"from_us": -1, "to_us": 5}])
def test_a_period_that_no_entry_could_hold_is_refused(period: dict[str, Any]) -> None:
    violations = handled("acknowledged", "active")
    before = violations.snapshot()
    with pytest.raises(StepRefused, match="period"):
        do(violations, "correct", period=period)
    assert violations.snapshot() == before


def test_a_finding_gives_no_longer_a_reason_than_any_other_step() -> None:
    with pytest.raises(StepRefused, match="at most"):
        Violations("tlf-007").find(Ask("open", "", WANG, "x" * 60_000, {"severity": "minor", "zone": "hall"}), at())
