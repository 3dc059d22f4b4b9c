"""The bridge to paho against the real mosquitto, and against a server that talks nonsense."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Literal

import pytest

from edge_gateway.errors import LinkDown
from edge_gateway.links.mqtt import Delivery, Mqtt, MqttSettings, Refused, WindowFull
from tests.servers.certificates import CertificateAuthority
from tests.servers.fault_proxy import FaultProxy
from tests.servers.mosquitto import Mosquitto, MosquittoSettings
from tests.servers.process import free_port

Protocol = Literal["5", "3.1.1"]
BOTH: list[Protocol] = ["5", "3.1.1"]


async def until(condition: Callable[[], object], what: str, deadline_s: float = 10.0) -> None:
    async with asyncio.timeout(deadline_s):
        while not condition():
            await asyncio.sleep(0.01)
    assert condition(), what


class Peer:
    """A bridge that runs, and what it heard."""

    def __init__(self, port: int, name: str, *, topics: tuple[str, ...] = (), acks: bool = True, **more: Any) -> None:
        self.heard: list[Delivery] = []
        self.downs: list[str] = []
        self.sessions: list[bool] = []
        self._topics, self._acks = topics, acks
        settings = MqttSettings(
            host="127.0.0.1", port=port, client_id=name, retry_first_s=0.05, retry_most_s=0.2, **more
        )
        self.link = Mqtt(settings, on_message=self._hear, greet=self._greet, on_down=self.downs.append)

    def _hear(self, message: Delivery) -> None:
        self.heard.append(message)
        if self._acks:
            self.link.ack(message)

    async def _greet(self, session_present: bool) -> None:
        self.sessions.append(session_present)
        await self.link.subscribe(self._topics)

    @contextlib.asynccontextmanager
    async def running(self, *, ready: bool = True) -> AsyncIterator[Mqtt]:
        task = asyncio.create_task(self.link.run())
        try:
            if ready:
                async with asyncio.timeout(10):
                    await self.link.ready()
            yield self.link
        finally:
            if not task.done():
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def payloads(self) -> list[bytes]:
        return [message.payload for message in self.heard]


@pytest.fixture
def broker(tmp_path: Path) -> Any:
    with Mosquitto(
        tmp_path / "broker", MosquittoSettings(persistence=True, extra=("autosave_on_changes true",))
    ) as server:
        yield server


@pytest.mark.parametrize("protocol", BOTH)
async def test_publishes_are_answered_and_arrive_in_order_with_chinese_topics(
    broker: Mosquitto, protocol: Protocol
) -> None:
    ear = Peer(broker.port, "ear", topics=("冷库/+/温度",), protocol=protocol)
    mouth = Peer(broker.port, "mouth", protocol=protocol)
    async with ear.running(), mouth.running() as link:
        codes = [await link.send("冷库/一号/温度", f"−18.{n} °C".encode()) for n in range(200)]
        assert set(codes) == {0}
        await until(lambda: len(ear.heard) == 200, "all arrived")
    assert ear.payloads() == [f"−18.{n} °C".encode() for n in range(200)]
    assert ear.heard[0].topic == "冷库/一号/温度"
    assert not any(message.retain or message.duplicate for message in ear.heard)


async def test_nobody_subscribed_is_told_apart_on_v5(broker: Mosquitto) -> None:
    async with Peer(broker.port, "mouth").running() as link:
        assert await link.publish("nobody/hears", b"1") == 0x10
        assert await link.publish("nobody/hears", b"1", qos=0) == 0


async def test_the_window_is_bounded_and_room_is_awaited(broker: Mosquitto) -> None:
    async with Peer(broker.port, "mouth", window=5).running() as link:
        futures = [link.publish("t", b"x") for _ in range(5)]
        with pytest.raises(WindowFull):
            link.publish("t", b"one too many")
        await link.room()
        futures.append(link.publish("t", b"fits"))
        assert len(await asyncio.gather(*futures)) == 6


@pytest.mark.parametrize("protocol", BOTH)
async def test_a_publish_that_is_not_allowed_raises_on_v5_and_is_invisible_on_v3(
    tmp_path: Path, protocol: Protocol
) -> None:
    settings = MosquittoSettings(users={"a": "pw"}, acl="user a\ntopic write yes/#\n")
    with Mosquitto(tmp_path / "broker", settings) as broker:
        async with Peer(broker.port, "mouth", protocol=protocol, user="a", password="pw").running() as link:
            await link.publish("yes/1", b"x")
            if protocol == "5":
                with pytest.raises(Refused) as refused:
                    await link.publish("no/1", b"x")
                assert refused.value.code == 0x87
            else:  # MQTT-3.3.5-2: the protocol has no way to say no
                assert await link.publish("no/1", b"x") == 0


@pytest.mark.parametrize("protocol", BOTH)
async def test_a_wrong_password_is_named_and_tried_again(tmp_path: Path, protocol: Protocol) -> None:
    with Mosquitto(tmp_path / "broker", MosquittoSettings(users={"a": "pw"})) as broker:
        peer = Peer(broker.port, "peer", protocol=protocol, user="a", password="wrong-secret")
        async with peer.running(ready=False) as link:
            await until(lambda: link.refusal, "refused")
            assert "Not authorized" in link.status()["last_error"]
            assert "wrong-secret" not in repr(link.settings) + repr(link.status())
            with pytest.raises(LinkDown):
                link.publish("t", b"never queued")
            await until(lambda: broker.output().count("not authorised") >= 2, "tried again")


async def test_tls_needs_the_right_authority_and_client_certificates_work(tmp_path: Path) -> None:
    authority, foreign = CertificateAuthority(tmp_path / "ca"), CertificateAuthority(tmp_path / "other")
    settings = MosquittoSettings(tls=authority.issue("broker"), require_certificate=True)
    mine = authority.issue("gateway-1")
    certificate = {"cert_file": str(mine.certificate_file), "key_file": str(mine.key_file)}
    with Mosquitto(tmp_path / "broker", settings) as broker:
        good = Peer(broker.port, "good", topics=("t",), ca_file=str(authority.ca_file), **certificate)
        async with good.running() as link:
            for n in range(50):
                await link.publish("t", b"x" * 20_000 + str(n).encode())
            await until(lambda: len(good.heard) == 50, "all arrived over TLS")
        for bad in (
            Peer(broker.port, "bad", ca_file=str(foreign.ca_file), **certificate),
            Peer(broker.port, "bare", ca_file=str(authority.ca_file)),
            Peer(broker.port, "gone", ca_file=str(tmp_path / "absent.pem")),
        ):
            async with bad.running(ready=False) as link:
                await until(lambda: link.status()["last_error"], "refused")
                assert not link.connected
                error = link.status()["last_error"]
            assert "absent.pem" in error or "certificate" in error or "lost" in error or "required" in error


@pytest.mark.parametrize("protocol", BOTH)
async def test_unacknowledged_messages_come_again_with_dup_and_acknowledged_ones_do_not(
    broker: Mosquitto, protocol: Protocol
) -> None:
    first = Peer(broker.port, "keeper", topics=("t",), acks=False, protocol=protocol)
    async with first.running(), Peer(broker.port, "mouth").running() as mouth:
        for n in range(4):
            await mouth.publish("t", str(n).encode())
        await until(lambda: len(first.heard) == 4, "heard")
        first.link.ack(first.heard[0])
        first.link.ack(first.heard[1])
    again = Peer(broker.port, "keeper", topics=("t",), protocol=protocol)
    async with again.running():
        await until(lambda: len(again.heard) == 2, "redelivered")
        assert again.sessions == [True]
    assert again.payloads() == [b"2", b"3"]
    assert all(message.duplicate for message in again.heard)
    assert [m.packet_id for m in again.heard] == [m.packet_id for m in first.heard[2:]]


async def test_an_ack_for_an_earlier_connection_does_nothing(broker: Mosquitto) -> None:
    async with FaultProxy(broker.port) as proxy:
        peer = Peer(proxy.port, "keeper", topics=("t",), acks=False)
        async with peer.running(), Peer(broker.port, "mouth").running() as mouth:
            await mouth.publish("t", b"1")
            await until(lambda: peer.heard, "heard")
            proxy.reset()
            await until(lambda: len(peer.heard) == 2, "redelivered")
            assert peer.downs
            assert peer.heard[1].duplicate
            assert not peer.link.ack(peer.heard[0])
            assert peer.link.ack(peer.heard[1])


async def test_a_lost_connection_fails_what_waits_and_queues_nothing(broker: Mosquitto) -> None:
    async with FaultProxy(broker.port) as proxy:
        peer = Peer(proxy.port, "mouth")
        ear = Peer(broker.port, "ear", topics=("t",))
        async with ear.running(), peer.running() as link:
            proxy.black_hole()
            waiting = [link.publish("t", b"in flight") for _ in range(3)]
            room = asyncio.create_task(_fill_and_wait(link))
            await asyncio.sleep(0)
            proxy.reset()
            for future in waiting:
                with pytest.raises(LinkDown):
                    await future
            with pytest.raises(LinkDown):
                await room
            proxy.heal()
            await until(lambda: link.connected, "back")
            await link.ready()
            await link.publish("t", b"afterwards")
            await until(lambda: b"afterwards" in ear.payloads(), "arrived")
        # paho would have sent the three again after reconnecting; the journal decides that, not the library
        assert ear.payloads() == [b"afterwards"]


async def _fill_and_wait(link: Mqtt) -> None:
    with contextlib.suppress(WindowFull):
        while True:
            link.publish("t", b"in flight")
    await link.room()


async def test_a_killed_broker_is_noticed_and_met_again_with_its_session(broker: Mosquitto) -> None:
    ear, mouth = Peer(broker.port, "ear", topics=("t",)), Peer(broker.port, "mouth")
    async with ear.running(), mouth.running() as link:
        await link.publish("t", b"before")
        await until(lambda: ear.heard, "heard")
        database = broker.folder / "state/mosquitto.db"
        await until(lambda: database.exists() and b"ear" in database.read_bytes(), "the session is on disk")
        broker.kill()
        await until(lambda: ear.downs and mouth.downs, "both noticed")
        broker.start()
        await until(lambda: len(ear.sessions) == 2 and len(mouth.sessions) == 2, "both are back")
        await link.ready()
        await link.publish("t", b"after")
        await until(lambda: b"after" in ear.payloads(), "heard again")
        assert ear.sessions == [False, True]


async def test_silence_is_a_lost_connection_after_keep_alive(broker: Mosquitto) -> None:
    async with FaultProxy(broker.port) as proxy:
        peer = Peer(proxy.port, "peer", keepalive_s=1)
        async with peer.running():
            await asyncio.sleep(2.5)
            assert not peer.downs  # pings are answered
            proxy.black_hole()
            await until(lambda: peer.downs, "noticed", 6)


async def test_pause_holds_the_broker_back_and_loses_nothing(broker: Mosquitto) -> None:
    peer = Peer(broker.port, "slow", topics=("t",))
    async with peer.running() as link, Peer(broker.port, "mouth").running() as mouth:
        link.pause()
        for n in range(300):
            await mouth.send("t", str(n).encode())
        await asyncio.sleep(0.2)
        assert len(peer.heard) <= 1
        link.resume()
        await until(lambda: len(peer.heard) == 300, "all after all")
    assert peer.payloads() == [str(n).encode() for n in range(300)]


async def test_a_refused_subscription_ends_the_connection_and_says_so(tmp_path: Path) -> None:
    # mosquitto grants what its ACL will not deliver; a filter on $share without a group it refuses
    with Mosquitto(tmp_path / "broker", MosquittoSettings()) as broker:
        peer = Peer(broker.port, "peer", topics=("a/#/b",))
        task = asyncio.create_task(peer.link.run())
        with pytest.raises(ValueError, match="Invalid subscription filter"):
            await task


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x20\x03\x00\x87\x00",
        b"\x20\xff\xff\xff\xff\x7f",
        b"\x00" * 40,
        b"\x90\x01\x00",
    ],
)
@pytest.mark.parametrize("protocol", BOTH)
async def test_a_server_that_is_no_broker_is_only_a_lost_link(answer: bytes, protocol: Protocol) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    peer = Peer(server.sockets[0].getsockname()[1], "peer", protocol=protocol)
    async with server, peer.running(ready=False) as link:
        await until(lambda: link.status()["last_error"], "lost")
        assert not link.connected


async def test_random_bytes_after_connack_never_end_run() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.read(100)
            writer.write(b"\x20\x03\x00\x00\x00" + os.urandom(200))
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    peer = Peer(server.sockets[0].getsockname()[1], "peer", acks=False)
    async with server, peer.running(ready=False) as link:
        await until(lambda: link.status()["connects"] > 20, "many tries", 30)


async def test_nobody_listens_and_a_name_that_is_none() -> None:
    for host in ("127.0.0.1", "no-such-host.invalid", "bad host \u0000"):
        link = Mqtt(
            MqttSettings(host=host, port=free_port(), client_id="c", retry_first_s=0.05), on_message=lambda _: None
        )
        task = asyncio.create_task(link.run())
        await until(lambda link=link: link.status()["last_error"], "said so")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_cancelling_while_the_address_is_dead_leaves_at_once() -> None:
    # 192.0.2.0/24 is for documentation: nobody answers, or the network refuses
    link = Mqtt(MqttSettings(host="192.0.2.1", client_id="c"), on_message=lambda _: None)
    task = asyncio.create_task(link.run())
    await asyncio.sleep(0.1)
    task.cancel()
    async with asyncio.timeout(1):
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_an_error_of_the_listener_leaves_run(broker: Mosquitto) -> None:
    def hear(message: Delivery) -> None:
        raise ZeroDivisionError

    async def greet(_: bool) -> None:
        await link.subscribe(["t"])

    link = Mqtt(MqttSettings(host="127.0.0.1", port=broker.port, client_id="c"), on_message=hear, greet=greet)
    task = asyncio.create_task(link.run())
    await link.ready()
    published = link.publish("t", b"x")
    with pytest.raises(ZeroDivisionError):
        await task
    await asyncio.gather(published, return_exceptions=True)
