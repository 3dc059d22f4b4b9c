"""Packs that a configuration names: rules that went to another pack stay with a site that names the old one alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_gateway.config.load import ConfigRefused, Loaded, load
from edge_gateway.config.resolve import resolved
from edge_gateway.rules.engine import Engine
from edge_gateway.violations import Moment, Violations

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


HOUSE = """
id = "house"
version = "1.0.0"
edition = "2026-11"
name_zh = "自"
name_en = "House"
[[rule]]
id = "room-air"
kind = "limit"
select = { zone_kind = "cutting-room", quantity = "temperature" }
unit = "Cel"
high = "12"
guard = true
violation_after_s = 0
severity = "minor"
department = "market-regulation"
title_zh = "热"
title_en = "Warm"
do_zh = ["看"]
do_en = ["Look"]
basis = { standard = "none", clause = "none", edition = "2026", effective_from = "unknown", verified = "no", source = "operator" }
"""


@pytest.mark.parametrize(("written", "uncertainty"), [("0.50", "0.5"), ("", "")])
def test_a_point_s_uncertainty_makes_the_guard_band(tmp_path: Path, written: str, uncertainty: str) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "house.toml").write_text(HOUSE, encoding="utf-8")
    site = SITE.replace('zone = "room"\n', f'zone = "room"\nuncertainty = "{written}"\n') % '"house"'
    (tmp_path / "gateway.toml").write_text(site, encoding="utf-8")
    found = load(tmp_path / "gateway.toml")
    engine = Engine(found.binding.rules)
    steps = []
    for minute, value in enumerate((11.0, 12.4, 12.5, 12.6, 11.6, 11.4)):
        steps += engine.judge(minute * 60_000_000, 0, ("air",), [value], None)
    steps += engine.judge(360_000_000, 0, ("air",), [11.4], None)
    book = Violations("s")
    told = [(step.rule_us // 60_000_000, step.step, book.apply(step, found.binding.rules[0], Moment(step.rule_us, 0, True, "e", 0))[0]["decision"]) for step in steps]
    if uncertainty:
        assert told == [(3, "violated", "guard band ±0.5 Cel"), (5, "recovered", "guard band ±0.5 Cel")]
    else:
        assert told == [(1, "violated", "simple acceptance"), (4, "recovered", "simple acceptance")]


@pytest.mark.parametrize("wrong", ['"-0.5"', '"0"', '"half"', '"nan"', "0.5"])
def test_what_is_no_uncertainty_is_refused_with_its_line(tmp_path: Path, wrong: str) -> None:
    site = SITE.replace('zone = "room"\n', f'zone = "room"\nuncertainty = {wrong}\n') % '"cold-chain"'
    (tmp_path / "gateway.toml").write_text(site, encoding="utf-8")
    with pytest.raises(ConfigRefused) as refused:
        load(tmp_path / "gateway.toml")
    assert (refused.value.key, refused.value.line) == ("points.air.uncertainty", 22)


def test_a_pack_s_state_stands_in_its_rules_also_where_they_moved_to(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(SITE % '"cold-chain"' + '[rules.state]\ncold-chain = "enforced"\nplant-rooms = "shadow"\n', encoding="utf-8")
    assert {(rule.id, rule.state) for rule in load(file).binding.rules} >= {("cutting-room-air", "shadow"), ("cold-chain-silence", "")}


@pytest.mark.parametrize(("line", "why"), [('wastewatr = "shadow"', "is not in use here"), ('cold-chain = "on"', "must be one of")])
def test_a_state_of_nothing_is_refused_with_its_line(tmp_path: Path, line: str, why: str) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(SITE % '"cold-chain"' + f"[rules.state]\n{line}\n", encoding="utf-8")
    with pytest.raises(ConfigRefused, match=why) as refused:
        load(file)
    assert refused.value.line == 25


def test_what_packs_require_of_records_is_resolved_where_they_are_named_and_enforced(tmp_path: Path) -> None:
    def required(*packs: str, more: str = "") -> list[tuple[str, str, list[str]]]:
        file = tmp_path / "gateway.toml"
        file.write_text(SITE % ", ".join(f'"{pack}"' for pack in packs) + more, encoding="utf-8")
        told = resolved(load(file), {}, "t")["records"]["required"]
        return [(each["pack"], each["before"], each["of"]) for each in told]

    wanted = [("offal-cooling", "start", ["certificate"]), ("offal-cooling", "dispatch", ["certificate", "slip"])]
    assert required("offal-cooling") == required("cold-chain", "offal-cooling") == wanted
    assert required("offal-cooling", more="[records]\nstart_requires = []\ndispatch_requires = []\n") == wanted
    assert required("cold-chain") == [], "only its rules that moved come with it"
    for state in ("draft", "shadow"):
        assert required("offal-cooling", more=f'[rules.state]\noffal-cooling = "{state}"\n') == []


def test_a_requirement_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    text = (Path(__file__).resolve().parents[2] / "rules/offal-cooling.toml").read_text("utf-8")
    for old, new in (('of = ["certificate"]', "of = []"), ('of = ["certificate"]', 'of = ["charm"]'), ('before = "start"', 'before = "lunch"')):
        (tmp_path / "rules/offal-cooling.toml").write_text(text.replace(old, new, 1), encoding="utf-8")
        with pytest.raises(ConfigRefused, match=r"requires\[0\]"):
            loaded(tmp_path, "offal-cooling")


@pytest.mark.parametrize("by", ["polled", "messages"])
def test_an_exposure_waits_for_late_readings_only_where_they_have_a_time_of_their_own(tmp_path: Path, by: str) -> None:
    text = SITE.replace('kind = "cutting-room"', 'kind = "frozen-store"').replace('stage = "dispatch"', 'stage = "storage"') % '"cold-chain"'
    if by == "messages":
        text = text.replace('kind = "tcp"', 'kind = "mqtt"').replace('"generic/xy-md02"\nunit = 1\ninterval_s = 60.0', '"zigbee2mqtt/wsdcgq11lm"\ntopic = "zigbee2mqtt/cold1"\nexpect_every_s = 60.0')
    file = tmp_path / "gateway.toml"
    file.write_text(text, encoding="utf-8")
    (exposure,) = [rule for rule in load(file).binding.rules if rule.id == "frozen-store-warm-hours"]
    assert exposure.terms.get("late_us") == (600_000_000 if by == "messages" else None)
