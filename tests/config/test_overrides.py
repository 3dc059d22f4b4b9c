"""A site's own numbers: a verified limit may only be tightened, whatever the key; an unverified one is the operator's."""

from __future__ import annotations

import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from edge_gateway.config.load import ConfigRefused, Loaded, load
from edge_gateway.rules.base import BoundRule
from edge_gateway.rules.load import load_pack
from edge_gateway.rules.model_kinds import Excuse
from edge_gateway.rules.tighten import NotTightened, overridden
from tests.config.test_packs import SITE

RULES = Path(__file__).resolve().parents[2] / "rules"
RULE = {rule.id: rule for name in ("cold-chain", "wastewater", "offal-cooling", "plant-rooms") for rule in load_pack(name, [RULES]).pack.rule}


def loaded(folder: Path, more: str, kind: str = "frozen-store") -> Loaded:
    file = folder / "gateway.toml"
    file.write_text(SITE.replace("cutting-room", kind) % '"cold-chain"' + more, encoding="utf-8")
    return load(file)


def bound(found: Loaded, rule: str) -> BoundRule:
    return next(each for each in found.binding.rules if each.id == rule)


def test_a_verified_limit_is_tightened_and_says_so(tmp_path: Path) -> None:
    rule = bound(loaded(tmp_path, '[rules.override.frozen-store-air]\nhigh = "-20"\nviolation_after_s = 600.0\n'), "frozen-store-air")
    assert (rule.limit, rule.clear_high, rule.violation_after_us, rule.verified) == ("≤ -20 Cel", "-20.3", 600_000_000, "secondary")
    assert rule.source.endswith("tightened by the site: high -18 -> -20, violation_after_s 900 -> 600")


LOOSER = [
    ('high = "-17"', "high -17 is looser than the verified -18"),
    ("violation_after_s = 901.0", "violation_after_s 901 is looser than the verified 900"),
    ("notice_after_s = 61.0", "looser"), ("clear_after_s = 299.0", "looser"), ("unknown_after_s = 61.0", "looser"),
    ("excuse_most_s = 1801.0", "looser"), ('excuse_peak = "-11"', "looser"), ("guard = true", "looser"), ('armed_in = ["production"]', "looser"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "why"), LOOSER)
def test_a_looser_value_is_refused_at_its_line(tmp_path: Path, line: str, why: str) -> None:
    with pytest.raises(ConfigRefused, match=why) as refused:
        loaded(tmp_path, f"[rules.override.frozen-store-air]\n{line}\n")
    assert (refused.value.line, refused.value.key) == (25, f"rules.override.frozen-store-air.{line.split(maxsplit=1)[0]}")
    assert refused.value.hint


def test_an_unverified_figure_is_the_operator_s_and_says_so(tmp_path: Path) -> None:
    rule = bound(loaded(tmp_path, '[rules.override.cutting-room-air]\nhigh = "14"\n', "cutting-room"), "cutting-room-air")
    assert (rule.limit, rule.clear_high, rule.verified) == ("≤ 14 Cel", "13.7", "no")
    assert "operator's value of this site, unverified: high 12 -> 14" in rule.source


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ('[rules.override.frozen-store]\nhigh = "-20"\n', "did you mean|no rule 'frozen-store'"),
        ('[rules.override.frozen-store-air]\nmost = "3"\n', "of kind 'limit' has no most"),
        ('[rules.override.chilled-store-air]\nexcuse_peak = "3"\n', "has no excuse"),
        ('[rules.override.cutting-room-air]\nlow = "13"\n', "low 13 is not below high 12"),
        ('[rules.override.frozen-store-air]\nhigh = "cold"\n', "is no number"),
        ("[rules.override.frozen-store-air]\nhigh = -20\n", "must be"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, more: str, why: str) -> None:
    with pytest.raises(ConfigRefused, match=why):
        loaded(tmp_path, more)


def test_a_second_limit_is_taken_and_a_wrong_one_is_refused_at_its_own_key(tmp_path: Path) -> None:
    rule = overridden(RULE["offal-core"], {"violation_after_s": 300.0, "low": "-2"})
    assert (rule.low, rule.high, rule.clear_at) == ("-2", "3", ("-2", "2.8"))
    with pytest.raises(ConfigRefused) as caught:
        loaded(tmp_path, '[rules.override.offal-core]\nviolation_after_s = 300\nlow = "4"\nclear_after_s = 600\n')
    assert [fault.key for fault in caught.value.faults] == ["rules.override.offal-core.low"]
    with pytest.raises(NotTightened) as refused:  # an excuse is for one limit
        overridden(RULE["frozen-store-air"], {"violation_after_s": 300.0, "low": "-40"})
    assert refused.value.key == "low"


def test_a_looser_value_is_called_looser_before_the_bounds_are_named() -> None:
    with pytest.raises(NotTightened, match="looser than the verified -18"):
        overridden(RULE["frozen-store-air"], {"high": "-10"})
    with pytest.raises(NotTightened, match="bounds for high are -40 to -18"):  # a slip: -180
        overridden(RULE["frozen-store-air"], {"high": "-180"})


def test_bounds_hold_for_unverified_figures_too() -> None:
    rule = RULE["cutting-room-air"].model_copy(update={"bounds": {"high": ("8", "14")}})
    assert overridden(rule, {"high": "14"}).high == "14"
    for wrong in ("14.1", "7.9"):
        with pytest.raises(NotTightened, match="bounds for high are 8 to 14"):
            overridden(rule, {"high": wrong})


@pytest.mark.parametrize(
    ("rule", "key", "way"),
    [
        ("frozen-store-air", "high", -1), ("outlet-ph", "low", 1), ("outlet-ph", "high", -1), ("frozen-store-air", "violation_after_s", -1),
        ("frozen-store-air", "clear_after_s", 1), ("frozen-store-air", "excuse_peak", -1), ("outlet-cod-day", "high", -1), ("offal-core", "high", -1),
    ],
)  # fmt: skip
def test_only_the_tighter_side_is_permitted(rule: str, key: str, way: int) -> None:
    """N = 200 values a key, seeded: by a table of ways of its own."""
    rng = random.Random(f"{rule} {key}")
    known = RULE[rule]
    before = Decimal(str(known.excuse.peak if key == "excuse_peak" else getattr(known, key)))  # type: ignore[union-attr]
    for _ in range(200):
        delta = Decimal(rng.randrange(-40, 41)) / 100
        value = before + delta
        permitted = delta * way >= 0
        why = refusal(known, key, str(value) if key in ("low", "high", "excuse_peak") else float(value))
        assert ("looser" in why) != permitted or (permitted and why), value


def refusal(rule: Any, key: str, value: Any) -> str:
    try:
        overridden(rule, {key: value})
    except NotTightened as refused:
        return str(refused)
    return ""


def test_a_second_time_lengthens_a_silence_and_is_refused_where_that_is_verified() -> None:
    rule = RULE["cold-chain-silence"]
    verified = rule.model_copy(update={"after_s": None, "factor": 3.0, "basis": rule.basis.model_copy(update={"verified": "primary"})})
    with pytest.raises(NotTightened):
        overridden(verified, {"after_s": 86400.0})


def test_where_a_verified_rule_is_armed_may_only_grow() -> None:
    known = RULE["steriliser-water"]
    verified = known.model_copy(update={"armed_in": ("production", "closing"), "basis": known.basis.model_copy(update={"verified": "secondary"})})
    always = verified.model_copy(update={"armed_in": ()})
    for phases in ((), ("production", "closing"), ("production", "closing", "pre-start")):
        assert "looser" not in refusal(verified, "armed_in", phases), phases
    for phases in (("production",), ("production", "pre-start")):
        assert "looser" in refusal(verified, "armed_in", phases), phases
    assert "looser" in refusal(always, "armed_in", ("production",))
    assert refusal(always, "armed_in", ()) == ""
    guarded = verified.model_copy(update={"guard": True})
    assert ["looser" in refusal(rule, "guard", value) for rule in (verified, guarded) for value in (True, False)] == [True, False, False, False]


def test_an_excuse_s_peak_lies_nearer_to_a_low_limit_when_it_is_tighter() -> None:
    known = RULE["steriliser-water"]
    excuse = Excuse(quantity="contact", most_s=600, peak="70")
    verified = known.model_copy(update={"excuse": excuse, "basis": known.basis.model_copy(update={"verified": "secondary"})})
    assert ["looser" in refusal(verified, "excuse_peak", value) for value in ("69.9", "70", "70.1")] == [True, False, False]
    assert ["looser" in refusal(RULE["frozen-store-air"], "excuse_peak", value) for value in ("-11.9", "-12", "-12.1")] == [True, False, False]


def test_an_unverified_figure_is_called_so_in_both_languages() -> None:
    basis = overridden(RULE["cutting-room-air"], {"high": "14"}).basis
    assert basis.source.endswith("; operator's value of this site, unverified: high 12 -> 14")
    assert basis.source_zh.endswith("；本站点运营方数值，未核实：high 12 -> 14")


def test_a_source_says_in_each_of_its_languages_what_the_site_gave() -> None:
    known = RULE["frozen-store-air"]
    both = overridden(known, {"high": "-20"}).basis
    assert (both.source, both.source_zh) == (
        f"{known.basis.source}; tightened by the site: high -18 -> -20", f"{known.basis.source_zh}；本站点收紧：high -18 -> -20",
    )  # fmt: skip
    english = known.model_copy(update={"basis": known.basis.model_copy(update={"source_zh": ""})})
    assert overridden(english, {"high": "-20"}).basis.source_zh == ""
    assert overridden(known, {"high": None}) is known


def test_notices_only_may_become_a_violation() -> None:
    rule = overridden(RULE["outlet-cod"], {"violation_after_s": 600.0})
    assert (rule.notices_only, rule.violation_after_s) == (False, 600.0)


def test_a_permit_s_looser_figure_that_does_not_count_is_warned_of(tmp_path: Path) -> None:
    site = SITE.replace("cutting-room", "outlet")
    outlet = '[outlets.main]\nzone = "room"\npermit = "P"\nph_high = 9.5\ntemperature_cel = 45.0\n'
    (tmp_path / "gateway.toml").write_text(site % '"wastewater"' + outlet, encoding="utf-8")
    assert "permit" not in [each.code for each in load(tmp_path / "gateway.toml").warnings], "temperature's limit is unverified: the operator's"


@pytest.mark.parametrize(
    ("begins", "ends", "codes"),
    [
        ("2026-01-01", "2026-12-27", []), ("2026-01-01", "2026-12-26", ["permit-ends"]), ("2026-01-01", "2026-11-26", ["permit-ends"]),
        ("2026-01-01", "2026-11-25", ["permit-ended"]), ("2026-11-27", "2030-01-01", ["permit-ahead"]), ("2026-11-26", "2030-01-01", []),
    ],
)  # fmt: skip
def test_a_permit_is_warned_of_before_it_begins_and_thirty_days_before_it_ends_and_after(tmp_path: Path, begins: str, ends: str, codes: list[str]) -> None:
    site = SITE.replace("cutting-room", "outlet")
    outlet = f'[outlets.main]\nzone = "room"\npermit = "P"\npermit_date = "{begins}"\npermit_until = "{ends}"\nph_high = 8.0\n'
    (tmp_path / "gateway.toml").write_text(site % '"wastewater"' + outlet, encoding="utf-8")
    found = load(tmp_path / "gateway.toml", day="2026-11-26")
    assert [each.code for each in found.warnings if each.code.startswith("permit")] == codes
