"""What became of each mutant, counted, and kept line by line in a file, so that a run which was ended goes on; judges none itself.

A file goes on with the same sources and tests only: its first line says of which it is.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.faults.mutants import PACKAGE, ROOT, Mutant, sources

DEAD = ("killed", "hung")


class Judged:
    """``add`` each mutant with what became of it. ``log``: where that is kept; what stands there already counts. Raises ValueError: it is of other sources."""

    def __init__(self, log: Path | None) -> None:
        self.log = log
        self.lines: list[dict[str, Any]] = []
        head = json.dumps({"sources": digest()})
        if log is not None and log.exists():
            first, *rest = log.read_text("utf-8").splitlines()
            if first != head:
                raise ValueError(f"{log} is of other sources or tests")
            self.lines = [json.loads(line) for line in rest]
        elif log is not None:
            log.write_text(head + "\n", encoding="utf-8")

    def add(self, fault: Mutant, end: str, killer: str) -> None:
        """One more."""
        told = {"file": fault.file, "number": fault.number, "core": fault.core, "kind": fault.kind, "line": fault.line, "end": end, "killer": killer}
        self.lines.append(told)
        print(f"{len(self.lines)} {end}: {fault}" + f" by {killer}" * bool(killer), flush=True)
        if self.log is not None:
            with self.log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(told) + "\n")

    def has(self, file: Path, number: int) -> bool:
        """Whether a site was judged."""
        return any((each["file"], each["number"]) == (str(file.relative_to(PACKAGE)), number) for each in self.lines)

    def killers(self) -> Iterator[tuple[str, str]]:
        """(file, test that killed there), in the order of the kills."""
        return ((each["file"], each["killer"]) for each in self.lines if each["killer"])

    def figures(self) -> dict[str, Any]:
        """How many there were, and how many were killed: in all, by core and by kind of fault; and those that live."""
        killed = sum(each["end"] in DEAD for each in self.lines)
        found: dict[str, Any] = {"n": len(self.lines), "killed": killed, "share": round(killed / max(len(self.lines), 1), 4)}
        found |= {end: sum(each["end"] == end for each in self.lines) for end in ("survived", "uncovered", "unclear", "hung")}
        for name, key in (("cores", "core"), ("kinds", "kind")):
            table = defaultdict[str, list[int]](lambda: [0, 0])
            for each in self.lines:
                table[each[key]][0] += 1
                table[each[key]][1] += each["end"] in DEAD
            found[name] = dict(table)
        alive = (f"{each['file']} line {each['line']}: {each['kind']}: {each['end']}" for each in self.lines if each["end"] not in DEAD)
        return found | {"alive": sorted(alive)}


def digest() -> str:
    """A hash over the sources that are mutated, and all tests."""
    found = hashlib.sha256()
    for file in [*sources(), *sorted((ROOT / "tests").rglob("*.py"))]:
        found.update(file.read_bytes())
    return found.hexdigest()
