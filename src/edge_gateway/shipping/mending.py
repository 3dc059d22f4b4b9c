"""Sealed segments that do not read any more: told once, had again from the hub, or given up; reads no disk and judges no root.

The journal moves a damaged file aside and keeps its root. What the hub gives back must give that root; else the entries
are gone, and a ``skipped`` entry of no particular sink (``*``) says so. None of this opens a new epoch.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from edge_gateway import events
from edge_gateway.errors import JournalFull, SegmentDamaged
from edge_gateway.journal.base import Journal, SegmentInfo
from edge_gateway.sinks.base import HubLink

#: How long another sink waits for the hub to give a segment back, before it goes on without it (real seconds).
WAIT_S = 60.0
_LOOK_S = 0.1
ANYBODY = "*"


class Mending:
    """``damaged`` tells, ``mend`` has one segment back, ``again`` waits for that. ``has_hub``: somebody may give it back."""

    def __init__(
        self, journal: Journal, tell: events.Tell, record: Callable[[str, dict[str, Any]], Awaitable[object]], *, has_hub: bool
    ) -> None:
        self._journal = journal
        self._tell = tell
        self._record = record
        self._has_hub = has_hub
        self._stopping = False
        self._deaf: set[str] = set()  # hubs that cannot give anything back

    def stop(self) -> None:
        """Nobody waits any longer."""
        self._stopping = True

    def met(self, hub: HubLink) -> None:
        """A session began: perhaps with a newer release."""
        self._deaf.discard(hub.name)

    async def damaged(self, damage: SegmentDamaged, found_by: str) -> None:
        """Move it aside and tell, once. ``found_by``: ``scrub``, or the sink that came to it. Raises JournalFull."""
        if not await self._journal.set_aside(damage.epoch, damage.first):
            return
        self._tell(events.Alarmed(code="segment-damaged", why=str(damage)))
        told = {"event": "segment-damaged", "epoch": damage.epoch, "first": damage.first, "count": damage.count}
        await self._record("event", told | {"why": damage.why, "found_by": found_by})
        if not self._has_hub:
            await self.settle()

    async def settle(self) -> None:
        """Without a hub nobody can give back what is missing. On a full journal it stays missing until the next start."""
        with suppress(JournalFull):
            for segment in () if self._has_hub else list(self._journal.missing()):
                await self._give_up(segment, "there is no hub that could give it back")

    async def again(self, damage: SegmentDamaged, found_by: str) -> bool:
        """Whether a damaged segment is there again, or soon was: then it can be read."""
        await self.damaged(damage, found_by)
        ends = time.monotonic() + WAIT_S
        while self._is_missing(damage) and not self._stopping and time.monotonic() < ends:
            await asyncio.sleep(_LOOK_S)
        return not self._is_missing(damage) and not self._is_lost(await self._journal.segments(), damage)

    async def mend(self, hub: HubLink, sizes: Mapping[str, int]) -> bool:
        """Have one missing segment back that the hub holds whole; True if one was dealt with. Raises SinkError, JournalFull."""
        for segment in self._journal.missing():
            if hub.name in self._deaf or sizes.get(segment.epoch, 0) < segment.first + segment.count:
                continue  # what the hub does not hold is declared when delivery comes to it
            entries = await self._fetched(hub, segment)
            if entries is None:
                self._deaf.add(hub.name)
                return False
            if await self._journal.restore(segment.epoch, segment.first, entries):
                told = {"event": "segment-restored", "epoch": segment.epoch, "first": segment.first, "count": segment.count}
                await self._record("event", told | {"root": segment.root, "by": hub.name})
            else:
                await self._give_up(segment, f"what {hub.name} holds of it does not give the root that was kept")
            return True
        return False

    async def _fetched(self, hub: HubLink, segment: SegmentInfo) -> list[bytes] | None:
        entries: list[bytes] = []
        while len(entries) < segment.count:
            part = await hub.fetch(segment.epoch, segment.first + len(entries), segment.count - len(entries))
            if part is None:
                return None
            if not part:
                break
            entries += part
        return entries

    async def _give_up(self, segment: SegmentInfo, why: str) -> None:
        place = f"entries {segment.first} to {segment.first + segment.count - 1} of epoch {segment.epoch}"
        self._tell(events.Alarmed(code="segment-lost", why=f"{place} are gone, their root is kept: {why}"))
        body = {"sink": ANYBODY, "epoch": segment.epoch, "first": segment.first, "count": segment.count, "reason": "damaged"}
        await self._record("skipped", body | {"roots": [segment.root]})
        await self._journal.give_up(segment.epoch, segment.first)

    def _is_missing(self, damage: SegmentDamaged) -> bool:
        return any((s.epoch, s.first) == (damage.epoch, damage.first) for s in self._journal.missing())

    @staticmethod
    def _is_lost(segments: list[SegmentInfo], damage: SegmentDamaged) -> bool:
        return any((s.epoch, s.first) == (damage.epoch, damage.first) and s.lost for s in segments)
