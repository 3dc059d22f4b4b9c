"""The short form of `python -m tests.faults.alarms`: the counting, and one ordinary morning of a site with the shipped packs."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest

from edge_gateway.violations.causes import Silences
from tests.faults.alarms import A_QUIET_DAY, AFTER_POWER, PACKS, PROBES, Day, day_of, judged, run_day


def step(at_s: float, what: str, *, rule: str = "r", point: str = "f1-1", violation: str = "v-1") -> dict[str, Any]:
    return {"kind": "violation", "step": what, "rule": rule, "point": point, "violation": violation, "mono_us": int(at_s * 1e6)}


def test_what_is_begun_and_what_chatters_is_counted() -> None:
    day = Day(1, power=(100.0, 200.0))
    day.truth.excursions["f1-1"] = [(0.0, 2000.0)]
    entries = [step(0, "notice"), step(20, "cancelled"), step(30, "notice", violation="v-2"), step(50, "notice", violation="v-3"), step(90, "violated", violation="v-3"), step(150, "violated", violation="v-4", point="f1-2")]
    found = judged(day, entries)
    assert (found["begun"], found["chatter"], found["after_power"], found["excursions"], found["missed"]) == (4, 1, 1, 1, [])
    day.truth.excursions["f2-1"] = [(0.0, 2000.0)]
    assert judged(day, entries)["missed"] == ["seed 1: f2-1 from 0 s to 2000 s"]


def test_a_violation_that_goes_on_through_a_defrost_is_not_missed() -> None:
    day = Day(2)
    day.truth.excursions["f1-1"] = [(1000.0, 4000.0)]
    entries = [step(0, "notice", point="x"), step(500, "violated"), step(5000, "recovered")]
    assert judged(day, entries)["missed"] == []
    entries[2] = step(900, "recovered")
    assert len(judged(day, entries)["missed"]) == 1


def test_what_is_hidden_by_its_cause_is_not_told_until_it_comes_back() -> None:
    entries = [step(0, "notice"), step(0, "notice", point="f1-2", violation="v-2") | {"handling": "merged"}, step(9, "holding"), step(20, "unmerged", point="f1-2", violation="v-2")]
    assert judged(Day(1, power=(0.0, 200.0)), entries)["begun"] == 2
    entries[1] |= {"step": "violated"}
    entries += [step(30, "violated", point="f1-2", violation="v-2") | {"before": "merged", "handling": "new"}]
    assert judged(Day(1, power=(0.0, 200.0)), entries)["begun"] == 3


@pytest.mark.campaign
@pytest.mark.timeout(300)
def test_a_power_failure_is_told_in_few_notices() -> None:
    """The day of seed 1 until an hour after its power failed."""
    until_s = int(day_of(1).power[0]) // 60 * 60 + 3600
    day, found = run_day(1, until_s)
    assert (len(PROBES), day.power[0] > 0) == (32, True)
    assert 1 <= found["after_power"] <= AFTER_POWER
    with mock.patch.object(Silences, "together", return_value=False):
        assert run_day(1, until_s)[1]["after_power"] > len(PROBES), "or the goal says nothing"


@pytest.mark.campaign
@pytest.mark.timeout(300)
def test_an_ordinary_morning_is_quiet() -> None:
    day, found = run_day(4, 9 * 3600)
    assert day.quiet
    assert found["begun"] <= A_QUIET_DAY
    assert found["chatter"] == 0
    assert len(PACKS) == 4
