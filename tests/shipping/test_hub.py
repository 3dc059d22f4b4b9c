"""Journal, shipping, sink and hub together: what happens when one side remembers less, or something else, than the other."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from edge_gateway import events
from edge_gateway.clock import SystemClock
from edge_gateway.errors import JournalFull
from edge_gateway.intake.previous import previous
from edge_gateway.journal.base import Position
from edge_gateway.journal.retention import JournalSettings
from edge_gateway.journal.store import Store, open_journal
from edge_gateway.record.entry import encode
from edge_gateway.shipping.delivery import Asks
from edge_gateway.shipping.loop import Shipping
from regulator_hub import cosigned as memory
from regulator_hub.gateways import Gateways
from tests.journal.entries import run, snapshot, stamp
from tests.journal.witness import cosigned, hub_key
from tests.regulator_hub.harness import GATEWAY, Gateway, HubProcess, gateway, registered
from tests.regulator_hub.signing import Hand
from tests.sinks.test_hub import sink_for

SEGMENT = 16


@dataclass
class Site:
    """A journal, and shipping to the hub; entries are written by the test."""

    journal: Store
    told: list[events.Event] = field(default_factory=list)
    #: epoch -> every entry that this run wrote of it
    written: dict[str, list[bytes]] = field(default_factory=dict)
    shipping: Shipping = field(init=False)

    def note(self, epoch: str, first: int, entries: Sequence[bytes]) -> None:
        assert len(self.written.setdefault(epoch, [])) == first
        self.written[epoch] += entries

    def sign(self, hand: Hand, epoch: str) -> int:
        """Hand the hub a checkpoint over all of an epoch; its size."""
        entries = self.written[epoch]
        self.shipping.signed(epoch, len(entries), hand.note(entries, epoch))
        return len(entries)

    async def write(self, count: int, **options: Any) -> None:
        async with asyncio.timeout(20):
            while True:
                try:
                    await self.journal.append(run(self.journal.next_seq, count, SEGMENT, **options))
                    return
                except JournalFull:  # as intake does: what the hub witnesses makes room
                    if held := self.journal.cursor("hub"):
                        self.journal.keep_checkpoint(held.epoch, held.seq, cosigned(held.epoch, held.seq))
                    await asyncio.sleep(0.05)

    async def reopen(self, reason: str, branches: Sequence[dict[str, Any]] = ()) -> None:
        await self.journal.new_epoch(reason)
        before = await previous(self.journal, branches)
        await self.journal.append([encode(0, "snapshot", stamp(0), {"config": None, "state": {}, "previous": before})], reserve=True)

    async def record(self, kind: str, body: dict[str, Any]) -> None:
        if self.journal.next_seq % SEGMENT == 0:
            await self.journal.append([snapshot(self.journal.next_seq)], reserve=True)
        at = self.journal.next_seq
        await self.journal.append([encode(at, kind, stamp(at), body)], reserve=True)  # as intake does, if need be

    def alarms(self) -> set[str]:
        return {event.code for event in self.told if isinstance(event, events.Alarmed)}


@asynccontextmanager
async def site(folder: Path, hub: HubProcess, token: str, *, max_bytes: int = 1 << 30) -> AsyncIterator[Site]:
    settings = JournalSettings(
        max_bytes=max_bytes, segment_entries=SEGMENT, hub_name="hub", hub_vkey=str(hub_key()), sinks=("hub",)
    )
    folder.mkdir(exist_ok=True)
    clock = SystemClock(declared=True)
    journal = await open_journal(folder / "journal", settings=settings, clock=clock)
    made = Site(journal)
    journal.subscribe(made.note if journal.committed_seq == 0 else lambda *_: None)
    asks = Asks(reopen=made.reopen, record=made.record)
    sink = sink_for(folder, token, url=hub.url, timeout_s=5.0)
    shipping = Shipping(
        journal=journal, sinks=[], hubs=[sink], tell=made.told.append, wall_us=clock.wall_us, asks=asks
    )
    made.shipping = shipping
    task = asyncio.create_task(shipping.run())
    try:
        yield made
    finally:
        shipping.stop()
        await asyncio.wait([task], timeout=10)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await journal.close()


async def settled(made: Site, at: Gateway, holds: Callable[[dict[str, int]], bool] | None = None) -> dict[str, int]:
    """The hub's sizes once it has everything of the newest epoch (and ``holds``)."""

    def done(answer: Any) -> bool:
        sizes = {e["epoch"]: e["size"] for g in answer["gateways"] for e in g["epochs"]}
        return sizes.get(made.journal.epoch) == made.journal.committed_seq and (holds is None or holds(sizes))

    answer = await at.eventually("/api/v1/gateways", done, 20.0)
    return {e["epoch"]: e["size"] for e in answer["gateways"][0]["epochs"]}


async def hub_alarms(at: Gateway) -> set[str]:
    return {alarm["kind"] for alarm in (await at.get("/api/v1/alarms"))["alarms"]}


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[tuple[HubProcess, str, Gateway]]:
    with HubProcess(tmp_path / "hub") as process:
        token = registered(process.state_dir)
        async with gateway(process.url, token) as at:
            yield process, token, at


Parts = tuple[HubProcess, str, Gateway]


async def older_state(folder: Path, parts: Parts) -> str:
    """Deliver 50 entries, keep a copy, deliver 50 more, and put the copy back. Returns the epoch."""
    process, token, at = parts
    async with site(folder, process, token) as made:
        await made.write(50)
        await settled(made, at)
    shutil.copytree(folder / "journal", folder / "backup")
    async with site(folder, process, token) as made:
        await made.write(50)
        await settled(made, at)
        epoch = made.journal.epoch
    shutil.rmtree(folder / "journal")
    (folder / "backup").rename(folder / "journal")
    return epoch


async def test_an_older_state_is_a_roll_back_on_both_sides(tmp_path: Path, hub: Parts) -> None:
    process, token, at = hub
    old = await older_state(tmp_path / "site", hub)
    async with site(tmp_path / "site", process, token) as made:
        sizes = await settled(made, at, lambda sizes: len(sizes) == 2)
        await made.write(10)
        sizes = await settled(made, at)
        assert sizes == {old: 100, made.journal.epoch: 11}
        assert made.journal.epochs()[-1].reason == "roll-back"
        assert made.alarms() == {"roll-back"}
        assert await hub_alarms(at) == {"roll-back"}


async def held_entries(at: Gateway, epoch: str, first: int = 0) -> list[bytes]:
    async with at.http.get(f"{at.url}/api/v1/gateways/{GATEWAY}/entries?epoch={epoch}&first={first}&count=5000") as answer:
        return (await answer.read()).splitlines()


async def ours(made: Site, epoch: str) -> list[bytes]:
    """All entries of an epoch that is here from its beginning."""
    found: list[bytes] = []
    while part := await made.journal.read(Position(epoch, len(found)), max_entries=1000, max_bytes=1 << 20):
        found += part
    return found


async def branch(at: Gateway) -> tuple[str, dict[str, Any]]:
    """The one branch that the hub has of the gateway: its epoch, and what it is a branch of."""
    rows = (await at.get("/api/v1/gateways"))["gateways"][0]["epochs"]
    ((epoch, left),) = [(row["epoch"], row["branch_of"]) for row in rows if row["branch_of"]]
    return epoch, left


@pytest.mark.parametrize("more", [80, 8])
async def test_what_an_older_state_wrote_over_is_kept_as_a_branch(more: int, tmp_path: Path, hub: Parts) -> None:
    """Planted: a restored image, which goes on without the hub beyond what that holds (a conflict), or not so far (a roll-back)."""
    process, token, at = hub
    old = await older_state(tmp_path / "site", hub)
    theirs = await held_entries(at, old)
    process.stop()  # it is not there while the fork grows
    async with site(tmp_path / "site", process, token) as made:
        await made.write(more, salt="another-life")
        process.start()
        sizes = await settled(made, at, lambda sizes: len(sizes) == 3)
        name, left = await branch(at)
        assert sizes == {old: 100, name: 50 + more, made.journal.epoch: 1}
        assert left == {"epoch": old, "size": 50}
        kind = "conflict" if more == 80 else "roll-back"
        assert made.alarms() == {kind}
        assert {kind} <= await hub_alarms(at) <= {kind, "live-differs"}  # a copy that went ahead is evidence of its own
        assert await held_entries(at, old) == theirs  # nothing of it was overwritten
        assert await held_entries(at, name) == await ours(made, old)  # and nothing of ours was dropped
        assert await held_entries(at, name, 50) != theirs[50 : 50 + more]
        first = json.loads((await held_entries(at, made.journal.epoch))[0])["previous"]
        assert first["branches"] == [{"epoch": name, "of": old, "size": 50}]
        assert (await made.journal.receipts("hub"))[old] == 50 + more  # so it may be freed here some day
        if more == 80:
            evidence = (await at.get(f"/api/v1/gateways/{GATEWAY}/evidence"))["evidence"]
            assert [(e["kind"], e["seq"], "another-life" in e["offered"]) for e in evidence] == [("conflict", 99, True)]
        await made.write(10)
        assert (await settled(made, at))[made.journal.epoch] == 11
    async with site(tmp_path / "site", process, token) as made:  # the record says it: nothing is branched twice
        await made.write(1)
        assert set(await settled(made, at)) == set(sizes)
        assert made.journal.epoch in sizes


async def test_a_branch_outlasts_a_hub_that_lost_its_store(tmp_path: Path, hub: Parts) -> None:
    """Planted: after the branch was delivered the hub's store is gone, and with it what the branch begins with."""
    process, token, at = hub
    old = await older_state(tmp_path / "site", hub)
    process.stop()
    async with site(tmp_path / "site", process, token) as made:
        await made.write(80, salt="another-life")
        process.start()
        await settled(made, at, lambda sizes: len(sizes) == 3)
        name, _ = await branch(at)
        process.kill()
        for path in process.state_dir.glob("hub.sqlite*"):
            path.unlink()
        process.start()
        await made.write(1)
        sizes = await settled(made, at, lambda sizes: len(sizes) == 3)
        assert sizes == {old: 0, name: 130, made.journal.epoch: 2}
        assert await held_entries(at, name) == await ours(made, old)
        assert made.alarms() == {"conflict", "hub-behind"}


async def test_a_hub_that_lost_its_store_is_served_again(tmp_path: Path, hub: Parts) -> None:
    process, token, at = hub
    async with site(tmp_path / "site", process, token) as made:
        await made.write(100)
        await settled(made, at)
        process.kill()
        for path in process.state_dir.glob("hub.sqlite*"):
            path.unlink()
        process.start()
        await made.write(10)
        assert await settled(made, at) == {made.journal.epoch: 110}
        assert (await hub_alarms(at), made.alarms()) == ({"store-behind"}, {"hub-behind"})
        (kept,) = (await at.get(f"/api/v1/gateways/{GATEWAY}/evidence"))["evidence"]
        assert (kept["kind"], kept["seq"], kept["held"]) == ("receipt", 100, "0")
        assert await made.journal.receipts("hub") == {made.journal.epoch: 110}


async def test_what_both_lost_is_declared_skipped(tmp_path: Path, hub: Parts) -> None:
    process, token, at = hub
    async with site(tmp_path / "site", process, token, max_bytes=2 << 20) as made:
        while made.journal.epochs()[0].first == 0:  # until retention frees what the hub has passed
            await made.write(32, size=4000)
            await settled(made, at)
        old = made.journal.epochs()[0]
        assert old.first % SEGMENT == 0
        process.kill()
        for path in process.state_dir.glob("hub.sqlite*"):
            path.unlink()
        process.start()
        # What lies beyond the skip will never be witnessed: it stays, and more room (or a person) is needed to go on.
        await made.journal.apply(replace(made.journal._settings, max_bytes=4 << 20))
        await made.write(1)
        sizes = await settled(made, at, lambda sizes: len(sizes) == 2)
        assert sizes[old.epoch] >= old.size  # served to its end
        row = (await at.get("/api/v1/gateways"))["gateways"][0]["epochs"][0]
        roots = {s.first: s.root for s in await made.journal.segments() if s.epoch == old.epoch}
        skipped = row["skipped"][0]
        assert (skipped["first"], skipped["reason"]) == (0, "freed-by-retention")
        assert skipped["roots"] == [roots[first] for first in range(0, skipped["count"], SEGMENT)]
        assert made.journal.epochs()[-1].reason == "skipped"
        assert (await hub_alarms(at), made.alarms()) == ({"skipped", "store-behind"}, {"hub-behind"})
        stored = await at.http.get(f"{process.url}/api/v1/gateways/{GATEWAY}/entries?epoch={old.epoch}&first=0&count=5000")
        assert b'"kind":"skipped"' in await stored.read()


async def test_beyond_what_both_lost_nothing_is_ever_witnessed(tmp_path: Path, hub: Parts) -> None:
    """Planted: the hub's store is gone, and of the gateway's the beginning. The old epoch is served to its end, and no more is cosigned of it."""
    process, token, at = hub
    hand, registry = Hand(), Gateways(process.state_dir / "gateways")
    registry.give_key(GATEWAY, hand.vkey, replace=False, wall_us=0)

    def cosigned() -> dict[str, int]:
        return {epoch: size for epoch, (size, _) in memory.read(process.state_dir / "witness/cosigned", GATEWAY).logs.items()}

    async with site(tmp_path / "site", process, token, max_bytes=3 << 20) as made:
        old = made.journal.epoch
        while made.journal.epochs()[0].first == 0:  # until retention frees what the hub holds and cosigned
            await made.write(32, size=4000)
            await settled(made, at)
            size = made.sign(hand, old)
            async with asyncio.timeout(20):
                while cosigned().get(old) != size:
                    await asyncio.sleep(0.02)
        process.kill()
        for path in process.state_dir.glob("hub.sqlite*"):
            path.unlink()
        process.start()
        await made.write(20)
        sizes = await settled(made, at, lambda sizes: len(sizes) == 2 and made.journal.epoch in made.written)
        assert sizes[old] == len(made.written[old]) > size  # served to its end
        made.sign(hand, old)
        made.sign(hand, made.journal.epoch)
        witness = made.shipping.deliveries[0].sink.status
        async with asyncio.timeout(20):
            while witness()["witness"]["code"] != "skipped":
                await asyncio.sleep(0.02)
        assert cosigned() == {old: size}
        registry.accept(GATEWAY, made.journal.epoch, by="duty", reason="the hub lost its disk", wall_us=1)
        async with asyncio.timeout(20):
            while made.journal.epoch not in cosigned():
                await asyncio.sleep(0.02)
        assert cosigned()[old] == size
        process.stop()
        process.start()  # and its own look at what it cosigned calls a declared loss no forgery
        await made.write(1)
        await settled(made, at)
        await asyncio.sleep(0.5)
        assert await hub_alarms(at) == {"skipped", "store-behind"}


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_two_that_run_with_one_identity_are_alarmed_and_nothing_of_either_is_lost(seed: int, tmp_path: Path, hub: Parts) -> None:
    """Planted: a clone of the whole state folder, with the token, that runs beside the original; both write, in turns that the seed gives."""
    process, token, at = hub
    turns = random.Random(seed)
    async with site(tmp_path / "one", process, token) as made:
        await made.write(turns.randrange(20, 60))
        await settled(made, at)
        common = made.journal.epoch
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    if turns.random() < 0.5:
        process.stop()  # or they meet it only after both have gone on
    async with site(tmp_path / "one", process, token) as one, site(tmp_path / "two", process, token) as two:
        for _ in range(6):
            made, name = turns.choice([(one, "one"), (two, "two")])
            await made.write(turns.randrange(1, 30), salt=f"{name}-{turns.random()}")
            await asyncio.sleep(turns.choice([0.0, 0.3]))
        await one.write(1, salt="one")
        await two.write(1, salt="two")
        if not process.running:
            process.start()
        async with asyncio.timeout(60):
            while not (await all_of(one, at) and await all_of(two, at)):
                await asyncio.sleep(0.1)
        told = one.alarms() | two.alarms()
        assert told & {"roll-back", "conflict"}
        assert told & {"roll-back", "conflict"} <= await hub_alarms(at)
        rows = (await at.get("/api/v1/gateways"))["gateways"][0]["epochs"]
        assert [row["branch_of"]["epoch"] for row in rows if row["branch_of"]] == [common] * sum(bool(row["branch_of"]) for row in rows)
        assert any(row["branch_of"] for row in rows)  # what the one wrote over of the other is evidence
        assert one.journal.epoch != two.journal.epoch


async def all_of(made: Site, at: Gateway) -> bool:
    """Whether the hub holds every epoch of a site, byte for byte, under its name or as a branch."""
    rows = (await at.get("/api/v1/gateways"))["gateways"][0]["epochs"]
    for info in made.journal.epochs():
        mine = await ours(made, info.epoch)
        names = [row["epoch"] for row in rows if info.epoch in (row["epoch"], (row["branch_of"] or {}).get("epoch"))]
        if not any([(await held_entries(at, name))[: len(mine)] == mine for name in names]):
            return False
    return True
