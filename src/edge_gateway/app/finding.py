"""Scans and the inbox within the running gateway: the sources lend their lines, what a person takes over is reloaded and journaled."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any, cast

from edge_gateway.app.field import Field
from edge_gateway.app.reloading import Reloader
from edge_gateway.app.scanning import Scans
from edge_gateway.errors import GatewayError
from edge_gateway.intake.loop import Intake
from edge_gateway.sources.modbus_lend import Share
from edge_gateway.sources.mqtt import MqttConfig
from edge_gateway.sources.mqtt_discover import ASKED_S

log = logging.getLogger("edge_gateway")
#: How often a broker's unknown topics are looked for where the configuration asks for it (s).
LOOK_EVERY_S = 3600.0


class Finding(Scans):
    """See ``page.finder.Finder``."""

    def __init__(self, main: Path, state_dir: Path, *, field: Field, intake: Intake, reloader: Reloader) -> None:
        super().__init__(
            main=main, state_dir=state_dir, config=lambda: field.config, share=self._lent, wall_us=field.wall_us
        )
        self.ending = asyncio.Event()
        self._field = field
        self._intake = intake
        self._reloader = reloader

    def _lent(self, bus: str) -> Share | None:
        source = self._field.sources.get(bus)
        return cast("Share", source) if hasattr(source, "lent") else None

    async def look_about(self) -> None:
        """Hear the unknown topics of those brokers whose table says ``discover``, once an hour, until cancelled.

        Then every scan ends too.
        """
        try:
            while True:
                for id_, bus in list(self._field.config.buses.items()):
                    if isinstance(bus, MqttConfig) and bus.discover:
                        await self._look(id_)
                await asyncio.sleep(LOOK_EVERY_S)
        finally:
            self.ending.set()

    async def _look(self, bus: str) -> None:
        try:
            async with aclosing(self.run({"target": bus, "for_s": ASKED_S})) as events:
                async for event in events:
                    if event["event"] == "error":
                        log.info("unknown topics of %s are heard and not kept: %s", bus, event["why"])
        except GatewayError as error:  # the measuring connection's own health says what is wrong with the broker
            log.info("unknown topics of %s were not looked for: %s", bus, error)

    async def adopt(self, number: int, body: Mapping[str, Any], by: str) -> dict[str, Any]:
        """Write the file, take it over, and record who asked. Raises GatewayError; then the file is gone again."""
        added = await asyncio.to_thread(self.add, number, body, by)
        await self._reloader.reload(by, f"inbox add {number}")
        if self._reloader.state.rejected:
            why = self._reloader.state.rejected
            Path(added["file"]).unlink()
            await self._reloader.reload(by, f"inbox add {number} was refused")
            raise GatewayError(f"the gateway refuses it: {why}")
        await asyncio.to_thread(self.taken, number)
        about = {"why": f"inbox add {number}", "old": "suggested", "new": "configured"}
        await self.note("inbox-added", by, about | {key: added[key] for key in ("item", "file", "points")})
        return added | {"pending_restart": list(self._reloader.state.pending_restart)}

    async def note(self, event: str, by: str, about: Mapping[str, Any]) -> None:
        """Record what a person asked for; durable on return."""
        body = {"event": event, "by": by} | dict(about)
        await self._intake.command(lambda: self._intake.add("event", body))
