"""The newest committed entries in memory, so that whoever follows live never waits for the disk; knows no disk."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence


class Ring:
    """Entries ``first`` … ``end - 1`` of one epoch; bounded by number, bytes and age, the oldest give way.

    Age, because who follows live is seconds behind at most, and who is not reads from the disk anyway.
    """

    def __init__(self, max_entries: int, max_bytes: int, max_age_s: float = math.inf) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._ends: deque[tuple[float, int]] = deque()  # when entries came, and the end they made
        self._entries: list[bytes] = []
        self.first = 0
        self.size_bytes = 0

    @property
    def end(self) -> int:
        return self.first + len(self._entries)

    def clear(self, first: int) -> None:
        """Forget everything; the next entry is ``first``."""
        self._entries = []
        self._ends.clear()
        self.first = first
        self.size_bytes = 0

    def add(self, entries: Sequence[bytes], now_s: float = 0.0) -> None:
        """Entries from ``end`` on, at a time that never decreases."""
        self._entries.extend(entries)
        self.size_bytes += sum(map(len, entries))
        self._ends.append((now_s, self.end))
        drop = max(0, len(self._entries) - self._max_entries)
        for came_s, end in self._ends:
            if came_s >= now_s - self._max_age_s:
                break
            drop = max(drop, end - self.first)
        size = self.size_bytes - sum(map(len, self._entries[:drop]))
        while size > self._max_bytes and drop < len(self._entries):
            size -= len(self._entries[drop])
            drop += 1
        if drop:
            del self._entries[:drop]
            self.first += drop
            self.size_bytes = size
            while self._ends and self._ends[0][1] <= self.first:
                self._ends.popleft()

    def read(self, start: int, max_entries: int, max_bytes: int) -> list[bytes]:
        """Entries from ``start`` (≥ ``first``) on: at least one if it is here."""
        at = start - self.first
        found = self._entries[at : at + max_entries]
        size = 0
        for number, entry in enumerate(found):
            size += len(entry)
            if size > max_bytes and number:
                return found[:number]
        return found
