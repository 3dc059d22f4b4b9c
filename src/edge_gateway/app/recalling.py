"""Asks the hub, before anything is judged, for the state of a record that is gone here; decides nothing of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from edge_gateway.errors import JournalDamaged, SinkError
from edge_gateway.intake.recalling import recalled
from edge_gateway.intake.recovery import Recovered
from edge_gateway.rules.base import BoundRule
from edge_gateway.sinks.base import HubLink, Recalled

log = logging.getLogger("edge_gateway")
#: What giving the state back may take in all: a segment over a slow link (real seconds).
RECALL_S = 15.0


async def from_hub(hubs: Sequence[HubLink], gateway: str, rules: Sequence[BoundRule]) -> tuple[Recovered, Recalled, str] | None:
    """The state to go on from, what it was made of, and whose word it is; None where no hub answers in time or holds nothing that reads."""
    for hub in hubs:
        try:
            async with asyncio.timeout(RECALL_S):
                taken = await hub.recall()
            if taken is not None:
                return await recalled(taken, gateway, rules), taken, hub.name
        except (SinkError, JournalDamaged, TimeoutError) as error:
            log.warning("the state of the record that is gone here does not come back from '%s': %s", hub.name, error)
    return None
