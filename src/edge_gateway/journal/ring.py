"""The newest committed entries in memory, so that whoever follows live never waits for the disk; knows no disk."""

from __future__ import annotations

from collections.abc import Sequence


class Ring:
    """Entries ``first`` … ``end - 1`` of one epoch; bounded by number and bytes, the oldest give way."""

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._entries: list[bytes] = []
        self.first = 0
        self.size_bytes = 0

    @property
    def end(self) -> int:
        return self.first + len(self._entries)

    def clear(self, first: int) -> None:
        """Forget everything; the next entry is ``first``."""
        self._entries = []
        self.first = first
        self.size_bytes = 0

    def add(self, entries: Sequence[bytes]) -> None:
        """Entries from ``end`` on."""
        self._entries.extend(entries)
        self.size_bytes += sum(map(len, entries))
        drop = max(0, len(self._entries) - self._max_entries)
        size = self.size_bytes - sum(map(len, self._entries[:drop]))
        while size > self._max_bytes and drop < len(self._entries):
            size -= len(self._entries[drop])
            drop += 1
        if drop:
            del self._entries[:drop]
            self.first += drop
            self.size_bytes = size

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
