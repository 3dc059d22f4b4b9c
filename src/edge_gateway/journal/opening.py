"""Opening a state folder: check everything, move what is damaged aside, save what still reads; serves nobody.

After damage the database is rebuilt: sealed segments are found by their footers, the sound beginning of the tail
is sealed as the old epoch's last segment, cursors and quarantine come along where their rows still check.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw

from edge_gateway.errors import JournalDamaged, JournalError
from edge_gateway.journal import renewal
from edge_gateway.journal.base import Position, Quarantined
from edge_gateway.journal.changed_bit import changed_bits, mended, with_log
from edge_gateway.journal.files import TEMPORARY, Files, write_durably
from edge_gateway.journal.keeping import KEEP_US, UNKNOWN, Due, Keeping
from edge_gateway.journal.renewal import COMPANIONS, DATABASE, LOG
from edge_gateway.journal.segments import ENDING, Segment, SegmentFile, write_segment
from edge_gateway.journal.tail import Epoch, Held, Tail, entry_crc, unread_commits
from edge_gateway.record.merkle import Frontier

#: Databases that were moved aside and are kept for a look by a person.
KEEP_ASIDE = 3
#: Errors that say "these bytes are not a database".
DAMAGE = (JournalDamaged, apsw.CorruptError, apsw.NotADBError, apsw.SQLError, apsw.FormatError)


@dataclass(slots=True, kw_only=True)
class Opened:
    """A database that was checked. ``tail_first`` … ``size - 1`` are the open entries; ``damaged`` says what was not."""

    tail: Tail
    held: Held
    tail_first: int
    size: int
    crcs: list[int] = field(default_factory=list)  # of the open entries, in order
    damaged: str = ""
    mended: str = ""  # which bit of the log was put back


@dataclass(slots=True, kw_only=True)
class Opening:
    """What opening needs: where, the epoch id to give birth with, the wall time, and the segment's measures."""

    files: Files
    state_dir: Path
    new_id: Callable[[], str]
    wall_us: Callable[[], int]
    segment_entries: int
    member_entries: int

    def open(self) -> Opened:
        """Raises JournalTooNew; JournalError when the folder cannot be used; apsw.Error and OSError for I/O."""
        for folder in (self.state_dir, self.state_dir / "segments"):
            self.files.make_folder(folder)
        database, log = self.state_dir / DATABASE, self.state_dir / (DATABASE + LOG)
        renewal.forget_unfinished(self.files, self.state_dir)
        renewal.finish(self.files, self.state_dir)
        self._finish_moving(database)
        for path in (database, log):  # whoever wrote them may have died of an error of the disk
            if self.files.exists(path):
                self.files.settle(path)
        written = self.files.read(log) if self.files.exists(log) else b""
        changed = [bit for bit in changed_bits(written) if self._holds(database, mended(written, bit))]
        if len(changed) == 1:
            written = mended(written, changed[0])
            write_durably(self.files, log, [written])
        tail = self._connect(database)
        try:
            there = self._prepare(tail, database)
            if written and unread_commits(written, tail.log_frames()) > 1:
                raise JournalDamaged("the database's log is damaged: commits in it can no longer be read")
            if len(changed) > 1:
                raise JournalDamaged(f"one bit of the last commits in the database's log has changed, one of {len(changed)}: it can no longer be read")
            opened = self._check(tail) if there else self._begin(tail)
            if changed:
                opened.mended = f"bit {changed[0] % 8} of byte {changed[0] // 8} of the database's log had changed, and was put back by its checksums"
            return opened
        except DAMAGE as wrong:
            with suppress(apsw.Error):
                tail.close()
            why = str(wrong)
        except BaseException:
            with suppress(apsw.Error):
                tail.close()
            raise
        return self.give_up(why)

    def give_up(self, why: str) -> Opened:
        """Move the database aside and begin another, with all of it that reads. Raises apsw.Error and OSError."""
        database = self.state_dir / DATABASE
        renewal.finish(self.files, self.state_dir)
        self._move_aside(database)
        tail = self._connect(database)
        self._prepare(tail, database)
        return self._rebuild(tail, why)

    def _prepare(self, tail: Tail, database: Path) -> bool:
        """``Tail.prepare``, not taken at its word: after an error of the disk in the middle of the change SQLite
        answers "wal" and goes on with a rollback journal, whose removal it does not make durable.
        """
        there = tail.prepare()
        if self.files.read(database, 18, 2) != b"\x02\x02":
            raise OSError(errno.EIO, f"{database} could not be brought into write-ahead mode")
        return there

    def _connect(self, database: Path) -> Tail:
        try:
            return Tail(database, vfs=self.files.vfs)
        except apsw.CantOpenError as wrong:
            raise JournalError(
                f"cannot open {database}: {wrong}", hint="check the folder's owner and rights"
            ) from wrong

    def _begin(self, tail: Tail) -> Opened:
        """A new database: of a new gateway, or after its predecessor was moved aside or lost."""
        if self._aside() or any(self.files.names(self.state_dir / "segments")):
            return self._rebuild(tail, "the journal's database was moved aside or is missing")
        epoch = Epoch(number=1, epoch=self.new_id(), first=0, reason="new", closed=False, wall_us=self.wall_us())
        with tail.transaction():
            tail.create()
            tail.put_epoch(epoch)
        return Opened(tail=tail, held=Held(epochs=[epoch]), tail_first=0, size=0)

    def _holds(self, database: Path, log: bytes) -> bool:
        """Whether all is as it was written if this is the log, tried in memory: a commit that a cut tore can look like a changed bit."""
        tail = Tail.of(with_log(self.files.read(database) if self.files.exists(database) else b"", log))
        try:
            self._read(tail)
        except DAMAGE:
            return False
        finally:
            tail.close()
        return True

    def _check(self, tail: Tail) -> Opened:
        """Everything that was written must be as it was written; then the log goes into the main file."""
        opened = self._read(tail)
        with suppress(apsw.BusyError):  # someone reads just now; the log itself was synced, and is enough
            tail.checkpoint()
        return opened

    def _read(self, tail: Tail) -> Opened:
        tail.check()
        held = tail.held()
        try:
            tail.quarantined()  # each row's check
        except (ValueError, TypeError) as wrong:  # text that is none
            raise JournalDamaged(f"a row of table quarantine in the journal's database cannot be read ({wrong})") from wrong
        if not held.epochs or any(epoch.closed != (epoch is not held.epochs[-1]) for epoch in held.epochs):
            raise JournalDamaged("the journal's epochs are not as this program leaves them")
        name = held.epochs[-1].epoch
        end = max((segment.end for segment in held.segments if segment.epoch == name), default=0)
        first, size, _ = tail.span() or (end, end, 0)
        if first != end:
            raise JournalDamaged(f"the journal's database begins at entry {first}, its segments end at {end}")
        found = list(tail.crcs())
        if [seq for seq, _ in found] != list(range(first, size)):
            raise JournalDamaged("the journal's database lacks an entry")
        return Opened(tail=tail, held=held, tail_first=first, size=size, crcs=[crc for _, crc in found])

    # --- damage -----------------------------------------------------------------------------------------------

    def _aside(self) -> list[str]:
        return [n for n in self.files.names(self.state_dir) if n.startswith("damaged-") and n.endswith(".sqlite")]

    def _move_aside(self, database: Path) -> None:
        """The database first: without its log it would look sound and be older; the other way round it is seen."""
        name = f"damaged-{self.wall_us():016d}.sqlite"
        self.files.rename(database, self.state_dir / name)
        self.files.sync_folder(self.state_dir)
        self._move_companions(name)
        for old in self._aside()[:-KEEP_ASIDE]:
            for ending in ("", *COMPANIONS):
                self.files.unlink(self.state_dir / (old + ending))

    def _move_companions(self, name: str) -> None:
        for ending in COMPANIONS:
            if self.files.exists(self.state_dir / (DATABASE + ending)):
                self.files.rename(self.state_dir / (DATABASE + ending), self.state_dir / (name + ending))
        self.files.sync_folder(self.state_dir)

    def _finish_moving(self, database: Path) -> None:
        """A power cut may have come between the database and its log."""
        aside = self._aside()
        if aside and not self.files.exists(database):
            self._move_companions(aside[-1])

    def _rebuild(self, tail: Tail, why: str) -> Opened:
        saved = Saved.from_database(self.state_dir / aside[-1]) if (aside := self._aside()) else Saved()
        self._find_segments(saved)
        self._seal_saved(saved)
        number = saved.epochs[-1].number + 1 if saved.epochs else 1
        born = Epoch(
            number=number, epoch=self.new_id(), first=0, reason="damage", closed=False, wall_us=self.wall_us()
        )  # fmt: skip
        saved.epochs.append(born)
        held = saved.held()
        with tail.transaction():
            tail.create()
            for epoch in held.epochs:
                tail.put_epoch(epoch)
            for segment in held.segments:
                tail.put_segment(segment)
            for sink, cursor in held.cursors.items():
                tail.put_cursor(sink, cursor)
            for (sink, name), size in held.receipts.items():
                tail.put_receipt(sink, name, size, None)
            for name, size, note in held.checkpoints:
                tail.put_checkpoint(name, size, note)
            for what, value in held.memory.items():
                tail.put_memory(what, value)
            for q in saved.quarantine:
                tail.put_quarantined((q.id, q.sink, q.epoch, q.seq, q.line, q.reason, q.wall_us))
            for name, number in saved.counters.items():
                tail.set_counter(name, number)
            tail.count("damaged", 1)
        return Opened(tail=tail, held=tail.held(), tail_first=0, size=0, damaged=why)

    def _find_segments(self, saved: Saved) -> None:
        """Sealed files speak for themselves."""
        for name in self.files.names(self.state_dir / "segments"):
            for file in self.files.names(self.state_dir / "segments" / name):
                first = file.removesuffix(ENDING)
                if file.endswith(TEMPORARY) or not first.isdigit() or (name, int(first)) in saved.segments:
                    continue
                with suppress(JournalDamaged):  # a damaged file is found again when it is read
                    saved.segments[name, int(first)] = SegmentFile(self.files, self.state_dir, name, int(first)).segment
        known = {epoch.epoch for epoch in saved.epochs}
        found: dict[str, int] = {}
        for segment in saved.segments.values():
            if segment.epoch not in known:
                found[segment.epoch] = min(segment.wall_us[0], found.get(segment.epoch, segment.wall_us[0]))
        for wall_us, name in sorted((wall_us, name) for name, wall_us in found.items()):
            number = saved.epochs[-1].number + 1 if saved.epochs else 1
            saved.epochs.append(
                Epoch(number=number, epoch=name, first=0, reason="new", closed=False, wall_us=wall_us)
            )  # fmt: skip

    def _seal_saved(self, saved: Saved) -> None:
        """Close every epoch; the newest with the sound beginning of its tail."""
        for epoch in saved.epochs:
            if epoch.closed:
                continue
            mine = sorted((s for s in saved.segments.values() if s.epoch == epoch.epoch), key=lambda s: s.first)
            end = mine[-1].end if mine else 0
            entries = saved.tail_from(end) if epoch is saved.epochs[-1] and self._continues(saved, mine, end) else []
            for at in range(0, len(entries), self.segment_entries):
                part = entries[at : at + self.segment_entries]
                segment = write_segment(self.files, self.state_dir, epoch.epoch, end + at, part, self.member_entries)
                saved.segments[segment.epoch, segment.first] = segment
                mine.append(segment)
            epoch.closed, epoch.size = True, end + len(entries)
            epoch.first = next((s.first for s in mine if not s.freed), epoch.size)
            epoch.root = epoch_root(mine, self.segment_entries)


    def _continues(self, saved: Saved, segments: list[Segment], end: int) -> bool:
        """Whether the tail is this epoch's: it begins where its segments end, or repeats the last one (the epoch's own row may be lost)."""
        if not saved.tail or saved.tail[0][0] == end:
            return True
        last = segments[-1] if segments else None
        if last is None or saved.tail[0][0] != last.first:
            return False
        with suppress(JournalDamaged, FileNotFoundError):
            file = SegmentFile(self.files, self.state_dir, last.epoch, last.first, last.count)
            return file.member(0)[1][0] == saved.tail[0][1]
        return False


@dataclass(slots=True)
class Saved:
    """What could be read from a damaged database and from segment files."""

    epochs: list[Epoch]
    segments: dict[tuple[str, int], Segment]
    cursors: dict[str, Position]
    receipts: dict[tuple[str, str], int]
    quarantine: list[Quarantined]
    tail: list[tuple[int, bytes]]
    checkpoints: list[tuple[str, int, bytes]]
    memory: dict[str, dict[str, Any]]
    counters: dict[str, int]

    def __init__(self) -> None:
        self.epochs, self.segments, self.cursors, self.receipts, self.quarantine, self.tail = [], {}, {}, {}, [], []
        self.checkpoints = []
        self.memory = Keeping(keep_us=KEEP_US, dues=(Due(hub=UNKNOWN),)).rows()  # unless it still reads
        self.counters = {}

    @classmethod
    def from_database(cls, path: Path) -> Saved:
        """Row by row, as far as rows check; nothing of a file that does not open."""
        saved = cls()
        try:
            database = Tail(path, read_only=True)
        except apsw.Error:
            return saved
        database.sound_only = True
        try:
            for part in ("epochs", "cursors", "receipts", "checkpoints", "counters"):
                with suppress(*DAMAGE, apsw.Error, ValueError, TypeError):
                    setattr(saved, part, getattr(database, part)())
            database.sound_only = False  # what is owed is known whole, or not at all
            with suppress(*DAMAGE, apsw.Error, ValueError, TypeError):
                saved.memory = database.memory()
            database.sound_only = True
            with suppress(*DAMAGE, apsw.Error, ValueError, TypeError):
                saved.segments = {(s.epoch, s.first): s for s in database.segments()}
            with suppress(apsw.Error, ValueError, TypeError):
                for seq, crc, entry in database.connection.execute("SELECT seq, crc, entry FROM tail ORDER BY seq"):
                    if crc != entry_crc(seq, entry):
                        break
                    saved.tail.append((seq, entry))
            with suppress(*DAMAGE, apsw.Error, ValueError, TypeError):
                saved.quarantine = database.quarantined()
        finally:
            with suppress(apsw.Error):
                database.close()
        return saved

    def tail_from(self, first: int) -> list[bytes]:
        """Entries without a hole from ``first`` on."""
        entries: list[bytes] = []
        for seq, entry in self.tail:
            if seq == first + len(entries):
                entries.append(entry)
            elif seq > first:
                break
        return entries

    def held(self) -> Held:
        order = {epoch.epoch: epoch for epoch in self.epochs}
        segments = sorted(
            (s for s in self.segments.values() if s.epoch in order), key=lambda s: (order[s.epoch].number, s.first)
        )
        cursors = {
            sink: cursor
            for sink, cursor in self.cursors.items()
            if cursor.epoch in order and cursor.seq <= (order[cursor.epoch].size or 0)
        }
        receipts = {key: size for key, size in self.receipts.items() if key[1] in order}
        notes = [each for each in self.checkpoints if each[0] in order]
        return Held(
            epochs=self.epochs, segments=segments, cursors=cursors, receipts=receipts, checkpoints=notes, memory=self.memory
        )  # fmt: skip


def epoch_root(segments: Iterable[Segment], segment_entries: int) -> str | None:
    """Tree root (hex) of a closed epoch from its segments, in order. None if a segment's root is unknown.

    Whole segments are nodes of the tree; a short one closes the epoch, so its root is the tree's right edge.
    """
    frontier = Frontier()
    short: Segment | None = None
    for segment in segments:
        if segment.first != frontier.size or short is not None:
            return None
        if segment.count == segment_entries:
            frontier.append_subtree(bytes.fromhex(segment.root), segment.count)
        else:
            short = segment
    if short is not None:
        return frontier.joined(bytes.fromhex(short.root)).hex()
    return frontier.root().hex()
