"""Which checkpoint the hub is shown: never one that it does not hold whole, never one below what it cosigned."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge_gateway import events
from edge_gateway.clock import SystemClock
from edge_gateway.journal.retention import JournalSettings
from edge_gateway.journal.store import Store, open_journal
from edge_gateway.shipping import witnessing
from edge_gateway.shipping.witnessing import Witnessing
from edge_gateway.sinks.base import Held
from tests.journal.entries import run
from tests.journal.witness import cosigned
from tests.regulator_hub.harness import registered, running_hub
from tests.sinks.test_hub import sink_for

SEGMENT = 16


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Store]:
    settings = JournalSettings(max_bytes=1 << 30, segment_entries=SEGMENT, hub_name="hub", sinks=("hub",), commit_every_us=20_000)
    store = await open_journal(tmp_path / "journal", settings=settings, clock=SystemClock(declared=True))
    await store.append(run(0, 12, SEGMENT))
    yield store
    await store.close()


def note(size: int, lines: int = 1) -> bytes:
    """Bytes that have as many signature lines as a signed, or cosigned, note has."""
    return f"log\n{size}\nroot\n\n".encode() + "\N{EM DASH} name AAAAAAAA\n".encode() * lines


async def kept(store: Store, holds: set[int]) -> list[tuple[int, bytes]]:
    """The notes that the journal has, once they are of these sizes."""
    async with asyncio.timeout(10):
        while True:
            found = [(size, data) for _, size, data in await store.checkpoints()]
            if {size for size, _ in found} == holds:
                return found
            await asyncio.sleep(0.02)


async def test_the_newest_cosigned_note_outlasts_those_that_only_were_signed(journal: Store) -> None:
    for size in (1, 2):
        journal.keep_checkpoint(journal.epoch, size, note(size))
    journal.keep_checkpoint(journal.epoch, 1, note(1, lines=2))  # in one commit with what it replaces
    assert (await kept(journal, {1, 2}))[0] == (1, note(1, lines=2))
    for size in range(3, 13):
        journal.keep_checkpoint(journal.epoch, size, note(size))
    assert [size for size, _ in await kept(journal, {1, *range(5, 13)})] == [1, *range(5, 13)]
    journal.keep_checkpoint(journal.epoch, 12, note(12, lines=2))
    await kept(journal, set(range(5, 13)))


async def test_the_newest_note_of_each_witness_stays_when_another_takes_its_place(journal: Store) -> None:
    def cosign(size: int, number: int) -> None:
        journal.keep_checkpoint(journal.epoch, size, cosigned(journal.epoch, size, number))

    cosign(1, 1)
    cosign(2, 1)
    for size in range(3, 14):
        cosign(size, 2)
    await kept(journal, {2, *range(6, 14)})
    for number in (3, 4, 5, 6):  # a hub that is another each time fills no disk
        cosign(11 + number, number)
    for size in range(18, 26):
        journal.keep_checkpoint(journal.epoch, size, note(size))
    await kept(journal, {14, 15, 16, 17, *range(18, 26)})


async def test_what_is_shown_and_what_is_not(journal: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a real hub that knows no key: each checkpoint that is shown is counted there, and refused."""
    monkeypatch.setattr("edge_gateway.sinks.hub_witness.EARLY_S", 0.001)
    monkeypatch.setattr(witnessing, "EVERY_S", 0.001)
    token, told = registered(tmp_path / "hub"), list[events.Event]()
    async with running_hub(tmp_path / "hub") as running:
        sink = sink_for(tmp_path, token, url=running.url)
        waits: list[float] = []
        made, epoch = Witnessing(sink, journal, told.append, waits.append), journal.epoch
        for size in (3, 6, 9):
            made.offer(epoch, size, note(size))

        async def shown() -> int:
            before = running.hub.desk.counts["checkpoint"]
            await asyncio.sleep(0.01)  # beyond the pace
            await made.show(stopping=False)
            return running.hub.desk.counts["checkpoint"] - before

        await sink.meet(journal.known_epochs())
        assert await shown() == 0  # nothing is held
        made.met([Held(epoch=epoch, size=7, witnessed=0)])
        assert await shown() == 1
        made.met([Held(epoch=epoch, size=7, witnessed=7)])
        assert await shown() == 0  # 6 is below what was cosigned, 9 is not held
        made.receipted(epoch, 9)
        assert await shown() == 1
        made.met([Held(epoch=epoch, size=9, witnessed=10)])
        assert await shown() == 0
        assert told == []
        await sink.close()
