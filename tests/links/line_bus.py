"""A serial bus with units on it, exchange by exchange on ``line_physics``, reported to a real ``Trace`` as a line reports.

Knows nothing of the judge. An exchange that nothing disturbs is not computed bit by bit: it is answered.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from edge_gateway.links.modbus_pdu import crc16
from edge_gateway.links.modbus_trace import LineRecord, Trace
from tests.links.line_physics import BIASED, Driver, Format, Heard, Wire, listen, split_frames
from tests.links.outcomes import outcome_of
from tests.servers.write_ledger import saw


def framed(body: bytes) -> bytes:
    return body + crc16(body)


@dataclass
class Unit:
    """A device: how it is set and wired. ``strict``: throws a frame away in which its UART saw a wrong byte."""

    address: int
    form: Format
    registers: int = 2
    turnaround_s: Callable[[], float] = lambda: 0.005
    powered: Callable[[float], bool] = lambda _at: True
    swapped: bool = False
    strict: bool = True
    strength: float = 1.0
    ring_s: float = 0.0
    ring: float = 0.0  # of its answers, at the gateway
    hears_ring: float = 0.0  # of our questions, at its own end
    gap_bits: float = 0.0
    code: Callable[[], int] = lambda: 0  # an exception instead of an answer
    burst_rate: float = 0.0  # bursts a second on its branch only


@dataclass
class Bus:
    """The line and what disturbs it. ``asked``: what the gateway is configured to ask: (address, registers)."""

    random: random.Random
    form: Format
    units: list[Unit]
    asked: list[tuple[int, int]]
    timeout_s: float = 0.4
    noise: float = 0.02
    idle: float = BIASED
    droop_s: float = 0.0
    swapped: bool = False
    echo: bool = False
    counts: bool = False  # the driver counts framing and parity errors
    bursts: Callable[[float], float] = lambda _wall: 0.0  # a second, by wall time
    noisy: Callable[[float], bool] = lambda _wall: False  # whether the bursts are at work, where they are confined
    foreign: Callable[[float], list[Driver]] | None = None  # another master's frames around a time
    every_bit: bool = False
    wall_s: float = 1_760_000_000.0
    framing: int = 0
    parity: int = 0
    damaged: int = 0
    strange: int = 0
    owed: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.trace = Trace("rtu", timeout_s=self.timeout_s, baud=int(self.form.baud), wall_s=lambda: self.wall_s)
        self.trace.uart = lambda: (self.framing, self.parity) if self.counts else None

    @property
    def costly(self) -> bool:
        """Whether most exchanges are computed bit by bit."""
        odd = self.every_bit or self.swapped or self.echo or self.foreign or self.droop_s or self.idle != BIASED
        return bool(
            odd or any(unit.ring or unit.hears_ring or unit.swapped or unit.form != self.form for unit in self.units)
        )

    def run(self, rounds: int, interval_s: float) -> LineRecord:
        """Ask everything so many times."""
        self.trace.ended("opened")
        for _ in range(rounds):
            for address, count in self.asked:
                self.wall_s += interval_s / len(self.asked)
                self.exchange(address, count)
                self.between()
        return self.trace.record()

    # --- one exchange ------------------------------------------------------------------------------------------------

    def exchange(self, address: int, count: int) -> None:
        request = framed(bytes((address, 3, 0, self.random.randrange(4), 0, count)))
        units = [unit for unit in self.units if unit.address == address and unit.powered(self.wall_s)]
        heard, late = self._plain(request, units) or self._bit_by_bit(request, units)
        self._report(request, heard, late)

    def _plain(self, request: bytes, units: list[Unit]) -> tuple[list[Heard], list[Heard]] | None:
        """The exchange without looking at bits, if nothing can disturb it."""
        line = self.every_bit or self.swapped or self.echo or self.foreign or self.droop_s or self.idle != BIASED
        if line or len(units) > 1 or any(u.ring or u.hears_ring or u.swapped or u.form != self.form for u in units):
            return None
        rate = self.bursts(self.wall_s) + sum(unit.burst_rate for unit in units)
        if rate and self.random.random() < 1.0 - 2.718281828 ** (-rate * self._length_s(request)):
            return None
        if not units:
            return [], []
        took_s = units[0].turnaround_s()
        at_s = len(request) * self.form.byte_s + took_s
        heard = []
        for value in self._answer(units[0], request):
            at_s += self.form.byte_s
            heard.append(Heard(value, at_s, False, False))
        return (heard, []) if took_s < self.timeout_s else ([], heard)

    def _length_s(self, request: bytes) -> float:
        return (len(request) + 2 * request[5] + 5) * self.form.byte_s + 0.01

    def _answer(self, unit: Unit, request: bytes) -> bytes:
        if code := unit.code():
            return framed(bytes((unit.address, request[1] | 0x80, code)))
        count = request[5]
        words = b"".join(self.random.choice((200, 230, 1, 0, 65358, 3000)).to_bytes(2, "big") for _ in range(count))
        return framed(bytes((unit.address, request[1], 2 * count)) + words)

    def _bit_by_bit(self, request: bytes, units: list[Unit]) -> tuple[list[Heard], list[Heard]]:
        begin_s = 0.01
        asking = Driver(begin_s, request, self.form)
        drivers = [asking, *(self.foreign(self.wall_s) if self.foreign else [])]
        bursts = self._bursts(request, units)
        replies = [(unit, self._hears(unit, request, drivers, bursts)) for unit in units]
        answers = [_driver(unit, asking.end_s + unit.turnaround_s(), reply) for unit, reply in replies if reply]
        drivers += answers
        wire = Wire(drivers, self.idle, self.noise, bursts, 2.0, self.swapped, self.droop_s, self.random)
        wire_s = (2 * request[5] + 5) * self.form.byte_s
        end_s = max([asking.end_s + self.timeout_s + wire_s, *(driver.end_s + 0.01 for driver in answers)])
        quiet_s = max(driver.end_s for driver in drivers) + self.droop_s + 30 * self.form.bit_s
        heard = listen(wire, 0.0 if self.echo else asking.end_s, min(end_s, quiet_s), self.form)
        for byte in heard:
            self.framing += byte.framing
            self.parity += byte.parity
        limit_s = asking.end_s + self.timeout_s + wire_s
        return [b for b in heard if b.at_s <= limit_s], [b for b in heard if b.at_s > limit_s]

    def _bursts(self, request: bytes, units: list[Unit]) -> list[tuple[float, float]]:
        rate = self.bursts(self.wall_s) + sum(u.burst_rate for u in units if u.address == request[0])
        if not rate:
            return []
        whole_s = self._length_s(request)
        found = []
        while True:
            at_s = 0.01 + self.random.random() * whole_s
            found.append((at_s, at_s + self.random.uniform(0.3, 12) * self.form.bit_s))
            if self.random.random() > rate * whole_s / (1 + rate * whole_s):
                return found

    def _hears(self, unit: Unit, request: bytes, drivers: list[Driver], bursts: list[tuple[float, float]]) -> bytes:
        """What the unit answers to what it hears of the question; nothing if that is not for it."""
        if unit.hears_ring:
            asking = drivers[0]
            rung = Driver(asking.begin_s, asking.data, asking.form, ring_s=unit.ring_s, ring=unit.hears_ring)
            drivers = [rung, *drivers[1:]]
        inverted = unit.swapped ^ self.swapped
        wire = Wire(drivers, self.idle, self.noise, bursts, 2.0, inverted, 0.0, self.random)
        first = drivers[0]
        if unit.form == self.form and not inverted and not bursts and not unit.hears_ring and len(drivers) == 1:
            frame, good = request, True
        else:
            heard = listen(wire, first.begin_s - 5 * first.form.bit_s, first.end_s + 12 * unit.form.bit_s, unit.form)
            runs = split_frames(heard, 3.5 * unit.form.byte_s)
            frame = bytes(byte.value for byte in runs[-1]) if runs else b""
            good = bool(runs) and not any(byte.framing or byte.parity for byte in runs[-1])
        if len(frame) < 8 or frame[0] != unit.address or crc16(frame[:-2]) != frame[-2:] or (unit.strict and not good):
            return b""
        saw("line-bus", frame[0], frame[1:-2])
        return self._answer(unit, frame)

    # --- as a line reports --------------------------------------------------------------------------------------------

    def _report(self, request: bytes, heard: list[Heard], late: list[Heard]) -> None:
        unit, size = request[0], 2 * request[5]
        received = bytes(byte.value for byte in heard)
        at, length = _find(received, request, size)
        if at >= 0:
            took_s = heard[at + length - 1].at_s - 0.01
            self.owed.discard(unit)
            if received[at + 1] & 0x80:
                self.trace.failed("exception", request, received[at : at + length], took_s, received[at + 2])
            elif at:
                self.trace.failed("padded", request, received[: at + length], took_s)
            else:
                self.trace.answered(unit, took_s, self.wall_s)
            if after := received[at + length :]:
                self._stray(unit, after)
        elif received:
            self.damaged += 1
            self.trace.failed(outcome_of(request, received, size), request, received, self.timeout_s)
        else:
            self.trace.failed("silence", request, b"", self.timeout_s)
            self.owed.add(unit)
        if late:
            self._stray(unit, bytes(byte.value for byte in late))

    def _stray(self, unit: int, run: bytes) -> None:
        if unit in self.owed and len(run) >= 5 and run[0] == unit and crc16(run[:-2]) == run[-2:]:
            self.trace.late(unit)
            self.owed.discard(unit)
        else:
            self.strange += 1
            self.trace.strange(run)

    def between(self) -> None:
        """What is heard while nothing is asked."""
        if self.foreign is None:
            return
        wire = Wire(self.foreign(self.wall_s), self.idle, self.noise, (), 2.0, self.swapped, self.droop_s, self.random)
        if not wire.drivers:
            return
        end_s = max(driver.end_s for driver in wire.drivers)
        for run in split_frames(listen(wire, -0.05, end_s + 30 * self.form.bit_s, self.form), 3.5 * self.form.byte_s):
            self.strange += 1
            self.trace.strange(bytes(byte.value for byte in run))


def _driver(unit: Unit, at_s: float, reply: bytes) -> Driver:
    return Driver(at_s, reply, unit.form, unit.strength, unit.swapped, unit.ring_s, unit.ring, unit.gap_bits)


def _find(received: bytes, request: bytes, size: int) -> tuple[int, int]:
    """Where the first whole right answer (or refusal) stands, and its length; -1 if nowhere."""
    heads = ((bytes((request[0], request[1], size)), size + 5), (bytes((request[0], request[1] | 0x80)), 5))
    found = []
    for head, length in heads:
        at = received.find(head)
        while at >= 0:
            frame = received[at : at + length]
            if len(frame) == length and crc16(frame[:-2]) == frame[-2:]:
                found.append((at, length))
                break
            at = received.find(head, at + 1)
    return min(found, default=(-1, 0))
