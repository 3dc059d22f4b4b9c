"""The short form of ``make bitflips``: no flipped bit is believed, and each planted fault is noticed."""

from __future__ import annotations

import pytest

from tests.faults.bitflips import PLANTED, SHARES, caught, play

pytestmark = pytest.mark.campaign


def test_no_flipped_bit_is_believed() -> None:
    count = play(1, 500)
    assert count.why == []
    assert {target.split(":")[0] for target in count.seen} == set(SHARES)
    assert count.seen["segment: found"] > 150
    assert count.seen["database: found"] > 10


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_fault_is_noticed(planted: str) -> None:
    assert caught(planted, 5)
