"""Photos: durable before the entry that names them, through power cuts; kept as long as it, and no longer."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from random import Random

import pytest

from edge_gateway.clock import SystemClock
from edge_gateway.errors import JournalDamaged, JournalError, JournalFull
from edge_gateway.journal import photos as module
from edge_gateway.journal import store
from edge_gateway.journal.core import Core
from edge_gateway.journal.files import DiskFiles, Files
from edge_gateway.journal.photos import MAX_LOOSE, Photos
from edge_gateway.journal.retention import JournalSettings
from edge_gateway.journal.segments import SegmentFile
from edge_gateway.journal.store import open_journal
from edge_gateway.journal.work import Append
from edge_gateway.record.entry import decode, encode
from edge_gateway.record.photo import FOLDER, Photo, PhotoRefused, photo_of, photos_of
from tests.faults.lives import STATE
from tests.faults.simdisk import PowerCut, SimDisk, SimFiles, forget
from tests.journal.entries import batch, snapshot, stamp

SETTINGS = JournalSettings(max_bytes=1 << 30, segment_entries=8, hub_name=None, sinks=())

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def picture(seed: int, size: int = 9_000) -> bytes:
    return b"\xff\xd8\xff\xe0" + Random(seed).randbytes(size)


def naming(seq: int, photos: list[dict[str, object]]) -> bytes:
    return encode(seq, "event", stamp(seq), {"event": "looked", "photos": photos})


def core_on(files: Files) -> Core:
    core = Core(files, STATE, SETTINGS, wall_us=lambda: 1)
    core.open()
    return core


def one_life(disk: SimDisk, files: SimFiles, seed: int) -> int:
    """Bring photos and name them until the lights go out, or six are named. How many entries were acknowledged."""
    try:
        core = core_on(files)
    except JournalError:  # SQLite tells a cut as an error of its own
        assert disk.dead
        raise PowerCut from None
    acknowledged = core.state.size
    try:
        for at in range(6):
            photo = core.state.photos.put(picture(seed * 10 + at))
            named = core.state.photos.named([photo.sha256])
            entries = [snapshot(acknowledged)] if acknowledged % SETTINGS.segment_entries == 0 else []
            entries.append(naming(acknowledged + len(entries), named))
            done = core.commit([Append(first=acknowledged, entries=entries)])
            if disk.dead:  # SQLite passes over a cut inside a checkpoint
                raise PowerCut
            assert done == [None]
            acknowledged += len(entries)
            while core.seal():
                pass
    finally:
        disk.dead = True
        core.close()
    return acknowledged


def dangling(core: Core) -> list[str]:
    """Photos that entries name, and that are not here as they were."""
    found = [decode(entry) for entry in core.state.tail.entries(core.state.tail_first, core.state.size)]
    for segment in core.state.kept:
        found += map(decode, SegmentFile(core.state.files, STATE, segment.epoch, segment.first, segment.count).entries())
    missing = []
    for photo in (photo for entry in found for photo in photos_of(entry)):
        try:
            core.state.photos.get(photo.sha256)
        except (KeyError, JournalDamaged):
            missing.append(photo.sha256)
    return missing


def cuts(seeds: range) -> tuple[int, int]:
    """Lives with a cut at a random operation; how many cuts, and how many left an entry whose photo is not there."""
    happened = wrong = 0
    for seed in seeds:
        disk = SimDisk(seed)
        files = SimFiles(disk)
        for _ in range(3):
            disk.cut_after(disk.rng.randrange(1, 160))
            try:
                acknowledged = one_life(disk, files, seed)
            except PowerCut:
                happened += 1
                acknowledged = 0
            disk.dead = True
            disk.restart()
            core = core_on(files)
            assert core.state.size >= acknowledged
            wrong += bool(dangling(core))
            core.close()
        forget(files)
    return happened, wrong


def test_no_power_cut_leaves_an_entry_that_names_a_photo_which_is_not_there() -> None:
    happened, wrong = cuts(range(1, 121))
    assert happened > 200
    assert wrong == 0


def _unsynced(files: Files, path: Path, chunks: list[bytes]) -> int:
    """Planted: the photo counts before it was synced."""
    assert isinstance(files, SimFiles)
    inode = files.disk.open(str(path), create=True)
    files.disk.write(str(path), inode, 0, b"".join(chunks))
    return len(b"".join(chunks))


def _folder_unsynced(files: Files, path: Path, chunks: list[bytes]) -> int:
    """Planted: its bytes are synced, its name is not."""
    size = files.write_synced(path.with_name(path.name + ".tmp"), chunks)
    files.rename(path.with_name(path.name + ".tmp"), path)
    return size


@pytest.mark.parametrize("planted", [_unsynced, _folder_unsynced])
def test_an_entry_before_the_sync_is_noticed(monkeypatch: pytest.MonkeyPatch, planted: object) -> None:
    monkeypatch.setattr(module, "write_durably", planted)
    assert cuts(range(1, 41))[1] > 0


def test_an_unfinished_or_unnamed_photo_is_gone_after_a_restart() -> None:
    disk = SimDisk(7)
    files = SimFiles(disk)
    core = core_on(files)
    kept, loose = core.state.photos.put(picture(1)), core.state.photos.put(picture(2))
    entry = naming(1, core.state.photos.named([kept.sha256]))
    assert core.commit([Append(first=0, entries=[snapshot(0), entry])]) == [None]
    files.write_synced(core.state.photos.path(loose.sha256).with_name(f"{loose.sha256}.tmp"), [b"half"])
    core.close()
    again = core_on(files)
    assert again.state.photos.names() == [kept.sha256]
    assert again.state.photos.size_bytes == kept.size_bytes
    with pytest.raises(PhotoRefused, match="no photo"):
        again.state.photos.named([loose.sha256])
    assert again.state.photos.named([kept.sha256]) == [kept.body()]
    again.close()
    forget(files)


def test_it_goes_with_the_last_segment_that_names_it(tmp_path: Path) -> None:
    photos = Photos(DiskFiles(), tmp_path)
    photos.open()
    one, two = photos.put(picture(1)), photos.put(picture(2))
    photos.named([one.sha256, two.sha256])
    assert photos.keep_only({FOLDER + one.sha256}) == 0, "an entry that names the other may be on its way"
    photos.keep_only({FOLDER + one.sha256, FOLDER + two.sha256})
    assert photos.keep_only({FOLDER + one.sha256}) == 1
    assert photos.names() == [one.sha256]
    assert photos.size_bytes == one.size_bytes


def test_footers_name_photos_as_files(tmp_path: Path) -> None:
    async def scenario() -> None:
        settings = JournalSettings(max_bytes=1 << 30, segment_entries=8, hub_name=None, sinks=())
        clock = SystemClock(declared=True, speed=1.0, origin_us=None)
        journal = await open_journal(tmp_path, settings=settings, clock=clock)
        photo = await journal.put_photo(picture(3))
        named = journal.named_photos([photo.sha256])
        await journal.append([snapshot(0), naming(1, named), *(batch(seq) for seq in range(2, 8))])
        await journal.append([snapshot(8)])
        for _ in range(100):
            if journal.kept():
                break
            await asyncio.sleep(0.05)
        ((_, segment),) = journal.kept()
        assert segment.texts == (FOLDER + photo.sha256,)
        assert await journal.photo(photo.sha256) == picture(3)
        await journal.close()
        again = await open_journal(tmp_path, settings=settings, clock=clock)
        assert again.photos.names() == [photo.sha256], "a sealed segment keeps it"
        await again.close()

    asyncio.run(scenario())


def test_only_so_many_wait_for_their_entry_and_the_oldest_goes(tmp_path: Path) -> None:
    photos = Photos(DiskFiles(), tmp_path)
    photos.open()
    brought = [photos.put(picture(seed, 100)) for seed in range(MAX_LOOSE + 3)]
    assert sorted(photos.names()) == sorted(photo.sha256 for photo in brought[3:])
    assert photos.size_bytes == sum(photo.size_bytes for photo in brought[3:])


def test_what_an_entry_names_stays_when_it_is_brought_again_and_many_after_it(tmp_path: Path) -> None:
    photos = Photos(DiskFiles(), tmp_path)
    photos.open()
    kept = photos.put(picture(0, 100))
    photos.named([kept.sha256])
    photos = Photos(DiskFiles(), tmp_path)  # a restart
    photos.open()
    photos.keep_only({FOLDER + kept.sha256})
    photos.put(picture(0, 100))
    for seed in range(1, MAX_LOOSE + 2):
        photos.put(picture(seed, 100))
    assert photos.get(kept.sha256) == picture(0, 100)


def test_a_photo_that_was_changed_on_the_disk_is_not_given_out(tmp_path: Path) -> None:
    photos = Photos(DiskFiles(), tmp_path)
    photos.open()
    photo = photos.put(picture(1))
    data = bytearray(photos.get(photo.sha256))
    data[5_000] ^= 1
    photos.path(photo.sha256).write_bytes(data)
    with pytest.raises(JournalDamaged):
        photos.get(photo.sha256)
    for wrong in ("../lock", photo.sha256.upper(), "0" * 64):
        with pytest.raises(KeyError):
            photos.get(wrong)


def test_a_full_journal_takes_no_photo(tmp_path: Path) -> None:
    async def scenario() -> None:
        settings = JournalSettings(max_bytes=10 << 20, segment_entries=8, hub_name=None, sinks=())
        journal = await open_journal(tmp_path, settings=settings, clock=SystemClock(declared=True, speed=1.0, origin_us=None))
        await journal.put_photo(picture(1, 4 << 20))
        with pytest.raises(JournalFull):
            await journal.put_photo(picture(2, 7 << 20))
        await journal.append([snapshot(0), batch(1)])
        await journal.close()

    asyncio.run(scenario())


def test_a_photo_is_hashed_beside_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[bool] = []

    def seen(data: bytes) -> Photo:
        hashed.append(threading.current_thread() is threading.main_thread())
        return photo_of(data)

    monkeypatch.setattr(store, "photo_of", seen)
    monkeypatch.setattr(module, "photo_of", seen)

    async def scenario() -> None:
        journal = await open_journal(tmp_path, settings=SETTINGS, clock=SystemClock(declared=True, speed=1.0, origin_us=None))
        await journal.put_photo(picture(1))
        with pytest.raises(PhotoRefused):
            await journal.put_photo(b"no picture")
        await journal.close()

    asyncio.run(scenario())
    assert hashed == [False, False, False]  # as it comes, as it is written, and the refused one
