"""Small faults for the decision cores: where one can be put, the tree with it, and how it gets into a process; runs no test and judges nothing.

Which faults there are stands in ``_FAULTS``. A fault is named by its file and its number among that file's sites; the draw is seeded.
"""

from __future__ import annotations

import ast
import gc
import importlib.util
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "edge_gateway"
#: What is mutated.
CORES = ("rules", "violations", "phases", "marks")
_COMPARE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_BINARY: dict[type[ast.operator], type[ast.operator]] = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult}
#: Which faults there are, and what they can be put into.
_FAULTS: dict[str, Callable[[Any], bool]] = {
    "comparison": lambda node: isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _COMPARE,
    "arithmetic": lambda node: isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in _BINARY,
    "and-or": lambda node: isinstance(node, ast.BoolOp),
    "not": lambda node: isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not),
    "constant": lambda node: isinstance(node, ast.Constant) and isinstance(node.value, bool),
    "number": lambda node: isinstance(node, ast.Constant) and isinstance(node.value, int | float) and node.value + 1 != node.value,
    "condition": lambda node: isinstance(node, ast.IfExp | ast.If),
    "min-max": lambda node: isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("min", "max"),
}


def sources() -> list[Path]:
    """The decision cores, without what is only data or documentation of them."""
    found = []
    for name in CORES:
        single = PACKAGE / f"{name}.py"
        found += [single] if single.exists() else sorted((PACKAGE / name).glob("*.py"))
    return [each for each in found if each.name != "__init__.py"]


def sites(tree: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Where a fault can be put, and which: not in annotations, nor in decorators (slots and frozenness of value classes decide nothing)."""
    apart = set[ast.AST]()
    for node in ast.walk(tree):
        notes = [getattr(node, "annotation", None), getattr(node, "returns", None), *getattr(node, "decorator_list", ())]
        apart.update(inner for note in notes if note is not None for inner in ast.walk(note))
    for node in ast.walk(tree):
        kind = next((kind for kind, here in _FAULTS.items() if here(node)), "")
        if kind and node not in apart:
            yield node, kind


def mutate(node: ast.AST) -> None:
    """Put the fault in, in place."""
    match node:
        case ast.Compare():
            node.ops = [_COMPARE[type(node.ops[0])]()]
        case ast.BinOp() | ast.AugAssign():
            node.op = _BINARY[type(node.op)]()
        case ast.BoolOp():
            node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        case ast.UnaryOp():
            node.op, node.operand = ast.Not(), ast.UnaryOp(op=ast.Not(), operand=node.operand)
        case ast.Constant(value=bool()):
            node.value = not node.value
        case ast.Constant(value=int() | float() as number):
            node.value = number + 1
        case ast.IfExp() | ast.If():
            node.test = ast.UnaryOp(op=ast.Not(), operand=node.test)
        case ast.Call(func=ast.Name() as called):
            called.id = "max" if called.id == "min" else "min"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One fault: its core, its file below the package and number there, its kind, where it is, and the lines of its statement (first, last).

    ``within``: inside a function's body; the others act once, when their module is imported.
    """

    core: str
    file: str
    number: int
    kind: str
    line: int
    statement: tuple[int, int]
    within: bool
    tree: ast.Module

    def __str__(self) -> str:
        return f"{self.file} line {self.line}: {self.kind}"


def mutant(source: str, file: str, number: int) -> Mutant:
    """The ``number``th fault of a source; line numbers stay those of the source."""
    tree = ast.parse(source)
    node, kind = list(sites(tree))[number]
    line = int(getattr(node, "lineno", 0))
    lines, within = place_of(tree, node)
    mutate(node)
    core = file.split("/", maxsplit=1)[0].removesuffix(".py")
    return Mutant(core=core, file=file, number=number, kind=kind, line=line, statement=lines, within=within, tree=ast.fix_missing_locations(tree))


def place_of(tree: ast.AST, node: ast.AST) -> tuple[tuple[int, int], bool]:
    """First and last line of the innermost statement around a node, without the statements inside it; and whether it is ``within``."""
    above = {child: parent for parent in ast.walk(tree) for child in ast.iter_child_nodes(parent)}
    lines, within = (0, 0), False
    while node in above:
        node, inner = above[node], node
        if isinstance(inner, ast.stmt) and lines == (0, 0):
            lines = _lines(inner)
        body = node.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else [node.body] if isinstance(node, ast.Lambda) else []
        within = within or inner in body
    return lines, within


def _lines(statement: ast.stmt) -> tuple[int, int]:
    first = min([statement.lineno, *(each.lineno for each in getattr(statement, "decorator_list", ()))])
    inside = [*getattr(statement, "body", ()), *(case.pattern for case in getattr(statement, "cases", ()))]
    return first, max(statement.lineno, inside[0].lineno - 1) if inside else int(statement.end_lineno or first)


def draw(n: int, seed: int, only: str = "") -> list[tuple[Path, int]]:
    """N sites of all, without repetition, in the order of the draw."""
    every = [
        (file, number)
        for file in sources()
        if only in str(file.relative_to(PACKAGE))
        for number in range(sum(1 for _ in sites(ast.parse(file.read_text("utf-8")))))
    ]
    return random.Random(seed).sample(every, min(n, len(every)))


class Faulty(SourceFileLoader):
    """Finds and loads one module with its fault, from memory."""

    def __init__(self, name: str, path: Path, code: CodeType) -> None:
        super().__init__(name, str(path))
        self.code = code

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        return importlib.util.spec_from_file_location(name, self.path, loader=self) if name == self.name else None

    def get_code(self, fullname: str) -> CodeType:
        return self.code


def functions(below: str) -> dict[str, list[FunctionType]]:
    """All living functions of the files below a folder, by file."""
    found = dict[str, list[FunctionType]]()
    gc.unfreeze()  # what tests have set apart is among them
    for each in gc.get_objects():
        if isinstance(each, FunctionType) and each.__code__.co_filename.startswith(below):
            found.setdefault(each.__code__.co_filename, []).append(each)
    return found


def replace_code(code: CodeType, living: list[FunctionType]) -> None:
    """Give the living functions of a module the code that a changed module has for them."""
    found, left = dict[tuple[str, int], CodeType](), [code]
    while left:
        each = left.pop()
        found[each.co_qualname, each.co_firstlineno] = each
        left += [inner for inner in each.co_consts if isinstance(inner, CodeType)]
    for each in living:
        each.__code__ = found[each.__code__.co_qualname, each.__code__.co_firstlineno]
