"""A rule's numbers at its points, kind by kind: µs, terms, and the limit as people read it; and why it cannot judge there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from edge_gateway.rules.bind_kinds import missing, numbers, us
from edge_gateway.rules.facts import PointFacts
from tests.rules.test_model import DEGREES, EXCUSE, STEP, rule

S = 1_000_000
AIR = PointFacts(id="air", quantity="temperature", unit="Cel", zone="z", interval_us=10 * S, uncertainty="0.3")
FLOW = PointFacts(id="flow", quantity="flow", unit="m3/h", zone="z", interval_us=10 * S)
DOOR = PointFacts(id="door", quantity="contact", unit="1", zone="z")
KELVIN = replace(AIR, unit="K")
BLIND = replace(AIR, interval_us=0)
HOURLY: dict[str, Any] = {"window_s": None, "period": "hour"}

FOUND: list[tuple[str, dict[str, Any], tuple[PointFacts, ...], dict[str, Any]]] = [
    ("limit", {}, (AIR,), {"low": None, "high": "-18", "clear_low": None, "clear_high": None, "limit": "≤ -18 Cel"}),
    ("limit", {"low": "-30", "clear_at": ["-29", "-19"]}, (AIR,), {"low": "-30", "high": "-18", "clear_low": "-29", "clear_high": "-19", "limit": "≥ -30, ≤ -18 Cel"}),
    ("limit", {"guard": True}, (AIR,), {"terms": {"guard": 1, "uncertainty": "0.3"}, "others": ()}),
    ("limit", {"guard": True}, (replace(AIR, uncertainty=""),), {"terms": {"guard": 1}, "others": ()}),
    ("limit", {"excuse": EXCUSE}, (AIR, DOOR), {"terms": {"most_us": 1800 * S, "rest_us": 1800 * S, "peak_high": "-12"}, "others": ("door",)}),
    ("limit", {"excuse": EXCUSE | {"rest_s": 0}}, (AIR, DOOR), {"terms": {"most_us": 1800 * S, "rest_us": 0, "peak_high": "-12"}}),
    ("limit", {"high": None, "low": "6", "excuse": EXCUSE | {"peak": "5"}}, (AIR, DOOR), {"terms": {"most_us": 1800 * S, "rest_us": 1800 * S, "peak_low": "5"}}),
    ("rate", {"window_s": 30}, (AIR,), {"per_s": "0.5", "window_us": 30 * S, "limit": "≤ 0.5 Cel/s"}),
    ("stale", {}, (BLIND,), {"after_us": 60 * S, "limit": "≤ 60 s"}),
    ("stale", {"factor": 3}, (AIR,), {"after_us": 60 * S, "limit": "≤ 60 s"}),
    ("stale", {"factor": 7}, (AIR,), {"after_us": 70 * S, "limit": "≤ 70 s"}),
    ("stale", {"factor": 2.55, "after_s": None}, (AIR,), {"after_us": 25_500_000, "limit": "≤ 25.5 s"}),
    ("stale", {"factor": 3, "after_s": None}, (replace(AIR, interval_us=1),), {"after_us": 3, "limit": "≤ 0.000003 s"}),
    ("flat", {}, (AIR,), {"after_us": 3600 * S, "terms": {"band": "0.1"}, "limit": "moves by more than 0.1 Cel within 3600 s"}),
    ("spread", {"clear_at": "1.5"}, (AIR, replace(AIR, id="b")), {"high": "2", "clear_high": "1.5", "others": ("b",), "limit": "≤ 2 Cel apart"}),
    ("window", {}, (AIR,), {"terms": {"fn": "mean", "interval_us": 10 * S, "step_us": 60 * S}, "window_us": 3600 * S, "limit": "≤ 4 Cel (mean, 3600 s)", "others": ()}),
    ("window", {"window_s": 20, "late_s": 5}, (BLIND,), {"terms": {"fn": "mean", "late_us": 5 * S, "step_us": S}, "window_us": 20 * S}),
    ("window", HOURLY | {"valid_share": 0.75}, (AIR,), {"terms": {"fn": "mean", "valid_share": "0.75", "period": "hour", "late_us": 0, "interval_us": 10 * S}, "window_us": 0, "limit": "≤ 4 Cel (mean, hour)"}),
    ("window", {"of": "percentile", "percentile": 99.5}, (AIR,), {"terms": {"fn": "percentile", "percentile": "99.5", "interval_us": 10 * S, "step_us": 60 * S}, "limit": "≤ 4 Cel (99.5th percentile, 3600 s)"}),
    ("window", {"of": "flow-mean"}, (AIR, FLOW), {"others": ("flow",), "limit": "≤ 4 Cel (flow-mean, 3600 s)"}),
    ("window", {"of": "share", "unit": "1", "high": None, "low": "0.9"}, (KELVIN,), {"low": "0.9", "limit": "≥ 0.9 1 (share, 3600 s)"}),
    ("exposure", {}, (AIR,), {"high": "30", "terms": {"of": "minutes", "step_us": 1440 * S, "beyond_high": "4"}, "window_us": 86_400 * S, "limit": "≤ 30 min > 4 Cel in 24 h"}),
    ("exposure", {"late_s": 600}, (AIR,), {"terms": {"of": "minutes", "step_us": 1440 * S, "beyond_high": "4", "late_us": 600 * S}}),
    ("exposure", {"late_s": 600}, (replace(AIR, own_time=False),), {"terms": {"of": "minutes", "step_us": 1440 * S, "beyond_high": "4"}}),
    ("exposure", {"low": "0"}, (AIR,), {"terms": {"of": "minutes", "step_us": 1440 * S, "beyond_low": "0", "beyond_high": "4"}, "limit": "≤ 30 min < 0 or > 4 Cel in 24 h"}),
    ("exposure", DEGREES | {"unknown_excess": "2", "high": None, "low": "60"}, (AIR,), {"high": "20", "terms": {"of": "degree-minutes", "step_us": 1440 * S, "beyond_low": "60", "unknown_excess": "2"}, "limit": "≤ 20 Cel·min < 60 Cel in 24 h"}),
    ("descent", {"rise": "0.5"}, (AIR,), {"terms": {"start": "10", "to": "3", "rise": "0.5", "within_us": 7200 * S}, "limit": "≤ 3 Cel in 2 h, rising by 0.5 Cel at most"}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "changes", "points", "wanted"), FOUND, ids=[f"{f[0]} {list(f[1].items())}"[:70] for f in FOUND])
def test_the_numbers_of_a_rule_at_its_points(kind: str, changes: dict[str, Any], points: tuple[PointFacts, ...], wanted: dict[str, Any]) -> None:
    found = numbers(rule(kind, **changes), points, None)
    assert isinstance(found, dict), found
    assert {key: found.get(key) for key in wanted} == wanted


@pytest.mark.parametrize(
    ("kind", "changes", "points", "key"),
    [
        ("limit", {"guard": False}, (AIR,), "terms"),
        ("limit", {"excuse": EXCUSE}, (AIR,), "terms"), ("limit", {}, (AIR, DOOR), "others"),
    ],
)  # fmt: skip
def test_what_does_not_count_stands_nowhere(kind: str, changes: dict[str, Any], points: tuple[PointFacts, ...], key: str) -> None:
    found = numbers(rule(kind, **changes), points, None)
    assert isinstance(found, dict)
    assert key not in found


def test_a_cycle_s_steps_find_their_inputs() -> None:
    flow = {"id": "wash", "quantity": "flow", "unit": "m3/h", "high": "5", "low": "1", "least_s": 0.5}
    found = numbers(rule("sequence", step=[STEP, flow, STEP | {"id": "rest"}]), (AIR, FLOW), None)
    assert isinstance(found, dict)
    assert orjson.loads(found["terms"]["steps"]) == [
        {"id": "rinse", "input": 0, "least_us": 60 * S, "low": "30"}, {"id": "wash", "input": 1, "least_us": S // 2, "low": "1", "high": "5"},
        {"id": "rest", "input": 0, "least_us": 60 * S, "low": "30"},
    ]  # fmt: skip
    assert (found["terms"]["gap_us"], found["terms"]["within_us"], found["others"]) == (300 * S, 3600 * S, ("flow",))
    assert found["limit"] == "rinse 60 s → wash 0.5 s → rest 60 s"
    assert numbers(rule("sequence", step=[STEP, flow]), (AIR, replace(FLOW, unit="L/s")), None) == "step 'wash' needs a point with quantity flow in m3/h in its zone"


@pytest.mark.parametrize(
    ("kind", "changes", "points", "why"),
    [
        *((kind, {}, (KELVIN,), "its limit is in Cel, the point is in K") for kind in ("limit", "rate", "flat", "window", "exposure", "descent")),
        ("spread", {}, (AIR, KELVIN), "its limit is in Cel, the point is in K"),
        ("spread", {}, (AIR,), "there is one such point here: nothing to compare it with"),
        ("window", {"of": "flow-mean"}, (AIR,), "no flow is measured in its zone"),
        ("window", {"valid_share": 0.1}, (BLIND,), "nobody knows how many readings are due: give the device expect_every_s"),
        ("window", {"of": "share", "unit": "1"}, (BLIND,), "nobody knows how many readings are due: give the device expect_every_s"),
        ("stale", {"factor": 2}, (BLIND,), "nobody knows when the next reading is due: give the device expect_every_s"),
        ("limit", {"high": None, "permit": {"high": "cod_mg_l"}}, (AIR,), "there is no limit: the outlet's permit names none, and no standard we know does"),
    ],
)  # fmt: skip
def test_why_a_rule_cannot_judge_there(kind: str, changes: dict[str, Any], points: tuple[PointFacts, ...], why: str) -> None:
    assert numbers(rule(kind, **changes), points, None) == why


def test_a_contact_or_a_flow_in_another_unit_does_not_matter_and_the_first_point_does() -> None:
    assert isinstance(numbers(rule("limit", excuse=EXCUSE), (AIR, DOOR), None), dict)
    assert isinstance(numbers(rule("window", of="flow-mean"), (AIR, FLOW), None), dict)


PROOF = {"permit": "9165X", "permit_date": "2025-06-01", "permit_until": "2030-05-31", "document_sha256": "5e", "checked_by": "li"}
PH: dict[str, Any] = {"unit": "[pH]", "low": "6", "high": "8.5", "clear_at": ["6.1", "8.4"], "permit": {"low": "ph_low", "high": "ph_high"}}
OUT = PointFacts(id="ph", quantity="ph", unit="[pH]")


def permitted(outlet: dict[str, Any], verified: str = "secondary", **changes: Any) -> dict[str, Any]:
    made = rule("limit", **PH | changes)
    found = numbers(made.model_copy(update={"basis": made.basis.model_copy(update={"verified": verified})}), (OUT,), ("main", outlet))
    assert isinstance(found, dict)
    return found


def test_each_part_of_a_permit_may_be_missing() -> None:
    assert missing(PROOF) == []
    assert [missing({**PROOF, key: ""}) for key in PROOF] == [[key] for key in PROOF]


@pytest.mark.parametrize(
    ("outlet", "verified", "wanted"),
    [
        (PROOF | {"ph_low": 5.5, "ph_high": 9}, "secondary", ("5.5", "9", "5.6", "8.9")),
        (PROOF | {"ph_high": 9}, "secondary", ("6", "9", "6.1", "8.9")),
        ({"ph_low": 5.5, "ph_high": 8}, "secondary", ("6", "8", "6.1", "7.9")),
        ({"ph_low": 6.5, "ph_high": 9}, "primary", ("6.5", "8.5", "6.6", "8.4")),
        ({"ph_low": 6, "ph_high": 8.5}, "primary", ("6", "8.5", "6.1", "8.4")),
        ({"ph_low": 5.5, "ph_high": 9}, "no", ("5.5", "9", "5.6", "8.9")),
    ],
)
def test_a_permit_s_figures_as_far_as_they_count(outlet: dict[str, Any], verified: str, wanted: tuple[str, ...]) -> None:
    found = permitted(outlet, verified)
    assert (found["low"], found["high"], found["clear_low"], found["clear_high"]) == wanted


def test_whose_word_a_permit_is() -> None:
    whole = permitted(PROOF | {"ph_high": 9})
    assert (whole["outlet"], whole["verified"], whole["clause"], whole["effective_from"]) == ("main", "primary", "9165X", "2025-06-01")
    assert whole["source"].endswith("document 5e, to 2030-05-31, compared by li")
    tighter = permitted({"ph_high": 8})
    assert (tighter["verified"], tighter["clause"], tighter["basis_edition"], tighter["source"]) == ("no", "unknown", "unknown", "site configuration, outlets.main")
    looser = permitted({"permit": "9165X", "ph_high": 9})
    assert "verified" not in looser
    assert looser["source"] == "s; the permit's looser figure is not applied: permit_date, permit_until, document_sha256, checked_by missing"
    assert "outlet" not in permitted({"cod_mg_l": 50})


def test_nothing_is_written_without_a_sign() -> None:
    found = permitted(PROOF | {"ph_low": -0.0}, clear_at=None)
    assert (found["low"], found["limit"]) == ("0", "≥ 0, ≤ 8.5 [pH]")


@pytest.mark.parametrize(("low", "high", "kept"), [("6", "8.5", ()), ("6.1", "8.4", ("low 6", "high 8.5")), ("5.9", "8.6", ())])
def test_a_site_s_own_number_is_stricter_only_where_it_is_not_the_permit_s(low: str, high: str, kept: tuple[str, ...]) -> None:
    made = rule("limit", **PH | {"low": low, "high": high, "clear_at": None})
    found = numbers(made, (OUT,), ("main", PROOF | {"ph_low": 6, "ph_high": 8.5}), frozenset(("low", "high")))
    assert isinstance(found, dict)
    assert found["source"].partition("; stricter than the permit's ")[2] == ", ".join(kept)
    assert (found["low"], found["high"]) == ((low, high) if kept else ("6", "8.5"))


def test_a_limit_that_only_the_permit_has_gets_no_hysteresis() -> None:
    found = permitted(PROOF | {"ph_high": 9}, low=None, high=None, clear_at=None)
    assert (found["low"], found["high"], found["clear_high"], found["limit"]) == (None, "9", None, "≤ 9 [pH]")


def test_seconds_as_microseconds() -> None:
    assert [us(value) for value in (0, 1, 0.1, 0.0000014, 1e6)] == [0, S, 100_000, 1, 10**12]
