"""What a rule remembers of an excursion that stands open elsewhere: it sees it end, counts on, and guesses nothing that the record lacks."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from edge_gateway.rules.base import ACTIVE, CANCELLED, LIMIT, RECOVERED, VIOLATED, BoundRule, First
from edge_gateway.rules.kinds import track_for
from edge_gateway.rules.resume import resumed
from edge_gateway.rules.track import Track

S = 1_000_000
RULE = BoundRule(
    id="r", pack="p", pack_version="1", edition="1", kind=LIMIT, point="a", low="-5", high="4", notice_after_us=10 * S, violation_after_us=60 * S,
)  # fmt: skip
RECORD: dict[str, Any] = {
    "level": "violation", "condition": "active", "first": {"rule_us": 5, "wall_us": 77, "value": 6.5}, "peak": 7.5, "minutes": 1.5,
    "whole": {"area": "500", "past_area": "120"},
}  # fmt: skip
NOW = 1000 * S


def track(**changes: Any) -> Track:
    made = track_for(RULE, 0)
    state = resumed(RULE, RECORD | changes, NOW)
    assert state is not None
    made.restore(state)
    return made


def test_it_knows_what_the_record_says_and_counts_from_now() -> None:
    found = track()
    assert found.first == First(rule_us=NOW, wall_us=77, value=6.5)
    assert (found.peak, found.excess, found.beyond_us, found.area) == (7.5, 3.5, 90 * S, Decimal(380))
    assert found.last_us == NOW
    assert found.unknown_us == NOW
    assert track(peak=-7.0).excess == 2.0
    assert track(peak=3.0).excess == 0.0


def test_a_violation_is_seen_to_recover_and_a_notice_to_be_cancelled_or_to_become_one() -> None:
    for level, end in (("violation", RECOVERED), ("notice", CANCELLED)):
        step = track(level=level).known(1.0, NOW + S, 1)
        assert step is not None
        assert (step.step, step.first.wall_us, step.peak, step.beyond_us) == (end, 77, 7.5, 90 * S)
    notice = track(level="notice")
    assert notice.known(5.0, NOW + 59 * S, 1) is None, "the delay that still runs counts from now"
    step = notice.known(5.0, NOW + 60 * S, 1)
    assert step is not None
    assert step.step == VIOLATED


def test_what_was_unknown_is_active_with_the_next_reading_beyond() -> None:
    step = track(condition="unknown").known(5.0, NOW + S, 1)
    assert step is not None
    assert step.step == ACTIVE
    assert track().known(5.0, NOW + S, 1) is None


@pytest.mark.parametrize("gone", ["first", "peak", "minutes", "whole", "condition"])
def test_what_the_record_lacks_is_not_known(gone: str) -> None:
    found = track(**{gone: None})
    if gone == "first":
        assert found.first == First(rule_us=NOW, wall_us=0, value=None)
    if gone == "peak":
        assert (found.peak, found.excess) == (None, 0.0)
    assert found.beyond_us == (0 if gone == "minutes" else 90 * S)
    assert found.area == (0 if gone == "whole" else 380)
    assert found.said_unknown is False


@pytest.mark.parametrize(
    "whole", [{"area": "x"}, {"area": []}, {"area": "nan"}, {"area": "Infinity"}, {"area": "5", "past_area": "6"}, {"area": "5", "past_area": "5"}, "5", {}],
)  # fmt: skip
def test_an_area_that_is_none_counts_as_nothing(whole: object) -> None:
    assert track(whole=whole).area == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "7", None])
def test_a_number_that_is_none_is_not_known(value: object) -> None:
    found = track(peak=value, first={"wall_us": value, "value": value}, minutes=value)
    assert (found.peak, found.first.value, found.first.wall_us, found.beyond_us) == (None, None, 0, 0)


def test_whole_minutes_of_an_old_record_count_too() -> None:
    assert track(minutes=2, whole={"area": "60"}).beyond_us == 120 * S
    assert track(whole={"area": "60"}).area == 60
