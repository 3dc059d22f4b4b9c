"""Shipping over the real journal: order, cursors, trouble, quarantine, epochs; chaos loses nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from edge_gateway import events
from edge_gateway.errors import JournalFull, NotAuthorised, Unreachable
from edge_gateway.intake.previous import previous
from edge_gateway.journal.base import EpochInfo, Position, Reader
from edge_gateway.journal.retention import JournalSettings, Plan
from edge_gateway.journal.store import Store, open_journal
from edge_gateway.record import entry
from edge_gateway.shipping.delivery import Asks
from edge_gateway.shipping.hub import NOTHING_KEPT
from edge_gateway.shipping.loop import Shipping
from edge_gateway.sinks.base import Held, Outcome, Rejected, Run
from edge_gateway.telemetry import Telemetry
from edge_gateway.testing import ChaosSink, FakeClock, RecordingSink

STAMP = entry.Stamp(1, 1, 1, "b", True)


def entries(first: int, count: int, segment: int = 16) -> list[bytes]:
    """Valid entries: a snapshot where a segment begins, ticks elsewhere."""
    return [
        entry.encode(seq, "snapshot", STAMP, {"config": None, "state": {}})
        if seq % segment == 0
        else entry.encode(seq, "tick", STAMP, {})
        for seq in range(first, first + count)
    ]


@asynccontextmanager
async def journal(folder: Path) -> AsyncIterator[Store]:
    sinks = ("recording", "chaos", "hub")
    settings = JournalSettings(max_bytes=1 << 30, segment_entries=16, sinks=sinks, hub_name="hub")
    store = await open_journal(folder, settings=settings, clock=FakeClock())
    try:
        yield store
    finally:
        await store.close()


class Ship:
    """Shipping with everything it told and asked kept."""

    def __init__(self, store: Store, sinks: Sequence[Any] = (), hubs: Sequence[Any] = ()) -> None:
        self.told: list[events.Event] = []
        self.asked: list[tuple[str, Any]] = []
        self.store = store

        async def reopen(reason: str, branches: Sequence[dict[str, Any]]) -> None:
            self.asked.append(("reopen", reason))
            await store.new_epoch(reason)
            first = entry.encode(0, "snapshot", STAMP, {"config": None, "previous": await previous(store, branches)})
            await store.append([first])

        async def record(kind: str, body: dict[str, Any]) -> None:
            self.asked.append((kind, body))

        self.shipping = Shipping(
            journal=store, sinks=sinks, hubs=hubs, tell=self.told.append, wall_us=lambda: 1, asks=Asks(reopen, record)
        )

    async def until_served(self, within_s: float = 10.0) -> None:
        """Run, and stop once everything is delivered."""
        task = asyncio.create_task(self.shipping.run())
        async with asyncio.timeout(within_s):
            while not task.done() and not all(self._served(d.sink.name) for d in self.shipping.deliveries):
                await asyncio.sleep(0.01)
            self.shipping.stop()
            await task

    def _served(self, sink: str) -> bool:
        last = self.store.epochs()[-1]
        return self.store.cursor(sink) == Position(last.epoch, last.size)


def of(taken: list[tuple[str, int, bytes]]) -> list[int]:
    return [seq for _epoch, seq, _data in taken]


async def test_a_sink_gets_every_entry_once_in_order_and_the_cursor_survives(tmp_path: Path) -> None:
    async with journal(tmp_path) as store:
        await store.append(entries(0, 40))
        sink = RecordingSink()
        await Ship(store, [sink]).until_served()
        assert of(sink.taken) == list(range(40))
        assert [data for *_, data in sink.taken] == entries(0, 40)
    async with journal(tmp_path) as store:
        await store.append(entries(40, 5))
        sink = RecordingSink()
        await Ship(store, [sink]).until_served()
        assert of(sink.taken) == list(range(40, 45))


@pytest.mark.parametrize("seed", range(8))
async def test_chaos_loses_nothing_and_keeps_order(tmp_path: Path, seed: int) -> None:
    """A sink that fails before, after or in the middle of taking: repeats are allowed, holes and reversals are not."""
    async with journal(tmp_path) as store:
        await store.append(entries(0, 200))
        sink = ChaosSink(seed=seed)
        await Ship(store, [sink]).until_served()
        taken = of(sink.taken)
    seen = -1
    for seq in taken:
        assert seq <= seen + 1, "a hole"
        seen = max(seen, seq)
    assert seen == 199


async def test_the_chaos_check_catches_a_loop_that_moves_on_after_a_failure(tmp_path: Path) -> None:
    """Planted fault: the check above must be able to fail."""
    async with journal(tmp_path) as store:
        await store.append(entries(0, 200))
        sink = ChaosSink(seed=3, failure_rate=0.9)
        ship = Ship(store, [sink])
        (delivery,) = ship.shipping.deliveries

        async def lossy(position: Position) -> Position:
            return Position(position.epoch, min(position.seq + 1, 199))

        delivery.resume = lossy  # type: ignore[method-assign]
        await ship.until_served()
    seen, holes = -1, 0
    for seq in of(sink.taken):
        holes += seq > seen + 1
        seen = max(seen, seq)
    assert holes


async def test_a_dead_sink_delays_no_other(tmp_path: Path) -> None:
    class Dead(RecordingSink):
        async def deliver(self, run: Run, reader: Reader) -> Outcome:
            raise NotAuthorised("401")

    async with journal(tmp_path) as store:
        await store.append(entries(0, 40))
        dead, good = Dead("chaos"), RecordingSink()
        ship = Ship(store, [dead, good])
        task = asyncio.create_task(ship.shipping.run())
        async with asyncio.timeout(5):
            while len(good.taken) < 40:
                await asyncio.sleep(0.01)
        status = ship.shipping.status()
        ship.shipping.stop()
        async with asyncio.timeout(5):
            await task
    assert status["chaos"]["state"] == "unauthorised"
    assert status["chaos"]["why"] == "401"
    assert len([e for e in ship.told if isinstance(e, events.SinkTroubled)]) == 1


async def test_what_waiting_does_not_mend_is_an_alarm_also_after_other_trouble(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Away(RecordingSink):
        answers: Sequence[Exception] = (Unreachable("away"), Unreachable("away"), NotAuthorised("401: no such token"))
        asked = 0

        async def deliver(self, run: Run, reader: Reader) -> Outcome:
            self.asked += 1
            if self.asked <= len(self.answers):
                raise self.answers[self.asked - 1]
            return await super().deliver(run, reader)

    async with journal(tmp_path) as store:
        await store.append(entries(0, 5))
        sink = Away()
        ship = Ship(store, [sink])
        telemetry = Telemetry()
        running = asyncio.create_task(ship.shipping.run())
        async with asyncio.timeout(10):
            while ship.shipping.status()["recording"]["state"] != "unauthorised":
                await asyncio.sleep(0.01)
        ship.shipping.stop()
        await running
    told = [event for event in ship.told if isinstance(event, events.SinkTroubled)]
    assert [event.authorised for event in told] == [True, False], "once a state, not once a try"
    assert sink.taken == []
    for event in told:
        telemetry.tell(event)
    assert [record.levelname for record in caplog.records if "sink recording" in record.message] == ["WARNING", "ERROR"]
    assert b'edge_gateway_alarms_total{code="sink-unauthorised"} 1.0' in telemetry.metrics()


async def test_refused_lines_go_to_the_quarantine_and_block_nothing(tmp_path: Path) -> None:
    class Picky(RecordingSink):
        async def deliver(self, run: Run, reader: Reader) -> Outcome:
            await super().deliver(run, reader)
            seqs = [run.first + i for i in range(len(run.entries))]
            bad = [Rejected(seq=seq, line="line", reason="no such field") for seq in seqs if seq == 7]
            return Outcome(accepted=len(run.entries), rejected=bad)

    async with journal(tmp_path) as store:
        await store.append(entries(0, 20))
        sink = Picky()
        await Ship(store, [sink]).until_served()
        (item,) = await store.quarantine_list("recording")
    assert (item.seq, item.line, item.reason) == (7, "line", "no such field")
    assert of(sink.taken) == list(range(20))


async def test_epochs_are_served_one_after_the_other(tmp_path: Path) -> None:
    async with journal(tmp_path) as store:
        await store.append(entries(0, 20))
        old = store.epoch
        await store.new_epoch("restore")
        await store.append(entries(0, 5))
        sink = RecordingSink()
        await Ship(store, [sink]).until_served()
        expected = [(old, seq) for seq in range(20)] + [(store.epoch, seq) for seq in range(5)]
        assert [(epoch, seq) for epoch, seq, _ in sink.taken] == expected


class RememberingHub(RecordingSink):
    """A hub that remembers by epoch; ``sizes`` may be set to what a restored one would say."""

    def __init__(self, sizes: dict[str, int] | None = None) -> None:
        super().__init__("hub")
        self.sizes = sizes or {}
        self.skips: list[tuple[str, int, int]] = []
        self.declared: list[list[str]] = []

    async def meet(self, epochs: Sequence[EpochInfo]) -> list[Held]:
        return [Held(epoch=info.epoch, size=self.sizes.get(info.epoch, 0)) for info in epochs]

    async def remind(self, epoch: str, size: int) -> None:
        """It is shown that it said more, and says no more to that."""

    async def deliver(self, run: Run, reader: Reader) -> Outcome:
        assert run.first <= self.sizes.get(run.epoch, 0), "a hole"
        await super().deliver(run, reader)
        size = max(self.sizes.get(run.epoch, 0), run.first + len(run.entries))
        self.sizes[run.epoch] = size
        receipt = {"gateway": "g", "epoch": run.epoch, "size": size, "skipped": []}
        return Outcome(accepted=len(run.entries), receipt=receipt)

    async def declare_skipped(self, epoch: str, first: int, count: int, roots: Sequence[str], reason: str) -> None:
        self.skips.append((epoch, first, count))
        self.declared.append(list(roots))
        self.sizes[epoch] = first + count

    async def show_photo(self, reader: Reader) -> str | None:
        """It asks for none."""
        return None

    def offer(self, epoch: str, first: int, entries: Sequence[bytes]) -> None:
        """No live lane here."""

    async def run_live(self, reader: Reader) -> None:
        await asyncio.get_running_loop().create_future()


async def test_the_hub_decides_where_to_go_on(tmp_path: Path) -> None:
    """The hub was restored from a backup: it holds less than our cursor says, and is served again from its size."""
    async with journal(tmp_path) as store:
        await store.append(entries(0, 40))
        hub = RememberingHub()
        await Ship(store, hubs=[hub]).until_served()
        assert store.cursor("hub") == Position(store.epoch, 40)
        hub.sizes[store.epoch] = 10
        hub.taken.clear()
        await store.append(entries(40, 2))
        await Ship(store, hubs=[hub]).until_served()
    assert of(hub.taken) == list(range(9, 42)), "one entry of overlap: a forked record shows as a conflict"


async def test_a_hub_that_holds_more_means_that_we_were_rolled_back(tmp_path: Path) -> None:
    async with journal(tmp_path) as store:
        await store.append(entries(0, 20))
        old = store.epoch
        hub = RememberingHub({old: 30})
        ship = Ship(store, hubs=[hub])
        await ship.until_served()
        assert ship.asked[0] == ("reopen", "roll-back")
        assert store.epoch != old
        assert [e.code for e in ship.told if isinstance(e, events.Alarmed)] == ["roll-back"]
        first = json.loads((await store.read(Position(store.epoch, 0), max_entries=1, max_bytes=1 << 20))[0])
        (branch,) = first["previous"]["branches"]
        assert (branch["of"], branch["size"]) == (old, 0)  # of what we hold, this hub receipted nothing
        assert {epoch for epoch, *_ in hub.taken} == {branch["epoch"], store.epoch}
        assert {info.epoch: info.closed for info in store.epochs()}[old]


async def test_a_receipt_alone_moves_the_hubs_cursor(tmp_path: Path) -> None:
    class WithoutReceipt(RememberingHub):
        async def deliver(self, run: Run, reader: Reader) -> Outcome:
            await RecordingSink.deliver(self, run, reader)
            if len(self.taken) > 60:
                raise Unreachable("enough", retry_after_s=30.0)
            return Outcome(accepted=len(run.entries))

    async with journal(tmp_path) as store:
        await store.append(entries(0, 20))
        ship = Ship(store, hubs=[WithoutReceipt()])
        task = asyncio.create_task(ship.shipping.run())
        async with asyncio.timeout(5):
            while not any(isinstance(e, events.SinkTroubled) for e in ship.told):
                await asyncio.sleep(0.01)
            ship.shipping.stop()
            await task
        assert store.cursor("hub") is None


async def test_a_damaged_segment_is_skipped_with_an_entry_and_the_rest_is_served(tmp_path: Path) -> None:
    async with journal(tmp_path) as store:
        await store.append(entries(0, 60))
        async with asyncio.timeout(10):
            while len(await store.segments()) < 3:
                await asyncio.sleep(0.01)
        epoch = store.epoch
        (root,) = [s.root for s in await store.segments() if s.first == 16]
    file = tmp_path / "segments" / epoch / "000000000016.ndjson.gz"
    data = bytearray(file.read_bytes())
    data[30] ^= 0xFF  # in the first member
    file.write_bytes(data)
    async with journal(tmp_path) as store:
        sink, hub = RecordingSink(), RememberingHub()
        ship = Ship(store, [sink], [hub])
        await ship.until_served()
        expected = [*range(16), *range(32, 60)]
        assert [seq for e, seq, _ in sink.taken if e == epoch] == expected
        assert sorted({seq for e, seq, _ in hub.taken if e == epoch}) == expected
        assert hub.skips == [(epoch, 16, 16)]
        skipped = [body for kind, body in ship.asked if kind == "skipped"]
        assert {body["sink"] for body in skipped} == {"recording", "hub"}
        assert all(body["roots"] == [root] and body["reason"] == "damaged" for body in skipped)
        assert ("reopen", "skipped") in ship.asked
        assert {e.code for e in ship.told if isinstance(e, events.Alarmed)} == {"segment-damaged"}


async def test_a_missing_segment_is_passed_like_a_damaged_one(tmp_path: Path) -> None:
    async with journal(tmp_path) as store:
        await store.append(entries(0, 60))
        async with asyncio.timeout(10):
            while len(await store.segments()) < 3:
                await asyncio.sleep(0.01)
        epoch = store.epoch
    (tmp_path / "segments" / epoch / "000000000016.ndjson.gz").unlink()
    async with journal(tmp_path) as store:
        sink = RecordingSink()
        ship = Ship(store, [sink])
        await ship.until_served()
    assert of(sink.taken) == [*range(16), *range(32, 60)]
    skipped = [body for kind, body in ship.asked if kind == "skipped"]
    assert [(body["sink"], body["reason"]) for body in skipped] == [("*", "damaged"), ("recording", "damaged")]


async def test_a_full_journal_makes_shipping_wait_and_ends_nothing(tmp_path: Path) -> None:
    """A receipt that finds no room is given again: what the hub holds is offered once more, and nothing falls over."""
    async with journal(tmp_path) as store:
        await store.append(entries(0, 10))
        move, refused = store.move_cursor, [3]

        async def without_room(sink: str, to: Position, receipt: dict[str, Any] | None = None) -> None:
            if refused[0]:
                refused[0] -= 1
                raise JournalFull("the disk is full")
            await move(sink, to, receipt)

        store.move_cursor = without_room  # type: ignore[method-assign]
        await Ship(store, hubs=[RememberingHub()]).until_served(20.0)
        assert store.cursor("hub") == Position(store.epoch, 10)
        assert not refused[0]


async def test_what_is_freed_while_it_is_about_to_be_read_ends_nothing(tmp_path: Path) -> None:
    async with journal(tmp_path) as store:
        await store.append(entries(0, 10))
        sink = RecordingSink()
        read, freed = store.read, [2]

        async def just_freed(start: Position, *, max_entries: int, max_bytes: int) -> list[bytes]:
            if freed[0]:
                freed[0] -= 1
                raise KeyError(start.seq)
            return await read(start, max_entries=max_entries, max_bytes=max_bytes)

        store.read = just_freed  # type: ignore[method-assign]
        await Ship(store, [sink]).until_served()
        assert of(sink.taken) == list(range(10))


async def test_a_long_skipped_range_is_told_in_entries_that_fit(tmp_path: Path) -> None:
    """60,000 segments of a large disk: their roots are four megabytes, an entry is 192 KiB."""
    async with journal(tmp_path) as store:
        ship = Ship(store, [RecordingSink()])
        (delivery,) = ship.shipping.deliveries
        await delivery.record_skipped("e", 32, 5_000 * 16 - 3, ["ab" * 32] * 5_000, "freed-by-retention")
        bodies = [body for kind, body in ship.asked if kind == "skipped"]
    assert [len(body["roots"]) for body in bodies] == [2_000, 2_000, 1_000]
    assert [(body["first"], body["count"]) for body in bodies] == [(32, 32_000), (32_032, 32_000), (64_032, 15_997)]
    assert all(len(entry.encode(1, "skipped", STAMP, body)) <= entry.MAX_ENTRY_BYTES for body in bodies)


@pytest.mark.parametrize("roots_lost", [False, True])
async def test_a_restored_hub_hears_of_epochs_that_are_wholly_freed(tmp_path: Path, roots_lost: bool) -> None:
    """It holds 10 of 20 entries of an epoch of which nothing is here any more: that is a loss, so it is said."""
    async with journal(tmp_path) as store:
        await store.append(entries(0, 20))
        old = store.epoch
        hub = RememberingHub()
        await Ship(store, hubs=[hub]).until_served()
        await store.new_epoch("skipped")
        await store.append(entries(0, 5))
        roots = [s.root for s in await store.segments()]
        await store._call(lambda core: core.state._free(Plan(free=tuple(core.state.kept)), {}))
        assert old not in {info.epoch for info in store.epochs()}
        hub.sizes = {old: 10}
        ship = Ship(store, hubs=[hub])
        if roots_lost:
            (delivery,) = ship.shipping.deliveries

            async def lost(*_: object) -> list[str]:
                return []

            delivery.roots = lost  # type: ignore[method-assign]
        await ship.until_served()
        assert hub.skips == [(old, 0, 20)]
        assert hub.declared == [[NOTHING_KEPT] if roots_lost else roots]
        assert {store.epoch, old} == set(hub.sizes)
        assert not [what for what, _ in ship.asked if what == "reopen"]
