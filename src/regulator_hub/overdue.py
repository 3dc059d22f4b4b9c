"""What time alone makes an alarm at the hub, while a gateway is dark too: deadlines that passed, commands that nobody answered.

Judged by the hub's own clock, from what entries said; it moves no violation and sends nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

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
        self._raised: dict[str, set[About]] = {OVERDUE: set(), UNANSWERED: set()}

    async def load(self) -> None:
        """What was alarmed before this start."""
        self._raised = {kind: await self._reader.run(read.open_alarms, kind) for kind in self._raised}

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
        await self._tell(OVERDUE, self._passed(now_us), now_us)
        await self._tell(UNANSWERED, self._unanswered(now_us), now_us)

    async def _tell(self, kind: str, found: Mapping[About, dict[str, object]], now_us: int) -> None:
        """Alarms of this kind are those that were found, and no others."""
        raised = self._raised[kind]
        for about in [about for about in found if about not in raised]:
            await self._writer.run(lambda db, about=about: _raise(db, kind, about, found[about], now_us))  # type: ignore[misc]
            raised.add(about)
        for about in raised - found.keys():
            await self._writer.run(lambda db, about=about: end_alarm(db, gateway_of(db, about[0], 0), kind, about[1], now_us))  # type: ignore[misc]
            raised.discard(about)

    def _passed(self, now_us: int) -> dict[About, dict[str, object]]:
        return {
            (view.gateway, f"{row} {what}"): {"violation": step["violation"], "deadline": what, "due_us": step["due"][what]}
            for view in list(self._interpreter.views.values())
            for row, step in view.state["violations"].items()
            for what in handling.overdue(step, now_us)
        }

    def _unanswered(self, now_us: int) -> dict[About, dict[str, object]]:
        """Those that expired, while the record in order does not say what became of them; what it answers is kept no longer."""
        found: dict[About, dict[str, object]] = {}
        for gateway in self._outbox.gateways():
            for item in list(self._outbox.waiting(gateway)):
                if self._interpreter.view(gateway).answered(item.name):
                    self._outbox.drop(gateway, item)
                elif over(item.command, now_us):
                    found[gateway, item.command.id] = {key: getattr(item.command, key) for key in ("violation", "verb", "by", "expires_us")}
        for about in self._raised[UNANSWERED] - found.keys():  # one whose file is gone waits for its answer all the same
            answers = self._interpreter.view(about[0]).state["commands"].values()
            if not any(each.get("id") == about[1] and each["outcome"] != "deferred" for each in answers):
                found[about] = {}
        return found


def _raise(db: apsw.Connection, kind: str, about: About, detail: dict[str, object], now_us: int) -> None:
    alarm(db, gateway_of(db, about[0], 0), kind, about[1], now_us, detail)
