"""Serving the hub: it remembers, so sizes are compared at each meeting; only its receipt moves the cursor."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from edge_gateway import events
from edge_gateway.errors import SinkError
from edge_gateway.journal.base import EpochInfo, Journal, Position
from edge_gateway.shipping.delivery import Delivery
from edge_gateway.sinks.base import Held, HubLink, Outcome

#: Asks intake to close the epoch and go on in a new one, for the given reason.
Reopen = Callable[[str], Awaitable[object]]


class HubDelivery(Delivery):
    """The ordered lane to the hub."""

    def __init__(
        self, *, sink: HubLink, journal: Journal, tell: events.Tell, wall_us: Callable[[], int], reopen: Reopen
    ) -> None:
        super().__init__(sink=sink, journal=journal, tell=tell, wall_us=wall_us)
        self.hub = sink
        self._reopen = reopen

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
        if held.size > info.size:
            why = f"the hub holds {held.size} entries of epoch {info.epoch}, we hold {info.size}: an older state was restored"
            self._tell(events.Alarmed(code="roll-back", why=why))
            if not info.closed:
                await self._reopen("roll-back")
        elif held.size < info.first:
            await self._declare(info, held)

    async def _declare(self, info: EpochInfo, held: Held) -> None:
        """The hub lost what we no longer have: say so, whole segments with their kept roots."""
        roots = [
            segment.root
            for segment in await self._journal.segments()
            if segment.epoch == info.epoch and held.size <= segment.first < info.first
        ]
        count = info.first - held.size
        await self.hub.declare_skipped(info.epoch, held.size, count, roots, "freed-by-retention")
        self.progress.skipped += count
        skipped = events.SinkSkipped(
            sink=self.sink.name, epoch=info.epoch, first=held.size, count=count, reason="freed-by-retention"
        )
        self._tell(skipped)
        if not info.closed:
            await self._reopen("skipped")

    async def _position(self, held: dict[str, Held]) -> Position:
        """The oldest entry that the hub does not hold."""
        epochs = self._journal.epochs()
        for info in epochs:
            size = max(held[info.epoch].size if info.epoch in held else 0, info.first)
            if size < info.size:
                return Position(info.epoch, size)
        return Position(epochs[-1].epoch, epochs[-1].size)
