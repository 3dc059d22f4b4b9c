"""Serving the hub: it remembers, so sizes are compared at each meeting; only its receipt moves the cursor."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from edge_gateway import events
from edge_gateway.errors import SinkError
from edge_gateway.journal.base import EpochInfo, Journal, Position
from edge_gateway.shipping.delivery import Delivery
from edge_gateway.sinks.base import Held, HubLink, Outcome


@dataclass(frozen=True, slots=True)
class Asks:
    """What shipping asks of whoever writes the record (the two loops do not know each other).

    ``reopen(reason)`` closes the epoch and goes on in a new one; ``record(kind, body)`` adds an entry.
    """

    reopen: Callable[[str], Awaitable[object]]
    record: Callable[[str, dict[str, Any]], Awaitable[object]]


class HubDelivery(Delivery):
    """The ordered lane to the hub."""

    def __init__(
        self, *, sink: HubLink, journal: Journal, tell: events.Tell, wall_us: Callable[[], int], asks: Asks
    ) -> None:
        super().__init__(sink=sink, journal=journal, tell=tell, wall_us=wall_us)
        self.hub = sink
        self._reopen = asks.reopen
        self._record = asks.record

    async def run(self) -> None:
        """Meet first, then serve."""
        while (position := await self._meet()) is None:
            if self._stopping:
                return
        self._met = position
        await super().run()

    def start(self) -> Position:
        """Where the meeting found us to stand: the hub's size, not our cursor."""
        return self._met

    async def resume(self, position: Position) -> Position:
        """After trouble meet again: the hub may have been restored, or have taken what we did not hear of."""
        while (met := await self._meet()) is None:
            if self._stopping:
                return position
        return met

    async def move(self, to: Position, outcome: Outcome) -> Position:
        """Only a receipt moves this cursor; it is durable before retention may rely on it."""
        if outcome.receipt is None:
            return Position(to.epoch, to.seq - outcome.accepted)
        await self._journal.move_cursor(self.sink.name, to, outcome.receipt)
        return to

    async def _meet(self) -> Position | None:
        """Compare sizes; None after trouble (already rested)."""
        try:
            held = {item.epoch: item for item in await self.hub.meet(self._journal.epochs())}
            for info in list(self._journal.epochs()):
                await self._compare(info, held.get(info.epoch) or Held(epoch=info.epoch, size=0))
        except SinkError as error:
            await self._rest(error)
            return None
        return await self._position(held)

    async def _compare(self, info: EpochInfo, held: Held) -> None:
        if held.closed:
            why = f"the hub holds other bytes in epoch {info.epoch} and closed it: an older state was restored, or an id is used twice"
            self._tell(events.Alarmed(code="conflict", why=why))
            if not info.closed:
                await self._reopen("roll-back")
        elif held.size > info.size:
            why = f"the hub holds {held.size} entries of epoch {info.epoch}, we hold {info.size}: an older state was restored"
            self._tell(events.Alarmed(code="roll-back", why=why))
            if not info.closed:
                await self._reopen("roll-back")
        elif held.size < info.first:
            await self._declare(info, held)

    async def _declare(self, info: EpochInfo, held: Held) -> None:
        """The hub lost what we no longer have: say so, whole segments with their kept roots."""
        first = held.size - held.size % self._journal.segment_entries
        segments = [
            s for s in await self._journal.segments() if s.epoch == info.epoch and first <= s.first < info.first
        ]
        roots = [segment.root for segment in sorted(segments, key=lambda s: s.first)]
        count, reason = info.first - first, "freed-by-retention"
        await self.hub.declare_skipped(info.epoch, first, count, roots, reason)
        self.progress.skipped += info.first - held.size
        self._tell(events.SinkSkipped(sink=self.sink.name, epoch=info.epoch, first=first, count=count, reason=reason))
        body = {"sink": self.sink.name, "epoch": info.epoch, "first": first, "count": count, "reason": reason}
        await self._record("skipped", body | {"roots": roots})
        if not info.closed:
            await self._reopen("skipped")

    async def _position(self, held: dict[str, Held]) -> Position:
        """The oldest entry that the hub does not hold, less one: a record that forked below it shows as a conflict."""
        epochs = self._journal.epochs()
        for info in epochs:
            if info.epoch in held and held[info.epoch].closed:
                continue  # a conflict: it takes no more of this epoch
            size = max(held[info.epoch].size if info.epoch in held else 0, info.first)
            if size < info.size or info is epochs[-1]:
                return Position(info.epoch, max(info.first, min(size, info.size) - 1))
        raise RuntimeError("a journal has at least one epoch")
