"""Phases that begin by themselves: times of the day, the line's contact, what waits, against an independent reading of the page."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from edge_gateway.phases import DONE, OPEN, ORDER, Phases, Signer, Workday

ZONE = ZoneInfo("Asia/Shanghai")
S = 1_000_000
DAY = {"pre-start": "07:30", "production": "08:00", "closing": "17:30"}
NIGHT = {"pre-start": "20:00", "production": "21:00", "closing": "05:00"}
LI = Signer(name="li", proven=False, reason="on")


def at(text: str) -> int:
    """µs of a time in the site's zone: ``28 08:00`` of November 2026, a Saturday."""
    return round(datetime.strptime(f"2026-11-{text}", "%Y-%m-%d %H:%M").replace(tzinfo=ZONE).timestamp()) * S


def workday(begin: dict[str, str] | None = None, *, contact: str = "", **more: Any) -> Workday:
    found = Workday()
    told = {"begin": begin or {}, "contact": contact, "running": 1.0, "running_for_s": 60.0, "standing_for_s": 600.0, **more}
    found.use({"site": {"timezone": "Asia/Shanghai"}, "workday": told, "points": {"run": {}, "new": {"renamed_from": "run"}}})
    return found


def in_phase(name: str | None, since_us: int = 0) -> Phases:
    phases = Phases()
    phases.restore({"phase": name, "since_wall_us": since_us, "by": "li"})
    return phases


def due(day: Workday, phases: Phases) -> str | None:
    found = day.due(phases)
    return None if found is None else str(found["phase"])


def passes(day: Workday, phases: Phases, *times: str, trusted: bool = True) -> str | None:
    for each in times:
        day.passing((0, at(each)), phases, trusted=trusted)
    return due(day, phases)


# --- the schedule -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("begin", "running", "times", "wanted"),
    [
        (DAY, None, ("28 07:29", "28 07:30"), "pre-start"),
        (DAY, "pre-start", ("28 07:59", "28 07:59"), None),
        (DAY, "pre-start", ("28 07:59", "28 08:00"), "production"),
        (DAY, "pre-start", ("28 08:10",), None),  # a schedule that begins to hold looks ahead
        (DAY, "closed", ("27 18:00", "28 09:00"), "production"),  # off over night: the last that passed
        (DAY, "closed", ("20 18:00", "28 07:45"), "pre-start"),
        (NIGHT, "production", ("28 21:30", "29 05:01"), "closing"),
        (NIGHT, "closed", ("28 19:00", "28 20:00"), "pre-start"),
        ({"closing": "17:30"}, "production", ("28 17:29", "28 17:31"), "closing"),
    ],
)
def test_what_is_due_by_the_clock(begin: dict[str, str], running: str | None, times: tuple[str, ...], wanted: str | None) -> None:
    assert passes(workday(begin), in_phase(running), *times) == wanted


def test_days_count_from_the_first_phase() -> None:
    """29 November is a Sunday: no working day begins on it, and Saturday's ends on it."""
    day, phases = workday(NIGHT, days=["sat"]), in_phase("production", at("28 21:00"))
    assert passes(day, phases, "29 04:00", "29 05:00") == "closing"
    phases = in_phase("closed", at("29 06:00"))
    assert passes(day, phases, "29 07:00", "29 20:30", "30 20:30") is None


def test_an_untrusted_clock_waits_and_the_last_time_that_passed_counts_then() -> None:
    day, phases = workday(DAY), in_phase("closed")
    assert passes(day, phases, "28 07:00") is None
    assert passes(day, phases, "28 07:31", "28 08:30", trusted=False) is None
    assert passes(day, phases, "28 08:31") == "production"


@pytest.mark.parametrize(("since", "wanted"), [("28 07:50", None), ("27 20:01", None), ("27 20:00", "production"), ("27 07:50", "production")])
def test_who_is_one_phase_ahead_stays_there_for_half_a_day(since: str, wanted: str | None) -> None:
    assert passes(workday(DAY), in_phase("closing", at(since)), "28 07:59", "28 08:00") == wanted


def test_a_person_who_goes_there_first_leaves_nothing_due() -> None:
    day, phases = workday(DAY), in_phase("pre-start")
    passes(day, phases, "28 07:59", "28 08:00")
    phases.next([], LI, at("28 08:00"))
    assert day.due(phases) is None
    assert passes(day, phases, "28 08:01") is None
    assert day.snapshot() == {"looked_us": at("28 08:01")}


def test_a_clock_that_is_set_back_begins_nothing_twice() -> None:
    day, phases = workday(DAY), in_phase("production", at("28 08:00"))
    assert passes(day, phases, "28 08:01", "28 07:01", "28 07:31") is None, "one phase ahead since a minute"
    assert passes(day, phases, "28 08:01") is None


def reference(begin: dict[str, str], since_us: int, until_us: int) -> str | None:
    """Minute by minute: which phase's time was the last in (since, until]."""
    found, minute = None, datetime.fromtimestamp(since_us // (60 * S) * 60, ZONE) + timedelta(minutes=1)
    while minute.timestamp() * S <= until_us:
        found = next((phase for phase, text in begin.items() if text == f"{minute:%H:%M}"), found)
        minute += timedelta(minutes=1)
    return found


def test_against_a_minute_by_minute_reference() -> None:
    """N = 300 pairs of looks, seed 5: up to three days apart, days and nights."""
    rng = random.Random(5)
    for _ in range(300):
        times = sorted(rng.sample(range(1440), rng.randint(1, 4)))
        turn = rng.randrange(len(times))
        phases = sorted(rng.sample(ORDER, len(times)), key=ORDER.index)
        begin = {phase: f"{m // 60:02}:{m % 60:02}" for phase, m in zip(phases, times[turn:] + times[:turn], strict=True)}
        since_us = at("25 00:00") + rng.randrange(3 * 1440) * 60 * S
        until_us = since_us + rng.randrange(3 * 1440) * 60 * S
        day, running = workday(begin), in_phase(None)
        day.passing((0, since_us), running, trusted=True)
        day.passing((0, until_us), running, trusted=True)
        assert due(day, running) == reference(begin, since_us, until_us), (begin, since_us, until_us)


# --- the contact ------------------------------------------------------------------------------------------------------


def line(day: Workday, phases: Phases, *steps: tuple[int, Any]) -> str | None:
    """(second, value): a reading; (second, "tick"): time passes; (second, "bad") or "late": such a reading of 1."""
    for second, what in steps:
        if what != "tick":
            quality = {"bad": ["bad:no-answer"], "late": ["uncertain:late"]}.get(what)
            day.note((("run",), (1 if isinstance(what, str) else what,), quality), second * S, second * S)
        day.passing((second * S, second * S), phases, trusted=False)
    return due(day, phases)


@pytest.mark.parametrize(
    ("running", "steps", "wanted"),
    [
        ("pre-start", [(0, 0), (10, 1), (69, 1)], None),
        ("pre-start", [(0, 0), (10, 1), (70, "tick")], "production"),  # one reading stands until there is another
        ("pre-start", [(0, 1), (60, 1)], "production"),
        ("pre-start", [(0, 1), (30, 0), (40, 1), (90, 1)], None),  # it ran for 50 s
        ("pre-start", [(0, 1), (30, "bad"), (80, "tick")], None),  # unknown begins nothing
        ("pre-start", [(0, 1), (30, "bad"), (80, 1)], "production"),  # nor does it take anything back
        ("pre-start", [(0, 0), (10, "late"), (90, "tick")], None),  # a late reading is no news
        ("production", [(0, 0), (700, 0)], None),  # of what nobody saw running, nothing stopped
        ("production", [(0, 1), (70, 1), (80, 0), (679, 0)], None),
        ("production", [(0, 1), (70, 1), (80, 0), (680, 0)], "closing"),
        ("pre-start", [(0, 1), (70, 1)], "production"),
        ("closing", [(0, 0), (600, 0), (610, 1), (670, 1)], "production"),
        ("closed", [(0, 1), (70, 1)], "production"),
        (None, [(0, 1), (70, 1)], "production"),
    ],
)
def test_what_the_contact_begins(running: str | None, steps: list[tuple[int, Any]], wanted: str | None) -> None:
    assert line(workday(contact="run"), in_phase(running), *steps) == wanted


def test_a_line_that_stands_ends_only_production() -> None:
    day, phases = workday(contact="run"), in_phase("production")
    line(day, phases, (0, 1), (60, 1))
    assert line(day, in_phase("closed"), (70, 0), (700, 0)) is None


def test_a_contact_that_is_worked_on_says_nothing() -> None:
    day, phases = workday(contact="run"), in_phase("pre-start")
    line(day, phases, (0, 0))
    day.note((("run",), (1,), None), 10 * S, 10 * S)
    day.passing((80 * S, 0), phases, trusted=True, marked=frozenset({"run"}))
    assert (day.due(phases), day.due_us()) == (None, None)
    assert line(day, phases, (90, 1), (149, 1)) is None
    assert line(day, phases, (150, 1)) == "production", "it begins to count when the mark is over"


def test_a_phase_begins_by_itself_by_a_schedule_or_by_a_contact() -> None:
    assert [day.by_itself() for day in (workday(), workday(DAY), workday(contact="run"), workday(DAY, contact="run"))] == [False, True, True, True]


@pytest.mark.parametrize(
    ("begin", "now", "phase", "at_"),
    [
        (DAY, "28 07:29", "pre-start", "28 07:30"), (DAY, "28 07:30", "production", "28 08:00"), (DAY, "28 17:30", "pre-start", "29 07:30"),
        (NIGHT, "28 04:59", "closing", "28 05:00"), (NIGHT, "28 05:00", "pre-start", "28 20:00"),  # behind midnight: yesterday's
    ],
)  # fmt: skip
def test_the_next_time_of_the_schedule_is_the_first_that_is_still_to_come(begin: dict[str, str], now: str, phase: str, at_: str) -> None:
    assert workday(begin).told(at(now)) == {"schedule": {"phase": phase, "wall_us": at(at_)}, "contact": None}


def test_what_is_told_where_nothing_begins_by_itself_and_of_the_days_ahead() -> None:
    assert workday().told(at("28 12:00")) == {"schedule": None, "contact": None}
    assert workday({"closing": "17:30"}, days=["fri"]).told(at("20 17:30"))["schedule"] == {"phase": "closing", "wall_us": at("27 17:30")}, "a Friday to the next"
    day, phases = workday(contact="run"), in_phase("pre-start")
    assert day.told(0)["contact"] == {"point": "run", "runs": None}
    line(day, phases, (0, 1), (60, 1))
    assert day.told(0)["contact"] == {"point": "run", "runs": True}


def test_a_contact_counts_at_once_where_no_time_is_asked_for() -> None:
    day = Workday()
    day.use({"workday": {"contact": "run"}, "points": {}})
    assert line(day, in_phase("pre-start"), (5, 1)) == "production"
    assert line(day, in_phase("production"), (6, 0)) == "closing"


def test_a_renamed_contact_goes_on_and_another_is_not_known() -> None:
    for point, left in (("new", 1), ("other", 0)):
        day, phases = workday(contact="run"), in_phase("pre-start")
        line(day, phases, (0, 1))
        day.use({"workday": {"contact": point, "running_for_s": 60.0}, "points": {"new": {"renamed_from": "run"}}})
        day.passing((60 * S, 60 * S), phases, trusted=True)
        assert (due(day, phases) == "production") == bool(left), point


def test_a_restart_changes_nothing() -> None:
    """N = 200 courses of readings, ticks and clocks, seed 8: with a restart at each step the same is due."""
    rng = random.Random(8)
    for _ in range(200):
        one, other, phases = workday(DAY, contact="run"), workday(DAY, contact="run"), in_phase(rng.choice([None, *ORDER]))
        now = at("28 07:00")
        for _ in range(30):
            now += rng.choice([1, 30, 60, 700, 3_600]) * S
            value, trusted = rng.choice([0, 1, None]), rng.random() < 0.8
            again = workday(DAY, contact="run")
            again.restore(other.snapshot())
            again.use({"site": {"timezone": "Asia/Shanghai"}, "workday": {"begin": DAY, "contact": "run", "running": 1.0, "running_for_s": 60.0, "standing_for_s": 600.0}})
            other = again
            for each in (one, other):
                each.note((("x", "run"), (3.0, value), None), now, now)
                each.passing((now, now), phases, trusted=trusted)
            assert one.snapshot() == other.snapshot()
            assert one.due(phases) == other.due(phases)
            if one.due(phases) is not None and rng.random() < 0.5:
                phases.next([], LI, now)


# --- beginning --------------------------------------------------------------------------------------------------------

OPENED = [{"item": "hands", "state": OPEN, "evidence": []}]
BY_CLOCK = {"phase": "closing", "how": "schedule", "due_wall_us": 5}


def test_it_begins_with_open_items_and_says_so() -> None:
    phases = in_phase("production")
    body = phases.begin_itself(OPENED, BY_CLOCK, 9)
    assert body is not None
    assert {key: body[key] for key in ("step", "phase", "before", "by", "proven", "reason", "open", "how", "due_wall_us")} == {
        "step": "began", "phase": "closing", "before": "production", "by": "edge-gateway", "proven": False, "reason": "", "open": ["hands"], "how": "schedule", "due_wall_us": 5,
    }  # fmt: skip
    assert (phases.how, phases.left, phases.since_wall_us) == ("schedule", ("hands",), 9)
    again = Phases()
    again.restore(phases.snapshot())
    replayed = Phases()
    replayed.replay(body | {"wall_us": 9})
    assert again.snapshot() == replayed.snapshot() == phases.snapshot()


def test_closing_ends_by_nothing_but_work() -> None:
    for wanted in ("closed", "pre-start"):
        phases = in_phase("closing")
        assert phases.begin_itself(OPENED, {"phase": wanted, "how": "schedule", "due_wall_us": 5}, 9) is None
        assert phases.phase == "closing"
        done = [{**OPENED[0], "state": DONE}]
        body = phases.begin_itself(done, {"phase": wanted, "how": "schedule", "due_wall_us": 5}, 9)
        assert body is not None
        assert (body["phase"], body["open"]) == ("closed", [])


def test_a_line_that_runs_again_in_closing_goes_on_with_production() -> None:
    phases = in_phase("closing")
    phases.signed = {"hands": {"by": "li"}}
    body = phases.begin_itself(OPENED, {"phase": "production", "how": "contact", "due_wall_us": 5, "point": "run", "value": 1}, 9)
    assert body is not None
    assert (body["phase"], body["before"], body["point"], body["value"]) == ("production", "closing", "run", 1)
    assert phases.signed == {}
