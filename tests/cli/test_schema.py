"""`schema`: every shipped file holds to the schema that an editor checks it by, and a planted mistake does not.

The judge is a small one of our own: it knows the keywords that our schemas use and fails for any other.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_gateway.cli.schema import schema

REPOSITORY = Path(__file__).resolve().parents[2]
FILES = [("config", REPOSITORY / "src/edge_gateway/gateway.toml")] + [
    (which, file)
    for which, pattern in (("profile", "drivers/*/*.toml"), ("cases", "drivers/*/*.cases.toml"), ("pack", "rules/*.toml"))
    for file in sorted(REPOSITORY.glob(pattern))
    if (".cases" in file.name) == (which == "cases")
]
ANNOTATIONS = {"$defs", "$schema", "title", "description", "default", "discriminator", "format", "examples"}
TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list,), "string": (str,), "integer": (int,), "number": (int, float),
    "boolean": (bool,), "null": (type(None),),
}  # fmt: skip


def faults(value: Any, rule: dict[str, Any], root: dict[str, Any], at: str = "") -> Iterator[str]:
    """What is wrong with ``value``, by draft 2020-12's words as far as they are used here."""
    for word, wants in rule.items():
        match word:
            case "$ref":
                yield from faults(value, root["$defs"][wants.rpartition("/")[2]], root, at)
            case "anyOf" | "oneOf":
                fits = [branch for branch in wants if not any(faults(value, branch, root, at))]
                if not fits or (word == "oneOf" and len(fits) > 1):
                    yield f"{at}: {len(fits)} of {len(wants)} branches fit {value!r}"
            case "type":
                if not isinstance(value, TYPES[wants]) or (isinstance(value, bool) and wants != "boolean"):
                    yield f"{at}: {value!r} is no {wants}"
            case "enum" | "const":
                if value not in (wants if word == "enum" else [wants]):
                    yield f"{at}: {value!r} is not among {wants}"
            case _ if word not in ANNOTATIONS:
                yield from _bounds(value, word, wants, at)
    yield from _members(value, rule, root, at)


def _bounds(value: Any, word: str, wants: Any, at: str) -> Iterator[str]:
    number, text = isinstance(value, int | float), isinstance(value, str)
    sound: dict[str, Callable[[], object]] = {
        "pattern": lambda: not text or re.search(wants, value),
        "minLength": lambda: not text or len(value) >= wants,
        "maxLength": lambda: not text or len(value) <= wants,
        "minimum": lambda: not number or value >= wants,
        "maximum": lambda: not number or value <= wants,
        "exclusiveMinimum": lambda: not number or value > wants,
        "exclusiveMaximum": lambda: not number or value < wants,
        "minItems": lambda: not isinstance(value, list) or len(value) >= wants,
        "maxItems": lambda: not isinstance(value, list) or len(value) <= wants,
        "minProperties": lambda: not isinstance(value, dict) or len(value) >= wants,
        "required": lambda: not isinstance(value, dict) or value.keys() >= set(wants),
    }
    for_members = {"properties", "additionalProperties", "patternProperties", "propertyNames", "items", "prefixItems"}
    if word not in for_members and not sound[word]():
        yield f"{at}: {value!r} breaks {word} {wants}"


def _members(value: Any, rule: dict[str, Any], root: dict[str, Any], at: str) -> Iterator[str]:
    if isinstance(value, list):
        first = rule.get("prefixItems", [])
        for index, item in enumerate(value):
            yield from faults(
                item, first[index] if index < len(first) else rule.get("items") or {}, root, f"{at}[{index}]"
            )
    for name, item in value.items() if isinstance(value, dict) else ():
        named = rule.get("properties", {}).get(name)
        patterns = [each for pattern, each in rule.get("patternProperties", {}).items() if re.search(pattern, name)]
        other = rule.get("additionalProperties", True)
        yield from faults(name, rule.get("propertyNames", {}), root, f"{at}.{name}")
        for each in [named] if named is not None else patterns or [other]:
            if each is False:
                yield f"{at}: unknown key '{name}'"
            elif each is not True:
                yield from faults(item, each, root, f"{at}.{name}")


def written(text: str) -> Any:
    """TOML as an editor's JSON view of it: dates are text."""
    return json.loads(json.dumps(tomllib.loads(text), default=str))


@pytest.mark.parametrize(("which", "file"), FILES, ids=lambda part: part if isinstance(part, str) else part.stem)
def test_every_shipped_file_holds_to_its_schema(which: str, file: Path) -> None:
    root = schema(which)
    assert list(faults(written(file.read_text("utf-8")), root, root)) == []


@pytest.mark.parametrize(
    ("which", "file", "good", "bad"),
    [
        ("config", "src/edge_gateway/gateway.toml", "[site]", "[siet]"),
        ("config", "src/edge_gateway/gateway.toml", "timeout_s = ", "timeuot_s = "),
        ("profile", "drivers/generic/xy-md02.toml", "int16", "int15"),
        ("profile", "drivers/generic/xy-md02.toml", "register = 1", "register = 65536"),
        ("profile", "drivers/generic/xy-md02.toml", 'unit = "Cel"', 'unit = "C"'),
        ("profile", "drivers/generic/xy-md02.toml", 'quantity = "temperature"', 'quantity = "heat"'),
        ("profile", "drivers/ruuvi/df5.toml", 'encoding = "hex"', 'encoding = "hax"'),
        ("profile", "drivers/shelly/gen2.toml", "partial = true", "partly = true"),
        ("cases", "drivers/generic/xy-md02.cases.toml", 'kind = "constructed"', 'kind = "made up"'),
        ("cases", "drivers/generic/xy-md02.cases.toml", "function = 4", "function = 6"),
        ("pack", "rules/cold-chain.toml", 'kind = "limit"', 'kind = "limits"'),
        ("pack", "rules/cold-chain.toml", '"frozen-store"', '"frozen-stores"'),
        ("pack", "rules/cold-chain.toml", "violation_after_s = 900", 'violation_after_s = "soon"'),
    ],
)
def test_a_planted_mistake_is_seen(which: str, file: str, good: str, bad: str) -> None:
    text = (REPOSITORY / file).read_text("utf-8")
    assert good in text
    root = schema(which)
    assert list(faults(written(text.replace(good, bad, 1)), root, root))


@pytest.mark.parametrize("which", ["profile", "cases"])
def test_the_schemas_beside_the_profiles_are_the_programs_own(which: str) -> None:
    """.taplo.toml names them for every profile of the repository. `edge-gateway schema profile` writes one anew."""
    written_ = REPOSITORY / f"drivers/{which}.schema.json"
    if os.environ.get("REGENERATE"):
        written_.write_text(json.dumps(schema(which), ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    assert json.loads(written_.read_text("utf-8")) == schema(which), "REGENERATE=1 pytest tests/cli/test_schema.py"
    rules = tomllib.loads((REPOSITORY / ".taplo.toml").read_text("utf-8"))["rule"]
    (rule,) = [rule for rule in rules if rule["schema"]["path"] == f"drivers/{which}.schema.json"]
    files = [file for which_, file in FILES if which_ == which]
    named = {file for pattern in rule["include"] for file in REPOSITORY.glob(pattern)}
    left_out = {file for pattern in rule.get("exclude", []) for file in REPOSITORY.glob(pattern)}
    assert named - left_out == set(files)


@pytest.mark.parametrize("high", ["-18", '"-18"', "-18.0"])
def test_numbers_may_stand_in_quotes_or_not_as_the_loader_takes_them(high: str) -> None:
    text = (REPOSITORY / "rules/cold-chain.toml").read_text("utf-8").replace('high = "-18"', f"high = {high}", 1)
    root = schema("pack")
    assert list(faults(written(text), root, root)) == []
