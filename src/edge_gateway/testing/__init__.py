"""Faithful, cruel stand-ins for people who test against this gateway: a clock, a source, sinks. No test framework needed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from edge_gateway.errors import Unreachable
from edge_gateway.journal.base import Reader
from edge_gateway.reading import Group, Item
from edge_gateway.sinks.base import Outcome, Run
from edge_gateway.sources.base import Inbox


class FakeClock:
    """A clock that moves only when told: ``advance`` moves both, ``step_wall`` the wall clock alone."""

    def __init__(self, *, wall_us: int = 1_760_000_000_000_000, mono_us: int = 1_000_000, boot: str = "b00100000000") -> None:
        self.boot = boot
        self.speed = 1.0
        self.trust = True
        self._wall_us = wall_us
        self._mono_us = mono_us
        self._moved = asyncio.Event()

    def mono_us(self) -> int:
        """Monotonic µs."""
        return self._mono_us

    def wall_us(self) -> int:
        """Wall µs."""
        return self._wall_us

    def trusted(self) -> bool:
        """What ``trust`` says."""
        return self.trust

    def advance(self, span_us: int) -> None:
        """Time passes."""
        self._mono_us += span_us
        self._wall_us += span_us
        self._moved.set()
        self._moved = asyncio.Event()

    def step_wall(self, span_us: int) -> None:
        """Somebody sets the clock."""
        self._wall_us += span_us

    async def sleep_until(self, mono_us: int) -> None:
        """Return once ``advance`` has moved past ``mono_us``."""
        while self._mono_us < mono_us:
            await self._moved.wait()


class ScriptedSource:
    """A source that hands over a list of items, then waits."""

    def __init__(self, bus: str, items: Sequence[Item], groups: Sequence[Group] = ()) -> None:
        self.id = bus
        self._items = list(items)
        self._groups = list(groups)
        self.done = asyncio.Event()

    def groups(self) -> Sequence[Group]:
        """The groups given."""
        return self._groups

    async def update(self, devices: Sequence[Any]) -> None:
        """A script does not change."""

    async def run(self, inbox: Inbox) -> None:
        """Hand over everything, then wait to be cancelled."""
        for item in self._items:
            await inbox.put(item)
        self.done.set()
        await asyncio.get_running_loop().create_future()

    def farewell(self, mono_us: int) -> Sequence[Item]:
        """Nothing is left."""
        return ()

    def begin_behind(self, mono_us: int) -> None:
        """A script has no slots."""

    def health(self) -> Mapping[str, Any]:
        """Always well."""
        return {"state": "ok"}

    def unaccounted_us(self, mono_us: int) -> int:
        """Nothing is ever due."""
        return 0


class RecordingSink:
    """Keeps what it is given."""

    def __init__(self, name: str = "recording", *, max_entries: int = 1000) -> None:
        self.name = name
        self.max_entries = max_entries
        self.max_bytes = 4 * 1024 * 1024
        self.taken: list[tuple[str, int, bytes]] = []

    async def deliver(self, run: Run, reader: Reader) -> Outcome:
        """Take everything."""
        self.taken += [(run.epoch, run.first + index, data) for index, data in enumerate(run.entries)]
        return Outcome(accepted=len(run.entries))

    def status(self) -> dict[str, Any]:
        """How much was taken."""
        return {"taken": len(self.taken)}

    async def close(self) -> None:
        """Nothing to close."""


class ChaosSink(RecordingSink):
    """Fails at a rate: before taking, after taking (so that it is offered again), or takes only a part. Seeded."""

    def __init__(self, name: str = "chaos", *, seed: int = 1, failure_rate: float = 0.3) -> None:
        super().__init__(name)
        self._random = Random(seed)
        self._failure_rate = failure_rate

    async def deliver(self, run: Run, reader: Reader) -> Outcome:
        """Take, refuse, or take and then say nothing."""
        if self._random.random() >= self._failure_rate:
            part = self._random.randint(1, len(run.entries))
            return await super().deliver(Run(epoch=run.epoch, first=run.first, entries=run.entries[:part]), reader)
        if self._random.random() < 0.5:
            await super().deliver(run, reader)
        raise Unreachable("chaos", retry_after_s=0.0)
