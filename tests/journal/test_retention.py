"""What may be freed: the plan as a pure function, and the store that follows it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_gateway.clock import SystemClock
from edge_gateway.errors import JournalFull
from edge_gateway.journal.base import Position
from edge_gateway.journal.keeping import DAY_US, EVER
from edge_gateway.journal.retention import Bounds, JournalSettings, Plan, SkippedRange, plan
from edge_gateway.journal.segments import Segment
from edge_gateway.journal.store import Store, open_journal
from edge_gateway.record.entry import canonical, encode, text_hash
from tests.journal.entries import batch, run, snapshot, stamp
from tests.journal.witness import cosigned, hub_key, signed

SEGMENT = 8
A, B = "a" * 16, "b" * 16
ORDER = {A: 1, B: 2}


def segment(epoch: str, number: int) -> Segment:
    return Segment(
        epoch=epoch, first=number * 10, count=10, root=f"{number:064x}", size_bytes=100, wall_us=(0, 1), texts=()
    )  # fmt: skip


SEGMENTS = [segment(A, 0), segment(A, 1), segment(B, 0), segment(B, 1)]


def bounds(limits: dict[str, int] | None, cursors: dict[str, Position | None] | None = None) -> Bounds:
    return Bounds(limits=dict.fromkeys(ORDER, EVER) if limits is None else limits, cursors=cursors or {}, order=ORDER)


def places(segments: Sequence[Segment]) -> list[tuple[str, int]]:
    return [(each.epoch, each.first) for each in segments]


def test_nothing_goes_beyond_its_epochs_limit() -> None:
    assert places(plan(SEGMENTS, 1000, bounds({A: 19})).free) == [(A, 0)]
    assert plan(SEGMENTS, 1000, bounds({})) == Plan()


def test_an_epoch_that_is_never_witnessed_holds_up_no_other() -> None:
    """Served to its end and never witnessed beyond a skip: what lies behind stays, and the next epochs go on."""
    found = plan(SEGMENTS, 1000, bounds({A: 10, B: 20}))
    assert places(found.free) == [(A, 0), (B, 0), (B, 10)]


def test_no_more_goes_than_is_needed() -> None:
    assert len(plan(SEGMENTS, 150, bounds(None)).free) == 2
    assert plan(SEGMENTS, 0, bounds(None)) == Plan()


def test_what_is_old_goes_without_need_and_what_goes_before_its_time_is_named() -> None:
    assert plan(SEGMENTS, 0, bounds(None), {(A, 0)}) == Plan(free=(SEGMENTS[0],))
    found = plan(SEGMENTS, 250, bounds(None), {(A, 0)})
    assert (places(found.free), places(found.early)) == ([(A, 0), (A, 10), (B, 0)], [(A, 10), (B, 0)])
    assert plan(SEGMENTS, 0, bounds({A: 5, B: 0}), {(A, 0), (B, 0)}) == Plan(), "age frees nothing that is owed"


def test_a_laggard_does_not_hold_retention_but_its_loss_is_declared() -> None:
    found = plan(SEGMENTS, 1000, bounds({A: 20, B: 10}, {"influx": Position(A, 14)}))
    assert [s.first for s in found.free] == [0]
    assert found.skipped == (
        SkippedRange(sink="influx", epoch=A, first=14, count=6, reason="journal-full", roots=()),
        SkippedRange(sink="influx", epoch=B, first=0, count=10, reason="journal-full", roots=(f"{0:064x}",)),
    )


def test_a_sink_that_was_never_served_skips_everything_that_must_go() -> None:
    found = plan(SEGMENTS, 200, bounds(None, {"influx": None}))
    assert found.free == ()
    assert [(r.epoch, r.first, r.count, r.roots) for r in found.skipped] == [(A, 0, 20, (f"{0:064x}", f"{1:064x}"))]
    (part,) = found.skipped
    again = Bounds(limits=dict.fromkeys(ORDER, EVER), cursors={"influx": None}, order=ORDER, declared=[part])
    assert places(plan(SEGMENTS, 200, again).free) == [(A, 0), (A, 10)], "declared: it may go"


def test_a_range_that_goes_by_age_says_so() -> None:
    found = plan(SEGMENTS, 0, bounds(None, {"influx": None}), {(A, 0)})
    assert [(r.first, r.count, r.reason) for r in found.skipped] == [(0, 10, "aged")]


def test_a_long_range_is_declared_in_parts_that_fit_into_an_entry() -> None:
    many = [segment(A, number) for number in range(4_500)]
    found = plan(many, 10**9, bounds(None, {"influx": Position(A, 5)}))
    assert [(r.first, r.end, len(r.roots)) for r in found.skipped] == [
        (5, 20_010, 2_000), (20_010, 40_010, 2_000), (40_010, 45_000, 499),
    ]  # fmt: skip


@given(
    st.integers(0, 500),
    st.fixed_dictionaries({A: st.integers(0, 25), B: st.integers(0, 25)}),
    st.dictionaries(
        st.sampled_from(["x", "y"]),
        st.none() | st.builds(Position, st.sampled_from([A, B]), st.integers(0, 20)),
    ),
    st.sets(st.sampled_from(places(SEGMENTS))),
)
def test_whatever_the_state_only_declared_or_served_entries_go(
    need: int, held: dict[str, int], cursors: dict[str, Position | None], aged: set[tuple[str, int]]
) -> None:
    found = plan(SEGMENTS, need, bounds(held, cursors), aged)
    for epoch in ORDER:
        mine = [s for s in SEGMENTS if s.epoch == epoch]
        gone = [s for s in found.free if s.epoch == epoch]
        assert gone == mine[: len(gone)], "no holes within an epoch"
    for freed in found.free:
        assert held[freed.epoch] >= freed.end
        for cursor in cursors.values():
            assert cursor is not None
            assert (ORDER[cursor.epoch], cursor.seq) >= (ORDER[freed.epoch], freed.end)
    assert set(places(found.early)) == set(places(found.free)) - aged
    assert not found.early or sum(s.size_bytes for s in found.early) < need + 100, "no more early than is needed"
    for part in found.skipped:
        assert part.count > 0
        assert held[part.epoch] >= part.end
        cursor = cursors[part.sink]
        assert cursor is None or (ORDER[cursor.epoch], cursor.seq) <= (ORDER[part.epoch], part.first)


# --- the store ------------------------------------------------------------------------------------------------

WIDE = JournalSettings(
    max_bytes=1 << 30, segment_entries=SEGMENT, commit_every_us=20_000, hub_name="hub", hub_vkey=str(hub_key()),
    sinks=("hub", "influx"),
)  # fmt: skip
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


async def witnessed(store: Store, size: int) -> None:
    """The hub holds and cosigned so many entries of the open epoch."""
    await store.move_cursor("hub", Position(store.epoch, size), {"size": size})
    store.keep_checkpoint(store.epoch, size, cosigned(store.epoch, size))
    await store.quarantine_add("influx", store.epoch, [])  # a commit that it rides with


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


async def test_what_the_hub_holds_and_did_not_witness_stays(tmp_path: Path) -> None:
    """Planted: retention by the receipt, as it once was, frees all three. So would a signature that is no hub's."""
    store = await with_segments(tmp_path, WIDE, 3)
    size = store.committed_seq
    await store.move_cursor("influx", Position(store.epoch, size))
    await store.move_cursor("hub", Position(store.epoch, size), {"size": size})
    store.keep_checkpoint(store.epoch, size, signed(store.epoch, size))
    store.keep_checkpoint(store.epoch, size - 1, cosigned(store.epoch, size - 1, 2))  # another hub's key
    store.keep_checkpoint(store.epoch, size - 2, cosigned(store.epoch, size - 2, name="b" * 16))  # another epoch's
    await store.apply(NARROW)
    await refused(store)
    await refused(store)
    assert len(files(tmp_path)) == 3
    (mine,) = store.status()["keeping"]["epochs"]
    assert (mine["held"], mine["limit"], mine["size"]) == (size, 0, size)
    assert store.freed_early() == ()
    await store.close()
    store = await opened(tmp_path, NARROW)
    await refused(store)
    assert len(files(tmp_path)) == 3
    await store.close()
    by_receipt = {store.epoch: size}
    assert len(plan([segment(store.epoch, 0)], 1, Bounds(limits=by_receipt, cursors={}, order={store.epoch: 1})).free) == 1


async def test_what_the_hub_witnessed_goes_and_its_root_stays(tmp_path: Path) -> None:
    store = await with_segments(tmp_path, WIDE, 3)
    roots = [segment.root for segment in await store.segments()]
    await store.move_cursor("influx", Position(store.epoch, store.committed_seq))
    await witnessed(store, 2 * SEGMENT + 3)
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
    assert [(s.first, s.root) for s in store.freed_early()] == [(0, roots[0]), (SEGMENT, roots[1])]
    await store.close()
    store = await opened(tmp_path)
    assert [s.first for s in store.freed_early()] == [0, SEGMENT], "told by nobody yet, also after a restart"
    await store.told(store.freed_early())
    assert store.freed_early() == ()
    assert store.status()["keeping"]["freed_early"] == 2
    assert store.epochs()[0].first == 2 * SEGMENT
    with pytest.raises(KeyError):
        await store.read(Position(epoch, SEGMENT), max_entries=1, max_bytes=1)
    assert len(await store.read(Position(epoch, 2 * SEGMENT), max_entries=100, max_bytes=1 << 20)) == SEGMENT + 1
    await store.close()


async def test_a_laggards_cursor_passes_a_range_that_was_journaled(tmp_path: Path) -> None:
    store = await with_segments(tmp_path, WIDE, 3)
    await store.move_cursor("influx", Position(store.epoch, 5))
    await witnessed(store, 2 * SEGMENT)
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
    await witnessed(store, 2 * SEGMENT)
    await store.move_cursor("hub", Position(epoch, 3))
    await store.close()
    store = await opened(tmp_path)
    assert store.cursor("hub") == Position(epoch, 3)
    await store.apply(NARROW)
    await refused(store)
    assert len(files(tmp_path)) == 2
    await witnessed(store, 2 * SEGMENT)  # served again, and cosigned again
    await refused(store)
    assert files(tmp_path) == []
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
    await store.move_cursor("influx", Position(store.epoch, SEGMENT))
    await witnessed(store, SEGMENT)
    await store.apply(NARROW)
    await refused(store)
    await refused(store)
    assert await store.text(text_hash(kept)) == kept
    with pytest.raises(KeyError):
        await store.text(text_hash(old))
    await store.close()


ALONE = replace(WIDE, hub_name=None, hub_vkey="", sinks=())


async def test_taking_the_hub_out_frees_nothing_of_what_it_is_owed_until_a_person_says_so(tmp_path: Path) -> None:
    store = await with_segments(tmp_path, WIDE, 3)
    epoch, end = store.epoch, store.committed_seq
    await witnessed(store, SEGMENT + 1)
    await store.close()
    alone = replace(ALONE, max_bytes=8192)
    for _ in range(2):  # nor at the next start
        store = await opened(tmp_path, alone)
        await refused(store)
        assert files(tmp_path) == ["000000000008.ndjson.gz", "000000000016.ndjson.gz"], "the first one was witnessed"
        (due,) = store.status()["keeping"]["dues"]
        assert due == {"hub": "hub", "configured": False, "epoch": epoch, "seq": end, "waiting": end - SEGMENT - 1}
        await store.close()
    store = await opened(tmp_path, alone)
    await store.keep(lambda keeping: keeping.without("hub"))
    await refused(store)
    assert files(tmp_path) == []
    assert store.status()["keeping"]["dues"] == []
    await store.close()


async def test_another_hub_under_the_same_name_frees_nothing_of_what_the_one_before_is_owed(tmp_path: Path) -> None:
    """A hub is known by its key: a new key in its place, which cosigns all, is no person's word."""
    store = await with_segments(tmp_path, replace(WIDE, sinks=("hub",)), 3)
    epoch, end = store.epoch, store.committed_seq
    await witnessed_by(store, SEGMENT + 1, 1)
    await store.close()
    other = replace(NARROW, sinks=("hub",), hub_vkey=str(hub_key(2)))
    owed = f"hub {hub_key().name}+{hub_key().id.hex()}"
    for _ in range(2):  # nor at the next start
        store = await opened(tmp_path, other)
        await witnessed_by(store, end, 2)
        await refused(store)
        assert files(tmp_path) == ["000000000008.ndjson.gz", "000000000016.ndjson.gz"], "both hubs witnessed the first one"
        past, present = store.status()["keeping"]["dues"]
        assert (past["hub"], past["configured"], past["epoch"], past["seq"]) == (owed, False, epoch, end)
        assert (present["hub"], present["configured"]) == ("hub", True)
        await store.close()
    store = await opened(tmp_path, other)
    await store.keep(lambda keeping: keeping.without(owed))
    await refused(store)
    assert files(tmp_path) == []
    await store.close()


async def witnessed_by(store: Store, size: int, number: int) -> None:
    """The hub with that key holds and cosigned so many entries of the open epoch."""
    await store.move_cursor("hub", Position(store.epoch, size), {"size": size})
    store.keep_checkpoint(store.epoch, size, cosigned(store.epoch, size, number))
    await store.settled()


async def test_what_was_written_after_the_hub_was_taken_out_is_not_owed(tmp_path: Path) -> None:
    store = await with_segments(tmp_path, ALONE, 3)
    await store.apply(replace(ALONE, max_bytes=8192))
    await refused(store)
    assert files(tmp_path) == []
    assert len(store.freed_early()) == 3, "no hub holds nothing up, but it went before its time"
    await store.close()


async def test_an_epoch_that_a_person_let_go_is_not_held(tmp_path: Path) -> None:
    store = await with_segments(tmp_path, replace(WIDE, sinks=("hub",)), 2)
    old = store.epoch
    await store.new_epoch("skipped")
    await store.append(run(0, SEGMENT + 1, SEGMENT, size=200))
    await store.apply(replace(NARROW, sinks=("hub",)))
    await refused(store)
    assert len(files(tmp_path)) >= 3
    await store.keep(lambda keeping: keeping.letting_go(old))
    await refused(store)
    assert {s.epoch for s in await store.segments() if s.freed} == {old}
    assert all(not s.freed for s in await store.segments() if s.epoch != old)
    await store.close()
    store = await opened(tmp_path)
    assert store.status()["keeping"]["released"] == [old]
    await store.close()


async def test_a_cursor_passes_nothing_that_stays(tmp_path: Path) -> None:
    """An old epoch's unwitnessed rest is still to be served: the sink's loss behind it is declared, its place stays."""
    store = await with_segments(tmp_path, WIDE, 2)
    old = store.epoch
    await witnessed(store, SEGMENT)
    await store.new_epoch("skipped")
    await store.append(run(0, SEGMENT + 1, SEGMENT, size=200))
    async with asyncio.timeout(10):
        while len(await store.segments()) < 4:
            await store.heartbeat()
    await witnessed(store, SEGMENT)
    await store.move_cursor("influx", Position(old, 3))
    await store.apply(NARROW)
    await refused(store)
    await refused(store)
    due = store.skipped_due()
    assert [(r.epoch, r.first, r.count) for r in due] == [(old, 3, SEGMENT - 3), (store.epoch, 0, SEGMENT)]
    await store.apply(replace(NARROW, max_bytes=store.status()["size_bytes"] + 4_000))
    await store.free(due)
    assert store.cursor("influx") == Position(old, SEGMENT)
    assert [s.first for s in await store.segments() if s.epoch == old and s.freed] == [0]
    assert [s.first for s in await store.segments() if s.epoch == store.epoch and s.freed] == [0]
    await store.close()


async def test_only_a_person_shortens_the_keep_time(tmp_path: Path) -> None:
    def told(store: Store) -> tuple[int, int]:
        keeping = store.status()["keeping"]
        return keeping["keep_us"] // DAY_US, keeping["asked_us"] // DAY_US

    for days, expected in ((30, 30), (90, 90), (7, 90), (7, 90)):
        store = await opened(tmp_path, replace(WIDE, keep_us=days * DAY_US))
        assert told(store) == (expected, days)
        await store.close()
    store = await opened(tmp_path, replace(WIDE, keep_us=7 * DAY_US))
    await store.keep(lambda keeping: replace(keeping, keep_us=7 * DAY_US))
    await store.close()
    store = await opened(tmp_path, replace(WIDE, keep_us=7 * DAY_US))
    assert told(store) == (7, 7)
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
