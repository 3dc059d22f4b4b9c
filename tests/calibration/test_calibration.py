"""Calibrations: what is recorded, what is refused, what is due, and that entries and snapshots say the same."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edge_gateway.calibration import CalibrationRefused, Calibrations, Reading

MARKS = [{"mark": "M-1", "type": "calibration", "points": ["a", "b"]}, {"mark": "M-2", "type": "defrost", "points": ["c"]}]
ASKED: dict[str, Any] = {"reference": 0.0, "uncertainty": 0.05, "certificate": "LH-118", "reason": "annual", "due": "2027-11-28", "allowed": 0.5}


def record(calibrations: Calibrations, step: str = "as-found", point: str = "a", value: float = 0.31, **changes: Any) -> dict[str, Any]:
    return calibrations.record(step, point, Reading(value=value, unit="Cel", wall_us=7), ASKED | changes, MARKS)


def test_before_and_after_are_on_record() -> None:
    calibrations = Calibrations()
    body = record(calibrations)
    assert (body["error"], body["within"], body["mark"], body["reading_wall_us"]) == (0.31, True, "M-1", 7)
    assert record(calibrations, "as-left", value=-0.02)["error"] == -0.02
    last = calibrations.last()["a"]
    assert (last["as-found"]["error"], last["as-left"]["error"], last["due"]) == (0.31, -0.02, "2027-11-28")
    again = Calibrations()
    for entry in (body, record(Calibrations(), value=9.0), record(calibrations, point="b", value=0.6)):
        again.replay(entry)
    assert again.last()["b"]["as-found"]["within"] is False
    assert "as-left" not in again.last()["a"], "a new one begins anew"
    restored = Calibrations()
    restored.restore(json.loads(json.dumps(again.snapshot())))
    assert restored.snapshot() == again.snapshot()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"point": "c"}, "not marked"),
        ({"point": "d"}, "not marked"),
        ({"step": "as-left"}, "was not recorded"),
        ({"step": "later"}, "no step"),
        ({"certificate": " "}, "certificate is missing"),
        ({"reason": ""}, "reason is missing"),
        ({"reference": None}, "'reference' is no number"),
        ({"reference": float("nan")}, "'reference' is no number"),
        ({"uncertainty": -1}, "'uncertainty' is no number"),
        ({"due": "next year"}, "is no date"),
        ({"medium": "x" * 200}, "at most 128"),
    ],
)
def test_what_is_refused(changes: dict[str, Any], why: str) -> None:
    calibrations = Calibrations()
    with pytest.raises(CalibrationRefused, match=why):
        record(calibrations, **changes)
    assert calibrations.last() == {}


@pytest.mark.parametrize(("today", "days", "overdue", "soon"), [("2027-08-30", 90, False, False), ("2027-10-29", 30, False, True), ("2027-11-29", -1, True, True)])
def test_what_is_due(today: str, days: int, overdue: bool, soon: bool) -> None:
    calibrations = Calibrations()
    record(calibrations)
    assert calibrations.due("2027-08-29") == []
    assert calibrations.due(today) == [{"point": "a", "due": "2027-11-28", "days": days, "overdue": overdue, "soon": soon}]
