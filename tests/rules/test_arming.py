"""Which rules are armed on a day: editions, seasons, states of packs; and the day that is followed through entries."""

from __future__ import annotations

import datetime as dt
import random
from typing import Any

import pytest

from edge_gateway.intake.armed import Armed
from edge_gateway.rules.arming import disarmed, out_of_edition, unarmed
from edge_gateway.rules.base import BoundRule
from edge_gateway.rules.calendar import day_of
from edge_gateway.rules.engine import Engine

S = 1_000_000


def rule(name: str = "r", **more: Any) -> BoundRule:
    given: dict[str, Any] = {"id": name, "pack": "p", "pack_version": "1.0.0", "edition": "2026-11", "kind": "limit", "point": "x", "unit": "Cel",
             "high": "4", "violation_after_us": 0}  # fmt: skip
    return BoundRule(**given | more)


def wall(text: str) -> int:
    return round(dt.datetime.fromisoformat(text).timestamp()) * S


@pytest.mark.parametrize(
    ("instant", "day"),
    [
        ("2026-11-27T15:59:59+00:00", "2026-11-27"),
        ("2026-11-27T16:00:00+00:00", "2026-11-28"),
        ("2026-11-28T23:59:59+08:00", "2026-11-28"),
        ("1970-01-01T00:00:00+00:00", "1970-01-01"),
        ("2024-02-29T00:00:00+08:00", "2024-02-29"),
    ],
)
def test_a_day_is_beijing_s(instant: str, day: str) -> None:
    assert day_of(wall(instant)) == day


@pytest.mark.parametrize(
    ("begins", "ends", "day", "stands"),
    [
        ("2026-09-02", "", "2026-09-01", "S from 2026-09-02"),
        ("2026-09-02", "", "2026-09-02", None),
        ("2016-01-01", "2026-09-01", "2026-09-01", None),
        ("2016-01-01", "2026-09-01", "2026-09-02", "S to 2026-09-01"),
        ("unknown", "", "1970-01-01", None),
        ("", "unknown", "2099-01-01", None),
    ],
)
def test_an_edition_stands_from_its_first_day_to_its_last(begins: str, ends: str, day: str, stands: str | None) -> None:
    assert out_of_edition(rule(standard="S", effective_from=begins, effective_to=ends), day) == stands


def test_seasons_against_every_day_of_a_leap_year() -> None:
    """N = 400 random seasons, seeded: by counting days, over the year's end too."""
    rng = random.Random(6)
    days = [(dt.date(2024, 1, 1) + dt.timedelta(days=n)).isoformat() for n in range(366)]
    for _ in range(400):
        begins, ends = rng.randrange(366), rng.randrange(366)
        part = f"{days[begins][5:]}/{days[ends][5:]}"
        inside = {(begins + n) % 366 for n in range((ends - begins) % 366 + 1)}
        armed = {n for n, day in enumerate(days) if not unarmed([rule(season=(part,))], day)["season"]}
        assert armed == inside, part


def test_a_clock_that_nobody_vouches_for_disarms_nothing() -> None:
    rules = [rule("a", effective_from="2026-01-01"), rule("b", season=("05-01/10-31",)), rule("c", state="shadow"), rule("d", state="draft")]
    assert disarmed(unarmed(rules, None)) == {"shadow": ["c"], "draft": ["d"]}
    assert disarmed(unarmed(rules, "2025-12-01")) == {"shadow": ["c"], "draft": ["d"], "edition": ["a"], "season": ["b"]}


def test_the_day_moves_by_trusted_entries_only_and_old_and_new_edition_change_places() -> None:
    old = rule("old", standard="GB", effective_to="2026-12-31", high="4")
    new = rule("new", standard="GB", effective_from="2027-01-01", high="2")
    engine, armed = Engine([old, new]), Armed()
    told = []
    for second, instant, trusted in (
        (0, "1970-01-01T00:00:00+08:00", False), (10, "2026-12-31T23:59:50+08:00", True), (20, "2027-01-01T00:00:00+08:00", True),
        (30, "1970-01-01T00:00:10+08:00", False),
    ):  # fmt: skip
        now = second * S, wall(instant)
        steps, picture = armed.at(now, engine, [old, new], trusted=trusted)
        told.append((picture, [(step.rule, step.step) for step in steps]))
        found = engine.judge(now[0] + 1, now[1], ("x",), [3.0], None)
        told.append([(step.rule, step.step) for step in found])
    assert told == [
        (None, []), [("new", "violated")],  # no day yet: both judge
        ({"edition": ["new"]}, [("new", "unknown")]), [],
        ({"edition": ["old"]}, []), [("new", "active")],
        (None, []), [],
    ]  # fmt: skip


def test_a_pack_that_comes_back_into_shadow_leaves_its_violation_open_unknown_and_counts() -> None:
    enforced, shadow = rule(), rule(state="shadow")
    engine, armed = Engine([enforced]), Armed("2026-11-28")
    now = wall("2026-11-28T12:00:00+08:00")
    armed.at((0, now), engine, [enforced], trusted=True)
    assert [s.step for s in engine.judge(1, now, ("x",), [6.0], None)] == ["violated"]
    again = Engine([shadow])
    again.restore(engine.snapshot())
    armed.again()
    steps, told = armed.at((2, now), again, [shadow], trusted=True)
    assert ([s.step for s in steps], told) == (["unknown"], {"shadow": ["r"]})
    assert again.judge(S, now, ("x",), [3.0], None) == [], "nothing recovers in shadow"
    assert again.judge(2 * S, now, ("x",), [7.0], None) == [], "the violation is open: it is no other one"
    assert armed.at((3 * S, now), again, [shadow], trusted=True) == ([], None)


def test_a_pack_in_shadow_counts_what_it_would_have_done() -> None:
    shadow = rule(state="shadow")
    engine, armed = Engine([shadow]), Armed("2026-11-28")
    now = wall("2026-11-28T12:00:00+08:00")
    assert armed.at((0, now), engine, [shadow], trusted=True) == ([], {"shadow": ["r"]})
    told = [step for at, value in enumerate((6.0, 7.0, 3.0, 5.0)) for step in engine.judge((at + 1) * S, now, ("x",), [value], None)]
    assert [(s.step, s.peak) for s in told] == [("would-have-fired", 6.0), ("would-have-ended", 7.0), ("would-have-fired", 5.0)]
