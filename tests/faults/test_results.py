"""A campaign's line: what it says of itself, and that N adds up over the runs that passed."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.faults import results


def test_a_run_is_one_line_with_commit_and_machine(tmp_path: Path) -> None:
    path = results.append("powercut", {"n": 5, "seed": 1, "lost": 0, "passed": True}, tmp_path)
    results.append("powercut", {"n": 7, "seed": 2, "lost": 0, "passed": True}, tmp_path)
    first, second = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    assert (first["target"], first["n"], second["seed"]) == ("powercut", 5, 2)
    assert re.fullmatch(r"([0-9a-f]{12}\+?)?", first["commit"])
    assert "Python" in first["machine"]


def test_only_runs_that_passed_count(tmp_path: Path) -> None:
    assert results.total("powercut", tmp_path) == 0
    for n, passed in ((5, True), (7, False), (11, True)):
        results.append("powercut", {"n": n, "seed": 1, "passed": passed}, tmp_path)
    assert results.total("powercut", tmp_path) == 16


def test_no_kept_line_holds_a_path_of_a_machine() -> None:
    for path in results.FOLDER.glob("*.jsonl"):
        for line in path.read_text(encoding="utf-8").splitlines():
            assert json.loads(line)["target"] == path.stem
            assert not re.search(r"/(home|root|work|tmp)/", line), path
