"""Scans and the inbox within the running gateway: the sources lend their lines, what a person takes over is reloaded and journaled."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from edge_gateway.app.field import Field
from edge_gateway.app.reloading import Reloader
from edge_gateway.app.scanning import Scans
from edge_gateway.errors import GatewayError
from edge_gateway.intake.loop import Intake
from edge_gateway.sources.modbus_lend import Share


class Finding(Scans):
    """See ``page.finder.Finder``."""

    def __init__(self, main: Path, state_dir: Path, *, field: Field, intake: Intake, reloader: Reloader) -> None:
        super().__init__(
            main=main, state_dir=state_dir, config=lambda: field.config, share=self._lent, wall_us=field.wall_us
        )
        self._field = field
        self._intake = intake
        self._reloader = reloader

    def _lent(self, bus: str) -> Share | None:
        source = self._field.sources.get(bus)
        return cast("Share", source) if hasattr(source, "lent") else None

    async def adopt(self, number: int, body: Mapping[str, Any], by: str) -> dict[str, Any]:
        """Write the file, take it over, and record who asked. Raises GatewayError; then the file is gone again."""
        added = await asyncio.to_thread(self.add, number, body, by)
        await self._reloader.reload(by)
        if self._reloader.state.rejected:
            why = self._reloader.state.rejected
            Path(added["file"]).unlink()
            await self._reloader.reload(by)
            raise GatewayError(f"the gateway refuses it: {why}")
        await asyncio.to_thread(self.taken, number)
        note = {"event": "inbox-added", "by": by, "item": added["item"], "file": added["file"], "points": added["points"]}
        await self._intake.command(lambda: self._intake.add("event", note))
        return added | {"pending_restart": list(self._reloader.state.pending_restart)}
