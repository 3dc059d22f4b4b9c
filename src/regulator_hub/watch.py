"""Signs of life of gateways: who was last heard when, and the alarm for silence; real seconds, whatever the clock's speed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import apsw

from regulator_hub.store import reader as read
from regulator_hub.store.ingest import DARK, alarm, end_alarm, gateway_of
from regulator_hub.store.reader import Reader
from regulator_hub.store.writer import StoreFailed, Writer


class Watch:
    """``seen`` at each proven message; ``run`` declares a gateway dark once it was silent for ``dark_after_s``."""

    def __init__(self, reader: Reader, writer: Writer, *, dark_after_s: float, wall_us: Callable[[], int]) -> None:
        self._reader = reader
        self._writer = writer
        self._dark_after_s = dark_after_s
        self._wall_us = wall_us
        self._heard_s: dict[str, float] = {}
        self._last_us: dict[str, int] = {}
        self.dark: set[str] = set()

    async def load(self) -> None:
        """Known gateways have from now on ``dark_after_s`` to be heard; who was dark stays dark until then."""
        now_s = time.monotonic()
        known = await self._reader.run(read.gateways)
        self._heard_s = {str(row["gateway"]): now_s for row in known}
        self._last_us = {str(row["gateway"]): int(row["last_us"]) for row in known}
        open_ = await self._reader.run(read.alarms)
        self.dark = {str(a["gateway"]) for a in open_ if a["kind"] == DARK and a["until_us"] is None}

    def seen(self, gateway: str) -> None:
        """A proven message came."""
        self._heard_s[gateway] = time.monotonic()
        self._last_us[gateway] = self._wall_us()

    def silent_s(self, gateway: str) -> float:
        """Seconds since the last proven message (or our start)."""
        return time.monotonic() - self._heard_s.get(gateway, time.monotonic())

    def last_us(self, gateway: str) -> int:
        """When the last proven message came (µs UTC); 0 if none ever did."""
        return self._last_us.get(gateway, 0)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(min(1.0, self._dark_after_s / 4))
            try:
                await self._look()
            except StoreFailed:
                continue  # said by ingest; looked at again in a second

    async def _look(self) -> None:
        for gateway, heard_s in list(self._heard_s.items()):
            dark = time.monotonic() - heard_s > self._dark_after_s
            if dark != (gateway in self.dark):
                await self._writer.run(lambda db, g=gateway, d=dark: self._turn(db, g, d))  # type: ignore[misc]
                (self.dark.add if dark else self.dark.discard)(gateway)

    def _turn(self, db: apsw.Connection, gateway: str, dark: bool) -> None:
        gateway_id = gateway_of(db, gateway, 0)
        if dark:
            alarm(db, gateway_id, DARK, "", self._wall_us(), {"after_s": self._dark_after_s})
        else:
            end_alarm(db, gateway_id, DARK, "", self._wall_us())
