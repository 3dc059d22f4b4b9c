"""What decides uses + - x /, comparison and math.fsum only: every machine and Python decides the same."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

RULES = Path(__file__).resolve().parents[2] / "src" / "edge_gateway" / "rules"
DECIDING = ("track.py", "kinds.py", "engine.py")
OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div)
UNARY = (ast.USub, ast.Not)
#: Names that would compute something else, or read what is no argument.
FORBIDDEN = {
    "sum",
    "pow",
    "divmod",
    "round",
    "statistics",
    "cmath",
    "numpy",
    "random",
    "time",
    "datetime",
    "open",
    "hash",
    "id",
}


def violations(source: str) -> list[str]:
    tree = ast.parse(source)
    annotations: set[ast.AST] = set()
    for node in ast.walk(tree):
        notes = [getattr(node, "annotation", None), getattr(node, "returns", None)]
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "cast":
            notes.append(node.args[0])
        for note in notes:
            if note is not None:
                annotations |= set(ast.walk(note))
    found = []
    for node in ast.walk(tree):
        if node in annotations:
            continue
        if isinstance(node, ast.BinOp | ast.AugAssign) and not isinstance(node.op, OPERATORS):
            found.append(f"line {node.lineno}: {type(node.op).__name__}")
        elif isinstance(node, ast.UnaryOp) and not isinstance(node.op, UNARY):
            found.append(f"line {node.lineno}: {type(node.op).__name__}")
        elif isinstance(node, ast.Name) and node.id in FORBIDDEN:
            found.append(f"line {node.lineno}: {node.id}")
        elif (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "math"
            and node.attr != "fsum"
        ):
            found.append(f"line {node.lineno}: math.{node.attr}")
        elif isinstance(node, ast.ImportFrom) and node.module == "math" and [a.name for a in node.names] != ["fsum"]:
            found.append(f"line {node.lineno}: from math")
        elif isinstance(node, ast.Import) and any(a.name in FORBIDDEN for a in node.names):
            found.append(f"line {node.lineno}: import")
    return found


@pytest.mark.parametrize("name", DECIDING)
def test_decisions_use_plain_arithmetic_only(name: str) -> None:
    assert violations((RULES / name).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "planted",
    ["x = a ** 2", "x = a // b", "x = a % b", "x **= 2", "x = sum(a)", "x = round(a)", "import statistics",
     "import math\nx = math.exp(a)", "import math\nx = math.log(a)", "from math import sqrt", "x = pow(a, 2)", "x = a | b", "x = ~a"],
)  # fmt: skip
def test_planted_arithmetic_is_found(planted: str) -> None:
    assert violations(planted)


def test_fsum_and_plain_arithmetic_are_permitted() -> None:
    assert violations("import math\nx: int | None = math.fsum([a + b, a - b, a * b, a / b, -a])") == []
