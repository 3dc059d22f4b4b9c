"""A bus of this machine's own as a source: slots, one reading at a time in a thread, never the event loop; knows no file and no chip.

A slot whose device cannot be read is a bad batch that says why. A reading that does not come back within ``most_s`` (a
driver that hangs) is left to its thread: the bus' slots then lie in a gap, ``unreachable``, until it returns.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from edge_gateway.clock import Clock
from edge_gateway.errors import ConfigError, GatewayError
from edge_gateway.profiles.spec import DeviceSpec
from edge_gateway.reading import BAD_MISSING, BAD_NO_ANSWER, GOOD, Batch, Group, Item, Message, Value
from edge_gateway.sources.base import Inbox
from edge_gateway.sources.modbus_slots import Slots

#: The longest sleep (real seconds): another list of devices is noticed after it.
MOST_SLEEP_S = 1.0
#: How long the end of a source waits for a reading that is under way (real seconds).
GRACE_S = 0.5


class Unread(Exception):
    """Nothing of this device could be read: the quality of all its points, and why, in words."""

    def __init__(self, quality: str, why: str) -> None:
        super().__init__(why)
        self.quality = quality
        self.why = why


@dataclass(slots=True, kw_only=True)
class Found:
    """What one look at a device gave: channel → (value, quality); the text it came from, and what to keep for the next run."""

    columns: Mapping[str, tuple[Value, str]]
    topic: str = ""
    text: bytes = b""
    keep: dict[str, Any] | None = None
    said: str = ""


class Reader(Protocol):
    """Reads devices of one bus. Called in a thread, one call at a time; may block."""

    def open(self, devices: Sequence[DeviceSpec]) -> None:
        """Before the first reading, and whenever the list of devices changed."""
        ...

    def read(self, device: DeviceSpec) -> Found:
        """All channels of a device. Raises Unread."""
        ...

    def close(self) -> None:
        """Give back what is held."""
        ...


@dataclass(slots=True)
class _Poll:
    device: DeviceSpec
    group: Group
    channels: tuple[str, ...]
    slots: Slots


@dataclass(slots=True)
class _State:
    """How a device is doing."""

    state: str = "unknown"  # unknown, answers, silent
    said: str = ""
    answered_us: int = 0


@dataclass(slots=True)
class _Counters:
    reads: int = 0
    failures: int = 0
    stuck: int = 0


_T = TypeVar("_T")


def in_thread(call: Callable[[], _T], name: str) -> asyncio.Future[_T]:
    """Run in a thread of its own that does not keep the program from ending: a driver may never come back."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_T] = loop.create_future()

    def answer(outcome: list[_T], fault: BaseException | None) -> None:
        if done.done():
            return
        if fault is not None:
            done.set_exception(fault)
        else:
            done.set_result(outcome[0])

    def work() -> None:
        outcome: list[_T] = []
        try:
            outcome.append(call())
        finally:
            with suppress(RuntimeError):  # the loop ended meanwhile
                loop.call_soon_threadsafe(answer, outcome, sys.exception())

    threading.Thread(target=work, name=name, daemon=True).start()
    return done


@dataclass(slots=True)
class _Work:
    """The one reading that is under way."""

    future: asyncio.Future[Any] | None = None
    device: str = ""
    since_s: float = 0.0
    opened: tuple[DeviceSpec, ...] | None = field(default=None)


class LocalSource:
    """See ``sources.base.Source``."""

    def __init__(
        self, bus_id: str, kind: str, reader: Reader, devices: Sequence[DeviceSpec], clock: Clock, *, most_s: float = 10.0
    ) -> None:
        self._id, self._kind, self._reader, self._clock = bus_id, kind, reader, clock
        self._most_s = most_s
        self._devices = tuple(devices)
        self._states: dict[str, _State] = {}
        self._counters = _Counters()
        self._outbox: list[Item] = []
        self._work = _Work()
        self._lock = asyncio.Lock()
        self._running: _Poll | None = None
        self._sleep_us = int(MOST_SLEEP_S * 1e6 * clock.speed)
        self._polls = [poll for device in self._devices for poll in _polls(device, clock.mono_us())]

    @property
    def id(self) -> str:
        """The bus' identifier."""
        return self._id

    def groups(self) -> Sequence[Group]:
        """One group for each device and interval."""
        return [poll.group for poll in self._polls]

    def health(self) -> Mapping[str, Any]:
        """``state``: ``up``, ``down`` (with ``said``) or ``idle``; a device is ``answers``, ``silent`` or ``unknown``."""
        states = {device.id: self._states.get(device.id, _State()) for device in self._devices}
        down = self._stuck() or all(state.state == "silent" for state in states.values())
        known = any(state.state != "unknown" for state in states.values())
        said = next((state.said for state in states.values() if state.said), "")
        return {
            "kind": self._kind,
            "state": "idle" if not known and not self._stuck() else "down" if down else "up",
            "said": self._stuck_said() if self._stuck() else said if down else "",
            "counters": {
                "reads": self._counters.reads,
                "failures": self._counters.failures,
                "stuck": self._counters.stuck,
            },
            "gaps": sum(poll.slots.gap is not None for poll in self._polls),
            "devices": {id_: self._device(id_, state) for id_, state in states.items()},
        }

    def _device(self, id_: str, state: _State) -> dict[str, Any]:
        gap = next((p.slots.gap.reason for p in self._polls if p.device.id == id_ and p.slots.gap is not None), "")
        ago_s = (self._clock.mono_us() - state.answered_us) // 1_000_000 if state.answered_us else None
        return {"state": state.state, "said": state.said, "answered_s_ago": ago_s, "gap": gap}

    def unaccounted_us(self, mono_us: int) -> int:
        """See ``sources.base.Source.unaccounted_us``; a reading under way may take its time."""
        if self._running is not None:
            return 0
        overdue = (mono_us - poll.slots.due_us - poll.group.interval_us for poll in self._polls)
        return max(overdue, default=0)

    def memory(self) -> Mapping[str, Any]:
        """For the source that follows this one: what its reader keeps in memory."""
        remember = getattr(self._reader, "memory", None)
        return remember() if remember is not None else {}

    async def update(self, devices: Sequence[DeviceSpec]) -> None:
        """Take over another list; an unchanged device keeps its slots. Raises ConfigError, and then changes nothing."""
        old = {device.id: device for device in self._devices}
        after_us = self._clock.mono_us() + self._sleep_us
        polls: list[_Poll] = []
        for device in devices:
            if old.get(device.id) == device:
                polls += [poll for poll in self._polls if poll.device.id == device.id]
            else:
                polls += _polls(device, after_us)
        kept = {id(poll) for poll in polls}
        begins = {poll.group.id: poll.slots.due_us for poll in polls}
        for poll in self._polls:
            if id(poll) not in kept:
                self._retire(poll, begins.get(poll.group.id, 0))
        self._polls, self._devices = polls, tuple(devices)
        self._states = {device.id: self._states.get(device.id, _State()) for device in devices}

    def farewell(self) -> Sequence[Item]:
        """See ``sources.base.Source.farewell``."""
        for poll in self._polls:
            self._retire(poll, 0)
        left, self._outbox = self._outbox, []
        return left

    def _retire(self, poll: _Poll, begins_us: int) -> None:
        slots = poll.slots
        until_us = begins_us or max(slots.next_us, slots.due_us)
        if poll is self._running and not begins_us:
            until_us = slots.due_us + slots.group.interval_us
        if slots.gap is None and until_us > slots.next_us:
            self._outbox += slots.skipped("reconfigured", until_us, self._gap_id())
        self._outbox += slots.ended(until_us)

    # --- the loop ------------------------------------------------------------------------------------------------

    async def run(self, inbox: Inbox) -> None:
        """Read until cancelled."""
        try:
            while True:
                while self._outbox:
                    await inbox.put(self._outbox[0])
                    self._outbox.pop(0)
                mono_us = self._clock.mono_us()
                if inbox.full():
                    self._skip_due("journal-full", mono_us)
                elif self._stuck():
                    self._skip_due("unreachable", mono_us, self._stuck_said())
                poll = self._pick(mono_us)
                if poll is not None:
                    await self._turn(poll)
                elif not self._outbox:
                    next_us = min((p.slots.due_us for p in self._polls), default=mono_us + self._sleep_us)
                    await self._clock.sleep_until(min(next_us, mono_us + self._sleep_us))
        finally:
            if self._work.future is not None:  # a reading that is under way holds what is to be given back
                await asyncio.wait([self._work.future], timeout=GRACE_S)
            self.close()

    def close(self) -> None:
        """Give back what the reader holds; ``run`` does so itself. What hangs in a driver is left to its thread."""
        if not self._stuck():
            self._reader.close()

    def _skip_due(self, reason: str, mono_us: int, said: str = "") -> None:
        for poll in self._polls:
            if poll.slots.due_us <= mono_us:
                self._outbox += poll.slots.skipped(reason, poll.slots.due_us + 1, self._gap_id(), said)

    def _pick(self, mono_us: int) -> _Poll | None:
        """The due group that waits longest; what is a whole interval late is missed, and said to be."""
        due = [poll for poll in self._polls if poll.slots.due_us <= mono_us]
        for poll in due:
            if latest_us := poll.slots.late(mono_us):
                self._outbox += poll.slots.skipped("busy", latest_us, self._gap_id())
        return min(due, key=lambda poll: poll.slots.due_us, default=None)

    async def _turn(self, poll: _Poll) -> None:
        self._running = poll
        try:
            async with self._lock:
                found = await self._look(poll.device)
        finally:
            self._running = None
        if poll not in self._polls:
            return  # its slot was accounted for when it went
        columns = [_column(found, channel) for channel in poll.channels]
        quality = [mark for _, mark in columns]
        batch = Batch(
            group=poll.group,
            mono_us=self._clock.mono_us(),
            wall_us=self._clock.wall_us(),
            values=[value for value, _ in columns],
            quality=None if all(mark == GOOD for mark in quality) else quality,
        )
        if isinstance(found, Found):
            batch.keep = found.keep
            if found.text:
                batch.message = Message(topic=found.topic, payload=found.text)
        self._outbox += poll.slots.filled(batch)

    async def _look(self, device: DeviceSpec) -> Found | Unread:
        """One reading, in a thread, for ``most_s`` at the most."""
        if self._hangs():
            return Unread(BAD_NO_ANSWER, self._stuck_said())
        devices, self._work.device = self._devices, device.id
        self._work.since_s = asyncio.get_running_loop().time()
        self._work.future = future = in_thread(lambda: self._read(device, devices), f"read:{self._id}")
        await asyncio.wait([future], timeout=self._most_s)
        self._counters.reads += 1
        state = self._states.setdefault(device.id, _State())
        if not future.done():
            future.add_done_callback(_forget)
            self._counters.stuck += 1
            found: Found | Unread = Unread(BAD_NO_ANSWER, self._stuck_said())
        else:
            found = future.result()
        if isinstance(found, Unread):
            self._counters.failures += 1
            state.state, state.said = "silent", found.why
        else:
            state.state, state.said, state.answered_us = "answers", found.said, self._clock.mono_us()
        return found

    def _read(self, device: DeviceSpec, devices: tuple[DeviceSpec, ...]) -> Found | Unread:
        """Runs in the thread."""
        try:
            if self._work.opened is not devices:
                self._reader.open(devices)
                self._work.opened = devices
            return self._reader.read(device)
        except Unread as unread:
            return unread

    def _hangs(self) -> bool:
        return self._work.future is not None and not self._work.future.done()

    def _stuck(self) -> bool:
        """A reading hangs, and nobody is waiting for it any more."""
        return self._hangs() and not self._lock.locked()

    def _stuck_said(self) -> str:
        return f"reading {self._work.device} has not come back for more than {self._most_s:g} s: its driver hangs"

    def _gap_id(self) -> str:
        return f"{self._clock.boot}-{self._clock.mono_us()}"

    # --- a person asks -------------------------------------------------------------------------------------------

    async def read_now(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """One point, now; nothing of it is recorded. Raises GatewayError: no such point, or no registers here."""
        id_ = str(wanted.get("point") or "")
        for device in self._devices:
            for point in device.points:
                if point.id == id_:
                    return await self._read_point(device, point.id, point.channel)
        if id_:
            raise GatewayError(f"no point '{id_}' on bus '{self._id}'")
        raise GatewayError(f"'{self._id}' has no registers", hint="name a point: edge-gateway read POINT")

    async def _read_point(self, device: DeviceSpec, point: str, name: str) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        async with self._lock:
            started_s = loop.time()
            found = await self._look(device)
        value, quality = _column(found, name)
        channel = device.profile.channels[name]
        text = found.text.decode("utf-8", "replace").strip() if isinstance(found, Found) else found.why
        return {
            "point": point,
            "device": device.id,
            "channel": name,
            "value": value,
            "quality": quality,
            "quantity": channel.quantity,
            "unit_of_measure": channel.unit,
            "decimals": channel.decimals,
            "file": found.topic if isinstance(found, Found) else self._kind,
            "data": text,
            "round_trip_ms": round((loop.time() - started_s) * 1000, 1),
            "counters": {"reads": self._counters.reads, "failures": self._counters.failures},
        }


def _forget(future: asyncio.Future[Any]) -> None:
    """What came back too late is nobody's; a fault in it must not be raised later by the collector."""
    if not future.cancelled():
        future.exception()


def _column(found: Found | Unread, channel: str) -> tuple[Value, str]:
    if isinstance(found, Unread):
        return None, found.quality
    return found.columns.get(channel, (None, BAD_MISSING))


def _polls(device: DeviceSpec, after_us: int) -> list[_Poll]:
    """One group for each interval, the shortest first. Raises ConfigError: a point whose channel there is not."""
    intervals: dict[int, list[tuple[str, str]]] = {}
    for point in device.points:
        if point.channel not in device.profile.channels:
            known = ", ".join(sorted(device.profile.channels))
            why = f"profile '{device.profile.id}' has no channel '{point.channel}'"
            raise ConfigError(why, key=f"points.{point.id}.channel", hint=f"it has {known}")
        intervals.setdefault(point.interval_us or device.interval_us, []).append((point.id, point.channel))
    polls = []
    for number, (interval_us, wanted) in enumerate(sorted(intervals.items())):
        points = tuple(point for point, _ in wanted)
        group = Group(id=f"{device.id}.{number}", device=device.id, points=points, interval_us=interval_us)
        channels = tuple(channel for _, channel in wanted)
        polls.append(_Poll(device, group, channels, Slots.starting(group, after_us)))
    return polls
