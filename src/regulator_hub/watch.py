"""Signs of life of gateways: whose record grew when, and the alarm for silence; real seconds, whatever the clock's speed.

A sign of life is an entry with a higher number than any before, on either lane. A session that is kept open, a message that
came again or a copy of something old says only that something between us lives.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable

import apsw

from regulator_hub.store import reader as read
from regulator_hub.store.ingest import DARK, alarm, end_alarm, gateway_of
from regulator_hub.store.reader import Reader
from regulator_hub.store.writer import StoreFailed, Writer

#: We ourselves stood still for longer than this (suspended, starved of CPU): it is not the gateways' silence (seconds).
PAUSE_S = 5.0


class Watch:
    """``seen`` at each new entry; ``run`` declares a gateway dark before it was silent for ``dark_after_s``, once a silence."""

    def __init__(
        self,
        reader: Reader,
        writer: Writer,
        *,
        dark_after_s: float,
        wall_us: Callable[[], int],
        mono_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._dark_after_s = dark_after_s
        self._look_s = min(0.5, dark_after_s / 40)
        self._most_s = dark_after_s - 4 * self._look_s  # the look, and the alarm's commit, are within dark_after_s
        self._wall_us = wall_us
        self._mono_s = mono_s
        self._heard_s: dict[str, float] = {}
        self._last_us: dict[str, int] = {}
        self._newest: dict[tuple[str, str], int] = {}  # (gateway, epoch) -> the highest seq on either lane
        self.dark: set[str] = set()

    async def load(self) -> None:
        """Known gateways have from now on ``dark_after_s`` to be heard; who was dark stays dark until then."""
        now_s = self._mono_s()
        self._newest = await self._reader.run(read.newest)
        self.dark = {gateway for gateway, _ in await self._reader.run(read.open_alarms, DARK)}
        known = await self._reader.run(read.gateways)
        self._last_us = {str(row["gateway"]): int(row["last_us"]) for row in known}
        self._heard_s = {name: -math.inf if name in self.dark else now_s for name in self._last_us}

    def met(self, gateway: str) -> None:
        """It knocked: no sign of life, but who never delivers is missed from now on."""
        self._heard_s.setdefault(gateway, self._mono_s())

    def seen(self, gateway: str, epoch: str, seq: int) -> None:
        """An entry came, or a copy of one."""
        if seq <= self._newest.get((gateway, epoch), -1):
            return
        self._newest[gateway, epoch] = seq
        self._heard_s[gateway] = self._mono_s()
        self._last_us[gateway] = self._wall_us()

    def deaf(self) -> None:
        """Our store takes nothing: as long as that lasts nobody can be heard, and nobody is called silent for it."""
        now_s = self._mono_s()
        self._heard_s = {name: now_s if name not in self.dark else heard_s for name, heard_s in self._heard_s.items()}

    def paused(self, pause_s: float) -> None:
        """We stood still for so long."""
        self._heard_s = {name: heard_s + pause_s for name, heard_s in self._heard_s.items()}

    def silent_s(self, gateway: str) -> float:
        """Seconds since the last sign of life (or our start)."""
        heard_s = self._heard_s.get(gateway, self._mono_s())
        if math.isinf(heard_s):
            return max(0.0, (self._wall_us() - self.last_us(gateway)) / 1e6)
        return self._mono_s() - heard_s

    def last_us(self, gateway: str) -> int:
        """When the last sign of life came (µs UTC; before our start: the last message); 0 if none ever did."""
        return self._last_us.get(gateway, 0)

    def due_s(self) -> float:
        """The monotonic instant at which the next gateway falls dark if nothing comes; infinite when none can."""
        waiting = (heard_s for name, heard_s in self._heard_s.items() if name not in self.dark)
        return min(waiting, default=math.inf) + self._most_s

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            before_s = self._mono_s()
            await asyncio.sleep(self._look_s)
            if (late_s := self._mono_s() - before_s - self._look_s) > PAUSE_S:
                self.paused(late_s)
            try:
                await self.look()
            except StoreFailed:  # said by ingest; looked at again soon
                self.deaf()

    async def look(self) -> None:
        """Declare who is silent for too long, and end the alarm of who was heard since. Raises StoreFailed."""
        for gateway, heard_s in list(self._heard_s.items()):
            dark = self._mono_s() - heard_s > self._most_s
            if dark != (gateway in self.dark):
                await self._writer.run(lambda db, g=gateway, d=dark: self._turn(db, g, d))  # type: ignore[misc]
                (self.dark.add if dark else self.dark.discard)(gateway)

    def _turn(self, db: apsw.Connection, gateway: str, dark: bool) -> None:
        gateway_id = gateway_of(db, gateway, 0)
        if dark:
            about: dict[str, object] = {"after_s": self._dark_after_s, "last_us": self.last_us(gateway)}
            alarm(db, gateway_id, DARK, "", self._wall_us(), about)
        else:
            end_alarm(db, gateway_id, DARK, "", self._wall_us())
