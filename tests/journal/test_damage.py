"""Bits that flip on the disk: found when they are read, never believed; the rest of the record is served."""

from __future__ import annotations

import asyncio
import random
import shutil
from functools import partial
from pathlib import Path

import apsw
import pytest

from edge_gateway.clock import SystemClock
from edge_gateway.errors import JournalDamaged, JournalError, SegmentDamaged
from edge_gateway.journal.base import Position
from edge_gateway.journal.core import Core
from edge_gateway.journal.files import DiskFiles
from edge_gateway.journal.reading import Reading
from edge_gateway.journal.retention import JournalSettings
from edge_gateway.journal.segments import SegmentFile, segment_path
from edge_gateway.journal.store import open_journal
from edge_gateway.journal.work import Append, Move, Refuse, Work
from edge_gateway.record.entry import text_hash
from edge_gateway.record.merkle import leaf_hash, tree_root
from tests.journal.entries import run

SEGMENT = 8
SETTINGS = JournalSettings(max_bytes=1 << 30, segment_entries=SEGMENT, hub_name="hub", sinks=("hub", "influx"))
EPOCH = "00000000000000e1"
ENTRIES = run(0, 21, SEGMENT, size=90)
TEXT = b'{"text":1}'


def core_in(folder: Path, names: tuple[str, ...] = ("00000000000000e2", "00000000000000e3")) -> Core:
    ids = iter(names)
    return Core(DiskFiles(), folder, SETTINGS, wall_us=lambda: 1_780_000_000_000_000, new_id=lambda: next(ids))


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sealed segments, five open entries, cursors, a quarantined line; cleanly closed."""
    folder = tmp_path_factory.mktemp("original") / "state"
    core = core_in(folder, (EPOCH,))
    core.open()
    assert core.commit([Append(first=0, entries=ENTRIES, texts=[TEXT])]) == [None]
    while core.seal():
        pass
    works: list[Work] = [
        Move(sink="hub", to=Position(EPOCH, 10), receipt={"size": 10}),
        Move(sink="influx", to=Position(EPOCH, 18)),
        Refuse(sink="influx", epoch=EPOCH, items=[(4, "line", "why")]),
    ]
    assert core.commit(works) == [None, None, None]
    core.close()
    return folder


def flipped(path: Path, at: int, bit: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1 << bit]))


@pytest.fixture
def copy(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "state"))


def test_every_flipped_bit_of_a_segment_is_found_or_changes_nothing(copy: Path) -> None:
    path = segment_path(copy, EPOCH, 0)
    sound = path.read_bytes()
    rng = random.Random(1)
    found = 0
    for at in range(len(sound)):
        for bit in rng.sample(range(8), 1):
            flipped(path, at, bit)
            try:
                read = list(SegmentFile(DiskFiles(), copy, EPOCH, 0, SEGMENT).entries())
            except SegmentDamaged:
                found += 1
            else:
                assert read == ENTRIES[:SEGMENT]
            path.write_bytes(sound)
    assert found > len(sound) / 2, "more than half of the flips, or nothing was looked at"


@pytest.mark.parametrize("left", [0, 1, 51, 52, 53, 300])
def test_a_segment_that_was_cut_short_is_found(copy: Path, left: int) -> None:
    path = segment_path(copy, EPOCH, 0)
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(SegmentDamaged):
        list(SegmentFile(DiskFiles(), copy, EPOCH, 0, SEGMENT).entries())


async def test_a_damaged_or_missing_segment_costs_itself_and_no_more(copy: Path) -> None:
    flipped(segment_path(copy, EPOCH, 0), 40, 3)
    store = await open_journal(copy, settings=SETTINGS, clock=SystemClock(declared=True))
    with pytest.raises(JournalDamaged, match=f"segment {EPOCH}/0"):
        await store.read(Position(EPOCH, 0), max_entries=100, max_bytes=1 << 20)
    assert await store.read(Position(EPOCH, 8), max_entries=100, max_bytes=1 << 20) == ENTRIES[8:]
    await store.append(run(21, 2, SEGMENT))
    segment_path(copy, EPOCH, 8).unlink()
    with pytest.raises(JournalDamaged, match="missing"):
        await reading_of(copy, 8)
    await store.close()


async def reading_of(folder: Path, seq: int) -> list[bytes]:
    reading = Reading(folder)
    try:
        return await asyncio.to_thread(reading.read, Position(EPOCH, seq), max_entries=1, max_bytes=1)
    finally:
        reading.close()


def test_a_flipped_bit_of_a_text_is_found(copy: Path) -> None:
    path = copy / "texts" / text_hash(TEXT)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(TEXT)
    flipped(path, 3, 0)
    reading = Reading(copy)
    with pytest.raises(JournalDamaged, match="does not match its name"):
        reading.text(text_hash(TEXT))
    reading.close()


def test_flipped_bits_of_the_database_are_never_believed(original: Path, tmp_path: Path) -> None:
    """Each flip: either everything reads as before, or damage is said and what is kept is a true beginning."""
    size = (original / "journal.sqlite").stat().st_size
    rng = random.Random(2)
    said = 0
    for number in range(250):
        folder = Path(shutil.copytree(original, tmp_path / str(number)))
        flipped(folder / "journal.sqlite", rng.randrange(size), rng.randrange(8))
        core = core_in(folder)
        try:
            core.open()
        except JournalError:
            said += 1  # e.g. a layout of a newer release, by the flip
            continue
        recovered = core.recover()
        found = [
            entry
            for segment in core.state.kept
            if segment.epoch == EPOCH
            for entry in SegmentFile(DiskFiles(), folder, EPOCH, segment.first, segment.count).entries()
        ]
        if core.damaged:
            said += 1
            assert core.state.size == 0
            assert core.state.epoch.reason == "damage"
            assert found == ENTRIES[: len(found)]
            assert len(found) >= 2 * SEGMENT, "sealed segments are not touched by the database's damage"
            assert core.previous() == {
                "epoch": EPOCH, "size": len(found), "root": tree_root(map(leaf_hash, found)).hex(), "reason": "damage",
            }  # fmt: skip
            assert recovered.damaged
        else:
            found += core.state.tail.entries(core.state.tail_first, core.state.size)
            assert found == ENTRIES
        for sink, cursor in core.state.held.cursors.items():
            assert cursor == {"hub": Position(EPOCH, 10), "influx": Position(EPOCH, 18)}[sink]
        assert recovered.snapshot is not None
        core.close()
        shutil.rmtree(folder)
    assert said > 10


def test_after_damage_the_journal_goes_on_in_a_new_epoch(copy: Path) -> None:
    connection = apsw.Connection(str(copy / "journal.sqlite"))
    connection.execute(
        "UPDATE tail SET entry = CAST(replace(CAST(entry AS TEXT), 'cold1', 'warm1') AS BLOB) WHERE seq = 19"
    )
    connection.close()
    core = core_in(copy)
    core.open()
    assert "fails its check" in core.damaged
    # The sound beginning of the tail (16, 17, 18) is sealed as the old epoch's last segment.
    assert core.previous() == {
        "epoch": EPOCH, "size": 19, "root": tree_root(map(leaf_hash, ENTRIES[:19])).hex(), "reason": "damage",
    }  # fmt: skip
    assert [item.line for item in core.state.tail.quarantined()] == ["line"]
    assert core.state.held.cursors == {"hub": Position(EPOCH, 10), "influx": Position(EPOCH, 18)}
    assert len(list(copy.glob("damaged-*.sqlite"))) == 1
    assert core.commit([Append(first=0, entries=run(0, 3, SEGMENT))]) == [None]
    core.close()
    core = core_in(copy)
    core.open()
    assert core.damaged == ""
    assert (core.state.epoch.epoch, core.state.size) == ("00000000000000e2", 3)
    core.close()


@pytest.mark.parametrize("left", [b"", b"SQLite format 3\x00", b"garbage" * 1000])
def test_a_database_that_is_none_is_moved_aside_and_its_segments_are_found(copy: Path, left: bytes) -> None:
    (copy / "journal.sqlite").write_bytes(left)
    core = core_in(copy)
    core.open()
    assert core.damaged
    previous = core.previous()
    assert previous is not None
    assert (previous["epoch"], previous["size"]) == (EPOCH, 16)
    assert core.recover().snapshot is not None
    core.close()


def test_a_database_that_vanished_is_damage_not_a_new_gateway(copy: Path) -> None:
    (copy / "journal.sqlite").unlink()
    core = core_in(copy)
    core.open()
    assert "missing" in core.damaged
    assert [epoch.epoch for epoch in core.state.held.epochs] == [EPOCH, "00000000000000e2"]
    core.close()


def test_a_move_aside_that_a_power_cut_interrupted_is_finished(copy: Path) -> None:
    (copy / "journal.sqlite").rename(copy / "damaged-0000000000000001.sqlite")
    (copy / "journal.sqlite-wal").write_bytes(b"left behind")
    core = core_in(copy)
    core.open()
    assert (copy / "damaged-0000000000000001.sqlite-wal").read_bytes() == b"left behind"
    previous = core.previous()
    assert previous is not None
    assert previous["epoch"] == EPOCH
    core.close()


def test_only_three_damaged_databases_are_kept(copy: Path) -> None:
    for number in range(5):
        (copy / "journal.sqlite").write_bytes(b"garbage" * 1000)
        core = core_in(copy, (f"{number:016x}",))
        core.state.wall_us = core._opening.wall_us = partial(int, number)
        core.open()
        core.close()
    assert len(list(copy.glob("damaged-*.sqlite"))) == 3


def test_a_flipped_bit_of_the_log_takes_no_acknowledged_entry_silently(tmp_path: Path) -> None:
    """But for the last commit's: that one cannot be told from a commit which a power cut interrupted."""
    core = core_in(tmp_path / "state", (EPOCH,))
    core.open()
    for seq, entry in enumerate(run(0, 12, 16)):
        assert core.commit([Append(first=seq, entries=[entry])]) == [None]
    log = tmp_path / "state" / "journal.sqlite-wal"
    size = log.stat().st_size
    rng = random.Random(3)
    said = 0
    for number in range(150):
        folder = Path(shutil.copytree(tmp_path / "state", tmp_path / str(number)))  # as a kill leaves it
        flipped(folder / log.name, rng.randrange(32, size), rng.randrange(8))
        again = core_in(folder)
        again.open()
        said += bool(again.damaged)
        if not again.damaged:
            assert again.state.size >= 11
        again.close()
        shutil.rmtree(folder)
    core.close()
    assert said > 75


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE segments SET epoch = '00000000000000ff' WHERE first = 0",
        "UPDATE segments SET freed = 1 WHERE first = 0",
        "UPDATE cursors SET seq = 20 WHERE sink = 'influx'",
        "UPDATE receipts SET size = 16",
        "UPDATE epochs SET first = 8",
        "DELETE FROM tail WHERE seq = 18",
        "DELETE FROM tail WHERE seq = 16",
        "DELETE FROM epochs",
        "DROP TABLE receipts",
    ],
)
def test_a_changed_row_is_damage(copy: Path, change: str) -> None:
    connection = apsw.Connection(str(copy / "journal.sqlite"))
    connection.execute(change)
    connection.close()
    core = core_in(copy)
    core.open()
    assert core.damaged
    kept = [segment.first for segment in core.state.kept if segment.epoch == EPOCH]
    assert kept[:2] == [0, 8]
    core.close()
