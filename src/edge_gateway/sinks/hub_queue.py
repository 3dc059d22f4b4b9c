"""What waits for the live lane: the newest batch of each point, and every step of violations, commands, marks, phases and calibrations; pure: no link, no journal, no clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import orjson

from edge_gateway.reading import BAD_MISSING
from edge_gateway.wire.hub import URGENT_KINDS

#: Violation steps that may wait; they are places in the journal, not bytes. Beyond it the newest wait for the ordered lane.
MAX_VIOLATIONS = 100_000
_KIND = b'"kind":"'
_GROUP = b'"group":"'
_MISSING = b'"%s"' % BAD_MISSING.encode()


@dataclass(frozen=True, slots=True)
class Copy:
    """A committed entry to be shown early. ``entry`` is empty for violations: they are read again when sent."""

    epoch: str
    seq: int
    entry: bytes


class LiveQueue:
    """Newest wins per point; a violation is never displaced. Memory is bounded by poll groups, not by time."""

    def __init__(self) -> None:
        self._slots: dict[str, list[Copy]] = {}
        self._violations: deque[Copy] = deque()
        self.displaced = 0
        self.not_queued = 0

    def offer(self, epoch: str, first: int, entries: Sequence[bytes]) -> bool:
        """Take in committed entries; True when one of them is a step that somebody waits for (``URGENT_KINDS``)."""
        urgent = False
        for seq, entry in enumerate(entries, first):
            kind = _word(entry, _KIND)
            if kind == "batch":
                self._batch(Copy(epoch, seq, entry))
            elif kind in URGENT_KINDS:
                urgent = True
                self.add_violation(epoch, seq)
            elif kind == "tick":
                self._slots["tick"] = [Copy(epoch, seq, entry)]  # no group is called so: their ids have a dot
        return urgent

    def add_violation(self, epoch: str, seq: int) -> None:
        """A step that somebody waits for, by its place."""
        if len(self._violations) < MAX_VIOLATIONS:
            self._violations.append(Copy(epoch, seq, b""))
        else:
            self.not_queued += 1

    def __len__(self) -> int:
        return len(self._violations) + len(self._slots)

    def drop_served(self, served: Callable[[str, int], bool]) -> None:
        """Forget what the ordered lane has brought: ``served(epoch, seq)``."""
        self._violations = deque(copy for copy in self._violations if not served(copy.epoch, copy.seq))
        for group in list(self._slots):
            self._keep(group, [copy for copy in self._slots[group] if not served(copy.epoch, copy.seq)])

    def due(self, *, spare: bool) -> int:
        """How many of these may go: with ``spare`` violations, and the newest tick."""
        return len(self._violations) + (("tick" in self._slots) if spare else len(self._slots))

    def take(self, most: int, most_bytes: int, *, spare: bool = False) -> list[Copy]:
        """Remove and return what goes next: violations first, then the groups that waited longest (with ``spare`` the tick only)."""
        taken: list[Copy] = []
        while self._violations and len(taken) < most:
            taken.append(self._violations.popleft())
        size = 0
        for group in list(self._slots) if not spare else [name for name in ("tick",) if name in self._slots]:
            copies = self._slots[group]
            size += sum(len(copy.entry) for copy in copies)
            if taken and (len(taken) + len(copies) > most or size > most_bytes):
                break
            taken += copies
            del self._slots[group]
        return taken

    def put_back(self, copies: Sequence[Copy]) -> None:
        """What could not be sent waits again, unless something newer came for it meanwhile."""
        self._violations.extendleft(reversed([copy for copy in copies if not copy.entry]))
        for copy in copies:
            if not copy.entry:
                continue
            group = _word(copy.entry, _GROUP) or "tick"
            newer = self._slots.get(group, [])
            if all((copy.epoch, copy.seq) != (n.epoch, n.seq) for n in newer):
                self._keep(group, _newest([copy, *newer]) if group != "tick" else (newer or [copy]))

    def _batch(self, copy: Copy) -> None:
        group = _word(copy.entry, _GROUP)
        waiting = self._slots.get(group)
        if waiting is None:
            self._slots[group] = [copy]
            return
        # The usual case without a parse: a batch with all its points displaces what waited for its group.
        kept = [copy] if _MISSING not in copy.entry else _newest([*waiting, copy])
        self.displaced += len(waiting) + 1 - len(kept)
        self._slots[group] = kept

    def _keep(self, group: str, copies: list[Copy]) -> None:
        if copies:
            self._slots[group] = copies
        else:
            self._slots.pop(group, None)


def _newest(copies: Sequence[Copy]) -> list[Copy]:
    """Those of a group's batches (oldest first) that have at least one point's newest reading."""
    covered: set[int] = set()
    kept: list[Copy] = []
    for copy in reversed(copies):
        content = orjson.loads(copy.entry)
        quality = content.get("quality") or []
        has = {i for i in range(len(content["values"])) if i >= len(quality) or quality[i] != BAD_MISSING}
        if not has <= covered or not kept:
            kept.append(copy)
            covered |= has
    return kept[::-1]


def _word(entry: bytes, before: bytes) -> str:
    """The text after ``"key":"``; our encoder writes it without escapes. "" when it is not there."""
    start = entry.find(before)
    if start < 0:
        return ""
    start += len(before)
    return entry[start : entry.index(b'"', start)].decode()
