"""Which readings come late by their own zoned time, and how a batch is judged then, live and replayed alike; reads no clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edge_gateway.reading import GOOD, UNCERTAIN_FUTURE, UNCERTAIN_LATE, UNCERTAIN_QUEUED, Value
from edge_gateway.rules.base import Step
from edge_gateway.rules.engine import Engine

#: Points remembered: more than one gateway has; beyond them the one that was heard least lately is forgotten.
MOST_POINTS = 10_000
_NO_MARK = (UNCERTAIN_QUEUED, UNCERTAIN_FUTURE, UNCERTAIN_LATE)


class OwnTimes:
    """Point → the newest own time (µs UTC) of a reading that was judged. Readings timed by us have none, and are never late."""

    def __init__(self, known: Mapping[str, int] | None = None) -> None:
        self.known = dict(known or {})

    def marked(self, points: Sequence[str], quality: list[str] | None, own_us: int) -> list[str] | None:
        """The qualities with ``uncertain:late`` where a reading that is not bad is older than the last one judged; changes nothing."""
        late = [self.known.get(point, own_us) > own_us for point in points]
        if not any(late):
            return quality
        words = quality or [GOOD] * len(points)
        return [UNCERTAIN_LATE if is_late and _counts(word) else word for is_late, word in zip(late, words, strict=True)]

    def judged(self, points: Sequence[str], quality: Sequence[str] | None, own_us: int) -> None:
        """A batch with this own time was judged, while somebody vouched for our clock."""
        for column, point in enumerate(points):
            if quality is not None and quality[column] in _NO_MARK:
                continue
            newest_us = max(own_us, self.known.pop(point, own_us))
            self.known[point] = newest_us
        while len(self.known) > MOST_POINTS:
            del self.known[next(iter(self.known))]


def _counts(word: str) -> bool:
    return word == GOOD or (word.startswith("uncertain") and word not in _NO_MARK)


def judge(
    engine: Engine, own: OwnTimes, now: tuple[int, int, bool], columns: tuple[tuple[str, ...], list[Value], list[str] | None], own_us: int | None
) -> list[Step]:
    """The steps of a batch; ``now``: its rule and wall time, and whether somebody vouches for the latter; ``own_us``: its message's own time."""
    rule_us, wall_us, trusted = now
    if not trusted:
        engine.doubt(wall_us)
    steps = engine.judge(rule_us, wall_us, *columns)
    if own_us is not None and trusted:  # a clock that nobody vouches for places no own time, and moves no mark
        if columns[2] is not None and UNCERTAIN_LATE in columns[2]:
            engine.late((rule_us, wall_us), *columns, own_us)
        own.judged(columns[0], columns[2], own_us)
    return steps
