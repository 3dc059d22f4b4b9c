"""A calibration widens the guard band of its probe's rules, and narrows none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge_gateway.calibration import Calibrations
from edge_gateway.rules.base import BoundRule
from edge_gateway.rules.guard import guarded
from edge_gateway.rules.kinds import SEMANTICS

RULE = BoundRule(
    id="x", pack="t", pack_version="1", edition="1", kind="limit", point="a", unit="Cel", high="4", semantics=SEMANTICS["limit"][-1],
    violation_after_us=0, terms={"guard": 1},
)  # fmt: skip


@pytest.mark.parametrize(
    ("written", "found", "decision"),
    [
        (None, None, "simple acceptance"), (None, 0.0, "simple acceptance"), (None, 0.05, "guard band ±0.05 Cel"), (None, 1e-05, "guard band ±0.00001 Cel"),
        ("0.3", None, "guard band ±0.3 Cel"), ("0.3", 0.05, "guard band ±0.3 Cel"), ("0.3", 0.3, "guard band ±0.3 Cel"), ("0.3", 0.5, "guard band ±0.5 Cel"),
    ],
)  # fmt: skip
def test_the_larger_of_the_site_s_figure_and_the_calibration_s_counts(written: str | None, found: float | None, decision: str) -> None:
    rule = replace(RULE, terms={"guard": 1} | ({"uncertainty": written} if written else {}))
    assert guarded(rule, found).decision == decision


def test_a_rule_that_judges_by_simple_acceptance_or_of_an_older_record_goes_on_so() -> None:
    for terms in ({}, {"uncertainty": "0.3"}):
        rule = replace(RULE, terms=terms, semantics=2)
        assert guarded(rule, 9.0) is rule


def calibrated(**changes: object) -> Calibrations:
    found = Calibrations()
    about = {"step": "as-found", "point": "a", "mark": "M-1", "unit": "Cel", "uncertainty": 0.5, "reading_wall_us": 1, "due": "2027-05-01"}
    found.replay(about | changes)
    return found


def test_a_calibration_counts_until_its_day_in_its_unit_and_under_the_point_s_former_name() -> None:
    known = calibrated()
    for day, counts in (("2027-04-30", True), ("2027-05-01", True), ("2027-05-02", False), (None, True)):
        assert (known.uncertainty(("a", ""), "Cel", day) == 0.5) is counts, day
    assert known.uncertainty(("b", "a"), "Cel", "2027-01-01") == 0.5
    assert known.uncertainty(("b", ""), "Cel", "2027-01-01") is None
    assert known.uncertainty(("a", ""), "K", "2027-01-01") is None
    assert calibrated(due="").uncertainty(("a", ""), "Cel", "2099-01-01") == 0.5
    known.replay({"step": "as-left", "point": "a", "mark": "M-1", "unit": "Cel", "uncertainty": 0.02, "reading_wall_us": 2})
    assert known.uncertainty(("a", ""), "Cel", "2027-05-01") == 0.02, "the newest step"
    known.restore({"a": {"as-found": "what a hub made up"}})
    assert known.uncertainty(("a", ""), "Cel", None) is None
