"""What is known of a unit and of what it refuses: back-off and learned requests; no line, no clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from edge_gateway.backoff import Backoff
from edge_gateway.links.modbus import request
from edge_gateway.profiles.decode import Columns, decoder
from edge_gateway.profiles.plan import PlannedBlock, PlannedGroup, split
from edge_gateway.profiles.spec import DeviceSpec
from edge_gateway.sources.modbus_slots import Slots

#: How often what was refused is tried again as planned.
RELEARN_US = 600_000_000


@dataclass(slots=True)
class Unit:
    """One address on the line. ``rest_until_us`` (monotonic): not asked before. ``said`` is the last trouble, in words."""

    address: int
    backoff: Backoff
    rest_until_us: int = 0
    alive: bool = False
    said: str = ""
    round_trip_us: int = 0
    answered_us: int = 0
    #: loop time (s) of the last answer, for the silence that some units need
    heard_s: float = 0.0

    def failed(self, mono_us: int, said: str) -> None:
        """It did not answer: the rest grows."""
        self.rest_until_us = mono_us + int(self.backoff.next_s() * 1e6)
        self.alive = False
        self.said = said

    def answered(self, mono_us: int, said: str = "") -> None:
        """It answered, be it with a refusal."""
        self.backoff.reset()
        self.rest_until_us = 0
        self.alive = True
        self.answered_us = mono_us
        self.said = said


@dataclass(slots=True)
class Ask:
    """One request with its decoder, and how it fared."""

    block: PlannedBlock
    pdu: bytes
    decode: Callable[[bytes], Columns]
    columns: int
    backoff: Backoff
    worked: bool = False
    refused: bool = False
    rest_until_us: int = 0

    @classmethod
    def of(cls, block: PlannedBlock, backoff: Backoff, *, worked: bool = False) -> Ask:
        pdu = request(block.function, block.start, block.count)
        return cls(block, pdu, decoder(block), len(block.fields), backoff, worked=worked)


@dataclass(slots=True)
class Poll:
    """A poll group as it runs: its plan, its slots, and the requests as learned from the unit's refusals."""

    planned: PlannedGroup
    unit: Unit
    slots: Slots
    backoff_s: tuple[float, float]
    asks: list[Ask] = field(default_factory=list)
    relearn_us: int = 0
    retired: bool = False
    #: columns that ever had an answer: when refused later, they are still asked in every slot
    worked: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Back to the requests as planned."""
        self.asks = [self._ask(block) for block in self.planned.blocks]
        self.relearn_us = 0

    def divide(self, ask: Ask, mono_us: int) -> list[Ask]:
        """The unit refused ``ask``: smaller requests in its place; [] when it is a single channel."""
        parts = [self._ask(block) for block in split(ask.block)]
        if self.relearn_us == 0:
            self.relearn_us = mono_us + RELEARN_US
        if parts:
            at = self.asks.index(ask)
            self.asks[at : at + 1] = parts
        else:
            ask.refused = True
        return parts

    def succeeded(self, ask: Ask) -> None:
        """``ask`` had its first answer, or its first after a refusal."""
        ask.worked, ask.refused = True, False
        self.worked.update(f.column for f in ask.block.fields)

    def _ask(self, block: PlannedBlock) -> Ask:
        worked = not self.worked.isdisjoint(f.column for f in block.fields)
        return Ask.of(block, Backoff(*self.backoff_s), worked=worked)


@dataclass(slots=True)
class Bus:
    """A line's devices as they are polled now; ``units`` by address."""

    id: str
    kind: str
    devices: tuple[DeviceSpec, ...]
    units: dict[int, Unit] = field(default_factory=dict)
    polls: list[Poll] = field(default_factory=list)
