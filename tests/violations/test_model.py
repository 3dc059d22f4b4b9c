"""Random courses of readings, persons and time through the book and through the second program of ``model``: the same is permitted, the same comes of it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from unittest import mock

import pytest

from edge_gateway.rules.base import Step
from edge_gateway.violations import Ask, StepRefused, Violations, Who, deadlines, persons, table
from edge_gateway.violations import book as books
from tests.violations.acts import FULL, HOUR, MINOR, RULE, at, step
from tests.violations.model import ASSESSED, Model

PLACES = {"a": replace(RULE, point="a"), "b": replace(MINOR, point="b"), "c": replace(MINOR, point="c")}
PEOPLE = [("wang", "claimed"), ("wang", "secret"), ("li", "claimed"), ("li", "secret"), ("zhang", "secret"), ("hub.key", "hub")]
STEPS = [each for each in table.TABLE if each != "extend"]
#: What a rule may do next, by what it did last.
NEXT = {
    "": ("notice", "violated"), "notice": ("violated", "cancelled", "unknown"), "violated": ("recovered", "unknown"),
    "unknown": ("active", "recovered"), "active": ("recovered", "unknown"), "recovered": ("notice", "violated"),
    "cancelled": ("notice", "violated"),
}  # fmt: skip


class Course:
    """One course, lived by both."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.book, self.model = Violations("g"), Model()
        self.now_h = 1.0
        self.last = dict.fromkeys(PLACES, "")
        self.excursion = dict.fromkeys(PLACES, "")
        self.permitted = self.refused = 0

    def run(self, length: int = 120) -> Iterator[tuple[str, Any, Any]]:
        """What each of them says after each thing that happens: (what, the book's, the model's)."""
        for _ in range(length):
            self.now_h += self.chance.choice((0.0, 0.1, 0.5, 3.0, 30.0))
            what, one, other = self.chance.choice((self._reading, self._reading, self._person, self._person, self._person, self._time, self._found, self._hold))()
            yield what, one, other
            yield what, self._shown_book(), self._shown_model()

    def _at(self) -> Any:
        return at(self.now_h * 3600)

    def _reading(self) -> tuple[str, Any, Any]:
        place = self.chance.choice(list(PLACES))
        what = self.chance.choice(NEXT[self.last[place]])
        if self.last[place] == "unknown" and self.excursion[place] == "notice":
            what = "cancelled" if what == "recovered" else what
        if self.last[place] == "active" and self.excursion[place] == "notice":
            what = self.chance.choice(("violated", "cancelled"))
        self.excursion[place] = what if what in ("notice", "violated") else self.excursion[place]
        self.last[place] = what
        made: Step = step(what, self.now_h * 3600, point=place)
        self.book.apply(made, PLACES[place], self._at())
        self.model.rule(what, place, PLACES[place].severity, self.now_h)
        return what, None, None

    def _person(self) -> tuple[str, Any, Any]:
        number = self.chance.choice([case.number for case in self.model.cases] or [0]) if self.chance.random() < 0.95 else self.chance.randint(0, 9)
        what, who = self._wanted(number), self.chance.choice(PEOPLE)
        told: set[str] = set()
        detail: dict[str, Any] = {}
        if what == "correct":
            told = set(ASSESSED) if self.chance.random() < 0.7 else {each for each in ASSESSED if self.chance.random() < 0.5}
            case = self.model.of(number)
            detail = {key: FULL[key] for key in told}
            if "severity" in told:
                worse = self.chance.random() < 0.2
                told |= {"worse"} if worse else set()
                detail["severity"] = "major" if worse or case is None else case.severity
        if what == "refer":
            detail = {"to": "ecology"}
        permitted = self.model.person(what, number, who, told, self.now_h)
        before = self.book.snapshot()
        try:
            self.book.take(Ask(what, f"g-{number}", Who(*who), "because", detail), self._at())
            done = True
        except StepRefused:
            done = False
            assert self.book.snapshot() == before, "a refused step changes nothing"
        self.permitted, self.refused = self.permitted + permitted, self.refused + (not permitted)
        if what == "withdraw" and permitted:
            self._armed_anew()
        return f"{what} {number} {who}", done, permitted

    def _wanted(self, number: int) -> str:
        """The next step of the usual path, half of the time."""
        case = self.model.of(number)
        usual = {"new": "ack", "acknowledged": "correct", "correcting": "submit", "submitted": "close"}
        if case is None or self.chance.random() < 0.4:
            return self.chance.choice(STEPS)
        return usual.get(case.handling, "ack") if case.handling != "correcting" or case.told >= ASSESSED else "correct"

    def _armed_anew(self) -> None:
        for place in PLACES:
            if self.model.at(place) is None:
                self.last[place] = self.excursion[place] = ""

    def _time(self) -> tuple[str, Any, Any]:
        self.book.passing(self._at())
        self.model.passing(self.now_h)
        return "time", None, None

    def _found(self) -> tuple[str, Any, Any]:
        if self.model.count > 40 or self.chance.random() < 0.7:
            return "nothing", None, None
        who, severity = self.chance.choice(PEOPLE), self.chance.choice(("minor", "major"))
        self.book.find(Ask("open", "", Who(*who), "seen", {"severity": severity}), self._at())
        self.model.find(who, severity, self.now_h)
        return "find", None, None

    def _hold(self) -> tuple[str, Any, Any]:
        numbers = [case.number for case in self.model.cases]
        if len(numbers) < 2 or self.chance.random() < 0.6:
            return "nothing", None, None
        under, held = self.chance.sample(numbers, 2)
        permitted = self.model.hold([held], under, self.now_h)
        try:
            self.book.hold([f"g-{held}"], f"g-{under}", self._at())
            done = True
        except StepRefused:
            done = False
        return f"hold {held} under {under}", done, permitted

    def _shown_book(self) -> list[Any]:
        found = []
        for each in self.book.records():
            due = {what: round(us / HOUR, 6) for what, us in each.get("due", {}).items()}
            follows = int(each["follows"]["violation"].rpartition("-")[2]) if "follows" in each else None
            into = int(each["into"].rpartition("-")[2]) if "into" in each else None
            found.append([
                each["violation"], each["level"], each["condition"], each["handling"], each["episode"], each.get("returns", 0), each["severity"], follows, into, due,
            ])  # fmt: skip
        return found

    def _shown_model(self) -> list[Any]:
        return [
            [f"g-{each.number}", "notice" if each.notice else "violation", each.condition, each.handling, each.episode, each.returns, each.severity,
             each.follows, each.cause.number if each.cause else None, {what: round(h, 6) for what, h in each.due.items()}]
            for each in sorted(self.model.cases, key=lambda case: case.number)
        ]  # fmt: skip


def differs(seed: int) -> str:
    """The first difference of a course; "" for none."""
    course = Course(seed)
    for number, (what, one, other) in enumerate(course.run()):
        if one != other:
            return f"seed {seed}, step {number // 2} ({what}): book {one}, model {other}"
    return ""


@pytest.mark.parametrize("seed", range(0, 400, 40))
def test_random_courses_are_the_same_in_book_and_model(seed: int) -> None:
    assert [found for number in range(seed, seed + 40) if (found := differs(number))] == []


def test_the_courses_reach_what_they_should() -> None:
    """400 courses of 120: enough of what is permitted and of what is refused, and every end."""
    permitted = refused = 0
    seen: set[str] = set()
    for seed in range(60):
        course = Course(seed)
        for what, one, _ in course.run():
            seen |= {what.split()[0]} if one is True else set()
        permitted, refused = permitted + course.permitted, refused + course.refused
    assert seen >= {*STEPS, "hold"}, set(STEPS) - seen
    assert permitted > 500
    assert refused > 500


FAULTS: dict[str, Any] = {
    "unknown closes": mock.patch.object(persons, "UNKNOWN", "no condition"),
    "active closes": mock.patch.object(persons, "ACTIVE", "no condition"),
    "one person is enough": mock.patch.object(persons, "second"),
    "minor needs nobody to withdraw": mock.patch.dict(persons._ACTS, {"withdraw": lambda record, ask, _at: dict(persons._asked(record))}),
    "a new episode stays submitted": mock.patch("edge_gateway.violations.record.SUBMITTED", "never"),
    "merged ones stay hidden": mock.patch.object(Violations, "_let_go", return_value=[]),
    "nothing names the old one": mock.patch.object(Violations, "_follows", return_value=None),
    "major ones close by themselves": mock.patch.object(books.Violations, "_closes", lambda record, _at, _silent: record["handling"] == "submitted"),
    "submitted without an assessment": mock.patch.object(persons, "missing", return_value=[]),
    "returned from anywhere": mock.patch.dict(table.TABLE, {"return": dict.fromkeys(table.OPEN, "correcting")}),
    "acknowledged twice": mock.patch.dict(table.TABLE, {"ack": dict.fromkeys(table.OPEN, "acknowledged")}),
    "a deadline that stands still": mock.patch.dict(deadlines.RUNNING, {"submitted": ("correct",)}),
    "a rule lowers the severity again": mock.patch("edge_gateway.violations.record.severest", lambda *each: each[0] or ""),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault: str) -> None:
    with FAULTS[fault]:
        assert any(_found(seed) for seed in range(240)), fault


def _found(seed: int) -> bool:
    try:
        return bool(differs(seed))
    except (AssertionError, KeyError, TypeError):
        return True
