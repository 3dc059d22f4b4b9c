"""Where the newest state lies that is held of a gateway, and the texts it names: for one that lost its record; writes and judges nothing."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import apsw
import orjson

from regulator_hub.store import reader as read
from regulator_hub.store.ingest import named_texts
from regulator_hub.store.reader import EpochRow

#: How far back a snapshot is looked for: two segments, and how much is read at once.
MOST, CHUNK = 8_192, 512


def newest(db: apsw.Connection, gateway: str, pending: Collection[str] = (), before: tuple[str, int] | None = None) -> dict[str, Any]:
    """``recall``: ``epoch``, ``first`` (a snapshot entry's number) and ``size``: entries first … size-1 are held without a hole. None: nothing is.

    Of the newest epoch that has entries and waits for no person: a clone's is none that goes on. One that waits stands beside it
    as ``pending``, or in its place where there is no other. A branch is neither. ``before``: of that epoch, the snapshot before
    that entry.
    """
    held = [epoch for epoch in read.epochs(db, gateway) if epoch.size and epoch.branch_of is None]
    if before is not None:
        at = next((epoch for epoch in held if epoch.epoch == before[0]), None)
        return {"recall": None if at is None else _place(db, gateway, at, min(before[1], at.size))}
    accepted = [epoch for epoch in held if epoch.epoch not in pending] or held
    if not held:
        return {"recall": None}
    found = {"recall": _place(db, gateway, accepted[-1], accepted[-1].size)}
    return found if accepted[-1] is held[-1] else found | {"pending": _place(db, gateway, held[-1], held[-1].size)}


def _place(db: apsw.Connection, gateway: str, at: EpochRow, below: int) -> dict[str, Any] | None:
    first = _snapshot(db, at, below)
    if first is None:
        return None
    return {"epoch": at.epoch, "first": first, "size": first + len(read.run_of(db, gateway, at.epoch, first, at.size - first))}


def texts_of(db: apsw.Connection, gateway: str, at: dict[str, Any] | None) -> set[str]:
    """Names of the texts that the entries of such a place name: these may be asked for."""
    if at is None:
        return set()
    held = read.run_of(db, gateway, at["epoch"], at["first"], at["size"] - at["first"])
    return {name for entry in held for name in named_texts(entry)}


def text_of(db: apsw.Connection, gateway: str, sha256: str) -> bytes | None:
    """A text that this gateway delivered: another gateway's are not for the asking."""
    sql = "SELECT 1 FROM given WHERE sha256=? AND gateway=(SELECT id FROM gateways WHERE name=?)"
    return read.text(db, sha256) if db.execute(sql, (sha256, gateway)).get else None


def _snapshot(db: apsw.Connection, at: EpochRow, below: int) -> int | None:
    for end in range(below, max(0, below - MOST), -CHUNK):
        first = max(0, end - CHUNK)
        for seq, entry in reversed(read.entries(db, at.id, first, end - first)):
            if b'"snapshot"' in entry and _kind(entry) == "snapshot":
                return seq
    return None


def _kind(entry: bytes) -> object:
    try:
        content = orjson.loads(entry)
    except orjson.JSONDecodeError:
        return None
    return content.get("kind") if isinstance(content, dict) else None
