"""What of an open journal may go, and when: keeps track of what hubs witnessed, and of how old segments are; frees nothing itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path

from edge_gateway.errors import JournalDamaged
from edge_gateway.journal.files import Files
from edge_gateway.journal.keeping import Due, Keeping, cosigned, limits, witnessed
from edge_gateway.journal.retention import Bounds
from edge_gateway.journal.segments import Segment, SegmentFile
from edge_gateway.journal.tail import Held
from edge_gateway.record.entry import decode

#: Segments that may go by age for each one that was sealed: a clock that is years ahead costs days, not the record.
AGED_A_SEAL = 2
_MOST_AGED = 64
#: How many segments are looked at for the first one whose end somebody vouched for the time of.
_LOOKED_AT = 64


class Owed:
    """One journal's. ``trusted``: whether somebody vouches for wall time just now; ``keeping``: what is in force."""

    def __init__(self, files: Files, state_dir: Path) -> None:
        self.trusted: Callable[[], bool] = lambda: True
        self.keeping = Keeping()
        self._files = files
        self._folder = state_dir
        self._witnessed: dict[str, dict[str, int]] = {}  # hub -> epoch -> entries
        self._may_age = 0
        self._written: dict[tuple[str, int], int | None] = {}

    def take(self, held: Held) -> None:
        """Begin with what was read."""
        self.keeping, self._witnessed = Keeping(), {}
        self.put(Keeping.read(held.memory), lambda: held.checkpoints)

    def put(self, keeping: Keeping, notes: Callable[[], list[tuple[str, int, bytes]]]) -> None:
        """From now on this is in force. ``notes``: the kept checkpoints, ``(epoch, size, note)``."""
        known = {(due.hub, due.vkey): self._witnessed[due.hub] for due in self.keeping.dues}
        fresh = [due for due in keeping.dues if (due.hub, due.vkey) not in known]
        found = notes() if fresh else []
        known |= {(due.hub, due.vkey): witnessed(found, due.key()) for due in fresh}
        self.keeping = keeping
        self._witnessed = {due.hub: known[due.hub, due.vkey] for due in keeping.dues}

    # --- what may go ----------------------------------------------------------------------------------------

    def limits(self, order: Mapping[str, int], receipts: Mapping[tuple[str, str], int]) -> dict[str, int]:
        """By epoch. What a hub witnessed and says it lost since (a lower receipt) counts as far as it holds it."""
        owed = [(due, self._seen(due, receipts)) for due in self.keeping.dues]
        return limits(order, owed, self.keeping.released)

    def by_due(self, order: Mapping[str, int], receipts: Mapping[tuple[str, str], int]) -> list[tuple[Due, dict[str, int]]]:
        """Each due with the limits that it alone would set."""
        return [(due, limits(order, [(due, self._seen(due, receipts))], self.keeping.released)) for due in self.keeping.dues]

    def _seen(self, due: Due, receipts: Mapping[tuple[str, str], int]) -> dict[str, int]:
        seen = self._witnessed[due.hub]
        return seen if due.displaced else {epoch: min(size, receipts.get((due.hub, epoch), 0)) for epoch, size in seen.items()}

    def witnesses(self, hub: str | None, epoch: str, size: int, note: bytes) -> bool:
        """Whether a note that came is cosigned by the configured hub's key."""
        due = next((due for due in self.keeping.dues if due.hub == hub and due.until is None), None)
        return due is not None and cosigned(epoch, note, due.key()) == size

    def grown(self, hub: str, epoch: str, size: int) -> None:
        """That note is durable."""
        mine = self._witnessed.setdefault(hub, {})
        mine[epoch] = max(size, mine.get(epoch, 0))

    # --- age ------------------------------------------------------------------------------------------------

    def sealed(self) -> None:
        """One more segment lies here: a few old ones may go."""
        self._may_age = min(self._may_age + AGED_A_SEAL, _MOST_AGED)

    def went(self, count: int) -> None:
        """So many went by age."""
        self._may_age = max(0, self._may_age - count)

    def aged(self, kept: Sequence[Segment], bounds: Bounds, now_us: int) -> frozenset[tuple[str, int]]:
        """Those whose keep time is over and that may go just now; none while nobody vouches for the clock."""
        if not self._may_age or not self.trusted():
            return frozenset()
        found: list[tuple[str, int]] = []
        stays: set[str] = set()
        for at, segment in enumerate(kept):
            if segment.epoch in stays:
                continue
            if len(found) == self._may_age:
                break
            if bounds.allows(segment) and self._over(kept, at, now_us - self.keeping.keep_us):
                found.append((segment.epoch, segment.first))
            else:
                stays.add(segment.epoch)
        if not found:
            self._may_age = 0  # until the next one is sealed
        return frozenset(found)

    def _over(self, kept: Sequence[Segment], at: int, until_us: int) -> bool:
        """Whether a segment ended before ``until_us``, by its own last entry or, where nobody vouched for the clock then,
        by the next one's after it: it was written before that.
        """
        if kept[at].wall_us[1] >= until_us:
            return False
        for segment in islice(kept, at, at + _LOOKED_AT):
            ended_us = self._ended_us(segment)
            if ended_us is not None:
                return ended_us < until_us
        return False

    def _ended_us(self, segment: Segment) -> int | None:
        """Wall time of its last entry; None if nobody vouched for it, or it does not read."""
        name = segment.epoch, segment.first
        if name not in self._written:
            if len(self._written) >= 4 * _LOOKED_AT:
                self._written.clear()
            try:
                file = SegmentFile(self._files, self._folder, segment.epoch, segment.first, segment.count)
                last = decode(file.member(len(file.footer["members"]) - 1)[1][-1])
                self._written[name] = last["wall_us"] if last["trusted"] else None
            except (FileNotFoundError, JournalDamaged):
                self._written[name] = None
        return self._written[name]
