"""Case files: series as promtool writes them, several points, the wall clock, and faults that are found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edge_gateway.errors import ConfigError
from edge_gateway.rules.cases import Case, Outcome, load_cases, run_case
from edge_gateway.rules.load import LoadedPack, read_pack
from edge_gateway.rules.series import samples

WORDS = ("bad", "queued", "future")

#: By hand from the description of promtool's series notation (prometheus.io, unit testing of rules).
SERIES = [
    ("1 2", [1.0, 2.0]),
    ("20x3", [20.0, 20.0, 20.0, 20.0]),
    ("-2+4x3", [-2.0, 2.0, 6.0, 10.0]),
    ("1-2x4", [1.0, -1.0, -3.0, -5.0, -7.0]),
    ("0.1+0.1x2", [0.1, 0.2, 0.3]),
    ("1 _x3 2", [1.0, None, None, None, 2.0]),
    ("_", [None]),
    ("badx1 -19.5", ["bad", "bad", -19.5]),
]


@pytest.mark.parametrize(("text", "wanted"), SERIES)
def test_series(text: str, wanted: list[float | str | None]) -> None:
    assert list(samples(text, WORDS)) == wanted


@pytest.mark.parametrize("text", ["", "20y3", "1+2", "warm", "bad+1x2", "1..2", "x3", "1x99999"])
def test_no_series(text: str) -> None:
    with pytest.raises(ValueError, match=r"series"):
        list(samples(text, WORDS))


PACK = """
id = "trial"
version = "1.0.0"
edition = "2026-11"
name_zh = "试"
name_en = "Trial"

[[rule]]
id = "warm"
kind = "limit"
select = { zone_kind = "chilled-store", quantity = "temperature" }
unit = "Cel"
high = "4"
violation_after_s = 60
excuse = { quantity = "contact", most_s = 300, peak = "8" }
%(words)s

[[rule]]
id = "apart"
kind = "spread"
select = { zone_kind = "chilled-store", quantity = "temperature" }
unit = "Cel"
most = "2"
violation_after_s = 60
%(words)s

[[rule]]
id = "both"
kind = "combined"
select = { zone_kind = "chilled-store", quantity = "temperature" }
all = ["warm", "apart"]
violation_after_s = 0
%(words)s

[[rule]]
id = "day"
kind = "window"
select = { zone_kind = "outlet", quantity = "cod" }
unit = "mg/L"
high = "500"
of = "flow-mean"
period = "hour"
violation_after_s = 0
%(words)s
"""
RULE_WORDS = """severity = "minor"
department = "market-regulation"
title_zh = "试"
title_en = "Trial"
do_zh = ["看"]
do_en = ["look"]
basis = { standard = "none", clause = "none", edition = "2026", effective_from = "unknown", verified = "no", source = "operator" }
"""


@pytest.fixture
def pack(tmp_path: Path) -> LoadedPack:
    file = tmp_path / "trial.toml"
    file.write_text(PACK % {"words": RULE_WORDS}, encoding="utf-8")
    loaded, faults = read_pack(file)
    assert loaded is not None, faults
    return loaded


def run(pack: LoadedPack, **case: object) -> Outcome:
    return run_case(pack, Case.model_validate({"name": "n", **case}))


def test_a_contact_excuses_in_a_case(pack: LoadedPack) -> None:
    course = {"rule": "warm", "interval_s": 60, "points": {"door": "contact"}, "series": {"point": "3 6x10"}}
    open_ = run(pack, **course | {"series": {"point": "3 6x10", "door": "0 1x10"}})
    shut = run(pack, **course | {"series": {"point": "3 6x10", "door": "0x11"}})
    silent = run(pack, **course)
    assert [step for _, step in shut.steps] == ["notice", "violated"] == [step for _, step in silent.steps]
    assert open_.steps[0] == (420, "notice"), "five minutes and no longer"


def test_two_points_of_a_zone_and_a_rule_over_rules(pack: LoadedPack) -> None:
    course = {"interval_s": 30, "points": {"second": "temperature"}, "series": {"point": "3 6x9", "second": "3x10"}}
    apart = run(pack, rule="apart", **course)
    assert [step for _, step in apart.steps] == ["notice", "violated"]
    both = run(pack, rule="both", **course)
    assert [step for _, step in both.steps] == ["violated"]
    assert {step.rule for step in both.details} == {"both"}


def test_an_hour_of_the_wall_clock_weighted_by_flow(pack: LoadedPack) -> None:
    course = {"rule": "day", "interval_s": 600, "starts": "2026-11-28T09:00:00+08:00", "points": {"flow": "flow"}}
    heavy = run(pack, **course | {"series": {"point": "900x2 100x4", "flow": "10x2 1x4"}})
    light = run(pack, **course | {"series": {"point": "900x2 100x4", "flow": "1x2 10x4"}})
    assert [step for _, step in heavy.steps] == ["violated"], "mean (2700·10 + 300·1) / 33 = 827"
    assert light.steps == []
    assert heavy.details[0].first.wall_us == 1795827600 * 1_000_000, "the beginning of its hour"


def test_a_planted_fault_is_named(pack: LoadedPack) -> None:
    good = {"name": "n", "rule": "warm", "series": {"point": "6x10"}, "steps": [["0:00:00", "notice"], ["0:01:00", "violated"]]}
    assert run_case(pack, Case.model_validate(good)).fault == ""
    for steps, fault in (
        (good["steps"][:1], "step 2 is 0:01:00 violated at point, and there should be none"),
        ([*good["steps"], ["0:05:00", "recovered"]], "step 3 should be 0:05:00 recovered, and there is none"),
        ([["0:00:10", "notice"]], "step 1 should be 0:00:10 notice, and is 0:00:00 notice at point"),
        ([["0:00:00", "notice", "other"]], "step 1 should be 0:00:00 notice other, and is 0:00:00 notice at point"),
    ):
        outcome = run_case(pack, Case.model_validate({**good, "steps": steps}))
        assert (outcome.passed, outcome.fault) == (False, fault)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"readings": [["0:00:00", {"door": 1}]]}, "no point 'door'"),
        ({"readings": [["0:00:00", {"point": "restart"}]]}, "is no reading"),
        ({"readings": [["0:00", 1]]}, "is no time"),
        ({"readings": []}, "needs readings"),
        ({"points": {"door": "weather"}}, "unknown quantity"),
        ({"series": {"door": "1"}}, "no point 'door'"),
        ({"series": {"point": "1;2"}}, "no part of a series"),
        ({"starts": "2026-11-28T00:00:00"}, "needs its offset"),
    ],
)
def test_a_faulty_case_is_refused_with_its_place(tmp_path: Path, change: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Case.model_validate({"name": "n", "rule": "warm", "readings": [["0:00:00", 1]], **change})
    file = tmp_path / "x.cases.toml"
    file.write_text('[[case]]\nname = "n"\nrule = "warm"\nreadings = [["0:00", 1]]\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"is no time") as refused:
        load_cases(file)
    assert (refused.value.file, refused.value.line) == (str(file), 1)


def test_a_pack_may_bring_some_of_its_rules_only(pack: LoadedPack) -> None:
    assert [rule.id for _, rule in replace(pack, only=frozenset({"apart"})).rules()] == ["apart"]
    assert [at for at, _ in replace(pack, only=frozenset({"apart"})).rules()] == [1]


def test_a_phase_in_a_case_disarms_what_is_not_for_it_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "trial.toml"
    text = (PACK % {"words": RULE_WORDS}).replace('id = "warm"', 'id = "warm"\narmed_in = "production"', 1)
    file.write_text(text, encoding="utf-8")
    loaded, faults = read_pack(file)
    assert loaded is not None, faults
    course = {"readings": [["0:00:00", "phase closing"], ["0:00:10 to 0:03:00", 6.0]]}
    assert [step for _, step in run(loaded, rule="warm", **course).steps] == ["would-have-fired"]
    work = {"readings": [["0:00:00", "phase production"], *course["readings"][1:]]}
    assert [step for _, step in run(loaded, rule="warm", **work).steps] == ["notice", "violated"]
    with pytest.raises(ValueError, match="is no reading"):
        run(loaded, rule="warm", readings=[["0:00:00", "phase lunch"]])
