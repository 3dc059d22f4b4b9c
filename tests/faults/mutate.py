"""Mutants of the decision cores: small faults in rules, violations, phases and marks, one at a time; how many the tests notice.

``python -m tests.faults.mutate --n 1000 --seed 1 [--budget 7200]``: N sites are drawn from all of a copy of the sources, with a seed; each
is mutated in the copy alone, and that module's tests run against it until one fails (killed), all pass (survived), or the time is over
(killed: it hangs). With a budget in seconds it stops there and says how far it came. The last line is JSON; exit 1 below 85 % killed.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "edge_gateway"
#: What is mutated, and the tests that must notice.
TESTS = {
    "rules": ("tests/rules",),
    "violations": ("tests/violations",),
    "phases": ("tests/phases", "tests/intake/test_phasing.py"),
    "marks": ("tests/marks", "tests/intake/test_marking.py"),
}
GOAL = 0.85
#: A run of a module's tests takes no longer than so many times what it takes without a fault, and this (s).
SLOWER, LEAST_S = 4.0, 60.0
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
    for name in TESTS:
        single = PACKAGE / f"{name}.py"
        found += [single] if single.exists() else sorted((PACKAGE / name).glob("*.py"))
    return [each for each in found if each.name != "__init__.py"]


def sites(tree: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Where a fault can be put, and which."""
    typed = set()
    for node in ast.walk(tree):
        for field in ("annotation", "returns"):
            if (note := getattr(node, field, None)) is not None:
                typed |= set(ast.walk(note))
    for node in ast.walk(tree):
        kind = next((kind for kind, here in _FAULTS.items() if here(node)), "")
        if kind and node not in typed:
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


def mutant(source: str, number: int) -> tuple[str, str]:
    """The source with its ``number``th fault, and where and what it is."""
    tree = ast.parse(source)
    node, kind = list(sites(tree))[number]
    line = getattr(node, "lineno", 0)
    mutate(node)
    return ast.unparse(ast.fix_missing_locations(tree)), f"line {line}: {kind}"


def core_of(file: Path) -> str:
    """Which of ``TESTS`` a file belongs to."""
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


class Ground:
    """A copy of the sources in which mutants stand one after the other; the tests are those of this tree."""

    def __init__(self, folder: Path) -> None:
        self.source = folder / "src"
        shutil.copytree(ROOT / "src", self.source, ignore=shutil.ignore_patterns("__pycache__"))
        self.takes_s: dict[str, float] = {}

    def judge(self, core: str, limit_s: float | None) -> tuple[bool, float]:
        """Whether the tests of a core pass against what stands there, and how long they took (s); a run over its limit does not."""
        tests = [test for test in TESTS[core] if (ROOT / test).exists()]
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
        env = os.environ | {"PYTHONPATH": str(self.source), "PYTHONDONTWRITEBYTECODE": "1", "TRACES": "120"}
        started = time.monotonic()
        try:
            done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, timeout=limit_s, check=False)
        except subprocess.TimeoutExpired:
            return False, time.monotonic() - started
        return done.returncode == 0, time.monotonic() - started

    def kills(self, file: Path, number: int) -> tuple[bool, str]:
        """Whether the tests notice one mutant, and what it is."""
        core, there = core_of(file), self.source / file.relative_to(ROOT / "src")
        if core not in self.takes_s:
            passes, self.takes_s[core] = self.judge(core, None)
            if not passes:
                raise SystemExit(f"the tests of {core} fail without any fault")
        original = file.read_text("utf-8")
        text, what = mutant(original, number)
        there.write_text(text, "utf-8")
        try:
            passes, _ = self.judge(core, max(LEAST_S, SLOWER * self.takes_s[core]))
        finally:
            there.write_text(original, "utf-8")
        return not passes, f"{file.relative_to(PACKAGE)} {what}"


def draw(n: int, seed: int, only: str = "") -> list[tuple[Path, int]]:
    """N sites of all, without repetition, in the order of the draw."""
    every = [
        (file, number)
        for file in sources()
        if only in str(file.relative_to(PACKAGE))
        for number in range(sum(1 for _ in sites(ast.parse(file.read_text("utf-8")))))
    ]
    return random.Random(seed).sample(every, min(n, len(every)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--budget", type=float, default=None, help="stop after so many seconds")
    parser.add_argument("--only", default="", help="files whose path below the package has this in it")
    asked = parser.parse_args()
    started, tried, killed, survivors = time.monotonic(), Counter[str](), Counter[str](), list[str]()
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        ground = Ground(Path(folder))
        for file, number in draw(asked.n, asked.seed, asked.only):
            if asked.budget is not None and time.monotonic() - started > asked.budget:
                break
            dead, what = ground.kills(file, number)
            core = core_of(file)
            tried[core] += 1
            killed[core] += dead
            if not dead:
                survivors.append(what)
                print("survived:", what, flush=True)
    share = sum(killed.values()) / max(sum(tried.values()), 1)
    told = {"n": asked.n, "seed": asked.seed, "tried": dict(tried), "killed": dict(killed), "share": round(share, 4), "survivors": survivors}
    print(json.dumps(told | {"seconds": round(time.monotonic() - started, 1), "whole": sum(tried.values()) >= asked.n}))
    return 0 if share >= GOAL else 1


if __name__ == "__main__":
    raise SystemExit(main())
