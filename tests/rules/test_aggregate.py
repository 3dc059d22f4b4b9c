"""Exact sums, ranks and rolling windows: the order of what comes changes no bit."""

from __future__ import annotations

import json
import random
from fractions import Fraction
from math import fsum

import pytest

from edge_gateway.rules import aggregate
from edge_gateway.rules.aggregate import ExactSum, Rolling, Tally, mean, merged, percentile, weighted_mean


@pytest.mark.parametrize("seed", range(200))
def test_a_sum_is_the_exact_one_whatever_the_order_and_the_snapshots(seed: int) -> None:
    rng = random.Random(seed)
    numbers = [rng.uniform(-1, 1) * 10 ** rng.randint(-12, 12) for _ in range(rng.randint(1, 60))]
    wanted = fsum(numbers)
    for _ in range(3):
        rng.shuffle(numbers)
        total = ExactSum()
        for number in numbers:
            total = ExactSum(json.loads(json.dumps(total.parts)))
            total.add(number)
        assert total.value == wanted == float(sum(map(Fraction, numbers)))
        assert len(total.parts) <= 40  # parts do not overlap: 53 bits each of the 2,098 that a double spans


def test_a_plain_sum_would_be_caught() -> None:
    numbers = [1e16, 1.0, -1e16]
    total = ExactSum()
    for number in numbers:
        total.add(number)
    assert (total.value, (numbers[0] + numbers[1]) + numbers[2]) == (1.0, 0.0)


@pytest.mark.parametrize(("share", "wanted"), [(0.5, 2.0), (0.25, 1.0), (0.75, 3.0), (0.76, 9.0), (0.99, 9.0)])
def test_a_percentile_is_the_nearest_rank(share: float, wanted: float) -> None:
    tally = Tally()
    for value in (9.0, 1.0, 3.0, 2.0):
        tally.add(value, ranked=True)
    assert percentile(tally, share) == wanted


def test_more_different_values_than_are_kept_have_no_percentile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aggregate, "MOST_RANKS", 3)
    one, other = Tally(), Tally()
    for value in (1.0, 2.0):
        one.add(value, ranked=True)
        other.add(value + 5, ranked=True)
    assert percentile(one, 0.5) == 1.0
    assert percentile(merged([one, other]), 0.5) is None
    for value in range(5):
        one.add(float(value), ranked=True)
    assert (percentile(one, 0.5), mean(one)) == (None, 13 / 7)


def test_nothing_has_no_mean() -> None:
    assert (mean(Tally()), weighted_mean(Tally()), percentile(Tally(), 0.5)) == (None, None, None)


def test_a_window_rolls_in_steps_and_lets_go_of_them_whole() -> None:
    rolling = Rolling(window_us=100, step_us=25)
    for us in (0, 10, 25, 60, 130):
        rolling.at(us).add(float(us))
    assert [step.begin_us for step in rolling.steps] == [25, 60, 130]  # the one from 25 on ends at 50, after 30
    rolling.drop(151)
    assert [step.begin_us for step in rolling.steps] == [60, 130]
    again = Rolling(100, 25)
    again.restore(json.loads(json.dumps(rolling.state())))
    assert again.state() == rolling.state()


def test_a_stretch_of_years_costs_no_more_than_the_window() -> None:
    rolling = Rolling(window_us=3_600_000_000, step_us=60_000_000)
    pieces = list(rolling.stretches(0, 10 * 365 * 86_400_000_000))
    assert len(pieces) <= 62
    assert [length for _, length in pieces[:-1]] == [60_000_000] * (len(pieces) - 1)
