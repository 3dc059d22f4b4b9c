"""Every rule of every shipped pack says everything that the record of a violation needs, in its own file; verified limits have bounds."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from edge_gateway.rules.load import read_pack
from edge_gateway.rules.model_kinds import Rule

FOLDER = Path(__file__).resolve().parents[2] / "rules"
FILES = sorted(file for file in FOLDER.glob("*.toml") if not file.name.endswith(".cases.toml"))
RULES = [(file.stem, rule) for file in FILES for rule in tomllib.loads(file.read_text(encoding="utf-8"))["rule"]]
#: What the file itself must say, so that nothing about a rule is a default that nobody looked at; [] is "always" and "all year".
WRITTEN = ("id", "kind", "select", "severity", "department", "armed_in", "season", "title_zh", "title_en", "do_zh", "do_en", "consequence_zh", "consequence_en", "basis")
BASIS = {"standard", "clause", "edition", "effective_from", "effective_to", "verified", "source", "source_zh"}


def missing(rule: dict[str, Any]) -> list[str]:
    """What a rule's table lacks."""
    lacks = [key for key in WRITTEN if key not in rule]
    lacks += sorted(f"basis.{key}" for key in BASIS if not rule.get("basis", {}).get(key))
    lacks += [key for key in ("do_zh", "do_en", "title_zh", "title_en", "consequence_zh", "consequence_en") if not rule.get(key)]
    if ("violation_after_s" in rule) == bool(rule.get("notices_only")):
        lacks.append("violation_after_s")
    if rule["kind"] in ("window", "exposure") and not rule.get("late_s"):
        lacks.append("late_s")
    if rule["kind"] == "limit" and "guard" not in rule:
        lacks.append("guard")  # the decision rule: simple acceptance or a guard band
    if rule.get("basis", {}).get("verified") != "no":
        lacks += [f"bounds.{key}" for key in ("low", "high") if key in rule and key not in rule.get("bounds", {})]
    return lacks


def test_there_are_seven_packs_at_least() -> None:
    assert len(FILES) >= 7
    assert len(RULES) >= 44
    assert len({rule["id"] for _, rule in RULES}) == len(RULES)


@pytest.mark.parametrize(("pack", "rule"), RULES, ids=lambda each: each if isinstance(each, str) else each["id"])
def test_a_rule_says_everything(pack: str, rule: dict[str, Any]) -> None:
    assert missing(rule) == [], pack
    assert len(rule["do_zh"]) == len(rule["do_en"]) >= 2
    # what is not read in the text is marked so, and a clause that nobody saw has no number
    assert rule["basis"]["verified"] in ("secondary", "no")
    assert rule["basis"]["clause"] in ("unknown", "none", "3.1")


@pytest.mark.parametrize("key", [*WRITTEN[3:], *(f"basis.{key}" for key in sorted(BASIS)), "guard", "bounds.high"])
def test_what_is_left_out_is_found(key: str) -> None:
    """The planted fault: one key less."""
    rule = next(dict(rule) for _, rule in RULES if rule["id"] == "frozen-store-air")
    table, _, last = key.rpartition(".")
    if table:
        rule[table] = {name: value for name, value in rule[table].items() if name != last}
    else:
        del rule[key]
    assert any(name == key or name.startswith(f"{key}.") for name in missing(rule))


def test_a_verified_limit_cannot_be_bounded_looser_than_it_is() -> None:
    """The far end of the bounds is the limit itself: a permit's number is the only looser one."""
    verified = [(rule, key) for _, rule in RULES if rule["basis"]["verified"] != "no" for key in ("low", "high") if key in rule]
    assert len(verified) >= 10
    for rule, key in verified:
        low, high = rule["bounds"][key]
        assert rule[key] == (low if key == "low" else high), rule["id"]


@pytest.mark.parametrize(
    ("bounds", "why"),
    [
        ({"high": ["-18", "-30"]}, "write the least first"), ({"high": ["-40", "-20"]}, "not within"), ({"hihg": ["-40", "-18"]}, "no number of that name"),
        ({"most_minutes": ["1", "2"]}, "no number of that name"), ({"excuse_peak": ["-14", "-13"]}, "not within"), ({"title_zh": ["1", "2"]}, "no number of that name"),
    ],
)  # fmt: skip
def test_bounds_that_bound_nothing_are_refused(bounds: dict[str, list[str]], why: str) -> None:
    rule = next(rule for _, rule in RULES if rule["id"] == "frozen-store-air")
    with pytest.raises(ValidationError, match=why):
        TypeAdapter(Rule).validate_python(rule | {"bounds": bounds})
    without = {key: value for key, value in rule.items() if key != "excuse"}
    with pytest.raises(ValidationError, match="no excuse"):
        TypeAdapter(Rule).validate_python(without | {"bounds": {"excuse_most_s": ["60", "1800"]}})


def test_the_packs_still_read() -> None:
    for file in FILES:
        assert read_pack(file)[1] == []
