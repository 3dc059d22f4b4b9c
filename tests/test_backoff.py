"""Waits after failures: they grow to their bound, and many gateways that lost one hub at one instant come back apart.

Planted: waits that differ by ± 20 % only, which bring half of them back within one second.
"""

from __future__ import annotations

import random
from collections import Counter

import pytest

from edge_gateway.backoff import Backoff

GATEWAYS, SEED = 200, 20261128
#: How long the hub is away (s), and how many of 200 gateways may come in any one second after it.
AWAY = {2.0: 130, 5.0: 70, 10.0: 45, 30.0: 25, 600.0: 25}


def back_after_s(away_s: float, *, apart: bool) -> list[float]:
    """When each gateway reaches a hub that went at one instant for all, since it is back (s)."""
    found = []
    for _ in range(GATEWAYS):
        backoff, at_s = Backoff(first_s=0.5, most_s=30.0, apart=apart), 0.0
        while at_s < away_s:
            at_s += backoff.next_s()
        found.append(at_s - away_s)
    return found


def most_in_a_second(times_s: list[float]) -> int:
    """The fullest second, wherever it begins."""
    ordered = sorted(times_s)
    return max(sum(start <= at < start + 1.0 for at in ordered) for start in ordered)


@pytest.mark.parametrize("away_s", AWAY)
def test_gateways_come_back_apart_after_their_hub_was_away(away_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", random.Random(SEED).uniform)
    times_s = back_after_s(away_s, apart=True)
    assert max(times_s) <= 30.0
    assert most_in_a_second(times_s) <= AWAY[away_s]


def test_a_fifth_of_jitter_would_not_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", random.Random(SEED).uniform)
    assert most_in_a_second(back_after_s(2.0, apart=False)) > 150
    assert most_in_a_second(back_after_s(5.0, apart=False)) > 110


@pytest.mark.parametrize("apart", [False, True])
def test_waits_double_up_to_their_bound_and_begin_anew(apart: bool) -> None:
    backoff = Backoff(first_s=1.0, most_s=8.0, apart=apart)
    least, most = (0.1, 1.0) if apart else (0.8, 1.2)
    for _ in range(2):
        for wait_s in (1.0, 2.0, 4.0, 8.0, 8.0, 8.0):
            assert least * wait_s <= backoff.next_s() <= most * wait_s
        backoff.reset()
    spread = Counter(round(Backoff(apart=apart).next_s(), 1) for _ in range(1000))
    assert len(spread) >= (9 if apart else 4)
