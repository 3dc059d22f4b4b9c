"""The newest reading of each point, and its newest value where the newest reading has none; keeps no history, no I/O.

Intake knows the newest batch of each group. A batch that says "no answer" covers the value before it: people want to
see both, the reason and, in brackets, what was last known. A message that came without a point says nothing about it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edge_gateway.reading import BAD_MISSING, GOOD, Batch, Value


@dataclass(frozen=True, slots=True)
class Reading:
    """One point's reading; ``mono_us`` is when it was observed, on the gateway's monotonic clock."""

    value: Value
    quality: str
    mono_us: int


class Newest:
    """``take`` looks at intake's newest batches after each commit, ``of`` answers for one group's points."""

    def __init__(self) -> None:
        self._good: dict[str, Batch] = {}  # group -> its newest batch that is good throughout: no copy needed
        self._mixed: dict[str, Batch] = {}  # group -> its newest batch that is not, already taken apart
        self._known: dict[str, Reading] = {}  # point -> its newest value from a mixed batch
        self._why: dict[str, Reading] = {}  # point -> its newest reading without a value

    def take(self, latest: Mapping[str, Batch]) -> None:
        """Remember what is new. Costs one look a group, and more only where a batch is not good throughout."""
        for group, batch in latest.items():
            if batch.quality is None:
                self._good[group] = batch
            elif batch is not self._mixed.get(group):
                self._mixed[group] = batch
                for point, value, quality in zip(batch.group.points, batch.values, batch.quality, strict=True):
                    if quality != BAD_MISSING:
                        kept = self._why if value is None else self._known
                        kept[point] = Reading(value, quality, batch.mono_us)

    def of(self, groups: Mapping[str, Any]) -> dict[str, tuple[Reading | None, Reading | None]]:
        """For each point of ``groups`` (as resolved): its newest reading, and its newest one with a value."""
        found: dict[str, tuple[Reading | None, Reading | None]] = {}
        for group, about in groups.items():
            good = self._good.get(group)
            columns = dict(zip(good.group.points, good.values, strict=True)) if good is not None else {}
            for point in about["points"]:
                known = self._known.get(point)
                if good is not None and point in columns and (known is None or good.mono_us >= known.mono_us):
                    known = Reading(columns[point], GOOD, good.mono_us)
                why = self._why.get(point)
                newest = why if known is None or (why is not None and why.mono_us > known.mono_us) else known
                found[point] = _later(found.get(point), (newest, known))
        self._forget(found.keys(), groups.keys())
        return found

    def _forget(self, points: Any, groups: Any) -> None:
        """What the configuration no longer has does not stay for ever."""
        for kept, wanted in ((self._good, groups), (self._mixed, groups), (self._known, points), (self._why, points)):
            for key in [key for key in kept if key not in wanted]:
                del kept[key]


def _later(
    one: tuple[Reading | None, Reading | None] | None, other: tuple[Reading | None, Reading | None]
) -> tuple[Reading | None, Reading | None]:
    """A point that two groups have (a reload moved it): the one heard last."""
    if one is None or one[0] is None:
        return other
    if other[0] is None:
        return one
    return one if one[0].mono_us > other[0].mono_us else other
