"""What an open journal holds in memory, and its steps: sealing, a new epoch, recovery. What may be freed stands in ``freeing.py``.

Decides nothing about commits (``core.py``) and knows no thread. Each step is durable when it returns.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from edge_gateway.errors import JournalDamaged
from edge_gateway.journal.base import Position, Recovery, SegmentInfo
from edge_gateway.journal.files import TEMPORARY, Files
from edge_gateway.journal.keeping import Keeping
from edge_gateway.journal.opening import Opened, epoch_root
from edge_gateway.journal.owed import Owed
from edge_gateway.journal.photos import Photos
from edge_gateway.journal.renewal import DATABASE
from edge_gateway.journal.retention import Bounds, JournalSettings, Plan, SkippedRange, plan
from edge_gateway.journal.room import Room
from edge_gateway.journal.segments import (
    DAMAGED,
    MEMBER_ENTRIES,
    Segment,
    SegmentFile,
    segment_path,
    texts_named,
    write_segment,
)
from edge_gateway.journal.tail import Epoch, Held, Tail
from edge_gateway.journal.texts import Texts
from edge_gateway.journal.work import SealJob
from edge_gateway.record.entry import decode
from edge_gateway.record.merkle import leaf_hash, tree_root


class State:
    """One open journal. None of it is safe for two threads."""

    tail: Tail
    held: Held
    tail_first: int  # the first entry that is in no sealed segment
    size: int  # acknowledged entries of the open epoch
    crcs: list[int]  # of the entries from ``tail_first`` on: what was acknowledged is known without the disk
    kept: list[Segment]  # sealed segments that were not freed, oldest first
    missing: set[tuple[str, int]]  # those of them whose file is gone or was moved aside, and that were not given up

    def __init__(self, files: Files, state_dir: Path, settings: JournalSettings, wall_us: Callable[[], int]) -> None:
        self.files = files
        self.state_dir = state_dir
        self.room = Room(files, state_dir, settings)
        self.texts = Texts(files, state_dir)
        self.photos = Photos(files, state_dir)
        self.wall_us = wall_us
        self.member_entries = min(MEMBER_ENTRIES, max(1, settings.segment_entries // 4))
        self.owed = Owed(files, state_dir)
        self.skipped_due: tuple[SkippedRange, ...] = ()
        self.untold: tuple[Segment, ...] = ()  # freed before their time; no entry says so yet
        self.seals = 0
        self.used = 0  # bytes, at the last look

    @property
    def settings(self) -> JournalSettings:
        return self.room.settings

    @property
    def epoch(self) -> Epoch:
        """The epoch that is being written."""
        return self.held.epochs[-1]

    def take(self, opened: Opened) -> None:
        """Begin with what opening found."""
        self.tail, self.held = opened.tail, opened.held
        self.tail_first, self.size, self.crcs = opened.tail_first, opened.size, opened.crcs
        self.kept = [segment for segment in opened.held.segments if not segment.freed]
        self.untold = tuple(segment for segment in opened.held.segments if segment.untold)
        self.segments_bytes = sum(segment.size_bytes for segment in self.kept)
        self.order = {epoch.epoch: epoch.number for epoch in opened.held.epochs}
        self.missing = {
            (s.epoch, s.first) for s in self.kept if not s.lost and not self.files.exists(segment_path(self.state_dir, s.epoch, s.first))
        }  # fmt: skip
        self.owed.take(self.held)
        self.owed.put(self._settled(), self.tail.checkpoints)

    def confirm(self, tail: Tail) -> None:
        """Raises JournalDamaged unless a database holds what was acknowledged, no more and no less."""
        tail.check()
        found, mine = tail.held(), self.held
        if (found.epochs, found.segments, found.cursors, found.receipts) != (mine.epochs, mine.segments, mine.cursors, mine.receipts):
            raise JournalDamaged("what the disk holds of cursors, receipts and segments is not what was written")
        if found.memory != mine.memory:
            raise JournalDamaged("what the disk holds of keep time, dues and budgets is not what was written")
        if list(tail.crcs()) != list(enumerate(self.crcs, self.tail_first)):
            raise JournalDamaged(f"the disk does not hold entries {self.tail_first} to {self.size} as they were written")

    def tidy(self) -> None:
        """Remove unfinished files, and those that were freed but not yet unlinked."""
        folder = self.state_dir / "segments"
        freed = {segment_path(self.state_dir, s.epoch, s.first) for s in self.held.segments if s.freed}
        for name in self.files.names(folder):
            for file in self.files.names(folder / name):
                if file.endswith(TEMPORARY) or folder / name / file in freed:
                    self.files.unlink(folder / name / file)
        self.collect_texts()

    # --- room -----------------------------------------------------------------------------------------------

    def used_bytes(self) -> int:
        """Bytes of database, log, segments, texts and photos."""
        log = self.files.size(self.state_dir / (DATABASE + "-wal"))
        return self.tail.size_bytes() + log + self.segments_bytes + self.texts.size_bytes + self.photos.size_bytes

    def room_beside(self, more: int) -> bool:
        """Whether ``more`` bytes beside the entries have room, after freeing what may be freed; ordinary batches go on either way."""
        used = self.used_bytes()
        if self.free_covered(used + more - self.room.soft_bytes):
            used = self.used_bytes()
        return not self.room.full and used + more <= self.room.soft_bytes

    def make_room(self, more: int) -> tuple[bool, bool]:
        """Free what may be freed; whether ``more`` bytes have room for ordinary batches, and for the reserve's users."""
        used = self.used_bytes()
        self.skipped_due = ()
        if self.free_covered(used + more - self.room.soft_bytes):
            used = self.used_bytes()
        self.used = used
        # Once full, it stays so until there is some more room: else each sealed segment would end and begin a gap.
        limit = self.room.soft_bytes if self.room.quota_full else self.room.ordinary_bytes
        self.room.quota_full = used + more > limit
        if self.room.disk_full and not self.room.look() and self.plan(self.settings.reserve_bytes) != Plan():
            self.room.shed()  # the tables need a little room to say what is freed
            self.free_covered(self.settings.reserve_bytes)
            self.room.look()
        # What must be declared before anything goes has room in any case: else neither could ever be.
        return not self.room.full, used + more <= self.settings.max_bytes or bool(self.skipped_due)

    def _freeable(self) -> list[Segment]:
        """Kept segments but the one that a restart begins with, where no open entry's snapshot is newer."""
        return self.kept if self.size > self.tail_first else self.kept[:-1]

    def limits(self) -> dict[str, int]:
        """By epoch: entries below may go."""
        return self.owed.limits(self.order, self.held.receipts)

    def plan(self, need_bytes: int, declared: Sequence[SkippedRange] = ()) -> Plan:
        """What could be freed: what is old enough, and more for ``need_bytes``."""
        kept = self._freeable()
        cursors = {sink: self.held.cursors.get(sink) for sink in self.settings.sinks if sink != self.settings.hub_name}
        bounds = Bounds(limits=self.limits(), cursors=cursors, order=self.order, declared=declared)
        aged = self.owed.aged(kept, bounds, self.wall_us())
        return plan(kept, need_bytes, bounds, aged) if aged or need_bytes > 0 else Plan()

    def free_covered(self, need_bytes: int) -> bool:
        """Free segments that nobody needs any more; note what must be declared before more may go. Whether any went."""
        wanted = self.plan(need_bytes)
        self.skipped_due = wanted.skipped
        if wanted.free:
            self._free(wanted, {})
        return bool(wanted.free)

    def free(self, ranges: Sequence[SkippedRange]) -> None:
        """Let cursors pass ranges that are declared in the journal, and free the segments that nobody needs then."""
        passed = {(s.epoch, s.first) for s in self.kept if any(p.epoch == s.epoch and p.first < s.end <= p.end for p in ranges)}
        need = sum(s.size_bytes for s in self.kept if (s.epoch, s.first) in passed)
        wanted = self.plan(need, ranges)
        self._free(wanted, self._moves(ranges, {(s.epoch, s.first) for s in wanted.free}))
        self.skipped_due = ()

    def _moves(self, ranges: Sequence[SkippedRange], gone: Collection[tuple[str, int]]) -> dict[str, Position]:
        """Where cursors go: behind a declared range, but never over what stays here and is not served yet."""
        moves: dict[str, Position] = {}
        for part in ranges:
            to = Position(part.epoch, part.end)
            cursor = moves.get(part.sink, self.held.cursors.get(part.sink))
            at = (-1, 0) if cursor is None else (self.order[cursor.epoch], cursor.seq)
            between = (s for s in self.kept if at < (self.order[s.epoch], s.end) <= (self.order[to.epoch], to.seq))
            if at < (self.order[to.epoch], to.seq) and all((s.epoch, s.first) in gone for s in between):
                moves[part.sink] = to
        return moves

    def _free(self, wanted: Plan, moves: dict[str, Position]) -> None:
        """The tables first, then the files: a name that comes back after a power cut is removed at the next start."""
        gone = [replace(segment, freed=True, lost=False, untold=segment in wanted.early) for segment in wanted.free]
        firsts: dict[str, int] = {}
        for segment in gone:
            firsts[segment.epoch] = segment.end
        epochs = [replace(epoch, first=firsts.get(epoch.epoch, epoch.first)) for epoch in self.held.epochs]
        with self.tail.transaction():
            for segment in gone:
                self.tail.put_segment(segment)
            for epoch in epochs:
                if epoch.epoch in firsts:
                    self.tail.put_epoch(epoch)
            for sink, to in moves.items():
                self.tail.put_cursor(sink, to)
        self.held.epochs = epochs
        self.held.cursors.update(moves)
        changed = {(segment.epoch, segment.first): segment for segment in gone}
        self.held.segments = [changed.get((s.epoch, s.first), s) for s in self.held.segments]
        self.kept = [segment for segment in self.kept if (segment.epoch, segment.first) not in changed]
        self.owed.went(len(wanted.free) - len(wanted.early))
        self.untold += tuple(segment for segment in gone if segment.untold)
        for segment in gone:
            self.segments_bytes -= segment.size_bytes
            self.missing.discard((segment.epoch, segment.first))
            path = segment_path(self.state_dir, segment.epoch, segment.first)
            for file in (path, path.with_name(path.name + DAMAGED)):
                self.files.unlink(file)
        if any(segment.texts for segment in gone):
            self.collect_texts()

    # --- what is kept, and for whom --------------------------------------------------------------------------

    def told(self, segments: Sequence[SegmentInfo]) -> None:
        """An entry says that these were freed before their time."""
        names = {(segment.epoch, segment.first) for segment in segments}
        changed = {(s.epoch, s.first): replace(s, untold=False) for s in self.untold if (s.epoch, s.first) in names}
        with self.tail.transaction():
            for segment in changed.values():
                self.tail.put_segment(segment)
            self.tail.count("freed_early", len(changed))
        self.held.segments = [changed.get((s.epoch, s.first), s) for s in self.held.segments]
        self.held.counters["freed_early"] = self.held.counters.get("freed_early", 0) + len(changed)
        self.untold = tuple(s for s in self.untold if (s.epoch, s.first) not in names)

    def settle(self) -> None:
        """Make durable what is in force by these settings."""
        self.keep(self._settled())

    def _settled(self) -> Keeping:
        mine = self.settings
        end = Position(self.epoch.epoch, self.size)
        return self.owed.keeping.settled(mine.keep_us, mine.hub_name, mine.hub_vkey, end)

    def keep(self, keeping: Keeping) -> None:
        """Another keep time, or other dues, from now on."""
        rows, before = keeping.rows(), {name: row for name, row in self.held.memory.items() if Keeping.is_row(name)}
        if rows != before:
            with self.tail.transaction():
                for name in before.keys() - rows.keys():
                    self.tail.delete_memory(name)
                for name, row in rows.items():
                    self.tail.put_memory(name, row)
            self.held.memory = {name: row for name, row in self.held.memory.items() if name not in before} | rows
        self.owed.put(keeping, self.tail.checkpoints)

    def collect_texts(self) -> None:
        """Remove texts and photos that no kept segment and no open entry names."""
        if not self.texts.names() and not self.photos.names():
            return
        named = {text for segment in self.kept for text in segment.texts}
        for entry in self.tail.entries(self.tail_first, self.size):
            if b'"kind":"batch"' not in entry[:64] and b'"kind":"tick"' not in entry[:64]:
                named |= texts_named(decode(entry))
        self.texts.keep_only(named)
        self.photos.keep_only(named)

    # --- damaged segments -------------------------------------------------------------------------------------

    def _kept(self, epoch: str, first: int) -> Segment | None:
        return next((s for s in self.kept if (s.epoch, s.first) == (epoch, first)), None)

    def set_aside(self, epoch: str, first: int) -> bool:
        """See ``Journal.set_aside``."""
        segment = self._kept(epoch, first)
        if segment is None or segment.lost or (epoch, first) in self.missing:
            return False
        path = segment_path(self.state_dir, epoch, first)
        if self.files.exists(path):
            self.files.rename(path, path.with_name(path.name + DAMAGED))
            self.files.sync_folder(path.parent)
        self.missing.add((epoch, first))
        return True

    def restore(self, epoch: str, first: int, entries: Sequence[bytes]) -> bool:
        """See ``Journal.restore``."""
        segment = self._kept(epoch, first)
        if segment is None or (epoch, first) not in self.missing:
            return False
        if len(entries) != segment.count or tree_root(map(leaf_hash, entries)).hex() != segment.root:
            return False
        write_segment(self.files, self.state_dir, epoch, first, entries, self.member_entries)
        self.missing.discard((epoch, first))
        return True

    def give_up(self, epoch: str, first: int) -> None:
        """See ``Journal.give_up``."""
        segment = self._kept(epoch, first)
        if segment is None:
            return
        lost = replace(segment, lost=True)
        with self.tail.transaction():
            self.tail.put_segment(lost)
        self.held.segments = [lost if s is segment else s for s in self.held.segments]
        self.kept = [lost if s is segment else s for s in self.kept]
        self.missing.discard((epoch, first))

    # --- sealing --------------------------------------------------------------------------------------------

    def seal_due(self) -> SealJob | None:
        """The oldest complete segment in the tail."""
        end = self.tail_first + self.settings.segment_entries
        return SealJob(epoch=self.epoch.epoch, first=self.tail_first, end=end) if self.size >= end else None

    def write_seal(self, job: SealJob, entries: Iterable[bytes]) -> Segment:
        """Write the job's file. Touches no state: another thread may do it with entries of its own reading.

        Raises JournalDamaged if they are not all: a reader may look at a database that is being exchanged.
        """
        whole = list(entries)
        if len(whole) != job.end - job.first:
            raise JournalDamaged(f"entries {job.first} to {job.end} are to be sealed, {len(whole)} were read")
        return write_segment(self.files, self.state_dir, job.epoch, job.first, whole, self.member_entries)

    def sealed(self, segment: Segment) -> None:
        """The file is durable: its entries leave the tail."""
        with self.tail.transaction():
            self.tail.put_segment(segment)
            self.tail.delete_entries(segment.first, segment.end)
        self._remember(segment)
        del self.crcs[: segment.end - self.tail_first]
        self.tail_first = segment.end

    def _remember(self, segment: Segment) -> None:
        self.held.segments = [*self.held.segments, segment]
        self.kept = [*self.kept, segment]
        self.segments_bytes += segment.size_bytes
        self.owed.sealed()
        self.seals += 1

    def seal(self, job: SealJob) -> None:
        """Both steps at once."""
        self.sealed(self.write_seal(job, self.tail.entries(job.first, job.end)))

    def new_epoch(self, name: str, reason: str) -> None:
        """Close the open epoch (its rest becomes a short segment) and give birth to ``name``."""
        while (job := self.seal_due()) is not None:
            self.seal(job)
        closing = self.epoch
        rest: Segment | None = None
        if self.size > self.tail_first:
            job = SealJob(epoch=closing.epoch, first=self.tail_first, end=self.size)
            rest = self.write_seal(job, self.tail.entries(job.first, job.end))
        mine = [s for s in self.held.segments if s.epoch == closing.epoch] + ([rest] if rest else [])
        root = epoch_root(mine, self.settings.segment_entries)
        closed = replace(closing, closed=True, size=self.size, root=root)
        born = Epoch(
            number=closing.number + 1, epoch=name, first=0, reason=reason, closed=False, wall_us=self.wall_us()
        )  # fmt: skip
        with self.tail.transaction():
            if rest is not None:
                self.tail.put_segment(rest)
            self.tail.delete_entries(0, 2**62)
            self.tail.put_epoch(closed)
            self.tail.put_epoch(born)
        if rest is not None:
            self._remember(rest)
        self.held.epochs = [*self.held.epochs[:-1], closed, born]
        self.order = {epoch.epoch: epoch.number for epoch in self.held.epochs}
        self.tail_first = self.size = 0
        self.crcs = []

    # --- recovery -------------------------------------------------------------------------------------------

    def recover(self, damaged: str) -> Recovery:
        """The newest snapshot that reads, and the entries after it."""
        every = self.settings.segment_entries
        if self.size > self.tail_first:
            first = (self.size - 1) // every * every
            if first >= self.tail_first:
                found = self._recovery(list(self.tail.entries(first, self.size)), damaged, self.held.epochs[-1].epoch)
                if found is not None:
                    return found
        for segment in reversed(self.kept):
            try:
                file = SegmentFile(self.files, self.state_dir, segment.epoch, segment.first, segment.count)
                found = self._recovery(list(file.entries()), damaged, segment.epoch)
            except (FileNotFoundError, JournalDamaged) as wrong:
                damaged = damaged or str(wrong)
                continue
            if found is not None:
                return found
            damaged = damaged or f"segment {segment.epoch}/{segment.first} opens with no snapshot that reads"
        return Recovery(snapshot=None, entries=[], damaged=damaged)

    def _recovery(self, entries: list[bytes], damaged: str, epoch: str) -> Recovery | None:
        snapshot: dict[str, Any] = decode(entries[0])
        if snapshot["kind"] != "snapshot":
            return None
        if "state_text" in snapshot:
            with suppress(KeyError, JournalDamaged):
                snapshot["state"] = orjson.loads(self.texts.get(snapshot["state_text"]))
            if "state" not in snapshot:
                return None
        return Recovery(snapshot=snapshot, entries=entries[1:], damaged=damaged, epoch=epoch)
