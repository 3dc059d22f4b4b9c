"""The short form of `make crashpoints`: some calls of each process; a planted fault is found; the trap counts what it should."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from tests.faults.alone import ALONE
from tests.faults.crashpoints import PLANTED, caught, site_pass
from tests.faults.points import Points
from tests.faults.trap import Trap

pytestmark = pytest.mark.campaign


def _twice_five_calls(folder: Path) -> None:
    def write(name: str) -> None:
        for _ in range(5):
            descriptor = os.open(folder / name, os.O_CREAT | os.O_WRONLY)
            os.write(descriptor, b"four")
            os.fsync(descriptor)
            os.close(descriptor)
            (folder / name).rename(folder / f"{name}.done")

    other = threading.Thread(target=write, args=("a",))
    other.start()
    write("b")
    other.join()


def test_the_trap_kills_before_the_nth_call_of_all_threads(tmp_path: Path) -> None:
    nothing, _ = os.pipe()
    for call in (1, 2, 3, 17, 30):
        ended = Trap.start(lambda: _twice_five_calls(tmp_path), call).supervise(nothing, lambda trap: None)
        assert (ended.calls, ended.exit) == (call, -9)
        assert ended.kind in ("write", "fsync", "rename")
    ended = Trap.start(lambda: _twice_five_calls(tmp_path), 31).supervise(nothing, lambda trap: None)
    assert (ended.calls, ended.exit) == (30, 0), "each of them was counted, and nothing else"


def test_the_first_call_did_not_happen(tmp_path: Path) -> None:
    nothing, _ = os.pipe()
    Trap.start(lambda: _twice_five_calls(tmp_path), 1).supervise(nothing, lambda trap: None)
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) == 0


def test_calls_of_a_start(tmp_path: Path) -> None:
    counted = Points()
    site_pass(tmp_path, "gateway", counted, lambda: 14 - counted.total)
    assert counted.sound, counted.why
    assert counted.total == 14
    assert counted.acknowledged > 0


@pytest.mark.parametrize(("which", "calls"), [("signer", range(1, 25)), ("hub", range(1, 80, 5))])
def test_calls_of_signer_and_hub(which: str, calls: range, tmp_path: Path) -> None:
    counted = Points()
    ALONE[which](tmp_path, counted).run(calls)
    assert counted.sound, counted.why
    assert counted.total == len(calls)
    assert counted.acknowledged > 0


@pytest.mark.timeout(300)
def test_a_planted_fault_is_noticed(tmp_path: Path) -> None:
    assert caught(tmp_path, PLANTED[0])
