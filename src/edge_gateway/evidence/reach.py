"""What entries themselves say of when they were, and how far that reaches below a checkpoint; believes it as far as they call their clock trusted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class Reach:
    """One epoch's entries, in order. ``stops``: sizes at which somebody will ask."""

    def __init__(self, stops: Iterable[int] = ()) -> None:
        self._stops = frozenset(stops)
        self._ends: dict[int, int | None] = {}
        self._next = 0
        self._first: dict[bool, tuple[int, int]] = {}  # trusted or not -> seq, µs
        self._greatest: dict[bool, int] = {}

    def see(self, entry: dict[str, Any]) -> None:
        """The next entry that is here; holes between are none of ours."""
        seq: int = entry["seq"]
        if seq in self._stops or seq != self._next:
            self._ends.update((stop, self.end_us()) for stop in self._stops if self._next <= stop <= seq)
        self._next = seq + 1
        wall_us = entry.get("wall_us")
        if type(wall_us) is not int:
            return
        trusted = entry.get("trusted") is True
        if trusted not in self._first:
            self._first[trusted], self._greatest[trusted] = (seq, wall_us), wall_us
        elif wall_us > self._greatest[trusted]:
            self._greatest[trusted] = wall_us

    def begin_us(self, size: int) -> int | None:
        """Before this, nothing is known to be here: the first trusted wall time below ``size``, of any entry there if none is trusted."""
        for trusted in (True, False):
            seq, wall_us = self._first.get(trusted, (size, 0))
            if seq < size:
                return wall_us
        return None

    def end_us(self, size: int | None = None) -> int | None:
        """Up to this, what was recorded is here: the greatest trusted wall time (any, if none is) below ``size``, one of the stops."""
        if size is not None and size < self._next:
            return self._ends.get(size)
        return self._greatest.get(True, self._greatest.get(False))
