"""A person's own finding at its end: whoever verifies it states that it is over, in one step; nothing else is changed by that."""

from __future__ import annotations

import pytest

from edge_gateway.violations import Ask, StepRefused, Violations
from edge_gateway.violations.finding import taken
from tests.violations.acts import FULL, ID, LI, WANG, ZHANG, at, do, handled


def armed(_rule: str, _point: str) -> bool:
    """No rule stands."""
    return False


def submitted() -> Violations:
    violations = Violations("tlf-007")
    violations.find(Ask("open", "", ZHANG, "cracked tile", {"severity": "minor", "zone": "hall"}), at())
    for what in ("ack", "correct", "submit"):
        do(violations, what, **FULL if what == "correct" else {})
    return violations


def test_closing_a_finding_states_that_it_is_over_first() -> None:
    violations = submitted()
    bodies = taken(violations, Ask("close", ID, LI, "new tile"), at(60), armed)
    assert [(each["step"], each["by"], each["reason"]) for each in bodies] == [("recovered", "li", "new tile"), ("closed", "li", "new tile")]
    assert violations.open() == []


def test_one_that_was_stated_to_be_over_is_only_closed() -> None:
    violations = submitted()
    do(violations, "state", LI)
    assert [each["step"] for each in taken(violations, Ask("close", ID, LI, "seen"), at(60), armed)] == ["closed"]


def test_any_other_step_states_nothing() -> None:
    violations = submitted()
    assert [each["step"] for each in taken(violations, Ask("return", ID, LI, "not yet"), at(60), armed)] == ["returned"]
    assert violations.open()[0]["condition"] == "active"


def test_what_a_rule_found_is_not_stated_to_be_over() -> None:
    assert [each["step"] for each in taken(handled("submitted"), Ask("close", ID, LI, "seen"), at(60), armed)] == ["closed"]
    with pytest.raises(StepRefused, match="unknown"):
        taken(handled("submitted", "unknown"), Ask("close", ID, LI, "seen"), at(60), armed)


def test_who_may_not_close_it_states_nothing_either() -> None:
    violations = submitted()
    before = violations.snapshot()
    with pytest.raises(StepRefused, match="did not prove"):
        taken(violations, Ask("close", ID, WANG, "seen"), at(60), armed)
    assert violations.snapshot() == before
    with pytest.raises(StepRefused, match="no open violation"):
        taken(violations, Ask("close", "tlf-007-9", LI, "seen"), at(60), armed)
