"""The live lane before a real hub: a violation overtakes a day of backlog; in step the lane is silent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from edge_gateway.errors import SinkError
from edge_gateway.journal.base import Position
from edge_gateway.sinks.base import Run
from edge_gateway.sinks.hub_http import HttpCarrier
from edge_gateway.sinks.hub_live import LiveLane
from edge_gateway.sinks.hub_sink import HubSink
from edge_gateway.wire import hub as wire
from tests.regulator_hub import record
from tests.regulator_hub.harness import EPOCH, GATEWAY, OTHER, Gateway, HubProcess, gateway, registered
from tests.servers.mosquitto import Mosquitto
from tests.sinks.hub_record import Record
from tests.sinks.test_hub import broker_of, sink_for

pytestmark = pytest.mark.timing


@asynccontextmanager
async def shipping(sink: HubSink, mine: Record) -> AsyncIterator[None]:
    """The live lane, as the gateway runs it."""
    live = asyncio.create_task(sink.run_live(mine))
    try:
        yield
    finally:
        live.cancel()
        await asyncio.gather(live, return_exceptions=True)
        await sink.close()


async def drain(sink: HubSink, mine: Record, epoch: str = EPOCH) -> None:
    """The ordered lane until there is nothing left."""
    at = next(h.size for h in await sink.meet(mine.epochs()) if h.epoch == epoch)
    while at < len(mine.held[epoch][1]):
        entries = mine.held[epoch][1][at : at + sink.max_entries]
        at += (await sink.deliver(Run(epoch=epoch, first=at, entries=entries), mine)).accepted


def committed(sink: HubSink, mine: Record, entry: bytes, epoch: str = EPOCH) -> None:
    sink.offer(epoch, mine.add(epoch, [entry]), [entry])


def day_of_backlog() -> list[bytes]:
    """200 points at 10 s for 24 h: 86,400 batches of 20 points, 1.7 million readings, under one configuration."""
    values = ",".join(["-18.25"] * 20)
    head = '{"v":1,"seq":%d,"kind":"batch","rule_us":%d,"wall_us":%d,"mono_us":%d,"boot":"000000000000","trusted":true,'
    tail = f'"config_seq":1,"group":"g.1","values":[{values}]}}'
    return [record.snapshot(0), record.config(1), *((head % (s, s, s, s) + tail).encode() for s in range(2, 86_402))]


@pytest.mark.parametrize("via", ["http", "mqtt"])
async def test_a_violation_overtakes_a_day_of_backlog(via: str, tmp_path: Path, mosquitto: Mosquitto) -> None:
    toml = f'[mqtt]\nhost = "127.0.0.1"\nport = {mosquitto.port}\nclient_id = "hub-live"\n' if via == "mqtt" else ""
    with HubProcess(tmp_path, toml=toml) as hub:
        token = registered(hub.state_dir, mqtt=via == "mqtt")
        way: dict[str, Any] = {"url": hub.url}
        if via == "mqtt":
            way = {"via": "mqtt", "bus": "b", "broker": broker_of(mosquitto.port)}
        sink, mine = sink_for(tmp_path, token, **way), Record()
        mine.texts[record.SHA] = record.TEXT
        mine.add(EPOCH, day_of_backlog())
        async with shipping(sink, mine), gateway(hub.url, token) as site:
            await sink.meet(mine.epochs())
            draining = asyncio.create_task(drain(sink, mine))
            path = f"/api/v1/gateways/{GATEWAY}"
            await site.eventually("/api/v1/gateways", lambda a: a["gateways"][0]["epochs"][0]["size"] >= 4000)
            since_s = time.monotonic()
            committed(sink, mine, record.batch(86_402, -15.25))
            committed(sink, mine, record.violation(86_403, "violated"))
            found = await site.eventually(path + "/violations", lambda a: a["violations"])
            took_s = time.monotonic() - since_s
            assert not draining.done(), "the backlog was drained before: nothing was overtaken"
            assert took_s <= 2.0
            assert (found["violations"][0]["violated"], found["violations"][0]["in_order"]) == (True, False)
            points = await site.eventually(
                path + "/points", lambda a: a["points"] and a["points"][0]["value"] == -15.25
            )
            assert points["points"][0] | {"state": "violation", "in_order": False, "unit": "Cel"} == points["points"][0]
            await draining
            await site.eventually(path + "/points", lambda a: a["points"][0]["in_order"])
            assert (await site.get(path + "/alarms"))["alarms"] == []  # the copies were the entries


async def test_in_step_the_live_lane_sends_nothing(tmp_path: Path) -> None:
    with HubProcess(tmp_path) as hub:
        token = registered(hub.state_dir)
        sink, mine = sink_for(tmp_path, token, url=hub.url), Record()
        mine.texts[record.SHA] = record.TEXT
        mine.add(EPOCH, record.start(2))
        async with shipping(sink, mine):
            await drain(sink, mine)
            for seq in range(2, 12):
                committed(sink, mine, record.batch(seq, -20.0))
                await drain(sink, mine)
                await asyncio.sleep(0.1)
            async with asyncio.timeout(5):
                while sink.status()["live"]["waiting"]:
                    await asyncio.sleep(0.05)
            assert sink.status()["live"]["sent"] == 0


async def test_after_an_outage_and_a_restart_violations_of_the_backlog_go_first(tmp_path: Path) -> None:
    """The process that saw the violation committed is gone; the next one finds it in the journal."""
    with HubProcess(tmp_path) as hub:
        token = registered(hub.state_dir)
        mine = Record()
        mine.texts[record.SHA] = record.TEXT
        mine.add(EPOCH, [*record.start(3000), record.violation(3000, "violated"), record.batch(3001, -15.0)])
        mine.free(EPOCH, 2)  # the config entry's segment is freed: the configuration must come another way
        mine.held[EPOCH] = (2, [record.snapshot(2, 1), *mine.held[EPOCH][1][1:]])
        mine.add(OTHER, [record.snapshot(0, 1), record.batch(1, -16.0)])
        sink = sink_for(tmp_path, token, url=hub.url)
        async with shipping(sink, mine), gateway(hub.url, token) as site:
            await asyncio.sleep(0.1)  # nothing is offered: nothing is said
            committed(sink, mine, record.batch(2, -17.0), OTHER)
            path = f"/api/v1/gateways/{GATEWAY}"
            async with asyncio.timeout(10):
                while not sink.status()["live"]["sent"] >= 2:
                    await asyncio.sleep(0.05)
            assert (await site.get(path + "/violations"))["violations"][0]["seq"] == 3000
            points = await site.eventually(path + "/points", lambda a: a["points"] and a["points"][0]["value"] == -17.0)
            assert points["points"][0]["name_zh"] == "冷库1 空气温度"


class SlowRecord(Record):
    """A journal on a slow card: a thousand entries take a while."""

    async def read(self, start: Position, *, max_entries: int, max_bytes: int) -> list[bytes]:
        if max_entries > 1:
            await asyncio.sleep(0.5)
        return await super().read(start, max_entries=max_entries, max_bytes=max_bytes)


async def test_a_new_violation_does_not_wait_until_an_old_backlog_was_read(tmp_path: Path) -> None:
    with HubProcess(tmp_path) as hub:
        token = registered(hub.state_dir)
        mine = SlowRecord()
        mine.texts[record.SHA] = record.TEXT
        mine.add(EPOCH, [*record.start(8000), record.violation(8000, "notice")])
        sink = sink_for(tmp_path, token, url=hub.url)
        async with shipping(sink, mine), gateway(hub.url, token) as site:
            committed(sink, mine, record.violation(8001, "violated"))
            since_s = time.monotonic()
            await _violations(site)
            assert time.monotonic() - since_s <= 2.0
            async with asyncio.timeout(20):  # and the old one is found all the same
                while sink.status()["live"]["sent"] < 2:
                    await asyncio.sleep(0.05)


async def test_the_hub_dies_and_the_violation_still_comes(tmp_path: Path) -> None:
    with HubProcess(tmp_path) as hub:
        token = registered(hub.state_dir)
        sink, mine = sink_for(tmp_path, token, url=hub.url, timeout_s=2.0), Record()
        mine.texts[record.SHA] = record.TEXT
        mine.add(EPOCH, record.start(5000))
        async with shipping(sink, mine), gateway(hub.url, token) as site:
            await sink.meet(mine.epochs())
            hub.kill()
            committed(sink, mine, record.violation(5000, "violated"))
            for seq in range(5001, 5100):
                committed(sink, mine, record.batch(seq, -10.0))
            async with asyncio.timeout(5):
                while not sink.status()["live"]["trouble"]:
                    await asyncio.sleep(0.05)
            hub.start()
            async with asyncio.timeout(10):
                while True:  # the ordered lane comes back by its own pace, and wakes the live one
                    try:
                        await sink.meet(mine.epochs())
                        break
                    except SinkError:
                        await asyncio.sleep(0.1)
            since_s = time.monotonic()
            await _violations(site)
            assert time.monotonic() - since_s <= 2.0


class Swallowing(HttpCarrier):
    """The way to the hub takes the configuration out of the first live message; ``told`` is what the hub answered."""

    swallowed = 0

    async def ask(self, session: str, n: int, message: bytes) -> dict[str, Any]:
        told = wire.decode_message(message)
        if told.kind == "live" and not self.swallowed:
            kept = [(s, e) for s, e in zip(told.head["seqs"], told.entries(), strict=True) if b'"config"' not in e]
            self.swallowed = len(told.head["seqs"]) - len(kept)
            header = {**told.head, "seqs": [seq for seq, _ in kept]}
            message = wire.encode_message(header, wire.lines([entry for _, entry in kept]))
        answer = await super().ask(session, n, message)
        self.answers = [*getattr(self, "answers", []), answer]
        return answer


async def test_a_hub_that_lacks_the_configuration_asks_and_is_given_it(tmp_path: Path) -> None:
    with HubProcess(tmp_path) as hub:
        token = registered(hub.state_dir)
        mine = Record()
        mine.texts[record.SHA] = record.TEXT
        mine.add(EPOCH, record.start(5000))
        way = Swallowing(url=hub.url, gateway=GATEWAY, token=token, ca_file="", timeout_s=5.0)
        lane = LiveLane(way, {})
        running = asyncio.create_task(lane.run(mine))
        try:
            async with gateway(hub.url, token) as site:
                newest = record.batch(5000, -15.25)
                lane.offer(EPOCH, mine.add(EPOCH, [newest]), [newest])
                await site.eventually("/api/v1/gateways", lambda a: a["gateways"])
                points = await site.eventually(
                    f"/api/v1/gateways/{GATEWAY}/points", lambda a: a["points"] and a["points"][0]["value"] == -15.25
                )
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await way.close()
        assert way.swallowed == 1
        assert [a["need_config"] for a in way.answers if "need_config" in a] == [[1]]
        assert points["points"][0]["unit"] == "Cel"  # told by the configuration and its text
        assert lane.status()["trouble"] == ""


async def _violations(site: Gateway) -> None:
    async with asyncio.timeout(10):
        while not (await site.get("/api/v1/violations"))["violations"]:
            await asyncio.sleep(0.02)
