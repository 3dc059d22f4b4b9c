"""Messages of a broker as batches, acknowledged after their commit; knows no journal and no rule.

One task (``_work``) takes what arrives in order, and hands over batches, gaps and notes; the link only appends to a bounded
queue. When intake takes no more, reading stops and the broker holds back: nothing is dropped here.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_gateway.clock import Clock
from edge_gateway.errors import LinkDown
from edge_gateway.links.mqtt import Delivery, Mqtt, MqttSettings, Refused, WindowFull
from edge_gateway.profiles.payload import Columns, Unparsed
from edge_gateway.profiles.spec import DeviceSpec
from edge_gateway.reading import (
    GOOD,
    UNCERTAIN_FUTURE,
    UNCERTAIN_QUEUED,
    Batch,
    Group,
    Item,
    Message,
    Note,
)
from edge_gateway.sources.base import Inbox
from edge_gateway.sources.mqtt_devices import Device, availability, plan, slots, topics
from edge_gateway.sources.mqtt_doubt import QUIET_S, Doubt
from edge_gateway.sources.mqtt_ledger import SESSION_BEGAN, Ledger, Ticket
from edge_gateway.sources.mqtt_silence import Silence
from edge_gateway.sources.mqtt_unparsed import Unreadable

#: A payload larger than this is refused: acknowledged, counted, its beginning kept.
MAX_PAYLOAD_BYTES = 256 * 1024
#: A message's own time further ahead of ours than this is doubted (µs).
FUTURE_US = 60_000_000
#: Messages, and bytes of them, that may wait here before reading stops; it goes on at a quarter.
MAX_WAITING = 256
MAX_WAITING_BYTES = 4 * 1024 * 1024
#: A message unacknowledged for longer than this held the broker back: its queue may have grown (real seconds).
HELD_BACK_S = 10.0
#: Reading stopped for longer than this: the same (real seconds).
PAUSED_S = 1.0
#: v3.1.1 brokers tell nobody how large their send window is; mosquitto's is 20. In v5 it is ours to say, but mosquitto 2.0.11 exceeds it:
#: at each reconnect it sends new messages first, then all those again that wait for their PUBACK.
_KEEP = 1000


@dataclass(slots=True, eq=False)
class _Waiting:
    """A message between the link and ``_work``; ``live`` as it was when the message arrived."""

    delivery: Delivery
    size_bytes: int
    mono_us: int
    wall_us: int
    arrived_s: float
    live: bool
    ticket: Ticket[Delivery] | None


class MqttSource:
    """One broker. See the module's docstring."""

    def __init__(
        self,
        bus_id: str,
        settings: MqttSettings,
        devices: Sequence[DeviceSpec],
        clock: Clock,
        *,
        recovered: Mapping[tuple[str, int], str],
    ) -> None:
        self._id = bus_id
        self._clock = clock
        self._speed = clock.speed
        self._devices = plan(devices, {}, clock)
        self._ledger: Ledger[Delivery] = Ledger(recovered, max(_KEEP, settings.receive_maximum))
        self._link = Mqtt(settings, on_message=self._hear, greet=self._greet, on_down=self._down)
        self._doubt = Doubt(f"edge-gateway/marker/{settings.client_id}")
        self._unreadable = Unreadable(bus_id)
        self._waiting: deque[_Waiting] = deque()
        self._waiting_bytes = 0
        self._leaving: list[Item] = []
        self._wake = asyncio.Event()
        self._session_note: Note | None = None
        self._handing_over = False
        self._greeted = False
        self._subscribed: set[str] = set()
        self._devices_changed = asyncio.Event()
        self._paused_s = 0.0
        self._begin_us: int | None = None
        self._trouble = ""
        self._counts = dict.fromkeys(
            ("journaled", "repeated", "retained", "queued", "unparsed", "untold", "oversized", "strays", "markers_refused"), 0
        )

    # --- what the gateway asks ----------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """The bus's identifier."""
        return self._id

    def groups(self) -> Sequence[Group]:
        """One group a device, or a point where messages are partial."""
        return [group for device in self._devices.values() for group in device.reader.groups]

    def health(self) -> Mapping[str, Any]:
        """JSON-able: the link, counters, devices, and the newest messages that could not be read."""
        now_us = self._clock.mono_us()
        return {
            "kind": "mqtt",
            **self._link.status(),
            "subscribed": self._greeted,
            "live": self._doubt.live,
            "trouble": self._trouble,
            "unacknowledged": len(self._ledger),
            "waiting": len(self._waiting),
            **self._counts,
            "devices": {device.spec.id: device.state(now_us) for device in self._devices.values()},
            "unreadable": self._unreadable.kept(),
        }

    def unaccounted_us(self, mono_us: int) -> int:
        """How far the most overdue slot stands open; intake's own waiting is not counted as ours."""
        if self._handing_over:
            return 0
        return max((mono_us - silence.due_us for silence in self._silences()), default=0)

    def _silences(self) -> list[Silence]:
        return [silence for device in self._devices.values() for silence in device.silences]

    def memory(self) -> dict[tuple[str, int], str]:
        """For the source that follows this one at the same broker: ``recovered``."""
        return self._ledger.memory()

    async def update(self, devices: Sequence[DeviceSpec]) -> None:
        """Take over another list; an unchanged device keeps its slots. Raises ConfigError before anything changed.

        Does not wait for the broker: it is called from inside intake. ``_follow`` brings the subscriptions in line.
        """
        before, self._devices = self._devices, plan(devices, self._devices, self._clock)
        for topic, device in before.items():
            after = self._devices.get(topic)
            if after is not device:
                stay = {silence.group.id for silence in after.silences} if after is not None else set()
                gone = [silence for silence in device.silences if silence.group.id not in stay]
                self._leaving += [item for silence in gone for item in silence.ended(self._clock.mono_us())]
        self._wake.set()
        self._devices_changed.set()

    def farewell(self, mono_us: int) -> Sequence[Item]:
        """See ``sources.base.Source.farewell``. Messages not handed over are not acknowledged: they come again."""
        left, self._leaving = self._leaving, []
        for silence in self._silences():
            reason = silence.gap.reason if silence.gap else "reconfigured"
            left += [*silence.passed(mono_us, reason), *silence.ended(mono_us)]
        return left

    def begin_behind(self, mono_us: int) -> None:
        """See ``sources.base.Source.begin_behind``: silence is measured from there."""
        self._begin_us = mono_us

    # --- running ------------------------------------------------------------------------------------------------

    async def run(self, inbox: Inbox) -> None:
        """Hear and hand over until cancelled."""
        begin_us = self._clock.mono_us() if self._begin_us is None else self._begin_us  # not when we were built
        for device in self._devices.values():
            device.silences = slots(device.reader.groups, begin_us, self._clock.boot)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._link.run(), name=f"mqtt link {self._id}")
            tasks.create_task(self._work(inbox), name=f"mqtt work {self._id}")
            tasks.create_task(self._follow(), name=f"mqtt subscriptions {self._id}")

    async def _follow(self) -> None:
        """Subscribe to what devices came, and no longer to what went."""
        while True:
            await self._devices_changed.wait()
            self._devices_changed.clear()
            if not self._greeted:
                continue  # the greeting subscribes to all
            wanted = topics(self._devices)
            try:
                await self._link.unsubscribe(sorted(self._subscribed.difference(wanted)))
                await self._link.subscribe([topic for topic in wanted if topic not in self._subscribed])
                self._subscribed = set(wanted)
            except (LinkDown, Refused) as trouble:
                self._trouble = str(trouble)  # the next greeting subscribes to all

    async def _work(self, inbox: Inbox) -> None:
        while True:
            self._wake.clear()
            while self._leaving:
                await self._put(inbox, self._leaving.pop(0))
            while self._waiting and not inbox.full():
                waiting = self._waiting.popleft()
                self._waiting_bytes -= len(waiting.delivery.payload)
                await self._take(inbox, waiting)
                self._read_on()
            if self._session_note is not None and not self._waiting:
                note, self._session_note = self._session_note, None
                self._ledger.forget()
                await self._put(inbox, note)
            if not self._waiting or inbox.full():
                await self._account(inbox)
            self._look_for_the_marker()
            await self._rest(0.1 if self._waiting else 1.0)

    async def _rest(self, most_s: float) -> None:
        """Until something arrives, a slot is due, or ``most_s`` (real seconds) passed."""
        due_us = min((silence.due_us for silence in self._silences()), default=None)
        if due_us is not None:
            most_s = min(most_s, max(0.005, (due_us - self._clock.mono_us()) / 1e6 / self._speed))
        try:
            async with asyncio.timeout(most_s):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _put(self, inbox: Inbox, item: Item) -> None:
        self._handing_over = True
        try:
            await inbox.put(item)
        finally:
            self._handing_over = False

    async def _account(self, inbox: Inbox) -> None:
        """Slots that passed in silence become gaps, with the reason of this moment."""
        now_us = self._clock.mono_us()
        for device in list(self._devices.values()):
            for silence in device.silences:
                for item in silence.passed(now_us, self._reason(inbox), self._detail(device)):
                    await self._put(inbox, item)

    def _reason(self, inbox: Inbox) -> str:
        if inbox.full():
            return "journal-full"
        return "silent" if self._link.connected else "unreachable"

    def _detail(self, device: Device) -> str:
        if not self._link.connected:
            return str(self._link.status()["last_error"])[:200]
        return f"availability: {device.availability}" if device.availability else ""

    # --- one message --------------------------------------------------------------------------------------------

    def _hear(self, delivery: Delivery) -> None:
        """On the loop, from the link: note the time, keep the order, hold the broker back when it is too much."""
        size = len(delivery.payload)
        mono_us = self._clock.mono_us()
        now_s = asyncio.get_running_loop().time()
        self._doubt.heard(delivery.topic, delivery.payload, now_s)
        if self._doubt.live and self._held_back(mono_us):
            self._doubt.began(now_s)
        if size > MAX_PAYLOAD_BYTES:  # memory: only its beginning is kept
            delivery = _shortened(delivery)
        ticket = self._ledger.arrived(delivery, mono_us) if delivery.qos else None
        self._waiting.append(_Waiting(delivery, size, mono_us, self._clock.wall_us(), now_s, self._doubt.live, ticket))
        self._waiting_bytes += len(delivery.payload)
        if len(self._waiting) >= MAX_WAITING or self._waiting_bytes >= MAX_WAITING_BYTES:
            self._link.pause()
            self._paused_s = self._paused_s or now_s
        self._wake.set()

    def _read_on(self) -> None:
        if not self._paused_s or len(self._waiting) > MAX_WAITING // 4 or self._waiting_bytes > MAX_WAITING_BYTES // 4:
            return
        now_s = asyncio.get_running_loop().time()
        if now_s - self._paused_s > PAUSED_S and self._doubt.live:
            self._doubt.began(now_s)  # what was published meanwhile waited in the broker or on the way
        self._paused_s = 0.0
        self._link.resume()

    async def _take(self, inbox: Inbox, waiting: _Waiting) -> None:
        delivery, ticket = waiting.delivery, waiting.ticket
        digest = hashlib.sha256(delivery.payload).hexdigest()
        device = self._devices.get(delivery.topic)
        if (
            delivery.duplicate
            and ticket is not None
            and self._ledger.repeats(ticket, delivery.topic, delivery.packet_id, digest)
        ):
            self._counts["repeated"] += 1
        elif device is None:
            self._not_a_device(delivery)
            self._settle(waiting)
        elif delivery.retain:
            self._counts["retained"] += 1
            self._settle(waiting)
        else:
            await self._read(inbox, waiting, device, digest)
        self._acknowledge()

    async def _read(self, inbox: Inbox, waiting: _Waiting, device: Device, digest: str) -> None:
        delivery = waiting.delivery
        if waiting.size_bytes > MAX_PAYLOAD_BYTES:
            self._counts["oversized"] += 1
            await self._unparsed(inbox, waiting, f"{waiting.size_bytes} bytes, more than {MAX_PAYLOAD_BYTES}")
            return
        try:
            columns = device.reader.read(delivery.payload)
        except Unparsed as unparsed:
            self._counts["unparsed"] += 1
            await self._unparsed(inbox, waiting, str(unparsed))
            return
        device.heard_us = waiting.mono_us
        device.messages += 1
        parts = list(device.reader.parts(columns))
        if not parts:
            self._counts["untold"] += 1
            self._settle(waiting)
            return
        self._counts["journaled"] += 1
        for number, (group, part) in enumerate(parts, 1):
            for silence in device.silences:
                if silence.group is group:
                    for item in silence.heard(waiting.mono_us, self._reason(inbox)):
                        await self._put(inbox, item)
            await self._put(inbox, self._batch(waiting, group, part, digest if number == len(parts) else ""))

    def _batch(self, waiting: _Waiting, group: Group, columns: Columns, digest: str) -> Batch:
        """A message's readings of one group. The last one has ``digest``: when it is durable, so is the whole message.

        The earlier ones (of a partial message) carry no packet id: killed between them and the last one, the message
        comes again as a whole, and they stand in the record twice, with the same time of their own.
        """
        delivery = waiting.delivery
        return Batch(
            group=group,
            mono_us=waiting.mono_us,
            wall_us=waiting.wall_us,
            values=columns.values,
            quality=self._doubted(columns.quality, columns.time_us, waiting, len(columns.values)),
            slot_us=waiting.mono_us if group.interval_us else None,
            message=Message(
                topic=delivery.topic,
                payload=delivery.payload,
                packet_id=delivery.packet_id if digest else 0,
                duplicate=delivery.duplicate,
                time_us=columns.time_us,
            ),
            committed=self._on_commit(waiting, digest) if digest else None,
        )

    def _doubted(
        self, quality: list[str] | None, time_us: int | None, waiting: _Waiting, width: int
    ) -> list[str] | None:
        """Good readings become uncertain where their time is in doubt; what is bad stays bad."""
        if time_us is None:
            doubt = "" if waiting.live and not waiting.delivery.duplicate else UNCERTAIN_QUEUED
            self._counts["queued"] += bool(doubt)
        else:
            # With a clock that nobody vouches for (1970 after a cold start) every message would come from the future.
            ahead = time_us - waiting.wall_us > FUTURE_US and self._clock.trusted()
            doubt = UNCERTAIN_FUTURE if ahead else ""
        if not doubt:
            return quality
        return [doubt if mark == GOOD else mark for mark in quality or [GOOD] * width]

    def _on_commit(self, waiting: _Waiting, digest: str) -> Callable[[], None] | None:
        if waiting.ticket is None:
            return None
        delivery = waiting.delivery
        record = self._ledger.hand_over(waiting.ticket, delivery.topic, delivery.packet_id, digest)

        def committed() -> None:
            self._ledger.committed(record)
            self._acknowledge()

        return committed

    async def _unparsed(self, inbox: Inbox, waiting: _Waiting, why: str) -> None:
        """Keep it, tell it at a bounded rate; with an entry about it the acknowledgement waits for that one's commit."""
        delivery = waiting.delivery
        item = self._unreadable.add(
            delivery.topic, delivery.payload, why, wall_us=waiting.wall_us, size_bytes=waiting.size_bytes
        )
        note = self._unreadable.note(item, waiting.arrived_s)
        if note is None:
            self._settle(waiting)
            return

        def committed() -> None:
            self._settle(waiting)
            self._acknowledge()

        note.committed = committed
        await self._put(inbox, note)

    def _not_a_device(self, delivery: Delivery) -> None:
        if delivery.topic == self._doubt.marker_topic:
            return
        named = [device for device in self._devices.values() if device.availability_topic == delivery.topic]
        for device in named:
            device.availability = availability(delivery.payload)
        self._counts["strays"] += not named

    def _settle(self, waiting: _Waiting) -> None:
        if waiting.ticket is not None:
            self._ledger.not_journaled(waiting.ticket, waiting.delivery.packet_id)

    def _acknowledge(self) -> None:
        for delivery in self._ledger.due():
            self._link.ack(delivery)

    # --- the session --------------------------------------------------------------------------------------------

    async def _greet(self, session_present: bool) -> None:
        """After CONNACK. A new session is journaled before its first subscription: see the ledger."""
        wanted = topics(self._devices)
        if session_present:
            self._doubt.began(asyncio.get_running_loop().time())
        else:
            await self._tell_new_session(wanted)
            self._doubt.new_session()  # nothing comes before we subscribe, and what comes after it was not queued
        await self._link.subscribe([self._doubt.marker_topic, *wanted])
        self._trouble = ""
        self._greeted = True
        self._subscribed = set(wanted)
        self._devices_changed.set()  # devices may have come meanwhile
        self._wake.set()

    async def _tell_new_session(self, wanted: Sequence[str]) -> None:
        """Journal it behind the last message of the old session, and wait until it is durable."""
        durable = asyncio.Event()
        detail: dict[str, object] = {"bus": self._id, "topics": list(wanted)}
        self._session_note = Note(event=SESSION_BEGAN, detail=detail, committed=durable.set)
        self._wake.set()
        await durable.wait()

    def _down(self, _why: str) -> None:
        self._greeted = False
        self._session_note = None
        self._doubt.disconnected()
        self._ledger.disconnected()
        self._wake.set()

    def _held_back(self, mono_us: int) -> bool:
        oldest_us = self._ledger.oldest_us()
        return oldest_us is not None and (mono_us - oldest_us) / 1e6 / self._speed > HELD_BACK_S

    def _look_for_the_marker(self) -> None:
        idle = not len(self._ledger) and not self._waiting
        marker = self._doubt.marker(asyncio.get_running_loop().time(), idle=idle) if self._greeted else None
        if marker is not None:
            try:
                self._link.publish(self._doubt.marker_topic, marker).add_done_callback(self._marker_answered)
            except (LinkDown, WindowFull) as trouble:
                self._trouble = str(trouble)

    def _marker_answered(self, answer: asyncio.Future[int]) -> None:
        if not answer.cancelled() and isinstance(answer.exception(), Refused):
            self._counts["markers_refused"] += 1
            self._trouble = (
                f"the broker lets us not write '{self._doubt.marker_topic}': after each reconnect readings stay "
                f"uncertain:queued until it was quiet for {QUIET_S:.0f} s"
            )


def _shortened(delivery: Delivery) -> Delivery:
    return Delivery(
        topic=delivery.topic,
        payload=delivery.payload[:4096],
        qos=delivery.qos,
        retain=delivery.retain,
        duplicate=delivery.duplicate,
        packet_id=delivery.packet_id,
        connection=delivery.connection,
    )
