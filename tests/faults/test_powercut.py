"""The short form of ``make powercut``: no acknowledged entry is lost, and each planted fault is noticed."""

from __future__ import annotations

import pytest

from edge_gateway.journal.core import Core
from edge_gateway.journal.work import Append
from tests.faults.powercut import LEAST_SEALS, PLANTED, SETTINGS, STATE, TrustsTheCache, caught, play
from tests.faults.simdisk import PowerCut, SimDisk, SimFiles, forget
from tests.journal.entries import batch, snapshot

# SQLite passes over a cut inside a checkpoint; the run ends after it all the same.
pytestmark = [
    pytest.mark.campaign,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.mark.parametrize("seed", [1_000, 2_000, 3_000])
def test_no_cut_loses_or_alters_what_was_acknowledged(seed: int) -> None:
    tally = play(range(seed, seed + 40))
    assert tally.why == []
    assert (tally.lost, tally.corrupt) == (0, 0)
    assert tally.cuts > 100
    assert tally.acknowledged > 1_000
    assert tally.least_seals_a_run >= LEAST_SEALS


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_fault_is_noticed(planted: str) -> None:
    assert caught(planted, seed=1)


@pytest.mark.parametrize("core", [Core, TrustsTheCache])
def test_what_a_start_after_a_kill_shows_survives_a_power_cut(core: type[Core]) -> None:
    disk = SimDisk(1)
    files = SimFiles(disk)
    first = open_core(core, files)
    assert first.commit([Append(first=0, entries=[snapshot(0), batch(1)])]) == [None]

    def kill(kind: str, path: str) -> None:
        if kind == "sync" and path.endswith("-wal"):  # all is written, nothing of it is synced yet
            disk.dead = True
            raise PowerCut

    disk.fail = kill
    with pytest.raises(PowerCut):
        first.commit([Append(first=2, entries=[batch(2)])])
    first.close()
    disk.fail = None
    disk.go_on()
    second = open_core(core, files)
    shown = second.state.size
    assert shown == 3, "the cache shows what the kill left"
    disk.dead = True
    second.close()
    disk.restart(lose_all=True)
    third = open_core(core, files)
    assert third.state.size == (shown if core is Core else 2), "the planted fault must be noticed"
    third.close()
    forget(files)


def open_core(core: type[Core], files: SimFiles) -> Core:
    opened = core(files, STATE, SETTINGS, wall_us=lambda: 1)
    opened.open()
    return opened
