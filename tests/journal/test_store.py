"""The journal over a real disk and its real threads: what intake and shipping rely on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import apsw
import pytest

from edge_gateway.clock import SystemClock
from edge_gateway.errors import JournalBusy, JournalError, JournalFull, JournalTooNew
from edge_gateway.journal.base import Journal, Position
from edge_gateway.journal.retention import JournalSettings
from edge_gateway.journal.store import Store, open_journal
from edge_gateway.record.entry import canonical, decode, encode, text_hash
from edge_gateway.record.merkle import leaf_hash, tree_root
from tests.journal.entries import batch, run, snapshot, stamp
from tests.journal.witness import cosigned, hub_key

SEGMENT = 16
SETTINGS = JournalSettings(
    max_bytes=256 * 1024 * 1024,
    segment_entries=SEGMENT,
    commit_every_us=50_000,
    hub_name="hub",
    sinks=("hub", "influx"),
)


async def opened(folder: Path, settings: JournalSettings = SETTINGS) -> Store:
    return await open_journal(folder / "state", settings=settings, clock=SystemClock(declared=True))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    journal = await opened(tmp_path)
    yield journal
    await journal.close()


async def fill(store: Store, count: int, **options: Any) -> list[bytes]:
    entries = run(store.next_seq, count, store.segment_entries, **options)
    await store.append(entries)
    return entries


async def sealed(store: Store, segments: int) -> None:
    async with asyncio.timeout(10):
        while len(await store.segments()) < segments:
            await store.heartbeat()
            await asyncio.sleep(0.005)


async def everything(store: Store, epoch: str, start: int = 0) -> list[bytes]:
    found: list[bytes] = []
    while part := await store.read(Position(epoch, start + len(found)), max_entries=7, max_bytes=1 << 20):
        found += part
    return found


async def test_it_is_a_journal(store: Store) -> None:
    journal: Journal = store  # the type checker compares it with the contract
    assert journal.next_seq == journal.committed_seq == 0
    assert journal.recover().snapshot is None


async def test_what_was_appended_is_read_back_exactly_across_segments_tail_and_restart(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    entries = [entry for _ in range(5) for entry in await fill(store, 11)]
    await sealed(store, 3)
    assert await everything(store, store.epoch) == entries
    epoch = store.epoch
    await store.close()
    store = await opened(tmp_path)
    assert store.epoch == epoch
    assert store.next_seq == store.committed_seq == 55
    assert await everything(store, epoch) == entries
    recovery = store.recover()
    assert recovery.snapshot is not None
    assert recovery.snapshot["seq"] == 48
    assert list(recovery.entries) == entries[49:]
    await store.close()


async def test_recovery_of_a_journal_that_ended_with_a_segment_reads_the_sealed_file(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    entries = await fill(store, 2 * SEGMENT)
    await sealed(store, 2)
    await store.close()
    store = await opened(tmp_path)
    recovery = store.recover()
    assert recovery.snapshot == decode(entries[SEGMENT])
    assert list(recovery.entries) == entries[SEGMENT + 1 :]
    await store.close()


async def test_a_state_that_was_kept_as_a_text_comes_back_resolved(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    state = canonical({"rules": {"r1": {"p1": 1}}})
    opening = encode(0, "snapshot", stamp(0), {"config": None, "configs": [], "state_text": text_hash(state)})
    await store.append([opening], [state])
    await store.close()
    store = await opened(tmp_path)
    recovery = store.recover()
    assert recovery.snapshot is not None
    assert recovery.snapshot["state"] == {"rules": {"r1": {"p1": 1}}}
    assert await store.text(text_hash(state)) == state
    with pytest.raises(KeyError):
        await store.text("0" * 64)
    await store.close()


async def test_each_segment_carries_the_root_of_its_entries(store: Store) -> None:
    entries = await fill(store, 3 * SEGMENT)
    await sealed(store, 3)
    for number, segment in enumerate(await store.segments()):
        part = entries[number * SEGMENT : (number + 1) * SEGMENT]
        assert segment.root == tree_root(map(leaf_hash, part)).hex()
        assert (segment.first, segment.count, segment.freed) == (number * SEGMENT, SEGMENT, False)


async def test_subscribers_hear_every_commit_once_and_in_order(store: Store) -> None:
    heard: list[tuple[str, int, list[bytes]]] = []
    forget = store.subscribe(lambda epoch, first, entries: heard.append((epoch, first, list(entries))))
    entries = run(0, 30, SEGMENT)
    await asyncio.gather(*(store.append(entries[at : at + 3]) for at in range(0, 30, 3)))
    assert [first for _, first, _ in heard] == list(range(0, 30, 3))
    assert [entry for _, _, part in heard for entry in part] == entries
    forget()
    await store.append([batch(30)])
    assert len(heard) == 10


async def test_appends_that_wait_together_share_a_commit(store: Store) -> None:
    release = threading.Event()
    await store.append(run(0, 1, SEGMENT))
    commits = store.status()["commits"]
    store.hold_writer(release)
    tasks = [asyncio.create_task(store.append([batch(seq)])) for seq in range(1, 11)]
    await asyncio.sleep(0)
    release.set()
    await asyncio.gather(*tasks)
    assert store.status()["commits"] == commits + 1


async def test_the_heartbeat_is_not_answered_while_the_writer_is_blocked(store: Store) -> None:
    release = threading.Event()
    store.hold_writer(release)
    beat = asyncio.create_task(store.heartbeat())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(beat), 0.05)
    release.set()
    await asyncio.wait_for(beat, 5)


async def test_entries_must_continue_and_segments_open_with_a_snapshot(store: Store) -> None:
    with pytest.raises(ValueError, match="a snapshot is due"):
        await store.append([batch(0)])
    with pytest.raises(ValueError, match="entry 7 where 0 is due"):
        await store.append([snapshot(7)])
    assert store.next_seq == 0
    await fill(store, SEGMENT)
    with pytest.raises(ValueError, match="a snapshot is due"):
        await store.append([batch(SEGMENT)])


async def test_a_second_opener_is_told_that_the_folder_is_in_use(store: Store, tmp_path: Path) -> None:
    with pytest.raises(JournalBusy, match="is in use by process"):
        await opened(tmp_path)
    await fill(store, 3)


async def test_a_newer_layout_is_refused_with_a_sentence(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    await store.close()
    connection = apsw.Connection(str(tmp_path / "state" / "journal.sqlite"))
    connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(JournalTooNew, match="newer release"):
        await opened(tmp_path)


async def test_a_record_of_the_layout_before_goes_on_with_what_was_refused_and_counted(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    await fill(store, 3)
    epoch = store.epoch
    await store.close()
    connection = apsw.Connection(str(tmp_path / "state" / "journal.sqlite"))
    connection.execute(
        "DROP TABLE quarantine; DROP TABLE counters; DROP TABLE memory; PRAGMA user_version=2;"
        "CREATE TABLE quarantine(id INTEGER PRIMARY KEY AUTOINCREMENT, sink TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL,"
        " line TEXT NOT NULL, reason TEXT NOT NULL, wall_us INTEGER NOT NULL) STRICT;"
        "CREATE INDEX quarantine_sink ON quarantine(sink, id);"
        "CREATE TABLE counters(name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;"
        "INSERT INTO counters VALUES('damaged', 2);"
        "INSERT INTO quarantine VALUES(7, 'influx', 'e', 1, 'line', 'why', 5), (9, 'influx', 'e', 1, 'dropped', 'why', 5);"
        "DELETE FROM quarantine WHERE id = 9"
    ).fetchall()
    connection.close()
    store = await opened(tmp_path)
    assert (store.epoch, store.committed_seq, store.noted()["damaged"]) == (epoch, 3, 2)
    await store.quarantine_add("influx", epoch, [(2, "more", "why")])
    assert [(item.id, item.line) for item in await store.quarantine_list()] == [(7, "line"), (10, "more")]
    await store.close()


async def test_a_closed_journal_says_so(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    await store.close()
    with pytest.raises(JournalError, match="closed"):
        await store.append([snapshot(0)])


# --- epochs ---------------------------------------------------------------------------------------------------


async def test_a_new_epoch_seals_the_rest_and_names_the_one_before(store: Store) -> None:
    first = store.epoch
    entries = await fill(store, 2 * SEGMENT + 5)
    await store.new_epoch("roll-back")
    assert store.epoch != first
    assert store.next_seq == 0
    root = tree_root(map(leaf_hash, entries)).hex()
    assert store.previous() == {"epoch": first, "size": len(entries), "root": root, "reason": "roll-back"}
    assert [(e.epoch, e.size, e.closed) for e in store.epochs()] == [(first, 37, True), (store.epoch, 0, False)]
    assert await everything(store, first) == entries
    assert [s.count for s in await store.segments()] == [SEGMENT, SEGMENT, 5]
    await fill(store, 3)


async def test_state_survives_a_cut_between_a_new_epoch_and_its_snapshot(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    entries = await fill(store, SEGMENT + 3)
    await store.new_epoch("skipped")
    await store.close()
    store = await opened(tmp_path)
    assert store.next_seq == 0
    recovery = store.recover()
    assert recovery.snapshot == decode(entries[SEGMENT])
    assert list(recovery.entries) == entries[SEGMENT + 1 :]
    await store.close()


# --- cursors, receipts, quarantine ------------------------------------------------------------------------------


async def test_a_cursor_moves_at_once_and_is_there_after_a_restart(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    await fill(store, 5)
    await store.move_cursor("influx", Position(store.epoch, 4))
    assert store.cursor("influx") == Position(store.epoch, 4)
    assert store.cursor("hub") is None
    with pytest.raises(ValueError, match="cannot stand at 6"):
        await store.move_cursor("influx", Position(store.epoch, 6))
    with pytest.raises(KeyError):
        await store.move_cursor("influx", Position("0" * 16, 0))
    epoch = store.epoch
    await store.close()
    store = await opened(tmp_path)
    assert store.cursor("influx") == Position(epoch, 4)
    await store.close()


async def test_a_move_without_a_commit_to_ride_with_is_written_soon(store: Store, tmp_path: Path) -> None:
    await fill(store, 5)
    await store.move_cursor("influx", Position(store.epoch, 5))
    reader = apsw.Connection(str(tmp_path / "state" / "journal.sqlite"), flags=apsw.SQLITE_OPEN_READONLY)
    async with asyncio.timeout(5):
        while not reader.execute("SELECT seq FROM cursors WHERE sink = 'influx'").fetchall():
            await asyncio.sleep(0.01)
    reader.close()


async def test_quarantine_is_bounded_and_counts_what_gave_way(tmp_path: Path) -> None:
    store = await opened(tmp_path, replace(SETTINGS, quarantine_entries=5))
    for seq in range(4):
        await store.quarantine_add("influx", store.epoch, [(seq, f"line {seq}a", "why"), (seq, f"line {seq}b", "why")])
    kept = await store.quarantine_list("influx")
    assert [item.line for item in kept] == ["line 1b", "line 2a", "line 2b", "line 3a", "line 3b"]
    assert await store.quarantine_drop([kept[0].id, kept[1].id, 10**6]) == 2
    assert len(await store.quarantine_list()) == 3
    assert await store.quarantine_list("hub") == []
    await store.close()


# --- configurations -----------------------------------------------------------------------------------------------


async def test_a_configuration_is_found_by_its_number_and_by_the_snapshot_that_carries_it(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    text = canonical({"gateway": "tlf-007"})
    named = {"text": text_hash(text), "texts": {}}
    await store.append([snapshot(0), encode(1, "config", stamp(1), named | {"by": "root"})], [text])
    await store.append([batch(seq) for seq in range(2, SEGMENT)])
    await store.append([snapshot(SEGMENT, config={"config_seq": 1} | named)])
    assert await store.config(store.epoch, 1) == {"gateway": "tlf-007"}
    with pytest.raises(KeyError):
        await store.config(store.epoch, 2)
    await sealed(store, 1)
    await store.move_cursor("hub", Position(store.epoch, SEGMENT), {"size": SEGMENT})
    await store.move_cursor("influx", Position(store.epoch, SEGMENT))
    store.keep_checkpoint(store.epoch, SEGMENT, cosigned(store.epoch, SEGMENT))
    await store.apply(replace(SETTINGS, max_bytes=4096, hub_vkey=str(hub_key())))
    for _ in range(2):  # the cursor's move rides with the first
        with pytest.raises(JournalFull):
            await store.append([batch(SEGMENT + 1)])
    assert store.epochs()[0].first == SEGMENT
    with pytest.raises(KeyError):
        await store.read(Position(store.epoch, 0), max_entries=1, max_bytes=1)
    assert await store.config(store.epoch, 1) == {"gateway": "tlf-007"}
    await store.close()
