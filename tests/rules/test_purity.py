"""What decides uses + - x /, comparison and math.fsum only: every machine and Python decides the same."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

RULES = Path(__file__).resolve().parents[2] / "src" / "edge_gateway" / "rules"
DECIDING = ("area.py", "track.py", "kinds.py", "measure.py", "windows.py", "exposure.py", "aggregate.py", "conditions.py", "courses.py", "plan.py", "roster.py", "standing.py", "arming.py", "engine.py")
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
    nodes = (node for node in ast.walk(tree) if node not in annotations)
    return [f"line {getattr(node, 'lineno', 0)}: {fault}" for node in nodes if (fault := _fault(node))]


def _fault(node: ast.AST) -> str:
    match node:
        case ast.BinOp(op=op) | ast.AugAssign(op=op) if not isinstance(op, OPERATORS):
            return type(op).__name__
        case ast.UnaryOp(op=op) if not isinstance(op, UNARY):
            return type(op).__name__
        case ast.Name(id=name) if name in FORBIDDEN:
            return name
        case ast.Attribute(value=ast.Name(id="math"), attr=name) if name != "fsum":
            return f"math.{name}"
        case ast.ImportFrom(module="math", names=names) if [alias.name for alias in names] != ["fsum"]:
            return "from math"
        case ast.Import(names=names) if any(alias.name in FORBIDDEN for alias in names):
            return "import"
    return ""


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
