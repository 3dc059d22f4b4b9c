"""TCP proxies that read along: PUBACKs, deliveries and receipts as they pass, at packet level; they change nothing.

What has passed here was said on the wire, whatever anybody remembers of it afterwards. A proxy's ``Cable`` can be cut: what is under way
then waits, as TCP's own repeats do, and passes once it is whole again, if anybody still listens.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Self

from tests.faults.plant import TOPIC, now_us

_RECEIPT = re.compile(rb'"receipt":(\{[^{}]*\})')
_CONNECT, _CONNACK, _PUBLISH, _PUBACK = 1, 2, 3, 4
#: A message of the plant: (topic's number, its own number).
Sent = tuple[int, int]
Feed = Callable[[bytes], None]


@dataclass
class Heard:
    """What was said. ``receipts``: epoch → the largest size that the hub gave a receipt for.

    ``first_sent`` counts sendings that a receiver cannot tell from new ones: those without DUP, and one with DUP whose first sending
    in that session of the broker did not come through (a broker that was killed is given the message anew by its publisher).
    """

    acknowledged: set[Sent] = field(default_factory=set)
    first_sent: Counter[Sent] = field(default_factory=Counter)
    again: Counter[Sent] = field(default_factory=Counter)
    receipts: dict[str, int] = field(default_factory=dict)
    receipts_seen: int = 0
    #: (when on the clock of an entry's ``mono_us``, epoch, size) of each
    told: list[tuple[int, str, int]] = field(default_factory=list)
    hub_pubacks: int = 0
    waiting: int = 0
    #: client → what came through in its present session
    in_session: dict[str, set[Sent]] = field(default_factory=dict)

    def session_began(self, client: str) -> None:
        """The broker knows nothing of what it sent to this client before."""
        self.in_session[client] = set()

    def sent(self, client: str, sent: Sent, *, again: bool) -> None:
        """A message came through."""
        known = self.in_session.setdefault(client, set())
        (self.first_sent if not again or sent not in known else self.again)[sent] += 1
        known.add(sent)

    def receipt(self, text: bytes) -> None:
        """Every receipt in these bytes counts."""
        for found in _RECEIPT.findall(text):
            receipt = json.loads(found)
            epoch = receipt["epoch"]
            self.receipts[epoch] = max(self.receipts.get(epoch, 0), receipt["size"])
            self.receipts_seen += 1
            self.told.append((now_us(), epoch, receipt["size"]))


class Unwatched:
    """Nothing is read along."""

    def __init__(self, _heard: Heard) -> None:
        pass

    def up(self, _data: bytes) -> None:
        """Passes."""

    def down(self, _data: bytes) -> None:
        """Passes."""

    def closed(self) -> None:
        """Nothing waits."""


class HttpWatch:
    """Receipts in the hub's answers."""

    def __init__(self, heard: Heard) -> None:
        self._heard = heard
        self._rest = b""

    def up(self, _data: bytes) -> None:
        """What the gateway says is not of interest."""

    def down(self, data: bytes) -> None:
        text = self._rest + data
        self._heard.receipt(text)
        end = max((match.end() for match in _RECEIPT.finditer(text)), default=0)
        self._rest = text[end:][-4096:]

    def closed(self) -> None:
        """Nothing waits."""


class MqttWatch:
    """One connection of the gateway at the broker: who sent what to whom, and what was acknowledged."""

    def __init__(self, heard: Heard) -> None:
        self._heard = heard
        self._buffers = {"up": b"", "down": b""}
        self._version = 5
        self._client = ""
        self._sent: dict[int, Sent] = {}

    def up(self, data: bytes) -> None:
        """Gateway to broker."""
        for kind, _flags, body in self._packets("up", data):
            if kind == _CONNECT:
                self._version, self._client = body[6], _client(body)
            elif kind == _PUBACK:
                sent = self._sent.pop(struct.unpack(">H", body[:2])[0], None)
                if sent is not None:
                    self._heard.acknowledged.add(sent)
                    self._heard.waiting -= 1

    def down(self, data: bytes) -> None:
        """Broker to gateway."""
        for kind, flags, body in self._packets("down", data):
            if kind == _CONNACK and not body[0] & 1:
                self._heard.session_began(self._client)
            elif kind == _PUBACK:
                self._heard.hub_pubacks += 1
            elif kind == _PUBLISH:
                self._published(flags, body)

    def closed(self) -> None:
        """What this connection did not acknowledge, it never will."""
        self._heard.waiting -= len(self._sent)
        self._sent.clear()

    def _published(self, flags: int, body: bytes) -> None:
        length = struct.unpack(">H", body[:2])[0]
        topic, rest = body[2 : 2 + length].decode(), body[2 + length :]
        packet_id = 0
        if flags & 0b0110:
            packet_id, rest = struct.unpack(">H", rest[:2])[0], rest[2:]
        if self._version == 5:
            size, used = _varint(rest, 0) or (0, 1)
            rest = rest[used + size :]
        if topic.endswith("/down"):
            self._heard.receipt(rest)
        elif topic.startswith(TOPIC):
            sent = (int(topic.removeprefix(TOPIC)), int(json.loads(rest)["n"]))
            self._heard.sent(self._client, sent, again=bool(flags & 0b1000))
            self._heard.waiting += packet_id not in self._sent
            self._sent[packet_id] = sent

    def _packets(self, way: str, data: bytes) -> Iterator[tuple[int, int, bytes]]:
        buffer = self._buffers[way] + data
        while len(buffer) >= 2 and (found := _varint(buffer, 1)) is not None:
            size, used = found
            end = 1 + used + size
            if len(buffer) < end:
                break
            yield buffer[0] >> 4, buffer[0] & 15, buffer[1 + used : end]
            buffer = buffer[end:]
        self._buffers[way] = buffer


def _client(connect: bytes) -> str:
    """The client's name in a CONNECT packet's body."""
    at = 10
    if connect[6] == 5:
        size, used = _varint(connect, at) or (0, 1)
        at += used + size
    length = struct.unpack(">H", connect[at : at + 2])[0]
    return connect[at + 2 : at + 2 + length].decode()


Watch = HttpWatch | MqttWatch | Unwatched


class Cable:
    """What lies between; set from any thread. ``late_s`` holds back what comes back from the target.

    While it ``repeats``, a whole HTTP request that passed is said to the target once more, a moment later.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, late_s: float) -> None:
        self.late_s = late_s
        self.refuses = False
        self.repeats = False
        self.repeated = 0
        self._joined: set[asyncio.StreamWriter] = set()
        self._loop = loop
        self._whole = {"up": asyncio.Event(), "down": asyncio.Event()}
        for event in self._whole.values():
            event.set()

    def cut(self, *ways: str) -> None:
        """Nothing passes any more these ways (both)."""
        for way in ways or ("up", "down"):
            self._loop.call_soon_threadsafe(self._whole[way].clear)

    def drop(self) -> None:
        """Every connection that stands is reset."""
        for writer in list(self._joined):
            self._loop.call_soon_threadsafe(writer.transport.abort)

    def joins(self, writer: asyncio.StreamWriter) -> None:
        """A connection stands, until it is closed."""
        self._joined = {each for each in self._joined if not each.is_closing()} | {writer}

    def mend(self) -> None:
        """Whole again."""
        self.refuses = self.repeats = False
        for event in self._whole.values():
            self._loop.call_soon_threadsafe(event.set)

    async def passes(self, way: str) -> None:
        """Wait until bytes get through."""
        await self._whole[way].wait()


class Requests:
    """Whole HTTP requests with a body, out of a connection's bytes; anything else yields none."""

    def __init__(self) -> None:
        self._buffer = b""
        self._http = True

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Those that end in ``data``."""
        self._buffer += data if self._http else b""
        while self._http and self._buffer:
            if not self._buffer.startswith(b"POST"[: len(self._buffer)]):
                self._http, self._buffer = False, b""
                return
            head, end, _ = self._buffer.partition(b"\r\n\r\n")
            found = re.search(rb"(?i)content-length: *(\d+)", head)
            size = len(head) + len(end) + (int(found[1]) if found else 0)
            if not end or len(self._buffer) < size:
                return
            yield self._buffer[:size]
            self._buffer = self._buffer[size:]


async def _say_again(target: int, request: bytes) -> None:
    await asyncio.sleep(0.05 * (len(request) % 20))
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(5.0):
            reader, writer = await asyncio.open_connection("127.0.0.1", target)
            writer.write(request)
            await reader.read(65536)
            writer.transport.abort()


def _varint(data: bytes, at: int) -> tuple[int, int] | None:
    """(value, bytes used); None while it is incomplete."""
    value = 0
    for used in range(1, 5):
        if at + used > len(data):
            return None
        byte = data[at + used - 1]
        value |= (byte & 127) << 7 * (used - 1)
        if not byte & 128:
            return value, used
    raise ValueError("no MQTT")


class Proxies:
    """All proxies of a campaign, on an event loop in a thread of their own."""

    def __init__(self) -> None:
        self.heard = Heard()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxies", daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()
        self._servers: list[asyncio.Server] = []
        self.cables: dict[int, Cable] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._end()).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def open(self, target: int, watch: type[Watch], *, answers_late_s: float = 0.0) -> int:
        """A proxy before 127.0.0.1:``target``; its port. What comes back from there may be held for a while."""
        port: int = self._run(self._open(target, watch, answers_late_s)).result(10)
        return port

    def _run(self, work: Any) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _open(self, target: int, watch: type[Watch], late_s: float) -> int:
        cable = Cable(self._loop, late_s)

        async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._tasks.add(task)
            with contextlib.suppress(asyncio.CancelledError):
                await self._joined(target, watch(self.heard), cable, reader, writer)
            self._tasks.discard(task)

        server = await asyncio.start_server(accepted, "127.0.0.1", 0)
        self._servers.append(server)
        port: int = server.sockets[0].getsockname()[1]
        self.cables[port] = cable
        return port

    async def _joined(
        self,
        target: int,
        watch: Watch,
        cable: Cable,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        if cable.refuses:
            writer.transport.abort()
            return
        cable.joins(writer)
        requests = Requests()

        def up(data: bytes) -> None:
            watch.up(data)
            for request in requests.feed(data):
                if cable.repeats:
                    cable.repeated += 1
                    again = asyncio.create_task(_say_again(target, request))
                    self._tasks.add(again)
                    again.add_done_callback(self._tasks.discard)

        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", target)
        except OSError:
            writer.transport.abort()
            return
        pumps = [
            asyncio.ensure_future(_pump(reader, far_writer, up, cable, "up")),
            asyncio.ensure_future(_pump(far_reader, writer, watch.down, cable, "down")),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            watch.closed()
            writer.transport.abort()
            far_writer.transport.abort()

    async def _end(self) -> None:
        for server in self._servers:
            server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, feed: Feed, cable: Cable, way: str) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            await cable.passes(way)
            if way == "down" and cable.late_s:
                await asyncio.sleep(cable.late_s)
                if reader.at_eof() or reader.exception() is not None:
                    return  # who said it has died meanwhile: it was never heard
            writer.write(data)  # on its way first: what a watcher counts as said has been said
            feed(data)
            await writer.drain()
