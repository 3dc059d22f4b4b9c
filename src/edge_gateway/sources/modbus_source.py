"""A Modbus bus as a source: whose turn it is, slot by slot, and what becomes of each slot; frames and registers are others' matter."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from edge_gateway.backoff import Backoff
from edge_gateway.clock import Clock
from edge_gateway.links.modbus import Line
from edge_gateway.profiles.plan import PlannedGroup, plan
from edge_gateway.profiles.spec import DeviceSpec
from edge_gateway.reading import BAD_LINK_DOWN, BAD_NO_ANSWER, Batch, Group, Item
from edge_gateway.sources import modbus_health, modbus_read
from edge_gateway.sources.base import Inbox
from edge_gateway.sources.modbus_slots import Slots
from edge_gateway.sources.modbus_turn import Turn, Turns
from edge_gateway.sources.modbus_unit import Bus, Poll, Unit

#: The longest sleep (real seconds): another list of devices is noticed after it.
MOST_SLEEP_S = 1.0


class ModbusSource:
    """See ``sources.base.Source``. One line, one turn at a time, units that answer first."""

    def __init__(
        self,
        bus_id: str,
        line: Line,
        devices: Sequence[DeviceSpec],
        clock: Clock,
        *,
        backoff_s: tuple[float, float] = (1.0, 60.0),
        kind: str = "tcp",
    ) -> None:
        self.bus = Bus(bus_id, kind, tuple(devices))
        self.turns = Turns(line, clock, Backoff(*backoff_s))
        self._clock = clock
        self._backoff_s = backoff_s
        self._outbox: list[Item] = []
        self._running: Poll | None = None
        self._lock = asyncio.Lock()
        self._sleep_us = int(MOST_SLEEP_S * 1e6 * clock.speed)
        for device in self.bus.devices:
            self.bus.polls += self._polls_of(device, clock.mono_us())

    @property
    def id(self) -> str:
        """The bus' identifier."""
        return self.bus.id

    def groups(self) -> Sequence[Group]:
        """The poll groups as planned."""
        return [poll.planned.group for poll in self.bus.polls]

    def health(self) -> Mapping[str, Any]:
        """See ``modbus_health.report``."""
        return modbus_health.report(self.bus, self.turns, self._clock.mono_us())

    def unaccounted_us(self, mono_us: int) -> int:
        """See ``sources.base.Source.unaccounted_us``."""
        overdue = (mono_us - poll.slots.due_us - poll.planned.interval_us for poll in self.bus.polls)
        return max(overdue, default=0)

    async def read_now(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Ask for a point, or for raw registers, between two turns. See ``modbus_read.read``."""
        async with self._lock:
            return await modbus_read.read(self.bus, self.turns, wanted)

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[None]:
        """The port (or the device's one socket) to somebody else, between two turns; slots that are due meanwhile are missed.

        For a few seconds only: `watchdog` asks after slots that stand unaccounted for.
        """
        async with self._lock:
            self.turns.line.close()
            self.turns.rest_until_us = 0
            yield

    def close(self) -> None:
        """Give the line back; ``run`` does so itself."""
        self.turns.line.close()

    # --- devices -------------------------------------------------------------------------------------------------

    def _polls_of(self, device: DeviceSpec, after_us: int) -> list[Poll]:
        unit = self.bus.units.get(device.unit)
        if unit is None:
            unit = self.bus.units[device.unit] = Unit(device.unit, Backoff(*self._backoff_s))
        return [self._poll(planned, unit, after_us) for planned in plan(device, distinct=self.bus.kind == "rtu")]

    def _poll(self, planned: PlannedGroup, unit: Unit, after_us: int) -> Poll:
        return Poll(planned, unit, Slots.starting(planned.group, after_us), self._backoff_s)

    async def update(self, devices: Sequence[DeviceSpec]) -> None:
        """Take over another list of devices. Untouched ones go on as they are; what is under way for others is dropped.

        Never waits for the inbox: it is called from inside intake. Raises ConfigError, and then changes nothing.
        """
        old = {device.id: device for device in self.bus.devices}
        after_us = self._clock.mono_us() + self._sleep_us  # the loop may be asleep for that long
        polls: list[Poll] = []
        for device in devices:
            if old.get(device.id) == device:
                polls += [poll for poll in self.bus.polls if poll.planned.group.device == device.id]
            else:
                polls += self._polls_of(device, after_us)
        kept = {id(poll) for poll in polls}
        begins = {poll.planned.group.id: poll.slots.due_us for poll in polls}
        for poll in self.bus.polls:
            if id(poll) not in kept:
                self._retire(poll, begins.get(poll.planned.group.id, 0))
        self.bus.polls, self.bus.devices = polls, tuple(devices)
        addresses = {poll.unit.address for poll in polls}
        self.bus.units = {address: unit for address, unit in self.bus.units.items() if address in addresses}

    def farewell(self) -> Sequence[Item]:
        """See ``sources.base.Source.farewell``."""
        for poll in self.bus.polls:
            self._retire(poll, 0)
        left, self._outbox = self._outbox, []
        return left

    def _retire(self, poll: Poll, begins_us: int) -> None:
        """Account for the last slots of a group that goes, or is planned anew from the slot ``begins_us`` on."""
        poll.retired = True
        slots = poll.slots
        until_us = begins_us or max(slots.next_us, slots.due_us)
        if poll is self._running and not begins_us:
            until_us = slots.due_us + slots.group.interval_us
        if slots.gap is None and until_us > slots.next_us:
            self._outbox += slots.skipped("reconfigured", until_us, self._gap_id())
        self._outbox += slots.ended(until_us)

    # --- the loop ------------------------------------------------------------------------------------------------

    async def run(self, inbox: Inbox) -> None:
        """Poll until cancelled; the line is given back at the end."""
        try:
            while True:
                await self._flush(inbox)
                mono_us = self._clock.mono_us()
                if inbox.full():
                    self._hold(mono_us)
                poll = self._pick(mono_us)
                if poll is not None:
                    await self._turn(poll, mono_us)
                elif not self._outbox:
                    next_us = min((poll.slots.due_us for poll in self.bus.polls), default=mono_us + self._sleep_us)
                    await self._clock.sleep_until(min(next_us, mono_us + self._sleep_us))
        finally:
            self.turns.line.close()

    async def _flush(self, inbox: Inbox) -> None:
        while self._outbox:
            await inbox.put(self._outbox[0])
            self._outbox.pop(0)

    def _hold(self, mono_us: int) -> None:
        """Intake cannot take more: what is due now is not read, and the record will say so."""
        for poll in self.bus.polls:
            if poll.slots.due_us <= mono_us:
                until_us = poll.slots.due_us + 1
                self._outbox += poll.slots.skipped("journal-full", until_us, self._gap_id())

    def _pick(self, mono_us: int) -> Poll | None:
        """Whose turn it is: the due group that waits longest, those of failing units last."""
        best: Poll | None = None
        rank = (True, 0)
        for poll in self.bus.polls:
            slots = poll.slots
            if slots.due_us > mono_us:
                continue
            if latest_us := slots.late(mono_us):
                self._outbox += slots.skipped("busy", latest_us, self._gap_id())
            its_rank = (poll.unit.backoff.failures > 0, slots.due_us)
            if best is None or its_rank < rank:
                best, rank = poll, its_rank
        return best

    async def _turn(self, poll: Poll, mono_us: int) -> None:
        unit = poll.unit
        if mono_us < unit.rest_until_us:
            self._failed(poll, self._unasked(poll, BAD_NO_ANSWER, "backed-off", unit.said), unit.rest_until_us)
            return
        if mono_us < self.turns.rest_until_us and not self.turns.line.is_open:
            turn = self._unasked(poll, BAD_LINK_DOWN, "unreachable", self.turns.said)
            self._failed(poll, turn, self.turns.rest_until_us)
            return
        self._running = poll
        try:
            async with self._lock:
                turn = await self.turns.take(poll)
        finally:
            self._running = None
        if turn.failed == "backed-off":
            unit.failed(self._clock.mono_us(), turn.said)
        elif not turn.failed:
            unit.answered(turn.batch.mono_us, turn.said)
        if poll.retired:
            return  # its slot was accounted for when it went
        if turn.failed:
            self._failed(poll, turn, unit.rest_until_us if turn.failed == "backed-off" else self.turns.rest_until_us)
        else:
            self._outbox += poll.slots.filled(turn.batch)

    def _unasked(self, poll: Poll, quality: str, failed: str, said: str) -> Turn:
        """The unit (or line) is being rested since an attempt of another group: this slot has nothing either."""
        columns = len(poll.planned.group.points)
        batch = Batch(
            group=poll.planned.group,
            mono_us=self._clock.mono_us(),
            wall_us=self._clock.wall_us(),
            values=[None] * columns,
            quality=[quality] * columns,
        )
        return Turn(batch, failed, said)

    def _failed(self, poll: Poll, turn: Turn, rest_until_us: int) -> None:
        """A slot without a single answer: the first is a bad batch; while the unit rests, slots lie in a gap."""
        slots = poll.slots
        if slots.gap is not None and slots.gap.reason == turn.failed:
            slots.due_us += slots.group.interval_us
        else:
            self._outbox += slots.filled(turn.batch)
        self._outbox += slots.skipped(turn.failed, rest_until_us, self._gap_id(), turn.said)

    def _gap_id(self) -> str:
        """Unique for ever: boot and monotonic time."""
        return f"{self._clock.boot}-{self._clock.mono_us()}"
