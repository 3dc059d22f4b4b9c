"""Marks: bounds of one and of a week, chains, extension, their end, and what they mean for rules."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from edge_gateway.marks import APART_US, HOUR_US, MINUTE_US, TYPES, WEEK_US, MarkRefused, Marks, Now, bounded
from edge_gateway.rules.base import BoundRule


def now(minute: float, reason: str = "because", by: str = "li") -> Now:
    at_us = round(minute * MINUTE_US)
    return Now(rule_us=at_us, wall_us=at_us + 7, by=by, reason=reason)


def start(marks: Marks, minute: float, minutes: float, *points: str, type_: str = "calibration") -> dict[str, Any]:
    return marks.start(type_, {"points": points or ("a",)}, points or ("a",), round(minutes * MINUTE_US), now(minute))


def test_a_mark_says_everything_and_ends_by_itself_on_time() -> None:
    marks = Marks()
    body = start(marks, 10, 45)
    assert body["mark"] == "M-1"
    assert (body["step"], body["type"], body["scope"], body["points"]) == ("started", "calibration", {"points": ["a"]}, ["a"])
    assert (body["by"], body["reason"], body["until_wall_us"]) == ("li", "because", 55 * MINUTE_US + 7)
    assert marks.due_us() == 55 * MINUTE_US
    assert marks.ripe(55 * MINUTE_US - 1, 0, trusted=False) == []
    assert marks.ripe(55 * MINUTE_US, 0, trusted=False) == ["M-1"]
    assert marks.ripe(0, 55 * MINUTE_US + 7, trusted=True) == ["M-1"], "a wall clock that is vouched for ends it too"
    assert marks.ripe(0, 55 * MINUTE_US + 7, trusted=False) == []
    ended = marks.end_itself("M-1", 55 * MINUTE_US, 1)
    assert (ended["step"], ended["by"]) == ("ended", "edge-gateway")
    assert marks.running() == []


@pytest.mark.parametrize("type_", TYPES)
def test_no_type_lasts_longer_than_it_may(type_: str) -> None:
    longest = TYPES[type_].longest_us / MINUTE_US
    start(Marks(), 0, longest, type_=type_)
    with pytest.raises(MarkRefused, match="lasts at most"):
        start(Marks(), 0, longest + 1, type_=type_)


def test_what_is_refused() -> None:
    marks = Marks()
    with pytest.raises(MarkRefused, match="no type"):
        start(marks, 0, 10, type_="holiday")
    with pytest.raises(MarkRefused, match="needs an end"):
        start(marks, 0, 0)
    with pytest.raises(MarkRefused, match="no point lies"):
        marks.start("calibration", {}, (), MINUTE_US, now(0))
    for bad, why in ((now(0, reason=" "), "reason is missing"), (now(0, by=""), "who marks"), (now(0, reason="x" * 301), "at most 300")):
        with pytest.raises(MarkRefused, match=why):
            marks.start("calibration", {"points": ["a"]}, ["a"], MINUTE_US, bad)
    with pytest.raises(MarkRefused, match="no mark 'M-9'"):
        marks.end("M-9", now(0))
    with pytest.raises(MarkRefused, match="no mark 'M-9'"):
        marks.extend("M-9", MINUTE_US, now(0))
    assert marks.running() == []


def test_marks_less_than_thirty_minutes_apart_are_one_also_of_other_types() -> None:
    marks = Marks()
    start(marks, 0, 60)
    marks.end("M-1", now(60))
    with pytest.raises(MarkRefused, match="31 min are left"):
        start(marks, 89, 60)
    with pytest.raises(MarkRefused, match="0 min are left"):
        start(marks, 89, 1, type_="door-loading")
    start(marks, 89, 60, "b")  # another point
    start(marks, 90, 60)  # far enough


def test_an_extension_counts_from_the_first() -> None:
    marks = Marks()
    start(marks, 0, 60)
    with pytest.raises(MarkRefused, match="lasts longer"):
        marks.extend("M-1", 10 * MINUTE_US, now(30))
    body = marks.extend("M-1", 80 * MINUTE_US, now(40, "not stable yet"))
    assert (body["until_rule_us"], body["extended"], body["reason"]) == (120 * MINUTE_US, 1, "not stable yet")
    assert marks.running()[0]["reason"] == "because"
    with pytest.raises(MarkRefused, match="lasts at most"):
        marks.extend("M-1", 81 * MINUTE_US, now(40))


def test_a_week_holds_so_much_and_no_more() -> None:
    marks = Marks()
    for day in range(4):
        start(marks, day * 1440, 120)
        marks.end(f"M-{day + 1}", now(day * 1440 + 120))
    with pytest.raises(MarkRefused, match="quota of 8 h for calibration is passed at a: 480 min"):
        start(marks, 4 * 1440, 1)
    marks.end(start(marks, 4 * 1440, 60, type_="defrost")["mark"], now(4 * 1440 + 1))
    start(marks, 4 * 1440, 60, "b")
    start(marks, 7 * 1440 + 120, 60)  # the first has left the week


def reference_used(spans: list[tuple[int, int]], at: int) -> int:
    """Every minute asked for itself: is it in a mark, or between two that are less than half an hour apart?"""
    used = 0
    for minute in range(at - 7 * 1440, max((e for _, e in spans), default=at)):
        inside = any(b <= minute < e for b, e in spans)
        before = [e for b, e in spans if e <= minute and e > at - 7 * 1440]
        after = [b for b, _ in spans if b > minute]
        bridged = bool(before) and bool(after) and min(after) - max(before) < 30
        used += inside or bridged
    return used


@pytest.mark.parametrize("seed", range(60))
def test_the_week_counts_as_minute_by_minute(seed: int) -> None:
    rng = random.Random(seed)
    marks, spans, minute = Marks(), list[tuple[int, int]](), 0
    for _ in range(rng.randint(1, 25)):
        minute += rng.choice([5, 29, 30, 31, 200, 900])
        minutes = rng.choice([1, 10, 45])
        try:
            made = start(marks, minute, minutes, type_="sensor-fault")
        except MarkRefused:
            continue
        minute += rng.randint(0, minutes)
        marks.end(made["mark"], now(minute))
        spans.append((made["from_rule_us"] // MINUTE_US, minute))
    assert marks.used_us("a", minute * MINUTE_US) // MINUTE_US == reference_used([s for s in spans if s[1] > s[0]], minute)


def test_rules_that_stand_because_of_a_mark() -> None:
    def bound(id_: str, kind: str, point: str, *others: str) -> BoundRule:
        return BoundRule(id=id_, pack="t", pack_version="1", edition="1", kind=kind, point=point, others=others)

    rules = [bound("l", "limit", "a", "door"), bound("l", "limit", "b"), bound("s", "spread", "b", "a"), bound("w", "window", "c", "flow")]
    marks = Marks()
    assert marks.refs(rules) == {}
    start(marks, 0, 10, "a")
    start(marks, 0, 10, "a", "flow")
    start(marks, 0, 10, "door")
    both = "M-1,M-2"
    assert marks.refs(rules) == {("l", "a"): both, ("s", "b"): both, ("w", "c"): "M-2"}
    marks.count({"why": ["mark", "phase"], "refs": [both, "x"]})
    marks.end("M-1", now(5))
    marks.count({"why": ["mark"], "refs": [both]})
    assert [mark["fired"] for mark in (*marks.recent(), *marks.running())] == [2, 2, 0]


@pytest.mark.parametrize("seed", range(40))
def test_entries_and_snapshots_give_the_same_marks(seed: int) -> None:
    rng = random.Random(seed)
    marks, again = Marks(), Marks()
    minute = 0.0
    for _ in range(60):
        minute += rng.choice([0, 3, 20, 45, 300, 3000])
        running = [mark["mark"] for mark in marks.running()]
        try:
            what = rng.choice(["start", "extend", "end"])
            if what == "start":
                body = start(marks, minute, rng.choice([5, 60, 150]), rng.choice("abc"), type_=rng.choice(list(TYPES)))
            elif what == "extend":
                body = marks.extend(rng.choice([*running, "M-0"]), rng.choice([5, 60]) * MINUTE_US, now(minute))
            else:
                body = marks.end(rng.choice([*running, "M-0"]), now(minute))
        except MarkRefused:
            continue
        again.replay(body | {"rule_us": round(minute * MINUTE_US)})
        if rng.random() < 0.3:
            state = json.loads(json.dumps(again.snapshot()))
            again = Marks()
            again.restore(state)
        assert again.snapshot() == marks.snapshot()


def test_what_is_remembered_is_bounded() -> None:
    marks = Marks()
    for hour in range(0, 24 * 30, 2):
        made = start(marks, hour * 60, 1, type_="defrost")
        marks.end(made["mark"], now(hour * 60 + 1))
    assert len(marks.recent()) <= (WEEK_US + HOUR_US) // (2 * HOUR_US) + 1
    for n in range(50):
        start(marks, 50_000, 1, f"p{n}")
    with pytest.raises(MarkRefused, match="50 marks at once"):
        start(marks, 50_000, 1, "more")
    assert APART_US == 30 * MINUTE_US


def test_many_short_marks_elsewhere_take_none_out_of_the_quota() -> None:
    marks = Marks()
    marks.end(start(marks, 0, 120)["mark"], now(120))
    used_us = marks.used_us("a", 130 * MINUTE_US)
    for n in range(399):
        marks.end(start(marks, 130 + n * 0.01, 0.01, "b")["mark"], now(130 + n * 0.01 + 0.005))
    with pytest.raises(MarkRefused, match="400 marks were begun within a week"):
        start(marks, 136, 1, "b")
    assert marks.used_us("a", 140 * MINUTE_US) == used_us == 120 * MINUTE_US
    start(marks, 9 * 24 * 60, 1, "b")  # a week later there is room again


# --- a site's own bounds --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("type_", TYPES)
def test_a_site_bounds_a_type_only_to_less(type_: str) -> None:
    ours = TYPES[type_]
    for share in (0.1, 0.5, 1.0, 1.5, 100.0):
        own = bounded({type_: {"longest_s": ours.longest_us / 1e6 * share, "weekly_s": ours.weekly_us / 1e6 * share}})[type_]
        assert (own.longest_us, own.weekly_us) == (round(ours.longest_us * min(share, 1)), round(ours.weekly_us * min(share, 1)))
    assert bounded({"holiday": {"longest_s": 1}}) == TYPES
    assert bounded({type_: {}}) == TYPES


def test_a_site_s_bound_holds_for_what_begins_and_is_extended_and_not_for_what_runs() -> None:
    marks = Marks()
    start(marks, 0, 60)
    marks.use({"marks": {"calibration": {"longest_s": 1200}, "defrost": {"weekly_s": 1800}}})
    assert marks.due_us() == 60 * MINUTE_US
    with pytest.raises(MarkRefused, match="lasts at most 20 min"):
        marks.extend("M-1", 70 * MINUTE_US, now(1))
    with pytest.raises(MarkRefused, match="lasts at most 20 min"):
        start(marks, 0, 21, "b")
    start(marks, 0, 20, "b")
    with pytest.raises(MarkRefused, match="week's quota"):
        start(marks, 0, 31, "c", type_="defrost")
    marks.use({})
    start(marks, 0, 60, "c", type_="defrost")
