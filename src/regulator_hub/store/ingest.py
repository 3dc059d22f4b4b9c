"""What may be done to the record, as jobs for the writing thread: append, compare, skip, copy; never change, never refuse content.

Each function runs inside a transaction; its result is told to a gateway only after the commit is synced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

import apsw
import orjson

from edge_gateway.record.merkle import leaf_hash
from edge_gateway.wire.hub import MAX_NEED_TEXT, WireError
from regulator_hub.store import photos
from regulator_hub.store.schema import key_of, rows, spans

MAX_EPOCHS = 4096
#: Live copies kept for comparison, a gateway's epoch; beyond it the oldest that are no violations give way.
MAX_LIVE = 20_000
#: Alarm kinds.
CONFLICT, ROLL_BACK, SKIPPED, LIVE_DIFFERS, DARK = "conflict", "roll-back", "skipped", "live-differs", "dark"
#: Alarm kinds of the witness: what a gateway showed, and what the hub's own store and memory lack.
FORK, FOREIGN_KEY = "fork", "foreign-key"
STORE_BEHIND, STORE_DIFFERS, MEMORY = "store-behind", "store-differs", "witness-memory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """The hub holds other bytes at ``seq``: ``hash`` is the leaf hash (hex) of what it holds."""

    epoch: str
    seq: int
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hole:
    """The next entry expected is ``size``."""

    epoch: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Entries 0 … size-1 are durable but for ``skipped`` ``[first, count]``; ``need_text`` are hashes lacked."""

    gateway: str
    epoch: str
    size: int
    skipped: list[list[int]]
    need_text: list[str] = field(default_factory=list)
    need_photo: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Epoch:
    id: int
    gateway: int
    epoch: str
    size: int
    closed_at: int | None


def met(
    db: apsw.Connection, gateway: str, epochs: Sequence[tuple[str, int]], now_us: int
) -> tuple[dict[str, int], list[str], list[str]]:
    """A hello: sizes of the epochs asked, which are closed, and in which some was declared skipped. Orders epochs as the gateway does."""
    gateway_id = gateway_of(db, gateway, now_us)
    known = [_epoch(db, gateway_id, epoch, now_us) for epoch, _ in epochs]
    asked = {epoch.id for epoch in known}
    older = [row[0] for row in rows(db, "SELECT id FROM epochs WHERE gateway=? ORDER BY number, id", (gateway_id,))]
    order = [i for i in older if i not in asked] + [epoch.id for epoch in known]
    db.executemany("UPDATE epochs SET number=? WHERE id=? AND number<>?1", list(enumerate(order)))
    holed = {row[0] for row in rows(db, "SELECT DISTINCT epoch FROM skipped")}
    closed = [e.epoch for e in known if e.closed_at is not None]
    return {e.epoch: e.size for e in known}, closed, [e.epoch for e in known if e.id in holed]


def rolled_back(db: apsw.Connection, gateway: str, behind: Mapping[str, tuple[int, int]], now_us: int) -> None:
    """Alarm epochs of which the gateway holds less than we: ``behind`` has (ours, theirs)."""
    gateway_id = gateway_of(db, gateway, now_us)
    for epoch, (held, theirs) in behind.items():
        alarm(db, gateway_id, ROLL_BACK, epoch, now_us, {"held": held, "theirs": theirs})


@dataclass(frozen=True, slots=True)
class Offered:
    """Consecutive entries of ``epoch`` from ``first`` on. ``left``: (epoch, size) that this one is a branch of: its first ``size``."""

    epoch: str
    first: int
    entries: Sequence[bytes]
    left: tuple[str, int] | None = None


def append(db: apsw.Connection, gateway: str, offered: Offered, now_us: int) -> Receipt | Hole | Conflict:
    """Store what is new of the entries; compare what is not."""
    first, entries = offered.first, offered.entries
    at = _epoch(db, gateway_of(db, gateway, now_us), offered.epoch, now_us)
    if offered.left is not None and at.size == 0:
        at = _branched(db, at, *offered.left)
    if at.closed_at is not None:
        return _conflict_of(db, at, at.closed_at)
    if first > at.size:
        return Hole(epoch=offered.epoch, size=at.size)
    held = min(at.size - first, len(entries))
    if held and (conflict := _compare(db, at, first, entries[:held], now_us)):
        return conflict
    if fresh := entries[held:]:
        _compare_live(db, at, at.size, fresh, now_us)
        start = key_of(at.id, at.size)
        db.executemany("INSERT INTO entries VALUES (?,?)", zip(range(start, start + len(fresh)), fresh, strict=True))
        at = _grown(db, at, at.size + len(fresh))
        _want_texts(db, at.gateway, fresh)
        photos.want(db, at.gateway, fresh)
    return receipt(db, gateway, at)


def skip(
    db: apsw.Connection, gateway: str, epoch: str, first: int, count: int, declared: tuple[str, list[str]], now_us: int
) -> Receipt | Hole | Conflict:
    """Record that entries first … first+count-1 will never come; ``declared`` is (reason, roots)."""
    at = _epoch(db, gateway_of(db, gateway, now_us), epoch, now_us)
    if at.closed_at is not None:
        return _conflict_of(db, at, at.closed_at)
    if first > at.size:
        return Hole(epoch=epoch, size=at.size)
    if first + count > at.size:
        reason, roots = declared
        row = (at.id, first, count, at.size, reason, orjson.dumps(roots).decode(), now_us)
        db.execute("INSERT OR REPLACE INTO skipped VALUES (?,?,?,?,?,?,?)", row)
        detail = {"first": at.size, "count": first + count - at.size, "reason": reason}
        alarm(db, at.gateway, SKIPPED, f"{epoch}/{at.size}", now_us, detail)
        at = _grown(db, at, first + count)
    return receipt(db, gateway, at)


def reminded(db: apsw.Connection, gateway: str, epoch: str, size: int, now_us: int) -> int:
    """The gateway has our receipt for ``size`` entries. Returns how many are held; fewer is alarmed, and the receipt kept."""
    at = _epoch(db, gateway_of(db, gateway, now_us), epoch, now_us)
    if at.size < size:
        alarm(db, at.gateway, STORE_BEHIND, f"receipt {epoch}", now_us, {"held": at.size, "receipted": size})
        row = ("receipt", at.id, size, b"%d" % at.size, orjson.dumps({"epoch": epoch, "size": size}), now_us)
        if db.execute("SELECT 1 FROM evidence WHERE kind=? AND epoch=? AND seq=?", row[:3]).get is None:
            db.execute("INSERT INTO evidence (kind, epoch, seq, held, offered, found_us) VALUES (?,?,?,?,?,?)", row)
    return at.size


def copy_live(
    db: apsw.Connection, gateway: str, epoch: str, copies: Sequence[tuple[int, bool, bytes]], now_us: int
) -> list[str]:
    """Keep live copies ``(seq, keep, bytes)`` until the ordered lane brings them; those it brought already are compared.

    Returns the texts that are lacked.
    """
    at = _epoch(db, gateway_of(db, gateway, now_us), epoch, now_us)
    for seq, keep, entry in copies:
        held = _held(db, at, seq) if seq < at.size else _copied(db, at, seq)
        if held is not None and held != entry:
            _live_differs(db, at, seq, held, entry, now_us)
        elif held is None and seq >= at.size:
            db.execute("INSERT INTO live VALUES (?,?,?,?)", (key_of(at.id, seq), int(keep), now_us, entry))
    low, high = key_of(at.id, 0), key_of(at.id + 1, 0)
    count = db.execute("SELECT count(*) FROM live WHERE key>=? AND key<?", (low, high)).get
    if count > MAX_LIVE:
        db.execute(
            "DELETE FROM live WHERE key IN (SELECT key FROM live WHERE key>=? AND key<? AND keep=0 ORDER BY key LIMIT ?)",
            (low, high, count - MAX_LIVE),
        )
    _want_texts(db, at.gateway, [entry for _, _, entry in copies])
    return wanted(db, at.gateway)


def keep_text(db: apsw.Connection, gateway: str, name: str, text: bytes | None, now_us: int) -> list[str]:
    """Store a text (None: the gateway has it no more). Returns the texts still lacked. Raises WireError ``bad-sha256``."""
    gateway_id = gateway_of(db, gateway, now_us)
    if text is None:
        db.execute("UPDATE wanted SET gone=1 WHERE gateway=? AND sha256=?", (gateway_id, name))
    else:
        if sha256(text).hexdigest() != name:
            raise WireError("bad-sha256", f"the text's hash is not {name}")
        db.execute("INSERT OR IGNORE INTO texts VALUES (?,?)", (name, text))
        db.execute("INSERT OR IGNORE INTO given VALUES (?,?)", (gateway_id, name))
        db.execute("DELETE FROM wanted WHERE gateway=? AND sha256=?", (gateway_id, name))
    return wanted(db, gateway_id)


def alarm(db: apsw.Connection, gateway_id: int, kind: str, about: str, now_us: int, detail: dict[str, object]) -> None:
    """Raise an alarm once: while one of this kind is open about the same thing nothing is added."""
    row = db.execute(
        "SELECT 1 FROM alarms WHERE gateway=? AND kind=? AND about=? AND until_us IS NULL", (gateway_id, kind, about)
    )
    if row.get is None:
        text = orjson.dumps(detail).decode()
        db.execute(
            "INSERT OR IGNORE INTO alarms (gateway, kind, about, since_us, detail) VALUES (?,?,?,?,?)",
            (gateway_id, kind, about, now_us, text),
        )


def end_alarm(db: apsw.Connection, gateway_id: int, kind: str, about: str, now_us: int) -> None:
    """The condition ended (only ``dark`` does by itself)."""
    db.execute(
        "UPDATE alarms SET until_us=? WHERE gateway=? AND kind=? AND about=? AND until_us IS NULL",
        (now_us, gateway_id, kind, about),
    )


def gateway_of(db: apsw.Connection, name: str, now_us: int) -> int:
    """The gateway's number; any message marks it as seen."""
    found = db.execute("UPDATE gateways SET last_us=max(last_us, ?) WHERE name=? RETURNING id", (now_us, name)).get
    if found is None:
        found = db.execute(
            "INSERT INTO gateways (name, first_us, last_us) VALUES (?,?,?2) RETURNING id", (name, now_us)
        ).get
    return int(found)


def receipt(db: apsw.Connection, gateway: str, at: _Epoch) -> Receipt:
    """The hub's word for an epoch as it stands."""
    ranges = [[first, end - first] for first, end in missing(db, at.id)]
    return Receipt(gateway=gateway, epoch=at.epoch, size=at.size, skipped=ranges, need_text=wanted(db, at.gateway), need_photo=photos.wanted(db, at.gateway))


def wanted(db: apsw.Connection, gateway_id: int) -> list[str]:
    """Texts that this gateway's entries name and that are lacked, at most MAX_NEED_TEXT."""
    sql = "SELECT sha256 FROM wanted WHERE gateway=? AND gone=0 AND sha256 NOT LIKE 'photos/%' LIMIT ?"
    return [row[0] for row in rows(db, sql, (gateway_id, MAX_NEED_TEXT))]


def missing(db: apsw.Connection, epoch_id: int) -> list[tuple[int, int]]:
    """Ranges ``(first, end)`` of an epoch that were declared skipped and are not held, merged; a branch's beginning counts too."""
    sql = "SELECT missing_first, first + count FROM skipped WHERE epoch=?"
    found = rows(db, sql, (epoch_id,))
    for left, at in rows(db, "SELECT branch_of, branch_at FROM epochs WHERE id=? AND branch_of IS NOT NULL", (epoch_id,)):
        found += [(start, min(end, at)) for start, end in missing(db, left) if start < at]
    merged: list[tuple[int, int]] = []
    for start, end in sorted(found):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _epoch(db: apsw.Connection, gateway_id: int, epoch: str, now_us: int) -> _Epoch:
    sql = "SELECT id, gateway, epoch, size, closed_at FROM epochs WHERE gateway=? AND epoch=?"
    found = rows(db, sql, (gateway_id, epoch))
    if not found:
        if db.execute("SELECT count(*) FROM epochs WHERE gateway=?", (gateway_id,)).get >= MAX_EPOCHS:
            raise WireError("too-many-epochs", f"more than {MAX_EPOCHS} epochs")
        insert = (
            "INSERT INTO epochs (gateway, epoch, number, size, first_us)"
            " SELECT ?1, ?2, coalesce(max(number) + 1, 0), 0, ?3 FROM epochs WHERE gateway=?1"
            " RETURNING id, gateway, epoch, size, closed_at"
        )
        found = rows(db, insert, (gateway_id, epoch, now_us))
    return _Epoch(*found[0])


def _branched(db: apsw.Connection, at: _Epoch, left: str, size: int) -> _Epoch:
    """An epoch without entries begins as another one does. Where we do not hold that beginning it stays empty, and asks for all."""
    sql = "SELECT id FROM epochs WHERE gateway=? AND epoch=? AND id<? AND size>=?"
    found = db.execute(sql, (at.gateway, left, at.id, size)).get
    if found is None:
        return at
    db.execute("UPDATE epochs SET branch_of=?, branch_at=? WHERE id=?", (found, size, at.id))
    return _grown(db, at, size)


def _grown(db: apsw.Connection, at: _Epoch, size: int) -> _Epoch:
    db.execute("UPDATE epochs SET size=? WHERE id=?", (size, at.id))
    return _Epoch(at.id, at.gateway, at.epoch, size, at.closed_at)


def _held(db: apsw.Connection, at: _Epoch, seq: int) -> bytes | None:
    for lies_in, first, _ in spans(db, at.id, seq, seq + 1):
        found: bytes | None = db.execute("SELECT entry FROM entries WHERE key=?", (key_of(lies_in, first),)).get
        return found
    return None


def _copied(db: apsw.Connection, at: _Epoch, seq: int) -> bytes | None:
    found: bytes | None = db.execute("SELECT entry FROM live WHERE key=?", (key_of(at.id, seq),)).get
    return found


def _compare(db: apsw.Connection, at: _Epoch, first: int, offered: Sequence[bytes], now_us: int) -> Conflict | None:
    """Duplicates byte for byte. In a range that was declared skipped nothing is held, so there is nothing to differ."""
    sql = "SELECT key, entry FROM entries WHERE key>=? AND key<? ORDER BY key"
    for lies_in, start, end in spans(db, at.id, first, first + len(offered)):
        for key, held in rows(db, sql, (key_of(lies_in, start), key_of(lies_in, end))):
            seq = key - key_of(lies_in, 0)
            if held != offered[seq - first]:
                insert = "INSERT INTO evidence (kind, epoch, seq, held, offered, found_us) VALUES ('conflict',?,?,?,?,?)"
                db.execute(insert, (at.id, seq, held, offered[seq - first], now_us))
                db.execute("UPDATE epochs SET closed_at=? WHERE id=?", (seq, at.id))
                alarm(db, at.gateway, CONFLICT, at.epoch, now_us, {"seq": seq, "hash": leaf_hash(held).hex()})
                return _conflict_of(db, at, seq)
    return None


def _conflict_of(db: apsw.Connection, at: _Epoch, seq: int) -> Conflict:
    held = _held(db, at, seq)
    return Conflict(epoch=at.epoch, seq=seq, hash=leaf_hash(held or b"").hex())


def _compare_live(db: apsw.Connection, at: _Epoch, first: int, fresh: Sequence[bytes], now_us: int) -> None:
    start = key_of(at.id, first)
    bounds = (start, start + len(fresh))
    for key, copied in rows(db, "SELECT key, entry FROM live WHERE key>=? AND key<?", bounds):
        if copied != fresh[key - start]:
            _live_differs(db, at, first + key - start, fresh[key - start], copied, now_us)
    db.execute("DELETE FROM live WHERE key>=? AND key<?", bounds)


def _live_differs(db: apsw.Connection, at: _Epoch, seq: int, held: bytes, copied: bytes, now_us: int) -> None:
    insert = "INSERT INTO evidence (kind, epoch, seq, held, offered, found_us) VALUES ('live',?,?,?,?,?)"
    db.execute(insert, (at.id, seq, held, copied, now_us))
    alarm(db, at.gateway, LIVE_DIFFERS, f"{at.epoch}/{seq}", now_us, {"seq": seq, "hash": leaf_hash(held).hex()})


def _want_texts(db: apsw.Connection, gateway_id: int, entries: Sequence[bytes]) -> None:
    """Note which texts configurations and snapshots name that this gateway has not delivered. A cheap look first: most entries are batches."""
    for entry in entries:
        if b'"config"' not in entry and b'"snapshot"' not in entry:
            continue
        for name in named_texts(entry):
            db.execute(
                "INSERT OR IGNORE INTO wanted (gateway, sha256) SELECT ?1, ?2"
                " WHERE NOT EXISTS (SELECT 1 FROM given WHERE gateway=?1 AND sha256=?2)",
                (gateway_id, name),
            )


def named_texts(entry: bytes) -> list[str]:
    """SHA-256 names in a config or snapshot entry; whatever is not so shaped is left to the interpretation."""
    try:
        content = orjson.loads(entry)
    except orjson.JSONDecodeError:
        return []
    if not isinstance(content, dict) or content.get("kind") not in ("config", "snapshot"):
        return []
    configs = [content] if content["kind"] == "config" else [content.get("config"), *_list(content.get("configs"))]
    names = [content.get("state_text")]
    for config in configs:
        if isinstance(config, dict):
            names.append(config.get("text"))
            texts = config.get("texts")
            names += list(texts.values()) if isinstance(texts, dict) else []
    return [
        name
        for name in names
        if isinstance(name, str) and len(name) == 64 and all(c in "0123456789abcdef" for c in name)
    ]


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
