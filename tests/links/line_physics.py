"""An RS-485 pair at the level of bits and volts: transmitters, reflections, contention, noise, bias, and UARTs that sample it.

Knows nothing of the judge under test. Voltages are differential, in units of a driver's own swing: +1 is mark (idle, bit 1),
-1 is space; a receiver reads 1 above 0. Sources: 16550-like receivers sample mid-bit after confirming half a start bit
(TI PC16550D, 8.4); step response of an unterminated line by the lattice diagram (TI SNLA049B "Ten ways to bulletproof
RS-485 interfaces", sections 6 and 7; driver 20-60 ohm on a 120 ohm pair gives a reflection of -0.3 to -0.8); propagation
about 5 ns/m. What happens when two drivers oppose: the stronger one decides, near equality noise does.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Format:
    """How a UART is set."""

    baud: float = 9600.0
    parity: str = "N"
    stopbits: int = 1

    @property
    def bit_s(self) -> float:
        return 1.0 / self.baud

    @property
    def byte_s(self) -> float:
        return (9 + (self.parity != "N") + self.stopbits) * self.bit_s

    def bits(self, value: int) -> list[int]:
        """Start, data, parity, stop."""
        data = [value >> n & 1 for n in range(8)]
        ones = sum(data)
        parity = {"N": [], "E": [ones & 1], "O": [ones & 1 ^ 1]}[self.parity]
        return [0, *data, *parity, *[1] * self.stopbits]


@dataclass
class Driver:
    """One transmitter's frame: it drives from ``begin_s`` to ``end_s``. ``strength`` scales its swing, ``swapped`` inverts it.

    ``ring_s``: one-way delay of the unterminated piece of line between it and the listener, 0 for a matched line;
    ``ring``: the size of the reflection coefficients' product.
    """

    begin_s: float
    data: bytes
    form: Format
    strength: float = 1.0
    swapped: bool = False
    ring_s: float = 0.0
    ring: float = 0.0
    gap_bits: float = 0.0  # silence (mark) between its bytes
    edges_s: list[float] = field(default_factory=list)
    levels: list[int] = field(default_factory=list)
    end_s: float = 0.0

    def __post_init__(self) -> None:
        at_s, level = self.begin_s, 1
        for value in self.data:
            for bit in self.form.bits(value):
                if bit != level:
                    self.edges_s.append(at_s)
                    self.levels.append(bit)
                    level = bit
                at_s += self.form.bit_s
            at_s += self.gap_bits * self.form.bit_s
        self.end_s = at_s

    def volts(self, at_s: float) -> float | None:
        """Its contribution at the listener, None while it does not drive."""
        if not self.begin_s <= at_s < self.end_s:
            return None
        index = bisect_right(self.edges_s, at_s)
        level = 2.0 * self.levels[index - 1] - 1.0 if index else 1.0
        if self.ring_s:
            level += self._ringing(at_s, index)
        return self.strength * (-level if self.swapped else level)

    def _ringing(self, at_s: float, index: int) -> float:
        """What the last edges still ring: after n round trips a step of 2 overshoots by 2 * ring * (-ring)**n."""
        sum_ = 0.0
        for earlier in range(index - 1, max(-1, index - 25), -1):
            trips = int((at_s - self.edges_s[earlier]) / (2.0 * self.ring_s))
            if trips > 12:
                break
            step = 2.0 if self.levels[earlier] else -2.0
            sum_ += step * self.ring * (-self.ring) ** trips
        return sum_


#: Voltage when nobody drives: a biased line, one biased the wrong way round, one that floats about the threshold.
BIASED, REVERSED, FLOATING = 0.3, -0.3, 0.0


@dataclass
class Wire:
    """What a listener sees. ``noise``: standard deviation of ever-present noise; ``burst``: its size within ``bursts``."""

    drivers: list[Driver]
    idle: float = BIASED
    noise: float = 0.02
    bursts: Sequence[tuple[float, float]] = ()
    burst: float = 2.0
    swapped: bool = False  # at the listener
    droop_s: float = 0.0  # after a driver lets go, the line falls to the wrong level for so long
    random: random.Random = field(default_factory=random.Random)

    def level(self, at_s: float) -> int:
        driven = [v for v in (driver.volts(at_s) for driver in self.drivers) if v is not None]
        volts = sum(driven) if driven else self._undriven(at_s)
        if self.swapped and driven:
            volts = -volts  # the bias is the listener's own, or given as REVERSED
        size = self.noise
        if any(begin <= at_s < end for begin, end in self.bursts):
            size = self.burst
        if abs(volts) > 6 * size:
            return int(volts > 0)
        return int(volts + self.random.gauss(0.0, size) > 0)

    def rests_until_s(self, at_s: float) -> float:
        """Nothing can pull the line from mark before this time; ``at_s`` if something may be at work now."""
        if self.idle < 6 * self.noise or any(begin <= at_s < end for begin, end in self.bursts):
            return at_s
        if any(driver.begin_s <= at_s < driver.end_s + self.droop_s for driver in self.drivers):
            return at_s
        times_s = [driver.begin_s for driver in self.drivers] + [begin for begin, _ in self.bursts]
        return min((time_s for time_s in times_s if time_s > at_s), default=float("inf"))

    def _undriven(self, at_s: float) -> float:
        if self.droop_s and any(0 <= at_s - driver.end_s < self.droop_s for driver in self.drivers):
            return REVERSED
        return self.idle


@dataclass(frozen=True)
class Heard:
    """One byte out of a UART."""

    value: int
    at_s: float
    framing: bool
    parity: bool


def listen(wire: Wire, begin_s: float, end_s: float, form: Format) -> list[Heard]:
    """What a UART makes of a wire between two times. After a wrong stop bit it waits for mark.

    Before ``begin_s`` it heard mark: a transceiver that sends has its receiver's output held there.
    """
    level = wire.level
    heard: list[Heard] = []
    bit_s, tick_s = form.bit_s, form.bit_s / 16
    at_s = begin_s
    armed = True
    while at_s < end_s:
        if level(at_s):
            armed = True
            at_s = max(at_s + tick_s, wire.rests_until_s(at_s))
            continue
        if not armed:
            at_s += tick_s
            continue
        middle_s = at_s + bit_s / 2
        if level(middle_s):  # a glitch, no start bit
            at_s = middle_s
            continue
        data = [level(middle_s + bit_s * (n + 1)) for n in range(8)]
        stop_s = middle_s + 9 * bit_s
        wrong_parity = False
        if form.parity != "N":
            wrong_parity = level(stop_s) != (sum(data) & 1 ^ (form.parity == "O"))
            stop_s += bit_s
        good_stop = bool(level(stop_s))
        heard.append(Heard(sum(bit << n for n, bit in enumerate(data)), stop_s, not good_stop, wrong_parity))
        armed = good_stop
        at_s = stop_s + tick_s
    return heard


def split_frames(heard: Sequence[Heard], silence_s: float) -> list[list[Heard]]:
    """Runs of bytes with no longer silence inside."""
    frames: list[list[Heard]] = []
    for byte in heard:
        if frames and byte.at_s - frames[-1][-1].at_s <= silence_s:
            frames[-1].append(byte)
        else:
            frames.append([byte])
    return frames
