"""Binding: which points a rule watches, what a permit changes, and what is not monitored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from edge_gateway.errors import ConfigError
from edge_gateway.record.entry import canonical
from edge_gateway.rules.arming import out_of_edition
from edge_gateway.rules.base import BoundRule
from edge_gateway.rules.bind import Binding, PointFacts, ZoneFacts, bind
from edge_gateway.rules.load import load_pack
from edge_gateway.rules.tighten import overridden
from tests.rules.pack_text import head, tail

RULES = Path(__file__).resolve().parents[2] / "rules"
PACKS = [load_pack(name, [RULES]) for name in ("cold-chain", "offal-cooling", "cleaning-water", "wastewater")]
ZONES = {
    "cold1": ZoneFacts(stage="storage", kind="frozen-store"),
    "hall": ZoneFacts(stage="washing", kind="cleaning-line"),
    "outlet1": ZoneFacts(stage="wastewater", kind="outlet"),
    "chill": ZoneFacts(stage="intake", kind="pre-cooling"),
    "ready": ZoneFacts(stage="dispatch", kind="pre-cooling"),
}


def point(name: str, zone: str, quantity: str, unit: str, interval_s: int = 10) -> PointFacts:
    return PointFacts(id=name, zone=zone, quantity=quantity, unit=unit, interval_us=interval_s * 1_000_000)


POINTS = [
    point("cold1-air", "cold1", "temperature", "Cel"),
    point("cold1-rh", "cold1", "humidity", "%"),
    point("hall-cl", "hall", "free-chlorine", "mg/L"),
    point("out-ph", "outlet1", "ph", "[pH]"),
    point("out-flow", "outlet1", "flow", "m3/h"),
    point("chill-core", "chill", "temperature", "Cel"),
    point("ready-core", "ready", "temperature", "Cel"),
]
PAIR = head("pair", "对", "Pair") + """[[rule]]
id = "apart"
kind = "spread"
select = { zone_kind = "frozen-store", quantity = "temperature" }
unit = "Cel"
most = "2"
clear_at = "1.5"
notices_only = true
""" + tail(("两支探头读数不一致", "Two probes disagree"), ("对照标准温度计", "Hold both against a reference"))
PERMIT: dict[str, dict[str, Any]] = {
    "main": {
        "zone": "outlet1",
        "permit": "9165X",
        "permit_date": "2025-06-01",
        "ph_low": 6.0,
        "ph_high": 9.0,
        "cod_mg_l": None,
    }
}


#: What makes a permit the legal limit.
PROOF = {"permit_until": "2030-05-31", "document_sha256": "5e" * 32, "checked_by": "李敏"}
WHOLE = {"main": PERMIT["main"] | PROOF}


def bound(binding: Binding, rule: str, name: str) -> BoundRule:
    return next(r for r in binding.rules if (r.id, r.point) == (rule, name))


def test_rules_find_their_points_by_zone_stage_and_quantity() -> None:
    binding = bind(PACKS, POINTS, ZONES, {})
    pairs = {(rule.id, rule.point) for rule in binding.rules if rule.kind == "limit"}
    assert pairs == {
        ("frozen-store-air", "cold1-air"),
        ("washing-water-chlorine", "hall-cl"),
        ("outlet-ph", "out-ph"),
        ("offal-core", "ready-core"),
    }


def test_a_rule_without_a_point_is_not_monitored() -> None:
    missing = {each.rule: each.why for each in bind(PACKS, POINTS, ZONES, {}).not_monitored}
    assert missing["chilled-store-air"] == "no point is in such a place"
    assert missing["outlet-cod"] == "no point is in such a place"
    everything = {rule.id for pack in PACKS for rule in pack.pack.rule}
    assert {each.rule for each in bind(PACKS, [], {}, {}).not_monitored} == everything


def test_a_point_without_a_zone_is_watched_by_no_rule_that_asks_for_one() -> None:
    assert bind(PACKS, [PointFacts(id="x", quantity="temperature", unit="Cel")], ZONES, {}).rules == []


def test_without_a_permit_the_packs_limit_holds_with_its_own_basis() -> None:
    rule = bound(bind(PACKS, POINTS, ZONES, {}), "outlet-ph", "out-ph")
    assert (rule.low, rule.high, rule.verified) == ("6", "8.5", "secondary")
    assert rule.limit == "≥ 6, ≤ 8.5 [pH]"
    assert rule.basis == "GB 13457-92 (1992), clause not verified"


@pytest.mark.parametrize("lacks", ["permit", "permit_date", *PROOF])
def test_a_permit_that_is_not_whole_does_not_loosen_what_is_verified(lacks: str) -> None:
    permit = {"main": {key: value for key, value in WHOLE["main"].items() if key != lacks}}
    rule = bound(bind(PACKS, POINTS, ZONES, permit), "outlet-ph", "out-ph")
    assert (rule.low, rule.high, rule.verified, rule.outlet) == ("6", "8.5", "secondary", "main")
    assert rule.source.endswith(f"looser figure is not applied: {lacks} missing")


def test_a_permit_that_is_not_whole_tightens_and_is_unverified() -> None:
    permit = {"main": PERMIT["main"] | {"ph_high": 8.0}}
    rule = bound(bind(PACKS, POINTS, ZONES, permit), "outlet-ph", "out-ph")
    assert (rule.high, rule.clear_high, rule.verified) == ("8", "7.9", "no")


def test_a_whole_permit_is_the_legal_limit_looser_or_not() -> None:
    rule = bound(bind(PACKS, POINTS, ZONES, WHOLE), "outlet-ph", "out-ph")
    assert (rule.low, rule.high, rule.clear_low, rule.clear_high) == ("6", "9", "6.1", "8.9")
    assert (rule.verified, rule.outlet, rule.effective_from) == ("primary", "main", "2025-06-01")
    assert "compared by 李敏" in rule.source
    assert rule.basis == "排污许可证 discharge permit (2025-06-01), clause 9165X"


def test_a_limit_that_only_a_permit_has_is_not_monitored_without_it() -> None:
    without = {each.rule: (each.why, each.place) for each in bind(PACKS, POINTS, ZONES, PERMIT).not_monitored}
    assert without["outlet-flow"] == (
        "there is no limit: the outlet's permit names none, and no standard we know does",
        "out-flow",
    )
    permit = {"main": PERMIT["main"] | {"flow_m3_h": 12.5}}
    assert bound(bind(PACKS, POINTS, ZONES, permit), "outlet-flow", "out-flow").limit == "≤ 12.5 m3/h"


def test_another_unit_is_not_monitored_and_says_so() -> None:
    points = [point("out-flow", "outlet1", "flow", "L/s")]
    permit = {"main": PERMIT["main"] | {"flow_m3_h": 12.5}}
    why = {each.rule: each.why for each in bind(PACKS, points, ZONES, permit).not_monitored}
    assert why["outlet-flow"] == "its limit is in m3/h, the point is in L/s"


def test_silence_without_an_expected_interval_is_not_monitored_and_says_what_to_do() -> None:
    points = [point("cold1-air", "cold1", "temperature", "Cel", interval_s=0)]
    binding = bind(PACKS, points, ZONES, {})
    why = {each.rule: each.why for each in binding.not_monitored}
    assert "expect_every_s" in why["cold-chain-silence"]
    assert bound(binding, "frozen-store-air", "cold1-air").fresh_us == 900_000_000


def test_silence_is_three_intervals_and_at_least_a_minute() -> None:
    binding = bind(PACKS, POINTS, ZONES, {})
    assert bound(binding, "cold-chain-silence", "cold1-air").after_us == 60_000_000
    slow = bind(PACKS, [point("cold1-air", "cold1", "temperature", "Cel", interval_s=600)], ZONES, {})
    assert bound(slow, "cold-chain-silence", "cold1-air").after_us == 1_800_000_000
    assert bound(slow, "cold-chain-silence", "cold1-air").limit == "≤ 1800 s"
    assert bound(slow, "frozen-store-air", "cold1-air").fresh_us == 1_800_000_000


def test_probes_that_disagree_are_one_rule_a_zone_over_all_of_its_points(tmp_path: Path) -> None:
    (tmp_path / "pair.toml").write_text(PAIR, encoding="utf-8")
    pack = load_pack("pair", [tmp_path])
    one = bind([pack], POINTS, ZONES, {})
    assert one.rules == []
    assert one.not_monitored[0].why == "there is one such point here: nothing to compare it with"
    three = [point(name, "cold1", "temperature", "Cel") for name in ("cold1-c", "cold1-b")]
    found = bind([pack], [*POINTS, *three], ZONES, {}).rules
    assert [(each.point, each.others, each.high, each.clear_high) for each in found] == [("cold1-air", ("cold1-b", "cold1-c"), "2", "1.5")]
    odd = bind([pack], [*POINTS, point("cold1-k", "cold1", "temperature", "K")], ZONES, {})
    assert odd.not_monitored[0].why == "its limit is in Cel, the point is in K"


MORE = """
[[rule]]
id = "warm"
kind = "limit"
guard = true
excuse = { quantity = "contact", most_s = 1800, peak = "-12" }
select = { zone_kind = "frozen-store", quantity = "temperature" }
unit = "Cel"
high = "-18"
HEAD
[[rule]]
id = "both"
kind = "combined"
all = ["warm", "!apart"]
select = { zone_kind = "frozen-store", quantity = "temperature" }
HEAD
[[rule]]
id = "cycle"
kind = "sequence"
select = { zone_kind = "cleaning-line", quantity = "temperature" }
gap_s = 300
within_s = 3600
step = [
  { id = "rinse", quantity = "temperature", unit = "Cel", low = "30", least_s = 60 },
  { id = "disinfect", quantity = "free-chlorine", unit = "mg/L", low = "2", least_s = 30 },
]
HEAD
"""


def more(folder: Path, text: str = MORE) -> Binding:
    rest = PAIR[PAIR.index("notices_only") :]
    (folder / "pair.toml").write_text(PAIR + text.replace("HEAD\n", rest), encoding="utf-8")
    points = [
        *POINTS, PointFacts(id="cold1-b", zone="cold1", quantity="temperature", unit="Cel", uncertainty="0.3"),
        point("cold1-door", "cold1", "contact", "1"), point("hall-t", "hall", "temperature", "Cel"),
    ]  # fmt: skip
    return bind([load_pack("pair", [folder])], points, ZONES, {})


def test_a_guard_and_an_excuse_find_the_probe_and_the_contact_of_the_zone(tmp_path: Path) -> None:
    found = more(tmp_path)
    own = {"guard": 1, "most_us": 1_800_000_000, "rest_us": 1_800_000_000, "peak_high": "-12"}
    assert bound(found, "warm", "cold1-air").terms == own
    guarded = bound(found, "warm", "cold1-b")
    assert (guarded.terms, guarded.others) == (own | {"uncertainty": "0.3"}, ("cold1-door",))


def test_a_combined_rule_stands_in_each_zone_over_the_others_there(tmp_path: Path) -> None:
    terms = bound(more(tmp_path), "both", "cold1-air").terms
    assert terms["of"] == "all"
    assert orjson.loads(str(terms["rules"])) == [[False, ["warm/cold1-air", "warm/cold1-b"]], [True, ["apart/cold1-air"]]]
    with pytest.raises(ConfigError, match="no rule 'wram'"):
        more(tmp_path, MORE.replace('"warm", "!apart"', '"wram"'))
    with pytest.raises(ConfigError, match="'both' is combined itself"):
        more(tmp_path, MORE.replace('"warm", "!apart"', '"both"'))


def test_a_rule_over_rules_of_which_one_judges_nothing_here_is_not_monitored_and_says_which(tmp_path: Path) -> None:
    text = MORE.replace('"warm", "!apart"', '"warm", "!cycle"')
    [told] = [each for each in more(tmp_path, text).not_monitored if each.rule == "both"]
    assert (told.why, told.place) == ("rule 'cycle' judges nothing here", "cold1-air")


def test_a_cycle_finds_the_points_of_its_steps(tmp_path: Path) -> None:
    cycle = bound(more(tmp_path), "cycle", "hall-t")
    assert cycle.others == ("hall-cl",)
    assert [step["input"] for step in orjson.loads(str(cycle.terms["steps"]))] == [0, 1]
    missing = more(tmp_path, MORE.replace('quantity = "free-chlorine", unit = "mg/L"', 'quantity = "flow", unit = "m3/h"'))
    assert "step 'disinfect' needs a point" in {each.rule: each.why for each in missing.not_monitored}["cycle"]


def test_a_permit_that_permits_nothing_is_refused_with_its_key() -> None:
    permit = {"main": WHOLE["main"] | {"ph_low": 9.5}}
    with pytest.raises(ConfigError, match=r"low 9\.5 is not below high 9") as caught:
        bind(PACKS, POINTS, ZONES, permit)
    assert caught.value.key == "outlets.main.ph_low"


def test_two_packs_with_one_rule_id_are_refused_with_file_and_line(tmp_path: Path) -> None:
    text = (RULES / "cold-chain.toml").read_text().replace('id = "cold-chain"', 'id = "mine"', 1)
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(ConfigError, match="has a rule 'frozen-store-air' already") as caught:
        bind([PACKS[0], load_pack("mine", [tmp_path])], POINTS, ZONES, {})
    assert caught.value.file == str(tmp_path / "mine.toml")
    assert text.splitlines()[caught.value.line - 1] == 'id = "frozen-store-air"'


def test_bound_rules_survive_the_resolved_configuration() -> None:
    binding = bind(PACKS, POINTS, ZONES, PERMIT)
    for rule in binding.rules:
        body = orjson.loads(canonical(rule.as_config()))
        assert BoundRule.from_config(body) == rule
        assert body["basis"]
        assert body["verified"] in ("secondary", "no")
    assert min(binding.not_monitored).rule


def test_the_same_input_gives_the_same_order() -> None:
    assert bind(PACKS, POINTS, ZONES, PERMIT) == bind(PACKS, POINTS, ZONES, PERMIT)


def test_a_rule_says_its_own_hours_and_nothing_where_it_does_not(tmp_path: Path) -> None:
    (tmp_path / "pair.toml").write_text(PAIR.replace('clear_at = "1.5"', 'clear_at = "1.5"\nacknowledge_h = 0.5\nrecur_h = 48'), encoding="utf-8")
    points = [point(name, "cold1", "temperature", "Cel") for name in ("a", "b")]
    binding = bind([load_pack("pair", [tmp_path]), PACKS[0]], points, ZONES, {})
    rule = bound(binding, "apart", "a")
    assert rule.hours == {"acknowledge": 0.5, "recur": 48.0}
    assert BoundRule.from_config(orjson.loads(canonical(rule.as_config()))).hours == rule.hours
    assert "hours" not in bound(binding, "frozen-store-air", "a").as_config()


def test_before_its_day_a_permit_gives_no_limit_and_disarms_nothing() -> None:
    ahead = {"main": WHOLE["main"] | {"permit_date": "2027-01-01"}}
    for day, high in (("2026-12-31", "8.5"), ("2027-01-01", "9"), ("", "9")):
        rule = bound(bind(PACKS, POINTS, ZONES, ahead, day), "outlet-ph", "out-ph")
        assert rule.high == high, day
        assert not day or out_of_edition(rule, day) is None


def test_after_its_last_day_a_permit_only_tightens_and_disarms_nothing() -> None:
    looser, tighter = WHOLE, {"main": WHOLE["main"] | {"ph_high": 8.0}}
    for outlets, day, high, verified in (
        (looser, "2030-05-31", "9", "primary"), (looser, "2030-06-01", "8.5", "secondary"), (tighter, "2030-05-31", "8", "primary"), (tighter, "2030-06-01", "8", "no"),
    ):  # fmt: skip
        rule = bound(bind(PACKS, POINTS, ZONES, outlets, day), "outlet-ph", "out-ph")
        assert (rule.high, rule.verified, out_of_edition(rule, day)) == (high, verified, None), (day, high)
        assert ("it ended on 2030-05-31" in rule.source) is ("许可证已于 2030-05-31 到期" in rule.source_zh) is (day == "2030-06-01")
    only = {"main": WHOLE["main"] | {"flow_m3_h": 12.5, "ammonia_mg_l": 60.0}}
    for day, ammonia in (("2030-05-31", "60"), ("2030-06-01", "45")):
        found = bind(PACKS, POINTS, ZONES, only, day)
        assert bound(found, "outlet-flow", "out-flow").limit == "≤ 12.5 m3/h", "no pack has a limit: the permit's is the only one, and stays"
        assert [rule.high for rule in found.rules if rule.id == "outlet-ammonia"] in ([ammonia], [])


@pytest.mark.parametrize("outlet", [WHOLE, PERMIT])
def test_a_number_of_the_sites_own_that_is_stricter_than_the_permit_stays(outlet: dict[str, dict[str, Any]]) -> None:
    """N = 4: each side stricter or looser than the permit's 6 to 9; the other side is the permit's."""
    for own, expected in (({"low": "6.8"}, ("6.8", "9")), ({"high": "8"}, ("6", "8")), ({"low": "6.8", "high": "8"}, ("6.8", "8"))):
        loaded = [replace(each, own={"outlet-ph": frozenset(own)}, pack=each.pack.model_copy(update={"rule": tuple(overridden(r, own) if r.id == "outlet-ph" else r for r in each.pack.rule)})) for each in PACKS]
        rule = bound(bind(loaded, POINTS, ZONES, outlet), "outlet-ph", "out-ph")
        whole = outlet is WHOLE
        assert (rule.low, rule.high) == (expected if whole else (expected[0], "8" if "high" in own else "8.5"))
        assert rule.outlet == "main"
        assert ("stricter than the permit's" if whole else "looser figure is not applied") in rule.source
    plain = bound(bind(PACKS, POINTS, ZONES, WHOLE), "outlet-ph", "out-ph")
    assert (plain.high, "stricter" in plain.source) == ("9", False)
