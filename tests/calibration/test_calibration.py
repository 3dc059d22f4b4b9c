"""Calibrations: what is recorded, what is refused, what is due, and that entries and snapshots say the same."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edge_gateway.calibration import MOST_CORRECTIONS, CalibrationRefused, Calibrations, Reading

MARKS = [{"mark": "M-1", "type": "calibration", "points": ["a", "b"]}, {"mark": "M-2", "type": "defrost", "points": ["c"]}]
ASKED: dict[str, Any] = {"reference": 0.0, "uncertainty": 0.05, "certificate": "LH-118", "reason": "annual", "due": "2027-11-28", "allowed": 0.5}


def record(calibrations: Calibrations, step: str = "as-found", point: str = "a", value: float = 0.31, **changes: Any) -> dict[str, Any]:
    body = calibrations.draft(step, point, Reading(value=value, unit="Cel", wall_us=7), ASKED | changes, MARKS)
    calibrations.replay(body)
    return body


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


# --- corrections of the past --------------------------------------------------------------------------------------------


def calibrated(found: float = 0.9, *, at_us: int = 100, before_us: int | None = 40) -> Calibrations:
    """As found beyond what is allowed at ``at_us``; the calibration before was left at ``before_us``."""
    calibrations = Calibrations()
    for step, wall_us, value in (("as-found", before_us, 0.0), ("as-left", before_us, 0.0), ("as-found", at_us, found)):
        if wall_us is not None:
            body = calibrations.draft(step, "a", Reading(value=value, unit="Cel", wall_us=wall_us), ASKED, MARKS)
            calibrations.replay(body | {"wall_us": wall_us, "seq": wall_us})
    return calibrations


def left(calibrations: Calibrations) -> dict[str, Any] | None:
    body = calibrations.draft("as-left", "a", Reading(value=0.0, unit="Cel", wall_us=110), ASKED, MARKS) | {"by": "li"}
    calibrations.replay(body | {"wall_us": 110, "seq": 9})
    return calibrations.implied(body)


def test_nothing_is_kept_before_it_is_an_entry() -> None:
    calibrations = Calibrations()
    calibrations.draft("as-found", "a", Reading(value=0.3, unit="Cel", wall_us=7), ASKED, MARKS)
    assert calibrations.snapshot() == {}


def test_an_as_found_beyond_what_is_allowed_corrects_the_readings_since_the_calibration_before() -> None:
    made = left(calibrated())
    assert made is not None
    wanted = {"step": "corrected", "points": ["a"], "from_wall_us": 40, "until_wall_us": 100, "offset": -0.9, "error": 0.9, "unit": "Cel", "mark": "M-1", "implied": True, "by": "li"}
    assert {key: made[key] for key in wanted} == wanted
    made = left(calibrated(before_us=None))
    assert made is not None
    assert made["from_wall_us"] is None, "nobody knows since when"


def test_what_was_within_or_was_corrected_by_hand_implies_nothing() -> None:
    assert left(calibrated(0.4)) is None
    by_hand = calibrated()
    by_hand.replay(by_hand.correct("a", {"reason": "dropped", "from_wall_us": 60}, 105) | {"wall_us": 105, "seq": 8})
    assert left(by_hand) is None


def test_a_person_says_which_readings_were_off() -> None:
    calibrations = calibrated(0.4)
    made = calibrations.correct("a", {"reason": "dropped on that day", "from_wall_us": 60, "until_wall_us": 90, "offset": 0.2}, 105)
    assert (made["from_wall_us"], made["until_wall_us"], made["offset"], made["certificate"]) == (60, 90, 0.2, "LH-118")
    assert calibrations.correction("a") is None, "not before it is an entry"
    calibrations.replay(made | {"wall_us": 105, "seq": 8})
    assert calibrations.correction("a") == {"from_wall_us": 60, "until_wall_us": 90, "offset": 0.2, "unit": "Cel", "mark": "M-1", "reason": "dropped on that day", "wall_us": 105, "seq": 8}
    again = Calibrations()
    again.restore(json.loads(json.dumps(calibrations.snapshot())))
    assert again.snapshot() == calibrations.snapshot()
    body = calibrations.draft("as-found", "a", Reading(value=0.1, unit="Cel", wall_us=200), ASKED | {"due": ""}, MARKS)
    calibrations.replay(body | {"wall_us": 200, "seq": 20})
    assert (calibrations.correction("a") or {})["offset"] == 0.2, "the next calibration takes nothing back"
    assert calibrations.last()["a"]["due"] == "2027-11-28"
    assert calibrations.last()["a"]["since_wall_us"] == 100


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({}, "reason is missing"),
        ({"reason": "x" * 200}, "at most 128"),
        ({"reason": "x", "until_wall_us": 106}, "has not passed yet"),
        ({"reason": "x", "from_wall_us": 100}, "ends before it begins"),
        ({"reason": "x", "from_wall_us": "monday"}, "'from_wall_us' is no time"),
        ({"reason": "x", "until_wall_us": True}, "'until_wall_us' is no time"),
        ({"reason": "x", "offset": 0.0}, "a correction by 0 is none"),
        ({"reason": "x", "offset": "much"}, "'offset' is no number"),
    ],
)
def test_a_correction_that_is_none(asked: dict[str, Any], why: str) -> None:
    calibrations = calibrated()
    before = calibrations.snapshot()
    with pytest.raises(CalibrationRefused, match=why):
        calibrations.correct("a", asked, 105)
    with pytest.raises(CalibrationRefused, match="nothing is known of b's error"):
        calibrations.correct("b", {"reason": "x"}, 105)
    assert calibrations.snapshot() == before


def test_corrections_that_are_remembered_are_bounded() -> None:
    calibrations = calibrated()
    for n in range(MOST_CORRECTIONS + 5):
        calibrations.replay(calibrations.correct("a", {"reason": str(n)}, 105) | {"wall_us": 105, "seq": n})
    kept = calibrations.last()["a"]["corrections"]
    assert [each["seq"] for each in kept] == list(range(5, MOST_CORRECTIONS + 5))
