"""Every case of every pack in rules/; every rule has cases; nothing claims more than it verified."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_gateway.rules.cases import Case, load_cases, run_case
from edge_gateway.rules.load import LoadedPack, load_pack
from edge_gateway.rules.model_kinds import LimitRule, RateRule, StaleRule

RULES = Path(__file__).resolve().parents[2] / "rules"
NAMES = sorted(file.stem for file in RULES.glob("*.toml") if not file.name.endswith(".cases.toml"))
PACKS = {name: load_pack(name, [RULES]) for name in NAMES}
CASES = [(PACKS[name], case) for name in NAMES for case in load_cases(RULES / f"{name}.cases.toml")]
ALL = [(pack, rule) for pack in PACKS.values() for rule in pack.pack.rule]


def test_there_are_the_three_packs() -> None:
    assert set(NAMES) >= {"cold-chain", "cleaning-water", "wastewater"}


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
    pack: LoadedPack, rule: LimitRule | RateRule | StaleRule
) -> None:
    assert len(rule.do_zh) >= 2
    assert rule.basis.effective_from
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
}


def test_only_limits_that_a_source_verifies_claim_so() -> None:
    claimed = {
        rule.id: (rule.low, rule.high) for _, rule in ALL if isinstance(rule, LimitRule) and rule.basis.verified != "no"
    }
    assert claimed == VERIFIED
    assert not [rule.id for _, rule in ALL if not isinstance(rule, LimitRule) and rule.basis.verified != "no"]


def test_what_needs_hour_and_day_values_or_phases_gives_notices_only() -> None:
    notices = {rule.id for _, rule in ALL if rule.notices_only and isinstance(rule, LimitRule)}
    assert notices == {"steriliser-water", "outlet-cod", "outlet-ammonia", "outlet-flow"}


def test_rule_ids_are_unique_over_all_packs() -> None:
    ids = [rule.id for _, rule in ALL]
    assert len(ids) == len(set(ids))
