"""The short form of ``make powercut``: no acknowledged entry is lost, and each planted fault is noticed."""

from __future__ import annotations

import pytest

from edge_gateway.journal.core import Core
from edge_gateway.journal.opening import Opening
from edge_gateway.journal.retention import JournalSettings
from edge_gateway.journal.work import Append
from tests.faults import memories
from tests.faults.lives import STATE, Life
from tests.faults.powercut import PLANTED, TrustsTheCache, caught, play, play_large
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
    assert tally.in_recovery * 3 > tally.cuts
    assert tally.acknowledged > 1_000
    assert tally.least_seals_a_run
    assert min(tally.freed, tally.checkpoints, tally.receipts)


def test_no_cut_at_a_whole_segment_loses_anything() -> None:
    tally = play_large(1_000, 4)
    assert tally.why == []
    assert tally.at_4096 >= 4
    assert tally.seals


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_fault_is_noticed(planted: str) -> None:
    assert caught(planted, seed=1)


@pytest.mark.parametrize("memory", memories.MEMORIES)
def test_no_cut_makes_a_memory_forget_what_was_signed(memory: str) -> None:
    kept = memories.play(memory, 1, 400)
    assert kept.why == []
    assert (kept.forgotten, kept.broken) == (0, 0)
    assert kept.signed > 1_000
    for planted in memories.PLANTED:
        assert memories.caught(memory, planted, 1), planted


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


SETTINGS = JournalSettings(max_bytes=1 << 30, segment_entries=8, hub_name="hub", sinks=("hub", "influx"))


def open_core(core: type[Core], files: SimFiles) -> Core:
    opened = core(files, STATE, SETTINGS, wall_us=lambda: 1)
    opened.open()
    return opened


def test_a_torn_commit_that_looks_like_a_changed_bit_is_torn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seed 61001445, met once in 30,009 cuts: by the log's checksums one bit explains what the cut left, and what it makes is no database."""
    assert not Life(61001445).play().corrupt
    monkeypatch.setattr(Opening, "_holds", lambda *_: True)
    assert Life(61001445).play().corrupt
