"""Serving the hub: it remembers, so sizes are compared at each meeting; only its receipt moves the cursor."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from edge_gateway import events
from edge_gateway.errors import JournalFull, SegmentDamaged, SinkError
from edge_gateway.journal.base import EpochInfo, Journal, Position
from edge_gateway.record.merkle import EMPTY_ROOT
from edge_gateway.shipping import regaining
from edge_gateway.shipping.branches import Branch, Branches
from edge_gateway.shipping.delivery import Asks, Delivery, Recall
from edge_gateway.shipping.mending import Mending
from edge_gateway.shipping.photos import PhotoDelivery
from edge_gateway.shipping.witnessing import Witnessing
from edge_gateway.sinks.base import Held, Hole, HubLink, NotRecalled, Outcome, Recalled, Run

#: Declared in place of roots that were lost with a damaged database: the root of a tree without leaves.
NOTHING_KEPT = EMPTY_ROOT.hex()


class HubDelivery(Delivery):
    """The ordered lane to the hub."""

    def __init__(
        self, *, sink: HubLink, journal: Journal, tell: events.Tell, wall_us: Callable[[], int], asks: Asks, mending: Mending | None = None
    ) -> None:
        mending = mending or Mending(journal, tell, asks.record, has_hub=True)
        super().__init__(sink=sink, journal=journal, tell=tell, wall_us=wall_us, asks=asks, mending=mending)
        self.hub = sink
        self._sizes: dict[str, int] = {}  # what it said that it holds
        self.reached: Callable[[], None] = lambda: None  # called when the hub was met again
        self._witnessing = Witnessing(sink, journal, tell, self._wake_in)
        self._branches = Branches(journal)
        self.photos = PhotoDelivery(sink, journal, wall_us)
        self._whole: set[str] = set()  # branches whose beginning the hub does not hold

    async def run(self) -> None:
        """Meet first, then serve."""
        await self._branches.load()
        while (position := await self._meet()) is None:
            if self._stopping:
                return
        self._met = position
        await self._witnessing.load()
        await super().run()

    def signed(self, epoch: str, size: int, note: bytes) -> None:
        """A checkpoint was made: the hub is shown it once it holds what it covers."""
        self._witnessing.offer(epoch, size, note)
        self.wake()

    async def beside(self) -> bool:
        """Have a damaged segment back, show a checkpoint, and last, while no entry waits (or none may go today), a part of a photo.

        Photos have their own bytes a day: what a person photographed at a violation is not held by a day that readings have spent.
        Raises SinkError, JournalFull.
        """
        if not self._stopping and await self._mending.mend(self.hub, self._sizes):
            return True
        if await self._witnessing.show(stopping=self._stopping):
            return True
        waits = self._stopping or (self.progress.backlog and not self._spent())
        return not waits and await self.photos.step()

    def _wake_in(self, wait_s: float) -> None:
        asyncio.get_running_loop().call_later(wait_s, self.wake)

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
        name, size = self._name(to.epoch), int(outcome.receipt["size"])
        self._sizes[name] = size
        if name == to.epoch:
            self._witnessing.receipted(name, size)
        await self._journal.move_cursor(self.sink.name, to, outcome.receipt)
        return to

    async def _offer(self, run: Run) -> Outcome:
        """Under the epoch by which the hub knows it. Where it does not hold the beginning of a branch, it is given all of it."""
        branch = self._branches.of(run.epoch)
        if branch is not None:
            run = replace(run, epoch=branch.epoch, branch_of=(branch.of, branch.size))
        try:
            return await super()._offer(run)
        except Hole as hole:
            if branch is not None and hole.size < branch.size:
                self._whole.add(branch.epoch)
            raise

    async def _meet(self) -> Position | None:
        """Compare sizes; None after trouble (already rested)."""
        try:
            met = await self.hub.meet(self._branches.asked(self._journal.known_epochs()))
            self._witnessing.met(met)
            self._mending.met(self.hub)
            if await regaining.lacking(self.hub, self._journal, {item.epoch: item.witnessed for item in met if item.witnessed}):
                await regaining.regain(self.hub, self._journal)
            # What the hub has under the name of a refused epoch is not ours: nothing of it is had back.
            self._sizes = {item.epoch: item.size for item in met if self._branches.of(item.epoch) is None}
            self.reached()
            held = {item.epoch: item for item in met}
            receipts = await self._journal.receipts(self.sink.name)
            for info in list(self._journal.known_epochs()):
                name = self._name(info.epoch)
                if name in held:  # it asks for the newest few hundred
                    await self._remind(info, held[name], receipts.get(info.epoch, 0))
                    await self._compare(info, held[name])
            await self._branch(held, receipts)
            await self._adopt()
        except (SinkError, JournalFull) as error:
            await self._rest(error)
            return None
        return self._position(held, receipts)

    async def _adopt(self) -> None:
        """Once, where the record or its end was lost or rolled back: what stands open at the hub stays open, and the state there goes on here."""
        late = self._asks.recall if self._asks.recall is not None and self._asks.recall.wanted else None
        if self._asks.adopt is None or not (self._asks.lost() or late):
            return
        taken, why = (None, "") if late is None else await self._recalled(late)
        told = await self.hub.standing()
        if told is not None:
            held = {each.epoch: each.size for each in self._journal.known_epochs()}
            common = {each.epoch: branch.size for each in self._journal.known_epochs() if (branch := self._branches.of(each.epoch))}
            await self._asks.adopt(*told, held | common)
        if late is not None:
            await late.take(taken, self.sink.name, why)

    async def _recalled(self, late: Recall) -> tuple[Recalled | None, str]:
        """The state that the hub holds, or why it gives none that is whole. Raises Unreachable, NotAuthorised: it is asked again."""
        try:
            return await self.hub.recall(late.choose), ""
        except NotRecalled as error:
            return None, str(error)

    def _name(self, epoch: str) -> str:
        """The id by which the hub knows our epoch."""
        branch = self._branches.of(epoch)
        return epoch if branch is None else branch.epoch

    async def _remind(self, info: EpochInfo, held: Held, receipted: int) -> None:
        """The hub holds less than its own receipt: show it that, and rely on it no more. It is served again from its size."""
        branch = self._branches.of(info.epoch)
        common = 0 if branch is None else branch.size  # that much was receipted of the epoch itself
        if held.closed or max(held.size, common) >= receipted:
            return
        await self.hub.remind(held.epoch, receipted)
        why = f"the hub holds {held.size} entries of epoch {held.epoch}, by its own receipt {receipted}: it lost some, and is served again"
        self._tell(events.Alarmed(code="hub-behind", why=why))
        await self._journal.move_cursor(self.sink.name, Position(info.epoch, min(max(held.size, common), info.size)))

    async def _compare(self, info: EpochInfo, held: Held) -> None:
        if held.closed:
            why = f"the hub holds other bytes in epoch {held.epoch} and closed it: an older state was restored, or an id is used twice"
            self._tell(events.Alarmed(code="conflict", why=why))
        elif (most := max(held.size, held.witnessed)) > info.size:
            why = f"the hub holds {most} entries of epoch {info.epoch}, we hold {info.size}: an older state was restored"
            self._tell(events.Alarmed(code="roll-back", why=why))
        elif held.size < info.first and self._branches.of(info.epoch) is None:
            await self._declare(info, held)
        elif held.skipped and not info.closed:  # declared, but a kill or a full disk came before the new epoch
            await self._asks.reopen("skipped", ())

    async def _branch(self, held: dict[str, Held], receipts: dict[str, int]) -> None:
        """After a conflict or a roll-back go on in a new epoch; what the hub did not receipt of the old one becomes a branch, named there."""
        born: list[Branch] = []
        refused = False
        for info in self._journal.known_epochs():
            at = held.get(info.epoch)
            if at is None or self._branches.of(info.epoch) is not None:
                continue
            behind = max(at.size, at.witnessed) > info.size and not info.closed
            receipted = receipts.get(info.epoch, 0)
            if (at.closed or behind) and (not info.closed or max(receipted, info.first) < info.size):
                born.append(Branches.born(info.epoch, receipted))
            refused = refused or behind or (at.closed and not info.closed)
        if born or refused:
            await self._asks.reopen("roll-back", [branch.body() for branch in born])
            await self._branches.load()
            for branch in born:
                self._sizes.pop(branch.of, None)

    async def _declare(self, info: EpochInfo, held: Held) -> None:
        """The hub lost what we no longer have: say so, whole segments with their kept roots."""
        first = held.size - held.size % self._journal.segment_entries
        await self._skip_at_hub(info.epoch, first, info.first - first, "freed-by-retention")

    async def mended(self, damage: SegmentDamaged) -> bool:
        """It is this hub that gives segments back, between deliveries: nothing to wait for. Raises JournalFull."""
        await self._mending.damaged(damage, self.sink.name)
        return False

    async def pass_damage(self, damage: SegmentDamaged) -> Position:
        """What the hub holds it needs no more. What was damaged here before it was delivered is gone, and it is told. Raises SinkError."""
        end = damage.first + damage.count
        if self._sizes.get(self._name(damage.epoch), 0) < end:
            await self._skip_at_hub(damage.epoch, damage.first, damage.count, "damaged")
            await self._journal.give_up(damage.epoch, damage.first)
        return Position(damage.epoch, end)

    async def _skip_at_hub(self, epoch: str, first: int, count: int, reason: str) -> None:
        """Record, declare, alarm; if it is the epoch being written, go on in a new one. What is interrupted is done at the next meeting."""
        roots = await self.roots(epoch, first, count)
        await self.record_skipped(epoch, first, count, roots, reason)
        await self.hub.declare_skipped(self._name(epoch), first, count, roots or [NOTHING_KEPT], reason)
        if epoch == self._journal.epoch:
            await self._asks.reopen("skipped", ())

    def _position(self, held: dict[str, Held], receipts: dict[str, int]) -> Position:
        """The oldest entry that the hub does not hold, less one: a record that forked below it shows as a conflict.

        Where the hub holds more than we do, what it did not receipt to us is offered again: it is what it holds, or a conflict.
        """
        epochs = self._journal.epochs()
        for info in epochs:
            last, branch = info is epochs[-1], self._branches.of(info.epoch)
            at = held.get(self._name(info.epoch), Held(epoch=info.epoch, size=0) if last or branch else None)
            if not last and (at is None or at.closed):
                continue  # too old to be asked for; or a conflict: it takes no more of this epoch
            assert at is not None
            size = at.size
            if branch is not None and branch.epoch not in self._whole:
                size = max(size, branch.size)
            elif size > info.size:
                size = min(receipts.get(info.epoch, 0), info.size)
            size = max(size, info.first)
            if size < info.size or last:
                return Position(info.epoch, max(info.first, min(size, info.size) - 1))
        raise RuntimeError("a journal has at least one epoch")
