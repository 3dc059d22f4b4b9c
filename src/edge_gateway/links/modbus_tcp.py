"""Modbus TCP: MBAP framing over one socket, one question at a time; accepts only the answer to that question.

Source: "MODBUS Messaging on TCP/IP Implementation Guide" V1.0b, 3.1.3.
"""

from __future__ import annotations

import asyncio
import struct

from edge_gateway.errors import BadFrame, LinkDown
from edge_gateway.links.endpoint import Connection, Endpoint, end_of
from edge_gateway.links.modbus_pdu import Counters, NoAnswer, data_bytes, fault
from edge_gateway.links.modbus_trace import Trace

_HEADER = struct.Struct(">HHHB")
#: Frames that answer no question of ours, within one exchange, before the socket is given up.
MOST_STRANGERS = 16


class TcpLine:
    """See ``links.modbus.Line``. ``spacing_s``: from an answer to the next question at least."""

    numbered = True

    def __init__(self, endpoint: Endpoint, *, timeout_s: float, spacing_s: float = 0.0) -> None:
        self.counters = Counters()
        self.trace = Trace("tcp", timeout_s=timeout_s)
        self._endpoint = endpoint
        self._timeout_s, self._spacing_s = timeout_s, spacing_s
        self._connection: _Connection | None = None
        self._transaction = 0
        self._not_before = 0.0

    @property
    def is_open(self) -> bool:
        connection = self._connection
        return connection is not None and connection.transport is not None

    async def open(self) -> None:
        """Connect. Raises LinkDown with the system's reason."""
        self.close()
        loop = asyncio.get_running_loop()
        try:
            self._connection = await self._endpoint.connect(lambda: _Connection(loop, self.counters, self.trace))
        except LinkDown as error:
            self.counters.open_failures += 1
            self.trace.ended(*end_of(error))
            raise
        self.counters.opened += 1
        self.trace.ended("opened")

    def wait_s(self, _unit: int, _pdu: bytes) -> float:
        """Every answer bears its question's number."""
        return 0.0

    def late(self) -> list[dict[str, object]]:
        """Late ones are lost with their socket."""
        return []

    async def exchange(self, unit: int, pdu: bytes, timeout_s: float = 0.0) -> bytes:
        """See ``links.modbus.Line.exchange``."""
        size = data_bytes(pdu)
        if self._spacing_s:
            await self._spaced()
        connection = self._connection
        if connection is None or connection.transport is None:
            raise LinkDown(f"{self._endpoint.name}: not connected")
        self._transaction = self._transaction + 1 & 0xFFFF
        answer = connection.ask(self._transaction, unit, pdu, size, timeout_s or self._timeout_s)
        try:
            return await answer
        except asyncio.CancelledError:
            connection.drop()  # the answer may still come: only another socket is sure not to bring it
            raise
        finally:
            if self._spacing_s:
                self._not_before = asyncio.get_running_loop().time() + self._spacing_s

    async def _spaced(self) -> None:
        left_s = self._not_before - asyncio.get_running_loop().time()
        if left_s > 0:
            await asyncio.sleep(left_s)

    def take_over(self, other: object) -> None:
        """Answers bear their questions' numbers, and a connection's end is theirs."""

    def close(self) -> None:
        """See ``links.modbus.Line.close``."""
        if self._connection is not None:
            self._connection.drop()
            self._connection = None


class _Connection(Connection):
    """One socket. ``transport`` is None before it is connected and from its end on."""

    def __init__(self, loop: asyncio.AbstractEventLoop, counters: Counters, trace: Trace) -> None:
        super().__init__()
        self._loop = loop
        self._counters = counters
        self._trace = trace
        self._asked_s = 0.0
        self._waiting: asyncio.Future[bytes] | None = None
        self._asked: tuple[int, int, bytes, int] = (0, 0, b"", 0)
        self._buffer = b""
        self._strangers = 0
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def ask(self, transaction: int, unit: int, pdu: bytes, size: int, timeout_s: float) -> asyncio.Future[bytes]:
        if self._waiting is not None and not self._waiting.done():
            raise RuntimeError("one question at a time")
        assert self.transport is not None
        self._asked = (transaction, unit, pdu, size)
        self._strangers = 0
        self._waiting = waiting = self._loop.create_future()
        self._counters.requests += 1
        # One timer for many questions: it looks at the deadline when it fires, so that a good answer costs none.
        self._asked_s = self._loop.time()
        self._deadline = self._asked_s + timeout_s
        if self._timer is None or self._timer.when() > self._deadline:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(self._deadline, self._look)
        self.transport.write(_HEADER.pack(transaction, 0, len(pdu) + 1, unit) + pdu)
        return waiting

    def drop(self) -> None:
        """Close at once; whatever is still under way is lost, and that is the point."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        super().drop()
        self._fail(LinkDown("the connection was closed"))

    def _fail(self, error: Exception) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_exception(error)

    def _look(self) -> None:
        self._timer = None
        if self._waiting is None or self._waiting.done():
            return
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._look)
            return
        if self._buffer:
            why = f"an answer that stopped after {len(self._buffer)} bytes"
            self._reject("short", BadFrame(why, received=self._buffer))
            return
        self._counters.no_answer += 1
        self._note("silence", b"")
        self._fail(NoAnswer("no answer in time"))
        self.drop()

    def _note(self, outcome: str, received: bytes, code: int = 0) -> None:
        _, unit, asked, _ = self._asked
        self._trace.failed(outcome, bytes((unit,)) + asked, received, self._loop.time() - self._asked_s, code)

    def _reject(self, outcome: str, error: BadFrame) -> None:
        self._counters.bad_frames += 1
        self._note(outcome, error.received)
        self._fail(error)
        self.drop()

    # --- asyncio's callbacks -----------------------------------------------------------------------------------

    def connection_lost(self, exc: Exception | None) -> None:
        if self.transport is not None:  # not by us
            self._counters.closed_by_peer += 1
            self._trace.ended("closed")
        super().connection_lost(exc)
        self._fail(LinkDown(f"the other side closed the connection{f' ({exc})' if exc else ''}"))
        self.drop()

    def data_received(self, data: bytes) -> None:
        if self.transport is None:
            return
        data = self._buffer + data if self._buffer else data
        while True:
            if self._waiting is None or self._waiting.done():
                if data:  # it speaks unasked: the next answer could be anybody's
                    self._counters.strange += 1
                    self._trace.strange(data)
                    self.drop()
                return
            if len(data) < 7:
                self._buffer = data
                return
            transaction, protocol, length, unit = _HEADER.unpack_from(data)
            if protocol != 0 or not 2 <= length <= 254:
                self._reject("garbage", BadFrame("no Modbus TCP header", received=data[:260]))
                return
            if len(data) < 6 + length:
                self._buffer = data
                return
            self._take(transaction, unit, data[7 : 6 + length])
            data = data[6 + length :]
            self._buffer = b""

    def _take(self, transaction: int, unit: int, reply: bytes) -> None:
        """One whole frame while a question waits."""
        its_transaction, its_unit, asked, size = self._asked
        if transaction != its_transaction:
            self._counters.strange += 1
            self._strangers += 1
            self._trace.late(unit)
            if self._strangers > MOST_STRANGERS:
                self._reject("garbage", BadFrame("a flood of answers to other questions", received=reply))
            return
        if unit != its_unit:
            self._reject("wrong-unit", BadFrame(f"unit {unit} answers for unit {its_unit}", received=reply))
            return
        wrong = fault(asked, size, reply)
        if isinstance(wrong, BadFrame):
            self._reject("wrong-function" if reply and reply[0] & 0x7F != asked[0] else "wrong-length", wrong)
        elif wrong is not None:
            self._counters.refused += 1
            self._note("exception", reply, wrong.code)
            self._fail(wrong)
        else:
            self._counters.answers += 1
            now_s = self._loop.time()
            self._trace.answered(unit, now_s - self._asked_s, now_s)
            assert self._waiting is not None
            self._waiting.set_result(reply)
