"""A record in memory with the journal's reading side, for tests of the hub's sink; holds what a test puts in."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from edge_gateway.journal.base import EpochInfo, Position, SegmentInfo


class Record:
    """Implements ``journal.base.Reader``: ``epoch -> (first, entries)``."""

    def __init__(self) -> None:
        self.held: dict[str, tuple[int, list[bytes]]] = {}
        self.texts: dict[str, bytes] = {}

    def add(self, epoch: str, entries: Sequence[bytes]) -> int:
        """Append; the first one's seq."""
        first, there = self.held.setdefault(epoch, (0, []))
        there.extend(entries)
        return first + len(there) - len(entries)

    def free(self, epoch: str, first: int) -> None:
        """Entries below ``first`` are gone."""
        old, there = self.held[epoch]
        self.held[epoch] = (first, there[first - old :])

    def epochs(self) -> list[EpochInfo]:
        return [
            EpochInfo(epoch=e, first=first, size=first + len(there), closed=False, reason="new", wall_us=0)
            for e, (first, there) in self.held.items()
        ]

    async def read(self, start: Position, *, max_entries: int, max_bytes: int) -> list[bytes]:
        first, there = self.held[start.epoch]
        if start.seq < first:
            raise KeyError(start)
        found, size = [], 0
        for entry in there[start.seq - first : start.seq - first + max_entries]:
            size += len(entry)
            if found and size > max_bytes:
                break
            found.append(entry)
        return found

    async def config(self, epoch: str, config_seq: int) -> dict[str, Any]:
        first, there = self.held[epoch]
        parsed: dict[str, Any] = json.loads(self.texts[json.loads(there[config_seq - first])["text"]])
        return parsed

    async def text(self, sha256: str) -> bytes:
        return self.texts[sha256]

    async def segments(self) -> list[SegmentInfo]:
        return []
