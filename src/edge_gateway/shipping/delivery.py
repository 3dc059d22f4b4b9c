"""Serving one sink: read, deliver, move the cursor, or wait. What a sink refused goes to its quarantine."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from edge_gateway import events
from edge_gateway.backoff import Backoff
from edge_gateway.errors import JournalFull, NotAuthorised, SegmentDamaged, SinkError, Unreachable
from edge_gateway.journal.base import EpochInfo, Journal, Position
from edge_gateway.shipping.budget import Budget
from edge_gateway.shipping.mending import Mending
from edge_gateway.sinks.base import Metered, Outcome, Recalled, Run, Sink

#: While a sink holds (untrusted clock, …) it is asked again this often, besides at each commit.
HELD_RETRY_S = 5.0
#: A sink that knows us not is probed this slowly.
UNAUTHORISED_RETRY_S = 60.0
#: What was freed while it was about to be read: its place is known anew after this.
FREED_RETRY_S = 0.05
#: Bytes of entries that are read at least, however little of the day's is left: one message beyond it at most.
LEAST_BYTES = 4096
#: Roots that one ``skipped`` entry names: an entry has its bounds.
MAX_ROOTS = 2_000


@dataclass(slots=True)
class Progress:
    """What status and metrics show of a sink."""

    state: str = "connecting"  # connecting, ok, unreachable, unauthorised, held
    why: str = ""
    delivered: int = 0
    rejected: int = 0
    skipped: int = 0
    last_ok_wall_us: int = 0
    retry_s: float = 0.0
    backlog: int = 0


class Recall(Protocol):
    """Who takes the state of a lost record back. ``wanted``: once, when the hub is met."""

    wanted: bool

    async def choose(self, places: Sequence[tuple[str, int]]) -> int | None: ...

    async def take(self, taken: Recalled | None, hub: str, why: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Asks:
    """What shipping asks of whoever writes the record (the two loops do not know each other).

    ``reopen(reason, branches)`` closes the epoch and goes on in a new one, whose first entry names the branches;
    ``record(kind, body)`` adds an entry. ``adopt(number, records, held)``, while ``lost()`` (the record, or its end): takes over
    the violations that stand open at the hub and lie beyond the entries that are ``held`` here of each epoch, and the highest number given.
    """

    reopen: Callable[[str, Sequence[dict[str, Any]]], Awaitable[object]]
    record: Callable[[str, dict[str, Any]], Awaitable[object]]
    adopt: Callable[[int, Sequence[dict[str, Any]], dict[str, int]], Awaitable[object]] | None = None
    lost: Callable[[], bool] = lambda: False
    recall: Recall | None = None


class Delivery:
    """One sink's loop. Cancelling it is safe anywhere: at worst a run is offered again."""

    def __init__(
        self, *, sink: Sink, journal: Journal, tell: events.Tell, wall_us: Callable[[], int], asks: Asks, mending: Mending | None = None
    ) -> None:
        self.sink = sink
        self._mending = mending or Mending(journal, tell, asks.record, has_hub=False)  # one alone
        self.progress = Progress()
        self._journal = journal
        self._tell = tell
        self._wall_us = wall_us
        self._asks = asks
        self._news = asyncio.Event()
        self._backoff = Backoff(first_s=0.5, most_s=30.0, apart=True)
        self._troubled = False
        self._stopping = False
        self.budget: Budget | None = None  # none: as much as there is

    def wake(self) -> None:
        """Something was committed."""
        self._news.set()

    def stop(self) -> None:
        """Deliver what is there, then return; a sink in trouble is not waited for."""
        self._stopping = True
        self._news.set()

    async def run(self) -> None:
        """Serve until stopped (or cancelled)."""
        position = self.start()
        while True:
            self._news.clear()
            position = self.present(position)
            try:
                entries = await self._read(position)
            except SegmentDamaged as damage:
                position = await self._beyond(position, damage)
                if self._stopping:
                    return
                continue
            except KeyError:  # freed by retention between the look and the reading
                await asyncio.sleep(FREED_RETRY_S)
                continue
            self.progress.backlog = self.backlog(position)
            if not entries:
                following = self._following(position)
                if following is not None:
                    position = following
                    continue
                went = await self._idle(position)
                if went is None:
                    return
                position = went
                continue
            went = await (self._wait_out(position) if self._spent() else self._serve(position, entries))
            if went is None:
                return
            position = went

    async def _serve(self, position: Position, entries: Sequence[bytes]) -> Position | None:
        """Offer a run. Where to go on; None when we are to end."""
        try:
            outcome = await self._offer(Run(epoch=position.epoch, first=position.seq, entries=entries))
            position = await self._account(position, outcome)
            await self.beside()
        except (SinkError, JournalFull) as error:  # full: what was delivered cannot be noted, so it is offered again
            return await self.resume(position) if await self._rest(error) else None
        if outcome.held and not outcome.accepted and not await self._hold(outcome.held):
            return None
        return position

    async def beside(self) -> bool:
        """What is due besides entries, after a run and when none waits; True if something was done. Raises SinkError."""
        return False

    async def _idle(self, position: Position) -> Position | None:
        """Nothing waits: until something does. Where to go on; None when we are to end."""
        try:
            if await self.beside():
                return position
        except SinkError as error:
            return await self.resume(position) if await self._rest(error) else None
        if self._stopping:
            return None
        await self._news.wait()
        return position

    async def _read(self, position: Position) -> list[bytes]:
        most = self.sink.max_bytes
        if self.budget is not None:  # smaller runs towards its end: what is sent is smaller than what is read
            most = min(most, max(self.budget.left, LEAST_BYTES))
        return await self._journal.read(position, max_entries=self.sink.max_entries, max_bytes=most)

    # --- the day's bytes --------------------------------------------------------------------------------------

    def _spent(self) -> bool:
        """Whether nothing may be sent any more today."""
        if self.budget is None or not isinstance(self.sink, Metered):
            return False
        self.budget.book(self.sink.sent_bytes)
        spent = self.budget.left <= 0
        self.sink.spare(spent)
        return spent

    async def _wait_out(self, position: Position) -> Position | None:
        """Keep everything, and look again in a while; what is due besides entries is exempt. Where to go on, None when we are to end."""
        assert self.budget is not None
        self.progress.state, self.progress.why = "held", self.budget.why()
        try:
            while await self.beside() and not self._stopping:
                pass
        except (SinkError, JournalFull) as error:
            return await self.resume(position) if await self._rest(error) else None
        return position if await self._pause(HELD_RETRY_S) else None

    # --- where to go on (the hub's delivery overrides these) --------------------------------------------------

    def start(self) -> Position:
        """The cursor, or the oldest entry here."""
        return self._journal.cursor(self.sink.name) or self._oldest()

    def _oldest(self) -> Position:
        first = self._journal.epochs()[0]
        return Position(first.epoch, first.first)

    async def resume(self, position: Position) -> Position:
        """After trouble: the same place."""
        return position

    async def mended(self, damage: SegmentDamaged) -> bool:
        """Tell of a damaged segment, and wait a little for the hub to give it back. Raises JournalFull."""
        return await self._mending.again(damage, self.sink.name)

    async def pass_damage(self, damage: SegmentDamaged) -> Position:
        """A sealed segment cannot be read any more: to this sink it is a skipped range. Raises SinkError."""
        roots = await self.roots(damage.epoch, damage.first, damage.count)
        await self.record_skipped(damage.epoch, damage.first, damage.count, roots, "damaged")
        return Position(damage.epoch, damage.first + damage.count)

    async def move(self, to: Position, outcome: Outcome) -> Position:
        """Record how far the sink is served."""
        await self._journal.move_cursor(self.sink.name, to)
        return to

    async def _beyond(self, position: Position, damage: SegmentDamaged) -> Position:
        """Read a damaged segment again once the hub gave it back; else go on behind it, or (its sink being away) try again later."""
        try:
            if await self.mended(damage):
                return position
            to = await self.pass_damage(damage)
            await self._journal.move_cursor(self.sink.name, to)
        except (SinkError, JournalFull) as error:
            return await self.resume(position) if await self._rest(error) else position
        return to

    async def roots(self, epoch: str, first: int, count: int) -> list[str]:
        """The kept roots of the whole segments in a range, in order."""
        found = [s for s in await self._journal.segments() if s.epoch == epoch and first <= s.first < first + count]
        return [segment.root for segment in sorted(found, key=lambda s: s.first)]

    async def record_skipped(self, epoch: str, first: int, count: int, roots: list[str], reason: str) -> None:
        """An entry, an event and a count: this sink will never be served these."""
        self.progress.skipped += count
        self._tell(events.SinkSkipped(sink=self.sink.name, epoch=epoch, first=first, count=count, reason=reason))
        at, end = first, first + count
        for start in range(0, max(len(roots), 1), MAX_ROOTS):
            part = roots[start : start + MAX_ROOTS]
            last = start + MAX_ROOTS >= len(roots)
            until = end if last else at + len(part) * self._journal.segment_entries
            body = {"sink": self.sink.name, "epoch": epoch, "first": at, "count": until - at, "reason": reason}
            await self._asks.record("skipped", body | {"roots": part})
            at = until

    # --- steps ------------------------------------------------------------------------------------------------

    def present(self, position: Position) -> Position:
        """The position itself, or the first one after it that is still here: what was freed cannot be served."""
        for info in self._journal.epochs():
            if info.epoch == position.epoch:
                return position if position.seq >= info.first else self._skip(position, info)
        born = [info.epoch for info in self._journal.known_epochs()]
        gone = born.index(position.epoch) if position.epoch in born else -1
        # An older epoch may still be here, because a hub did not witness it: what was served is not served again.
        after = next(info for info in self._journal.epochs() if born.index(info.epoch) > gone)
        return Position(after.epoch, after.first)

    def _skip(self, position: Position, info: EpochInfo) -> Position:
        count = info.first - position.seq
        self.progress.skipped += count
        skipped = events.SinkSkipped(
            sink=self.sink.name, epoch=info.epoch, first=position.seq, count=count, reason="freed-by-retention"
        )
        self._tell(skipped)
        return Position(info.epoch, info.first)

    def _following(self, position: Position) -> Position | None:
        """The next epoch's first entry, once this epoch is closed and served."""
        epochs = list(self._journal.epochs())
        for info, following in itertools.pairwise(epochs):
            if info.epoch == position.epoch and position.seq >= info.size:
                return Position(following.epoch, following.first)
        return None

    def backlog(self, position: Position) -> int:
        """Entries not yet served."""
        left, found = 0, False
        for info in self._journal.epochs():
            if info.epoch == position.epoch:
                found, left = True, max(0, info.size - position.seq)
            elif found:
                left += info.size - info.first
        return left

    async def _offer(self, run: Run) -> Outcome:
        started = time.perf_counter_ns()
        outcome = await self.sink.deliver(run, self._journal)
        latency_us = (time.perf_counter_ns() - started) // 1000
        if outcome.rejected:
            items = [(item.seq, item.line, item.reason) for item in outcome.rejected]
            await self._journal.quarantine_add(self.sink.name, run.epoch, items)
        if outcome.accepted:
            self._tell(
                events.SinkDelivered(
                    sink=self.sink.name, entries=outcome.accepted, rejected=len(outcome.rejected), latency_us=latency_us
                )
            )
        return outcome

    async def _account(self, position: Position, outcome: Outcome) -> Position:
        self._backoff.reset()
        if self._troubled:
            self._troubled = False
            self._tell(events.SinkRecovered(sink=self.sink.name))
        self.progress.state, self.progress.why = ("held", outcome.held) if outcome.held else ("ok", "")
        self.progress.delivered += outcome.accepted
        self.progress.rejected += len(outcome.rejected)
        if outcome.accepted:
            self.progress.last_ok_wall_us = self._wall_us()
            position = await self.move(Position(position.epoch, position.seq + outcome.accepted), outcome)
            self._spent()
        self.progress.backlog = self.backlog(position)
        return position

    async def _rest(self, error: SinkError | JournalFull) -> bool:
        """Wait after trouble; False when we are stopping instead."""
        if isinstance(error, JournalFull):  # not the sink's fault, and told by intake
            self.progress.state, self.progress.why = "held", str(error)
            return await self._pause(self._backoff.next_s())
        authorised = not isinstance(error, NotAuthorised)
        wait_s = self._backoff.next_s() if authorised else UNAUTHORISED_RETRY_S
        if isinstance(error, Unreachable) and error.retry_after_s is not None:
            wait_s = error.retry_after_s
        state = "unreachable" if authorised else "unauthorised"
        worse = not self._troubled or (not authorised and self.progress.state != state)
        self.progress.state = state
        self.progress.why, self.progress.retry_s = str(error), wait_s
        self.progress.backlog = self.backlog(self._journal.cursor(self.sink.name) or self._oldest())
        if worse:
            self._troubled = True
            self._tell(events.SinkTroubled(sink=self.sink.name, why=str(error), authorised=authorised, retry_s=wait_s))
        return await self._pause(wait_s)

    async def _hold(self, why: str) -> bool:
        self.progress.why = why
        return await self._pause(HELD_RETRY_S)

    async def _pause(self, wait_s: float) -> bool:
        """Sleep, but end at once when stopping."""
        deadline_s = time.monotonic() + wait_s
        while not self._stopping and (left_s := deadline_s - time.monotonic()) > 0:
            await asyncio.sleep(min(left_s, 0.2))
        return not self._stopping
