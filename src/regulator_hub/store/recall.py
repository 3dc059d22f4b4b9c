"""Where the newest state lies that is held of a gateway, and the texts it names: for one that lost its record; writes and judges nothing."""

from __future__ import annotations

from typing import Any

import apsw
import orjson

from regulator_hub.store import reader as read
from regulator_hub.store.ingest import named_texts
from regulator_hub.store.reader import EpochRow

#: How far back a snapshot is looked for: two segments, and how much is read at once.
MOST, CHUNK = 8_192, 512


def newest(db: apsw.Connection, gateway: str) -> dict[str, Any] | None:
    """``epoch``, ``first`` (a snapshot entry's number) and ``size``: entries first … size-1 are held without a hole. None: nothing is.

    Of the newest epoch that has entries; what was refused and kept as a branch is no record that goes on.
    """
    at = _newest(db, gateway)
    first = None if at is None else _snapshot(db, at)
    if at is None or first is None:
        return None
    return {"epoch": at.epoch, "first": first, "size": first + len(read.run_of(db, gateway, at.epoch, first, at.size - first))}


def text_of(db: apsw.Connection, gateway: str, sha256: str) -> bytes | None:
    """A text that the entries of this state name and this gateway delivered: another gateway's are not for the asking."""
    at = newest(db, gateway)
    if at is None:
        return None
    held = read.run_of(db, gateway, at["epoch"], at["first"], at["size"] - at["first"])
    named = any(sha256 in named_texts(entry) for entry in held if sha256.encode() in entry)
    sql = "SELECT 1 FROM given WHERE sha256=? AND gateway=(SELECT id FROM gateways WHERE name=?)"
    return read.text(db, sha256) if named and db.execute(sql, (sha256, gateway)).get else None


def _newest(db: apsw.Connection, gateway: str) -> EpochRow | None:
    held = [epoch for epoch in read.epochs(db, gateway) if epoch.size and epoch.branch_of is None]
    return held[-1] if held else None


def _snapshot(db: apsw.Connection, at: EpochRow) -> int | None:
    for end in range(at.size, max(0, at.size - MOST), -CHUNK):
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
