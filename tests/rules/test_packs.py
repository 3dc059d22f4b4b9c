"""Every case of every pack in rules/; every rule has cases; nothing claims more than it verified."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_gateway.rules.cases import Case, load_cases, run_case
from edge_gateway.rules.kinds import KINDS
from edge_gateway.rules.load import LoadedPack, load_pack
from edge_gateway.rules.model_base import Limited
from edge_gateway.rules.model_kinds import LimitRule, Rule

RULES = Path(__file__).resolve().parents[2] / "rules"
NAMES = sorted(file.stem for file in RULES.glob("*.toml") if not file.name.endswith(".cases.toml"))
PACKS = {name: load_pack(name, [RULES]) for name in NAMES}
CASES = [(PACKS[name], case) for name in NAMES for case in load_cases(RULES / f"{name}.cases.toml")]
ALL = [(pack, rule) for pack in PACKS.values() for rule in pack.pack.rule]


def test_there_are_the_seven_packs() -> None:
    wanted = {"cold-chain", "offal-cooling", "plant-rooms", "cleaning-water", "wastewater", "cleaning-sequence", "instrument-health"}
    assert set(NAMES) >= wanted


def test_every_kind_is_used() -> None:
    assert {rule.kind for _, rule in ALL} == {*KINDS, "limit"}
    assert any(isinstance(rule, LimitRule) and rule.excuse for _, rule in ALL)


def test_what_moved_is_where_it_is_said_to_be_and_nowhere_else() -> None:
    moved = [(home, rule) for pack in PACKS.values() for rule, home in pack.pack.moved.items()]
    assert {rule for _, rule in moved} == {"offal-core", "cutting-room-air", "steriliser-water"}, "ids that the first release had elsewhere"
    for home, rule in moved:
        assert rule in {each.id for each in PACKS[home].pack.rule}


@pytest.mark.parametrize(("pack", "case"), CASES, ids=[f"{p.pack.id}: {c.name}" for p, c in CASES])
def test_case(pack: LoadedPack, case: Case) -> None:
    assert run_case(pack, case).fault == ""


@pytest.mark.parametrize("pack", PACKS.values(), ids=list(PACKS))
def test_every_rule_has_a_case_that_fires_and_one_that_does_not(pack: LoadedPack) -> None:
    outcomes = [run_case(each, case) for each, case in CASES if each is pack]
    for rule in pack.pack.rule:
        mine = [outcome for outcome in outcomes if outcome.rule.id == rule.id]
        assert any(outcome.fired for outcome in mine), f"{rule.id}: no case fires"
        assert any(not outcome.fired for outcome in mine), f"{rule.id}: no case stays quiet"


@pytest.mark.parametrize(("pack", "rule"), ALL, ids=[rule.id for _, rule in ALL])
def test_every_rule_says_what_it_rests_on_and_what_to_do(
    pack: LoadedPack, rule: Rule
) -> None:
    assert len(rule.do_zh) >= 2
    assert rule.basis.effective_from
    assert rule.consequence_zh
    assert rule.consequence_en
    assert rule.basis.verified in ("secondary", "no"), "nobody of us has read a standard's own text yet"
    if rule.basis.verified == "no":
        assert any(word in rule.basis.source for word in ("memory", "operator", "plausibility", "permit"))
    else:
        assert "secondary" in rule.basis.source


#: The only limits that a source verifies, by hand from the notes on regulations: everything else is unverified.
VERIFIED = {
    "frozen-store-air": (None, "-18"),
    "offal-core": (None, "3"),
    "washing-water-ph": ("6.5", "8.5"),
    "washing-water-turbidity": (None, "1"),
    "washing-water-chlorine": ("0.05", "2"),
    "outlet-ph": ("6", "8.5"),
    "outlet-cod": (None, "500"),
    "outlet-cod-day": (None, "500"),
    "washing-water-ammonia": (None, "0.5"),
}


def test_only_limits_that_a_source_verifies_claim_so() -> None:
    claimed = {rule.id: (rule.low, rule.high) for _, rule in ALL if isinstance(rule, Limited) and rule.basis.verified != "no"}
    assert claimed == VERIFIED
    assert not [rule.id for _, rule in ALL if not isinstance(rule, Limited) and rule.basis.verified != "no"]


def test_a_single_reading_of_an_outlet_s_load_decides_nothing() -> None:
    deciding = {rule.id for _, rule in ALL if rule.select.quantity in (("cod",), ("ammonia",)) and rule.department == "ecology" and not rule.notices_only}
    assert deciding == {f"outlet-{load}-{period}" for load in ("cod", "ammonia") for period in ("hour", "day")}
    assert {"outlet-cod", "outlet-ammonia", "outlet-flow"} <= {rule.id for _, rule in ALL if rule.notices_only}


def test_what_is_asked_for_in_production_only_says_so() -> None:
    assert {rule.id for _, rule in ALL if rule.armed_in} == {"steriliser-water", "steriliser-hour", "cutting-room-hour", "room-door-open", "cleaning-cycle"}
    assert all(rule.department in ("market-regulation", "ecology") for _, rule in ALL)


def test_rule_ids_are_unique_over_all_packs() -> None:
    ids = [rule.id for _, rule in ALL]
    assert len(ids) == len(set(ids))
