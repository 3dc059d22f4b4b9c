"""A Modbus bus as a source: slot by slot who is asked, and what becomes of each slot; frames and registers are others' matter."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from edge_gateway.backoff import Backoff
from edge_gateway.clock import Clock
from edge_gateway.errors import DeviceRefused, LinkDown, SourceError
from edge_gateway.links.modbus import Line
from edge_gateway.profiles.plan import by_unit
from edge_gateway.profiles.spec import DeviceSpec
from edge_gateway.reading import BAD_LINK_DOWN, BAD_NO_ANSWER, Batch, Group, Item
from edge_gateway.sources import modbus_health, modbus_read
from edge_gateway.sources.base import Inbox
from edge_gateway.sources.modbus_identity import Identities
from edge_gateway.sources.modbus_memory import Memory
from edge_gateway.sources.modbus_memory_file import Keeper, MemoryFile, fingerprints
from edge_gateway.sources.modbus_schedule import Rota
from edge_gateway.sources.modbus_slots import Slots
from edge_gateway.sources.modbus_time import LineTime
from edge_gateway.sources.modbus_turn import Turn, Turns
from edge_gateway.sources.modbus_unit import Bus, Plans, Poll, Unit

#: The longest sleep (real seconds): another list of devices is noticed after it.
MOST_SLEEP_S = 1.0


class ModbusSource:
    """See ``sources.base.Source``. One line, one turn at a time, the earliest deadline first (``modbus_schedule``)."""

    def __init__(
        self,
        bus_id: str,
        line: Line,
        devices: Sequence[DeviceSpec],
        clock: Clock,
        *,
        backoff_s: tuple[float, float] = (1.0, 60.0),
        kind: str = "tcp",
        time: LineTime | None = None,
    ) -> None:
        self.bus = Bus(bus_id, kind)
        self.turns = Turns(line, clock, Backoff(*backoff_s), time or LineTime())
        self._clock = clock
        self._backoff_s = backoff_s
        self._rota: Rota[Poll] = Rota()
        self._outbox: list[Item] = []
        self._running: Poll | None = None
        self._ended = False
        self._lock = asyncio.Lock()
        self._sleep_us = int(MOST_SLEEP_S * 1e6 * clock.speed)
        self._keeper: Keeper | None = None
        self.identities = Identities()
        self._opened = 0
        self.bus = self._planned(devices, clock.mono_us())
        self.identities.plan(devices, {}, 0)

    @property
    def id(self) -> str:
        """The bus' identifier."""
        return self.bus.id

    def groups(self) -> Sequence[Group]:
        """The poll groups as planned."""
        return [slots.group for poll in self.bus.polls for slots in poll.slots]

    def health(self) -> Mapping[str, Any]:
        """See ``modbus_health.report``."""
        found = modbus_health.report(self.bus, self.turns, self._clock)
        for device, about in found["devices"].items():
            if known := self.identities.known(device):
                about["identity"] = dict(known)
        return found

    def unaccounted_us(self, mono_us: int) -> int:
        """See ``sources.base.Source.unaccounted_us``."""
        return max((mono_us - poll.due_us - poll.interval_us for poll in self.bus.polls), default=0)

    def remember(self, folder: Path) -> None:
        """Keep what units refuse in ``folder``, and start from what is kept there. To be called before ``run``."""
        file = MemoryFile(folder, self.id)
        file.restore(self.bus.memories, self.bus.described, self._clock.mono_us())
        self._keeper = Keeper(file)

    async def read_now(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Ask for a point, or for raw registers, between two turns. See ``modbus_read.read``."""
        async with self._lock:
            return await modbus_read.read(self.bus, self.turns, wanted)

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[Line]:
        """The port (or the device's one socket) to somebody else, between two turns; slots that are due meanwhile are missed.

        Gives our own line, closed: who leaves a question unanswered tells it (``Line.take_over``), lest the answer be taken for
        one to ours. Raises LinkDown when ``run`` has ended: the line is another source's. For a few seconds only: `watchdog` asks after slots that stand unaccounted for.
        """
        async with self._lock:
            if self._ended:
                raise LinkDown(f"bus '{self.id}' was configured anew meanwhile", hint="begin again")
            self.turns.line.close()
            self.turns.rest_until_us = 0
            yield self.turns.line

    def due_in_s(self) -> float:
        """Until the next slot (s); 0 or less while one waits. For whom the line is lent to: see ``modbus_lend``."""
        if self._ended:
            return 0.0  # another source waits for the line
        due_us = min((poll.due_us for poll in self.bus.polls), default=self._clock.mono_us() + self._sleep_us)
        return (due_us - self._clock.mono_us()) / 1e6 / self._clock.speed

    def close(self) -> None:
        """Give the line back; ``run`` does so itself."""
        self.turns.line.close()

    # --- devices -------------------------------------------------------------------------------------------------

    def _planned(self, devices: Sequence[DeviceSpec], after_us: int) -> Bus:
        """The bus with ``devices`` instead: of a unit whose devices are as they were nothing changes. Raises ConfigError."""
        bus = Bus(self.bus.id, self.bus.kind, tuple(devices))
        old = {device.id: device for device in self.bus.devices}
        same_devices = {device.id for device in devices if old.get(device.id) == device}
        running = [slots for poll in self.bus.polls for slots in poll.slots]
        kept = {slots.group.id: slots for slots in running if slots.group.device in same_devices}
        bus.described = fingerprints(devices)
        for together in by_unit(devices):
            address = together[0].unit
            unit = self.bus.units.get(address) or Unit(address, Backoff(*self._backoff_s))
            bus.units[address] = unit
            if self.bus.described.get(address) == bus.described[address]:
                bus.memories[address] = self.bus.memories[address]
            memory = bus.memories.setdefault(address, Memory())
            same = [poll for poll in self.bus.polls if poll.plans.devices == tuple(together)]
            if not same:
                plans = Plans(together, memory, distinct=not self.turns.line.numbered)
                same = self._polls_of(plans, unit, kept, after_us)
            bus.polls += same
        return bus

    def _polls_of(self, plans: Plans, unit: Unit, kept: Mapping[str, Slots], after_us: int) -> list[Poll]:
        """Groups in ``kept`` go on with their slots, others begin after ``after_us``."""
        return [
            Poll(
                plans,
                number,
                unit,
                [kept.get(group.id) or Slots.starting(group, after_us) for group in planned.groups],
                self._backoff_s,
            )
            for number, planned in enumerate(plans.polls())
        ]

    async def update(self, devices: Sequence[DeviceSpec]) -> None:
        """Take over another list of devices. Untouched ones go on as they are; what is under way for others is dropped.

        Never waits for the inbox: it is called from inside intake. Raises ConfigError, and then changes nothing.
        """
        planned = self._planned(devices, self._clock.mono_us() + self._sleep_us)  # the loop may be asleep for that long
        slots = {slots.group.id: slots for poll in planned.polls for slots in poll.slots}
        for poll in self.bus.polls:
            for its in poll.slots:
                begins = slots.get(its.group.id)
                if begins is not its:
                    self._retire(its, begins.due_us if begins else 0, self._clock.mono_us())
        self.bus = planned
        self._rota.disturb()
        self.identities.plan(devices, planned.units, self._clock.mono_us())

    def farewell(self, mono_us: int) -> Sequence[Item]:
        """See ``sources.base.Source.farewell``."""
        for poll in self.bus.polls:
            for slots in poll.slots:
                self._retire(slots, 0, mono_us)
        left, self._outbox = self._outbox, []
        return left

    def begin_behind(self, mono_us: int) -> None:
        """See ``sources.base.Source.begin_behind``."""
        for poll in self.bus.polls:
            poll.slots = [Slots.starting(slots.group, mono_us) for slots in poll.slots]

    def _retire(self, slots: Slots, begins_us: int, mono_us: int) -> None:
        slots.retired = True
        self._outbox += slots.last(begins_us, mono_us, self._gap_id())

    # --- the loop ------------------------------------------------------------------------------------------------

    async def run(self, inbox: Inbox) -> None:
        """Poll until cancelled; the line is given back at the end."""
        try:
            while True:
                if self._outbox:
                    await self._flush(inbox)
                now_us, idle = self._clock.mono_us(), True
                if self._rota.waits or now_us >= self._rota.look_us:
                    async with self._lock:  # what came due while the line was lent is chosen from afterwards
                        idle = not await self._next(inbox)
                if now_us >= self.identities.soonest_us and await self._ask_who():
                    continue
                if idle and not self._outbox:
                    await self._clock.sleep_until(min(self._rota.look_us, now_us + self._sleep_us))
                if self._keeper is not None:
                    self._keeper.tend(self.bus.memories, self.bus.described)
        finally:
            self._ended = True
            self.turns.line.close()
            if self._keeper is not None:
                await self._keeper.end(self.bus.memories, self.bus.described)

    async def _next(self, inbox: Inbox) -> bool:
        """Miss what is past, then take the turn that is due, if any: False when none is."""
        mono_us = self._clock.mono_us()
        if inbox.full():
            self._hold(mono_us)
        if mono_us >= self._rota.look_us:
            self._miss(mono_us)
            self._rota.choose(mono_us, self.bus.polls)
        poll = self._rota.next()
        if poll is not None:
            await self._turn(poll, mono_us)
        return poll is not None

    async def _flush(self, inbox: Inbox) -> None:
        while self._outbox:
            await inbox.put(self._outbox[0])
            self._outbox.pop(0)

    def _hold(self, mono_us: int) -> None:
        """Intake cannot take more: what is due now is not read, and the record will say so."""
        self._rota.disturb()
        for poll in self.bus.polls:
            for slots in poll.slots:
                if slots.due_us <= mono_us:
                    self._outbox += slots.skipped("journal-full", slots.due_us + 1, self._gap_id())

    def _miss(self, mono_us: int) -> None:
        """Slots whose successor is due already are missed: no poll is made up for."""
        for poll in self.bus.polls:
            if poll.due_us + poll.interval_us > mono_us:
                continue
            for slots in poll.slots:
                if latest_us := slots.late(mono_us):
                    reason = "backed-off" if poll.deferred else "busy"
                    self._outbox += slots.skipped(reason, latest_us, self._gap_id())

    async def _turn(self, poll: Poll, mono_us: int) -> None:
        unit, turns = poll.unit, self.turns
        due = [slots.due_us <= mono_us for slots in poll.slots]
        if mono_us < unit.rest_until_us:
            turn = self._unasked(poll, BAD_NO_ANSWER, "backed-off", unit.said)
        elif mono_us < turns.rest_until_us and not turns.line.is_open:
            turn = self._unasked(poll, BAD_LINK_DOWN, "unreachable", turns.said)
        else:
            asked = await self._ask(poll, mono_us)
            if asked is None:
                return
            turn = asked
        until_us = unit.rest_until_us if turn.failed == "backed-off" else turns.rest_until_us
        for slots, is_due, batch in zip(poll.slots, due, turn.batches, strict=True):
            if slots.retired or not is_due:
                continue  # its slot was accounted for when it went, or has not come yet
            if turn.failed:
                self._failed(slots, batch, turn, until_us)
            else:
                self._outbox += slots.filled(batch)

    async def _ask(self, poll: Poll, mono_us: int) -> Turn | None:
        """The one place that waits for the line. None: the unit was well and said nothing; it has its second try after the others."""
        unit = poll.unit
        unit.hurried = unit.alive and len(self.bus.units) > 1
        self._running = poll
        try:
            turn = await self.turns.take(poll, mono_us)
            deferred = unit.hurried and turn.failed == "backed-off" and not poll.deferred
        finally:
            self._running = None
            unit.hurried = False
        now_us = self._clock.mono_us()
        if turn.failed or poll.failing:
            self._rota.disturb()
        poll.ended_us, poll.deferred = now_us, deferred
        if deferred:
            return None
        if turn.failed == "backed-off" and turn.owed_us >= 0:
            unit.owes(now_us + turn.owed_us, turn.said)
        elif turn.failed == "backed-off":
            unit.failed(now_us, turn.said)
        elif turn.asked and not turn.failed:
            if turn.lag_us:
                poll.lagged(turn.lag_us)
            if not unit.alive:
                self.identities.appeared(unit.address, now_us)
            if (opened := self.turns.line.counters.opened) != self._opened:
                self._opened = opened
                self.identities.reopened(now_us)
            newest_us = turn.batches[0].mono_us if len(turn.batches) == 1 else max(batch.mono_us for batch in turn.batches)
            unit.answered(newest_us, turn.said)
        return turn

    async def _ask_who(self) -> bool:
        """One question about who answers, in a quiet moment: False when there is none, or no time for it before the next slot."""
        if self.identities.next(self._clock.mono_us(), self.bus.units) is None:
            return False
        async with self._lock:
            now_us = self._clock.mono_us()
            asked = self.identities.next(now_us, self.bus.units)
            if asked is None or not self.turns.line.is_open:
                return False
            device, question, waited = asked
            next_us = min((poll.due_us for poll in self.bus.polls), default=now_us + self._sleep_us)
            if not waited and next_us - now_us < self.turns.longest_us(question.timeout_us):
                return False
            unit, answer, refused = self.bus.units[question.unit], None, False
            try:
                answer = await self.turns.once(unit, question.pdu, question.timeout_us, question.rest_us)
            except SourceError as error:
                refused = isinstance(error, DeviceRefused)
            if not self.identities.asks(device, question):
                return True  # another configuration came meanwhile: this is the answer to nothing it asks
            if answer is None:
                note = self.identities.failed(device, self._clock.mono_us(), refused=refused)
            else:
                note = self.identities.answered(device, answer, self._clock.mono_us())
        if note is not None:
            self._outbox.append(note)
        return True

    def _unasked(self, poll: Poll, quality: str, failed: str, said: str) -> Turn:
        """The unit (or line) is being rested since an attempt of another group: this slot has nothing either."""
        batches = [
            Batch(
                group=group,
                mono_us=self._clock.mono_us(),
                wall_us=self._clock.wall_us(),
                values=[None] * len(group.points),
                quality=[quality] * len(group.points),
            )
            for group in poll.planned.groups
        ]
        return Turn(batches, failed, said)

    def _failed(self, slots: Slots, batch: Batch, turn: Turn, rest_until_us: int) -> None:
        """A slot without a single answer: the first is a bad batch; while the unit rests, slots lie in a gap."""
        if slots.gap is not None and slots.gap.reason == turn.failed:
            slots.due_us += slots.group.interval_us
        else:
            self._outbox += slots.filled(batch)
        self._outbox += slots.skipped(turn.failed, rest_until_us, self._gap_id(), turn.said)

    def _gap_id(self) -> str:
        """Unique for ever: boot and monotonic time."""
        return f"{self._clock.boot}-{self._clock.mono_us()}"
