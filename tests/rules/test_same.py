"""When two runs are the same, by hand from docs/reference/journal-format.md section 10; and a rule in the resolved configuration."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from edge_gateway.rules.base import BoundRule, First, Step, each_rule, rules_document
from edge_gateway.rules.same import Same, is_outcome

FIRST = {"rule_us": 5, "wall_us": 99, "value": 6.5}
VIOLATED: dict[str, Any] = {"kind": "violation", "violation": "gw-7", "rule": "r", "point": "a", "step": "violated", "first": FIRST, "peak": 7.5, "minutes": 1.5}


def same(*told: tuple[dict[str, Any], int]) -> str:
    found = Same()
    for body, rule_us in told:
        found.add(body, rule_us)
    assert found.count == len(told)
    return found.hexdigest()


def test_the_hash_is_over_these_lines() -> None:
    other = VIOLATED | {"violation": "gw-9", "point": "b", "step": "notice", "peak": None, "minutes": 0}
    event = {"kind": "event", "event": "stayed-undecided", "rule": "r", "point": "a", "at_rule_us": 40}
    text = (
        '[1,"r","a","violated",10,5,6.5,7.5,1.5]\n[2,"r","b","notice",20,5,6.5,null,0]\n'
        '[1,"r","a","violated",30,5,6.5,7.5,1.5]\n[0,"r","a","stayed-undecided",40,null,null,null,null]\n'
    )
    assert same((VIOLATED, 10), (other, 20), (VIOLATED, 30), (event, 45)) == hashlib.sha256(text.encode()).hexdigest()


def test_numbers_and_clocks_of_the_gateway_do_not_matter_and_everything_else_does() -> None:
    plain = same((VIOLATED, 10))
    assert same((VIOLATED | {"violation": "other-1", "first": FIRST | {"wall_us": 1}, "seq": 3, "wall_us": 8}, 10)) == plain
    for changed in ({"rule": "s"}, {"point": "b"}, {"step": "notice"}, {"peak": 7.6}, {"minutes": 1.6}, {"first": FIRST | {"rule_us": 6}}, {"first": FIRST | {"value": 6.6}}):
        assert same((VIOLATED | changed, 10)) != plain
    assert same((VIOLATED, 11)) != plain
    assert same((VIOLATED | {"at_rule_us": 10}, 11)) == plain


@pytest.mark.parametrize(
    ("entry", "outcome"),
    [
        *(({"kind": "violation", "step": step}, True) for step in ("notice", "violated", "recovered", "unknown", "active", "cancelled")),
        *(({"kind": "violation", "step": step}, False) for step in ("acknowledged", "closed", "merged", "unmerged", "holding", "timed", "overdue")),
        ({"kind": "violation", "step": "recovered", "by": "li"}, False),
        *(({"kind": "event", "event": event}, True) for event in ("stayed-undecided", "cycle-passed", "would-have-fired", "would-have-ended")),
        ({"kind": "event", "event": "started"}, False), ({"kind": "event"}, False), ({"kind": "tick", "event": "cycle-passed"}, False),
    ],
)  # fmt: skip
def test_what_is_an_outcome_of_a_rule(entry: dict[str, Any], outcome: bool) -> None:
    assert is_outcome(entry) is outcome


def rule(point: str = "a", **more: Any) -> BoundRule:
    given: dict[str, Any] = {"id": "r", "pack": "p", "pack_version": "1", "edition": "e", "kind": "limit", "point": point, "standard": "GB 1", "basis_edition": "2019"}
    return BoundRule(**given | more)


def test_a_rule_at_many_points_stands_once_in_the_configuration() -> None:
    rules = [rule("a"), rule("b", renamed_from="old"), rule("c", high="4")]
    document = rules_document(rules)
    assert [(body["points"], body.get("renamed"), body.get("high")) for body in document] == [(["a", "b"], {"b": "old"}, None), (["c"], None, "4")]
    again = [BoundRule.from_config(body) for body in each_rule(document)]
    assert again == rules


def test_what_is_empty_is_left_out_and_what_follows_is_said() -> None:
    body = rule(high="4", do_en=("look",), terms={}, clause="7", season=("05-01/10-31",)).as_config()
    assert not {"low", "terms", "hours", "do_zh", "others", "outlet"} & set(body)
    assert (body["do_en"], body["season"], body["notices_only"], body["semantics"]) == (["look"], ["05-01/10-31"], True, 1)
    assert body["basis"] == "GB 1 (2019), clause 7"
    assert body["decision"] == "simple acceptance"
    assert rule(clause="unknown").basis == "GB 1 (2019), clause not verified"
    assert rule(clause="none").basis == "GB 1 (2019)"
    assert rule(unit="Cel", terms={"uncertainty": "0.5"}).decision == "guard band ±0.5 Cel"
    assert not rule(violation_after_us=0).notices_only


def test_where_nothing_is_said_of_a_bound_rule() -> None:
    plain = rule()
    assert (plain.window_us, plain.after_us, plain.notice_after_us, plain.clear_after_us, plain.unknown_after_us) == (0, 0, 0, 0, 0)
    assert (plain.undecided_after_us, plain.fresh_us, plain.severity, plain.verified) == (3600 * 10**6, 900 * 10**6, "minor", "no")


@pytest.mark.parametrize(("us", "minutes"), [(0, 0.0), (5_999_999, 0.0), (6_000_000, 0.1), (59_999_999, 0.9), (60_000_000, 1.0), (90_000_000, 1.5)])
def test_minutes_are_never_more_than_is_known(us: int, minutes: float) -> None:
    step = Step(rule="r", point="a", step="violated", rule_us=1, wall_us=1, first=First(rule_us=1, wall_us=1, value=1.0), beyond_us=us, marked_us=us)
    assert (step.minutes, step.marked_minutes) == (minutes, minutes)
    assert Step(rule="r", point="a", step="violated", rule_us=1, wall_us=1, first=step.first).minutes == 0
