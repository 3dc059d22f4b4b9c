"""What goes on as part of a violation, as the hub lists it; and that it ends with it, though no entry says so."""

from __future__ import annotations

import json
from typing import Any

import pytest

from regulator_hub import rows, told
from regulator_hub.outbox import Outbox
from regulator_hub.view import View
from tests.regulator_hub import record
from tests.regulator_hub.harness import EPOCH, GATEWAY

SILENCE = {"id": "quiet", "kind": "stale", "points": ["cold1-air", "cold1-rh"], "title_zh": "无数据", "title_en": "No data", "limit": "≤ 60 s"}
TEXT = json.dumps(record.RESOLVED | {"rules": [record.RULE, SILENCE]}, ensure_ascii=False).encode()


def view(*entries: bytes) -> View:
    found = View(GATEWAY, {record.SHA: TEXT}.get)
    for seq, entry in enumerate([record.snapshot(0), record.config(1), *entries]):
        found.feed(EPOCH, seq, entry, in_order=True)
    return found


def step(seq: int, number: int, what: str, **more: Any) -> bytes:
    into = {"handling": "merged", "into": f"tlf-007-{more.pop('into')}"} if "into" in more else {}
    return record.violation(seq, what, **{"name": f"tlf-007-{number}", "level": "violation", **into, **more})


def held() -> list[bytes]:
    """A cause, one of its own kind under it, and under that another."""
    return [
        step(2, 1, "violated", point="cold1-rh", rule="quiet"), step(3, 2, "violated", into=1, rule="quiet"), step(4, 3, "violated", into=2),
        step(5, 1, "holding", point="cold1-rh", rule="quiet", holds=2, scope={"points": ["cold1-air"], "zones": ["cold1"]}),
    ]  # fmt: skip


def test_a_cause_lists_all_that_goes_on_as_part_of_it_each_behind_its_cause() -> None:
    [shown] = rows.violations(view(*held()), ended=False)
    assert [(each["violation"], each["into"], each["title_en"], each["minutes"]) for each in shown["held"]] == [
        ("tlf-007-2", "tlf-007-1", "No data", 31), ("tlf-007-3", "tlf-007-2", "Frozen store temperature", 31),
    ]  # fmt: skip
    assert shown["scope"] == {"points": ["cold1-air"], "zones": ["cold1"]}


def test_the_command_line_says_them_in_both_languages(tmp_path: Any) -> None:
    outbox = Outbox(tmp_path)
    said = list(told.lines(told.whole(view(*held()), "tlf-007-1", outbox, record.now_us())))
    lines = [line for line in said if line.startswith("  holds 包含")]
    assert len(lines) == 2
    assert "无数据 No data" in lines[0]
    assert "分钟" not in lines[1], "it goes on: its minutes are those of its last step"
    over = view(*held(), step(6, 3, "recovered", into=2))
    assert any("31 min 分钟" in line for line in told.lines(told.whole(over, "tlf-007-1", outbox, record.now_us())))


def test_a_point_whose_silence_is_part_of_a_cause_has_no_data_and_one_beyond_its_limit_is_shown_so() -> None:
    found = {row["point"]: row["violation"] for row in rows.points(view(*held()), record.now_us())}
    assert found == {"cold1-rh": "tlf-007-1", "cold1-air": "tlf-007-3"}
    found = {row["point"]: row["state"] for row in rows.points(view(*held()[:2]), record.now_us())}
    assert found == {"cold1-rh": "violation", "cold1-air": "no-data"}


@pytest.mark.parametrize("how", ["closed", "withdrawn"])
def test_what_has_recovered_ends_with_its_cause_and_what_has_not_returns(how: str) -> None:
    entries = [*held(), step(6, 2, "recovered", into=1, rule="quiet"), step(7, 1, how, point="cold1-rh", rule="quiet", handling=how, by="Li", reason="x"), step(8, 3, "unmerged")]
    found = view(*entries)
    assert {name: each["ended"] for name, each in found.state["violations"].items()} == {"tlf-007-1": True, "tlf-007-2": True, "tlf-007-3": False}
    assert sorted(found.state["ended"]) == ["tlf-007-1", "tlf-007-2"]
    assert [each["violation"] for each in rows.violations(found, ended=False)] == ["tlf-007-3"]


def test_names_that_go_round_are_listed_once() -> None:
    found = view(step(2, 1, "violated", holds=1), step(3, 2, "violated", into=3), step(4, 3, "violated", into=2), step(5, 3, "violated", into=1), step(6, 2, "violated", into=3, holds=1))
    assert [each["violation"] for each in rows.violations(found, ended=False)[0]["held"]] == ["tlf-007-3", "tlf-007-2"]
    rounds = view(step(2, 1, "violated", into=2, holds=1), step(3, 2, "violated", into=1, holds=1))
    assert len(rows.violations(rounds, ended=True)) == 2
