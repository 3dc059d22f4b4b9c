"""Kernel files laid out in a folder, and a source of this machine's own reading them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from edge_gateway.clock import SystemClock
from edge_gateway.profiles.spec import DeviceSpec, PointSpec
from edge_gateway.sources.local import Kept, LocalBus
from edge_gateway.sources.local_source import LocalSource
from tests.sources.modbus_plant import Recorder

TICK = 100_000  # µs


def spec(bus: LocalBus, id_: str, setting: Any, *channels: str, interval_us: int = TICK) -> DeviceSpec:
    """A device with one point a channel, called ``<id>-<channel>``."""
    points = tuple(PointSpec(id=f"{id_}-{channel}", channel=channel) for channel in channels)
    return DeviceSpec(id=id_, profile=bus.profile(setting), points=points, interval_us=interval_us, setting=setting)


@asynccontextmanager
async def running(
    bus: LocalBus, devices: Sequence[DeviceSpec], kept: Kept | None = None
) -> AsyncIterator[tuple[LocalSource, Recorder]]:
    """The bus' source, until the block ends."""
    source, inbox = bus.build("bus", devices, SystemClock(declared=True), kept or {}), Recorder()
    task = asyncio.create_task(source.run(inbox))
    try:
        yield source, inbox
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def lay(folder: Path, **files: str) -> Path:
    """Write files into a folder, as the kernel shows them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder
