"""Silences that have one cause: courses against a second program written from docs/reference/violations.md, cuts, orders, planted faults."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any
from unittest import mock

import orjson
import pytest

from edge_gateway.record.entry import canonical
from edge_gateway.rules.base import First, Step
from edge_gateway.violations import Violations, book, causes
from edge_gateway.violations.causes import Causes, Silences
from tests.violations.acts import MINOR, RULE, at
from tests.violations.model import Case, Model

#: point -> (bus, interval in s, rule)
PLACES = {
    "a1": ("east", 10, "cold-silence"), "a2": ("east", 60, "cold-silence"), "a3": ("east", 3600, "health-silence"), "a4": ("east", 60, "health-silence"),
    "b1": ("west", 60, "cold-silence"), "b2": ("west", 60, "health-silence"), "d1": ("", 60, "health-silence"), "x1": ("east", 60, "too-warm"),
}  # fmt: skip
SEVERITY = {"cold-silence": "major", "health-silence": "minor", "too-warm": "major"}
RULES = {point: replace(RULE if SEVERITY[rule] == "major" else MINOR, id=rule, point=point) for point, (_, _, rule) in PLACES.items()}
RESOLVED = {
    "semantics": {"causes": 1},
    "rules": [{"id": rule, "kind": "limit" if rule == "too-warm" else "stale"} for rule in SEVERITY],
    "devices": {f"on-{bus}": {"bus": bus} for bus in ("east", "west")},
    "points": {point: {"device": f"on-{bus}" if bus else "derived"} for point, (bus, _, _) in PLACES.items()},
    "groups": {point: {"points": [point], "interval_us": every_s * 1_000_000} for point, (_, every_s, _) in PLACES.items()},
}
NEXT = {
    "": ("notice", "notice", "notice", "violated"), "notice": ("violated", "violated", "cancelled", "unknown"), "violated": ("recovered", "unknown"),
    "unknown": ("active", "recovered"), "active": ("recovered", "unknown"), "recovered": ("notice", "violated"), "cancelled": ("notice", "violated"),
}  # fmt: skip


def taken(violations: Violations, what: str, point: str, now_s: float, since_s: float) -> list[dict[str, Any]]:
    """The entries of a step, as intake makes them."""
    us = int(now_s * 1e6)
    first = First(rule_us=int(since_s * 1e6), wall_us=int(since_s * 1e6), value=None)
    made = Step(rule=PLACES[point][2], point=point, step=what, rule_us=us, wall_us=us, first=first, beyond_us=us)
    bodies = causes.told(violations, Causes(RESOLVED), made, violations.apply(made, RULES[point], at(now_s)), at(now_s))
    return [{**body, "seq": 1, "rule_us": us, "wall_us": us} for body in bodies]


# --- the second program ------------------------------------------------------------------------------------------------


class Explained:
    """What the page says of causes, on top of ``Model``. Times in seconds."""

    def __init__(self) -> None:
        self.model = Model()
        self.since: dict[int, float] = {}
        self.points: dict[int, set[str]] = {}

    def step(self, what: str, point: str, now_s: float, since_s: float) -> None:
        rule = PLACES[point][2]
        self.model.rule(what, point, SEVERITY[rule], now_s / 3600)
        case = self.model.at(point)
        if case is None:
            return
        self.since[case.number] = since_s
        if what not in ("notice", "violated") or rule == "too-warm" or case.handling not in ("new", "merged"):
            return
        if case.cause is not None:
            if self.hides(case.cause, case):
                return
            case.cause, case.handling = None, "new"
        others = [each for each in self.model.cases if each is not case and each.cause is None and PLACES[each.place][2] != "too-warm"]
        above = [each for each in others if self.hides(each, case)]
        if above:
            self.put([case], min(above, key=lambda each: each.number), now_s)
        else:
            self.put([each for each in others if self.hides(case, each)], case, now_s)
        self.model.clocks(now_s / 3600)

    def put(self, cases: list[Case], under: Case, now_s: float) -> None:
        if not cases:
            return
        points = self.points.setdefault(under.number, set())
        for case in cases:
            points |= {case.place} | self.points.pop(case.number, set())
        assert self.model.hold([case.number for case in cases], under.number, now_s / 3600)

    def hides(self, cause: Case, other: Case) -> bool:
        if (cause.condition, other.condition) != ("active", "active") or (cause.notice and not other.notice):
            return False
        one, two = (self.since[each.number] for each in (cause, other))
        earlier = cause if one <= two else other
        bus, other_bus = (PLACES[each.place][0] for each in (cause, other))
        most = PLACES[earlier.place][1] + 60 if bus and bus == other_bus else 120
        return abs(one - two) <= most

    def shown(self) -> list[Any]:
        return [
            [f"g-{c.number}", "notice" if c.notice else "violation", c.condition, c.handling, c.severity, c.episode, f"g-{c.cause.number}" if c.cause else None,
             sorted(self.points.get(c.number, ())), {what: round(h, 6) for what, h in c.due.items()}, self.since[c.number]]
            for c in sorted(self.model.cases, key=lambda case: case.number)
        ]  # fmt: skip


def shown(book: Violations) -> list[Any]:
    return [
        [r["violation"], r["level"], r["condition"], r["handling"], r["severity"], r["episode"], r.get("into"), r.get("scope", {}).get("points", []),
         {what: round(us / 3.6e9, 6) for what, us in r.get("due", {}).items()}, r["first"]["rule_us"] / 1e6]
        for r in book.records()
    ]  # fmt: skip


class Course:
    """Points that fall silent together and alone, one after another; both programs live it, and the book is snapshotted and replayed at a cut."""

    def __init__(self, seed: int) -> None:
        self.chance, self.book, self.other = random.Random(seed), Violations("g"), Explained()
        self.entries: list[dict[str, Any]] = []
        self.last, self.running, self.since = dict.fromkeys(PLACES, ""), dict.fromkeys(PLACES, ""), dict.fromkeys(PLACES, 0.0)
        self.dark_s = 0.0

    def differs(self, length: int = 80) -> str:
        now_s, cut = 10_000.0, self.chance.randrange(length)
        taken_at, until = "", 0
        for number in range(length):
            if number == cut:
                taken_at, until = canonical(self.book.snapshot()).decode(), len(self.entries)
            now_s += self.chance.choice((0, 0, 1, 20, 70, 400, 4000))
            if self.chance.random() < 0.2:
                self.dark_s = now_s - self.chance.choice((0, 30, 300))
            point = self.chance.choice(list(PLACES))
            what = self._next(point, now_s)
            if self.chance.random() < 0.5:
                us = int(now_s * 1e6)
                self.entries += [{**body, "seq": 1, "rule_us": us, "wall_us": us} for body in self.book.passing(at(now_s))]
                self.other.model.passing(now_s / 3600)
                self.other.model.clocks(now_s / 3600)
            self.entries += taken(self.book, what, point, now_s, self.since[point])
            self.other.step(what, point, now_s, self.since[point])
            if (one := shown(self.book)) != (other := self.other.shown()):
                return f"step {number} {what} {point}: book {one}, model {other}"
        restarted = Violations("g")
        restarted.restore(orjson.loads(taken_at))
        for entry in self.entries[until:]:
            restarted.replay(orjson.loads(canonical(entry)))
        wanted = orjson.loads(canonical(self.book.snapshot()))
        got = orjson.loads(canonical(restarted.snapshot()))
        return "" if _plain(got) == _plain(wanted) else f"cut {cut}: {got} instead of {wanted}"

    def _next(self, point: str, now_s: float) -> str:
        what = self.chance.choice(NEXT[self.last[point]])
        if self.running[point] == "notice" and what == "recovered":
            what = "cancelled"
        if self.last[point] == "active" and self.running[point] == "notice":
            what = self.chance.choice(("violated", "cancelled"))
        if what in ("notice", "violated"):
            if self.last[point] in ("", "recovered", "cancelled"):
                self.since[point] = self.dark_s - self.chance.choice((0, 0, 1, 5, 50, 119, 121, 3000)) if self.chance.random() < 0.8 else now_s - 100
            self.running[point] = what
        self.last[point] = what
        return what


def _plain(snapshot: dict[str, Any]) -> dict[str, Any]:
    """Where an entry stands is not known to this test's entries."""
    return snapshot | {"open": [{key: value for key, value in each.items() if key != "opened"} for each in snapshot["open"]]}


@pytest.mark.parametrize("seed", range(0, 400, 40))
def test_random_courses_are_the_same_in_both_programs_and_over_a_restart(seed: int) -> None:
    """400 courses of 80 steps at 8 points of 2 buses and of none."""
    assert [found for number in range(seed, seed + 40) if (found := Course(number).differs())] == []


FAULTS: dict[str, Any] = {
    "a cause that forgets its points": mock.patch.object(book, "widen", return_value=False),
    "held ones that never return": mock.patch.object(Violations, "_outlived", return_value=False),
    "held ones stay under what is unknown": mock.patch.object(Violations, "_let_go", return_value=[]),
    "all return at once": mock.patch.object(Violations, "_await"),
    "a later silence stays hidden": mock.patch.object(Violations, "release"),
    "everything belongs together": mock.patch.object(Silences, "together", return_value=True),
    "buses do not matter": mock.patch.object(causes, "ACROSS_US", 10**12),
    "an hour's interval is forgotten": mock.patch.object(causes, "NEAR_US", -10_000_000_000),
    "a notice hides a violation": mock.patch.object(causes, "_may_hold", lambda causes_, _, one, other: one["condition"] == other["condition"] == "active" and causes_.explains(one, other)),
    "the newest is the cause": mock.patch.object(causes, "in_order", lambda each: -int(each["violation"].rpartition("-")[2])),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault: str) -> None:
    with FAULTS[fault]:
        assert any(_found(seed) for seed in range(100)), fault


def _found(seed: int) -> bool:
    try:
        return bool(Course(seed).differs())
    except (AssertionError, KeyError):
        return True


# --- what people see ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_a_power_cut_is_told_once_whatever_comes_first(seed: int) -> None:
    silent = ["a1", "a2", "a3", "a4", "b1", "b2", "d1"]
    random.Random(seed).shuffle(silent)
    book = Violations("g")
    for what, later_s in (("notice", 200), ("violated", 2000)):
        for point in silent:
            if what == "notice" or PLACES[point][2] == "cold-silence":
                taken(book, what, point, 10_000 + later_s, 10_000 - len(point))
        [cause] = book.open()
        assert {cause["point"], *cause["scope"]["points"]} == set(silent)
        assert (cause["severity"], cause["level"]) == ("major", "notice" if what == "notice" else "violation")
        assert len(book.held(cause["violation"])) == len(silent) - 1
    assert {r["point"]: r["minutes"] for r in book.held(cause["violation"]) if r["level"] == "violation"}


def test_a_point_that_stays_silent_after_the_bus_came_back_is_new_with_its_own_start() -> None:
    book = Violations("g")
    for point, since_s in (("a1", 9_995.0), ("a2", 9_950.0), ("a4", 9_940.0)):
        taken(book, "notice", point, 10_200, since_s)
    [first] = taken(book, "cancelled", "a4", 10_900, 9_940.0)
    assert first["handling"] == "merged"
    taken(book, "cancelled", "a1", 10_900, 9_995.0)
    assert book.passing(at(11_499)) == []
    [made] = book.passing(at(11_500))
    assert (made["point"], made["step"], made["handling"], made["first"]["rule_us"]) == ("a2", "unmerged", "new", 9_950_000_000)
    assert [each["point"] for each in book.open()] == ["a2"]


def test_points_that_speak_again_with_their_bus_are_told_no_more() -> None:
    """A cut that lasted: one violation to be handled, and not one a point."""
    book, silent = Violations("g"), ("a1", "a2", "b1")
    for what, now_s in (("notice", 10_200), ("violated", 12_000), ("recovered", 13_000)):
        for point in silent:
            made = taken(book, what, point, now_s, 9_990)
            assert {each["violation"] for each in made if each["handling"] != "merged"} <= {"g-1"}
    assert book.passing(at(14_000)) == []
    assert [(each["violation"], each["condition"], each["holds"]) for each in book.open()] == [("g-1", "recovered", 2)]


def test_what_began_at_another_time_or_is_no_silence_is_told_by_itself() -> None:
    book = Violations("g")
    taken(book, "notice", "a1", 10_200, 10_000)
    taken(book, "notice", "a2", 10_300, 10_100)
    taken(book, "violated", "x1", 10_300, 10_000)
    taken(book, "notice", "b1", 10_400, 10_000)
    assert {each["point"]: each["handling"] for each in book.records()} == {"a1": "new", "a2": "new", "x1": "new", "b1": "merged"}


def test_a_record_of_an_earlier_release_is_judged_as_it_was() -> None:
    silences = Silences(RESOLVED | {"semantics": {"decode": 1}})
    assert silences.rules == frozenset()
