"""Who is alive: only an entry with a higher number than any before says so, and a silence is alarmed once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from edge_gateway.wire import hub as wire
from regulator_hub.store import ingest
from regulator_hub.store.reader import Reader
from regulator_hub.store.writer import StoreFailed, Writer
from regulator_hub.watch import Watch
from tests.regulator_hub import record
from tests.regulator_hub.harness import EPOCH, GATEWAY, OTHER, Gateway, gateway, registered, running_hub

ALARMS = f"/api/v1/gateways/{GATEWAY}/alarms"
Say = Callable[[Gateway], Awaitable[Any]]
START = record.start(10)


async def darks(site: Gateway) -> list[bool]:
    """Its alarms, newest first: whether each is still open."""
    return [alarm["until_us"] is None for alarm in (await site.get(ALARMS))["alarms"] if alarm["kind"] == "dark"]


async def test_a_silent_gateway_goes_dark_once_and_comes_back(tmp_path: Path) -> None:
    token = registered(tmp_path)
    async with running_hub(tmp_path, dark_after_s=1.0) as running, gateway(running.url, token) as site:
        await site.hello()
        await site.eventually(ALARMS, lambda a: a["alarms"])  # knocked, and never delivered
        assert (await site.get("/api/v1/gateways"))["gateways"][0]["dark"]
        await asyncio.sleep(1.2)
        assert await darks(site) == [True]
        await site.entries(0, START)
        await site.eventually(ALARMS, lambda a: a["alarms"][0]["until_us"] is not None)
        found = await site.eventually(ALARMS, lambda a: len(a["alarms"]) == 2)
        assert found["alarms"][0]["since_us"] - found["alarms"][0]["detail"]["last_us"] < 1_000_000


async def test_a_restart_of_the_hub_neither_ends_a_silence_nor_declares_it_again(tmp_path: Path) -> None:
    token = registered(tmp_path)
    async with running_hub(tmp_path, dark_after_s=1.0) as running, gateway(running.url, token) as site:
        await site.entries(0, START)
        await site.eventually(ALARMS, lambda a: a["alarms"])
    for _ in range(2):
        async with running_hub(tmp_path, dark_after_s=1.0) as running, gateway(running.url, token) as site:
            await asyncio.sleep(1.3)
            assert await darks(site) == [True]
            assert (await site.get("/api/v1/gateways"))["gateways"][0]["silent_s"] > 1
    async with running_hub(tmp_path, dark_after_s=1.0) as running, gateway(running.url, token) as site:
        await site.entries(4, START[4:])  # held already
        await asyncio.sleep(0.3)
        assert await darks(site) == [True]
        await site.entries(10, [record.batch(10, -20.0)])
        await site.eventually(ALARMS, lambda a: a["alarms"][0]["until_us"] is not None)


async def _hello(site: Gateway) -> None:
    await site.hello([[EPOCH, 10]])


async def _the_same_entries(site: Gateway) -> None:
    await site.entries(0, START)


async def _an_old_copy(site: Gateway) -> None:
    await site.live({4: START[4], 25: record.batch(25, -20.0)})  # 25 and more came on the live lane before


async def _behind_the_copies(site: Gateway) -> None:
    size = int((await site.hello([[EPOCH, 10]]))["sizes"][EPOCH])
    await site.entries(size, [record.batch(size, -20.0)])


async def _a_hole(site: Gateway) -> None:
    await site.entries(100, [record.batch(100, -20.0)])


async def _a_text(site: Gateway) -> None:
    await site.text(record.TEXT)


async def _redelivered(site: Gateway) -> None:
    """What a broker sends again: the very same bytes of a session's message."""
    header = {"kind": "entries", "epoch": EPOCH, "first": 9, "count": 1, "session": site.session, "n": site.n}
    assert (await site.post(wire.encode_message(header, wire.lines(START[9:]))))[0] == 409


async def _skipped(site: Gateway) -> None:
    await site.ask({"kind": "skipped", "epoch": OTHER, "first": 0, "count": 4096, "reason": "damaged", "roots": ["00" * 32]})


@pytest.mark.parametrize(
    "say",
    [_hello, _the_same_entries, _an_old_copy, _behind_the_copies, _a_hole, _a_text, _redelivered, _skipped],
    ids=lambda say: say.__name__.strip("_"),
)
async def test_what_brings_no_higher_number_is_no_sign_of_life(tmp_path: Path, say: Say) -> None:
    token = registered(tmp_path)
    async with running_hub(tmp_path, dark_after_s=1.0) as running, gateway(running.url, token) as site:
        await site.entries(0, START)
        await site.live({30: record.batch(30, -20.0)})
        for _ in range(11):
            await asyncio.sleep(0.1)
            await say(site)
        assert await darks(site) == [True]


async def _ordered(site: Gateway) -> None:
    await site.entries(site.n + 9, [record.batch(site.n + 9, -20.0)])


async def _copied(site: Gateway) -> None:
    await site.live({site.n + 100: record.batch(site.n + 100, -20.0)})


async def _another_epoch(site: Gateway) -> None:
    await site.entries(site.n - 1, [record.batch(site.n - 1, -20.0)], OTHER)


@pytest.mark.parametrize("say", [_ordered, _copied, _another_epoch], ids=lambda say: say.__name__.strip("_"))
async def test_a_higher_number_on_either_lane_is_a_sign_of_life(tmp_path: Path, say: Say) -> None:
    token = registered(tmp_path)
    async with running_hub(tmp_path, dark_after_s=1.0) as running, gateway(running.url, token) as site:
        if say is not _another_epoch:
            await site.entries(0, START)
        for _ in range(13):
            await asyncio.sleep(0.1)
            await say(site)
        assert await darks(site) == []
        await site.eventually(ALARMS, lambda a: a["alarms"])


class _Time:
    """A monotonic clock that a test sets."""

    now_s = 1000.0


@asynccontextmanager
async def watching(folder: Path, time: _Time) -> AsyncIterator[tuple[Watch, Writer]]:
    """The real watch over a real store, in the test's own time."""
    writer = Writer(folder / "hub.sqlite")
    reader = Reader(folder / "hub.sqlite")
    watch = Watch(
        reader, writer, dark_after_s=90.0, wall_us=lambda: round(time.now_s * 1e6), mono_s=lambda: time.now_s
    )
    try:
        await watch.load()
        yield watch, writer
    finally:
        await reader.close()
        await writer.close()


async def test_what_was_received_before_a_restart_is_no_news_after_it(tmp_path: Path) -> None:
    time = _Time()
    async with watching(tmp_path, time) as (_, writer):
        await writer.run(lambda db: ingest.append(db, GATEWAY, ingest.Offered(EPOCH, 0, START, None), 5))
        await writer.run(lambda db: ingest.copy_live(db, GATEWAY, EPOCH, [(30, False, record.batch(30, -20.0))], 5))
        await writer.run(lambda db: ingest.append(db, "other", ingest.Offered(OTHER, 0, START, None), 5))
    async with watching(tmp_path, time) as (watch, _):
        first_s = watch.due_s()
        time.now_s += 10
        for seq in (0, 9, 20, 30):
            watch.seen(GATEWAY, EPOCH, seq)
        watch.seen("other", OTHER, 10)
        assert watch.due_s() == first_s
        watch.seen(GATEWAY, EPOCH, 31)
        assert watch.due_s() == first_s + 10
        time.now_s = first_s + 10.1
        await watch.look()
        assert watch.dark == {GATEWAY, "other"}


async def test_where_we_stood_still_or_could_not_store_nobody_was_silent(tmp_path: Path) -> None:
    time = _Time()
    async with watching(tmp_path, time) as (watch, writer):
        watch.seen(GATEWAY, EPOCH, 1)
        time.now_s += 300
        watch.paused(295)
        await watch.look()
        assert not watch.dark
        time.now_s += 80
        watch.deaf()  # the store failed while it knocked
        await watch.look()
        time.now_s += 87
        await watch.look()
        assert not watch.dark
        time.now_s += 2
        await watch.look()
        assert watch.dark == {GATEWAY}
        watch.deaf()
        await watch.look()
        assert watch.dark == {GATEWAY}, "a store that fails does not bring anybody back"
        await writer.run(lambda db: db.execute("SELECT 1").get)


async def test_the_desk_tells_when_the_store_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise StoreFailed("the disk is full")

    token = registered(tmp_path)
    async with running_hub(tmp_path, dark_after_s=1.0) as running, gateway(running.url, token) as site:
        await site.entries(0, START)
        with monkeypatch.context() as patched:
            patched.setattr(ingest, "append", fails)
            for _ in range(13):
                await asyncio.sleep(0.1)
                answer = await site.entries(10, [record.batch(10, -20.0)])
                assert answer["problem"]["code"] == "storage"
        assert await darks(site) == []
        await site.eventually(ALARMS, lambda a: a["alarms"])
