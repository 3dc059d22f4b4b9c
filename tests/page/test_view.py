"""States of points: abnormal first, unknown never within limits, beyond the limit seen before the delay has passed."""

from __future__ import annotations

import pytest

from edge_gateway.page.view import ORDER
from edge_gateway.rules.base import First
from edge_gateway.rules.engine import Engine
from tests.page.site import MIN, MONO_US, NOW_US, S, reading, resolved, rows, rule, step


def both(value: float | None, age_s: float = 3.0) -> tuple[object, object]:
    found = reading(value, age_s)
    return (found, found)


def test_normal_needs_a_fresh_value() -> None:
    row = rows(resolved(), {"air": both(-18.4)})["air"]
    assert (row["state"], row["since_us"], row["value"], row["age_s"], row["stale"]) == (
        "normal",
        None,
        -18.4,
        3.0,
        False,
    )
    assert row["observed_us"] == NOW_US - 3 * S
    assert row["limits"][0]["high"] == "-18"
    assert row["zone_zh"] == "冷库1"


@pytest.mark.parametrize(("age_s", "state"), [(29.9, "normal"), (30.1, "no-data")])
def test_a_value_is_stale_after_three_intervals(age_s: float, state: str) -> None:
    row = rows(resolved(), {"air": both(-18.4, age_s)})["air"]
    assert row["state"] == state
    assert row["stale"] is (state == "no-data")


def test_without_a_value_the_last_one_and_its_time_are_told() -> None:
    readings = {"air": (reading(None, 2.0, "bad:no-answer"), reading(-17.8, 372.0))}
    gaps = [{"reason": "backed-off", "groups": ["d.air"]}]
    row = rows(resolved(), readings, gaps=gaps)["air"]
    assert (row["state"], row["value"], row["last_value"]) == ("no-data", None, -17.8)
    assert row["since_us"] == NOW_US - 372 * S
    assert row["gap"] == "backed-off"


def test_never_read_is_no_data_since_nobody_knows_when() -> None:
    row = rows(resolved(), {})["air"]
    assert (row["state"], row["quality"], row["since_us"], row["age_s"]) == ("no-data", "bad:no-data", None, None)


def test_beyond_the_limit_is_seen_while_the_delay_runs() -> None:
    frozen = rule()
    engine = Engine([frozen])
    assert not engine.pending()
    assert engine.judge(1000, NOW_US - 20 * S, ("air",), [-15.0], None) == []
    pending = engine.pending()
    assert [(bound.id, first.value) for bound, first in pending] == [("frozen-store-air", -15.0)]
    row = rows(resolved(), {"air": both(-15.0)}, pending=pending)["air"]
    assert (row["state"], row["rule"], row["wait_s"], row["next"]) == ("beyond", "frozen-store-air", 60.0, "notice")
    assert row["since_us"] == NOW_US - 20 * S
    engine.judge(2000, NOW_US, ("air",), [-19.0], None)
    assert not engine.pending(), "within again: nothing runs"


def test_a_notice_ends_the_waiting_and_shows_the_way_to_the_violation() -> None:
    engine = Engine([rule()])
    engine.judge(0, NOW_US, ("air",), [-15.0], None)
    engine.judge(MIN, NOW_US, ("air",), [-15.0], None)
    assert not engine.pending()
    row = rows(resolved(), {"air": both(-15.0)}, violations=[step(level="notice")])["air"]
    assert (row["state"], row["wait_s"], row["next"]) == ("notice", 900.0, "violation")


def test_a_rule_that_only_gives_notices_promises_no_violation() -> None:
    only = rule(violation_after_us=None)
    row = rows(resolved([only]), {"air": both(-15.0)}, violations=[step(level="notice")])["air"]
    assert (row["state"], row["next"]) == ("notice", None)


def test_a_rule_without_a_notice_goes_straight_to_the_violation() -> None:
    straight = rule(notice_after_us=600 * S, violation_after_us=600 * S)
    first = First(rule_us=0, wall_us=NOW_US - S, value=-15.0)
    row = rows(resolved([straight]), {"air": both(-15.0)}, pending=[(straight, first)])["air"]
    assert (row["state"], row["next"], row["wait_s"]) == ("beyond", "violation", 600.0)


def test_a_violation_stays_one_without_data_and_a_recovered_one_lets_the_point_be_normal() -> None:
    gone = rows(
        resolved(),
        {"air": (reading(None, 1, "bad:no-answer"), reading(-15.0, 60))},
        violations=[step(condition="unknown")],
    )
    assert gone["air"]["state"] == "violation"
    assert gone["air"]["condition"] == "unknown"
    back = rows(resolved(), {"air": both(-19.0)}, violations=[step(condition="recovered")])
    assert back["air"]["state"] == "normal"
    unknown = rows(resolved(), {"air": (None, None)}, violations=[step(condition="recovered")])
    assert unknown["air"]["state"] == "no-data"


def test_abnormal_first_then_by_id() -> None:
    points: dict[str, dict[str, str]] = {
        name: {} for name in ("e-normal", "d-silent", "c-beyond", "b-notice", "a-notice", "z-violation")
    }
    notices = [step(level="notice", point=f"{name}-notice") for name in "ab"]
    pending = [(rule("c-beyond"), First(rule_us=1, wall_us=NOW_US, value=-1.0))]
    readings = {name: both(-19.0) for name in points if name != "d-silent"}
    found = rows(resolved([], **points), readings, violations=[*notices, step(point="z-violation")], pending=pending)
    assert list(found) == ["z-violation", "a-notice", "b-notice", "c-beyond", "d-silent", "e-normal"]
    assert [row["state"] for row in found.values()] == ["violation", "notice", "notice", "beyond", "no-data", "normal"]
    assert set(ORDER) == {row["state"] for row in found.values()}


def test_the_gravest_step_of_a_point_counts_and_the_longest_delay() -> None:
    steps = [
        step(violation="n", level="notice", rule="other"),
        step(violation="v"),
        step(violation="m", level="notice"),
    ]
    assert rows(resolved(), {"air": both(-1.0)}, violations=steps)["air"]["violation"] == "v"
    delays = [
        (rule(id="young"), First(rule_us=9, wall_us=1, value=0.0)),
        (rule(id="old"), First(rule_us=2, wall_us=1, value=0.0)),
    ]
    assert rows(resolved(), {"air": both(-1.0)}, pending=delays)["air"]["rule"] == "old"


def test_age_never_is_negative() -> None:
    ahead = reading(-18.4, -5.0)
    assert ahead.mono_us > MONO_US
    assert rows(resolved(), {"air": (ahead, ahead)})["air"]["age_s"] == 0.0
