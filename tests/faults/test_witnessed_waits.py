"""The arithmetic of `python -m tests.faults.witnessed`; that entries are witnessed at all is tests/shipping's and tests/app's."""

from __future__ import annotations

from tests.faults.witnessed import spread, waits


def test_an_entry_waits_from_its_own_time_to_the_cosignature_that_covers_it() -> None:
    times = [1_000_000, 2_000_000, 9_000_000, 10_000_000]
    assert waits(times, [(4_000_000, 2), (12_000_000, 3)]) == [3.0, 2.0, 3.0]


def test_after_an_outage_it_waits_from_the_return_of_the_hub() -> None:
    assert waits([1_000_000, 8_000_000], [(9_000_000, 2)], since_us=7_000_000) == [2.0, 1.0]


def test_the_ninety_ninth_of_a_hundred() -> None:
    assert spread([float(n) for n in range(100)]) == {"n": 100, "median_s": 50.0, "p99_s": 99.0, "worst_s": 99.0}
