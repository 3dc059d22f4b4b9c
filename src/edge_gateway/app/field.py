"""The field side: one source a bus, started, exchanged and stopped; knows no protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edge_gateway.clock import Clock
from edge_gateway.config.load import Loaded
from edge_gateway.config.model import BusConfig, GatewayConfig
from edge_gateway.config.resolve import device_specs
from edge_gateway.errors import GatewayError
from edge_gateway.intake.inbox import Inbox
from edge_gateway.profiles.model import Profile
from edge_gateway.profiles.spec import DeviceSpec
from edge_gateway.reading import GapClosed, GapOpened, Group
from edge_gateway.sources.base import Source
from edge_gateway.sources.local import Kept, LocalBus
from edge_gateway.sources.mqtt import MqttConfig

#: Folder of the state folder for what Modbus units were found to refuse: one file a bus.
LEARNED = "learned"


class Field:
    """Owns the sources. ``run`` ends only by cancellation, after every source has ended."""

    def __init__(
        self,
        loaded: Loaded,
        *,
        clock: Clock,
        inbox: Inbox,
        messages: Mapping[tuple[str, int], str],
        kept: Kept | None = None,
        state_dir: Path | None = None,
    ) -> None:
        """``kept``: intake's own, live; ``state_dir``: where sources keep what they learn of their units; None: nowhere."""
        self._state_dir = state_dir
        self.sources: dict[str, Source] = {}
        self._clock = clock
        self._inbox = inbox
        self._messages = messages
        self._kept: Kept = {} if kept is None else kept  # intake's own: as new as the newest batch in the record
        self._memory: dict[str, Any] = {}
        self._loaded = loaded
        self._specs = device_specs(loaded)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None
        for bus, specs in self._specs.items():
            if specs:
                self.sources[bus] = self._build(bus, loaded.config.buses[bus], specs)
        self._messages = {}  # a source built later starts from what its predecessor knew

    def _build(self, bus: str, config: BusConfig, specs: tuple[DeviceSpec, ...]) -> Source:
        if isinstance(config, MqttConfig):
            return config.build(bus, specs, self._clock, recovered=self._memory.get(bus, self._messages))
        if isinstance(config, LocalBus):
            return config.build(bus, specs, self._clock, {**self._kept, **self._memory.get(bus, {})})
        source: Source = config.build(bus, specs, self._clock)
        remember = getattr(source, "remember", None)
        if remember is not None and self._state_dir is not None:
            remember(self._state_dir / LEARNED)
        pin = getattr(source, "identities", None)
        if pin is not None:
            pin.pin(self._kept)
        return source

    @property
    def config(self) -> GatewayConfig:
        """The configuration in force."""
        return self._loaded.config

    def profile(self, name: str) -> Profile | None:
        """A profile that a device of the configuration in force has."""
        found = self._loaded.profiles.get(name)
        return found.profile if found else None

    def groups(self) -> dict[str, Group]:
        """All poll groups, as the sources planned them."""
        return {group.id: group for source in self.sources.values() for group in source.groups()}

    async def run(self) -> None:
        """Run all sources until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            for bus, source in self.sources.items():
                self._start(bus, source)
            await asyncio.get_running_loop().create_future()  # sources come and go; the scope stays

    def _start(self, bus: str, source: Source) -> None:
        if self._group is not None:
            self._tasks[bus] = self._group.create_task(source.run(self._inbox), name=f"source:{bus}")

    def stage(self, loaded: Loaded) -> dict[str, Source]:
        """Build what ``exchange`` will start, without touching what runs. Raises ConfigError."""
        specs = device_specs(loaded)
        return {
            bus: self._build(bus, loaded.config.buses[bus], specs[bus])
            for bus in specs
            if specs[bus] and not self._goes_on(bus, loaded, specs)
        }

    def _goes_on(self, bus: str, loaded: Loaded, specs: Mapping[str, tuple[DeviceSpec, ...]]) -> bool:
        """Whether the running source of a bus stays: its own table is as it was, it has devices, and none moves to or from another bus."""
        same = loaded.config.buses.get(bus) == self._loaded.config.buses.get(bus)
        return bus in self.sources and same and bool(specs.get(bus)) and bus not in self._moved(specs)

    def _moved(self, specs: Mapping[str, tuple[DeviceSpec, ...]]) -> set[str]:
        """Buses that a device leaves for another one, and those it comes to: only by one instant is each of its slots the one's or the other's."""
        was, now = ({device.id: bus for bus, devices in each.items() for device in devices} for each in (self._specs, specs))
        return {bus for device, new in now.items() if was.get(device, new) != new for bus in (was[device], new)}

    async def exchange(self, loaded: Loaded, staged: Mapping[str, Source]) -> None:
        """Take over another configuration: untouched buses miss no slot, changed ones are exchanged for ``staged``."""
        specs = device_specs(loaded)
        ended = {bus: source for bus, source in self.sources.items() if not self._goes_on(bus, loaded, specs)}
        for bus in ended:
            await self._stop(bus)
        at_us = self._clock.mono_us()  # the one instant: what ends accounts for each slot up to it, what begins for each behind it
        for bus, source in ended.items():
            self._inbox.put_last(source.farewell(at_us))
            self._account(bus, source.groups(), at_us)
        for bus in self.sources:
            if specs[bus] != self._specs[bus]:
                await self.sources[bus].update(specs[bus])
        for bus in staged:  # built anew: with what its predecessor knew
            self.sources[bus] = self._build(bus, loaded.config.buses[bus], specs[bus])
            self.sources[bus].begin_behind(at_us)
            self._start(bus, self.sources[bus])
        self._specs, self._loaded = specs, loaded

    def _account(self, bus: str, groups: Sequence[Group], at_us: int) -> None:
        """Say why the rhythm of a source's groups ended: their next slots, if any, are another source's. No slot lies in this gap.

        Never waits: it runs inside intake, and nobody else makes room.
        """
        slotted = tuple(group.id for group in groups if group.interval_us)
        if slotted:
            gap, behind_us = f"reload-{bus}-{at_us}", at_us + 1
            opened = GapOpened(id=gap, groups=slotted, reason="reconfigured", since_slot_us=behind_us, detail=f"bus {bus}")
            self._inbox.put_last((opened, GapClosed(id=gap, until_slot_us=behind_us, slots=0)))

    async def _stop(self, bus: str) -> None:
        source = self.sources.pop(bus)
        task = self._tasks.pop(bus, None)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        memory = getattr(source, "memory", None)
        if memory is not None:  # messages that the broker may send again to the next source
            self._memory[bus] = memory()

    def wall_us(self) -> int:
        """Wall time by the gateway's clock."""
        return self._clock.wall_us()

    async def read(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Read one point, or raw registers of a unit, now, through the running source (it lends its line).

        Raises GatewayError: no such point or bus, or one that cannot be asked (messages come when they come).
        """
        bus = wanted.get("bus")
        if point := wanted.get("point"):
            spec = next(
                ((b, d) for b, ds in self._specs.items() for d in ds if point in (p.id for p in d.points)), None
            )
            if spec is None and point in self._loaded.config.derived:
                of = ", ".join(self._loaded.config.derived[point].of)
                raise GatewayError(f"'{point}' is computed from {of}", hint="read those, or see it in `status --points`")
            if spec is None:
                raise GatewayError(f"no point '{point}'", hint="`edge-gateway status --points` lists them")
            bus = spec[0]
        source = self.sources.get(str(bus))
        if source is None:
            raise GatewayError(f"no bus '{bus}' is being read", hint=f"buses: {', '.join(self.sources) or 'none'}")
        reader = getattr(source, "read_now", None)
        if reader is None:
            raise GatewayError(
                f"'{bus}' is a broker: its devices speak when they want",
                hint="see the newest value in `status --points`",
            )
        result: dict[str, Any] = await reader(wanted)
        return result
