"""Which answers are still owed: the shapes (function, byte count) that an unanswered question of each unit had; pure, time is passed in.

A frame on a serial line carries no number. What comes late is told from what was asked only by its unit and shape, so that
nothing of a shape may be asked again until its answer came, or until it is so old that it is taken for lost (``late_max_s``).
A later one is not decidable.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

#: Late answers whose bytes are kept.
MOST_KEPT = 16
#: Shapes in the ledger before those whose time is over are swept out.
MOST_OWED = 512
#: An answer is thought possible (not likely) for this many times ``late_max_s``.
_FORGET = 4


@dataclass(frozen=True, slots=True)
class Late:
    """An answer that came too late, or that cannot be told from one that did: kept as evidence, never used."""

    at_s: float  # monotonic
    unit: int
    pdu: bytes


@dataclass(slots=True)
class Owed:
    """The ledger of one line. Times are monotonic seconds."""

    late_max_s: float
    quarantine: deque[Late] = field(default_factory=lambda: deque(maxlen=MOST_KEPT))
    _until_s: dict[tuple[int, int, int], float] = field(default_factory=dict)
    #: shapes asked again after their time was over: one answer does not tell which question it answers
    _doubtful: set[tuple[int, int, int]] = field(default_factory=set)

    def add(self, unit: int, function: int, size: int, now_s: float) -> None:
        """A question got no (sure) answer."""
        shape = (unit, function, size)
        before_s = self._until_s.get(shape)
        if before_s is not None and before_s > now_s - _FORGET * self.late_max_s:
            self._doubtful.add(shape)
        else:
            self._doubtful.discard(shape)
        self._until_s[shape] = now_s + self.late_max_s
        if len(self._until_s) > MOST_OWED:  # dead units on a line that is being scanned
            self._until_s = {shape: until_s for shape, until_s in self._until_s.items() if until_s > now_s}
            self._doubtful &= self._until_s.keys()

    def left(self, now_s: float) -> dict[tuple[int, int, int], float]:
        """The shapes that are owed now, each with its time."""
        return {shape: until_s for shape, until_s in self._until_s.items() if until_s > now_s}

    def take_over(self, others: Mapping[tuple[int, int, int], float]) -> None:
        """What another ledger of the same wire has ``left``."""
        for shape, until_s in others.items():
            self._until_s[shape] = max(until_s, self._until_s.get(shape, until_s))

    def wait_s(self, unit: int, function: int, size: int, now_s: float) -> float:
        """How long nothing of this shape may be asked of the unit; 0: ask."""
        if not self._until_s:
            return 0.0
        return max(0.0, self._until_s.get((unit, function, size), 0.0) - now_s)

    def answered(self, unit: int, function: int, size: int, now_s: float) -> bool:
        """A whole answer to none of the present questions came: True when it was owed, which it is no longer."""
        shape = (unit, function, size)
        until_s = self._until_s.get(shape, float("-inf"))
        if shape in self._until_s and shape not in self._doubtful:
            del self._until_s[shape]
        return until_s > now_s

    def refused(self, unit: int, function: int, now_s: float) -> bool:
        """A refusal came: True when it may be that of an owed answer. It has no length, so that only a single one is settled."""
        those = self._of(unit, function, now_s)
        if len(those) == 1 and those[0] not in self._doubtful:
            del self._until_s[those[0]]
        return bool(those)

    def ambiguous(self, unit: int, function: int, now_s: float) -> bool:
        """Whether a refusal by this unit may belong to an earlier question of the same function."""
        return bool(self._until_s) and bool(self._of(unit, function, now_s))

    def _of(self, unit: int, function: int, now_s: float) -> list[tuple[int, int, int]]:
        return [k for k, until_s in self._until_s.items() if k[:2] == (unit, function) and until_s > now_s]
