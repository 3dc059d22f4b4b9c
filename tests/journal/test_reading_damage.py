"""A damaged segment costs its own entries: what it says of others is read where it stands again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from edge_gateway.clock import SystemClock
from edge_gateway.errors import SegmentDamaged
from edge_gateway.journal.base import Position
from edge_gateway.journal.reading import Reading
from edge_gateway.journal.retention import JournalSettings
from edge_gateway.journal.segments import segment_path
from edge_gateway.journal.store import Store, open_journal
from edge_gateway.record.entry import canonical, encode, text_hash
from tests.journal.entries import batch, snapshot, stamp

SEGMENT = 8
RESOLVED: dict[str, Any] = {"points": {}, "groups": {"cold1-th.1": {"points": ["a", "b"]}}}
TEXT = canonical(RESOLVED)


async def configured(folder: Path) -> Store:
    """Three sealed segments and an open one; the only ``config`` entry is number 1."""
    settings = JournalSettings(max_bytes=1 << 30, segment_entries=SEGMENT)
    store = await open_journal(folder, settings=settings, clock=SystemClock(declared=True))
    named = {"config_seq": 1, "text": text_hash(TEXT), "texts": {}}
    entries = [snapshot(0), encode(1, "config", stamp(1), {"text": named["text"], "texts": {}})]
    entries += [snapshot(n, config=named) if n % SEGMENT == 0 else batch(n) for n in range(2, 3 * SEGMENT + 4)]
    await store.append(entries, [TEXT])
    async with asyncio.timeout(10):
        while len(await store.segments()) < 3:
            await asyncio.sleep(0.01)
    return store


@pytest.mark.parametrize("gone", [[0], [0, 8], [0, 8, 16]])
async def test_a_configuration_whose_entry_is_damaged_is_found_in_a_later_snapshot(
    tmp_path: Path, gone: list[int]
) -> None:
    store = await configured(tmp_path)
    try:
        for first in gone:
            segment_path(tmp_path, store.epoch, first).write_bytes(b"rubbish" * 40)
        assert await store.config(store.epoch, 1) == RESOLVED
        with pytest.raises(KeyError):
            await store.config(store.epoch, 2)
    finally:
        await store.close()


async def test_a_missing_segment_says_what_is_missing_so_that_others_go_on_behind_it(tmp_path: Path) -> None:
    store = await configured(tmp_path)
    try:
        epoch = store.epoch
    finally:
        await store.close()
    segment_path(tmp_path, epoch, 8).unlink()
    reading = Reading(tmp_path)
    with pytest.raises(SegmentDamaged, match="missing") as damage:
        reading.read(Position(epoch, 9), max_entries=1, max_bytes=1)
    assert (damage.value.epoch, damage.value.first, damage.value.count) == (epoch, 8, SEGMENT)
    reading.close()
