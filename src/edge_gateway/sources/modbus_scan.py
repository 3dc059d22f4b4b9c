"""What a scan asks, in which order, and how long that takes: pure; it opens no line and knows no profile's registers.

Costs are those of the line: the request's and an answer's bytes at the line's pace, the time that a unit may take to
begin its answer, and the silence after it. Most addresses are dead, so their cost decides. Two passes: a quick one, and
a patient one over what was silent, with the other reading function (some units are silent where they should refuse).
An answer that comes too late for its question has its unit's address in it: whoever asks then knows whom to ask again.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from edge_gateway.errors import GatewayError
from edge_gateway.links.modbus import FIXED_SILENCE_S, request
from edge_gateway.profiles.model import ModbusProfile

#: What a unit gets to begin its answer in the two passes. House's choice: transmitters of our profiles answer within
#: 20-50 ms (makers' words, not measured here); slower ones answer while the next is asked, and are asked again.
QUICK_S, PATIENT_S = 0.06, 0.12
#: What a unit gets that is known to be there, at most.
MOST_S = 0.5
#: Bytes of a request, of an answer around its data, and of the longest answer there is, on a serial line.
_REQUEST_BYTES, _FRAME_BYTES, _LONGEST_BYTES = 8, 5, 256
#: The same for a request and the shortest answer, a refusal.
SHORT_BYTES = 13
#: A Modbus TCP device or gateway: no line of ours to spare, and gateways wait for their own units first.
TCP_S = 1.0
FIRST_ADDRESSES, ALL_ADDRESSES = range(1, 33), range(1, 248)
#: Behind a TCP endpoint: the endpoint itself has 255 or 0, units behind a gateway their own.
TCP_UNITS = (255, 0, *range(1, 11))


@dataclass(frozen=True, slots=True, order=True)
class Framing:
    """How bytes go over a serial line: ``9600-8N1``. A unit with two stop bits understands one, and the other way round."""

    baud: int
    parity: Literal["N", "E", "O"] = "N"
    stopbits: Literal[1, 2] = 1

    def __str__(self) -> str:
        return f"{self.baud}-8{self.parity}{self.stopbits}"

    @property
    def byte_s(self) -> float:
        """Time of one byte on the wire."""
        return (9 + (self.parity != "N") + self.stopbits) / self.baud

    @property
    def silence_s(self) -> float:
        """Between frames ("MODBUS over serial line" V1.02, 2.5.1.1)."""
        return 3.5 * self.byte_s if self.baud <= 19_200 else FIXED_SILENCE_S


_FRAMING = re.compile(r"^(\d{3,7})-8([NEO])([12])$")
#: Tried when nothing is known: makers' usual defaults.
USUAL = (Framing(9600), Framing(9600, "E"), Framing(4800), Framing(19_200))


def framing(text: str) -> Framing:
    """``9600-8N1`` as a Framing. Raises GatewayError."""
    found = _FRAMING.match(text.strip().upper())
    if found is None or not 300 <= int(found[1]) <= 4_000_000:
        raise GatewayError(f"'{text}' is no line", hint="write baud, bits, parity and stop bits, such as 9600-8N1")
    parity: Literal["N", "E", "O"] = "E" if found[2] == "E" else "O" if found[2] == "O" else "N"
    return Framing(int(found[1]), parity, 2 if found[3] == "2" else 1)


def candidates(profiles: Iterable[ModbusProfile], configured: Framing | None = None) -> list[Framing]:
    """The usual framings, those that most known devices leave the factory with first; before all the bus's own."""
    defaults = Counter(Framing(p.modbus.baud, p.modbus.parity) for p in profiles)
    order = sorted(USUAL, key=lambda one: (-defaults[one], USUAL.index(one)))
    if configured is None:
        return order
    return [configured, *(one for one in order if (one.baud, one.parity) != (configured.baud, configured.parity))]


def addresses(text: str) -> list[int]:
    """``1-32,40`` as addresses, 1 to 247. Raises GatewayError."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if not (first.isdecimal() and (last.isdecimal() or not last)):
            raise GatewayError(f"'{text}' are no addresses", hint="write them such as 1-32,40")
        low, high = int(first), int(last or first)
        if not 0 <= low <= high <= 255:
            raise GatewayError(f"'{text}': addresses are 1 to 247, in order", hint="write them such as 1-32,40")
        found += range(low, high + 1)
    return list(dict.fromkeys(found))


def default_addresses(profiles: Iterable[ModbusProfile], *, every: bool = False) -> list[int]:
    """1 to 32 (or 247), and whatever known devices leave the factory with."""
    factory = sorted({p.modbus.unit for p in profiles if 1 <= p.modbus.unit <= 247})
    return list(dict.fromkeys([*(ALL_ADDRESSES if every else FIRST_ADDRESSES), *factory]))


#: (function, first register, count).
Block = tuple[int, int, int]
#: What the two passes ask: any answer will do, a refusal too. The other function, because some units are silent where
#: they should refuse.
QUICK_ASK, PATIENT_ASK = (3, 0, 1), (4, 1, 1)


@dataclass(frozen=True, slots=True)
class Probe:
    """One address, asked once for ``block``. ``framing`` is None behind a TCP endpoint."""

    framing: Framing | None
    address: int
    block: Block = QUICK_ASK
    timeout_s: float = QUICK_S

    @property
    def pdu(self) -> bytes:
        """The request."""
        return request(*self.block)

    @property
    def cost_s(self) -> float:
        """Time on the line if nobody answers."""
        if self.framing is None:
            return self.timeout_s
        function, _, count = self.block
        answer = _FRAME_BYTES + ((count + 7) // 8 if function <= 2 else 2 * count)
        return (_REQUEST_BYTES + answer) * self.framing.byte_s + self.timeout_s + self.framing.silence_s


@dataclass(frozen=True, slots=True)
class Plan:
    """Which addresses under which framings; ``framings`` is empty behind a TCP endpoint.

    ``first``: asked before all, under the settings and at the addresses with which known devices leave the factory.
    ``block``: what to ask of everybody instead of the usual: a register of a device type that a person names.
    """

    framings: tuple[Framing, ...]
    addresses: tuple[int, ...]
    first: tuple[Probe, ...] = ()
    block: Block | None = None
    patient_s: float = PATIENT_S

    def probes(self) -> Iterator[Probe]:
        """All of them, in order; the second pass is for those that did not answer in the first."""
        yield from self.first
        if not self.framings:
            yield from (Probe(None, address, self.block or QUICK_ASK, TCP_S) for address in self.addresses)
        for block, timeout_s in ((QUICK_ASK, QUICK_S), (PATIENT_ASK, self.patient_s)):
            for one in self.framings:
                yield from (Probe(one, address, self.block or block, timeout_s) for address in self.addresses)

    @property
    def estimate_s(self) -> float:
        """How long it takes when nobody answers."""
        return sum(probe.cost_s for probe in self.probes())

    @property
    def longest_s(self) -> float:
        """The longest that one question holds the line: a unit that is asked what it is, and says nothing."""
        slowest_s = max((one.byte_s for one in self.framings), default=0.0)
        return (_REQUEST_BYTES + _LONGEST_BYTES) * slowest_s + MOST_S if self.framings else TCP_S


def factory(profiles: Iterable[ModbusProfile]) -> tuple[Probe, ...]:
    """Known devices as they leave the factory, asked for a register of their own where the usual ones are none of theirs."""
    found = []
    for profile in profiles:
        block = own_block(profile)
        if not (_has(block, QUICK_ASK) or _has(block, PATIENT_ASK)) and 1 <= profile.modbus.unit <= 247:
            found.append(Probe(Framing(profile.modbus.baud, profile.modbus.parity), profile.modbus.unit, block))
    return tuple(sorted(set(found), key=lambda probe: (str(probe.framing), probe.address, probe.block)))


def own_block(profile: ModbusProfile) -> Block:
    """One register (or bit) that a device of this type has: that of its narrowest channel."""
    channel = min(profile.channels.values(), key=lambda one: (one.function <= 2, one.width, one.register_))
    return channel.function, channel.register_, channel.width


def _has(block: Block, other: Block) -> bool:
    return block[0] == other[0] and block[1] <= other[1] < block[1] + block[2]


def rest(plan: Plan) -> Plan:
    """The same for the addresses that ``plan`` leaves out."""
    return Plan(plan.framings, tuple(a for a in ALL_ADDRESSES if a not in plan.addresses), block=plan.block, patient_s=plan.patient_s)


def span(found: Sequence[int]) -> str:
    """``1-32, 40``: addresses as people read them."""
    runs: list[list[int]] = []
    for address in sorted(found):
        if runs and address == runs[-1][1] + 1:
            runs[-1][1] = address
        else:
            runs.append([address, address])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
