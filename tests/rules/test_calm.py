"""The short way of a reading within an exposure's limit (``ExposureTrack.goes_on``, ``Plan.passes``) against the long one: the same steps, the same memory."""

from __future__ import annotations

import json
import random
from typing import Any
from unittest import mock

import pytest

from edge_gateway.rules import exposure
from edge_gateway.rules.base import BoundRule
from edge_gateway.rules.engine import Engine
from edge_gateway.rules.exposure import ExposureTrack
from edge_gateway.rules.plan import Plan
from tests.rules.traces import S

HONEST, PASSES = ExposureTrack.goes_on, Plan.passes


def _rules(chance: random.Random) -> list[BoundRule]:
    made = []
    for point in "abc":
        of = chance.choice(["minutes", "degree-minutes"])
        terms: dict[str, Any] = {"of": of, "step_us": chance.choice([60, 300]) * S, "beyond_high": "10.1"}
        terms |= {"beyond_low": "-10.3"} if chance.random() < 0.5 else {}
        terms |= {"late_us": 120 * S} if chance.random() < 0.4 else {}
        made.append(
            BoundRule(
                id="e", kind="exposure", point=point, pack="t", pack_version="1", edition="1", high=chance.choice(["0.5", "3", "20"]), terms=terms,
                window_us=chance.choice([600, 1800]) * S, fresh_us=chance.choice([15, 30, 300]) * S, notice_after_us=0,
                violation_after_us=0, undecided_after_us=300 * S, semantics=chance.choice([1, 2, 3, 4]),
            )
        )  # fmt: skip
    return made


def _value(chance: random.Random, warm: bool) -> Any:
    return chance.choice([11.25, -11.7, 10.15, None]) if warm and chance.random() < 0.4 else chance.choice([10.1, 5.0, 0.1, -3, 9.99])


def _course(seed: int) -> tuple[list[Any], int]:
    """All that an engine told and remembered, and how often the short way was taken."""
    chance = random.Random(seed)
    rules = _rules(chance)
    engine, told, taken, now, warm = Engine(rules), [], 0, 0, False
    goes_on, passes = ExposureTrack.goes_on, Plan.passes

    def counted(self: ExposureTrack, value: float, rule_us: int) -> bool:
        nonlocal taken
        short = goes_on(self, value, rule_us)
        taken += short
        return short

    def counted_together(self: Plan, rule_us: int, values: list[Any]) -> bool:
        nonlocal taken
        short = passes(self, rule_us, values)
        taken += short * len(self.exposures)
        return short

    with mock.patch.object(ExposureTrack, "goes_on", counted), mock.patch.object(Plan, "passes", counted_together):
        for _ in range(150):
            now += chance.choice([0, 1, 5, 10, 10, 10, 10, 29, 45, 400 if chance.random() < 0.1 else 10]) * S
            warm = warm != (chance.random() < 0.08)
            values = [_value(chance, warm) for _ in "abc"]
            quality: list[str] | None = None
            if None in values or chance.random() < 0.1:
                quality = ["bad:frame" if value is None else chance.choice(["good", "uncertain:other", "uncertain:late"]) for value in values]
            told += engine.judge(now, now, ("a", "b", "c"), values, quality)
            if quality is not None and "uncertain:late" in quality:
                engine.late((now, now), ("a", "b", "c"), values, quality, now - chance.choice([0, 10, 60]) * S)
            if chance.random() < 0.04:
                told += engine.stand(now, now, "mark", {("e", "a"): "m1"} if chance.random() < 0.5 else {})
            if chance.random() < 0.06:
                told.append(json.dumps(engine.snapshot(), sort_keys=True))
            if chance.random() < 0.05:
                state = json.loads(json.dumps(engine.snapshot()))
                engine = Engine(rules)
                engine.restore(state)
        told.append(json.dumps(engine.snapshot(), sort_keys=True))
    return told, taken


def test_both_ways_come_to_the_same() -> None:
    """N = 60 courses of 150 batches with warm spells, unknown and late readings, marks and restarts; the short way is taken often."""
    often = steps = 0
    for seed in range(60):
        with mock.patch.object(exposure, "MOST_HELD", 9 if seed % 4 == 0 else 1024):
            short, taken = _course(seed)
            with mock.patch.object(ExposureTrack, "_is_calm", return_value=False):
                long, never = _course(seed)
        assert short == long, seed
        assert never == 0
        often += taken
        steps += sum(not isinstance(each, str) for each in short)
    assert often > 2_000
    assert steps > 100


def _stale(self: ExposureTrack, value: float, rule_us: int) -> bool:
    """Forgets that a reading speaks only while it is fresh."""
    fresh_us, self.fresh_us = self.fresh_us, 10**15
    short = HONEST(self, value, rule_us)
    self.fresh_us = fresh_us
    return short


def _warm(self: ExposureTrack, value: float, rule_us: int) -> bool:
    """Forgets the limit."""
    short = HONEST(self, min(value, self.beyond_high), rule_us)
    if short:
        self.newest = rule_us, value
    return short


def _lost(self: ExposureTrack, value: float, rule_us: int) -> bool:
    """Forgets what it took."""
    newest = self.newest
    short = HONEST(self, value, rule_us)
    self.newest = newest
    return short


def _alone(self: Plan, rule_us: int, values: list[Any]) -> bool:
    """Each exposure is told of every batch."""
    self.wake()
    return False


def _together(fault: str) -> Any:
    def passes(self: Plan, rule_us: int, values: list[Any]) -> bool:
        """As it is, but for one thing that it leaves out."""
        held, fresh_us, bands = self.calm, self.fresh_us, self.bands
        if fault == "fresh_us":
            self.fresh_us = 10**15
        if fault == "bands":
            self.bands = [(-1e9, 1e9)] * len(bands)
        short = PASSES(self, rule_us, values)
        self.fresh_us, self.bands = fresh_us, bands
        if fault == "calm" and short:
            self.calm = held
        return short

    return passes


@pytest.mark.parametrize("fault", [_stale, _warm, _lost])
def test_a_short_way_that_leaves_something_out_would_be_seen(fault: Any) -> None:
    honest = [_course(seed)[0] for seed in range(4)]
    with mock.patch.object(ExposureTrack, "goes_on", fault), mock.patch.object(Plan, "passes", _alone):
        assert [_course(seed)[0] for seed in range(4)] != honest


@pytest.mark.parametrize("fault", ["fresh_us", "bands", "calm"])
def test_a_way_together_that_leaves_something_out_would_be_seen(fault: str) -> None:
    honest = [_course(seed)[0] for seed in range(6)]
    with mock.patch.object(Plan, "passes", _together(fault)):
        assert [_course(seed)[0] for seed in range(6)] != honest


def test_both_short_ways_come_to_the_same() -> None:
    """N = 20."""
    for seed in range(20):
        together, _ = _course(seed)
        with mock.patch.object(Plan, "passes", _alone):
            assert _course(seed)[0] == together, seed
