"""When photos go to the hub: after everything else, within their own bytes a day; the hub's receipts for them are kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edge_gateway.journal.base import Journal
from edge_gateway.shipping.budget import Budget
from edge_gateway.sinks.base import HubLink

#: Receipts that are kept by name; older ones are counted.
MOST_RECEIPTS = 100


class PhotoDelivery:
    """One hub's. ``budget``: none is as much as there is."""

    def __init__(self, hub: HubLink, journal: Journal, wall_us: Callable[[], int]) -> None:
        self._hub = hub
        self._journal = journal
        self._wall_us = wall_us
        self._name = f"photos {hub.name}"
        kept = journal.remembered(self._name) or {}
        self._receipts: dict[str, int] = dict(kept.get("newest", {}))
        self._count = int(kept.get("count", 0))
        self.budget: Budget | None = None

    async def step(self) -> bool:
        """Send a part, if one is asked for and may go; whether anything was done. Raises SinkError."""
        if not self.due:
            return False
        try:
            done = await self._hub.show_photo(self._journal)
        finally:  # what got no answer was sent all the same
            if self.budget is not None:
                self.budget.book(self._hub.photo_bytes)
        if done is None:
            return False
        if done:
            self._receipted(done)
        return True

    @property
    def due(self) -> bool:
        """Whether bytes of this day are left."""
        return self.budget is None or self.budget.left > 0

    def _receipted(self, name: str) -> None:
        self._count += name not in self._receipts
        self._receipts[name] = self._wall_us()
        while len(self._receipts) > MOST_RECEIPTS:
            del self._receipts[next(iter(self._receipts))]
        self._journal.remember(self._name, {"newest": self._receipts, "count": self._count})

    def status(self) -> dict[str, Any]:
        """JSON-able. ``held``: photos with a receipt of the hub, ever; ``newest``: when, by hash."""
        return {"held": self._count, "newest": dict(self._receipts), "budget": self.budget and self.budget.status()}
