"""The tail: open entries and side tables in one SQLite file, through apsw; decides nothing.

``journal.sqlite``: WAL, ``synchronous=FULL``. Tables (format in ``PRAGMA user_version``):

* ``tail(seq, crc, entry)``: entries of the open epoch that are in no sealed segment yet; ``crc`` is the CRC-32 of
  ``<seq>:<entry>``
* ``epochs``: one row each, in order of birth; ``size`` and ``root`` once closed
* ``segments``: every sealed segment, also those that retention freed (their roots stay)
* ``cursors``, ``receipts``: how far sinks are served, and the hub's own words
* ``checkpoints``: signed tree heads, the newest of each epoch (since layout 2)
* ``memory``: what else must outlive a restart: keep time, what hubs are owed, bytes spent today (since layout 3)
* ``quarantine``, ``counters`` (each row with its CRC since layout 4)

Rows that others rely on carry a CRC-32 over their values: a flipped bit on the disk is found, not believed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from zlib import crc32

import apsw
import orjson

from edge_gateway.errors import JournalDamaged, JournalError, JournalTooNew
from edge_gateway.journal.base import Position, Quarantined
from edge_gateway.journal.segments import Segment
from edge_gateway.links.sqlite import check_library
from edge_gateway.record.note import merged

#: Version of the state folder's layout that this release writes.
LAYOUT = 4
PAGE_BYTES = 4096
#: The log is folded into the main file when it has so many frames.
FOLD_FRAMES = 512
#: Header of the log, and of each of its frames. https://sqlite.org/fileformat2.html#walformat
_LOG_HEADER_BYTES, _FRAME_HEADER_BYTES = 32, 24
#: Checkpoints kept of an epoch: each one vouches for all before it.
CHECKPOINTS_KEPT = 8
#: … besides the newest that each of so many witnesses cosigned.
WITNESSES_KEPT = 4
_FREED, _LOST, _UNTOLD = 1, 2, 3  # of a segment's column ``freed``
#: A signature line of a note begins so; the second one is a witness's.
_SIGNATURE = "\n\N{EM DASH} ".encode()
_CHECKPOINTS = """
CREATE TABLE checkpoints(epoch TEXT NOT NULL, size INTEGER NOT NULL, note BLOB NOT NULL, crc INTEGER NOT NULL,
    PRIMARY KEY(epoch, size)) STRICT, WITHOUT ROWID"""
_MEMORY = """
CREATE TABLE memory(name TEXT PRIMARY KEY, value TEXT NOT NULL, crc INTEGER NOT NULL) STRICT"""
#: What each layout added to the one before.
_ADDED = {2: _CHECKPOINTS, 3: _MEMORY}
_SCHEMA = """
CREATE TABLE epochs(number INTEGER PRIMARY KEY, epoch TEXT NOT NULL UNIQUE, first INTEGER NOT NULL, reason TEXT NOT NULL,
    closed INTEGER NOT NULL, wall_us INTEGER NOT NULL, size INTEGER, root TEXT, crc INTEGER NOT NULL) STRICT;
CREATE TABLE tail(seq INTEGER PRIMARY KEY, crc INTEGER NOT NULL, entry BLOB NOT NULL) STRICT;
CREATE TABLE segments(epoch TEXT NOT NULL, first INTEGER NOT NULL, count INTEGER NOT NULL, root TEXT NOT NULL,
    size_bytes INTEGER NOT NULL, wall_least_us INTEGER NOT NULL, wall_greatest_us INTEGER NOT NULL, texts TEXT NOT NULL,
    freed INTEGER NOT NULL, crc INTEGER NOT NULL, PRIMARY KEY(epoch, first)) STRICT, WITHOUT ROWID;
CREATE TABLE cursors(sink TEXT PRIMARY KEY, epoch TEXT NOT NULL, seq INTEGER NOT NULL, crc INTEGER NOT NULL) STRICT;
CREATE TABLE receipts(sink TEXT NOT NULL, epoch TEXT NOT NULL, size INTEGER NOT NULL, receipt TEXT NOT NULL,
    crc INTEGER NOT NULL, PRIMARY KEY(sink, epoch)) STRICT;
"""
_CHECKED = """
CREATE TABLE quarantine(id INTEGER PRIMARY KEY, sink TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL,
    line TEXT NOT NULL, reason TEXT NOT NULL, wall_us INTEGER NOT NULL, crc INTEGER NOT NULL) STRICT;
CREATE TABLE counters(name TEXT PRIMARY KEY, value INTEGER NOT NULL, crc INTEGER NOT NULL) STRICT, WITHOUT ROWID;
"""
#: Layout 3 had neither CRC: old names of both tables, while their rows come over.
_UNCHECKED = """
DROP INDEX quarantine_sink;
ALTER TABLE quarantine RENAME TO old_quarantine;
ALTER TABLE counters RENAME TO old_counters;
"""
#: The counter of the last id that a quarantined item was given: none is given twice.
_LAST_ID = "quarantine_last"
_SEGMENTS = """
SELECT s.epoch, s.first, s.count, s.root, s.size_bytes, s.wall_least_us, s.wall_greatest_us, s.texts, s.freed, s.crc
FROM segments s LEFT JOIN epochs e ON e.epoch = s.epoch {where} ORDER BY e.number, s.first
"""


def entry_crc(seq: int, entry: bytes) -> int:
    """CRC-32 of ``<seq>:<entry>``."""
    return crc32(entry, crc32(b"%d:" % seq))


def row_crc(*values: Any) -> int:
    """CRC-32 of a row's values as compact JSON."""
    return crc32(orjson.dumps(values))


def log_bytes(frames: int) -> int:
    """Where the log's first ``frames`` frames end."""
    return _LOG_HEADER_BYTES + max(0, frames) * (_FRAME_HEADER_BYTES + PAGE_BYTES)


def unread_commits(log: bytes, frames: int) -> int:
    """Commits of the log's own generation that lie beyond the ``frames`` which SQLite recognises.

    SQLite ends its reading at the first frame that fails its checksum. A power cut leaves at most one commit behind
    such a frame, the one that was being written; more of them were acknowledged, and a bit of the log has changed.
    """
    frame = log_bytes(1) - log_bytes(0)
    starts = range(log_bytes(frames), len(log) - frame + 1, frame)
    return sum(_same_but_a_bit(log[at + 8 : at + 16], log[16:24]) and log[at + 4 : at + 8] != bytes(4) for at in starts)


def _same_but_a_bit(one: bytes, other: bytes) -> bool:
    """Of two generations' salts: half of them is random, so another generation's differ in many bits."""
    return (int.from_bytes(one) ^ int.from_bytes(other)).bit_count() <= 1


@dataclass(slots=True, kw_only=True)
class Epoch:
    """One epoch's row."""

    number: int
    epoch: str
    first: int
    reason: str
    closed: bool
    wall_us: int
    size: int | None = None  # once closed
    root: str | None = None  # once closed, if it could be computed

    def values(self) -> tuple[Any, ...]:
        return (self.number, self.epoch, self.first, self.reason, int(self.closed), self.wall_us, self.size, self.root)


@dataclass(slots=True, kw_only=True)
class Held:
    """All that the database knows, but the entries."""

    epochs: list[Epoch] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    cursors: dict[str, Position] = field(default_factory=dict)
    receipts: dict[tuple[str, str], int] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    checkpoints: list[tuple[str, int, bytes]] = field(default_factory=list)
    memory: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(slots=True)
class Log:
    """``frames`` of the log that were synced and that the main file lacks."""

    frames: int = 0

    def committed(self, _connection: apsw.Connection, _name: str, frames: int) -> int:
        """SQLite's word after each commit."""
        self.frames = frames
        return apsw.SQLITE_OK


class Tail:
    """One connection to the database. Raises apsw's errors as they come; JournalDamaged for rows that fail their check."""

    def __init__(self, path: Path, *, vfs: str | None = None, read_only: bool = False, immutable: bool = False) -> None:
        flags = apsw.SQLITE_OPEN_READONLY if read_only else apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
        name = str(path)
        if immutable:
            name, flags = f"{path.absolute().as_uri()}?immutable=1", flags | apsw.SQLITE_OPEN_URI
        self.connection = apsw.Connection(name, flags=flags, vfs=vfs)
        self.connection.set_busy_timeout(5000)
        self._exclusive = vfs is not None
        self.log = Log()
        #: rows that fail their check are left out, instead of an error: for what is to be saved
        self.sound_only = False
        self.fold_frames = FOLD_FRAMES

    @classmethod
    def of(cls, database: bytes) -> Self:
        """Over a database's bytes, in memory."""
        tail = cls(Path(":memory:"))
        tail.connection.deserialize("main", database)
        return tail

    def prepare(self) -> bool:
        """Set the writing connection up; False if the file is new and waits for ``create``.

        Raises JournalTooNew, JournalDamaged, or JournalError for a library that may corrupt it.
        """
        check_library()
        if self._exclusive:  # a VFS without shared memory
            self._run("PRAGMA locking_mode=EXCLUSIVE")
        self._run(f"PRAGMA page_size={PAGE_BYTES}")
        if self._one("PRAGMA journal_mode=WAL") != "wal":
            raise JournalError("the state folder's file system cannot keep a write-ahead log", hint="use a local disk")
        self._run("PRAGMA synchronous=FULL")
        self.connection.set_wal_hook(self.log.committed)  # instead of SQLite's own checkpoints, whose errors nobody hears of
        self._run(f"PRAGMA journal_size_limit={4 * 1024 * 1024}")
        self._run("PRAGMA temp_store=MEMORY")
        layout = self.layout()
        if layout == 0 and not self._one("SELECT count(*) FROM sqlite_schema"):
            return False
        if layout > LAYOUT:
            raise JournalTooNew(
                f"the state folder was written by a newer release (layout {layout}, this release knows {LAYOUT})",
                hint="run that release again, or choose another state folder",
            )
        if layout < 1:
            raise JournalDamaged("the journal's database has no valid layout number")
        if layout < LAYOUT:
            with self.transaction():
                for added in range(layout + 1, LAYOUT):
                    self._run(_ADDED[added])
                self._check_rows_from_now_on()
                self._run(f"PRAGMA user_version={LAYOUT}")
        return True

    def _check_rows_from_now_on(self) -> None:
        self._run_each(_UNCHECKED)
        self._run_each(_CHECKED)
        for name, value in self.connection.execute("SELECT name, value FROM old_counters").fetchall():
            self.set_counter(str(name), int(str(value)))
        for row in self.connection.execute("SELECT id, sink, epoch, seq, line, reason, wall_us FROM old_quarantine").fetchall():
            self.put_quarantined(row)
        self.set_counter(_LAST_ID, int(self._one("SELECT max(seq) FROM sqlite_sequence WHERE name = 'old_quarantine'") or 0))
        self._run("DROP TABLE old_quarantine")
        self._run("DROP TABLE old_counters")

    def _run_each(self, statements: str) -> None:
        for statement in statements.split(";"):
            if statement.strip():
                self._run(statement)

    def layout(self) -> int:
        return int(self._one("PRAGMA user_version"))

    def create(self) -> None:
        """Make the tables, inside the caller's transaction."""
        self._run_each(";".join((_SCHEMA, *_ADDED.values(), _CHECKED)))
        self._run(f"PRAGMA user_version={LAYOUT}")

    def check(self) -> None:
        """Raises JournalDamaged if SQLite finds its own structure wrong: tables, and whether indexes say the same."""
        found = self._one("PRAGMA integrity_check(1)")
        if found != "ok":
            raise JournalDamaged(f"the journal's database is damaged: {found}")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, durable after."""
        self._run("BEGIN IMMEDIATE")
        try:
            yield
            self._run("COMMIT")
        except BaseException:
            with suppress(apsw.Error):
                if not self.connection.get_autocommit():
                    self._run("ROLLBACK")
            raise

    def _run(self, sql: str, values: Sequence[Any] = ()) -> None:
        self.connection.execute(sql, values).fetchall()

    def _one(self, sql: str, values: Sequence[Any] = ()) -> Any:
        row = self.connection.execute(sql, values).fetchone()
        return row[0] if row else None

    # --- what is there ------------------------------------------------------------------------------------

    def held(self) -> Held:
        """Everything but entries. Raises JournalDamaged for a row that fails its check."""
        try:
            return self._held()
        except (ValueError, TypeError) as wrong:  # text that is none, a number where text belongs
            raise JournalDamaged(f"a row in the journal's database cannot be read ({wrong})") from wrong

    def _held(self) -> Held:
        held = Held(
            epochs=self.epochs(), segments=list(self.segments()), cursors=self.cursors(), receipts=self.receipts(),
            counters=self.counters(), checkpoints=self.checkpoints(), memory=self.memory(),
        )  # fmt: skip
        if {segment.epoch for segment in held.segments} - {epoch.epoch for epoch in held.epochs}:
            raise JournalDamaged("the journal's database has a segment of no epoch")
        return held

    def epochs(self) -> list[Epoch]:
        """In order. None of them where only what is sound is wanted, and one is not: their order is what matters. Raises JournalDamaged."""
        found: list[Epoch] = []
        sql = "SELECT number, epoch, first, reason, closed, wall_us, size, root, crc FROM epochs ORDER BY number"
        for *values, crc in self.connection.execute(sql):
            if not self._sound("epochs", values, crc):
                return []
            number, epoch, first, reason, closed, wall_us, size, root = values
            found.append(
                Epoch(
                    number=number, epoch=epoch, first=first, reason=reason, closed=bool(closed), wall_us=wall_us,
                    size=size, root=root,
                )
            )  # fmt: skip
        return found

    def cursors(self) -> dict[str, Position]:
        """By sink. Raises JournalDamaged."""
        rows = self.connection.execute("SELECT sink, epoch, seq, crc FROM cursors")
        return {row[0]: Position(row[1], row[2]) for *row, crc in rows if self._sound("cursors", row, crc)}

    def _sound(self, table: str, values: Sequence[Any], crc: int) -> bool:
        if row_crc(*values) == crc:
            return True
        if self.sound_only:
            return False
        raise JournalDamaged(f"a row of table {table} in the journal's database fails its check")

    def counters(self) -> dict[str, int]:
        """By name. Raises JournalDamaged."""
        if self.layout() < 4:  # a reader beside an older release's record
            return dict(self.connection.execute("SELECT name, value FROM counters"))
        rows = self.connection.execute("SELECT name, value, crc FROM counters")
        return {name: value for name, value, crc in rows if self._sound("counters", (name, value), crc)}

    def receipts(self) -> dict[tuple[str, str], int]:
        """(sink, epoch) → how many of its entries the hub said that it holds. Raises JournalDamaged."""
        found: dict[tuple[str, str], int] = {}
        for *values, crc in self.connection.execute("SELECT sink, epoch, size, receipt, crc FROM receipts"):
            if self._sound("receipts", values, crc):
                found[values[0], values[1]] = values[2]
        return found

    def memory(self) -> dict[str, dict[str, Any]]:
        """By name. Raises JournalDamaged."""
        if self.layout() < 3:  # a reader beside an older release's record
            return {}
        found: dict[str, dict[str, Any]] = {}
        for name, value, crc in self.connection.execute("SELECT name, value, crc FROM memory"):
            if self._sound("memory", (name, value), crc):
                found[name] = orjson.loads(value)
        return found

    def checkpoints(self) -> list[tuple[str, int, bytes]]:
        """``(epoch, size, signed note)``, the smallest first in each epoch. Raises JournalDamaged."""
        if self.layout() < 2:  # a reader beside an older release's record
            return []
        found = []
        for epoch, size, note, crc in self.connection.execute("SELECT epoch, size, note, crc FROM checkpoints ORDER BY epoch, size"):
            if self._sound("checkpoints", (epoch, size, note.hex() if isinstance(note, bytes) else note), crc):
                found.append((epoch, size, note))
        return found

    def segments(self, where: str = "", values: Sequence[Any] = ()) -> Iterator[Segment]:
        """Sealed segments in the order of their epochs. Raises JournalDamaged."""
        for *row, crc in self.connection.execute(_SEGMENTS.replace("{where}", where), values):
            if not self._sound("segments", row, crc):
                continue
            epoch, first, count, root, size_bytes, least, greatest, texts, freed = row
            yield Segment(
                epoch=epoch, first=first, count=count, root=root, size_bytes=size_bytes, wall_us=(least, greatest),
                texts=tuple(orjson.loads(texts)), freed=freed in (_FREED, _UNTOLD), lost=freed == _LOST, untold=freed == _UNTOLD,
            )  # fmt: skip

    def segment_with(self, epoch: str, seq: int) -> Segment | None:
        """The sealed segment that holds an entry."""
        where = "WHERE s.epoch = ? AND s.first <= ? AND s.first + s.count > ?"
        return next(self.segments(where, (epoch, seq, seq)), None)

    def crcs(self) -> Iterator[tuple[int, int]]:
        """``(seq, crc)`` of the open entries, in order. Raises JournalDamaged for an entry that fails its check."""
        for seq, crc, entry in self.connection.execute("SELECT seq, crc, entry FROM tail ORDER BY seq"):
            if crc != entry_crc(seq, entry):
                raise JournalDamaged(f"entry {seq} in the journal's database fails its check")
            yield seq, crc

    def span(self) -> tuple[int, int, int] | None:
        """First seq, one past the last, and bytes of the open entries; None if there are none."""
        first, last, size = self.connection.execute(
            "SELECT min(seq), max(seq), total(length(entry)) FROM tail"
        ).fetchone()  # type: ignore[misc]
        return None if first is None else (first, last + 1, int(size))

    def entries(self, first: int, end: int) -> Iterator[bytes]:
        """Open entries ``first`` … ``end - 1``, each checked. Raises JournalDamaged for a hole or a failed check."""
        expected = first
        for seq, crc, entry in self.connection.execute(
            "SELECT seq, crc, entry FROM tail WHERE seq >= ? AND seq < ? ORDER BY seq", (first, end)
        ):
            if seq != expected or crc != entry_crc(seq, entry):
                raise JournalDamaged(f"entry {expected} in the journal's database fails its check")
            expected += 1
            yield entry

    def size_bytes(self) -> int:
        """Bytes of the database that are in use (free pages inside it are ours to fill)."""
        pages, free = self._one("PRAGMA page_count"), self._one("PRAGMA freelist_count")
        return int(pages - free) * PAGE_BYTES

    # --- what changes; all inside a transaction ----------------------------------------------------------------

    def add_entries(self, first: int, entries: Sequence[bytes]) -> None:
        rows = [(seq, entry_crc(seq, entry), entry) for seq, entry in enumerate(entries, first)]
        self.connection.executemany("INSERT INTO tail(seq, crc, entry) VALUES(?, ?, ?)", rows)

    def delete_entries(self, first: int, end: int) -> None:
        self._run("DELETE FROM tail WHERE seq >= ? AND seq < ?", (first, end))

    def put_epoch(self, epoch: Epoch) -> None:
        values = epoch.values()
        self._run(f"REPLACE INTO epochs VALUES({_marks(9)})", (*values, row_crc(*values)))

    def put_segment(self, segment: Segment) -> None:
        values = (
            segment.epoch, segment.first, segment.count, segment.root, segment.size_bytes, *segment.wall_us,
            orjson.dumps(segment.texts).decode(), _state(segment),
        )  # fmt: skip
        self._run(f"REPLACE INTO segments VALUES({_marks(10)})", (*values, row_crc(*values)))

    def put_cursor(self, sink: str, to: Position) -> None:
        values = (sink, to.epoch, to.seq)
        self._run(f"REPLACE INTO cursors VALUES({_marks(4)})", (*values, row_crc(*values)))

    def put_receipt(self, sink: str, epoch: str, size: int, receipt: dict[str, Any] | None) -> None:
        values = (sink, epoch, size, orjson.dumps(receipt).decode())
        self._run(f"REPLACE INTO receipts VALUES({_marks(5)})", (*values, row_crc(*values)))

    def put_checkpoint(self, epoch: str, size: int, note: bytes) -> None:
        """Keep a signed note; the epoch's oldest beyond ``CHECKPOINTS_KEPT`` go, but never the newest that a witness cosigned.

        A note that is kept already under this size gives its other signatures to it: two witnesses' lines stand side by side.
        """
        held = self._one("SELECT note FROM checkpoints WHERE epoch = ? AND size = ?", (epoch, size))
        if held is not None:
            note = merged(held, note)
        self._run(f"REPLACE INTO checkpoints VALUES({_marks(4)})", (epoch, size, note, row_crc(epoch, size, note.hex())))
        kept = list(self.connection.execute("SELECT size, note FROM checkpoints WHERE epoch = ? ORDER BY size DESC", (epoch,)))
        cosigned = _newest_cosigned(kept)
        for each, _ in kept[CHECKPOINTS_KEPT:]:
            if each not in cosigned:
                self._run("DELETE FROM checkpoints WHERE epoch = ? AND size = ?", (epoch, each))

    def put_memory(self, name: str, value: dict[str, Any]) -> None:
        values = (name, orjson.dumps(value).decode())
        self._run(f"REPLACE INTO memory VALUES({_marks(3)})", (*values, row_crc(*values)))

    def delete_memory(self, name: str) -> None:
        self._run("DELETE FROM memory WHERE name = ?", (name,))

    def delete_receipt(self, sink: str, epoch: str) -> None:
        self._run("DELETE FROM receipts WHERE sink = ? AND epoch = ?", (sink, epoch))

    def set_counter(self, name: str, value: int) -> None:
        self._run("REPLACE INTO counters VALUES(?, ?, ?)", (name, value, row_crc(name, value)))

    def count(self, name: str, more: int) -> None:
        self.set_counter(name, (self._one("SELECT value FROM counters WHERE name = ?", (name,)) or 0) + more)

    # --- quarantine -------------------------------------------------------------------------------------------

    def quarantine(self, rows: Iterable[tuple[str, str, int, str, str, int]], sink: str, keep: int) -> int:
        """Add ``(sink, epoch, seq, line, reason, wall_us)``; the sink's oldest beyond ``keep`` go. Returns how many went."""
        last = int(self._one("SELECT value FROM counters WHERE name = ?", (_LAST_ID,)) or 0)
        for row in rows:
            last += 1
            self.put_quarantined((last, *row))
        self.set_counter(_LAST_ID, last)
        excess = int(self._one("SELECT count(*) FROM quarantine WHERE sink = ?", (sink,))) - keep
        if excess > 0:
            self._run(
                "DELETE FROM quarantine WHERE id IN (SELECT id FROM quarantine WHERE sink = ? ORDER BY id LIMIT ?)",
                (sink, excess),
            )
            self.count(f"quarantine_dropped.{sink}", excess)
        return max(0, excess)

    def put_quarantined(self, row: Sequence[Any]) -> None:
        """One item with its id, as it was."""
        self._run(f"INSERT INTO quarantine VALUES({_marks(8)})", (*row, row_crc(*row)))

    def quarantined(self, sink: str | None = None) -> list[Quarantined]:
        """Oldest first. Raises JournalDamaged."""
        found = []
        old = self.layout() < 4  # a database of an older release that was moved aside
        sql = "SELECT * FROM quarantine WHERE ?1 IS NULL OR sink = ?1 ORDER BY id"
        for row in self.connection.execute(sql, (sink,)):
            row, check = (row, 0) if old else (row[:-1], row[-1])
            if not old and not self._sound("quarantine", row, check):
                continue
            id_, name, epoch, seq, line, reason, wall_us = row
            found.append(Quarantined(id=id_, sink=name, epoch=epoch, seq=seq, line=line, reason=reason, wall_us=wall_us))
        return found

    def drop_quarantined(self, ids: Sequence[int]) -> int:
        before = self.connection.total_changes()
        self.connection.executemany("DELETE FROM quarantine WHERE id = ?", [(id_,) for id_ in ids])
        return int(self.connection.total_changes() - before)

    # --- the file ---------------------------------------------------------------------------------------------

    def log_frames(self) -> int:
        """How many frames of the log SQLite recognises (and brings into the main file as far as readers let it)."""
        frames, folded = self.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        self.log.frames = 0 if frames == folded else frames
        return int(frames)

    def fold(self) -> None:
        """Bring a long log into the main file, as far as readers let it: the next commit begins it anew then."""
        if self.log.frames >= self.fold_frames:
            self.log_frames()

    def checkpoint(self) -> None:
        """Bring everything into the main file and empty the log: what was read after a kill is durable then."""
        self.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        self.log.frames = 0

    def abandon(self) -> None:
        """Close without another write: SQLite would fold in what it reads from the cache."""
        self.connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        self.connection.close()

    def close(self) -> None:
        self.connection.close()


def _state(segment: Segment) -> int:
    """Of the column ``freed``."""
    if segment.lost:
        return _LOST
    return _UNTOLD if segment.untold else int(segment.freed)


def _marks(count: int) -> str:
    return ", ".join("?" * count)


def _newest_cosigned(notes: Iterable[tuple[int, bytes]]) -> list[int]:
    """Sizes of the newest note of each witness, the newest first: another hub in its place takes nothing from what one vouched for."""
    found: dict[bytes, int] = {}
    for size, note in notes:
        for line in note.split(_SIGNATURE)[2:]:  # the first is the log's own
            found.setdefault(line[: line.rfind(b" ") + 6], size)  # name, and the key's id in base64
    return list(found.values())[:WITNESSES_KEPT]
