"""The short form of ``make ioerrors``: an error at a random operation makes no false acknowledgement, and each planted fault is noticed."""

from __future__ import annotations

import pytest

from tests.faults import timed_errors
from tests.faults.ioerrors import PLANTED, caught, play

# What fails inside SQLite's own clean-up is none of the commit's business.
pytestmark = [
    pytest.mark.campaign,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def test_no_error_of_the_disk_makes_a_false_acknowledgement() -> None:
    count = play(range(1_000, 1_060))
    assert count.tally.why == []
    assert (count.tally.lost, count.tally.corrupt) == (0, 0)
    assert count.n > 60
    assert count.tally.acknowledged > 1_000
    assert len(count.kinds) > 10


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_fault_is_noticed(planted: str) -> None:
    assert caught(planted, seed=1)


def test_the_alarm_comes_in_time_and_it_goes_on_by_itself() -> None:
    seen = timed_errors.play(4, 3)
    assert seen["why"] == []
    assert seen["with_failures"]
    assert seen["slowest_alarm_s"] <= timed_errors.ALARM_S
