"""``quarantine retry`` and ``drop``: offering refused items to their sinks again; knows no sink's protocol.

Nothing leaves the quarantine but what its sink took, or what a person dropped; the journal keeps the readings anyway.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from edge_gateway.errors import SinkError
from edge_gateway.journal.base import Journal, Quarantined
from edge_gateway.sinks.base import Sink


@runtime_checkable
class Retries(Protocol):
    """A sink that can be offered single items again."""

    async def retry(self, items: Sequence[Quarantined]) -> list[tuple[int, str]]:
        """(id, "") where it was taken, (id, why) where it was refused again; ids left out were not tried yet."""
        ...


async def retry(journal: Journal, sinks: Iterable[Sink], ids: Sequence[int]) -> dict[str, Any]:
    """Offer items again. JSON-able: ``taken``, ``refused`` [{id, reason}], ``waiting`` [{id, why}], ``unknown``."""
    listed = {item.id: item for item in await journal.quarantine_list()}
    by_name: Mapping[str, Sink] = {sink.name: sink for sink in sinks}
    answer: dict[str, Any] = {
        "taken": [],
        "refused": [],
        "waiting": [],
        "unknown": [number for number in ids if number not in listed],
    }
    for name in dict.fromkeys(listed[number].sink for number in ids if number in listed):
        items = [listed[number] for number in dict.fromkeys(ids) if number in listed and listed[number].sink == name]
        await _offer(by_name.get(name), items, answer)
    if answer["taken"]:
        await journal.quarantine_drop(answer["taken"])
    return answer


async def _offer(sink: object, items: Sequence[Quarantined], answer: dict[str, Any]) -> None:
    why = "" if isinstance(sink, Retries) else "this sink is not configured any more, or takes no single items"
    results: list[tuple[int, str]] = []
    if isinstance(sink, Retries):
        try:
            results = await sink.retry(items)
        except SinkError as error:
            why = str(error)
    told = {number for number, _ in results}
    answer["taken"] += [number for number, words in results if not words]
    answer["refused"] += [{"id": number, "reason": words} for number, words in results if words]
    later = why or "paced: ask again in a few seconds"
    answer["waiting"] += [{"id": item.id, "why": later} for item in items if item.id not in told]


async def drop(journal: Journal, ids: Sequence[int]) -> dict[str, Any]:
    """Forget items. JSON-able: ``dropped`` (how many) and ``unknown`` ids."""
    listed = {item.id for item in await journal.quarantine_list()}
    known = [number for number in dict.fromkeys(ids) if number in listed]
    return {"dropped": await journal.quarantine_drop(known), "unknown": [n for n in ids if n not in listed]}
