"""The mutator itself: each mutant differs and compiles, the draw is seeded, and a suite of tests that looks at nothing is found out."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults.judged import Judged
from tests.faults.mutants import CORES, PACKAGE, ROOT, draw, mutant, sites, sources

#: A planted suite: it comes by how a day begins and an item is signed, and looks at nothing.
WEAK = """
from edge_gateway.phases import Item, Phases, Signer

ITEM = Item(id="hand", phase="pre-start", name_zh="hand", name_en="hand")

def test_it_runs():
    phases, li = Phases(), Signer(name="li", proven=False, reason="looked")
    phases.next([], li, 1)
    phases.sign(phases.look([ITEM], {}), "hand", li, 2)
"""


def test_every_mutant_compiles_and_says_something_else() -> None:
    seen = 0
    for file in sources():
        source = file.read_text("utf-8")
        plain = ast.unparse(ast.parse(source))
        for number, (_, kind) in list(enumerate(sites(ast.parse(source))))[::25]:
            fault = mutant(source, str(file.relative_to(PACKAGE)), number)
            compile(fault.tree, str(file), "exec")
            assert ast.unparse(fault.tree) != plain, fault
            assert fault.kind == kind
            assert fault.core in CORES
            assert fault.statement[0] <= fault.line <= fault.statement[1], fault
            seen += 1
    assert seen > 50


def test_a_fault_s_statement_is_its_innermost_one() -> None:
    source = "def f(a=1):\n    if (a\n            < 2):\n        return [\n            a, 3]\n    return 4\n"
    found = {ast.unparse(node): mutant(source, "marks.py", n).statement for n, (node, _) in enumerate(sites(ast.parse(source)))}
    assert found["1"] == (1, 1)
    assert found["a < 2"] == (2, 3)
    assert found["3"] == (4, 5)
    assert found["4"] == (6, 6)


def test_what_decides_nothing_is_not_drawn() -> None:
    source = "@dataclass(frozen=True, slots=True)\nclass A:\n    x: Literal[1] = 2\n\n    @cached(size=3)\n    def f(self, y: Literal[4]) -> Literal[5]:\n        return y + 6\n"
    assert sorted(ast.unparse(node) for node, _ in sites(ast.parse(source))) == ["2", "6", "y + 6"]


def test_a_run_that_was_ended_goes_on_with_the_same_sources_only(tmp_path: Path) -> None:
    log, file = tmp_path / "log.jsonl", PACKAGE / "marks.py"
    first = Judged(log)
    for number, end in enumerate(("killed", "hung", "survived", "uncovered", "unclear")):
        first.add(mutant(file.read_text("utf-8"), "marks.py", number), end, "a test" if end == "killed" else "")
    again = Judged(log)
    assert again.figures() == first.figures()
    assert [again.has(file, number) for number in (0, 4, 5)] == [True, True, False]
    assert list(again.killers()) == [("marks.py", "a test")]
    figures = again.figures()
    assert (figures["n"], figures["killed"], figures["share"], figures["cores"], len(figures["alive"])) == (5, 2, 0.4, {"marks": [5, 2]}, 3)
    log.write_text(log.read_text("utf-8").replace('{"sources": "', '{"sources": "0'), encoding="utf-8")
    with pytest.raises(ValueError, match="other sources"):
        Judged(log)


def test_the_draw_is_seeded_and_large_enough() -> None:
    assert draw(1000, 1) == draw(1000, 1) != draw(1000, 2)
    assert len(set(draw(1000, 1))) == 1000
    assert {file.relative_to(PACKAGE).parts[0].removesuffix(".py") for file, _ in draw(1000, 1)} == set(CORES)


def campaign(*tests: str) -> tuple[int, dict[str, Any]]:
    command = [sys.executable, "-m", "tests.faults.mutate", "--only", "phases/core.py", "--n", "14", "--seed", "5", "--jobs", "1", "--unkept", "--tests", *tests]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)
    return done.returncode, json.loads(done.stdout.splitlines()[-1])


@pytest.mark.campaign
@pytest.mark.timeout(500)
def test_tests_that_look_at_nothing_are_found_out_and_those_that_look_are_not(tmp_path: Path) -> None:
    """The same mutants: a planted suite lets them live, or never comes by them; the suite of phases does not. The sources stay as they are."""
    before = (PACKAGE / "phases" / "core.py").read_bytes()
    (tmp_path / "test_weak.py").write_text(WEAK, encoding="utf-8")
    code, weak = campaign(str(tmp_path / "test_weak.py"))
    assert code == 1
    assert not weak["passed"]
    assert weak["survived"] >= 2
    assert weak["uncovered"] >= 2
    _, strong = campaign("tests/phases")
    assert strong["killed"] > weak["killed"] + 5
    assert (strong["unclear"], strong["confirmed"]) == (0, True)
    assert strong["n"] == sum(strong[end] for end in ("killed", "survived", "uncovered")) == 14
    assert (PACKAGE / "phases" / "core.py").read_bytes() == before
