"""The short form of ``make powercut``: no acknowledged entry is lost, and each planted fault is noticed."""

from __future__ import annotations

import pytest

from tests.faults.powercut import LEAST_SEALS, PLANTED, caught, play

# SQLite passes over a cut inside a checkpoint; the run ends after it all the same.
pytestmark = [
    pytest.mark.campaign,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.mark.parametrize("seed", [1_000, 2_000, 3_000])
def test_no_cut_loses_or_alters_what_was_acknowledged(seed: int) -> None:
    tally = play(range(seed, seed + 40))
    assert tally.why == []
    assert (tally.lost, tally.corrupt) == (0, 0)
    assert tally.cuts > 100
    assert tally.acknowledged > 1_000
    assert tally.least_seals_a_run >= LEAST_SEALS


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_fault_is_noticed(planted: str) -> None:
    assert caught(planted, seed=1)
