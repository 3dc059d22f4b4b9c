"""Modbus frames without a number (RTU, ASCII) on a wire that is ours alone, with the silences it needs; accepts only whole right answers.

Source: "MODBUS over serial line specification and implementation guide" V1.02, 2.5.1. An answer that comes too late looks
like the next one. So a question without an answer is followed by a quiet time, and nothing of its shape is asked of that
unit again until its answer came or is taken for lost (``modbus_owed``).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from edge_gateway.errors import BadFrame, DeviceRefused, LinkDown
from edge_gateway.links.endpoint import end_of
from edge_gateway.links.modbus_frames import MOST_BYTES, Framing, Question, Seen, blame
from edge_gateway.links.modbus_owed import Late, Owed
from edge_gateway.links.modbus_pdu import MOST_PDU, Counters, NoAnswer, StillOwed, crc16, data_bytes, fault
from edge_gateway.links.modbus_trace import Trace
from edge_gateway.links.serial import FineTimer
from edge_gateway.links.wire import Wire

#: After bytes enough for an answer and such a silence nothing more is waited for: USB adaptors pause for up to 16 ms.
SETTLED_S = 0.05
#: A question that may not be asked yet is not refused in a busy loop.
_OWED_PAUSE_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Seconds. ``byte_s``: a character on the line; 0 through a socket, where nobody knows. ``silence_s``: before each question."""

    timeout_s: float
    quiet_s: float
    late_max_s: float
    byte_s: float = 0.0
    silence_s: float = 0.0
    open_delay_s: float = 0.0


class RtuLine:
    """See ``links.modbus.Line``."""

    numbered = False

    def __init__(self, wire: Wire, framing: Framing, timing: Timing, trace: Trace) -> None:
        self.counters = Counters()
        self.trace = trace
        self._wire, self._framing, self._timing = wire, framing, timing
        self._owed = Owed(timing.late_max_s)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: FineTimer | None = None
        self._not_before = 0.0
        self._waiting: asyncio.Future[bytes] | None = None
        self._question = Question(0, b"", 0, b"")
        self._sent_s = 0.0
        #: whose broken answer may go on during the quiet time; -1: nobody's
        self._trailing = -1
        self._buffer = b""
        self._deadline: asyncio.TimerHandle | None = None
        self._settling: asyncio.TimerHandle | None = None

    @property
    def is_open(self) -> bool:
        return self._timer is not None

    async def open(self) -> None:
        """Take the port, or connect. Raises LinkDown."""
        self.close()
        self._loop = asyncio.get_running_loop()
        try:
            await self._wire.open(self._received, self._lost)
        except LinkDown as error:
            self.counters.open_failures += 1
            self.trace.ended(*end_of(error))
            raise
        self._timer = FineTimer(self._loop)
        self._buffer = b""
        self._not_before = self._loop.time() + max(self._timing.silence_s, self._timing.open_delay_s)
        self.counters.opened += 1
        self.trace.ended("opened")

    def close(self) -> None:
        """See ``links.modbus.Line.close``."""
        self._wire.close()
        if self._timer is not None:
            self._timer.close()
            self._timer = None
        self._fail(LinkDown(f"{self._wire.name}: closed"))

    def wait_s(self, unit: int, pdu: bytes) -> float:
        """See ``links.modbus.Line.wait_s``."""
        now_s = asyncio.get_running_loop().time()
        if self._buffer and self._waiting is None and now_s >= self._not_before:
            self._settle_strays()  # it may be what is waited for
        return self._owed.wait_s(unit, pdu[0], data_bytes(pdu), now_s)

    def late(self) -> list[dict[str, object]]:
        """See ``links.modbus.Line.late``."""
        now_s = self._loop.time() if self._loop is not None else 0.0
        return [
            {"unit": late.unit, "pdu": late.pdu.hex(), "s_ago": round(now_s - late.at_s, 1)}
            for late in self._owed.quarantine
        ]

    def take_over(self, other: object) -> None:
        """See ``links.modbus.Line.take_over``."""
        if isinstance(other, RtuLine) and other._wire.speech == self._wire.speech:
            self._owed.take_over(other._owed.left(asyncio.get_running_loop().time()))

    # --- asking --------------------------------------------------------------------------------------------------

    async def exchange(self, unit: int, pdu: bytes, timeout_s: float = 0.0) -> bytes:
        """See ``links.modbus.Line.exchange``."""
        size = data_bytes(pdu)
        if self._waiting is not None:
            raise RuntimeError("one question at a time")
        # Made ready before the silence: what is done after it is line time.
        question = Question(unit, pdu, size, self._framing.encode(unit, pdu))
        await self._silence()
        loop = self._loop
        if self._timer is None or loop is None:
            raise LinkDown(f"{self._wire.name}: not open")
        if self._buffer:
            self._settle_strays()
        if left_s := self._owed.wait_s(unit, pdu[0], size, loop.time()):
            await asyncio.sleep(min(left_s, _OWED_PAUSE_S))
            raise StillOwed(
                f"unit {unit} still owes an answer of the same length; it may be asked again in {left_s:.1f} s", left_s
            )
        self._question = question
        waiting: asyncio.Future[bytes] = loop.create_future()
        self._waiting = waiting
        self._wire.write(question.frame)
        self._sent_s, self._trailing = loop.time(), -1
        self.counters.requests += 1
        # The bytes themselves take their time on the wire: it is no part of the unit's time to answer.
        answer_bytes = self._framing.wire_bytes(2 + size if size >= 0 else MOST_PDU)
        wire_s = (len(question.frame) + answer_bytes) * self._timing.byte_s
        self._deadline = loop.call_later(wire_s + (timeout_s or self._timing.timeout_s), self._timed_out)
        try:
            return await waiting
        except DeviceRefused:
            raise  # a whole answer: nothing more will come
        except BaseException as error:  # a time-out, a broken frame, a cancellation: an answer may still be under way
            now_s = loop.time()
            self._not_before = now_s + self._timing.quiet_s
            if not (isinstance(error, Garbled) and error.spent):
                self._owed.add(unit, pdu[0], size, now_s)
            raise
        finally:
            self._stop_timers()
            self._waiting = None

    async def _silence(self) -> None:
        """Until the line has been silent long enough; bytes that come meanwhile put it off. Raises BadFrame when it never is."""
        most_s = 0.0
        while self._loop is not None and self._timer is not None:
            now_s = self._loop.time()
            left_s = self._not_before - now_s
            if left_s <= 0:
                return
            most_s = most_s or now_s + left_s + self._timing.timeout_s + self._timing.quiet_s
            if now_s > most_s:
                self.counters.bad_frames += 1
                raise BadFrame("the line is never silent: something on it babbles", received=self._buffer[-64:])
            await self._timer.sleep(left_s)

    def _settle_strays(self) -> None:
        """What came while nothing was asked: late answers, or nobody knows what."""
        seen = self._framing.look(self._buffer, None, last=True)
        self._others(seen)
        if seen.noise:
            self.counters.strange += 1
            if self._trailing < 0:
                self.trace.strange(self._buffer)
        self._buffer = b""

    def _others(self, seen: Seen) -> None:
        """Whole right frames that answer no present question."""
        assert self._loop is not None
        now_s = self._loop.time()
        for unit, pdu in seen.others:
            if pdu[0] & 0x80:
                late = self._owed.refused(unit, pdu[0] & 0x7F, now_s)
            else:
                late = self._owed.answered(unit, pdu[0], _size(pdu), now_s)
            if late:
                self._quarantine(unit, pdu)
            else:
                self.counters.strange += 1
                frame = bytes((unit,)) + pdu
                self.trace.strange(frame + crc16(frame))

    def _quarantine(self, unit: int, pdu: bytes) -> None:
        assert self._loop is not None
        self.counters.late += 1
        self.trace.late(unit)
        self._owed.quarantine.append(Late(self._loop.time(), unit, pdu))

    # --- what comes ----------------------------------------------------------------------------------------------

    def _received(self, data: bytes) -> None:
        assert self._loop is not None
        self._not_before = max(self._not_before, self._loop.time() + self._timing.silence_s)
        self._buffer += data
        if len(self._buffer) > MOST_BYTES:
            self._buffer = self._buffer[-MOST_BYTES // 2 :]
            self.counters.noise_bytes += MOST_BYTES // 2
        if self._waiting is not None and not self._waiting.done():
            self._judge(self._framing.look(self._buffer, self._question))
        elif self._trailing >= 0:
            self.trace.trailed(self._trailing, data)

    def _judge(self, seen: Seen) -> bool:
        """Accepted if the answer is there, and only if it cannot be an earlier question's. False: not (yet)."""
        question = self._question
        if not seen.reply or seen.twice:
            if not seen.pending and seen.noise >= self._framing.wire_bytes(2 + max(question.size, 0)):
                self._settle_soon()
            return False
        wrong = fault(question.pdu, question.size, seen.reply)
        assert self._loop is not None
        if isinstance(wrong, DeviceRefused) and self._owed.ambiguous(question.unit, question.pdu[0], self._loop.time()):
            self._quarantine(question.unit, seen.reply)
            self._owed.refused(question.unit, question.pdu[0], self._loop.time())
            self._buffer = b""  # the answer itself may still come
            return False
        self._others(seen)
        self.counters.echoes += seen.echoes
        self.counters.noise_bytes += seen.noise
        if isinstance(wrong, DeviceRefused):
            self.counters.refused += 1
            self._note("exception", wrong.code)
            self._fail(wrong)
        elif wrong is not None:
            self._reject("garbage", str(wrong))
        else:
            self._accept(seen)
        self._buffer = b""
        return True

    def _accept(self, seen: Seen) -> None:
        assert self._loop is not None
        assert self._waiting is not None
        self.counters.answers += 1
        if seen.noise or seen.others or seen.echoes:
            self._note("padded")
        else:
            now_s = self._loop.time()
            self.trace.answered(self._question.unit, now_s - self._sent_s, now_s)
        self._waiting.set_result(seen.reply)

    def _settle_soon(self) -> None:
        assert self._loop is not None
        if self._settling is not None:
            self._settling.cancel()
        self._settling = self._loop.call_later(max(SETTLED_S, self._timing.silence_s), self._settled)

    def _settled(self) -> None:
        """Silence after enough bytes for an answer: what they are now, they stay."""
        if self._waiting is None or self._waiting.done():
            return
        seen = self._framing.look(self._buffer, self._question, last=True)
        if not self._judge(seen):
            self._give_up(seen)

    def _timed_out(self) -> None:
        if self._waiting is None or self._waiting.done():
            return
        seen = self._framing.look(self._buffer, self._question, last=True)
        if self._judge(seen):
            return
        if seen.others or seen.noise or seen.twice:
            self._give_up(seen)
        else:  # not even when an adaptor echoes our own question
            self.counters.echoes += seen.echoes
            self.counters.no_answer += 1
            self._note("echo" if seen.echoes else "silence")
            self._fail(NoAnswer("no answer in time but our own question" if seen.echoes else "no answer in time"))

    def _give_up(self, seen: Seen) -> None:
        outcome, why = blame(seen, self._buffer, self._question)
        self._others(seen)
        self.counters.echoes += seen.echoes
        self._reject(outcome, why)

    def _reject(self, outcome: str, why: str) -> None:
        if self._waiting is not None and not self._waiting.done():
            self.counters.bad_frames += 1
            self.counters.crc_errors += outcome == "crc"
            self._note("garbage" if outcome == "twice" else outcome)
            self._trailing = self._question.unit
            received, self._buffer = self._buffer, b""
            spent = outcome == "crc" or (outcome == "short" and len(received) > 2)
            self._fail(Garbled(why, received=received, spent=spent))

    def _note(self, outcome: str, code: int = 0) -> None:
        assert self._loop is not None
        self.trace.failed(outcome, self._sent(), self._buffer, self._loop.time() - self._sent_s, code)

    def _sent(self) -> bytes:
        """The question as the trace wants it: beginning with unit and function, whatever the framing."""
        frame = self._question.frame
        return frame if frame[:1] != b":" else bytes((self._question.unit,)) + self._question.pdu

    def _fail(self, error: Exception) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error)

    def _lost(self, why: str) -> None:
        self.counters.closed_by_peer += 1
        self.trace.ended("closed")
        self._fail(
            LinkDown(f"{self._wire.name}: {why}", hint="was the adaptor unplugged?" if self._timing.byte_s else "")
        )
        self.close()

    def _stop_timers(self) -> None:
        for timer in (self._deadline, self._settling):
            if timer is not None:
                timer.cancel()
        self._deadline = self._settling = None


class Garbled(BadFrame):
    """``spent``: what came was our answer, damaged, so that no other one is owed."""

    def __init__(self, why: str, *, received: bytes, spent: bool) -> None:
        super().__init__(why, received=received)
        self.spent = spent


def _size(pdu: bytes) -> int:
    """Data bytes of an answer as ``data_bytes`` of its question says them."""
    return pdu[1] if pdu[0] <= 4 else -1
