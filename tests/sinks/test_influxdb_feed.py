"""What an entry becomes depends on the record alone: any redelivery, from any place, gives the same lines again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_gateway.errors import JournalDamaged, SegmentDamaged
from edge_gateway.journal.base import Position
from edge_gateway.reading import Message
from edge_gateway.sinks.influxdb_feed import LOOK_BACK, Feed, Undecodable
from edge_gateway.sinks.influxdb_time import TrustedTime
from edge_gateway.wire import line
from tests.sinks.influx_record import EPOCH, SITE, START_US, Record, StillClock


def feed() -> Feed:
    return Feed(SITE, TrustedTime(StillClock(boot="another00000"), 0))


async def lines(it: Feed, record: Record, first: int, last: int) -> list[list[str]]:
    await it.go_to(Position(record.epoch, first), record)
    return [await it.lines(record.entries[seq], record.epoch, seq, record) for seq in range(first, last)]


#: (kind, how far the clock goes on in µs: sometimes nowhere, sometimes back, the message's own time)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["batch", "batch", "message", "violation", "event", "started", "snapshot", "gap"]),
        st.sampled_from([0, 0, 0, 1, 1_000_000, -1_000_000]),
        st.sampled_from([START_US, START_US + 1, START_US - 1_000_000]),
    ),
    max_size=50,
)


def grow(steps: list[tuple[str, int, int]]) -> Record:
    record = Record()
    record.configure(["a", "b"])
    for kind, by_us, own_us in steps:
        record.wall_us += by_us
        bodies: dict[str, dict[str, Any]] = {
            "violation": {"violation": "v-1", "rule": "r", "point": "a", "step": "acknowledged"},
            "event": {"event": "clock-stepped", "step_us": 1},
            "gap": {"gap": "g/1", "state": "open", "groups": ["*"], "reason": "busy"},
            "started": {"event": "started"},
            "snapshot": {"config": None, "state": {}},
        }
        if kind == "batch":
            record.batch([1.0, 2.0])
        elif kind == "message":
            record.batch([1.0, 2.0], message=Message(topic="t", payload=b"{}", time_us=own_us))
        else:
            record.add("event" if kind == "started" else kind, **bodies[kind])
    return record


@given(STEPS, st.integers(0, 50))
def test_a_redelivery_from_anywhere_gives_the_same_lines(steps: list[tuple[str, int, int]], first: int) -> None:
    record = grow(steps)
    size = len(record.entries)
    first = min(first, size)
    whole = asyncio.run(lines(feed(), record, 0, size))
    again = asyncio.run(lines(feed(), record, first, size))
    assert again == whole[first:]


@given(STEPS)
def test_neighbours_never_overwrite_each_other(steps: list[tuple[str, int, int]]) -> None:
    record = grow(steps)
    made = asyncio.run(lines(feed(), record, 0, len(record.entries)))
    seen: dict[tuple[str, str], int] = {}
    for seq, texts in enumerate(made):
        for text in texts:
            key = line.series(text), text.rpartition(" ")[2]
            assert seq - seen.get(key, -1000) > LOOK_BACK, f"{key} of entry {seen[key]} is overwritten by {seq}"
            seen[key] = seq


async def test_going_back_in_one_feed_gives_the_same_lines() -> None:
    record = grow([("batch", 0, 0)] * 30)
    it = feed()
    whole = await lines(it, record, 0, 31)
    for first in (30, 5, 17, 0):
        assert await lines(it, record, first, 31) == whole[first:]


async def test_an_ended_limit_is_told_also_after_a_restart() -> None:
    record = Record()
    record.configure(["a"], [{"id": "old", "points": ["a"], "high": "1"}])
    record.batch([1.0])
    seq = record.configure(["a"], [{"id": "new", "points": ["a"], "high": "2"}])
    (texts,) = await lines(feed(), record, seq, seq + 1)
    assert [text.partition(" ")[0] for text in texts] == [
        "limit,point=a,rule=new,site=tlf-007",
        "limit,point=a,rule=old,site=tlf-007",
    ]
    assert "in_force=false" in texts[1]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"config_seq":0', b'"config_seq":5'),
        (b'"dev.1"', b'"dev.9"'),
        (b"[1.0,2.0]", b"[1.0]"),
        (b"[1.0,2.0]", b'["x",2]'),
        (b"{", b"["),
    ],
)
async def test_what_does_not_fit_is_undecodable_and_the_next_one_goes_on(old: bytes, new: bytes) -> None:
    record = grow([("batch", 1, 0)] * 2)
    record.entries[1] = record.entries[1].replace(old, new, 1)
    it = feed()
    await it.go_to(Position(EPOCH, 0), record)
    await it.lines(record.entries[0], EPOCH, 0, record)
    with pytest.raises(Undecodable, match="cannot be decoded"):
        await it.lines(record.entries[1], EPOCH, 1, record)
    assert len(await it.lines(record.entries[2], EPOCH, 2, record)) == 2


class Damaged(Record):
    """A record whose first eight entries lie in a segment that does not read."""

    async def read(self, start: Position, *, max_entries: int, max_bytes: int) -> list[bytes]:
        if start.seq < 8:
            raise SegmentDamaged("its file is missing", epoch=start.epoch, first=0, count=8)
        return await super().read(start, max_entries=max_entries, max_bytes=max_bytes)


async def test_behind_a_damaged_segment_lines_are_made_as_if_nothing_lay_before() -> None:
    record = Damaged()
    record.configure(["a"])
    for _ in range(12):
        record.tick()
        record.batch([1.0])
    made = await lines(feed(), record, 8, 13)
    assert all(len(texts) == 1 for texts in made)


async def test_a_correction_behind_a_damaged_segment_is_found() -> None:
    record = Damaged(boot="another00000", trusted=False)
    record.configure(["a"])
    for _ in range(9):
        record.batch([1.0])
    record.trusted = True
    record.add("correction", offset_us=START_US)
    clock = StillClock(boot="another00000")
    it = Feed(SITE, TrustedTime(clock, 10**12))
    await it.go_to(Position(record.epoch, 3), record)
    (text,) = await it.lines(record.entries[3], record.epoch, 3, record)
    assert text.endswith(f" {START_US + record.mono_us}")


async def test_an_entry_whose_configuration_is_damaged_is_set_aside() -> None:
    class WithoutText(Record):
        async def config(self, epoch: str, config_seq: int) -> dict[str, Any]:
            raise JournalDamaged("text does not match its name")

    record = WithoutText()
    record.configure(["a"])
    record.batch([1.0])
    with pytest.raises(Undecodable, match="does not match"):
        await lines(feed(), record, 1, 2)
