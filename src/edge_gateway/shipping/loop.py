"""All sinks side by side: one task each, so that a dead sink delays no other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edge_gateway import events
from edge_gateway.journal.base import Journal, Quarantined
from edge_gateway.shipping.budget import Budget
from edge_gateway.shipping.delivery import Asks, Delivery
from edge_gateway.shipping.hub import HubDelivery
from edge_gateway.shipping.mending import Mending
from edge_gateway.sinks.base import HubLink, Retrying, Sink


class Shipping:
    """Owns the deliveries; ``run`` ends after ``stop`` once every sink has what there is, or is in trouble."""

    def __init__(
        self,
        *,
        journal: Journal,
        sinks: Sequence[Sink],
        hubs: Sequence[HubLink],
        tell: events.Tell,
        wall_us: Callable[[], int],
        asks: Asks,
        budgets: Mapping[str, Budget] | None = None,
    ) -> None:
        """``budgets``: by sink, where one is set."""
        self._journal = journal
        self._hubs = list(hubs)
        self._stopping = asyncio.Event()
        self.mending = mending = Mending(journal, tell, asks.record, has_hub=bool(hubs))
        self.deliveries: list[Delivery] = [
            Delivery(sink=sink, journal=journal, tell=tell, wall_us=wall_us, asks=asks, mending=mending) for sink in sinks
        ]
        self.deliveries += [
            HubDelivery(sink=hub, journal=journal, tell=tell, wall_us=wall_us, asks=asks, mending=mending) for hub in hubs
        ]

        for delivery in self.deliveries:
            delivery.budget = (budgets or {}).get(delivery.sink.name)
            if isinstance(delivery, HubDelivery):
                delivery.photos.budget = (budgets or {}).get(f"{delivery.sink.name} photos")

    async def run(self) -> None:
        """Serve all sinks until stopped; sinks are closed at the end."""
        unsubscribe = self._journal.subscribe(self._committed)
        try:
            async with asyncio.TaskGroup() as lanes:
                live = [lanes.create_task(hub.run_live(self._journal), name=f"live:{hub.name}") for hub in self._hubs]
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._stopping.wait(), name="ship")  # also without any sink
                    group.create_task(self.mending.settle(), name="mend")
                    for delivery in self.deliveries:
                        group.create_task(delivery.run(), name=f"ship:{delivery.sink.name}")
                for task in live:
                    task.cancel()
        finally:
            unsubscribe()
            for delivery in self.deliveries:
                await delivery.sink.close()

    def stop(self) -> None:
        """No more will be committed: deliver the rest."""
        self._stopping.set()
        self.mending.stop()
        for delivery in self.deliveries:
            delivery.stop()

    def when_reached(self, call: Callable[[], None]) -> None:
        """``call`` each time a hub is met again: what it is owed is signed then, not half a minute later."""
        for delivery in self.deliveries:
            if isinstance(delivery, HubDelivery):
                delivery.reached = call

    def signed(self, epoch: str, size: int, note: bytes) -> None:
        """A checkpoint was made: it is for the hub."""
        for delivery in self.deliveries:
            if isinstance(delivery, HubDelivery):
                delivery.signed(epoch, size, note)

    async def retry(self, items: Sequence[Quarantined]) -> dict[str, Any]:
        """Offer refused lines to their sinks once more. What is taken leaves the quarantine; what is refused again is told.

        What the sink's own pacing does not allow now is in neither count: ask again.

        Raises Unreachable or NotAuthorised when a sink is away: nothing has changed then.
        """
        refused: list[dict[str, Any]] = []
        taken = 0
        for delivery in self.deliveries:
            sink = delivery.sink
            mine = [item for item in items if item.sink == sink.name]
            if not mine:
                continue
            if not isinstance(sink, Retrying):
                refused += [{"id": item.id, "reason": f"{sink.name} takes no single lines"} for item in mine]
                continue
            answers = await sink.retry(mine)
            refused += [{"id": id_, "reason": why} for id_, why in answers if why]
            taken += await self._journal.quarantine_drop([id_ for id_, why in answers if not why])
        return {"taken": taken, "refused": refused}

    def _committed(self, epoch: str, first: int, entries: Sequence[bytes]) -> None:
        for hub in self._hubs:
            hub.offer(epoch, first, entries)
        for delivery in self.deliveries:
            delivery.wake()

    def status(self) -> dict[str, Any]:
        """JSON-able, a sink each."""
        return {
            delivery.sink.name: {
                "state": delivery.progress.state,
                "why": delivery.progress.why,
                "backlog": delivery.progress.backlog,
                "delivered": delivery.progress.delivered,
                "rejected": delivery.progress.rejected,
                "skipped": delivery.progress.skipped,
                "last_ok_wall_us": delivery.progress.last_ok_wall_us,
                "budget": delivery.budget and delivery.budget.status(),
                **delivery.sink.status(),
                **({"photo_receipts": delivery.photos.status()} if isinstance(delivery, HubDelivery) else {}),
            }
            for delivery in self.deliveries
        }
