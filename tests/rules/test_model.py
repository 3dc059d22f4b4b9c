"""What a pack may say of each kind: every bound from both sides, what must be given together, and what is taken where nothing is said."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from edge_gateway.rules.model import RulePack
from edge_gateway.rules.model_kinds import Rule

BASIS = {"standard": "GB 1", "clause": "unknown", "edition": "2019", "effective_from": "unknown", "verified": "no", "source": "s"}
HEAD: dict[str, Any] = {
    "id": "r", "select": {"quantity": "temperature"}, "violation_after_s": 900, "severity": "minor", "department": "health",
    "basis": BASIS, "title_zh": "题", "title_en": "t", "do_zh": ["做"], "do_en": ["do"],
}  # fmt: skip
STEP = {"id": "rinse", "quantity": "temperature", "unit": "Cel", "low": "30", "least_s": 60}
OWN: dict[str, dict[str, Any]] = {
    "limit": {"unit": "Cel", "high": "-18"},
    "rate": {"unit": "Cel", "per_s": "0.5"},
    "stale": {"after_s": 60},
    "flat": {"unit": "Cel", "band": "0.1", "after_s": 3600},
    "spread": {"unit": "Cel", "most": "2"},
    "window": {"unit": "Cel", "high": "4", "of": "mean", "window_s": 3600},
    "exposure": {"unit": "Cel", "high": "4", "most_minutes": "30", "window_s": 86_400},
    "descent": {"unit": "Cel", "start": "10", "to": "3", "within_s": 7200},
    "sequence": {"step": [STEP, STEP | {"id": "wash"}], "gap_s": 300, "within_s": 3600},
    "combined": {"all": ["a", "b"]},
}
EXCUSE = {"quantity": "contact", "most_s": 1800, "peak": "-12"}
DEGREES = {"most_minutes": None, "most_degree_minutes": "20"}
_RULE: TypeAdapter[Any] = TypeAdapter(Rule)
MONTH, DAY = 31 * 86_400, 86_400


def rule(kind: str, **changes: Any) -> Any:
    body = {**HEAD, **OWN[kind], **changes, "kind": kind}
    return _RULE.validate_python({key: value for key, value in body.items() if value is not None})


@pytest.mark.parametrize("kind", OWN)
def test_each_kind_needs_no_more_than_this(kind: str) -> None:
    made = rule(kind)
    assert (made.notice_after_s, made.clear_after_s, made.unknown_after_s, made.undecided_after_s) == (0, 0, 0, 3600)
    assert (made.fresh_for_s, made.notices_only, made.armed_in, made.season, made.bounds) == (None, False, (), (), {})
    assert [getattr(made, f"{name}_h") for name in ("acknowledge", "correct", "verify", "recur", "stable")] == [None] * 5


@pytest.mark.parametrize("kind", OWN)
def test_what_is_not_known_is_refused_and_nothing_changes_later(kind: str) -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        rule(kind, surprise=1)
    with pytest.raises(ValidationError, match="frozen"):
        rule(kind).severity = "major"


#: kind, key, the least and the most that it may be, and whether these two are permitted themselves
RANGES: list[tuple[str, str, float, float, bool]] = [
    *((kind, key, 0, MONTH, True) for kind in ("limit", "combined") for key in ("notice_after_s", "clear_after_s", "unknown_after_s", "undecided_after_s", "fresh_for_s")),
    *(("limit", f"{name}_h", 0, 31 * 24, False) for name in ("acknowledge", "correct", "verify", "recur", "stable")),
    ("rate", "window_s", 0, MONTH, True), ("window", "late_s", 0, MONTH, True), ("window", "valid_share", 0, 1, True),
    ("stale", "after_s", 0, MONTH, False), ("flat", "after_s", 0, MONTH, False), ("window", "window_s", 0, MONTH, False),
    ("exposure", "window_s", 0, MONTH, False), ("descent", "within_s", 0, MONTH, False), ("sequence", "within_s", 0, MONTH, False),
    ("sequence", "gap_s", 0, DAY, False),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "key", "least", "most", "zero"), RANGES, ids=[f"{r[0]} {r[1]}" for r in RANGES])
def test_a_time_lies_within_its_bounds(kind: str, key: str, least: float, most: float, zero: bool) -> None:
    late = {"violation_after_s": MONTH}  # no notice comes after its violation
    for value in (most, most / 3, *((least,) if zero else (0.001,))):
        assert getattr(rule(kind, **late | {key: value}), key) == value
    for value in (most + 1, -1, *(() if zero else (0,))):
        with pytest.raises(ValidationError, match="should be"):
            rule(kind, **late | {key: value})


@pytest.mark.parametrize(("value", "good"), [(0, False), (0.1, True), (50, True), (99.9, True), (100, False)])
def test_a_percentile_lies_between_0_and_100(value: float, good: bool) -> None:
    if good:
        assert rule("window", of="percentile", percentile=value).percentile == value
        return
    with pytest.raises(ValidationError, match="percentile"):
        rule("window", of="percentile", percentile=value)


@pytest.mark.parametrize(("value", "good"), [(0.9, False), (1, True), (3, True), (1000, True), (1001, False)])
def test_silence_is_between_one_and_a_thousand_intervals(value: float, good: bool) -> None:
    if good:
        assert rule("stale", factor=value, after_s=None).factor == value
        return
    with pytest.raises(ValidationError, match="factor"):
        rule("stale", factor=value)


@pytest.mark.parametrize(("key", "bad", "good"), [("most_s", (0, DAY + 1), (0.5, DAY)), ("rest_s", (-1, MONTH + 1), (0, MONTH))])
def test_an_excuse_has_its_bounds(key: str, bad: tuple[float, ...], good: tuple[float, ...]) -> None:
    for value in good:
        assert getattr(rule("limit", excuse=EXCUSE | {key: value}).excuse, key) == value
    for value in bad:
        with pytest.raises(ValidationError, match="should be"):
            rule("limit", excuse=EXCUSE | {key: value})


def test_a_step_of_a_cycle_holds_from_nothing_to_a_day() -> None:
    for value in (0, DAY):
        assert rule("sequence", step=[STEP, STEP | {"least_s": value}]).step[1].least_s == value
    for value in (-1, DAY + 1):
        with pytest.raises(ValidationError, match="should be"):
            rule("sequence", step=[STEP, STEP | {"least_s": value}])


#: kind, what is changed, why it is refused
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    *((kind, {"violation_after_s": None}, "one of the two") for kind in OWN),
    *((kind, {"notices_only": True}, "one of the two") for kind in OWN),
    *((kind, {"unit": "degC"}, "unknown unit") for kind in OWN if "unit" in OWN[kind]),
    ("limit", {"notice_after_s": 901}, "is before notice_after_s"),
    ("limit", {"do_zh": [], "do_en": []}, "at least one"),
    ("limit", {"do_en": ["a", "b"]}, "the same steps"),
    ("limit", {"consequence_zh": "罚"}, "both, or none"),
    ("limit", {"consequence_en": "fine"}, "both, or none"),
    ("limit", {"title_zh": ""}, "at least 1"),
    ("limit", {"title_en": ""}, "at least 1"),
    ("limit", {"select": {}}, "would watch every point"),
    ("limit", {"select": {"quantity": ["temperature", "tea"]}}, "unknown quantity 'tea'"),
    ("limit", {"basis": BASIS | {"standard": ""}}, "at least 1"),
    ("limit", {"basis": BASIS | {"clause": ""}}, "at least 1"),
    ("limit", {"basis": BASIS | {"edition": ""}}, "at least 1"),
    ("limit", {"basis": BASIS | {"source": ""}}, "at least 1"),
    ("limit", {"season": [{"begins": "02-30", "ends": "03-01"}]}, "is no day"),
    ("limit", {"season": [{"begins": "02-01", "ends": "13-01"}]}, "is no day"),
    ("limit", {"high": True}, "string"),
    ("limit", {"high": "warm"}, "is no number"),
    ("limit", {"high": "inf"}, "is no number"),
    ("limit", {"high": None}, "a limit needs"),
    ("limit", {"low": "-18"}, "is not below"),
    ("limit", {"low": "-17"}, "is not below"),
    ("limit", {"clear_at": "-17.9"}, "is outside the limit"),
    ("limit", {"high": None, "low": "6", "clear_at": "5.9"}, "is outside the limit"),
    ("limit", {"clear_at": ["-20", "-19"]}, "one number for one limit"),
    ("limit", {"low": "-30", "clear_at": "-19"}, "one number for one limit"),
    ("limit", {"low": "-30", "clear_at": ["-19", "-20"]}, "nothing lies between"),
    ("limit", {"low": "-30", "clear_at": ["-31", "-20"]}, "is outside the limit"),
    ("limit", {"low": "-30", "clear_at": ["-29", "-17"]}, "is outside the limit"),
    ("limit", {"low": "-30", "excuse": EXCUSE}, "with one limit"),
    ("limit", {"high": None, "permit": {"high": "ph_high"}, "excuse": EXCUSE}, "with one limit"),
    ("limit", {"excuse": EXCUSE | {"peak": "-18"}}, "within the limit"),
    ("limit", {"high": None, "low": "-12", "excuse": EXCUSE}, "within the limit"),
    ("limit", {"excuse": EXCUSE | {"quantity": "tea"}}, "unknown quantity"),
    ("rate", {"per_s": "0"}, "more than 0"),
    ("rate", {"per_s": "-1"}, "more than 0"),
    ("stale", {"after_s": None}, "needs after_s, or factor"),
    ("flat", {"band": "-0.1"}, "not be negative"),
    ("spread", {"most": "0"}, "more than 0"),
    ("spread", {"clear_at": "2.1"}, "outside the limit"),
    ("window", {"window_s": None}, "one of the two"),
    ("window", {"period": "day"}, "one of the two"),
    ("window", {"of": "percentile"}, "only there"),
    ("window", {"percentile": 50}, "only there"),
    ("window", {"of": "share", "unit": "Cel"}, "has the unit '1'"),
    ("window", {"of": "flow-mean", "late_s": 3601}, "nothing is waited for longer"),
    ("exposure", {"late_s": 86_401}, "nothing is waited for longer"),
    ("exposure", {"high": None}, "beyond what"),
    ("exposure", {"low": "4"}, "is not below"),
    ("exposure", {"most_minutes": None}, "one of the two"),
    ("exposure", {"most_degree_minutes": "20"}, "one of the two"),
    ("exposure", {"most_minutes": "0"}, "more than 0"),
    ("exposure", DEGREES | {"most_degree_minutes": "-1", "unknown_excess": "1"}, "more than 0"),
    ("exposure", DEGREES, "unknown_excess"),
    ("exposure", {"unknown_excess": "1"}, "unknown_excess"),
    ("descent", {"to": "10"}, "is not below start"),
    ("descent", {"to": "11"}, "is not below start"),
    ("descent", {"rise": "-0.1"}, "not be negative"),
    ("sequence", {"step": [STEP]}, "at least 2"),
    ("sequence", {"step": [STEP, STEP | {"unit": "degC"}]}, "unknown unit"),
    ("sequence", {"step": [STEP, STEP | {"quantity": "tea"}]}, "unknown quantity"),
    ("sequence", {"step": [STEP, {key: STEP[key] for key in STEP if key != "low"}]}, "what must hold"),
    ("sequence", {"step": [STEP, STEP | {"high": "30"}]}, "is not below"),
    ("combined", {"all": []}, "one of the two"),
    ("combined", {"any": ["c"]}, "one of the two"),
]


@pytest.mark.parametrize(("kind", "changes", "why"), REFUSED, ids=[f"{r[0]} {list(r[1].items())}"[:70] for r in REFUSED])
def test_what_is_refused_says_why(kind: str, changes: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        rule(kind, **changes)


#: Just not refused, for each of the above.
PERMITTED: list[tuple[str, dict[str, Any]]] = [
    ("limit", {"notice_after_s": 900}), ("limit", {"violation_after_s": None, "notices_only": True, "notice_after_s": 5}),
    ("limit", {"do_zh": ["做", "再做"], "do_en": ["do", "more"]}), ("limit", {"consequence_zh": "罚", "consequence_en": "fine"}),
    ("limit", {"select": {"stage": "storage"}}), ("limit", {"select": {"zone_kind": ["outlet", "steriliser"]}}),
    ("limit", {"season": [{"begins": "02-29", "ends": "02-29"}, {"begins": "11-01", "ends": "03-31"}]}),
    ("limit", {"basis": BASIS | {"effective_from": dt.date(2019, 1, 1), "effective_to": "2026-12-31"}}),
    ("limit", {"clear_at": "-18"}), ("limit", {"high": None, "low": "6", "clear_at": "6"}), ("limit", {"low": "-18.1"}),
    ("limit", {"low": "-30", "clear_at": ["-30", "-18"]}), ("limit", {"low": "-30", "clear_at": ["-20", "-20"]}),
    ("limit", {"high": None, "permit": {"high": "ph_high"}}), ("limit", {"excuse": EXCUSE | {"peak": "-17.9"}}),
    ("limit", {"high": None, "low": "6", "excuse": EXCUSE | {"peak": "5.9"}}), ("rate", {"per_s": "0.001"}),
    ("stale", {"factor": 3}), ("flat", {"band": "0"}), ("spread", {"most": "0.1", "clear_at": "0.1"}),
    ("window", {"window_s": None, "period": "hour"}), ("window", {"window_s": None, "period": "day", "of": "flow-mean", "late_s": 60}),
    ("window", {"of": "share", "unit": "1"}), ("window", {"of": "maximum", "late_s": 60}), ("window", {"of": "flow-mean", "late_s": 3600}),
    ("window", {"late_s": 3601}), ("exposure", {"late_s": 86_400}),
    ("exposure", {"low": "3.9"}), ("exposure", {"high": None, "low": "60"}), ("exposure", {"most_minutes": "0.1"}),
    ("exposure", DEGREES | {"unknown_excess": "2"}), ("descent", {"to": "9.9", "rise": "0"}), ("combined", {"all": None, "any": ["!c"]}),
    ("sequence", {"step": [STEP, STEP | {"low": None, "high": "30"}, STEP | {"high": "31"}]}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "changes"), PERMITTED, ids=[f"{r[0]} {list(r[1].items())}"[:70] for r in PERMITTED])
def test_what_lies_just_within_is_permitted(kind: str, changes: dict[str, Any]) -> None:
    if "step" in changes:
        changes = {"step": [{key: value for key, value in step.items() if value is not None} for step in changes["step"]]}
    made = rule(kind, **changes)
    assert made.kind == kind


def test_where_nothing_is_said_of_a_kind() -> None:
    assert rule("limit").guard is False
    assert (rule("limit").excuse, rule("limit").permit, rule("limit", excuse=EXCUSE).excuse.rest_s) == (None, None, None)
    assert (rule("rate").window_s, rule("descent").rise) == (0, "0")
    assert (rule("window").valid_share, rule("window").late_s) == (0, 0)
    assert rule("limit").clear == (None, None)
    assert rule("limit", clear_at="-18.5").clear == (None, "-18.5")
    assert rule("limit", high=None, low="6", clear_at="6.5").clear == ("6.5", None)
    assert rule("limit", low="-30", clear_at=["-29", "-19"]).clear == ("-29", "-19")


@pytest.mark.parametrize(("told", "text"), [(-18, "-18"), (-18.50, "-18.5"), ("1e3", "1000"), (" 0.10 ", "0.1"), ("-0", "0"), (0, "0")])
def test_a_number_has_one_text(told: Any, text: str) -> None:
    assert rule("limit", high=told).high == text


PACK: dict[str, Any] = {"id": "p", "version": "1.0.0", "edition": "2026-11", "name_zh": "包", "name_en": "pack"}


def test_a_pack_has_rules_each_once_and_none_that_is_elsewhere() -> None:
    one = HEAD | OWN["limit"] | {"kind": "limit"}
    assert [each.id for each in RulePack.model_validate(PACK | {"rule": [one, one | {"id": "s"}], "moved": {"t": "other"}}).rule] == ["r", "s"]
    for changes, why in (
        ({"rule": []}, "at least one"), ({"rule": [one, one]}, "two rules have the id 'r'"), ({"moved": {"r": "other"}}, "elsewhere"),
        ({"name_zh": ""}, "at least 1"), ({"name_en": ""}, "at least 1"), ({"more": 1}, "Extra"), ({"edition": "2026"}, "pattern"),
    ):  # fmt: skip
        with pytest.raises(ValidationError, match=why):
            RulePack.model_validate(PACK | {"rule": [one]} | changes)
