"""The tables and how a connection is opened; knows nothing of what is written.

An entry's key is ``epoch number << 40 | seq``: entries of an epoch lie side by side in one B-tree, and appending
needs no second index.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import apsw

from edge_gateway.errors import JournalTooNew
from edge_gateway.links.sqlite import check_library

SCHEMA = 4
SEQ_BITS = 40

TABLES = """
CREATE TABLE gateways (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, first_us INTEGER NOT NULL, last_us INTEGER NOT NULL);
CREATE TABLE epochs (
    id INTEGER PRIMARY KEY, gateway INTEGER NOT NULL, epoch TEXT NOT NULL, number INTEGER NOT NULL,
    size INTEGER NOT NULL, closed_at INTEGER, first_us INTEGER NOT NULL, UNIQUE (gateway, epoch));
CREATE TABLE entries (key INTEGER PRIMARY KEY, entry BLOB NOT NULL);
CREATE TABLE live (key INTEGER PRIMARY KEY, keep INTEGER NOT NULL, received_us INTEGER NOT NULL, entry BLOB NOT NULL);
CREATE TABLE skipped (
    epoch INTEGER NOT NULL, first INTEGER NOT NULL, count INTEGER NOT NULL, missing_first INTEGER NOT NULL,
    reason TEXT NOT NULL, roots TEXT NOT NULL, declared_us INTEGER NOT NULL, PRIMARY KEY (epoch, first));
-- What differs from what is held: kind 'conflict' (ordered lane) or 'live' (a live copy that was not the entry).
CREATE TABLE evidence (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL,
    held BLOB, offered BLOB NOT NULL, found_us INTEGER NOT NULL);
CREATE TABLE texts (sha256 TEXT PRIMARY KEY, text BLOB) WITHOUT ROWID;
CREATE TABLE wanted (gateway INTEGER NOT NULL, sha256 TEXT NOT NULL, gone INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (gateway, sha256)) WITHOUT ROWID;
CREATE TABLE alarms (
    id INTEGER PRIMARY KEY, gateway INTEGER NOT NULL, kind TEXT NOT NULL, about TEXT NOT NULL,
    since_us INTEGER NOT NULL, until_us INTEGER, detail TEXT NOT NULL, UNIQUE (gateway, kind, about, since_us));
-- A cache that entries can make again: what each gateway's entries mean so far.
CREATE TABLE views (gateway INTEGER PRIMARY KEY, state BLOB NOT NULL);
"""
#: Since layout 2: the newest cosigned note of each epoch.
COSIGNED = "CREATE TABLE cosigned (epoch INTEGER PRIMARY KEY, size INTEGER NOT NULL, note BLOB NOT NULL);"
#: Since layout 3: what was refused in one epoch is kept as another; its entries below ``branch_at`` lie in the one that it left.
BRANCHES = "ALTER TABLE epochs ADD COLUMN branch_of INTEGER; ALTER TABLE epochs ADD COLUMN branch_at INTEGER NOT NULL DEFAULT 0;"
#: Since layout 4: who delivered which text. One that names another's text by its hash must deliver it, and has back only its own.
GIVEN = "CREATE TABLE given (gateway INTEGER NOT NULL, sha256 TEXT NOT NULL, PRIMARY KEY (gateway, sha256)) WITHOUT ROWID;"
#: What each layout added to the one before.
LAYOUTS = (TABLES, COSIGNED, BRANCHES, GIVEN)


def open_writer(path: Path) -> apsw.Connection:
    """The one writing connection: WAL, FULL. Raises JournalTooNew for a newer release's file, JournalError for an unsound library."""
    check_library()
    db = apsw.Connection(str(path))
    db.set_busy_timeout(5000)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "wal_autocheckpoint=2000", "cache_size=-32768"):
        db.execute(f"PRAGMA {pragma}")
    version = int(db.pragma("user_version"))
    if version > SCHEMA:
        raise JournalTooNew(f"{path} was written by a newer release", hint="run that release")
    if version < SCHEMA:
        with db:
            for added in LAYOUTS[version:]:
                db.execute(added)
            db.pragma("user_version", SCHEMA)
    return db


def open_reader(path: Path) -> apsw.Connection:
    """A connection that cannot write and never checkpoints."""
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    db.set_busy_timeout(5000)
    return db


def rows(db: apsw.Connection, sql: str, bindings: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
    """All rows of a query; their types are the tables' business."""
    return cast("list[tuple[Any, ...]]", db.execute(sql, cast("Any", bindings)).fetchall())


def spans(db: apsw.Connection, epoch_id: int, first: int, end: int) -> list[tuple[int, int, int]]:
    """Where entries ``first`` … ``end - 1`` of an epoch lie: ``(epoch number, first, end)``, in order.

    The beginning of a branch lies in the epoch that it left, which may be a branch itself.
    """
    found: list[tuple[int, int, int]] = []
    while first < end:
        ((left, at),) = rows(db, "SELECT branch_of, branch_at FROM epochs WHERE id=?", (epoch_id,)) or [(None, 0)]
        if left is None or end > at:
            found.append((epoch_id, max(first, 0 if left is None else at), end))
        if left is None:
            break
        epoch_id, end = left, min(end, at)
    return found[::-1]


def key_of(epoch_id: int, seq: int) -> int:
    """Where an entry lies."""
    return epoch_id << SEQ_BITS | seq
