"""A backup is one moment of the record, whatever is written, sealed and freed meanwhile; laid down, it never goes on in the old epoch."""

from __future__ import annotations

import asyncio
import functools
import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_gateway.clock import SystemClock
from edge_gateway.errors import JournalError
from edge_gateway.journal import backup
from edge_gateway.journal.base import Position
from edge_gateway.journal.files import DiskFiles
from edge_gateway.journal.reading import Reading
from edge_gateway.journal.store import JournalSettings, Store, open_journal
from edge_gateway.journal.verify import check
from tests.journal.entries import run

SEGMENT = 16
SETTINGS = JournalSettings(max_bytes=64 * 1024 * 1024, segment_entries=SEGMENT, commit_every_us=50_000)
CLOCK = SystemClock(declared=True)


@pytest.fixture(autouse=True)
def _small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup, "JournalSettings", functools.partial(JournalSettings, segment_entries=SEGMENT))


def config(folder: Path) -> Path:
    path = folder / "gateway.toml"
    path.write_text("[site]\n")
    return path


async def fill(store: Store, count: int) -> list[bytes]:
    entries = run(store.next_seq, count, SEGMENT)
    await store.append(entries)
    return entries


def entries_of(state_dir: Path, epoch: str) -> list[bytes]:
    with closing(Reading(state_dir)) as reading:
        info = next(each for each in reading.known_epochs() if each.epoch == epoch)
        found: list[bytes] = []
        while len(found) < info.size:
            found += reading.read(Position(epoch, len(found)), max_entries=1000, max_bytes=1 << 24)
        return found


async def laid_down(file: Path, state_dir: Path) -> tuple[dict[str, Any], str]:
    with backup.Placing(state_dir) as placing:
        manifest = backup.lay_down(file, placing.folder, None)
        epoch = await backup.go_on(placing.folder, "restore", CLOCK)
        placing.done({"by": "t", "old": manifest["epoch"], "new": epoch})
    return manifest, epoch


async def test_a_copy_taken_while_entries_come_and_segments_are_sealed_is_one_moment(tmp_path: Path) -> None:
    store = await open_journal(tmp_path / "state", settings=SETTINGS, clock=CLOCK)
    written: list[bytes] = await fill(store, 100)
    ending = False

    async def writing() -> None:
        while not ending:
            written.extend(await fill(store, 7))
            await asyncio.sleep(0)

    task = asyncio.create_task(writing())
    files = []
    for number in range(12):
        files.append(tmp_path / f"{number}.backup")
        before = store.committed_seq
        manifest = await asyncio.to_thread(
            backup.take, tmp_path / "state", config(tmp_path), files[-1], {"gateway": "g", "made_us": 1}
        )
        assert before <= manifest["size"] <= store.committed_seq
        await asyncio.sleep(0.02)
    ending = True
    await task
    old = store.epoch
    await store.close()
    assert len(written) > 500
    for number, file in enumerate(files):
        state = tmp_path / f"restored-{number}"
        manifest, epoch = await laid_down(file, state)
        assert (epoch != old, manifest["epoch"]) == (True, old)
        assert entries_of(state, old) == written[: manifest["size"]]
        assert check(state).broken is None
        with closing(Reading(state)) as reading:
            closed, opened = reading.known_epochs()
        assert (closed.closed, closed.size, opened.reason, opened.size) == (True, manifest["size"], "restore", 0)
        store = await open_journal(state, settings=SETTINGS, clock=CLOCK)
        assert store.previous() is not None
        assert (store.recover().snapshot is not None, store.recover().damaged) == (True, "")
        await fill(store, 3)
        await store.close()


async def test_whatever_is_cut_off_while_it_is_laid_down_no_number_of_the_old_epoch_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await open_journal(tmp_path / "state", settings=SETTINGS, clock=CLOCK)
    await fill(store, 50)
    old = store.epoch
    await store.close()
    file = tmp_path / "x.backup"
    backup.take(tmp_path / "state", config(tmp_path), file, {"gateway": "g", "made_us": 1})
    steps = 0
    real = DiskFiles.rename

    def cut(files: DiskFiles, was: Path, becomes: Path) -> None:
        nonlocal steps
        steps -= was.parent.name == "restoring" and becomes.parent == was.parent.parent
        if steps < 0:
            raise OSError("the power is cut")
        real(files, was, becomes)

    monkeypatch.setattr(DiskFiles, "rename", cut)
    finished, reached = False, 0
    for after in range(20):
        state, steps = tmp_path / f"cut-{after}", after
        try:
            await laid_down(file, state)
            finished = True
        except OSError:
            reached += 1
        steps = 1 << 30
        journal = await open_journal(state, settings=SETTINGS, clock=CLOCK)
        assert journal.epoch != old, "a start after the cut goes on in another epoch"
        await fill(journal, 2)
        await journal.close()
        if finished:
            break
    assert (finished, reached >= 3) == (True, True)


async def test_nothing_is_laid_over_anything(tmp_path: Path) -> None:
    store = await open_journal(tmp_path / "state", settings=SETTINGS, clock=CLOCK)
    await fill(store, 20)
    file = tmp_path / "x.backup"
    backup.take(tmp_path / "state", config(tmp_path), file, {"gateway": "g", "made_us": 1})
    with pytest.raises(JournalError, match="in use"):
        await laid_down(file, tmp_path / "state")
    await store.close()
    before = sorted(path.name for path in (tmp_path / "state").iterdir())
    with pytest.raises(JournalError, match="not empty"):
        await laid_down(file, tmp_path / "state")
    assert sorted(path.name for path in (tmp_path / "state").iterdir()) == before
    shutil.rmtree(tmp_path / "state")
    await laid_down(file, tmp_path / "state")


async def test_a_replacement_begins_after_a_checkpoint(tmp_path: Path) -> None:
    known = "0123456789abcdef", 4711, "ab" * 32, b"a note"
    with backup.Placing(tmp_path / "state") as placing:
        epoch = backup.begin_after(placing.folder, known, CLOCK)
        placing.done({"new": epoch})
    store = await open_journal(tmp_path / "state", settings=replace(SETTINGS, hub_name="hub"), clock=CLOCK)
    assert (store.epoch, store.next_seq) == (epoch, 0)
    previous = store.previous()
    assert previous is not None
    assert {key: previous[key] for key in ("epoch", "size", "root", "reason")} == dict(
        zip(("epoch", "size", "root", "reason"), (*known[:3], "replacement"), strict=True)
    )
    await fill(store, 40)
    await store.close()
    found = check(tmp_path / "state")
    assert (found.broken, [each.epoch for each in found.epochs]) == (None, [epoch])
