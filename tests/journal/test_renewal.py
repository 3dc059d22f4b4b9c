"""The database written anew after an error of the disk: what readers and the next start then see."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from edge_gateway import events
from edge_gateway.clock import SystemClock
from edge_gateway.errors import DiskFails
from edge_gateway.journal.base import Position
from edge_gateway.journal.core import Core
from edge_gateway.journal.files import DiskFiles
from edge_gateway.journal.renewal import RENEWED
from edge_gateway.journal.retention import JournalSettings
from edge_gateway.journal.store import Store, open_journal
from edge_gateway.journal.work import Append
from tests.journal.entries import batch, run, snapshot

SETTINGS = JournalSettings(max_bytes=1 << 30, segment_entries=16, commit_every_us=10_000)


class Refusing(DiskFiles):
    """A disk whose files cannot be written while ``broken``; the database itself is SQLite's."""

    broken = False

    def write_synced(self, path: Path, chunks: Iterable[bytes]) -> int:
        if self.broken:
            raise OSError(errno.EIO, "planted")
        return super().write_synced(path, chunks)


async def test_nothing_is_acknowledged_while_the_disk_fails_and_it_goes_on_by_itself(tmp_path: Path) -> None:
    files, told = Refusing(), list[events.Event]()
    core = Core(files, tmp_path, SETTINGS, wall_us=lambda: 1)
    core.open()
    store = Store(core, core.recover(), files.lock(tmp_path / "lock"), SystemClock(declared=True), told.append)
    await store.append(run(0, 20, 16))
    files.broken = True
    with pytest.raises(DiskFails):  # the text cannot be written
        await store.append([batch(20)], [b"{}"])
    assert [event.code for event in told if isinstance(event, events.Alarmed)] == ["disk-error"]
    assert store.full, "the field is held back"
    with pytest.raises(DiskFails):  # nor can the database be written anew
        await store.append([batch(20)])
    assert len(told) == 1, "told once"
    files.broken = False
    async with asyncio.timeout(5):
        while store.full:
            await asyncio.sleep(0.05)
    await store.append([batch(20)])
    epoch = store.epoch
    assert await store.read(Position(epoch, 16), max_entries=99, max_bytes=1 << 20) == [*run(16, 4, 16), batch(20)]
    assert store.status()["disk_errors"] >= 2
    await store.close()
    again = await open_journal(tmp_path, settings=SETTINGS, clock=SystemClock(declared=True))
    assert (again.epoch, again.committed_seq) == (epoch, 21)
    await again.close()


def test_an_exchange_that_a_power_cut_ended_is_ended_at_the_next_start(tmp_path: Path) -> None:
    core = Core(DiskFiles(), tmp_path, SETTINGS, wall_us=lambda: 1)
    core.open()
    core.commit([Append(first=0, entries=[snapshot(0), batch(1)])])
    core.state.tail.checkpoint()
    (tmp_path / RENEWED).write_bytes((tmp_path / "journal.sqlite").read_bytes())
    core.commit([Append(first=2, entries=[batch(2)])])  # the old log: never the new database's
    core.state.tail.abandon()
    again = Core(DiskFiles(), tmp_path, SETTINGS, wall_us=lambda: 1)
    again.open()
    assert (again.state.size, again.damaged) == (2, "")
    assert not (tmp_path / RENEWED).exists()
    again.close()


@pytest.mark.parametrize("size", [0, 1, 4096, (1 << 20) + 17])
def test_a_file_is_read_past_the_cache_whole(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file"
    data = os.urandom(size)
    path.write_bytes(data)
    assert b"".join(DiskFiles().read_disk(path)) == data
    DiskFiles().settle(path)
    assert b"".join(DiskFiles()._read_forgotten(path)) == data
