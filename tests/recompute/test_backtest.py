"""Other rules over a record: the same ones change nothing, tighter ones never make less of it, and a forged record is no ground for comparing."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_gateway.cli.main import NO, OK
from edge_gateway.cli.main import run as cli
from edge_gateway.journal.reading import Reading
from edge_gateway.recompute.backtest import Backtest, Side
from edge_gateway.rules.base import BoundRule, First, Step
from edge_gateway.rules.same import is_outcome
from tests.recompute.judged_site import write
from tests.recompute.test_recompute import rewritten

Rules = Sequence[BoundRule]


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("backtest")
    asyncio.run(write(folder, 3))
    return folder


@pytest.fixture(scope="module")
def record(state: Path) -> tuple[list[tuple[str, dict[str, Any]]], dict[str, bytes]]:
    reading = Reading(state)
    try:
        return list(reading.entries()), {each.name: each.read_bytes() for each in (state / "texts").iterdir()}
    finally:
        reading.close()


def through(record: tuple[list[tuple[str, dict[str, Any]]], dict[str, bytes]], change: Callable[[Rules], Rules]) -> Backtest:
    test = Backtest(record[1].__getitem__, change)
    for epoch, entry in record[0]:
        test.take(epoch, entry)
    test.end()
    return test


def test_the_same_rules_make_the_same_of_it(record: Any) -> None:
    test = through(record, list)
    assert test.first is None, test.first
    assert test.hashes[0] == test.hashes[1]
    assert test.before == test.after
    assert len(test.before.violations) > 20
    assert test.before.minutes() > 10
    assert not test.new()
    assert not test.lost()
    told = sum(1 for _, entry in record[0] if is_outcome(entry) and entry.get("step") == "violated")
    assert len(test.before.violations) == told, "one for one with the journal"


def _limits(change: Callable[[BoundRule], BoundRule]) -> Callable[[Rules], Rules]:
    return lambda rules: [change(rule) if rule.kind == "limit" and not rule.terms and rule.high else rule for rule in rules]


def test_a_tighter_limit_gives_new_ones_and_never_fewer_minutes(record: Any) -> None:
    test = through(record, _limits(lambda rule: replace(rule, high="8", clear_high="7", violation_after_us=rule.violation_after_us)))
    assert test.first is None
    assert test.after.minutes() > test.before.minutes()
    looser = through(record, _limits(lambda rule: replace(rule, high="100", clear_high="100")))
    assert looser.lost()
    assert {each.rule[0] for each in looser.lost()} == {"l"}
    assert not looser.new()


def test_a_rule_without_readings_is_not_decidable(record: Any) -> None:
    test = through(record, lambda rules: [*rules, replace(rules[0], id="elsewhere", point="nowhere", kind="limit", others=(), terms={})])
    assert test.not_decidable == {("elsewhere", "nowhere"): "no-reading"}


def test_a_forged_record_is_named_and_not_compared(record: Any) -> None:
    entries, texts = copy.deepcopy(record)
    entry = next(entry for _, entry in entries[300:] if is_outcome(entry) and entry.get("step") == "violated")
    entry["peak"] += 1
    test = through((entries, texts), list)
    assert test.first is not None
    assert test.first.seq == entry["seq"]


def test_the_commands(state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted((each, each.stat().st_mtime_ns) for each in state.rglob("*") if each.is_file() and "sqlite" not in each.name)
    assert cli(["rules", "backtest", str(state), "--set", "l1-0.high=100", "--json"]) == OK
    answer = json.loads(capsys.readouterr().out)
    assert answer["schema"] == "edge-gateway/rules-backtest/1"
    assert answer["before"]["count"] == len(answer["before"]["violations"]) >= answer["after"]["count"]
    assert answer["first"] is None
    assert cli(["replay", str(state), "--json"]) == OK
    replayed = json.loads(capsys.readouterr().out)
    assert replayed["violations"] == answer["before"]["violations"]
    assert replayed["outcomes"]["sha256"]["derived"] == replayed["outcomes"]["sha256"]["journaled"]
    assert cli(["rules", "backtest", str(state), "--set", "l1-0.high=100", "--lang", "zh"]) == OK
    assert "当时生效：违规" in capsys.readouterr().out
    assert sorted((each, each.stat().st_mtime_ns) for each in state.rglob("*") if each.is_file() and "sqlite" not in each.name) == before

    def changed(entry: dict[str, Any]) -> bool:
        if not is_outcome(entry):
            return False
        entry["rule"] = "another"
        return True

    rewritten(state, tmp_path / "forged", changed)
    assert cli(["replay", str(tmp_path / "forged")]) == NO
    assert "DIFFERS, first at" in capsys.readouterr().out
    assert cli(["rules", "backtest", str(state), "--set", "l1-0.nonsense=1"]) == 2
    assert cli(["rules", "backtest", str(state), "--set", "typo.high=100"]) == 2  # else it would compare a record with itself



def test_a_further_epoch_ends_what_its_first_snapshot_does_not_remember(record: Any) -> None:
    """Planted: a further epoch whose snapshot knows nothing of what went on."""
    tight = _limits(lambda rule: replace(rule, high="-100", clear_high="-100", low=None, clear_low=None, violation_after_us=0))
    alone = through(record, tight)
    going = {(each.rule, each.point) for each in alone.after.violations if each.until_us is None}
    assert going
    test = Backtest(lambda sha256: record[1][sha256], tight)
    for epoch, entry in record[0]:
        test.take(epoch, entry)
    first = next(entry for _, entry in record[0] if entry["kind"] == "snapshot")
    last_us = record[0][-1][1]["rule_us"]
    test.take("f" * 16, {key: value for key, value in first.items() if key != "state_text"} | {"state": {}, "seq": 0, "rule_us": last_us + 1})
    assert {(each.rule, each.point) for each in test.after.violations if each.until_us == last_us} >= going
    assert all(each.until_us is not None for each in (*test.before.violations, *test.after.violations))


def test_what_a_further_epoch_remembers_goes_on() -> None:
    side = Side()
    for point in ("a", "b"):
        side.note(Step(rule="r", point=point, step="violated", rule_us=5, wall_us=5, first=First(rule_us=1, wall_us=1, value=9.0)))
    side.cut({"r/a": {"phase": "violation"}, "r/b": {}}, 7)
    assert [(each.point, each.until_us) for each in side.violations] == [("a", None), ("b", 7)]
