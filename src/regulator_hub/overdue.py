"""What time alone makes an alarm at the hub, while a gateway is dark too: deadlines that passed, commands that nobody answered.

Judged by the hub's own clock, from what entries said; it moves no violation and sends nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import apsw

from regulator_hub import handling
from regulator_hub.interpret import Interpreter
from regulator_hub.outbox import Outbox, over
from regulator_hub.store import reader as read
from regulator_hub.store.ingest import alarm, end_alarm, gateway_of
from regulator_hub.store.reader import Reader
from regulator_hub.store.writer import StoreFailed, Writer

OVERDUE, UNANSWERED = "overdue", "command-unanswered"
LOOK_S = 1.0
#: (gateway, what the alarm is about)
About = tuple[str, str]


class Overdue:
    """``look`` raises and ends alarms; ``run`` looks every second."""

    def __init__(self, reader: Reader, writer: Writer, interpreter: Interpreter, outbox: Outbox, *, wall_us: Callable[[], int]) -> None:
        self._reader = reader
        self._writer = writer
        self._interpreter = interpreter
        self._outbox = outbox
        self._wall_us = wall_us
        self._raised: set[About] = set()

    async def load(self) -> None:
        """What was alarmed before this start."""
        self._raised = await self._reader.run(read.open_alarms, OVERDUE)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self.look()
            except StoreFailed:
                continue  # said by ingest; looked at again soon

    async def look(self) -> None:
        """Deadlines and commands, now. Raises StoreFailed."""
        now_us = self._wall_us()
        found = self._passed(now_us)
        for about in [about for about in found if about not in self._raised]:
            await self._writer.run(lambda db, about=about: _raise(db, OVERDUE, about, found[about], now_us))  # type: ignore[misc]
            self._raised.add(about)
        for about in self._raised - found.keys():
            await self._writer.run(lambda db, about=about: end_alarm(db, gateway_of(db, about[0], 0), OVERDUE, about[1], now_us))  # type: ignore[misc]
            self._raised.discard(about)
        await self._unanswered(now_us)

    def _passed(self, now_us: int) -> dict[About, dict[str, object]]:
        return {
            (view.gateway, f"{step['violation']} {what}"): {"violation": step["violation"], "deadline": what, "due_us": step["due"][what]}
            for view in list(self._interpreter.views.values())
            for step in view.state["violations"].values()
            for what in handling.overdue(step, now_us)
        }

    async def _unanswered(self, now_us: int) -> None:
        for gateway in self._outbox.gateways():
            for item in list(self._outbox.waiting(gateway)):
                if self._interpreter.view(gateway).answered(item.name):
                    self._outbox.drop(gateway, item)
                elif over(item.command, now_us):
                    detail: dict[str, object] = {key: getattr(item.command, key) for key in ("violation", "verb", "by", "expires_us")}
                    about = (gateway, item.command.id)
                    await self._writer.run(lambda db, about=about, detail=detail: _raise(db, UNANSWERED, about, detail, now_us))  # type: ignore[misc]
                    self._outbox.drop(gateway, item)


def _raise(db: apsw.Connection, kind: str, about: About, detail: dict[str, object], now_us: int) -> None:
    alarm(db, gateway_of(db, about[0], 0), kind, about[1], now_us, detail)
