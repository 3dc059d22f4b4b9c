"""A site in virtual time for the campaign ``slots``: plant, broker, clock and journal around the real sources, scheduler and intake.

The plant keeps a truth log: every answer that it gave and every message that was delivered, by a number that is given once.
The journal is the real one on a real disk, only without its thread (virtual time does not wait for threads). Nothing really waits.
"""

from __future__ import annotations

import asyncio
import json
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

from edge_gateway.app.field import Field
from edge_gateway.config.load import Loaded, load
from edge_gateway.config.resolve import setup
from edge_gateway.errors import JournalError, LinkDown
from edge_gateway.intake.loop import Intake
from edge_gateway.intake.recovery import open_run, recover
from edge_gateway.intake.ruletime import resume
from edge_gateway.journal.core import Core
from edge_gateway.journal.files import DiskFiles
from edge_gateway.journal.retention import JournalSettings
from edge_gateway.journal.work import Append
from edge_gateway.links.mqtt import Delivery
from edge_gateway.telemetry import silent
from tests.servers.sim_bus import SimBus, SimLine, SimUnit

SETTINGS = JournalSettings(max_bytes=1 << 34, segment_entries=4096, hub_name="hub", sinks=("hub",))
#: A word of the second register that the profile calls an error.
SENTINEL = 0xFFFF
#: Numbers of unit u begin here.
SPREAD = 10_000_000
UNITS = (1, 2, 3, 4, 5)
DRIVERS = {
    "house/meter": """id = "house/meter"
vendor = "House"
model = "Meter"
name_zh = "表"
name_en = "Meter"
verified = "no"
[[sources]]
cite = "the campaign's own simulated units"
verified = "no"
[modbus]
[channels.number]
function = 3
register = 0
type = "uint32"
quantity = "count"
unit = "1"
[channels.half]
function = 3
register = 2
quantity = "count"
unit = "1"
sentinels = [0xFFFF]
""",
    "house/node": """id = "house/node"
vendor = "House"
model = "Node"
name_zh = "节点"
name_en = "Node"
verified = "no"
[[sources]]
cite = "the campaign's own simulated node"
verified = "no"
[payload]
[channels.number]
path = "n"
quantity = "count"
unit = "1"
""",
}


class Clock:
    """The gateway's clock over the loop's time: ``error_us`` and ``trust`` are what goes wrong with it."""

    speed = 1.0

    def __init__(self, true_us: int) -> None:
        self._base_us = true_us
        self._boot_us = 0
        self._number = 0
        self.error_us = 0
        self.trust = True
        self.boot = ""
        self.boots: list[tuple[int, int]] = []  # true time, and what monotonic time was then
        self.boot_up()

    def true_us(self) -> int:
        """What time it really is."""
        return self._base_us + round(asyncio.get_event_loop().time() * 1e6)

    def boot_up(self, since_on_us: int = 20_000_000) -> None:
        """The power is back: another boot, whose monotonic clock began a while ago."""
        self._number += 1
        self.boot = f"b{self._number:011d}"
        self._boot_us = self.true_us() - since_on_us

    def mono_us(self) -> int:
        return self.true_us() - self._boot_us

    def wall_us(self) -> int:
        return self.true_us() + self.error_us

    def trusted(self) -> bool:
        return self.trust

    async def sleep_until(self, mono_us: int) -> None:
        while (left_us := mono_us - self.mono_us()) > 0:
            await asyncio.sleep(left_us / 1e6)


@dataclass(frozen=True, slots=True)
class Given:
    """One answer or message: when (true µs, and monotonic), which unit (0: the node), its number, whether each point of it is good."""

    true_us: int
    mono_us: int
    unit: int
    number: int
    good: tuple[bool, ...] = (True, True)


class Unit(SimUnit):
    """Each answer has the next number; ``dead``: it says nothing, ``broken``: its second register is the error word."""

    def __init__(self, address: int, plant: Plant) -> None:
        super().__init__(address, {})
        self.plant, self.number = plant, address * SPREAD
        self.dead = self.broken = False

    def answer(self, pdu: bytes) -> bytes | None:
        if self.dead:
            return None
        assert pdu[0] == 3
        self.number += 1
        half = SENTINEL if self.broken else self.number % 60_000
        registers = struct.pack(">IH", self.number, half)
        start, count = struct.unpack(">HH", pdu[1:5])
        clock = self.plant.clock
        self.plant.truth.append(Given(clock.true_us(), clock.mono_us(), self.address, self.number, (True, not self.broken)))
        data = registers[2 * start : 2 * (start + count)]
        return bytes((3, len(data))) + data


class Plant:
    """Units, each on whichever line it is plugged into, and a node at a broker, with their truth log."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.truth: list[Given] = []
        self.units = {address: Unit(address, self) for address in UNITS}
        self.buses: dict[str, SimBus] = {}
        self.line_gone = False
        self.broker = Broker(self)
        self.node_dead = False

    def open_line(self, settings: Any) -> SimLine:
        """In place of the gateway's own."""
        bus = self.buses.setdefault(settings.port, SimBus(list(self.units.values())))
        plant, line = self, bus.open_line(settings)
        opened = line.open

        async def open_() -> None:
            if plant.line_gone:
                raise LinkDown("the adaptor is pulled out")
            await opened()

        exchange = line.exchange

        async def exchange_(unit: int, pdu: bytes, timeout_s: float = 0.0) -> bytes:
            if plant.line_gone:
                line.close()
                raise LinkDown("the adaptor is pulled out")
            return await exchange(unit, pdu, timeout_s)

        line.open, line.exchange = open_, exchange_  # type: ignore[method-assign]
        return line

    async def publish(self) -> None:
        """The node's life: a message every 50 s."""
        number = 0
        while True:
            await asyncio.sleep(50.0)
            if not self.node_dead:
                number += 1
                self.broker.published(number)


@dataclass(slots=True)
class Broker:
    """Keeps a session's queue while the gateway is away, at QoS 1; ``away``: it cannot be reached."""

    plant: Plant
    away: bool = False
    link: Link | None = None
    queue: list[tuple[int, bool]] = field(default_factory=list)  # number, whether it was sent before
    unacknowledged: dict[int, int] = field(default_factory=dict)  # packet id -> number
    session: bool = False

    def published(self, number: int) -> None:
        """The node's message has come."""
        self.queue.append((number, False))
        self.send()

    def send(self) -> None:
        """Everything that waits, to a link that subscribed."""
        while self.queue and self.link is not None and self.link.subscribed and not self.link.paused:
            number, again = self.queue.pop(0)
            self.link.deliver("plant/node", json.dumps({"n": number}).encode(), number, again)

    def gone(self) -> None:
        """The connection ended: what was not acknowledged is sent again."""
        self.link = None
        self.queue = [(number, True) for number in self.unacknowledged.values()] + self.queue
        self.unacknowledged.clear()


class Link:
    """In place of ``links.mqtt.Mqtt``: a connection to ``Broker``."""

    broker: Broker
    _connections = 0

    def __init__(self, settings: Any, *, on_message: Callable[[Delivery], None], greet: Any, on_down: Any) -> None:
        self._on_message, self._greet, self._on_down = on_message, greet, on_down
        self.connected = self.subscribed = self.paused = False
        self._packet = self._connection = 0
        self.live = self._present = False

    def status(self) -> dict[str, Any]:
        return {"connected": self.connected, "last_error": ""}

    async def run(self) -> None:
        broker = self.broker
        try:
            while True:
                if broker.away or self.paused:
                    await asyncio.sleep(1.0)
                    continue
                await self._connection_to(broker)
        finally:
            if broker.link is self:
                broker.gone()

    async def _connection_to(self, broker: Broker) -> None:
        Link._connections += 1
        self._connection, self._packet = Link._connections, 0
        self.connected, self.subscribed, self.live = True, False, False
        broker.link = self
        self._present, broker.session = broker.session, True
        greeting = asyncio.create_task(self._greet(self._present))
        while not broker.away:
            await asyncio.sleep(1.0)
        greeting.cancel()
        self.connected = False
        broker.gone()
        self._on_down("the broker is away")

    def deliver(self, topic: str, payload: bytes, number: int, again: bool) -> None:
        """A message leaves the broker."""
        self._packet += 1
        self.broker.unacknowledged[self._packet] = number
        plant = self.broker.plant
        plant.truth.append(Given(plant.clock.true_us(), plant.clock.mono_us(), 0, number, (self.live and not again,)))
        self._heard(topic, payload, again)

    def _heard(self, topic: str, payload: bytes, again: bool = False, qos: int = 1) -> None:
        packet = self._packet if qos else 0
        self._on_message(Delivery(topic=topic, payload=payload, qos=qos, retain=False, duplicate=again, packet_id=packet, connection=self._connection))

    async def subscribe(self, filters: Sequence[str]) -> None:
        self.subscribed = True
        self.live = self.live or not self._present
        asyncio.get_running_loop().call_soon(self.broker.send)

    async def unsubscribe(self, filters: Sequence[str]) -> None:
        """Nothing that is subscribed to here goes."""

    def publish(self, topic: str, payload: bytes) -> asyncio.Future[int]:
        """The marker: it comes back behind what waits."""
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        done.set_result(0)
        self.broker.send()
        self.live = True
        asyncio.get_running_loop().call_soon(self._heard, topic, payload, False, 0)
        return done

    def ack(self, message: Delivery) -> bool:
        if message.connection != self._connection or not self.connected:
            return False
        self.broker.unacknowledged.pop(message.packet_id, None)
        return True

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False
        self.broker.send()


class Journal:
    """The real journal without its thread: what ``append`` returns from is durable."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.core = Core(DiskFiles(), folder, SETTINGS, wall_us=clock.wall_us)
        self.core.open()
        self.recovery = self.core.recover()

    @property
    def epoch(self) -> str:
        return self.core.state.epoch.epoch

    @property
    def next_seq(self) -> int:
        return self.core.state.size

    @property
    def segment_entries(self) -> int:
        return SETTINGS.segment_entries

    def previous(self) -> Any:
        return self.core.previous()

    def skipped_due(self) -> tuple[Any, ...]:
        return ()

    def freed_early(self) -> tuple[Any, ...]:
        return ()

    def status(self) -> dict[str, Any]:
        self.core.look_for_room()
        return {"full": self.core.state.room.full}

    async def text(self, sha256: str) -> bytes:
        return self.core.state.texts.get(sha256)

    async def append(self, entries: Sequence[bytes], texts: Sequence[bytes] = (), *, reserve: bool = False) -> None:
        (error,) = self.core.commit([Append(first=self.next_seq, entries=entries, texts=texts, reserve=reserve)])
        if error is not None:
            raise error
        while self.core.seal():
            pass

    def fill(self, full: bool) -> None:
        """The quota is reached, or there is room again."""
        most = int(1.2 * self.core.state.used_bytes())  # a quarter of it is the reserve
        self.core.state.room.settings = replace(SETTINGS, max_bytes=most) if full else SETTINGS


class _LoopTime:
    """``time`` for intake: its pace and its looks at the clock go by the loop's time too."""

    monotonic = staticmethod(lambda: asyncio.get_event_loop().time())
    monotonic_ns = staticmethod(lambda: round(asyncio.get_event_loop().time() * 1e9))
    perf_counter_ns = staticmethod(time.perf_counter_ns)


@contextmanager
def simulated(plant: Plant) -> Iterator[None]:
    """The gateway's ways out of the process lead to this plant."""
    Link.broker = plant.broker
    with (
        mock.patch("edge_gateway.links.modbus.open_line", plant.open_line),
        mock.patch("edge_gateway.sources.mqtt_source.Mqtt", Link),
        mock.patch("edge_gateway.intake.loop.time", _LoopTime),
    ):
        yield


class Gateway:
    """One run of the gateway, composed as the application does: start, reload, stop or be killed."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.folder, self.clock = folder, clock
        self.journal: Journal

    def load(self) -> Loaded:
        """The configuration as it lies there."""
        return load(self.folder / "gateway.toml", None, running=False)

    async def start(self, software: str) -> None:
        """As ``app.run`` does."""
        clock = self.clock
        self.software = software
        self.journal = journal = Journal(self.folder / "state", clock)
        found = await recover(journal, journal.recovery, "tlf-007")  # type: ignore[arg-type]
        rule_time, carried = resume(
            found.last, mono_us=clock.mono_us(), wall_us=clock.wall_us(), boot=clock.boot, trusted=clock.trusted(), base_us=found.base_us
        )
        self.intake = Intake(journal=journal, state=found.state, rule_time=rule_time, clock=clock, commit_every_us=5_000_000, tell=silent)  # type: ignore[arg-type]
        loaded = self.load()
        self.field = Field(loaded, clock=clock, inbox=self.intake.inbox, messages=found.state.messages, kept=found.state.kept)
        await open_run(self.intake, found, setup(loaded, self.field.groups(), software), clock, carried=carried, damaged="")
        self._taking = asyncio.create_task(self.intake.run())
        self._reading = asyncio.create_task(self.field.run())

    async def reload(self) -> None:
        """As ``app.reloading`` does."""
        loaded = self.load()
        staged = self.field.stage(loaded)

        async def swap() -> None:
            await self.field.exchange(loaded, staged)
            await self.intake.apply(setup(loaded, self.field.groups(), self.software), by="t", reason="reload")

        await self.intake.command(swap)

    async def stop(self) -> None:
        """As ``app.run`` does on SIGTERM."""
        self._reading.cancel()
        await asyncio.wait([self._reading])
        await self.intake.command(lambda: self.intake.add("event", {"event": "stopped"}))
        self.intake.inbox.close()
        await self._taking
        self.journal.core.close()

    async def kill(self) -> None:
        """Nothing is committed any more; what was pending is gone."""
        self._taking.cancel()
        await asyncio.wait([self._taking])
        self._reading.cancel()
        await asyncio.wait([self._reading])
        with suppress(JournalError):
            self.journal.core.close()
