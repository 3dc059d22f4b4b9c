"""Modbus RTU: frames on a serial line that is ours alone, with the silences the line needs; accepts only whole right answers.

Source: "MODBUS over serial line specification and implementation guide" V1.02, 2.5.1. Such frames carry no number:
an answer that comes too late looks like the next one. So a time-out is followed by a quiet time in which whatever
comes is thrown away, and the planner keeps the lengths of a unit's answers apart where it can.
"""

from __future__ import annotations

import asyncio
import errno
import os

import serial

from edge_gateway.errors import BadFrame, DeviceRefused, LinkDown
from edge_gateway.links.modbus_pdu import MOST_PDU, Counters, NoAnswer, crc16, data_bytes, fault, least
from edge_gateway.links.modbus_trace import Trace, outcome_of
from edge_gateway.links.serial import FineTimer, line_errors, open_port

#: Above 19,200 baud the silence between frames is fixed (specification 2.5.1.1).
FIXED_SILENCE_S = 0.00175


class RtuLine:
    """See ``links.modbus.Line``."""

    def __init__(self, port: str, *, baud: int, parity: str, stopbits: int, timeout_s: float, quiet_s: float) -> None:
        self.counters = Counters()
        self.trace = Trace("rtu", timeout_s=timeout_s, baud=baud)
        self.trace.uart = lambda: line_errors(self._serial.fileno()) if self._serial is not None else None
        self._port, self._baud, self._parity, self._stopbits = port, baud, parity, stopbits
        self._timeout_s, self._quiet_s = timeout_s, quiet_s
        self._byte_s = (9 + (parity != "N") + stopbits) / baud
        self._silence_s = 3.5 * self._byte_s if baud <= 19_200 else FIXED_SILENCE_S
        self._serial: serial.Serial | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: FineTimer | None = None
        self._not_before = 0.0
        self._waiting: asyncio.Future[bytes] | None = None
        self._asked: tuple[int, bytes, int] = (0, b"", 0)
        self._sent: bytes = b""
        self._sent_s = 0.0
        #: whose broken answer may go on during the quiet time; -1: nobody's
        self._trailing = -1
        self._buffer = b""

    @property
    def is_open(self) -> bool:
        return self._serial is not None

    async def open(self) -> None:
        """Take the port. Raises LinkDown."""
        self.close()
        self._loop = asyncio.get_running_loop()
        try:
            self._serial = open_port(self._port, baud=self._baud, parity=self._parity, stopbits=self._stopbits)
        except LinkDown as error:
            self.counters.open_failures += 1
            self.trace.ended("held" if "held" in error.why else "unreachable", error.why)
            raise
        self._timer = FineTimer(self._loop)
        self._loop.add_reader(self._serial.fileno(), self._readable)
        self._not_before = self._loop.time() + self._silence_s
        self.counters.opened += 1
        self.trace.ended("opened")

    def close(self) -> None:
        """See ``links.modbus.Line.close``."""
        port, self._serial = self._serial, None
        if port is not None:
            assert self._loop is not None
            self._loop.remove_reader(port.fileno())
            port.close()
        if self._timer is not None:
            self._timer.close()
            self._timer = None
        self._fail(LinkDown(f"{self._port}: closed"))

    async def exchange(self, unit: int, pdu: bytes, timeout_s: float = 0.0) -> bytes:
        """See ``links.modbus.Line.exchange``."""
        size = data_bytes(pdu)
        if self._waiting is not None:
            raise RuntimeError("one question at a time")
        await self._silence()
        if self._serial is None or self._loop is None:
            raise LinkDown(f"{self._port}: not open")
        self._asked, self._buffer = (unit, pdu, size), b""
        frame = bytes((unit,)) + pdu
        waiting: asyncio.Future[bytes] = self._loop.create_future()
        self._waiting = waiting
        self._sent, self._trailing = frame + crc16(frame), -1
        self._send(self._sent)
        # The bytes themselves take their time on the wire: it is no part of the unit's time to answer.
        wire_s = (len(frame) + 2 + (size if size >= 0 else MOST_PDU) + 5) * self._byte_s
        timer = self._loop.call_later(wire_s + (timeout_s or self._timeout_s), self._timed_out)
        try:
            return await waiting
        except DeviceRefused:
            raise  # a whole answer: nothing more will come
        except BaseException:  # a time-out, a broken frame, a cancellation: an answer may still be under way
            self._not_before = self._loop.time() + self._quiet_s
            raise
        finally:
            timer.cancel()
            self._waiting = None

    async def _silence(self) -> None:
        """Until the line has been silent long enough; bytes that come meanwhile put it off (see ``_readable``)."""
        while self._loop is not None and self._timer is not None:
            left_s = self._not_before - self._loop.time()
            if left_s <= 0:
                return
            await self._timer.sleep(left_s)

    def _send(self, frame: bytes) -> None:
        self.counters.requests += 1
        assert self._serial is not None
        assert self._loop is not None
        self._sent_s = self._loop.time()
        try:
            os.write(self._serial.fileno(), frame)
        except OSError as error:
            self._gone(error)

    def _gone(self, error: OSError) -> None:
        self.counters.closed_by_peer += 1
        self.trace.ended("closed")
        self._fail(LinkDown(f"{self._port}: {error.strerror or error}", hint="was the adaptor unplugged?"))
        self.close()

    def _fail(self, error: Exception) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error)

    def _timed_out(self) -> None:
        if self._buffer:
            self._reject(f"an answer that stopped after {len(self._buffer)} bytes")
        elif self._waiting is not None and not self._waiting.done():
            self.counters.no_answer += 1
            self._note("silence")
            self._fail(NoAnswer("no answer in time"))

    def _reject(self, why: str) -> None:
        if self._waiting is not None and not self._waiting.done():
            self.counters.bad_frames += 1
            self._note(outcome_of(self._sent, self._buffer, self._asked[2]))
            self._trailing = self._asked[0]
            self._fail(BadFrame(why, received=self._buffer))

    def _note(self, outcome: str, code: int = 0) -> None:
        assert self._loop is not None
        self.trace.failed(outcome, self._sent, self._buffer, self._loop.time() - self._sent_s, code)

    def _readable(self) -> None:
        assert self._serial is not None
        assert self._loop is not None
        try:
            data = os.read(self._serial.fileno(), 512)
        except BlockingIOError:
            return
        except OSError as error:
            self._gone(error)
            return
        if not data:
            self._gone(OSError(errno.EIO, os.strerror(errno.EIO)))
            return
        self._not_before = max(self._not_before, self._loop.time() + self._silence_s)
        if self._waiting is None or self._waiting.done():
            self.counters.strange += 1
            if self._trailing < 0:
                self.trace.strange(data)
            else:
                self.trace.trailed(self._trailing, data)
            return
        self._buffer += data
        self._judge()

    def _judge(self) -> None:
        """What has come so far: rejected as soon as it cannot become the answer, accepted when it is whole."""
        unit, asked, size = self._asked
        frame = self._buffer
        head = frame[1:]
        whole = least(asked, size, head) + 3
        if frame[0] != unit:
            self._reject(f"unit {frame[0]} answers for unit {unit}, or noise")
        elif head and head[0] & 0x7F != asked[0]:
            self._reject(f"function {head[0]} answers function {asked[0]}")
        elif whole == 3:
            self._reject(f"{head[1]} data bytes announced instead of {size}" if size >= 0 else "no identification")
        elif len(frame) > whole:
            self._reject(f"{len(frame)} bytes instead of {whole}")
        elif len(frame) == whole:
            self._accept(asked, size, frame)

    def _accept(self, asked: bytes, size: int, frame: bytes) -> None:
        if crc16(frame[:-2]) != frame[-2:]:
            self._reject("wrong checksum")
            return
        wrong = fault(asked, size, frame[1:-2])
        if isinstance(wrong, BadFrame):
            self._reject(str(wrong))
        elif wrong is not None:
            self.counters.refused += 1
            self._note("exception", wrong.code)
            self._fail(wrong)
        elif self._waiting is not None:
            self.counters.answers += 1
            assert self._loop is not None
            now_s = self._loop.time()
            self.trace.answered(self._asked[0], now_s - self._sent_s, now_s)
            self._waiting.set_result(frame[1:-2])
