"""A power cut at a site whose mains a contact watches: one violation with its points by the shipped packs, and what outlasts it is told for itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_gateway.config.load import ConfigRefused, load
from edge_gateway.intake.state import Setup
from edge_gateway.reading import Batch, Group
from edge_gateway.rules.base import rules_document
from edge_gateway.rules.bind import Binding, PointFacts, ZoneFacts, bind
from edge_gateway.rules.load import load_pack
from edge_gateway.testing import FakeClock
from tests.intake.test_loop import Running, flushed, running

RULES = Path(__file__).resolve().parents[2] / "rules"
S = 1_000_000
ZONES = {"hall": ("washing", "cleaning-line"), "deep": ("storage", "frozen-store"), "fresh": ("storage", "chilled-store")}
#: point -> (zone, quantity, unit, bus): the deep store's probe has a battery, the others have none
POINTS = {
    "mains": ("hall", "mains", "1", "board"), "deep-air": ("deep", "temperature", "Cel", "radio"), "fresh-air": ("fresh", "temperature", "Cel", "line"),
    "hall-ph": ("hall", "ph", "[pH]", "line2"),
}  # fmt: skip
GROUPS = {id_: Group(id=f"{id_}.0", device=f"{id_}-device", points=(id_,), interval_us=10 * S) for id_ in POINTS}
CALM = {"mains": 1.0, "deep-air": -20.0, "fresh-air": 2.0, "hall-ph": 7.0}
CUT = {"mains": 0.0, "deep-air": -12.0}


def binding(points: tuple[str, ...] = tuple(POINTS)) -> Binding:
    packs = [load_pack(name, [RULES]) for name in ("cold-chain", "cleaning-water", "instrument-health")]
    facts = [PointFacts(id=id_, zone=zone, quantity=quantity, unit=unit, interval_us=10 * S) for id_, (zone, quantity, unit, _) in POINTS.items() if id_ in points]
    return bind(packs, facts, {id_: ZoneFacts(stage=stage, kind=kind) for id_, (stage, kind) in ZONES.items()}, {})


def setup(*, declared: bool = True) -> Setup:
    rules = tuple(replace(rule, consequences=() if rule.id == "mains-lost" and not declared else rule.consequences) for rule in binding().rules)
    resolved: dict[str, Any] = {
        "gateway": "tlf-007", "site": {"id": "tlf-007"}, "semantics": {"causes": 1}, "rules": rules_document(rules),
        "devices": {group.device: {"bus": POINTS[id_][3]} for id_, group in GROUPS.items()},
        "points": {id_: {"device": GROUPS[id_].device, "zone": zone, "unit": unit} for id_, (zone, _, unit, _) in POINTS.items()},
        "groups": {group.id: {"device": group.device, "points": list(group.points), "interval_us": group.interval_us} for group in GROUPS.values()},
    }
    return Setup(resolved=resolved, groups={group.id: group for group in GROUPS.values()}, texts={}, rules=rules, software="t")


async def read(run: Running, clock: FakeClock, values: dict[str, float], minutes: int) -> None:
    for number in range(minutes * 6):
        clock.advance(10 * S)
        for id_, value in values.items():
            await run.intake.inbox.put(Batch(group=GROUPS[id_], mono_us=clock.mono_us(), wall_us=clock.wall_us(), values=[value], quality=None, slot_us=clock.mono_us()))
        await flushed(run)
        run.intake._ticked_s = 0.0 if number % 6 == 0 else run.intake._ticked_s  # a tick a minute, in real time every 15 s
        await run.intake.command(run.intake._tick)


async def cut(folder: Path, *, declared: bool = True) -> dict[str, list[tuple[str, str, str]]]:
    """(rule, point, level) of what people see: after 40 minutes without power, and when it is back for 15 minutes."""
    seen: dict[str, list[tuple[str, str, str]]] = {}
    clock = FakeClock()
    async with running(folder, clock, setup=setup(declared=declared)) as run:
        await read(run, clock, CALM, 3)
        await read(run, clock, CUT, 40)
        seen["cut"] = _open(run)
    async with running(folder, clock, setup=setup(declared=declared)) as run:
        seen["restarted"] = _open(run)
        cause = next(each for each in run.intake.state.violations.records() if each["rule"] == "mains-lost")
        seen["held"] = sorted((each["rule"], each["point"], each["level"]) for each in run.intake.state.violations.held(cause["violation"]))
        seen["severity"] = [(cause["severity"], "", "")]
        await read(run, clock, CALM | {"deep-air": -12.0}, 15)
        seen["back"] = [each for each in _open(run) if each[0] != "mains-lost"]
    return seen


def _open(run: Running) -> list[tuple[str, str, str]]:
    return sorted((each["rule"], each["point"], each["level"]) for each in run.intake.state.violations.open())


async def test_one_power_cut_is_one_violation_with_its_points(tmp_path: Path) -> None:
    seen = await cut(tmp_path)
    assert seen["cut"] == seen["restarted"] == [("mains-lost", "mains", "violation")]
    assert {(rule, point) for rule, point, _ in seen["held"]} == {("cleaning-water-silence", "hall-ph"), ("cold-chain-silence", "fresh-air"), ("frozen-store-air", "deep-air")}
    assert {level for _, _, level in seen["held"]} == {"violation"}
    assert seen["severity"] == [("major", "", "")], "that of the gravest it holds"
    assert [each for each in seen["back"] if each[0] == "frozen-store-air"] == [("frozen-store-air", "deep-air", "violation")], "it outlasts the cut"


async def test_without_what_it_declares_each_would_be_told(tmp_path: Path) -> None:
    seen = await cut(tmp_path, declared=False)
    assert len(seen["cut"]) > 1


def test_a_site_without_such_a_contact_is_not_monitored_by_it() -> None:
    found = binding(("deep-air", "fresh-air"))
    assert "mains-lost" not in {rule.id for rule in found.rules}
    assert {each.rule: each.why for each in found.not_monitored}["mains-lost"] == "no point is in such a place"


SITE = """
[site]
id = "tlf-007"
origin = "example.org/xj"
name_zh = "某站"
name_en = "A site"
[zones.hall]
stage = "washing"
kind = "cleaning-line"
[buses.board]
kind = "host"
[devices.relay]
bus = "board"
interval_s = 10.0
contact = { line = 4 }
[points.mains]
device = "relay"
channel = "contact"
zone = "hall"
means = "mains"
[rules]
packs = ["instrument-health"]
"""


def test_a_contact_that_means_the_mains_is_watched_and_nothing_else_can_mean_it(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(SITE, encoding="utf-8")
    assert {(rule.id, rule.point, rule.quantity) for rule in load(file).binding.rules} >= {("mains-lost", "mains", "mains"), ("instrument-silence", "mains", "mains")}
    file.write_text(SITE.replace('means = "mains"\n', ""), encoding="utf-8")
    assert load(file).binding.rules == []
    file.write_text(SITE.replace("contact = { line = 4 }\n", "").replace('"contact"', '"uptime"'), encoding="utf-8")
    with pytest.raises(ConfigRefused, match="'uptime' is no contact"):
        load(file)
