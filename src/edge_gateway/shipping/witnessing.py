"""Which checkpoint the hub is shown, and when: the newest that its receipts cover, one at a time; judges no signature.

It is paced and jittered, and never smaller than what the hub says it cosigned: after a crash the record's newest kept note
may be older than that, and showing it would look like a roll-back.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Sequence

from edge_gateway import events
from edge_gateway.errors import JournalDamaged
from edge_gateway.journal.base import Journal
from edge_gateway.sinks.base import Held, HubLink

log = logging.getLogger(__name__)
#: Real seconds between two checkpoints that are shown.
EVERY_S = 1.0
#: Notes of an epoch that may wait: while a backlog drains, older ones are covered first.
MOST_WAITING = 8


class Witnessing:
    """``offer`` what was signed, ``show`` between deliveries. ``wake(seconds)`` asks to be called again then."""

    def __init__(self, hub: HubLink, journal: Journal, tell: events.Tell, wake: Callable[[float], None]) -> None:
        self._hub = hub
        self._journal = journal
        self._tell = tell
        self._wake = wake
        self._notes: dict[str, dict[int, bytes]] = {}  # epoch -> size -> note
        self._held: dict[str, int] = {}
        self._witnessed: dict[str, int] = {}
        self._alarmed: set[tuple[str, str]] = set()
        self._supported = True
        self._not_before_s = 0.0
        self._refused = False
        self._resting: dict[str, float] = {}  # epoch -> until when it is not shown (monotonic): the others go on

    def offer(self, epoch: str, size: int, note: bytes) -> None:
        """A checkpoint was signed."""
        notes = self._notes.setdefault(epoch, {})
        notes[size] = note
        for old in sorted(notes)[:-MOST_WAITING]:
            del notes[old]

    async def load(self) -> None:
        """Take up what an earlier run signed and did not get cosigned; epochs that ended too."""
        try:
            kept = await self._journal.checkpoints()
        except JournalDamaged as damage:  # told by the journal's own checks; the next checkpoint covers what these did
            log.warning("kept checkpoints cannot be read: %s", damage)
            return
        for epoch, size, note in kept:
            if self._hub.witnessed(epoch, note):
                self._witnessed[epoch] = max(size + 1, self._witnessed.get(epoch, 0))
            else:
                self.offer(epoch, size, note)
        for epoch in list(self._notes):
            self._drop(epoch)

    def met(self, held: Sequence[Held]) -> None:
        """A session began: what the hub holds and cosigned."""
        self._supported, self._not_before_s = True, 0.0
        self._resting.clear()
        for item in held:
            self._held[item.epoch] = item.size
            self._witnessed[item.epoch] = max(item.witnessed, self._witnessed.get(item.epoch, 0))
            self._drop(item.epoch)

    def receipted(self, epoch: str, size: int) -> None:
        """The hub holds this many entries of an epoch."""
        self._held[epoch] = size

    async def show(self, *, stopping: bool) -> bool:
        """Show what is due, if anything; True if something was shown. Raises SinkError."""
        due = self._due()
        if due is None or not self._supported:
            return False
        wait_s = self._not_before_s - time.monotonic()
        if wait_s > 0 and (self._refused or not stopping):
            self._wake(wait_s)
            return False
        epoch, size, note = due
        verdict = await self._hub.show(epoch, note)
        again_s = (verdict.again_s or EVERY_S) * random.uniform(0.8, 1.2)
        self._supported, self._refused = verdict.supported, not verdict.note and not verdict.only_this
        if verdict.only_this:
            self._resting[epoch], again_s = time.monotonic() + again_s, EVERY_S
            self._wake(self._resting[epoch] - time.monotonic())
        self._not_before_s = time.monotonic() + again_s
        if verdict.note:
            self._journal.keep_checkpoint(epoch, size, verdict.note)
            self._witnessed[epoch] = size + 1
            self._drop(epoch)
        if verdict.alarm and (verdict.alarm, epoch) not in self._alarmed:
            self._alarmed.add((verdict.alarm, epoch))
            self._tell(events.Alarmed(code=verdict.alarm, why=f"epoch {epoch}, {size} entries: {verdict.why}"))
        return True

    def _due(self) -> tuple[str, int, bytes] | None:
        """The newest epoch's largest note that is held whole; an earlier epoch's when it has none, or rests."""
        now_s = time.monotonic()
        for epoch in reversed(self._notes):
            if self._resting.get(epoch, now_s) > now_s:
                continue
            size = max((size for size in self._notes[epoch] if size <= self._held.get(epoch, 0)), default=None)
            if size is not None:
                return epoch, size, self._notes[epoch][size]
        return None

    def _drop(self, epoch: str) -> None:
        """Forget what is below what was cosigned."""
        least = self._witnessed.get(epoch, 0)
        kept = {size: note for size, note in self._notes.get(epoch, {}).items() if size >= least}
        if kept:
            self._notes[epoch] = kept
        else:
            self._notes.pop(epoch, None)
