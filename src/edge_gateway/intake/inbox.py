"""The bounded hand-over from sources to intake; it keeps order and drops nothing."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from edge_gateway.reading import Item

#: Items (batches, gaps, notes) that may wait; a batch of 20 readings is about 2 KB.
MAX_ITEMS = 2_048


@dataclass(slots=True)
class Command:
    """Something a person or the application wants done between two entries, in the order of the record.

    ``act`` runs inside intake's loop and returns once its entries are pending; ``done`` resolves after the commit.
    """

    act: Callable[[], Awaitable[object]]
    done: asyncio.Future[object]


class Inbox:
    """A bounded queue whose reader takes everything at once: one wake-up for many batches."""

    def __init__(self, max_items: int = MAX_ITEMS) -> None:
        self._items: deque[Item | Command | None] = deque()
        self._max_items = max_items
        self._filled = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self.paused = False  # the journal is full: sources open a gap instead of queueing

    def __len__(self) -> int:
        return len(self._items)

    def full(self) -> bool:
        """True while nothing more should be read from the field."""
        return self.paused or len(self._items) >= self._max_items

    async def put(self, item: Item) -> None:
        """Wait for room, then hand over."""
        while len(self._items) >= self._max_items:
            self._room.clear()
            await self._room.wait()
        self._items.append(item)
        self._filled.set()

    def put_last(self, items: Iterable[Item]) -> None:
        """What a source leaves that is no more: few, and intake itself is waiting, so there is no waiting for room."""
        self._items.extend(items)
        self._filled.set()

    def put_command(self, command: Command) -> None:
        """Commands do not wait for room: there are few, and a person waits."""
        self._items.append(command)
        self._filled.set()

    def close(self) -> None:
        """No more will come: the reader gets everything, then None."""
        self._items.append(None)
        self._filled.set()

    async def take(self, timeout_s: float | None) -> list[Item | Command | None]:
        """Everything that waits; [] when nothing came within ``timeout_s`` (None: wait for ever)."""
        if not self._items:
            self._filled.clear()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._filled.wait()
            except TimeoutError:
                return []
        items = list(self._items)
        self._items.clear()
        self._room.set()
        return items
