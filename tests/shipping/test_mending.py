"""A damaged segment: found by the scrub or by a sink, moved aside, had again from the hub or given up; no new epoch for what the hub holds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_gateway import events
from edge_gateway.errors import SegmentDamaged
from edge_gateway.journal import scrub as scrubbing
from edge_gateway.journal.base import Position
from edge_gateway.journal.scrub import Scrub
from edge_gateway.journal.store import Store
from edge_gateway.journal.verify import check
from edge_gateway.sinks.hub_http import HttpCarrier
from edge_gateway.sinks.hub_sink import HubSink
from edge_gateway.testing import RecordingSink
from tests.regulator_hub.harness import GATEWAY, registered, running_hub
from tests.shipping.test_delivery import RememberingHub, Ship, entries, journal, of

SEGMENT = 16


class GivingHub(RememberingHub):
    """Gives back what it took, a few at a time; ``spoil`` makes something else of it."""

    def __init__(self, spoil: Callable[[bytes], bytes] = lambda entry: entry, *, old: bool = False) -> None:
        super().__init__()
        self.spoil, self.old = spoil, old
        self.fetched = 0

    async def fetch(self, epoch: str, first: int, count: int) -> list[bytes] | None:
        self.fetched += 1
        held = {seq: entry for each, seq, entry in self.taken if each == epoch}
        return None if self.old else [self.spoil(held[seq]) for seq in range(first, first + min(count, 7)) if seq in held]


async def sealed(store: Store, count: int = 60) -> str:
    await store.append(entries(0, count))
    async with asyncio.timeout(10):
        while len(await store.segments()) < count // SEGMENT:
            await asyncio.sleep(0.01)
    return store.epoch


def file_of(folder: Path, epoch: str, first: int) -> Path:
    return folder / "segments" / epoch / f"{first:012d}.ndjson.gz"


def flip(path: Path, at: int = 30) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0x10
    path.write_bytes(data)


def alarms(ship: Ship) -> list[str]:
    return [event.code for event in ship.told if isinstance(event, events.Alarmed)]


def asked(ship: Ship) -> list[Any]:
    return [body.get("event", kind) for kind, body in ship.asked if kind != "reopen"]


async def shipped(ship: Ship, until: Callable[[], bool]) -> None:
    """Serve until something holds."""
    task = asyncio.create_task(ship.shipping.run())
    async with asyncio.timeout(10):
        while not until() and not task.done():
            await asyncio.sleep(0.01)
        ship.shipping.stop()
        await task


async def scrubbed(store: Store, ship: Ship, monkeypatch: pytest.MonkeyPatch, until: Callable[[], bool]) -> Scrub:
    monkeypatch.setattr(scrubbing, "LONGEST_WAIT_S", 0.01)
    monkeypatch.setattr(scrubbing, "SHORTEST_WAIT_S", 0.0)
    monkeypatch.setattr(scrubbing, "AGAIN_S", 0.01)
    scrub = Scrub(store, wall_us=lambda: 5, tell=ship.told.append, damaged=ship.shipping.mending.damaged)
    task = asyncio.create_task(scrub.run())
    async with asyncio.timeout(20):
        while not until() and not task.done():
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])
    return scrub


async def test_a_flipped_bit_is_found_by_the_scrub_and_had_again_from_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with journal(tmp_path) as store:
        epoch = await sealed(store)
        hub = GivingHub()
        await Ship(store, [], [hub]).until_served()
        whole = file_of(tmp_path, epoch, 16).read_bytes()
        flip(file_of(tmp_path, epoch, 16))
        ship = Ship(store, [RecordingSink()], [hub])
        await scrubbed(store, ship, monkeypatch, lambda: bool(store.missing()))
        assert file_of(tmp_path, epoch, 16).with_suffix(".gz.damaged").exists(), "kept for a look"
        await shipped(ship, lambda: not store.missing() and store.cursor("recording") == Position(epoch, 60))
        assert file_of(tmp_path, epoch, 16).read_bytes() == whole
        assert of([each for sink in ship.shipping.deliveries[:1] for each in sink.sink.taken]) == list(range(60))
        assert (alarms(ship), asked(ship)) == (["segment-damaged"], ["segment-damaged", "segment-restored"])
        assert store.epoch == epoch, "it opens no epoch"
    assert check(tmp_path).broken is None


async def test_what_does_not_give_the_kept_root_is_declared_gone(tmp_path: Path) -> None:
    """Planted: a hub that gives back something else."""
    async with journal(tmp_path) as store:
        epoch = await sealed(store)
        hub = GivingHub(lambda entry: entry.replace(b'"seq":20,', b'"seq":20 ,'))
        await Ship(store, [], [hub]).until_served()
        (root,) = [s.root for s in await store.segments() if s.first == 16]
        flip(file_of(tmp_path, epoch, 16))
        ship = Ship(store, [], [hub])
        await ship.shipping.mending.damaged(SegmentDamaged("a bit", epoch=epoch, first=16, count=16), "scrub")
        await shipped(ship, lambda: not store.missing())
        assert not file_of(tmp_path, epoch, 16).exists(), "nothing that is not the record takes its place"
        assert alarms(ship) == ["segment-damaged", "segment-lost"]
        body = next(body for kind, body in ship.asked if kind == "skipped")
        assert body == {"sink": "*", "epoch": epoch, "first": 16, "count": 16, "reason": "damaged", "roots": [root]}
        assert store.epoch == epoch
    async with journal(tmp_path) as store:
        assert (store.missing(), store.status()["lost_segments"]) == ([], 1), "known after a restart, and declared once"
        with pytest.raises(SegmentDamaged, match="for good"):
            await store.read(Position(epoch, 16), max_entries=1, max_bytes=1)
        ship = Ship(store)
        await ship.until_served()
        assert ship.asked == []
    assert check(tmp_path).broken is None, "its root is kept"


@pytest.mark.parametrize("left", [True, False], ids=["an earlier epoch", "the epoch being written"])
async def test_what_was_damaged_before_the_hub_held_it_ends_only_the_epoch_being_written(left: bool, tmp_path: Path) -> None:
    """Planted: a bit flipped in a sealed segment that was never delivered. docs/decisions/0016-what-nobody-holds.md."""
    async with journal(tmp_path) as store:
        epoch = await sealed(store)
        if left:
            await store.new_epoch("restore")
            await store.append(entries(0, 5))
    flip(file_of(tmp_path, epoch, 16))
    async with journal(tmp_path) as store:  # anew: what was just written would come out of memory
        (root,) = [s.root for s in await store.segments() if (s.epoch, s.first) == (epoch, 16)]
        hub = GivingHub()
        ship = Ship(store, [], [hub])
        await shipped(ship, lambda: hub.sizes.get(store.epoch, 0) == store.epochs()[-1].size and hub.sizes.get(epoch) == 60)
        assert (hub.skips, hub.declared) == ([(epoch, 16, 16)], [[root]])
        assert [what for kind, what in ship.asked if kind == "reopen"] == ([] if left else ["skipped"])
        assert {seq for each, seq, _ in hub.taken if each == epoch} == {*range(16), *range(32, 60)}, "served to its end"
    assert check(tmp_path).broken is None, "its root is kept"


async def test_a_hub_of_an_older_release_leaves_it_missing(tmp_path: Path) -> None:
    async with journal(tmp_path) as store:
        epoch = await sealed(store)
        hub = GivingHub(old=True)
        await Ship(store, [], [hub]).until_served()
        file_of(tmp_path, epoch, 16).unlink()
    async with journal(tmp_path) as store:
        assert [s.first for s in store.missing()] == [16], "seen at the start"
        await shipped(Ship(store, [], [hub]), lambda: bool(hub.fetched))
        assert hub.fetched == 1, "asked once a session"
        assert [s.first for s in store.missing()] == [16]
        assert "gone" not in str(store.status()["damaged"])


async def test_a_scrub_reads_all_goes_on_after_a_restart_and_finds_nothing_in_a_sound_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []
    real = scrubbing.check
    monkeypatch.setattr(scrubbing, "check", lambda files, folder, segment: looked.append(segment.first) or real(files, folder, segment))
    async with journal(tmp_path) as store:
        await sealed(store)
        ship = Ship(store)
        await scrubbed(store, ship, monkeypatch, lambda: len(looked) == 2)
        await store.append(entries(60, 1))
    async with journal(tmp_path) as store:
        scrub = Scrub(store, wall_us=lambda: 5, tell=ship.told.append, damaged=ship.shipping.mending.damaged)
        done = round(3 * scrub.status()["share"])
        assert done in (1, 2), "the place rides with commits: the newest look may be repeated"
        assert scrub.status()["whole_us"] == 0
        before = len(looked)
        ended = await scrubbed(store, ship, monkeypatch, lambda: len(looked) >= before + 4)
        assert looked[before : before + 4] == [16 * (at % 3) for at in range(done, done + 4)]
        assert ended.status()["whole_us"] == 5
        assert ship.told == []


async def test_the_real_hub_gives_a_segment_back_over_http(tmp_path: Path) -> None:
    """Damaged after it was delivered, and there again by itself."""
    token = registered(tmp_path / "hub")
    async with running_hub(tmp_path / "hub") as running, journal(tmp_path / "gateway") as store:
        epoch = await sealed(store)
        carrier = HttpCarrier(url=running.url, gateway=GATEWAY, token=token, ca_file="", timeout_s=10.0)
        hub = HubSink("hub", GATEWAY, carrier)
        ship = Ship(store, [], [hub])
        path = file_of(tmp_path / "gateway", epoch, 16)
        whole = path.read_bytes()

        async def damage() -> None:
            while store.cursor("hub") != Position(epoch, 60):
                await asyncio.sleep(0.01)
            flip(path)
            await ship.shipping.mending.damaged(SegmentDamaged("a bit", epoch=epoch, first=16, count=16), "scrub")
            await store.append(entries(60, 1))

        task = asyncio.create_task(damage())
        await shipped(ship, lambda: task.done() and not store.missing() and path.exists())
        await task
        assert path.read_bytes() == whole
        assert asked(ship) == ["segment-damaged", "segment-restored"]
