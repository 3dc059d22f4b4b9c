"""What may be freed: the plan as a pure function, and the store that follows it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_gateway.clock import SystemClock
from edge_gateway.errors import JournalFull
from edge_gateway.journal.base import Position
from edge_gateway.journal.retention import JournalSettings, SkippedRange, plan
from edge_gateway.journal.segments import Segment
from edge_gateway.journal.store import Store, open_journal
from edge_gateway.record.entry import canonical, encode, text_hash
from tests.journal.entries import batch, run, snapshot, stamp

SEGMENT = 8
A, B = "a" * 16, "b" * 16
ORDER = {A: 1, B: 2}


def segment(epoch: str, number: int) -> Segment:
    return Segment(
        epoch=epoch, first=number * 10, count=10, root=f"{number:064x}", size_bytes=100, wall_us=(0, 1), texts=()
    )  # fmt: skip


SEGMENTS = [segment(A, 0), segment(A, 1), segment(B, 0), segment(B, 1)]


def test_nothing_goes_that_the_hub_has_not_received() -> None:
    found = plan(SEGMENTS, 1000, hub_holds={A: 19}, cursors={}, order=ORDER)
    assert [s.first for s in found.free] == [0]
    assert plan(SEGMENTS, 1000, hub_holds={}, cursors={}, order=ORDER).free == ()
    assert plan(SEGMENTS, 1000, hub_holds={A: 9, B: 20}, cursors={}, order=ORDER).free == (), "oldest first, no holes"


def test_no_more_goes_than_is_needed() -> None:
    assert len(plan(SEGMENTS, 150, hub_holds={A: 20, B: 20}, cursors={}, order=ORDER).free) == 2
    assert plan(SEGMENTS, 0, hub_holds=None, cursors={}, order=ORDER).free == ()


def test_a_laggard_does_not_hold_retention_but_its_loss_is_declared() -> None:
    found = plan(SEGMENTS, 1000, hub_holds={A: 20, B: 10}, cursors={"influx": Position(A, 14)}, order=ORDER)
    assert [s.first for s in found.free] == [0]
    assert found.skipped == (
        SkippedRange(sink="influx", epoch=A, first=14, count=6, reason="journal-full", roots=()),
        SkippedRange(sink="influx", epoch=B, first=0, count=10, reason="journal-full", roots=(f"{0:064x}",)),
    )


def test_a_sink_that_was_never_served_skips_everything_that_must_go() -> None:
    found = plan(SEGMENTS, 200, hub_holds=None, cursors={"influx": None}, order=ORDER)
    assert found.free == ()
    assert [(r.epoch, r.first, r.count, r.roots) for r in found.skipped] == [(A, 0, 20, (f"{0:064x}", f"{1:064x}"))]


def test_a_long_range_is_declared_in_parts_that_fit_into_an_entry() -> None:
    many = [segment(A, number) for number in range(4_500)]
    found = plan(many, 10**9, hub_holds=None, cursors={"influx": Position(A, 5)}, order=ORDER)
    assert [(r.first, r.end, len(r.roots)) for r in found.skipped] == [
        (5, 20_010, 2_000), (20_010, 40_010, 2_000), (40_010, 45_000, 499),
    ]  # fmt: skip


@given(
    st.integers(0, 500),
    st.none() | st.fixed_dictionaries({A: st.integers(0, 20), B: st.integers(0, 20)}),
    st.dictionaries(
        st.sampled_from(["x", "y"]),
        st.none() | st.builds(Position, st.sampled_from([A, B]), st.integers(0, 20)),
    ),
)
def test_whatever_the_state_only_declared_or_served_entries_go(
    need: int, holds: dict[str, int] | None, cursors: dict[str, Position | None]
) -> None:
    found = plan(SEGMENTS, need, hub_holds=holds, cursors=cursors, order=ORDER)
    assert list(found.free) == SEGMENTS[: len(found.free)]
    for freed in found.free:
        assert holds is None or holds[freed.epoch] >= freed.end
        for cursor in cursors.values():
            assert cursor is not None
            assert (ORDER[cursor.epoch], cursor.seq) >= (ORDER[freed.epoch], freed.end)
    for part in found.skipped:
        assert part.count > 0
        assert holds is None or holds[part.epoch] >= part.end
        cursor = cursors[part.sink]
        assert cursor is None or (ORDER[cursor.epoch], cursor.seq) <= (ORDER[part.epoch], part.first)


# --- the store ------------------------------------------------------------------------------------------------

WIDE = JournalSettings(
    max_bytes=1 << 30, segment_entries=SEGMENT, commit_every_us=20_000, hub_name="hub", sinks=("hub", "influx")
)
#: So little that everything that may go must go.
NARROW = replace(WIDE, max_bytes=8192)


async def opened(folder: Path, settings: JournalSettings = WIDE) -> Store:
    return await open_journal(folder / "state", settings=settings, clock=SystemClock(declared=True))


async def with_segments(folder: Path, settings: JournalSettings, count: int) -> Store:
    store = await opened(folder, settings)
    await store.append(run(0, count * SEGMENT + 1, SEGMENT, size=200))
    async with asyncio.timeout(10):
        while len(await store.segments()) < count:
            await store.heartbeat()
            await asyncio.sleep(0.005)
    return store


async def refused(store: Store) -> None:
    """An ordinary batch meets the quota."""
    with pytest.raises(JournalFull):
        await store.append([batch(store.next_seq)])


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "state" / "segments").rglob("*.gz"))


async def test_without_the_hub_nothing_goes_and_only_the_reserve_is_served(tmp_path: Path) -> None:
    store = await with_segments(tmp_path, WIDE, 3)
    await store.move_cursor("influx", Position(store.epoch, store.committed_seq))
    await store.append([batch(store.next_seq)])
    await store.apply(replace(WIDE, max_bytes=int(store.status()["size_bytes"] * 1.25)))
    before = store.next_seq
    await refused(store)
    assert store.next_seq == store.committed_seq == before
    assert store.status()["full"]
    await store.append([batch(before)], reserve=True)
    assert len(files(tmp_path)) == 3
    await store.apply(WIDE)
    async with asyncio.timeout(10):
        while store.full:  # looked at by itself
            await asyncio.sleep(0.05)
    await store.append([batch(store.next_seq)])
    await store.close()


async def test_what_the_hub_received_goes_and_its_root_stays(tmp_path: Path) -> None:
    store = await with_segments(tmp_path, WIDE, 3)
    roots = [segment.root for segment in await store.segments()]
    await store.move_cursor("influx", Position(store.epoch, store.committed_seq))
    await store.move_cursor("hub", Position(store.epoch, 2 * SEGMENT + 3), {"size": 2 * SEGMENT + 3})
    await store.apply(NARROW)
    await refused(store)
    await refused(store)
    assert files(tmp_path) == ["000000000016.ndjson.gz"]
    assert [(s.root, s.freed) for s in await store.segments()] == [
        (roots[0], True),
        (roots[1], True),
        (roots[2], False),
    ]
    epoch = store.epoch
    await store.close()
    store = await opened(tmp_path)
    assert store.epochs()[0].first == 2 * SEGMENT
    with pytest.raises(KeyError):
        await store.read(Position(epoch, SEGMENT), max_entries=1, max_bytes=1)
    assert len(await store.read(Position(epoch, 2 * SEGMENT), max_entries=100, max_bytes=1 << 20)) == SEGMENT + 1
    await store.close()


async def test_a_laggards_cursor_passes_a_range_that_was_journaled(tmp_path: Path) -> None:
    store = await with_segments(tmp_path, WIDE, 3)
    await store.move_cursor("influx", Position(store.epoch, 5))
    await store.move_cursor("hub", Position(store.epoch, 2 * SEGMENT), {"size": 2 * SEGMENT})
    await store.apply(NARROW)
    await refused(store)
    await refused(store)
    due = store.skipped_due()
    assert [(r.sink, r.first, r.count) for r in due] == [("influx", 5, 2 * SEGMENT - 5)]
    assert len(files(tmp_path)) == 3, "nothing goes before it is declared"
    await store.apply(replace(WIDE, max_bytes=store.status()["size_bytes"] + 20_000))
    body = {
        "sink": due[0].sink,
        "epoch": due[0].epoch,
        "first": due[0].first,
        "count": due[0].count,
        "reason": due[0].reason,
    }
    skipped = encode(store.next_seq, "skipped", stamp(store.next_seq), body | {"roots": list(due[0].roots)})
    await store.append([skipped], reserve=True)
    await store.free(due)
    assert store.cursor("influx") == Position(store.epoch, 2 * SEGMENT)
    assert files(tmp_path) == ["000000000016.ndjson.gz"]
    assert store.skipped_due() == ()
    await store.close()


async def test_a_receipt_that_is_taken_back_holds_retention_again(tmp_path: Path) -> None:
    store = await with_segments(tmp_path, WIDE, 2)
    epoch = store.epoch
    await store.move_cursor("influx", Position(epoch, store.committed_seq))
    await store.move_cursor("hub", Position(epoch, 2 * SEGMENT), {"size": 2 * SEGMENT})
    await store.move_cursor("hub", Position(epoch, 3))
    await store.close()
    store = await opened(tmp_path)
    assert store.cursor("hub") == Position(epoch, 3)
    await store.apply(NARROW)
    await refused(store)
    assert len(files(tmp_path)) == 2
    await store.close()


async def test_texts_go_with_the_last_segment_that_names_them(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    old, kept = canonical({"n": 1}), canonical({"n": 2})
    names = {"text": text_hash(old), "texts": {"p": text_hash(kept)}}
    await store.append([snapshot(0), encode(1, "config", stamp(1), names)], [old, kept])
    await store.append(run(2, SEGMENT - 2, SEGMENT))
    again = {"config_seq": 1, "text": text_hash(kept), "texts": {}}
    await store.append([snapshot(SEGMENT, config=again)])
    async with asyncio.timeout(10):
        while not await store.segments():
            await store.heartbeat()
    end = Position(store.epoch, SEGMENT)
    await store.move_cursor("influx", end)
    await store.move_cursor("hub", end, {"size": SEGMENT})
    await store.apply(NARROW)
    await refused(store)
    await refused(store)
    assert await store.text(text_hash(kept)) == kept
    with pytest.raises(KeyError):
        await store.text(text_hash(old))
    await store.close()


async def test_autonomy_is_said_in_hours(tmp_path: Path) -> None:
    store = await with_segments(tmp_path, WIDE, 3)
    status = store.status()
    # 23 seconds of entries in three segments: the pace of late.
    size = sum(segment.size_bytes for segment in await store.segments())
    assert status["bytes_per_day"] == pytest.approx(size * 86_400 / 23, rel=1e-6)
    room = WIDE.max_bytes - WIDE.reserve_bytes - status["size_bytes"]
    assert status["autonomy_hours"] == pytest.approx(room / status["bytes_per_day"] * 24, abs=0.1)
    assert status["full"] is False
    await store.close()


@pytest.mark.parametrize("entries", [0, 1, 3, 100])
def test_a_segment_is_a_power_of_two(entries: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        replace(WIDE, segment_entries=entries)


@given(st.integers(1, 10**12))
def test_the_reserve_is_a_twentieth_or_more(max_bytes: int) -> None:
    settings = replace(WIDE, max_bytes=max_bytes)
    assert settings.reserve_bytes >= max_bytes // 20
    assert settings.reserve_bytes >= min(8 * 1024 * 1024, max_bytes // 4)
    assert settings.ballast_bytes <= settings.reserve_bytes
