"""The mutator itself: it finds sites, each mutant differs and compiles, the draw is seeded, and a fault that matters is noticed."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.faults.mutate import PACKAGE, Ground, draw, mutant, sites, sources


def test_every_mutant_compiles_and_says_something_else() -> None:
    seen = 0
    for file in sources():
        source = file.read_text("utf-8")
        plain = ast.unparse(ast.parse(source))
        for number, (_, kind) in list(enumerate(sites(ast.parse(source))))[::25]:
            text, what = mutant(source, number)
            compile(text, str(file), "exec")
            assert text != plain, what
            assert what.endswith(kind)
            seen += 1
    assert seen > 50


def test_the_draw_is_seeded_and_large_enough() -> None:
    assert draw(1000, 1) == draw(1000, 1) != draw(1000, 2)
    assert len(set(draw(1000, 1))) == 1000
    assert {file.relative_to(PACKAGE).parts[0].removesuffix(".py") for file, _ in draw(1000, 1)} == {"rules", "violations", "phases", "marks"}


def test_a_fault_is_put_into_the_copy_alone_and_is_noticed_there(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """A fault in how marks are bounded: the tests of marks fail against the copy, and pass once it is gone."""
    monkeypatch.setitem(__import__("tests.faults.mutate", fromlist=["TESTS"]).TESTS, "marks", ("tests/marks",))
    ground, file = Ground(tmp_path), PACKAGE / "marks.py"
    before = file.read_bytes()
    source = file.read_text("utf-8")
    number = next(n for n, (node, kind) in enumerate(sites(ast.parse(source))) if kind == "comparison" and ast.unparse(node) == "for_us <= 0")
    dead, what = ground.kills(file, number)
    assert dead, what
    assert file.read_bytes() == before
    assert (ground.source / "edge_gateway" / "marks.py").read_bytes() == before
