"""Somebody else at the broker: forged and replayed answers free nothing, forged and replayed messages store nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from edge_gateway.errors import Unreachable
from edge_gateway.sinks import hub_mqtt
from edge_gateway.sinks.base import Run
from edge_gateway.wire import hub as wire
from tests.regulator_hub import record
from tests.regulator_hub.harness import EPOCH, GATEWAY, registered, running_hub
from tests.servers.certificates import CertificateAuthority
from tests.servers.mosquitto import Mosquitto, MosquittoSettings
from tests.sinks.hub_record import Record
from tests.sinks.test_hub import bench, broker_of, sink_for

UP, DOWN = f"rh/v1/{GATEWAY}/up", f"rh/v1/{GATEWAY}/down"
Forge = Callable[[dict[str, Any], bytes], bytes | None]


@pytest.fixture
def broker(tmp_path: Path) -> Any:
    """A broker of this test's own: Eve listens to everything."""
    with Mosquitto(tmp_path / "broker") as server:
        yield server


@dataclass
class Eve:
    """Hears all topics, may publish on all, and has no token."""

    client: aiomqtt.Client
    heard: list[tuple[str, bytes]] = field(default_factory=list)
    forge: Forge | None = None
    listens: asyncio.Event = field(default_factory=asyncio.Event)

    async def listen(self) -> None:
        await self.client.subscribe("rh/v1/#", qos=1)
        self.listens.set()
        async for message in self.client.messages:
            assert isinstance(message.payload, bytes)
            self.heard.append((str(message.topic), message.payload))
            if str(message.topic) == UP and self.forge is not None:
                first, _, _rest = message.payload.partition(b"\n")
                answer = self.forge(json.loads(first), message.payload)
                if answer is not None:
                    await self.client.publish(DOWN, answer, qos=1)

    def payloads(self, topic: str) -> list[bytes]:
        return [payload for heard, payload in self.heard if heard == topic]

    async def heard_all(self, topic: str, count: int) -> list[bytes]:
        """What came there, once it is so many: the broker may tell her later than those whom it is for."""
        async with asyncio.timeout(10):
            while len(self.payloads(topic)) < count:
                await asyncio.sleep(0.02)
        return self.payloads(topic)


@asynccontextmanager
async def eve(port: int) -> AsyncIterator[Eve]:
    async with aiomqtt.Client("127.0.0.1", port) as client:
        spy = Eve(client)
        listening = asyncio.create_task(spy.listen())
        try:
            async with asyncio.timeout(10):
                await spy.listens.wait()
            yield spy
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


def guessed(envelope: dict[str, Any], _payload: bytes) -> bytes:
    """What a hub would answer, sealed with a key that Eve made up."""
    session = (envelope["session"] + "0" * 32)[:64]
    held = {"receipt": {"gateway": GATEWAY, "epoch": EPOCH, "size": 99, "skipped": []}}
    said = {"hello": {"hub": "eve", "sizes": {EPOCH: 0}, "closed": []}} if envelope["n"] == 0 else held
    return wire.seal("rh_eve", "down", GATEWAY, session, envelope["n"], wire.encode_answer(session, envelope["n"], said))


async def freed_by_forgery(folder: Path, broker: Mosquitto) -> int:
    """How many entries a forging Eve without a token makes the sink believe to be held; 0 is right."""
    sink = sink_for(folder, "rh_" + "k" * 43, via="mqtt", bus="b", broker=broker_of(broker.port), timeout_s=1.0)
    mine = Record()
    mine.add(EPOCH, record.start(5))
    live = asyncio.create_task(sink.run_live(mine))
    try:
        async with eve(broker.port) as spy:
            spy.forge = guessed
            await sink.meet(mine.epochs())
            return (await sink.deliver(Run(epoch=EPOCH, first=0, entries=mine.held[EPOCH][1]), mine)).accepted
    except Unreachable:
        return 0
    finally:
        live.cancel()
        await asyncio.gather(live, return_exceptions=True)


async def test_a_forged_receipt_frees_nothing(tmp_path: Path, broker: Mosquitto) -> None:
    assert await freed_by_forgery(tmp_path, broker) == 0


async def test_planted_a_sink_that_does_not_check_codes_is_caught(
    tmp_path: Path, broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trusting(_token: str, _direction: str, _gateway: str, payload: bytes) -> wire.Sealed:
        head, _, rest = payload.partition(b"\n")
        envelope = json.loads(head)
        return wire.Sealed(envelope["session"], envelope["n"], rest)

    monkeypatch.setattr(hub_mqtt.wire, "unseal", trusting)
    assert await freed_by_forgery(tmp_path, broker) == 5


async def test_replayed_receipts_free_nothing(tmp_path: Path, broker: Mosquitto) -> None:
    """Eve recorded every answer of a real session, and plays them all again to each later message."""
    async with eve(broker.port) as spy:
        async with bench(tmp_path, "mqtt", broker) as real:
            real.record.add(EPOCH, record.start(9))
            await real.sink.meet(real.record.epochs())
            for first in range(9):
                assert (await real.deliver(first, 1)).accepted == 1
        old = await spy.heard_all(DOWN, 10)
        # The hub is gone now. The same gateway comes back after a roll-back, with other entries.
        token = (tmp_path / "hub-token").read_text().strip()
        sink = sink_for(tmp_path, token, via="mqtt", bus="b", broker=broker_of(broker.port), timeout_s=1.0)
        mine = Record()
        live = asyncio.create_task(sink.run_live(mine))
        over = asyncio.Event()
        replaying = asyncio.create_task(_replay(spy, old, over))
        try:
            with pytest.raises(Unreachable):
                await sink.meet(mine.epochs())
            # Even in a session that stands, an old session's or an old number's receipt is none.
            last = json.loads(old[-1].partition(b"\n")[2])
            sink._lane._session, sink._lane._n = last["session"], last["n"]
            with pytest.raises(Unreachable):
                await sink.deliver(Run(epoch=EPOCH, first=0, entries=record.start(3)), mine)
            assert sink.status()["link"]["ignored"] > 0
        finally:
            over.set()  # a publish that was just acknowledged would swallow a cancellation (asyncio.wait_for before 3.12)
            live.cancel()
            await asyncio.gather(live, replaying, return_exceptions=True)


async def _replay(spy: Eve, payloads: list[bytes], over: asyncio.Event) -> None:
    while not over.is_set():
        for payload in payloads:
            await spy.client.publish(DOWN, payload, qos=1)
        await asyncio.sleep(0.05)


async def test_forged_and_replayed_messages_store_nothing(tmp_path: Path, broker: Mosquitto) -> None:
    async with eve(broker.port) as spy, bench(tmp_path, "mqtt", broker) as real:
        real.record.add(EPOCH, record.start(6))
        await real.sink.meet(real.record.epochs())
        await real.deliver(0, 3)
        hub, mine = real.running.hub, await spy.heard_all(UP, 2)
        refused = hub.desk.counts
        answers = len(await spy.heard_all(DOWN, len(mine)))
        for payload in mine:  # a replay, and the same with one bit changed
            await spy.client.publish(UP, payload, qos=1)
            await spy.client.publish(UP, payload[:-1] + bytes([payload[-1] ^ 1]), qos=1)
        await spy.client.publish("rh/v1/nobody/up", mine[-1], qos=1)
        await spy.client.publish(UP, b"\x00" * 300_000, qos=1)
        await spy.client.publish(UP, mine[-1], qos=1, retain=True)
        async with asyncio.timeout(5):
            while refused["refused:unauthorised"] < len(mine) + 1:
                await asyncio.sleep(0.02)
        # Entries that were replayed carry an old number; a replayed hello is answered, and displaces nobody.
        assert (await real.deliver(3, 3)).receipt["size"] == 6
        assert len(spy.payloads(DOWN)) - answers <= mine.count(mine[0]) + 2
        held = await hub.reader.run(lambda db: db.execute("SELECT count(*) FROM entries").get)
        assert held == 6
        await spy.client.publish(UP, b"", qos=1, retain=True)


async def test_a_wrong_token_hears_nothing_and_is_told_what_to_look_at(tmp_path: Path, broker: Mosquitto) -> None:
    state = tmp_path / "state"
    registered(state, mqtt=True)
    registered(state, "http-only")
    async with running_hub(state, mqtt={"host": "127.0.0.1", "port": broker.port}):
        sink = sink_for(tmp_path, "rh_" + "x" * 43, via="mqtt", bus="b", broker=broker_of(broker.port), timeout_s=1.0)
        live = asyncio.create_task(sink.run_live(Record()))
        with pytest.raises(Unreachable, match="is the token right"):
            await sink.meet([])
        live.cancel()
        await asyncio.gather(live, return_exceptions=True)


async def test_the_broker_dies_under_way(tmp_path: Path, broker: Mosquitto) -> None:
    """A kill of mosquitto between message and receipt: trouble at once, and afterwards the record goes on."""
    async with bench(tmp_path, "mqtt", broker) as real:
        real.record.add(EPOCH, record.start(30))
        await real.sink.meet(real.record.epochs())
        await real.deliver(0, 10)
        broker.kill()
        with pytest.raises(Unreachable):
            await real.deliver(10, 10)
        broker.start()
        async with asyncio.timeout(30):
            while True:
                try:
                    held = await real.sink.meet(real.record.epochs())
                    break
                except Unreachable:
                    await asyncio.sleep(0.1)
        assert held[0].size in {10, 20}
        assert (await real.deliver(held[0].size, 10)).accepted == 10


async def test_a_broker_that_wants_a_certificate_gets_the_bus_s_own(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path / "ca")
    mine = authority.issue("gateway-1")
    settings = MosquittoSettings(tls=authority.issue("broker"), require_certificate=True)
    table = {"ca_file": str(authority.ca_file), "cert_file": str(mine.certificate_file), "key_file": str(mine.key_file)}
    with Mosquitto(tmp_path / "broker", settings) as server:
        sink = sink_for(tmp_path, "rh_" + "k" * 43, via="mqtt", bus="b", broker=broker_of(server.port, **table))
        live = asyncio.create_task(sink.run_live(Record()))
        try:
            async with asyncio.timeout(20):
                while not sink.status()["link"]["connected"]:
                    await asyncio.sleep(0.05)
        finally:
            live.cancel()
            await asyncio.gather(live, return_exceptions=True)
            await sink.close()
