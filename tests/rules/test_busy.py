"""The short way of a reading beyond its limit (``Track.goes_on``) against the long one: the same steps, the same memory, to the last digit."""

from __future__ import annotations

import json
import random
import struct
from decimal import Decimal
from typing import Any
from unittest import mock

import pytest

from edge_gateway.rules.area import grown, joined, nanos
from edge_gateway.rules.base import BoundRule
from edge_gateway.rules.engine import Engine
from edge_gateway.rules.track import Track
from tests.rules.traces import S

COMMON: dict[str, Any] = {"pack": "t", "pack_version": "1", "edition": "1"}


def _value(chance: random.Random) -> float:
    """Beyond the limits mostly: on a grid, as float32, as a double of all digits, far away, or within."""
    near = chance.uniform(10, 14) * chance.choice([1, 1, -1])
    single = float(f"{struct.unpack('<f', struct.pack('<f', near))[0]:.9g}")
    return chance.choice([round(near, 1), round(near, 2), round(near, 2), single, near, near * 1e9, 5.0, 9.5])


def _rules(chance: random.Random) -> list[BoundRule]:
    made = []
    for point in "abc":
        delay = chance.choice([0, 40, 400]) * S
        low, high = chance.choice([("-10", "10"), (None, "10"), ("-10.0000000001", "10.12345678901"), ("-9.95", "10.25")])
        numbers = {"low": low, "high": high, "fresh_us": chance.choice([15, 30, 300]) * S, "notice_after_us": chance.choice([0, 20]) * S}
        made.append(BoundRule(id="l", kind="limit", point=point, violation_after_us=chance.choice([None, delay + 20 * S]), **numbers, **COMMON))
        if chance.random() < 0.4:
            made.append(BoundRule(id="s", kind="stale", point=point, after_us=30 * S, violation_after_us=60 * S, **COMMON))
    return made


def _course(seed: int) -> tuple[list[Any], int]:
    """All that an engine told and remembered, and how often the short way was taken."""
    chance = random.Random(seed)
    engine, told, taken = Engine(_rules(chance)), [], 0
    goes_on, now = Track.goes_on, 0

    def counted(self: Track, value: float, rule_us: int) -> bool:
        nonlocal taken
        short = goes_on(self, value, rule_us)
        taken += short
        return short

    with mock.patch.object(Track, "goes_on", counted):
        for _ in range(120):
            until = now + chance.choice([1, 5, 10, 10, 10, 29, 45, 120]) * S
            while chance.random() < 0.95 and (due := engine.due_us()) is not None and max(due, now) < until:
                now = max(due, now)
                told += engine.tick(now, now)
            now = until
            values: list[Any] = [_value(chance) for _ in "abc"]
            quality = ["good", "good", chance.choice(["bad:frame", "uncertain:other"])] if chance.random() < 0.1 else None
            told += engine.judge(now, now, ("a", "b", "c"), values, quality)
            if chance.random() < 0.1:
                told += engine.stand(now, now, "mark", {("l", "a"): "m1"} if chance.random() < 0.5 else {})
            told.append(engine.due_us())
            if chance.random() < 0.3:
                told.append(json.dumps(engine.snapshot(), sort_keys=True))
    return told, taken


def test_both_ways_come_to_the_same() -> None:
    """N = 120 courses of 120 batches; the short way is taken often."""
    often = 0
    for seed in range(120):
        short, taken = _course(seed)
        with mock.patch.object(Track, "calm_until", return_value=0):
            long, never = _course(seed)
        assert short == long, seed
        assert never == 0
        often += taken
    assert often > 5_000


@pytest.mark.parametrize("fault", ["peak", "held_us", "nano", "last_value"])
def test_a_short_way_that_leaves_something_out_would_be_seen(fault: str) -> None:
    goes_on = Track.goes_on

    def forgetful(self: Track, value: float, rule_us: int) -> bool:
        before = getattr(self, fault)
        short = goes_on(self, value, rule_us)
        if short:
            setattr(self, fault, before)
        return short

    honest = [_course(seed)[0] for seed in range(10)]
    with mock.patch.object(Track, "goes_on", forgetful):
        assert [_course(seed)[0] for seed in range(10)] != honest


def test_whole_nanos_are_the_decimal_sum() -> None:
    assert (nanos("10.12"), nanos("-18"), nanos("0.0000000001"), nanos("1e7"), nanos(None)) == (10_120_000_000, -18_000_000_000, None, None, None)
    assert joined(Decimal("1.5"), -250_000_000) == Decimal("1.25")
    assert joined(grown(Decimal(0), 10.3, "10", 7), 0) == joined(Decimal(0), (10_300_000_000 - 10_000_000_000) * 7)
