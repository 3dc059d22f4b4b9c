"""What retention does becomes entries: ranges that a sink will never be served, and what went before its keep time was over.

Knows the journal and how to add an entry; decides nothing about what goes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from edge_gateway import events
from edge_gateway.errors import JournalFull
from edge_gateway.journal.base import Journal, Lagging, SegmentInfo

#: Roots that one entry names: it has its bounds.
MAX_ROOTS = 2_000
FREED_EARLY = (
    "room is short: parts of the record went before their keep time was over, the oldest first; "
    "`edge-gateway status` says what is left (a larger disk, or a higher journal.max_bytes)"
)


class Declaring:
    """``look`` after each round. ``add(kind, body)`` appends an entry, ``commit`` makes it durable."""

    def __init__(
        self,
        journal: Journal,
        tell: events.Tell,
        add: Callable[[str, Mapping[str, Any]], Awaitable[int]],
        commit: Callable[[], Awaitable[None]],
    ) -> None:
        self._journal = journal
        self._tell = tell
        self._add = add
        self._commit = commit
        self._declared: Sequence[Lagging] = ()  # ranges in the record that could not be freed yet
        self._told = False

    async def look(self) -> None:
        """Journal what is due, and let retention go on."""
        await self._pass_laggards()
        await self._tell_freed()

    async def _pass_laggards(self) -> None:
        """A sink lags behind what must go: what it will never be served becomes an entry, then is freed."""
        ranges = self._declared or self._journal.skipped_due()
        if not ranges:
            return
        for lag in ranges if not self._declared else ():
            body = {"sink": lag.sink, "epoch": lag.epoch, "first": lag.first, "count": lag.count, "reason": lag.reason}
            await self._add("skipped", body | {"roots": list(lag.roots)})
            self._tell(
                events.SinkSkipped(sink=lag.sink, epoch=lag.epoch, first=lag.first, count=lag.count, reason=lag.reason)
            )
        await self._commit()
        self._declared = ranges
        with suppress(JournalFull):  # not even room to note it: again at the next round, and declared once
            await self._journal.free(ranges)
            self._declared = ()

    async def _tell_freed(self) -> None:
        """Segments went for want of room; they are gone already, for what waits in the queue had to be written."""
        freed = self._journal.freed_early()
        if not freed:
            return
        for body in freed_early(freed, self._journal.keep_us):
            await self._add("event", body)
        await self._commit()
        with suppress(JournalFull):  # said once more at the next round
            await self._journal.told(freed)
        if not self._told:  # once a run; status says it as long as the record is shorter than it should be
            self._told = True
            self._tell(events.Alarmed(code="freed-early", why=FREED_EARLY))


def freed_early(freed: Sequence[SegmentInfo], keep_us: int) -> Iterator[dict[str, Any]]:
    """Bodies of ``freed-early`` events, one for each run of consecutive segments of an epoch."""
    runs: list[list[SegmentInfo]] = []
    for segment in freed:
        last = runs[-1][-1] if runs else None
        if last and (last.epoch, last.first + last.count) == (segment.epoch, segment.first) and len(runs[-1]) < MAX_ROOTS:
            runs[-1].append(segment)
        else:
            runs.append([segment])
    for run in runs:
        yield {
            "event": "freed-early", "epoch": run[0].epoch, "first": run[0].first, "count": sum(s.count for s in run),
            "roots": [s.root for s in run], "keep_us": keep_us,
        }  # fmt: skip
