"""The numbers of docs/reference/marks-and-phases.md, each from both sides: how long, how often, how near, how many, how many words."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from edge_gateway.marks import APART_US, HOUR_US, MINUTE_US, TYPES, WEEK_US, MarkRefused, Marks, Now

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "marks-and-phases.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `([a-z-]+)` \| (\S+) \| (\d+) h \| (\d+) h \|$", PAGE, re.MULTILINE)


def now(at_us: int, reason: str = "because") -> Now:
    return Now(rule_us=at_us, wall_us=at_us, by="li", reason=reason)


def start(marks: Marks, at_us: int, for_us: int, *points: str, type_: str = "sensor-fault") -> dict[str, Any]:
    return marks.start(type_, {"points": points or ("a",)}, points or ("a",), for_us, now(at_us))


def test_types_are_those_of_the_page() -> None:
    hour_us = 3_600_000_000
    assert {name: (zh, int(longest) * hour_us, int(week) * hour_us) for name, zh, longest, week in ROWS} == {
        name: (each.zh, each.longest_us, each.weekly_us) for name, each in TYPES.items()
    }


@pytest.mark.parametrize(("type_", "longest", "week"), [(name, int(longest), int(week)) for name, _, longest, week in ROWS])
def test_a_week_is_full_with_its_last_microsecond(type_: str, longest: int, week: int) -> None:
    """Marks of the longest time, far apart, until the week is full: then not a microsecond more."""
    marks, at_us, used = Marks(), 10 * WEEK_US, 0
    while used < week:
        length = min(longest, week - used)
        made = start(marks, at_us, length * HOUR_US, type_=type_)
        at_us += length * HOUR_US
        marks.end(made["mark"], now(at_us))
        used += length
        at_us += APART_US
    with pytest.raises(MarkRefused, match=f"quota of {week} h for {type_} is passed at a: {week * 60} min were marked"):
        start(marks, at_us, 1, type_=type_)
    start(marks, at_us, 1, "b", type_=type_)


def test_the_longest_time_holds_to_the_microsecond_and_says_what_is_left() -> None:
    start(Marks(), 0, 24 * HOUR_US)
    with pytest.raises(MarkRefused, match="lasts at most 1440 min: a shorter"):
        start(Marks(), 0, 24 * HOUR_US + 1)
    marks = Marks()
    start(marks, 0, 10 * MINUTE_US, type_="defrost")
    marks.end("M-1", now(10 * MINUTE_US))
    with pytest.raises(MarkRefused, match="with those less than 30 min before it 45 min are left"):
        start(marks, 15 * MINUTE_US, 46 * MINUTE_US, type_="defrost")
    start(marks, 15 * MINUTE_US, 45 * MINUTE_US, type_="defrost")


@pytest.mark.parametrize(("apart_us", "one"), [(0, True), (APART_US - 1, True), (APART_US, False)])
def test_marks_thirty_minutes_apart_are_two(apart_us: int, one: bool) -> None:
    marks = Marks()
    start(marks, 0, HOUR_US)
    marks.end("M-1", now(HOUR_US))
    second = start(marks, HOUR_US + apart_us, HOUR_US)
    marks.end("M-2", now(2 * HOUR_US + apart_us))
    assert second["chain_rule_us"] == (0 if one else HOUR_US + apart_us)
    assert marks.used_us("a", 3 * HOUR_US) == 2 * HOUR_US + (apart_us if one else 0)


def test_a_mark_within_a_longer_one_takes_nothing_more_of_the_week() -> None:
    marks = Marks()
    start(marks, 0, 3 * HOUR_US)
    start(marks, HOUR_US, HOUR_US)
    assert marks.used_us("a", 0) == 3 * HOUR_US
    assert marks.used_us("b", 0) == 0
    assert marks.used_us("a", 0, besides=(2 * HOUR_US, 5 * HOUR_US)) == 5 * HOUR_US
    assert marks.used_us("b", 0, besides=(2 * HOUR_US, 5 * HOUR_US)) == 3 * HOUR_US


def test_what_leaves_the_week_leaves_it_bit_by_bit_and_is_forgotten_an_hour_later() -> None:
    marks = Marks()
    start(marks, 0, 2 * HOUR_US)
    marks.end("M-1", now(2 * HOUR_US))
    for at_us, left_us in ((WEEK_US, 2 * HOUR_US), (WEEK_US + HOUR_US, HOUR_US), (WEEK_US + 2 * HOUR_US, 0), (WEEK_US + 5 * HOUR_US, 0)):
        assert marks.used_us("a", at_us) == left_us
    start(marks, 2 * HOUR_US, HOUR_US, "b")
    marks.end("M-2", now(2 * HOUR_US + WEEK_US + HOUR_US - 1))
    assert [each["mark"] for each in marks.recent()] == ["M-1", "M-2"]
    start(marks, 2 * HOUR_US, HOUR_US, "c")
    marks.end("M-3", now(2 * HOUR_US + WEEK_US + HOUR_US))
    assert [each["mark"] for each in marks.recent()] == ["M-2", "M-3"]


def test_four_hundred_marks_a_week_are_remembered_and_no_more_are_begun() -> None:
    marks = Marks()
    for n in range(400):
        start(marks, n, 1, f"p{n}")
        marks.end(f"M-{n + 1}", now(n + 1))
    with pytest.raises(MarkRefused, match="400 marks were begun within a week"):
        start(marks, 400, 1, "more")
    assert [marks.recent()[0]["mark"], marks.recent()[-1]["mark"], len(marks.recent())] == ["M-1", "M-400", 400]


def test_so_many_points_so_many_marks_so_many_words() -> None:
    names = [f"p{n}" for n in range(257)]
    start(Marks(), 0, 1, *names[:256])
    with pytest.raises(MarkRefused, match="at most 256 points a mark"):
        start(Marks(), 0, 1, *names)
    marks = Marks()
    for name in names[:50]:
        start(marks, 0, 1, name)
    with pytest.raises(MarkRefused, match="50 marks at once"):
        start(marks, 0, 1, "more")
    assert Marks().start("defrost", {}, ["a"], 1, now(0, "x" * 300))["reason"] == "x" * 300
    with pytest.raises(MarkRefused, match="at most 300"):
        Marks().start("defrost", {}, ["a"], 1, now(0, "x" * 301))


def test_a_mark_has_a_length_and_an_extension_makes_it_longer() -> None:
    start(Marks(), 5, 1)
    for for_us in (0, -1):
        with pytest.raises(MarkRefused, match="needs an end"):
            start(Marks(), 5, for_us)
    marks = Marks()
    start(marks, 0, HOUR_US)
    with pytest.raises(MarkRefused, match="lasts longer than that already"):
        marks.extend("M-1", HOUR_US - 10, now(10))
    body = marks.extend("M-1", HOUR_US - 9, now(10, "still wet"))
    assert (body["until_rule_us"], body["until_wall_us"], body["extended"]) == (HOUR_US + 1, HOUR_US + 1, 1)
    assert (body["step"], body["by"], body["reason"]) == ("extended", "li", "still wet")
    assert marks.extend("M-1", HOUR_US, now(20))["extended"] == 2


def test_a_scope_names_what_it_has_in_order() -> None:
    made = Marks().start("defrost", {"zones": ["b", "a"], "points": []}, ["q", "p"], MINUTE_US, now(0))
    assert (made["scope"], made["points"], made["extended"], made["fired"]) == ({"zones": ["a", "b"]}, ["p", "q"], 0, 0)


def test_the_first_to_end_is_due_and_what_was_flagged_stays_flagged() -> None:
    marks = Marks()
    assert marks.due_us() is None
    start(marks, 0, 50, "a")
    start(marks, 0, 40, "b")
    assert marks.due_us() == 40
    assert marks.ripe(40, 0, trusted=False) == ["M-2"]
    marks.note_after("M-1", [{"rule": "r"}])
    marks.note_after("M-2", [])
    assert [each.get("after") for each in marks.running()] == [[{"rule": "r"}], None]


def test_numbers_go_on_after_a_replay_also_of_older_entries() -> None:
    marks = Marks()
    body = start(Marks(), 0, 10)
    marks.replay(body | {"mark": "M-7", "rule_us": 0})
    marks.replay(body | {"mark": "M-3", "rule_us": 0})
    assert start(marks, 1, 1, "z")["mark"] == "M-8"
    marks.replay({"mark": "M-99", "step": "ended", "rule_us": 5})  # begun before anything that is known here
    assert [each["mark"] for each in marks.recent()] == []
    marks.replay(body | {"mark": "old", "rule_us": 0})
    assert start(marks, 1, 1, "y")["mark"] == "M-100"
