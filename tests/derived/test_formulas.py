"""Formulas against independent arithmetic: what they say, what they refuse, and whose quality they take over."""

from __future__ import annotations

import itertools
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from edge_gateway.derived.formulas import counter, degree_minutes, difference, flume, total, worst
from edge_gateway.reading import BAD_NO_ANSWER, BAD_RANGE, GOOD, QUALITIES, UNCERTAIN_INCOMPLETE, UNCERTAIN_RESET

#: Parshall flume of 0.61 m throat, Q = 1.429 h^1.55 m³/s, and 0.75 m³/s at h = 0.66 m: Utah State University, "Flumes for
#: Open-Channel Flow Measurement", lecture 2 (2005).
PARSHALL: dict[str, Any] = {"c": 1.429, "n": 1.55, "zero_m": 0.0, "most_m": None, "level_unit": "m", "unit": "m3/s"}


def test_a_parshall_flume() -> None:
    value, quality = flume(0.66, PARSHALL)
    assert value == pytest.approx(0.75, abs=0.002)
    assert quality == GOOD


@pytest.mark.parametrize(
    ("level", "unit", "flow", "factor"), [(66.0, "cm", "m3/h", 3600), (660.0, "mm", "L/s", 1000), (0.66, "m", "L/min", 60_000)]
)
def test_units_of_level_and_flow(level: float, unit: str, flow: str, factor: int) -> None:
    plain, _ = flume(0.66, PARSHALL)
    value, _ = flume(level, PARSHALL | {"level_unit": unit, "unit": flow})
    assert plain is not None
    assert value == pytest.approx(plain * factor, rel=1e-8)


def test_no_water_is_no_flow_and_a_flooded_flume_says_nothing() -> None:
    zeroed = PARSHALL | {"zero_m": 0.2, "most_m": 0.5}
    assert flume(0.2, zeroed) == (0.0, GOOD)
    assert flume(0.1, zeroed) == (0.0, GOOD)
    assert flume(0.71, zeroed) == (None, BAD_RANGE)
    assert flume(0.45, zeroed)[0] == flume(0.25, PARSHALL)[0]
    assert flume(1e300, PARSHALL) == (None, BAD_RANGE)


def test_sums_and_differences_have_no_error_of_their_own() -> None:
    """N = 5,000, seed 2, against decimal arithmetic."""
    random = Random(2)
    assert total([0.1, 0.2]) == (0.3, GOOD)
    assert difference([0.3, 0.1]) == (0.2, GOOD)
    for _ in range(5_000):
        values = [round(random.uniform(-1000, 1000), random.randrange(5)) for _ in range(random.randrange(2, 8))]
        exact = sum((Decimal(repr(value)) for value in values), Decimal(0))
        assert total(values)[0] == float(f"{exact:.9g}")
        apart = Decimal(repr(values[0])) - Decimal(repr(values[1]))
        assert difference(values[:2])[0] == float(f"{apart:.9g}")


def test_the_worst_quality_wins_whatever_the_order() -> None:
    rank = {"good": 0, "uncertain": 1, "bad": 2}
    for one, two in itertools.product(sorted(QUALITIES), repeat=2):
        found = worst([one, two])
        assert found in (one, two)
        assert rank[found.partition(":")[0]] == max(rank[q.partition(":")[0]] for q in (one, two))


ABOVE = {"limit_cel": -18.0, "side": "above", "reset_after_us": 600_000_000}
MINUTE = 60_000_000


def run(samples: list[tuple[int, float | None]], about: dict[str, Any], fresh_us: int) -> list[tuple[Any, str]]:
    state: dict[str, Any] = {}
    return [
        degree_minutes(state, value, GOOD if value is not None else BAD_NO_ANSWER, about, at_us, fresh_us)
        for at_us, value in samples
    ]


def test_degree_minutes_of_a_known_excursion() -> None:
    """2 K above for 30 minutes, with ramps of one minute: 2 × 30 + 2 × (2 × 1 / 2) = 62 K·min."""
    levels = [-18.0] + [-16.0] * 31 + [-18.0]
    samples: list[tuple[int, float | None]] = [(minute * MINUTE, level) for minute, level in enumerate(levels)]
    found = run(samples, ABOVE, 3 * MINUTE)
    assert found[-1] == (62.0, GOOD)
    later = run([*samples, (42 * MINUTE, -18.0), (43 * MINUTE, -17.0)], ABOVE, 100 * MINUTE)
    assert later[-2] == (0.0, GOOD), "ten minutes within the limit: the next excursion begins at 0"
    assert later[-1] == (0.5, GOOD)


def test_degree_minutes_against_another_integration() -> None:
    """N = 300 random excursions, seed 9; the oracle integrates in exact decimals."""
    random = Random(9)
    for _ in range(300):
        at, samples = 0, [(0, -20.0)]
        for _ in range(random.randrange(2, 60)):
            at += random.randrange(1, 120) * 1_000_000
            samples.append((at, round(random.uniform(-17.99, -5.0), 2)))
        oracle = Decimal(0)
        for (t0, v0), (t1, v1) in itertools.pairwise(samples):
            e0, e1 = (max(Decimal(0), Decimal(repr(v)) + 18) for v in (v0, v1))
            oracle += (e0 + e1) / 2 * Decimal(t1 - t0) / Decimal(60_000_000)
        assert run(list(samples), ABOVE, 10**12)[-1][0] == pytest.approx(float(oracle), rel=1e-8)


def test_a_gap_makes_it_a_lower_bound_until_the_excursion_is_over() -> None:
    samples: list[tuple[int, float | None]] = [
        (0, -18.0), (MINUTE, -16.0), (2 * MINUTE, None), (3 * MINUTE, -16.0),  # one reading missing is bridged
        (20 * MINUTE, -16.0), *((minute * MINUTE, -18.0) for minute in range(21, 32)), (33 * MINUTE, -17.0),
    ]  # fmt: skip
    found = run(samples, ABOVE, 3 * MINUTE)
    assert found[2] == (None, BAD_NO_ANSWER)
    assert found[3] == (5.0, GOOD)
    assert found[4] == (5.0, UNCERTAIN_INCOMPLETE), "17 minutes were not seen: not counted, and said"
    assert found[-3][1] == UNCERTAIN_INCOMPLETE
    assert found[-2] == (0.0, GOOD)


def test_a_beginning_that_nobody_saw_is_said() -> None:
    assert run([(0, -10.0)], ABOVE, MINUTE)[0] == (0.0, UNCERTAIN_INCOMPLETE)


def test_below_counts_the_other_side() -> None:
    found = run([(0, 2.0), (MINUTE, 0.0)], ABOVE | {"limit_cel": 2.0, "side": "below"}, MINUTE)
    assert found[-1] == (1.0, GOOD)


@pytest.mark.parametrize("modulus", [65_536, 4_294_967_296])
def test_a_counter_that_wraps_never_loses_a_count(modulus: int) -> None:
    """N = 20,000 steps, seed 3."""
    random = Random(3)
    about = {"modulus": modulus, "per_count": 0.1, "start": 7.0}
    raw = random.randrange(modulus)
    state: dict[str, Any] = {}
    true = 0
    counter(state, raw, GOOD, about)
    for _ in range(20_000):
        step = random.randrange(modulus // 2)
        raw, true = (raw + step) % modulus, true + step
        value, quality = counter(state, raw, GOOD, about)
        assert (value, quality) == (float(Decimal(7) + true * Decimal("0.1")), GOOD)


def test_a_counter_set_anew_is_said_and_what_is_no_count_refused() -> None:
    about = {"modulus": 65_536, "per_count": 1.0, "start": 0.0}
    state: dict[str, Any] = {}
    assert counter(state, 40_000, GOOD, about) == (0.0, GOOD)
    assert counter(state, 5, GOOD, about) == (25_541.0, GOOD), "less than half around: taken for a wrap"
    assert counter(state, 60_000, GOOD, about) == (85_541.0, UNCERTAIN_RESET)
    assert counter(state, 65_536, GOOD, about) == (None, BAD_RANGE)
    assert counter(state, 1.5, GOOD, about) == (None, BAD_RANGE)
    assert counter(state, None, BAD_NO_ANSWER, about) == (None, BAD_NO_ANSWER)


def test_what_nobody_saw_was_not_within_the_limit() -> None:
    """Calm, five hours without a reading, calm: the sum stands, and begins anew after ten minutes that were seen."""
    seen: list[tuple[int, float | None]] = [(0, -18.0), (MINUTE, -16.0), (2 * MINUTE, -16.0), (3 * MINUTE, -18.0)]
    seen += [(303 * MINUTE + minute * MINUTE, -18.0) for minute in range(11)]
    found = run(seen, ABOVE, 3 * MINUTE)
    assert found[3] == (4.0, GOOD)
    assert found[4] == (4.0, UNCERTAIN_INCOMPLETE)
    assert found[-2] == (4.0, UNCERTAIN_INCOMPLETE)
    assert found[-1] == (0.0, GOOD)
