"""``consequences`` of a rule: what a pack may say, what is refused with file and line, and what a configuration's text has of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from edge_gateway.errors import ConfigError
from edge_gateway.record.entry import canonical
from edge_gateway.rules.base import BoundRule, rules_document
from edge_gateway.rules.bind import PointFacts, ZoneFacts, bind
from edge_gateway.rules.load import LoadedPack, load_pack, read_pack
from edge_gateway.violations.causes import Causes
from tests.rules.pack_text import head, tail

RULES = Path(__file__).resolve().parents[2] / "rules"
PACK = head("plant", "机房", "Plant") + """[[rule]]
id = "compressor-stopped"
kind = "limit"
select = { zone_kind = "frozen-store", quantity = "contact" }
unit = "1"
low = "1"
violation_after_s = 120
consequences = { rules = ["cold-chain/frozen-store-air"], over = "zone" }
""" + tail(("压缩机停机", "Compressor stands"), ("看电源", "Look at its power"))
ZONES = {"cold1": ZoneFacts(stage="storage", kind="frozen-store")}
POINTS = [
    PointFacts(id=name, zone="cold1", quantity=quantity, unit=unit, interval_us=10_000_000)
    for name, quantity, unit in (("cold1-air", "temperature", "Cel"), ("cold1-run", "contact", "1"))
]


def written(tmp_path: Path, text: str) -> tuple[LoadedPack | None, list[ConfigError]]:
    (tmp_path / "plant.toml").write_text(text, encoding="utf-8")
    return read_pack(tmp_path / "plant.toml")


def pack(tmp_path: Path, text: str = PACK) -> LoadedPack:
    loaded, faults = written(tmp_path, text)
    assert loaded is not None, faults
    return loaded


def test_a_rule_of_another_pack_is_a_consequence_and_the_configuration_says_so(tmp_path: Path) -> None:
    binding = bind([pack(tmp_path), load_pack("cold-chain", [RULES])], POINTS, ZONES, {})
    rule = next(each for each in binding.rules if each.id == "compressor-stopped")
    assert (rule.consequences, rule.consequences_over) == (("frozen-store-air",), "zone")
    assert BoundRule.from_config(orjson.loads(canonical(rule.as_config()))) == rule
    document = orjson.loads(canonical({"rules": rules_document(binding.rules)}))["rules"]
    points = {each.id: {"zone": each.zone, "device": "plc"} for each in POINTS} | {"far": {"zone": "cold2", "device": "plc"}}
    causes = Causes({"semantics": {"causes": 1}, "rules": document, "points": points})

    def record(rule_: str, point: str, began_s: int) -> dict[str, Any]:
        return {"rule": rule_, "point": point, "handling": "new", "first": {"rule_us": began_s * 1_000_000}}

    stopped = record("compressor-stopped", "cold1-run", 1000)
    assert causes.explains(stopped, record("frozen-store-air", "cold1-air", 1300))
    assert not causes.explains(stopped, record("frozen-store-air", "far", 1300)), "another zone"
    assert not causes.explains(stopped, record("frozen-store-air", "cold1-air", 900)), "it began before"
    assert not causes.explains(record("frozen-store-air", "cold1-air", 1300), stopped), "the other way round"
    older = Causes({"rules": document, "points": points})
    assert not older.explains(stopped, record("frozen-store-air", "cold1-air", 1300)), "a record of before is judged as it was"


def test_a_pack_that_is_not_in_use_may_be_named_and_a_rule_that_a_pack_does_not_have_may_not(tmp_path: Path) -> None:
    assert len(bind([pack(tmp_path)], POINTS, ZONES, {}).rules) == 1
    with pytest.raises(ConfigError, match="pack 'cold-chain' has no rule 'frozen-store-hair'") as refused:
        bind([pack(tmp_path, PACK.replace("store-air", "store-hair")), load_pack("cold-chain", [RULES])], POINTS, ZONES, {})
    assert (refused.value.line, "frozen-store-air" in str(refused.value.hint)) == (7, True)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("cold-chain/frozen-store-air", "frozen-store-air", "which this pack does not have"),
        ('over = "zone"', 'over = "room"', "one of point, device, zone, site"),
        ('rules = ["cold-chain/frozen-store-air"]', "rules = []", "must not be empty"),
        ("cold-chain/frozen-store-air", "Cold Chain/x", "consequences"),
        (', over = "zone"', "", "over"),
    ],
)
def test_what_is_no_consequence_is_refused(tmp_path: Path, old: str, new: str, why: str) -> None:
    loaded, faults = written(tmp_path, PACK.replace(old, new))
    assert loaded is None
    assert any(why in f"{fault} {fault.key}" for fault in faults), [f"{fault} {fault.key}" for fault in faults]


@pytest.mark.parametrize("name", ["cold-chain", "cleaning-water", "wastewater", "instrument-health"])
def test_the_shipped_silences_and_missing_data_are_told_with_what_follows(name: str) -> None:
    found = {rule.id: rule.consequences for _, rule in load_pack(name, [RULES]).rules() if rule.consequences}
    assert found, name
    if (mains := found.pop("mains-lost", None)) is not None:
        assert mains.over == "site"
        for pack_name, _, rule in (each.rpartition("/") for each in mains.rules):
            assert rule in {each.id for _, each in load_pack(pack_name or name, [RULES]).rules()}
    for rule, said in found.items():
        assert said is not None
        assert (said.rules[0].rpartition("/")[2], said.over) == ("data-missing", "site" if rule == "data-missing" else "point")
