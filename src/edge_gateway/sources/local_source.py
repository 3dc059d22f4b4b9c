"""A bus of this machine's own as a source: slots, one reading at a time in a thread, never the event loop; knows no file and no chip.

A slot whose device cannot be read is a bad batch that says why. A reading that does not come back within ``most_s`` (a
driver that hangs) is left to its thread: the bus' slots then lie in a gap, ``unreachable``, until it returns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_gateway.clock import Clock
from edge_gateway.errors import ConfigError, GatewayError
from edge_gateway.profiles.spec import DeviceSpec
from edge_gateway.reading import GOOD, Batch, Group, Item, Message
from edge_gateway.sources.base import Inbox
from edge_gateway.sources.local_look import Found, Looks, Reader, Unread, column
from edge_gateway.sources.modbus_slots import Slots

#: The longest sleep (real seconds): another list of devices is noticed after it.
MOST_SLEEP_S = 1.0



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


class LocalSource:
    """See ``sources.base.Source``."""

    def __init__(
        self, bus_id: str, kind: str, reader: Reader, devices: Sequence[DeviceSpec], clock: Clock, *, most_s: float = 10.0
    ) -> None:
        self._id, self._kind, self._clock = bus_id, kind, clock
        self._looks = Looks(reader, bus_id, most_s)
        self._devices = tuple(devices)
        self._states: dict[str, _State] = {}
        self._outbox: list[Item] = []
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
        """``state``: ``up``, ``down`` (with ``said``) or ``idle``; a device is ``answers``, ``silent`` or ``unknown``.

        ``strangers``: what is there and has no device.
        """
        states = {device.id: self._states.get(device.id, _State()) for device in self._devices}
        down = self._stuck() or all(state.state == "silent" for state in states.values())
        known = any(state.state != "unknown" for state in states.values())
        said = next((state.said for state in states.values() if state.said), "")
        return {
            "kind": self._kind,
            "state": "idle" if not known and not self._stuck() else "down" if down else "up",
            "said": self._looks.hanging if self._stuck() else said if down else "",
            "counters": {"reads": self._looks.reads, "failures": self._looks.failures, "stuck": self._looks.stuck},
            "gaps": sum(poll.slots.gap is not None for poll in self._polls),
            "strangers": self._looks.strangers,
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
        return self._looks.memory()

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
                self._retire(poll, begins.get(poll.group.id, 0), self._clock.mono_us())
        self._polls, self._devices = polls, tuple(devices)
        self._states = {device.id: self._states.get(device.id, _State()) for device in devices}

    def farewell(self, mono_us: int) -> Sequence[Item]:
        """See ``sources.base.Source.farewell``."""
        for poll in self._polls:
            self._retire(poll, 0, mono_us)
        left, self._outbox = self._outbox, []
        return left

    def begin_behind(self, mono_us: int) -> None:
        """See ``sources.base.Source.begin_behind``."""
        for poll in self._polls:
            poll.slots = Slots.starting(poll.group, mono_us)

    def _retire(self, poll: _Poll, begins_us: int, mono_us: int) -> None:
        self._outbox += poll.slots.last(begins_us, mono_us, self._gap_id())

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
                    self._skip_due("unreachable", mono_us, self._looks.hanging)
                poll = self._pick(mono_us)
                if poll is not None:
                    await self._turn(poll)
                elif not self._outbox:
                    next_us = min((p.slots.due_us for p in self._polls), default=mono_us + self._sleep_us)
                    await self._clock.sleep_until(min(next_us, mono_us + self._sleep_us))
        finally:
            await self._looks.ended()
            self.close()

    def close(self) -> None:
        """Give back what the reader holds; ``run`` does so itself."""
        self._looks.close()

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
        columns = [column(found, channel) for channel in poll.channels]
        quality = [mark for _, mark in columns]
        batch = Batch(
            group=poll.group,
            mono_us=self._clock.mono_us(),
            wall_us=self._clock.wall_us(),
            values=[value for value, _ in columns],
            quality=None if all(mark == GOOD for mark in quality) else quality,
        )
        if isinstance(found, Found):
            self._looks.recorded(poll.device, found)
            batch.keep = found.keep
            if found.text:
                batch.message = Message(topic=found.topic, payload=found.text)
        self._outbox += poll.slots.filled(batch)

    async def _look(self, device: DeviceSpec) -> Found | Unread:
        found = await self._looks.look(device, self._devices)
        state = self._states.setdefault(device.id, _State())
        if isinstance(found, Unread):
            state.state, state.said = "silent", found.why
        else:
            state.state, state.said, state.answered_us = "answers", found.said, self._clock.mono_us()
        return found

    def _stuck(self) -> bool:
        """A reading hangs, and nobody is waiting for it any more."""
        return self._looks.hangs and not self._lock.locked()

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
        value, quality = column(found, name)
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
            "counters": {"reads": self._looks.reads, "failures": self._looks.failures},
        }


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
