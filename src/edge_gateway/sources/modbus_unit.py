"""What is known of a unit, and its polls as they run: back-off, requests as planned around its refusals; no line, no clock."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

from edge_gateway.backoff import Backoff
from edge_gateway.links.modbus import request
from edge_gateway.profiles.decode import Columns, decoder
from edge_gateway.profiles.plan import PlannedBlock, PlannedPoll, plan_unit, split
from edge_gateway.profiles.readable import BITS
from edge_gateway.profiles.spec import DeviceSpec
from edge_gateway.sources.modbus_memory import Hole, Memory
from edge_gateway.sources.modbus_slots import Slots


@dataclass(slots=True)
class Unit:
    """One address on the line. ``rest_until_us`` (monotonic): not asked before. ``said`` is the last trouble, in words."""

    address: int
    backoff: Backoff
    rest_until_us: int = 0
    alive: bool = False
    said: str = ""
    round_trip_us: int = 0
    #: what it takes until it begins to answer (s), averaged; None before its first answer
    turnaround_s: float | None = None
    answered_us: int = 0
    #: True: others wait; silence (or rubbish) ends the turn, and it is asked again after them
    hurried: bool = False
    #: loop time (s) of the last answer, for the silence that some units need
    heard_s: float = 0.0

    def failed(self, mono_us: int, said: str) -> None:
        """It did not answer: the rest grows."""
        self.rest_until_us = mono_us + int(self.backoff.next_s() * 1e6)
        self.alive = False
        self.said = said

    def owes(self, until_us: int, said: str) -> None:
        """It cannot be asked before: a late answer could not be told from the next. That is no failure more."""
        self.rest_until_us = until_us
        self.said = said

    def answered(self, mono_us: int, said: str = "") -> None:
        """It answered, be it with a refusal."""
        self.backoff.reset()
        self.rest_until_us = 0
        self.alive = True
        self.answered_us = mono_us
        self.said = said

    def began_after(self, seconds: float) -> None:
        """How long its answer's first byte took this time."""
        seconds = max(0.0, seconds)
        known = self.turnaround_s
        self.turnaround_s = seconds if known is None else known + (seconds - known) / 8


@dataclass(frozen=True, slots=True)
class Part:
    """A group's share of a request: bytes ``first`` … ``end - 1`` of the answer, which begin at PDU address ``start``."""

    group: int
    columns: tuple[int, ...]
    #: the columns as a slice, if they are neighbours in order
    span: slice | None
    #: True: the columns are all of the group's, in order
    whole: bool
    start: int
    first: int
    end: int
    decode: Callable[[bytes], Columns]


@dataclass(slots=True)
class Ask:
    """One request with its decoders, and how it fared."""

    block: PlannedBlock
    pdu: bytes
    parts: tuple[Part, ...]
    backoff: Backoff
    worked: bool = False
    #: the hole it lies in, when it is a single channel that was refused
    hole: Hole | None = None
    rest_until_us: int = 0

    @classmethod
    def of(cls, block: PlannedBlock, sizes: Sequence[int], backoff: Backoff) -> Ask:
        """``sizes``: how many columns each of the poll's groups has."""
        pdu = request(block.function, block.start, block.count)
        return cls(block, pdu, _parts(block, sizes), backoff)

    @property
    def refused(self) -> bool:
        """Its unit refuses it, and never answered it: not asked before its hole's time."""
        return self.hole is not None and not self.worked


def _parts(block: PlannedBlock, sizes: Sequence[int]) -> tuple[Part, ...]:
    groups = sorted({f.group for f in block.fields})
    return tuple(_part(block, group, sizes[group], alone=len(groups) == 1) for group in groups)


def _part(block: PlannedBlock, group: int, size: int, *, alone: bool) -> Part:
    """Whole bytes of the answer, so that the evidence is as it came: with bits up to seven of a neighbour's at each end."""
    fields = tuple(f for f in block.fields if f.group == group)
    begin = 0 if alone else min(f.at for f in fields)
    finish = block.count if alone else max(f.at + f.channel.width for f in fields)
    if block.function in BITS:
        begin -= begin % 8
        first, end = begin // 8, (finish + 7) // 8
    else:
        first, end = begin * 2, finish * 2
    its = tuple(replace(f, at=f.at - begin) for f in fields)
    own = replace(block, start=block.start + begin, count=finish - begin, fields=its)
    columns = tuple(f.column for f in fields)
    neighbours = columns == tuple(range(columns[0], columns[0] + len(columns)))
    span = slice(columns[0], columns[0] + len(columns)) if neighbours else None
    return Part(group, columns, span, neighbours and len(columns) == size, own.start, first, end, decoder(own))


class Plans:
    """The polls of devices that are planned together, as their unit's refusals leave them."""

    def __init__(self, devices: Sequence[DeviceSpec], memory: Memory, *, distinct: bool) -> None:
        self.devices = tuple(devices)
        self.memory = memory
        self._distinct = distinct
        self._revision = -1
        self._polls: list[PlannedPoll] = []

    def polls(self) -> list[PlannedPoll]:
        """One for each interval, the shortest first. Raises ConfigError."""
        if self._revision != self.memory.revision:
            self._polls = plan_unit(self.devices, distinct=self._distinct, learned=self.memory.learned())
            self._revision = self.memory.revision
        return self._polls


@dataclass(slots=True)
class Poll:
    """What is asked of a unit at one interval, as it runs: its plan, each group's slots, the requests as learned."""

    plans: Plans
    number: int
    unit: Unit
    slots: list[Slots]
    backoff_s: tuple[float, float]
    planned: PlannedPoll = field(init=False)
    asks: list[Ask] = field(default_factory=list)
    #: when its last turn ended
    ended_us: int = 0
    lag_us: int = 0
    #: True: its unit, which was well, did not answer in this slot; it is asked once more, after the others
    deferred: bool = False
    #: refusals of the turn under way: (request, what was asked in its place, exception code)
    divided: list[tuple[Ask, list[Ask], int]] = field(default_factory=list)
    _revision: int = -1

    def __post_init__(self) -> None:
        self._plan()

    @property
    def due_us(self) -> int:
        """The next slot of any of its groups."""
        if len(self.slots) == 1:
            return self.slots[0].due_us
        return min(slots.due_us for slots in self.slots)

    @property
    def interval_us(self) -> int:
        return self.planned.interval_us

    @property
    def failing(self) -> bool:
        return self.deferred or self.unit.backoff.failures > 0

    @property
    def waits_since_us(self) -> int:
        """The end of its last turn, or of its unit's rest."""
        return max(self.ended_us, self.unit.rest_until_us)

    def lagged(self, us: int) -> None:
        """How long a turn with an answer had us wait. A unit that becomes slow is slow at once, one that becomes quick by and by."""
        self.lag_us = us if us > self.lag_us else self.lag_us - (self.lag_us - us) // 8

    def began(self, mono_us: int) -> None:
        """Before a turn: requests planned anew if the unit's refusals or their age ask for it."""
        memory = self.plans.memory
        memory.expire(mono_us)
        if self._revision != memory.revision and not self.divided:
            self._plan()

    def _plan(self) -> None:
        self._revision = self.plans.memory.revision
        self.planned = self.plans.polls()[self.number]
        self.asks = [self._ask(block) for block in self.planned.blocks]

    def divide(self, ask: Ask, code: int, mono_us: int) -> list[Ask]:
        """The unit refused ``ask``: smaller requests in its place; [] when it is a single channel, now a hole."""
        parts = [self._ask(block) for block in split(ask.block)]
        if parts:
            at = self.asks.index(ask)
            self.asks[at : at + 1] = parts
            self.divided.append((ask, parts, code))
        else:
            memory = self.plans.memory
            memory.refused(ask.block, code, mono_us)
            ask.hole = memory.hole(ask.block.function, ask.block.start, ask.block.start + ask.block.count)
        return parts

    def succeeded(self, ask: Ask) -> None:
        """``ask`` had its first answer, or its first after a refusal."""
        ask.worked, ask.hole = True, None
        self.plans.memory.works(ask.block)

    def ended(self, answered: Collection[int], mono_us: int, *, whole: bool) -> None:
        """After a turn: what its divisions tell. ``answered`` are ids of asks; ``whole``: every division could be made."""
        for ask, parts, code in self.divided:
            if all(id(part) in answered for part in parts):
                self.plans.memory.parted(ask.block, [part.block for part in parts], code, mono_us)
        if whole:
            self.divided.clear()
            if not self.plans.memory.full:
                self._revision = -1  # planned anew, around what was learned

    def _ask(self, block: PlannedBlock) -> Ask:
        ask = Ask.of(block, [len(group.points) for group in self.planned.groups], Backoff(*self.backoff_s))
        memory = self.plans.memory
        ask.worked = memory.has_worked(block)
        if not split(block):
            hole = memory.hole(block.function, block.start, block.start + block.count)
            ask.hole = hole if hole is not None and not hole.gap else None
        return ask


@dataclass(slots=True)
class Bus:
    """A line's devices as they are polled now. By address: the units, what they refuse, and what they are described by."""

    id: str
    kind: str
    devices: tuple[DeviceSpec, ...] = ()
    units: dict[int, Unit] = field(default_factory=dict)
    memories: dict[int, Memory] = field(default_factory=dict)
    described: dict[int, str] = field(default_factory=dict)
    polls: list[Poll] = field(default_factory=list)
