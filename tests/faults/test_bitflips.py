"""The short form of ``make bitflips``: no flipped bit is believed, and each planted fault is noticed."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tests.faults.bitflips import PLANTED, SHARES, Rot, caught, play

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


def test_a_bit_of_a_frames_header_in_the_log_is_found(tmp_path: Path) -> None:
    """A flipped salt makes a frame look like another generation's: what lies behind it, or the checksum, tells."""
    rot = Rot(tmp_path)
    log = (tmp_path / "sound" / "killed" / "journal.sqlite-wal").read_bytes()
    for frame, bit in itertools.product(range((len(log) - 32) // 4120), range(8 * 8, 24 * 8, 7)):
        spoilt = bytearray(log)
        spoilt[32 + frame * 4120 + bit // 8] ^= 1 << bit % 8
        assert rot.started("killed", "journal.sqlite-wal", bytes(spoilt)) == "found"
