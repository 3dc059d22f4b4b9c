"""The field side: one source a bus, started, exchanged and stopped; knows no protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from edge_gateway.clock import Clock
from edge_gateway.config.load import Loaded
from edge_gateway.config.model import BusConfig
from edge_gateway.config.resolve import device_specs
from edge_gateway.errors import GatewayError
from edge_gateway.intake.inbox import Inbox
from edge_gateway.profiles.spec import DeviceSpec
from edge_gateway.reading import Group
from edge_gateway.sources.base import Source
from edge_gateway.sources.mqtt import MqttConfig


class Field:
    """Owns the sources. ``run`` ends only by cancellation, after every source has ended."""

    def __init__(self, loaded: Loaded, *, clock: Clock, inbox: Inbox, messages: Mapping[tuple[str, int], str]) -> None:
        self.sources: dict[str, Source] = {}
        self._clock = clock
        self._inbox = inbox
        self._messages = messages
        self._loaded = loaded
        self._specs = device_specs(loaded)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None
        for bus, specs in self._specs.items():
            if specs:
                self.sources[bus] = self._build(bus, loaded.config.buses[bus], specs)

    def _build(self, bus: str, config: BusConfig, specs: tuple[DeviceSpec, ...]) -> Source:
        if isinstance(config, MqttConfig):
            return config.build(bus, specs, self._clock, recovered=self._messages)
        return config.build(bus, specs, self._clock)

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

    async def exchange(self, loaded: Loaded) -> None:
        """Take over another configuration: untouched buses miss no slot, changed ones are exchanged."""
        old_buses, new_buses = self._loaded.config.buses, loaded.config.buses
        old_specs, self._specs, self._loaded = self._specs, device_specs(loaded), loaded
        for bus in list(self.sources):
            if bus not in new_buses or not self._specs.get(bus) or new_buses[bus] != old_buses[bus]:
                await self._stop(bus)
        for bus, specs in self._specs.items():
            if not specs:
                continue
            if bus not in self.sources:
                self.sources[bus] = self._build(bus, new_buses[bus], specs)
                self._start(bus, self.sources[bus])
            elif specs != old_specs[bus]:
                await self.sources[bus].update(specs)

    async def _stop(self, bus: str) -> None:
        del self.sources[bus]
        task = self._tasks.pop(bus, None)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

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
