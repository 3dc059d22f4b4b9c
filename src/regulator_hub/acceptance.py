"""Which of a gateway's epochs wait for a person, and what a new one says of those before it; cosigns nothing and stores no entry.

A new epoch may be honest damage or a way around the record: a person looks, and accepts it. Until then it is receipted,
shown and alarmed as any other, only not cosigned. Registering a gateway's key accepts what the hub knows of it then, or
the first epoch that comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import apsw
import orjson

from edge_gateway.record.merkle import Frontier
from regulator_hub.gateways import Gateways, Registered
from regulator_hub.store import reader as read
from regulator_hub.store import witnessed as store
from regulator_hub.store.ingest import FORK, ROLL_BACK
from regulator_hub.store.reader import EpochRow, Reader
from regulator_hub.store.writer import Writer

#: In whose name, and why, the first epoch is accepted that comes after the key.
ITSELF, FIRST = "regulator-hub", "the first epoch since the key was registered"
#: Entries that are hashed at a time.
CHUNK = 512
#: epoch -> (size, root) of what was cosigned last.
Logs = Mapping[str, tuple[int, bytes]]


@dataclass(frozen=True, slots=True)
class Behind:
    """An epoch's first entry names less than the hub cosigned, or (``kind`` fork) the same size with another root."""

    kind: str
    epoch: str  # whose newest cosigned checkpoint it should have named
    size: int
    named: int  # how much of that epoch it names, 0 if nothing

    def held(self) -> dict[str, object]:
        """As the protocol says it."""
        return {"epoch": self.epoch, "size": self.size}


def accepted(registered: Registered, epochs: Sequence[EpochRow], cosigned: Logs) -> set[str]:
    """Epochs that may be cosigned: a person accepted them, or something of them was cosigned; before both, the first one."""
    found = {each.epoch for each in registered.accepted} | {epoch for epoch, (size, _) in cosigned.items() if size}
    return found or ({_first(epochs).epoch} if epochs else set())


def waiting(registered: Registered | None, epochs: Sequence[EpochRow], cosigned: Logs) -> list[str]:
    """Epochs, oldest first, of which something came and that nobody accepted. Without a key nothing waits: nothing is cosigned.

    Nor does a branch: what was refused in an epoch is kept beside it, and is no record that goes on.
    """
    if registered is None or not registered.keys:
        return []
    done = accepted(registered, epochs, cosigned)
    return [each.epoch for each in epochs if each.size and each.epoch not in done and each.branch_of is None]


def behind(entry: bytes, epoch: str, epochs: Sequence[EpochRow], cosigned: Logs, roots: Mapping[int, bytes] | None = None) -> Behind | None:
    """What is wrong with what the first entry of ``epoch`` names; None if it names all that was cosigned before it.

    The end of the epoch before it may be cosigned after it was born, so what it says to hold of that one counts too,
    unless it was given up as rolled back. A size alone is a claim: it counts with the root that we cosigned, or that our own bytes
    have there (``roots``, by size: see ``claims``). Only beyond what is left here of what we cosigned, after this hub lost its
    store, is a size enough: nothing can prove it, and the loss is alarmed by itself.
    """
    newest = _newest(epoch, epochs, cosigned)
    if newest is None:
        return None
    size, root = cosigned[newest]
    known = {**(roots or {}), size: root}
    held = next(each.size for each in epochs if each.epoch == newest)
    most = 0
    for told, claimed in _claims(entry, newest):
        if (own := known.get(told)) is not None and own.hex() == claimed:
            most = max(most, told)
        elif told == size:
            return Behind(FORK, newest, size, size)
        elif held < size and told > held:
            most = max(most, told)
    return None if most >= size else Behind(ROLL_BACK, newest, size, most)


def claims(entry: bytes, epoch: str, epochs: Sequence[EpochRow], cosigned: Logs) -> tuple[EpochRow, list[int]] | None:
    """The epoch of which the first entry of ``epoch`` names sizes, and those that our own bytes can prove; None: nothing was cosigned before it."""
    newest = _newest(epoch, epochs, cosigned)
    if newest is None:
        return None
    row = next(each for each in epochs if each.epoch == newest)
    return row, sorted({told for told, _ in _claims(entry, newest) if told != cosigned[newest][0] and told <= row.size})


def _newest(epoch: str, epochs: Sequence[EpochRow], cosigned: Logs) -> str | None:
    """The newest epoch before this one of which something was cosigned."""
    before = [each.epoch for each in epochs[: [each.epoch for each in epochs].index(epoch)] if each.epoch in cosigned]
    return before[-1] if before else None


def _claims(entry: bytes, newest: str) -> list[tuple[int, str]]:
    """(size, root) of ``newest`` that a first entry names: as the newest cosigned one, and as what was there."""
    previous = _table(_table(_decoded(entry)).get("previous"))
    tables = [table for table in (_table(previous.get("cosigned")), previous) if table.get("epoch") == newest and _counts(table)]
    return [(table["size"], str(table.get("root"))) for table in tables if type(table.get("size")) is int and table["size"] > 0]


class Acceptance:
    """Asked by the witness before it cosigns, and by whoever shows what waits."""

    def __init__(self, *, gateways: Gateways, reader: Reader, writer: Writer, wall_us: Callable[[], int]) -> None:
        self._gateways = gateways
        self._reader = reader
        self._writer = writer
        self._wall_us = wall_us

    async def pending(self, gateway: str, cosigned: Logs) -> list[str]:
        """Epochs that wait for a person, oldest first. Raises ConfigError for a registration that cannot be read."""
        return waiting(self._gateways.find(gateway), await self._reader.run(read.epochs, gateway), cosigned)

    async def waits(self, gateway: str, epoch: str, cosigned: Logs) -> bool:
        """Whether ``epoch`` may not be cosigned yet. That the first one may is written down here. Raises ConfigError, OSError."""
        registered = self._gateways.find(gateway)
        if registered is None:
            return True
        done = accepted(registered, await self._reader.run(read.epochs, gateway), cosigned)
        if epoch in done and not registered.accepted and not cosigned:
            why = {"by": ITSELF, "reason": FIRST}
            await asyncio.to_thread(self._gateways.accept, gateway, epoch, **why, wall_us=self._wall_us())
        return epoch not in done

    async def born(self, gateway: str, epoch: str, cosigned: Logs) -> Behind | None:
        """What the first entry of an epoch lacks, alarmed; None if nothing, or if that entry is not here. Raises StoreFailed."""
        epochs = await self._sound(gateway, await self._reader.run(read.epochs, gateway), cosigned)
        mine = next((each for each in epochs if each.epoch == epoch), None)
        first = await self._reader.run(read.entries, mine.id, 0, 1) if mine is not None else []
        found = behind(first[0][1], epoch, epochs, cosigned, await self._roots(first[0][1], epoch, epochs, cosigned)) if first else None
        if found is not None:
            detail: dict[str, object] = {"cosigned": found.size, "of": found.epoch, "named": found.named}
            now_us, about = self._wall_us(), f"epoch {epoch}"

            def alarm(db: apsw.Connection) -> None:
                store.raised(db, gateway, found.kind, about, now_us, detail)

            await self._writer.run(alarm)
        return found

    async def _sound(self, gateway: str, epochs: Sequence[EpochRow], cosigned: Logs) -> list[EpochRow]:
        """Of epochs that were cosigned, only as far as nothing was declared skipped: behind that our own bytes prove no root."""
        found = []
        for each in epochs:
            at = await self._reader.run(store.stored, gateway, each.epoch) if each.epoch in cosigned else None
            gone = None if at is None else at.missing_first
            found.append(each if gone is None else replace(each, size=min(each.size, gone)))
        return found

    async def _roots(self, entry: bytes, epoch: str, epochs: Sequence[EpochRow], cosigned: Logs) -> dict[int, bytes]:
        """size -> root of our own bytes, where a first entry claims such a size. Empty beyond a hole. Raises StoreFailed."""
        claimed = claims(entry, epoch, epochs, cosigned)
        found: dict[int, bytes] = {}
        if claimed is None:
            return found
        row, sizes = claimed
        tree: Frontier | None = Frontier()
        for size in sizes:
            while tree is not None and tree.size < size:
                tree = await self._reader.run(store.grown, row.id, tree, min(size, tree.size + CHUNK))
            if tree is None:
                break
            found[size] = tree.root()
        return found


def _first(epochs: Sequence[EpochRow]) -> EpochRow:
    """The one that the hub heard of first: a gateway's own order of its epochs is not what counts here."""
    return min(epochs, key=lambda each: each.id)


def _counts(table: Mapping[str, Any]) -> bool:
    return table.get("reason") != "roll-back"


def _decoded(entry: bytes) -> object:
    try:
        return orjson.loads(entry)
    except orjson.JSONDecodeError:
        return None  # whatever it is, it names nothing


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
