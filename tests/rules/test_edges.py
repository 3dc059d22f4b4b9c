"""Where sums, ranks, stretches and ticks begin and end: each edge from both sides."""

from __future__ import annotations

import pytest

from edge_gateway.rules import aggregate
from edge_gateway.rules.aggregate import Tally, mean, merged, percentile, weighted_mean
from edge_gateway.rules.calendar import day_of, period_of


@pytest.mark.parametrize("weight", [0.001, 0.5, 1.0, 2.0])
def test_any_weight_above_nothing_has_a_mean(weight: float) -> None:
    tally = Tally()
    tally.total.add(3 * weight)
    tally.weight.add(weight)
    assert weighted_mean(tally) == pytest.approx(3)


@pytest.mark.parametrize("weight", [0.0, -1.0])
def test_no_weight_has_none(weight: float) -> None:
    tally = Tally()
    tally.total.add(3.0)
    tally.weight.add(weight)
    assert weighted_mean(tally) is None


def test_as_many_different_values_as_are_kept_have_a_percentile_and_one_more_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aggregate, "MOST_RANKS", 3)
    tally = Tally()
    for value in (1.0, 2.0, 3.0, 3.0):
        tally.add(value, ranked=True)
    assert (percentile(tally, 0.5), percentile(merged([tally]), 0.75)) == (2.0, 3.0)
    tally.add(4.0, ranked=True)
    assert (percentile(tally, 0.5), percentile(merged([tally]), 0.5), mean(tally)) == (None, None, 13 / 5)


def test_tallies_together_are_one() -> None:
    parts = []
    for values in ((1.0, 5.0), (), (-2.0,)):
        part = Tally()
        for value in values:
            part.add(value, ranked=True)
            part.weight.add(2.0)
        parts.append(part)
    whole = merged(parts)
    assert (whole.count, whole.least, whole.most, whole.total.value, whole.weight.value) == (3, -2.0, 5.0, 4.0, 6.0)
    assert [percentile(whole, share) for share in (0.33, 0.5, 1.0)] == [-2.0, 1.0, 5.0]
    assert Tally.of(whole.state()).state() == whole.state()


def test_hours_and_days_end_where_the_next_begin() -> None:
    hour_us, day_us = 3_600_000_000, 86_400_000_000
    begin_us, end_us = period_of(0, "day")
    assert (begin_us, end_us) == (-8 * hour_us, 16 * hour_us)
    assert period_of(end_us - 1, "day") == (begin_us, end_us)
    assert period_of(end_us, "day") == (end_us, end_us + day_us)
    assert period_of(5, "hour") == (0, hour_us)
    assert (day_of(0), day_of(end_us - 1), day_of(end_us)) == ("1970-01-01", "1970-01-01", "1970-01-02")
