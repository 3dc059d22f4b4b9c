"""SIGHUP: validate, stage, swap; a refused file leaves the running configuration as it was, and says so."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

from edge_gateway import __version__, events
from edge_gateway.app.field import Field
from edge_gateway.app.pack_keeping import left_enforced
from edge_gateway.app.runtime import settle
from edge_gateway.config.load import ConfigRefused, Loaded, load
from edge_gateway.config.resolve import in_force, needs_restart, setup
from edge_gateway.errors import ConfigError
from edge_gateway.intake.loop import Intake
from edge_gateway.page.site import ConfigState
from edge_gateway.rules.calendar import day_of
from edge_gateway.sources.base import Source
from edge_gateway.telemetry import Telemetry

#: Faults that status, page and log name; `edge-gateway check` shows all.
MOST_FAULTS = 5
#: Of a person's reason, in characters.
MOST_SAID = 300


class Reloader:
    """One reload at a time, in the order asked for."""

    def __init__(
        self, config: Path, state_dir: Path, loaded: Loaded, *, intake: Intake, field: Field, telemetry: Telemetry
    ) -> None:
        self.state = ConfigState()
        self._config = config
        self._state_dir = state_dir
        self._started_with = loaded.config
        self._intake = intake
        self._field = field
        self._telemetry = telemetry
        self._asked: asyncio.Queue[str] = asyncio.Queue(maxsize=8)
        self._lock = asyncio.Lock()

    def applied(self, loaded: Loaded, wall_us: int) -> None:
        """Record that ``loaded`` is in force, but for what needs a restart."""
        self.state.applied_wall_us = wall_us
        self.state.sha256 = str((self._intake.state.config or {}).get("text", ""))
        self.state.rejected = ""
        self.state.pending_restart = needs_restart(self._started_with, loaded.config)
        self.state.not_monitored = tuple(sorted({item.rule for item in loaded.binding.not_monitored}))
        self.state.not_monitored_detail = tuple(asdict(item) for item in sorted(loaded.binding.not_monitored))

    def request(self, by: str) -> None:
        """Ask for a reload from a signal handler; more than eight waiting are one and the same."""
        if not self._asked.full():
            self._asked.put_nowait(by)

    async def run(self) -> None:
        """Carry out requested reloads until cancelled."""
        while True:
            await self.reload(await self._asked.get(), "reload")

    async def reload(self, by: str, why: str, may_leave: str = "") -> None:
        """Load the files again; in force on return, or refused with the reason in ``state``. ``may_leave``: a pack that may leave *enforced*."""
        async with self._lock:
            try:
                loaded = await asyncio.to_thread(load, self._config, self._state_dir, day=day_of(self._field.wall_us()))
                if left := left_enforced(self._intake.state.enforced(), loaded, may_leave):
                    raise left
                held = replace(loaded.lean(), config=in_force(self._started_with, loaded.config))
                staged = self._field.stage(held)
                await self._intake.command(lambda: self._swap(held, staged, by, why))
            except ConfigError as refused:
                await self._refuse(refused, by, why)
                return
            self.applied(loaded, self._field.wall_us())
            settle()

    async def _swap(self, loaded: Loaded, staged: Mapping[str, Source], by: str, why: str) -> None:
        """Runs inside intake, between two entries: what follows is decoded and judged by the new configuration."""
        await self._field.exchange(loaded, staged)
        self.state.rejected = ""  # before the metric says so: nobody is told both at once
        await self._intake.apply(setup(loaded, self._field.groups(), __version__), by=by, reason=why[:MOST_SAID])

    async def _refuse(self, refused: ConfigError, by: str, asked: str) -> None:
        faults = refused.faults if isinstance(refused, ConfigRefused) else [refused]
        more = f"; and {len(faults) - MOST_FAULTS} more" if len(faults) > MOST_FAULTS else ""
        why = "; ".join(str(fault) for fault in faults[:MOST_FAULTS]) + more
        self.state.rejected, self.state.rejected_wall_us = why, self._field.wall_us()
        self._telemetry.tell(events.ConfigRejected(why=why))
        body = {"event": "config-rejected", "by": by, "reason": asked[:MOST_SAID], "why": why[:2000]}
        await self._intake.command(lambda: self._intake.add("event", body))
