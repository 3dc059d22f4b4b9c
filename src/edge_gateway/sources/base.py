"""The contract between a source and intake; knows no source and no intake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from edge_gateway.reading import Group, Item


class Inbox(Protocol):
    """Bounded hand-over to intake."""

    async def put(self, item: Item) -> None:
        """Wait for room, then hand over. Order within a source is kept. Never drops."""
        ...

    def full(self) -> bool:
        """True while intake cannot take more (journal full or slow): a source then skips slots and opens a gap."""
        ...


class Source(Protocol):
    """One bus: a serial line, a TCP endpoint, or a broker connection."""

    @property
    def id(self) -> str:
        """The bus' identifier."""
        ...

    def groups(self) -> Sequence[Group]:
        """The poll groups as planned: what the resolved configuration names."""
        ...

    async def update(self, devices: Sequence[Any]) -> None:
        """Take over another list of devices; untouched ones miss no slot, and the groups of changed ones end with a gap."""
        ...

    async def run(self, inbox: Inbox) -> None:
        """Read until cancelled. Link trouble is the source's own affair; only programming errors leave."""
        ...

    def farewell(self, mono_us: int) -> Sequence[Item]:
        """After ``run`` was cancelled for good: what was not handed over, and the ends of the gaps that are open.

        ``mono_us``: the one instant at which this source ended; each slot up to it is accounted for, none behind it.
        """
        ...

    def begin_behind(self, mono_us: int) -> None:
        """Before ``run``, in place of a source that ended at this instant: the first slots are the first ones behind it."""
        ...

    def health(self) -> Mapping[str, Any]:
        """JSON-able counters and states of line and devices, for status, page and metrics."""
        ...

    def unaccounted_us(self, mono_us: int) -> int:
        """How long past its own interval the most overdue slot stands without batch or gap, in µs; ≤ 0 when none.

        The watchdog's question: the event loop may turn while a source hangs.
        """
        ...
