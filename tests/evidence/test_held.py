"""A pack of a violation has what went on as part of it: its steps, its points, its time; and nothing of others."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import orjson
import pytest

from edge_gateway.cli.main import run as cli
from edge_gateway.evidence.glance import Course, members, span
from tests.evidence.record import Epoch, config, write
from tests.evidence.test_tables import MINUTE, _snapshot, at, rows
from tests.journal.entries import BEGAN_US

#: (minute, violation, point, step, condition, handling, into)
STEPS = [
    (60, 1, "cold1-set", "violated", "active", "new", ""), (62, 2, "cold1-air", "violated", "active", "merged", 1), (63, 3, "cold1-set", "notice", "active", "merged", 2),
    (64, 4, "cold1-air", "violated", "active", "new", ""), (70, 1, "cold1-set", "recovered", "recovered", "new", ""), (71, 3, "cold1-set", "cancelled", "recovered", "merged", 2),
    (75, 2, "cold1-air", "recovered", "recovered", "merged", 1),
]  # fmt: skip


def record() -> list[bytes]:
    found: list[bytes] = []
    waiting = list(STEPS)
    for minute in range(180):
        if len(found) % 8 == 0:
            found.append(at(len(found), minute * MINUTE, "snapshot", _snapshot(len(found))))
        if len(found) == 1:
            found.append(config(1))
        found.append(at(len(found), minute * MINUTE, "batch", {"config_seq": 1, "group": "cold1-th.1", "values": [-10.0, minute]}))
        while waiting and waiting[0][0] <= minute and len(found) % 8:
            _, number, point, step, condition, handling, into = waiting.pop(0)
            first = {"rule_us": 0, "wall_us": BEGAN_US + minute * MINUTE * 1_000_000, "value": None}
            told: dict[str, Any] = {"violation": f"tlf-007-{number}", "rule": f"r{number}", "point": point, "step": step, "condition": condition, "handling": handling, "first": first, "limit": "", "peak": None, "minutes": 0}
            found.append(at(len(found), minute * MINUTE, "violation", told | ({"into": f"tlf-007-{into}"} if into else {})))
    assert not waiting
    return found


@pytest.mark.parametrize(("asked", "wanted", "points"), [(1, ["1", "2", "3"], ["cold1-set", "cold1-air"]), (2, ["2", "3"], ["cold1-air", "cold1-set"]), (4, ["4"], ["cold1-air"])])
def test_a_violation_brings_what_was_part_of_it(tmp_path: Path, asked: int, wanted: list[str], points: list[str]) -> None:
    told = record()
    state = write(tmp_path / "state", [Epoch("00000000000000e1", told, [(len(told), BEGAN_US // 1_000_000 + 4 * 3600)])])
    out = tmp_path / "pack.zip"
    assert cli(["--state", str(state), "--config", str(tmp_path / "none.toml"), "journal", "export", "--out", str(out), "--violation", f"tlf-007-{asked}"]) == 0
    with zipfile.ZipFile(out) as zipped:
        claim = orjson.loads(zipped.read("manifest.json"))["claim"]
    assert (claim["violation"], claim["points"]) == (f"tlf-007-{asked}", points)
    assert list(dict.fromkeys(each[2].rpartition("-")[2] for each in rows(out.read_bytes(), "violations.csv")[1:])) == wanted
    if asked == 1:
        last = max(minute for minute, number, *_ in STEPS if number in (1, 2, 3))
        assert claim["from_us"] == BEGAN_US + 30 * MINUTE * 1_000_000
        assert abs(claim["to_us"] - BEGAN_US - (last + 30) * MINUTE * 1_000_000) <= 2 * MINUTE * 1_000_000


def test_what_returned_counts_until_then_and_what_goes_on_has_no_end() -> None:
    def course(id_: str, over: bool, *steps: tuple[int, str]) -> Course:
        return Course(id_, "r", "p", steps[0][0], steps[-1][0], over, [{"wall_us": us, "handling": handling} | ({"into": "a"} if handling == "merged" else {}) for us, handling in steps])

    cause = course("a", True, (100, "new"), (200, "closed"))
    assert span([cause, course("b", False, (50, "new"), (110, "merged"), (150, "merged"), (160, "new"), (9000, "new"))]) == (50, 200)
    assert span([cause, course("b", False, (50, "new"), (110, "merged"))]) == (50, None)
    assert span([cause, course("b", True, (50, "new"), (310, "merged"))]) == (50, 310)


def test_links_that_go_round_end() -> None:
    assert members("a", [("b", "a"), ("a", "b"), ("c", "b"), ("d", "x")]) == ["a", "b", "c"]
