"""What intake knows of the clock: for which instants somebody vouches, and what changed since the last look; writes nothing.

A step of the wall clock is seen in the difference of wall time and monotonic time: at the next look, or in the first reading that
was stamped after it. Nothing that was stamped with another difference than the clock has now passes for trusted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from edge_gateway.clock import Clock

#: How often an idle intake looks at the clock (real seconds): a step is on record within a second.
LOOK_S = 0.5
#: A wall clock step larger than this (µs) is one; what slews is slower by far.
STEP_US = 500_000
#: Two readings of the clock that are this far apart (µs) were not taken at one instant: the process was held up.
_AT_ONCE_US = 20_000
_TRIES = 4


@dataclass(frozen=True, slots=True)
class Change:
    """Something to put on record: an event, or (``event`` empty) a correction of what was written with ``before_us``."""

    event: str = ""
    detail: dict[str, Any] = field(default_factory=dict)
    before_us: int = 0


class ClockWatch:
    """One clock, as intake sees it. ``trusted`` as of the last look."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.trusted = clock.trusted()
        self._offset_us = self._before_us = self._read()
        self._from_us = 0  # what was read before has the untrusted clock's wall time, though it comes later
        self._owes = False

    def strange(self, wall_us: int, mono_us: int) -> bool:
        """Does this stamp tell of a step that no look has seen yet, or is it from before the last one?"""
        return abs(wall_us - mono_us - self._offset_us) > STEP_US

    def vouched(self, wall_us: int, mono_us: int) -> bool:
        """Whether somebody vouches for the wall time of a stamp; where nobody does any more, a correction is owed."""
        good = self.trusted and mono_us >= self._from_us and not self.strange(wall_us, mono_us)
        if not good:
            self._owes = True
            if not self.trusted:
                self._before_us = wall_us - mono_us
        return good

    def look(self) -> list[Change]:
        """What is to be put on record, in order."""
        offset_us, trusted = self._read(), self._clock.trusted()
        step_us = offset_us - self._offset_us
        self._offset_us = offset_us
        changes = [Change("clock-stepped", {"step_us": step_us})] if abs(step_us) > STEP_US else []
        if trusted != self.trusted:
            self.trusted = trusted
            changes.append(Change("clock-trusted" if trusted else "clock-untrusted"))
            if trusted:
                self._from_us, self._owes = self._clock.mono_us(), True
        if self._owes and trusted:  # also of what was read before, and came to the record after the correction
            self._owes = False
            changes.append(Change(before_us=self._before_us))
        return changes

    def _read(self) -> int:
        """Wall time less monotonic time, of one instant."""
        best: tuple[int, int] | None = None
        for _ in range(_TRIES):
            mono_us = self._clock.mono_us()
            wall_us = self._clock.wall_us()
            took_us = self._clock.mono_us() - mono_us
            if best is None or took_us < best[0]:
                best = took_us, wall_us - mono_us
            if took_us <= _AT_ONCE_US * self._clock.speed:
                break
        assert best is not None
        return best[1]
