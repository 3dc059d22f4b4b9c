"""Reading the store beside the writer: entries, epochs, texts, alarms; writes nothing and interprets nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import apsw
import orjson

from regulator_hub.store.schema import SEQ_BITS, key_of, open_reader, rows, spans

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRow:
    """One epoch as held: ``number`` orders a gateway's epochs, ``closed_at`` is the seq of a conflict."""

    id: int
    gateway: str
    epoch: str
    number: int
    size: int
    closed_at: int | None
    branch_of: str | None = None
    branch_at: int = 0  # entries below it are those of ``branch_of``


class Reader:
    """Queries in a thread of their own, on a read-only connection. Call only after the writer made the file."""

    def __init__(self, path: Path) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hub-reader")
        self._db = open_reader(path)

    async def run(self, query: Callable[Concatenate[apsw.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of ``query(connection, …)``."""
        ask = partial(query, self._db, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._thread, ask)

    async def close(self) -> None:
        """End the thread, close the file."""
        await asyncio.to_thread(self._thread.shutdown)
        self._db.close()


def gateways(db: apsw.Connection) -> list[dict[str, Any]]:
    """Gateways that ever delivered: id, first and last message (µs UTC)."""
    sql = "SELECT id, name, first_us, last_us FROM gateways ORDER BY name"
    return [{"id": i, "gateway": name, "first_us": a, "last_us": b} for i, name, a, b in rows(db, sql)]


def newest(db: apsw.Connection) -> dict[tuple[str, str], int]:
    """(gateway, epoch) → the highest seq of what was received, on either lane; -1 when there is none."""
    sql = (
        "SELECT g.name, e.epoch, max(e.size - 1,"
        " coalesce((SELECT max(key) - (e.id << ?1) FROM live WHERE key >= e.id << ?1 AND key < (e.id + 1) << ?1), -1))"
        " FROM epochs e JOIN gateways g ON g.id = e.gateway"
    )
    return {(name, epoch): seq for name, epoch, seq in rows(db, sql, (SEQ_BITS,))}


def open_alarms(db: apsw.Connection, kind: str) -> set[tuple[str, str]]:
    """(gateway, about) of the alarms of this kind that are open."""
    sql = "SELECT g.name, a.about FROM alarms a JOIN gateways g ON g.id = a.gateway WHERE a.kind=? AND a.until_us IS NULL"
    return {(name, about) for name, about in rows(db, sql, (kind,))}


def epochs(db: apsw.Connection, gateway: str) -> list[EpochRow]:
    """The gateway's epochs, oldest first."""
    sql = (
        "SELECT e.id, g.name, e.epoch, e.number, e.size, e.closed_at, l.epoch, e.branch_at"
        " FROM epochs e JOIN gateways g ON g.id = e.gateway LEFT JOIN epochs l ON l.id = e.branch_of"
        " WHERE g.name=? ORDER BY e.number, e.id"
    )
    names = ("id", "gateway", "epoch", "number", "size", "closed_at", "branch_of", "branch_at")
    return [EpochRow(**dict(zip(names, row, strict=True))) for row in rows(db, sql, (gateway,))]


def entries(db: apsw.Connection, epoch_id: int, first: int, count: int) -> list[tuple[int, bytes]]:
    """Held entries ``(seq, bytes)`` with first ≤ seq < first + count; what was declared skipped is missing."""
    if first >= 1 << SEQ_BITS:
        return []  # beyond every seq: as a key it would be another place
    sql = "SELECT key, entry FROM entries WHERE key>=? AND key<? ORDER BY key"
    found: list[tuple[int, bytes]] = []
    for lies_in, start, end in spans(db, epoch_id, first, min(first + count, (1 << SEQ_BITS) - 1)):
        bounds = (key_of(lies_in, start), key_of(lies_in, end))
        found += [(key - bounds[0] + start, entry) for key, entry in rows(db, sql, bounds)]
    return found


def run_of(db: apsw.Connection, gateway: str, epoch: str, first: int, count: int) -> list[bytes]:
    """Held entries of an epoch from ``first`` on, without a hole; [] where the first one is not held."""
    sql = "SELECT e.id FROM epochs e JOIN gateways g ON g.id = e.gateway WHERE g.name=? AND e.epoch=?"
    found = db.execute(sql, (gateway, epoch)).get
    held = [] if found is None else entries(db, int(found), first, count)
    return [entry for expected, (seq, entry) in enumerate(held, first) if seq == expected]


def live_copies(db: apsw.Connection, epoch_id: int) -> list[tuple[int, bytes]]:
    """Copies not yet received in order."""
    sql = "SELECT key, entry FROM live WHERE key>=? AND key<? ORDER BY key"
    start = key_of(epoch_id, 0)
    return [(key - start, entry) for key, entry in rows(db, sql, (start, key_of(epoch_id + 1, 0)))]


def text(db: apsw.Connection, sha256: str) -> bytes | None:
    """A content-addressed text."""
    found: bytes | None = db.execute("SELECT text FROM texts WHERE sha256=?", (sha256,)).get
    return found


def alarms(db: apsw.Connection, gateway: str | None = None) -> list[dict[str, Any]]:
    """Open alarms first, newest first, at most 500."""
    sql = (
        "SELECT g.name, a.kind, a.about, a.since_us, a.until_us, a.detail FROM alarms a JOIN gateways g ON g.id = a.gateway"
        " WHERE ?1 IS NULL OR g.name = ?1 ORDER BY a.until_us IS NOT NULL, a.since_us DESC LIMIT 500"
    )
    names = ("gateway", "kind", "about", "since_us", "until_us", "detail")
    found = [dict(zip(names, row, strict=True)) for row in rows(db, sql, (gateway,))]
    return [alarm | {"detail": orjson.loads(alarm["detail"])} for alarm in found]


def skipped(db: apsw.Connection, epoch_id: int) -> list[dict[str, Any]]:
    """Ranges that were declared skipped, with reason and kept roots; ``missing_first``: from where on nothing is held."""
    sql = "SELECT first, count, missing_first, reason, roots, declared_us FROM skipped WHERE epoch=? ORDER BY first"
    names = ("first", "count", "missing_first", "reason", "roots", "declared_us")
    found = [dict(zip(names, row, strict=True)) for row in rows(db, sql, (epoch_id,))]
    return [item | {"roots": orjson.loads(item["roots"])} for item in found]


def evidence(db: apsw.Connection, gateway: str) -> list[dict[str, Any]]:
    """What differed from what is held, newest first, at most 100: both byte strings as text."""
    sql = (
        "SELECT v.kind, e.epoch, v.seq, v.held, v.offered, v.found_us FROM evidence v JOIN epochs e ON e.id = v.epoch"
        " JOIN gateways g ON g.id = e.gateway WHERE g.name=? ORDER BY v.id DESC LIMIT 100"
    )
    names = ("kind", "epoch", "seq", "held", "offered", "found_us")
    found = [dict(zip(names, row, strict=True)) for row in rows(db, sql, (gateway,))]
    return [i | {key: (i[key] or b"").decode(errors="replace") for key in ("held", "offered")} for i in found]


def view(db: apsw.Connection, gateway: str) -> dict[str, Any] | None:
    """The kept interpretation of a gateway's entries, or None."""
    sql = "SELECT v.state FROM views v JOIN gateways g ON g.id = v.gateway WHERE g.name=?"
    found = db.execute(sql, (gateway,)).get
    return None if found is None else dict(orjson.loads(found))
