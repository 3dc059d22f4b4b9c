"""The short form of ``make diskfull``: a small file system is filled and freed; nothing is lost, the reserve serves, it goes on by itself."""

from __future__ import annotations

import pytest

from tests.faults.diskfull import play, sound
from tests.faults.full import PLANTED

pytestmark = pytest.mark.campaign


def test_a_small_disk_is_filled_and_freed() -> None:
    seen = play(5, size="32m", within_s=110)
    assert sound(seen), seen
    assert seen["rounds"] == 5
    assert seen["refused"] >= 5
    assert seen["from_reserve"] == 200
    assert seen["freed_segments"] > 0
    assert seen["slowest_resume_s"] < 10
    assert seen["acknowledged"] > 5_000


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_fault_is_noticed(planted: str) -> None:
    assert not sound(play(1, size="32m", planted=planted, within_s=110))
