"""The moving indicator: the marker lies in the band exactly when the value is permitted, and never off the scale."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_gateway.page.bar import LENGTH, bar

NUMBERS = st.decimals(min_value=-500, max_value=5000, places=2)


@given(
    low=st.none() | NUMBERS,
    high=st.none() | NUMBERS,
    value=st.floats(-1000, 10_000),
    quantity=st.sampled_from(["temperature", "ph", "turbidity"]),
)
def test_the_marker_lies_in_the_band_when_the_value_is_permitted(
    low: Decimal | None, high: Decimal | None, value: float, quantity: str
) -> None:
    if low is not None and high is not None and low > high:
        low, high = high, low
    found = bar(value, [(None if low is None else str(low), None if high is None else str(high))], quantity)
    if low is None and high is None:
        assert found is None
        return
    assert found is not None
    assert found.marker is not None
    assert 0.0 <= found.marker <= LENGTH
    assert 0.0 <= found.band_from <= found.band_to <= LENGTH
    assert found.low < found.high
    permitted = (low is None or Decimal(value) >= low) and (high is None or Decimal(value) <= high)
    if permitted:
        assert found.band_from <= found.marker <= found.band_to
    else:
        assert not found.band_from < found.marker < found.band_to


def test_scales() -> None:
    frozen = bar(-15.2, [(None, "-18")], "temperature")
    assert frozen is not None
    assert (float(frozen.low), round(float(frozen.high), 1)) == (-28.0, -13.7)
    assert (frozen.band_from, frozen.band_to) == (0.0, 70.0)
    turbidity = bar(0.4, [(None, "1")], "turbidity")
    assert turbidity is not None
    assert turbidity.low == 0
    two = bar(7.0, [("6", "9")], "ph")
    assert two is not None
    assert (two.band_from, two.band_to) == (30.0, 70.0)


def test_the_narrowest_of_several_limits_counts() -> None:
    found = bar(3.0, [("0", "7"), (None, "4")], "temperature")
    assert found is not None
    assert (found.band_to - found.band_from) / LENGTH * float(found.high - found.low) == pytest.approx(4.0)


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_what_is_no_number_has_no_marker(value: float | None) -> None:
    found = bar(value, [("0", "4")], "temperature")
    assert found is not None
    assert found.marker is None


def test_beyond_the_scale_the_marker_stays_at_its_end() -> None:
    found = bar(80.0, [("0", "4")], "temperature")
    assert found is not None
    assert (found.marker, found.off) == (LENGTH, True)
