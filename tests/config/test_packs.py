"""Packs that a configuration names: rules that went to another pack stay with a site that names the old one alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_gateway.config.load import Loaded, load
from edge_gateway.rules.engine import Engine

SITE = """
[site]
id = "s"
origin = "example.org/s"
name_zh = "站"
name_en = "Site"
[zones.room]
stage = "dispatch"
kind = "cutting-room"
[buses.b]
kind = "tcp"
host = "127.0.0.1"
[devices.d]
bus = "b"
profile = "generic/xy-md02"
unit = 1
interval_s = 60.0
[points.air]
device = "d"
channel = "temperature"
zone = "room"
[rules]
packs = [%s]
"""


def loaded(folder: Path, *packs: str) -> Loaded:
    file = folder / "gateway.toml"
    file.write_text(SITE % ", ".join(f'"{pack}"' for pack in packs), encoding="utf-8")
    return load(file)


def test_a_rule_that_moved_stays_with_the_pack_s_old_name_and_brings_nothing_else(tmp_path: Path) -> None:
    old = loaded(tmp_path, "cold-chain")
    rules = {(rule.id, rule.pack) for rule in old.binding.rules}
    assert ("cutting-room-air", "plant-rooms") in rules
    assert ("offal-core", "offal-cooling") in {(each.rule, each.pack) for each in old.binding.not_monitored}
    assert "cutting-room-hour" not in {rule for rule, _ in rules}
    assert [pack.pack.id for pack in old.packs] == ["cold-chain", "offal-cooling", "plant-rooms"]


def test_two_packs_that_lost_rules_to_one_bring_it_once(tmp_path: Path) -> None:
    both = loaded(tmp_path, "cold-chain", "cleaning-water")
    (rooms,) = [pack for pack in both.packs if pack.pack.id == "plant-rooms"]
    assert rooms.only == {"cutting-room-air", "steriliser-water"}


def test_where_the_new_pack_is_named_too_it_is_whole(tmp_path: Path) -> None:
    for packs in (("cold-chain", "plant-rooms"), ("plant-rooms", "cold-chain")):
        new = loaded(tmp_path, *packs)
        assert {"cutting-room-air", "cutting-room-hour"} <= {rule.id for rule in new.binding.rules}


@pytest.mark.parametrize("now", [("cold-chain",), ("cold-chain", "plant-rooms")])
def test_what_stands_open_goes_on_after_the_move(tmp_path: Path, now: tuple[str, ...]) -> None:
    engine = Engine(loaded(tmp_path, "cold-chain").binding.rules)
    for minute in range(17):
        engine.judge(minute * 60_000_000, 0, ("air",), [15.0], None)
    after = Engine(loaded(tmp_path, *now).binding.rules)
    after.restore(engine.snapshot())
    steps = [step for minute in range(17, 24) for step in after.judge(minute * 60_000_000, 0, ("air",), [9.0], None)]
    assert [(step.rule, step.step, step.first.rule_us) for step in steps if step.rule == "cutting-room-air"] == [("cutting-room-air", "recovered", 0)]
