"""A line of the product whose other end is the fuzzer: no socket, and time that passes only when everybody waits."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from edge_gateway.errors import GatewayError
from edge_gateway.links.modbus import Line, TcpSettings, open_line
from tests.fuzz.oracle import Asked, wrong
from tests.fuzz.question import Bytes, answer, question

#: So many good and bad answers an execution at the most: a fault in one must not reach the next.
MOST_QUESTIONS = 4
TIMEOUT_S = 0.5


class WrongAccepted(AssertionError):
    """A wrong answer became a value."""


class Stuck(AssertionError):
    """A question that nobody will ever end."""


class _Selector(selectors.DefaultSelector):
    """Never waits: the time that it would have waited for has passed."""

    slept_s = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if timeout is None and not ready:
            raise Stuck("the line waits for nothing that could come")
        if not ready and timeout:
            self.slept_s += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual time; connections go to ``peer``."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)
        self.peer: Peer | None = None
        self.faults: list[BaseException] = []
        self.set_exception_handler(self._fault)

    def _fault(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What a callback raised nobody else hears of."""
        self.faults.append(context.get("exception") or AssertionError(context["message"]))

    def time(self) -> float:
        return 1000.0 + self._virtual.slept_s

    async def create_connection(self, factory: Callable[[], Any], *_: Any, **__: Any) -> Any:  # type: ignore[override]
        protocol = factory()
        assert self.peer is not None
        transport = Transport(self, protocol, self.peer)
        protocol.connection_made(transport)
        return transport, protocol


class Transport(asyncio.Transport):
    """What the line writes, the peer answers."""

    def __init__(self, loop: VirtualLoop, protocol: Any, peer: Peer) -> None:
        super().__init__()
        self._loop, self._protocol, self._peer = loop, protocol, peer
        self._open = True

    def write(self, data: Any) -> None:
        for number, chunk in enumerate(self._peer.heard(bytes(data))):
            self._loop.call_later(0.001 * (number + 1), self._deliver, chunk)

    def _deliver(self, chunk: bytes) -> None:
        if self._open:
            self._peer.came += chunk
            self._protocol.data_received(chunk)

    def abort(self) -> None:
        if self._open:
            self._open = False
            self._loop.call_soon(self._protocol.connection_lost, None)

    close = abort

    def is_closing(self) -> bool:
        return not self._open

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default


class Peer:
    """The device: answers by the fuzzer's bytes."""

    def __init__(self, kind: str, source: Bytes) -> None:
        self.kind, self.source = kind, source
        self.asked = Asked(0, 3, 0, 1)
        self.came = b""

    def heard(self, request: bytes) -> list[bytes]:
        if self.kind == "tcp":
            number = int.from_bytes(request[:2], "big")
            self.asked = Asked(self.asked.unit, self.asked.function, self.asked.start, self.asked.count, number)
        return answer(self.kind, self.asked, self.source)


class Harness:
    """One kind of line, and how many answers of each sort it was given."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.loop = VirtualLoop()
        self.counts = {"frames": 0, "accepted": 0, "refused": 0}

    def line(self) -> Line:
        shared: dict[str, Any] = {"host": "fuzzer", "port": 502, "timeout_s": TIMEOUT_S}
        if self.kind == "tcp":
            return open_line(TcpSettings(**shared))
        return open_line(TcpSettings(**shared, framing=self.kind, quiet_s=0.0, late_max_s=0.0))

    def run(self, data: bytes) -> None:
        """One execution. Raises WrongAccepted, or whatever the product should not raise."""
        try:
            self.loop.run_until_complete(self._run(Bytes(data)))
            if self.loop.faults:
                raise self.loop.faults[0]
        except BaseException:
            self._renew()
            raise

    def _renew(self) -> None:
        """Another loop: what a failed execution left in this one must not reach the next."""
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        with suppress(BaseException):
            self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()
        self.loop = VirtualLoop()

    async def _run(self, source: Bytes) -> None:
        peer = self.loop.peer = Peer(self.kind, source)
        line = self.line()
        try:
            for _ in range(1 + source.byte() % MOST_QUESTIONS):
                if not line.is_open:
                    await line.open()
                peer.asked, peer.came = question(source, 0), b""
                self.counts["frames"] += 1
                try:
                    reply = await line.exchange(peer.asked.unit, peer.asked.pdu)
                except GatewayError:  # what the floors above expect
                    self.counts["refused"] += 1
                    continue
                self.counts["accepted"] += 1
                if why := wrong(self.kind, peer.asked, peer.came, reply):
                    raise WrongAccepted(f"{self.kind}: {why}: {peer.asked} took {reply.hex()} out of {peer.came.hex()}")
        finally:
            line.close()
            await asyncio.sleep(0)
