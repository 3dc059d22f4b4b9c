"""Messages that nobody could read: counted, the newest kept, told at a bounded rate; knows no broker."""

from __future__ import annotations

import hashlib
from collections import deque
from typing import Any

from edge_gateway.reading import Note

#: The newest of them that ``health`` shows.
KEPT = 50
#: At most one entry of them in this time (real seconds); those between are counted in the next one.
NOTE_EVERY_S = 10.0
#: How much of a payload is kept.
_HEAD_BYTES = 1024


class Unreadable:
    """Bounded memory of what could not be read."""

    def __init__(self, bus: str) -> None:
        self.count = 0
        self._bus = bus
        self._kept: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._untold = 0
        self._told_s: float | None = None

    def add(self, topic: str, payload: bytes, why: str, *, wall_us: int, size_bytes: int) -> dict[str, Any]:
        """Keep one; ``payload`` may be its beginning only, ``size_bytes`` is the whole."""
        self.count += 1
        item: dict[str, Any] = {
            "bus": self._bus,
            "topic": topic[:512],
            "why": why[:300],
            "wall_us": wall_us,
            "size_bytes": size_bytes,
            "payload": payload[:_HEAD_BYTES].decode(errors="replace"),
        }
        if len(payload) == size_bytes:
            item["sha256"] = hashlib.sha256(payload).hexdigest()
        self._kept.append(item)
        return item

    def note(self, item: dict[str, Any], now_s: float) -> Note | None:
        """An entry about it; None when one was written just now."""
        if self._told_s is not None and now_s - self._told_s < NOTE_EVERY_S:
            self._untold += 1
            return None
        self._told_s = now_s
        detail = {key: value for key, value in item.items() if key != "wall_us"} | {"unreported_before": self._untold}
        self._untold = 0
        return Note(event="message-unparsed", detail=detail)

    def kept(self) -> list[dict[str, Any]]:
        """The newest ones, oldest first."""
        return list(self._kept)
