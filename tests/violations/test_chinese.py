"""Each sentence with which a person's step on a violation is refused, or a proof of who they are, has its Chinese one."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from edge_gateway.violations.table import OPEN, OVER, TABLE, Refused
from edge_gateway.web.chinese import chinese
from edge_gateway.web.chinese_violations import VIOLATIONS

SOURCE = Path(__file__).resolve().parents[2] / "src/edge_gateway"
FILES = (*sorted((SOURCE / "violations").glob("*.py")), *sorted((SOURCE / "people").glob("*.py")), SOURCE / "page/persons.py")
RAISED = ("StepRefused", "NotProven", "TooManyAttempts", "PeopleFault", "SecretRefused")
#: Hints that are a command, a list of words or a path, and read alike in both languages.
ALIKE = re.compile(r"^(--\S+ [A-Z]+( --\S+ [A-Z]+)?|x|one of: x|known: x|what: x|chown x x|`edge-gateway violations close x`)$")
#: What is put in makes the sentence: they stand in the list one by one.
MADE = {"x x: a second person decides", "'x' is no x"}


def sentences() -> set[str]:
    """What they are raised with; whatever is put into a sentence is an x."""
    found: set[str] = set()
    for file in FILES:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for function in ast.walk(tree):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            named = {node.targets[0].id: node.value for node in ast.walk(function) if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)}
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") in RAISED:
                    for each in (*node.args[:1], *(keyword.value for keyword in node.keywords if keyword.arg == "hint")):
                        found |= _text(named.get(each.id) if isinstance(each, ast.Name) else each)
    for cell in (*OVER.values(), *(cell for row in TABLE.values() for cell in row.values() if isinstance(cell, Refused))):
        for handling in OPEN:
            found |= {text.format(id="x", handling=handling, by=" (by x)" if "already" in text else "", into="x") for text in (cell.why, cell.hint)}
    return found


def _text(value: ast.expr | None) -> set[str]:
    if isinstance(value, ast.Constant):
        return {str(value.value)}
    if isinstance(value, ast.JoinedStr):
        return {"".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in value.values)}
    return set()


def test_every_refusal_is_said_in_chinese() -> None:
    found = {each for each in sentences() if not ALIKE.match(each)} - MADE
    assert len(found) > 70
    assert sorted(each for each in found if not re.search(r"[\u4e00-\u9fff]", chinese(each))) == []


def test_both_name_the_same() -> None:
    for english, words in VIOLATIONS:
        assert english.count("{}") == len(re.findall(r"\{\d?\}", words)), english


@pytest.mark.parametrize(
    ("english", "words"),
    [
        ("tlf-007-1 was not acknowledged", "tlf-007-1 尚未知悉"),
        ("li submitted it: a second person decides", "li 是提交人：须由另一人决定"),
    ],
)
def test_what_is_named_stays(english: str, words: str) -> None:
    assert chinese(english) == words
