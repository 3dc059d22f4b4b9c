"""What the store has of checkpoints: hashes of its own entries, the newest cosigned note, what was shown and refused; holds no key."""

from __future__ import annotations

from dataclasses import dataclass

import apsw

from edge_gateway.record.merkle import Frontier, leaf_hash
from regulator_hub.store.ingest import alarm, gateway_of, missing
from regulator_hub.store.schema import key_of, rows, spans

#: Refused notes kept of one kind and epoch: the first ones tell the story.
MAX_NOTES = 16


@dataclass(frozen=True, slots=True)
class Stored:
    """An epoch as it lies here: entries 0 … size-1 but for what begins at ``missing_first``; ``closed`` by a conflict."""

    id: int
    size: int
    closed: bool
    missing_first: int | None


def stored(db: apsw.Connection, gateway: str, epoch: str) -> Stored | None:
    """The epoch, None if nothing of it ever came."""
    sql = "SELECT e.id, e.size, e.closed_at FROM epochs e JOIN gateways g ON g.id = e.gateway WHERE g.name=? AND e.epoch=?"
    found = rows(db, sql, (gateway, epoch))
    if not found:
        return None
    ((number, size, closed_at),) = found
    gone = missing(db, number)
    return Stored(number, size, closed_at is not None, gone[0][0] if gone else None)


def grown(db: apsw.Connection, epoch_id: int, frontier: Frontier, end: int) -> Frontier | None:
    """The tree with the stored entries up to ``end``; None where one of them is not there. Leaves ``frontier`` as it is."""
    found = Frontier(frontier.size, frontier.edge)
    for lies_in, first, until in spans(db, epoch_id, found.size, end):
        start, bounds = key_of(lies_in, 0), (key_of(lies_in, first), key_of(lies_in, until))
        for key, entry in db.execute("SELECT key, entry FROM entries WHERE key>=? AND key<? ORDER BY key", bounds):
            if key - start != found.size:
                return None
            found.append(leaf_hash(entry))
    return found if found.size == end else None


def keep(db: apsw.Connection, gateway: str, epoch: str, size: int, note: bytes) -> None:
    """Keep the newest cosigned note of an epoch."""
    found = stored(db, gateway, epoch)
    if found is not None:
        db.execute("INSERT OR REPLACE INTO cosigned VALUES (?,?,?)", (found.id, size, note))


def notes(db: apsw.Connection, gateway: str) -> list[tuple[str, int, bytes]]:
    """``(epoch, size, note)`` of the newest cosigned checkpoints, oldest epoch first."""
    sql = (
        "SELECT e.epoch, c.size, c.note FROM cosigned c JOIN epochs e ON e.id = c.epoch JOIN gateways g ON g.id = e.gateway"
        " WHERE g.name=? ORDER BY e.number, e.id"
    )
    return [(epoch, size, note) for epoch, size, note in rows(db, sql, (gateway,))]


def raised(db: apsw.Connection, gateway: str, kind: str, about: str, now_us: int, detail: dict[str, object]) -> None:
    """An alarm about a gateway that may not have delivered to this store."""
    alarm(db, gateway_of(db, gateway, 0), kind, about, now_us, detail)


def held_against(
    db: apsw.Connection, gateway: str, epoch: str, refused: tuple[str, int, bytes, bytes], now_us: int
) -> None:
    """Keep a refused note as evidence beside what is held: ``refused`` is (kind, size, our checkpoint's text, the note)."""
    kind, size, ours, note = refused
    found = stored(db, gateway, epoch)
    if found is None:
        return
    same = (found.id, kind)
    kept = rows(db, "SELECT offered FROM evidence WHERE epoch=? AND kind=?", same)
    if len(kept) < MAX_NOTES and (note,) not in kept:
        insert = "INSERT INTO evidence (kind, epoch, seq, held, offered, found_us) VALUES (?,?,?,?,?,?)"
        db.execute(insert, (kind, found.id, size, ours, note, now_us))
