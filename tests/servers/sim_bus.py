"""A serial line in virtual time: units with their own baud and parity, and the arithmetic of a real line; nothing really waits.

``SimBus.open_line`` and ``open_ear`` take the place of the gateway's own, so that the bus learns baud and parity (a
pseudo terminal refuses parity). What is kept: every byte takes 9 + parity + stop bits at the baud rate, a unit begins its
answer after its own turnaround, the line is silent for 3.5 characters, a question without an answer lasts as long as
the real line waits, and silence is kept after it. What is not: time that Python and the kernel take. A unit hears only
what comes with its own baud and parity; frames that overlap in the air are lost; a late answer meets whatever is asked then.
"""

from __future__ import annotations

import asyncio
import itertools
import selectors
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from edge_gateway.errors import BadFrame, LinkDown
from edge_gateway.links.modbus import Counters, NoAnswer, RtuSettings, TcpSettings
from edge_gateway.links.modbus_pdu import crc16, data_bytes, fault
from edge_gateway.links.modbus_trace import Trace
from tests.servers.write_ledger import saw

_T = TypeVar("_T")


class _Selector(selectors.SelectSelector):
    """Never sleeps: time goes on instead."""

    now_s = 1000.0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if not ready and timeout is None:
            return super().select(1.0)
        if not ready and timeout:
            self.now_s += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time jumps to the next timer."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now_s


def in_virtual_time(main: Coroutine[Any, Any, _T]) -> _T:
    """Run to the end, without waiting for anything."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


class LoopClock:
    """The gateway's clock, on the running loop's time."""

    boot = "b00100000000"
    speed = 1.0

    def mono_us(self) -> int:
        return round(asyncio.get_running_loop().time() * 1e6)

    def wall_us(self) -> int:
        return 1_760_000_000_000_000 + self.mono_us()

    def trusted(self) -> bool:
        return True

    async def sleep_until(self, mono_us: int) -> None:
        while (left_us := mono_us - self.mono_us()) > 0:
            await asyncio.sleep(left_us / 1e6)


@dataclass(slots=True)
class SimUnit:
    """A unit. ``registers`` by (function, address); ``silent``: it says nothing where it should refuse."""

    address: int
    registers: dict[tuple[int, int], int]
    baud: int = 9600
    parity: str = "N"
    turnaround_s: float = 0.02
    silent: bool = False
    device_id: dict[int, str] = field(default_factory=dict)
    server_id: bytes = b""

    def answer(self, pdu: bytes) -> bytes | None:
        """The answer's PDU."""
        function = pdu[0]
        if function == 43 and self.device_id:
            texts = b"".join(bytes((n, len(t.encode()))) + t.encode() for n, t in sorted(self.device_id.items()))
            return pdu[:3] + b"\x81\x00\x00" + bytes((len(self.device_id),)) + texts
        if function == 17 and self.server_id:
            return bytes((17, len(self.server_id))) + self.server_id
        if function > 4 or not any(f == function for f, _ in self.registers):
            return self._refuse(function, 1)
        start, count = int.from_bytes(pdu[1:3], "big"), int.from_bytes(pdu[3:5], "big")
        cells = [self.registers.get((function, start + i)) for i in range(count)]
        if None in cells:
            return self._refuse(function, 2)
        if function <= 2:
            data = bytearray((count + 7) // 8)
            for index, bit in enumerate(cells):
                data[index >> 3] |= (bit or 0) << (index & 7)
            return bytes((function, len(data))) + data
        return bytes((function, 2 * count)) + b"".join((cell or 0).to_bytes(2, "big") for cell in cells)

    def _refuse(self, function: int, code: int) -> bytes | None:
        return None if self.silent else bytes((function | 0x80, code))


@dataclass(slots=True)
class _InAir:
    """A frame on the wire. Two that overlap destroy each other."""

    begins_s: float
    ends_s: float
    frame: bytes
    whole: bool = True


class SimBus:
    """Units on one wire, and a foreign master if ``foreign`` says when it speaks."""

    def __init__(self, units: list[SimUnit]) -> None:
        self.units = units
        self.functions: Counter[int] = Counter()
        self.asked: list[tuple[float, str, int, bytes]] = []  # end of the request (s), framing, unit, PDU
        self.open_lines = 0
        self.foreign: Callable[[float, float], list[tuple[float, bytes]]] = lambda _begin, _end: []
        self._air: list[_InAir] = []

    def open_line(self, settings: RtuSettings | TcpSettings) -> SimLine:
        """In place of ``links.modbus.open_line``."""
        assert isinstance(settings, RtuSettings)
        return SimLine(self, settings)

    def open_ear(self, settings: RtuSettings) -> SimEar:
        """In place of ``links.modbus_ear.open_ear``."""
        return SimEar(self, settings)

    def put(self, begins_s: float, ends_s: float, frame: bytes) -> _InAir:
        """A frame goes out; what is in the air at the same time is lost, and so is it."""
        new = _InAir(begins_s, ends_s, frame)
        for other in self._air:
            if other.begins_s < ends_s and begins_s < other.ends_s:
                other.whole = new.whole = False
        self._air.append(new)
        self._air = [frame for frame in self._air if frame.ends_s > begins_s - 5.0]
        return new

    def heard(self, since_s: float, until_s: float) -> list[_InAir]:
        """Frames whose last byte came within that time."""
        return sorted((f for f in self._air if f.frame and since_s < f.ends_s <= until_s), key=lambda f: f.ends_s)

    def request(self, settings: RtuSettings, ends_s: float, unit: int, pdu: bytes, *, whole: bool) -> None:
        """A whole request has come to its end: whoever has this baud, parity and address answers."""
        self.asked.append((ends_s, f"{settings.baud}-8{settings.parity}", unit, pdu))
        if not whole:
            return
        for one in self.units:
            if (one.baud, one.parity, one.address) != (settings.baud, settings.parity, unit):
                continue
            self.functions[pdu[0]] += 1
            saw("sim-bus", unit, pdu)
            reply = one.answer(pdu)
            if reply is not None:
                frame = bytes((unit,)) + reply
                frame += crc16(frame)
                begins_s = ends_s + one.turnaround_s
                self.put(begins_s, begins_s + len(frame) * byte_s(settings), frame)


def byte_s(settings: RtuSettings) -> float:
    """Time of a byte on the wire (s)."""
    return (9 + (settings.parity != "N") + settings.stopbits) / settings.baud


class SimLine:
    """See ``links.modbus.Line``: as long on the wire and as patient as the real one."""

    numbered = False

    def __init__(self, bus: SimBus, settings: RtuSettings) -> None:
        self.counters = Counters()
        self.trace = Trace("rtu", timeout_s=settings.timeout_s, baud=settings.baud)
        self._bus = bus
        self._settings = settings
        self._silence_s = 3.5 * byte_s(settings) if settings.baud <= 19_200 else 0.00175
        self._not_before_s = 0.0
        self._heard_until_s = 0.0
        self._late: list[dict[str, object]] = []
        self.is_open = False

    async def open(self) -> None:
        """One port is one line."""
        if self._bus.open_lines:
            raise LinkDown(f"{self._settings.port}: held by another program")
        self._bus.open_lines += 1
        self.is_open = True
        self.counters.opened += 1
        self._heard_until_s = asyncio.get_running_loop().time()
        self._not_before_s = self._heard_until_s + self._silence_s

    def close(self) -> None:
        """Give it back."""
        if self.is_open:
            self._bus.open_lines -= 1
            self.is_open = False

    def wait_s(self, _unit: int, _pdu: bytes) -> float:
        """This line owes nothing: what is late is seen by its unit."""
        return 0.0

    def take_over(self, _other: object) -> None:
        """Nothing is owed, so nothing is known of it."""

    def late(self) -> list[dict[str, object]]:
        """Answers of units that were no longer asked."""
        return list(self._late)

    async def exchange(self, unit: int, pdu: bytes, timeout_s: float = 0.0) -> bytes:
        """One question."""
        size = data_bytes(pdu)
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self._not_before_s - loop.time()))
        if not self.is_open:
            raise LinkDown(f"{self._settings.port}: not open")
        self._strays(loop.time())
        self.counters.requests += 1
        one_s = byte_s(self._settings)
        begins_s = loop.time()
        ends_s = begins_s + (len(pdu) + 3) * one_s
        sent = self._bus.put(begins_s, ends_s, b"")
        await asyncio.sleep(ends_s - begins_s)
        self._bus.request(self._settings, ends_s, unit, pdu, whole=sent.whole)
        answer_s = ((size if size >= 0 else 251) + 5) * one_s
        gives_up_s = ends_s + answer_s + (timeout_s or self._settings.timeout_s)
        try:
            return await self._wait(unit, pdu, size, ends_s, gives_up_s)
        except (NoAnswer, BadFrame):
            self._not_before_s = loop.time() + self._settings.quiet_s
            raise

    async def _wait(self, unit: int, pdu: bytes, size: int, asked_s: float, gives_up_s: float) -> bytes:
        loop = asyncio.get_running_loop()
        rubbish = b""
        for frame in self._bus.heard(asked_s, gives_up_s):
            if not frame.whole:
                rubbish += b"\xfe" + frame.frame[1:3]
                continue
            if frame.frame[0] != unit:
                rubbish += frame.frame
                continue
            await asyncio.sleep(frame.ends_s - loop.time())
            self._heard_until_s = frame.ends_s
            self._not_before_s = frame.ends_s + self._silence_s
            wrong = fault(pdu, size, frame.frame[1:-2])
            if wrong is not None:
                self.counters.refused += 1
                raise wrong
            self.counters.answers += 1
            return frame.frame[1:-2]
        await asyncio.sleep(gives_up_s - loop.time())
        self._heard_until_s = gives_up_s
        if rubbish:
            self.counters.bad_frames += 1
            raise BadFrame("rubbish", received=rubbish)
        self.counters.no_answer += 1
        raise NoAnswer("no answer in time")

    def _strays(self, now_s: float) -> None:
        """What came between two questions."""
        for frame in self._bus.heard(self._heard_until_s, now_s):
            if frame.whole and frame.frame:
                self.counters.late += 1
                self._late.append({"unit": frame.frame[0], "pdu": frame.frame[1:-2].hex(), "s_ago": 0.0})
        self._heard_until_s = now_s


class SimEar:
    """See ``links.modbus_ear.Ear``."""

    def __init__(self, bus: SimBus, settings: RtuSettings) -> None:
        self._bus = bus
        self._settings = settings

    async def open(self) -> None:
        if self._bus.open_lines:
            raise LinkDown(f"{self._settings.port}: held by another program")
        self._bus.open_lines += 1

    def close(self) -> None:
        self._bus.open_lines -= 1

    async def hear(self, seconds: float) -> list[tuple[float, bytes]]:
        """What the foreign master and its units say."""
        begins_s = asyncio.get_running_loop().time()
        await asyncio.sleep(seconds)
        return self._bus.foreign(begins_s, begins_s + seconds)


def registers(function: int, start: int, data: bytes) -> dict[tuple[int, int], int]:
    """Registers (or bits) as a block of bytes has them."""
    if function <= 2:
        return {(function, start + i): data[i >> 3] >> (i & 7) & 1 for i in range(8 * len(data))}
    words = (data[at : at + 2] for at in range(0, len(data), 2))
    return {(function, address): int.from_bytes(word, "big") for address, word in zip(itertools.count(start), words, strict=False)}
