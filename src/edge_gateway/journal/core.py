"""The journal's writer without a thread: commits in groups, and what happens when the disk refuses; knows no event loop.

One thread calls it (``writer.py``), or a test drives it step by step over a simulated disk. After an error of the
disk nothing is acknowledged until the database was written anew (``renewal.py``); the same fsync is never tried twice.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import apsw

from edge_gateway.errors import DiskFails, JournalDamaged, JournalError, JournalFull
from edge_gateway.journal.base import Recovery, SegmentInfo
from edge_gateway.journal.files import Files
from edge_gateway.journal.keeping import Keeping
from edge_gateway.journal.opening import DAMAGE, Opened, Opening
from edge_gateway.journal.renewal import DATABASE, LOG, renew
from edge_gateway.journal.retention import JournalSettings, SkippedRange
from edge_gateway.journal.room import is_full
from edge_gateway.journal.segments import Segment
from edge_gateway.journal.state import State
from edge_gateway.journal.tail import Tail, entry_crc, log_bytes
from edge_gateway.journal.work import Append, Drop, Move, Noted, Refuse, Remember, SealJob, Signed, Work

T = TypeVar("T")
#: How many entries of an epoch a sink says that it holds: (sink, epoch) -> size.
Receipts = dict[tuple[str, str], int]
#: What a row costs beside its entry, roughly.
_ROW_BYTES = 32


def new_epoch_id() -> str:
    """16 random hex digits."""
    return secrets.token_hex(8)


class Core:
    """The one writer's steps over a ``State``. None is safe for two threads."""

    def __init__(
        self,
        files: Files,
        state_dir: Path,
        settings: JournalSettings,
        *,
        wall_us: Callable[[], int],
        new_id: Callable[[], str] = new_epoch_id,
        trusted: Callable[[], bool] = lambda: True,
    ) -> None:
        """``trusted``: whether somebody vouches for ``wall_us`` just now; only then anything goes by age."""
        self.state = State(files, state_dir, settings, wall_us)
        self.state.owed.trusted = trusted
        self.damaged = ""  # why an earlier epoch was moved aside or closed
        self.mended = ""  # what was put back as it was, at the opening
        self.troubled = ""  # why the disk is not trusted just now
        self.disk_error = ""  # the newest of ``disk_errors``
        self.disk_errors = 0
        self.renewals = 0  # how often the database was written anew: readers open it again
        self.commits = 0
        self._new_id = new_id
        self._opening = Opening(
            files=files, state_dir=state_dir, new_id=new_id, wall_us=wall_us,
            segment_entries=settings.segment_entries, member_entries=self.state.member_entries,
        )  # fmt: skip

    def open(self) -> None:
        """Open, check, repair. Raises JournalTooNew, JournalError."""
        folder = self.state.state_dir
        try:
            opened = self._open_with_room()
            self.state.take(opened)
            self.state.tidy()
        except (apsw.Error, OSError) as error:
            raise JournalError(f"the state folder {folder} cannot be used: {error}", hint="look at the disk") from error
        self.damaged, self.mended = opened.damaged, opened.mended
        with suppress(JournalFull):  # it counts all the same, and is written at the next start
            self._step(self.state.settle)
        with suppress(OSError):  # the ballast is a precaution: a journal on a full disk opens too
            self.state.room.look()

    def _open_with_room(self) -> Opened:
        while True:
            try:
                self.state.files.make_folder(self.state.state_dir)
                self.state.texts.open()
                self.state.photos.open()
                return self._opening.open()
            except (apsw.Error, OSError) as error:
                if not is_full(error) or not self.state.room.shed():
                    raise

    def close(self) -> None:
        """Close the database; SQLite folds its log in."""
        with suppress(apsw.Error):
            self.state.tail.close()

    def recover(self) -> Recovery:
        """The newest snapshot that reads, and the entries after it."""
        return replace(self.state.recover(self.damaged), mended=self.mended)

    def previous(self) -> dict[str, object] | None:
        """What the snapshot at seq 0 says of the epoch before; None for a gateway's first epoch."""
        epochs = self.state.held.epochs
        if len(epochs) < 2:
            return None
        before = epochs[-2]
        return {"epoch": before.epoch, "size": before.size, "root": before.root, "reason": epochs[-1].reason}

    # --- commit ---------------------------------------------------------------------------------------------

    def commit(self, works: Sequence[Work]) -> list[JournalError | None]:
        """One transaction for all works; for each, None once it is durable, or why it is not (then nothing of it is)."""
        refused: dict[int, JournalError] = {}
        pending = list(range(len(works)))
        failures = 0
        while pending:
            try:
                self._revive()
                pending = self._admit(works, pending, refused)
                if pending:
                    self._write([works[at] for at in pending])
                break
            except JournalError as damage:
                refused |= dict.fromkeys(pending, damage)
                break
            except (apsw.Error, OSError) as error:
                if is_full(error):
                    self._cut_log()
                    pending = self._after_full(works, pending, refused)
                    continue
                failures += 1
                self._distrust(error)
                if failures == 2:
                    refused |= dict.fromkeys(pending, _failed(error))
                    break
        self._fold()
        return [refused.get(at) for at in range(len(works))]

    def _admit(self, works: Sequence[Work], pending: list[int], refused: dict[int, JournalError]) -> list[int]:
        """Those that may be written now: appends without a hole before them, and with room."""
        more = sum(_bytes(work) for at in pending if isinstance(work := works[at], Append))
        ordinary, reserve = self.state.make_room(more) if more else (True, True)
        admitted: list[int] = []
        expected = self.state.size
        for at in pending:
            work = works[at]
            if isinstance(work, Append):
                if work.first != expected:
                    refused[at] = JournalFull(f"entries from {work.first} on follow others that were refused")
                    continue
                if not (reserve if work.reserve else ordinary):
                    refused[at] = JournalFull(
                        "the journal has no room left for this",
                        hint="let the hub be reached, make room on the disk, or raise journal.max_bytes",
                    )
                    continue
                expected += len(work.entries)
            elif isinstance(work, Move | Signed) and (name := work.to.epoch if isinstance(work, Move) else work.epoch) not in self.state.order:
                refused[at] = JournalError(f"the journal holds no epoch {name}")
                continue
            admitted.append(at)
        return admitted

    def _write(self, works: Sequence[Work]) -> None:
        state = self.state
        state.texts.put(text for work in works if isinstance(work, Append) for text in work.texts)
        with state.tail.transaction():
            receipts = dict(state.held.receipts)
            for work in works:
                self._put(work, receipts)
        self.commits += 1
        state.held.receipts = receipts
        for work in works:
            if isinstance(work, Append):
                state.crcs += map(entry_crc, range(work.first, work.first + len(work.entries)), work.entries)
                state.size += len(work.entries)
            elif isinstance(work, Move):
                state.held.cursors[work.sink] = work.to
            elif isinstance(work, Signed):
                if work.witnessed:
                    state.owed.grown(str(state.settings.hub_name), work.epoch, work.size)
            elif isinstance(work, Remember):
                state.held.memory[work.name] = work.value

    def _put(self, work: Work, receipts: Receipts) -> None:
        """Inside the transaction; ``receipts`` become those in force with it."""
        tail = self.state.tail
        match work:
            case Append():
                tail.add_entries(work.first, work.entries)
            case Move():
                tail.put_cursor(work.sink, work.to)
                for epoch, size in self._lowered(work, receipts).items():
                    if size is None:
                        tail.delete_receipt(work.sink, epoch)
                        del receipts[work.sink, epoch]
                    else:
                        tail.put_receipt(work.sink, epoch, size, None)
                        receipts[work.sink, epoch] = size
                if work.receipt is not None:
                    tail.put_receipt(work.sink, work.to.epoch, work.to.seq, work.receipt)
                    receipts[work.sink, work.to.epoch] = work.to.seq
            case Refuse():
                now_us = self.state.wall_us()
                rows = [(work.sink, work.epoch, seq, line, why, now_us) for seq, line, why in work.items]
                tail.quarantine(rows, work.sink, self.state.settings.quarantine_entries)
            case Signed():
                self._put_signed(work, receipts)
            case Remember():
                tail.put_memory(work.name, work.value)
            case Noted():
                for name, value in work.values.items():
                    tail.set_counter(name, value)
            case Drop():
                work.dropped = tail.drop_quarantined(work.ids)

    def _put_signed(self, work: Signed, receipts: Receipts) -> None:
        tail = self.state.tail
        tail.put_checkpoint(work.epoch, work.size, work.note)
        hub = self.state.settings.hub_name
        work.witnessed = self.state.owed.witnesses(hub, work.epoch, work.size, work.note)
        if hub is not None and work.witnessed and receipts.get((hub, work.epoch), 0) < work.size:
            # A cosignature says "and I durably hold entries 0…size−1": it is a receipt too.
            tail.put_receipt(hub, work.epoch, work.size, {"cosigned": work.size})
            receipts[hub, work.epoch] = work.size

    def _lowered(self, move: Move, receipts: Receipts) -> dict[str, int | None]:
        """Receipts that a cursor's way back takes away: what the hub no longer holds must not be freed."""
        order = self.state.order
        lowered: dict[str, int | None] = {}
        for (sink, epoch), size in receipts.items():
            if sink == move.sink and order[epoch] > order[move.to.epoch]:
                lowered[epoch] = None
            elif sink == move.sink and epoch == move.to.epoch and size > move.to.seq:
                lowered[epoch] = move.to.seq
        return lowered

    # --- trouble --------------------------------------------------------------------------------------------

    def _distrust(self, error: Exception) -> None:
        self.troubled = self.disk_error = str(error)
        self.disk_errors += 1

    def _revive(self) -> None:
        """After an error of the disk: write the database anew. Raises JournalDamaged when what was acknowledged is not there."""
        if not self.troubled:
            return
        state = self.state
        with suppress(apsw.Error):
            state.tail.abandon()
        epoch, acknowledged = state.epoch.epoch, state.size
        try:
            renew(state.files, state.state_dir, state.tail.log.frames, state.confirm)
            opened = self._opening.open()
        except DAMAGE as wrong:
            opened = self._opening.give_up(str(wrong))
        state.take(opened)
        self.troubled = ""
        self.renewals += 1
        if opened.damaged:
            self.damaged = opened.damaged
            why = f"epoch {epoch} ended at {acknowledged} entries: {opened.damaged}"
            raise JournalDamaged(why, hint=f"going on in epoch {state.epoch.epoch}")

    def _cut_log(self) -> None:
        """What a commit that found no room left behind the last good frame: at the next start it would look like commits that cannot be read."""
        state = self.state
        if self.troubled:
            return
        try:
            if state.tail.log.frames:
                state.files.cut(state.state_dir / (DATABASE + LOG), log_bytes(state.tail.log.frames))
            else:
                state.tail.checkpoint()
        except apsw.BusyError:
            return  # someone reads; nothing but that look at the next start depends on it
        except (apsw.Error, OSError) as error:
            self._distrust(error)

    def _fold(self) -> None:
        """Keep the log short. What was committed is durable without it, so an error here refuses nothing: it is met by the next commit."""
        if self.troubled:
            return
        try:
            self.state.tail.fold()
        except apsw.Error as error:
            if is_full(error):
                self.state.room.disk_full = True
            else:
                self._distrust(error)

    def _after_full(self, works: Sequence[Work], pending: list[int], refused: dict[int, JournalError]) -> list[int]:
        """The disk is full: ordinary batches wait; the rest gets the ballast's room, a step at a time."""
        room = self.state.room
        room.disk_full = True
        ordinary = any(isinstance(work := works[at], Append) and not work.reserve for at in pending)
        if not ordinary and room.shed():
            return pending
        full = JournalFull("the disk is full", hint="make room on the disk of the state folder")
        gone = [at for at in pending if isinstance(works[at], Append) or not ordinary]
        refused |= dict.fromkeys(gone, full)
        return [at for at in pending if at not in gone]

    def _step(self, step: Callable[[], None]) -> None:
        """Run a step that may use the reserve. Raises JournalFull (or DiskFails), JournalDamaged."""
        while True:
            try:
                self._revive()
                step()
                break
            except (apsw.Error, OSError) as error:
                if not is_full(error):
                    self._distrust(error)
                    raise _failed(error) from error
                self._cut_log()
                if not self.state.room.shed():
                    raise JournalFull("the disk is full", hint="make room on the disk of the state folder") from error
        self._fold()

    # --- what else the writer is asked --------------------------------------------------------------------------

    def seal_due(self) -> SealJob | None:
        """The oldest complete segment in the tail, if the disk can be trusted just now."""
        return None if self.troubled else self.state.seal_due()

    def sealed(self, segment: Segment) -> None:
        """A segment's file is durable: its entries leave the tail. Raises JournalFull, JournalDamaged."""
        state = self.state

        def step() -> None:
            if (segment.epoch, segment.first) == (state.epoch.epoch, state.tail_first):
                state.sealed(segment)

        self._step(step)

    def seal_failed(self, error: Exception, *, full: bool) -> None:
        """A segment's file could not be written: make room, or trust the disk no more until the tail was written anew."""
        if full:
            self.state.room.shed()
        else:
            self._distrust(error)

    def seal(self) -> bool:
        """Seal one segment here and now; False if none is due."""
        job = self.seal_due()
        if job is not None:
            self._step(lambda: self.state.seal(job))
        return job is not None

    def new_epoch(self, reason: str) -> None:
        """Close this epoch for good and open another. Raises JournalFull, JournalDamaged."""
        name = self._new_id()
        self._step(lambda: self.state.new_epoch(name, reason))

    def free(self, ranges: Sequence[SkippedRange]) -> None:
        """Let cursors pass declared ranges and free what they held. Raises JournalFull, JournalDamaged."""
        self._step(lambda: self.state.free(ranges))

    def set_aside(self, epoch: str, first: int) -> bool:
        """See ``Journal.set_aside``. Raises JournalFull, JournalDamaged."""
        return self._answer(lambda: self.state.set_aside(epoch, first))

    def restore(self, epoch: str, first: int, entries: Sequence[bytes]) -> bool:
        """See ``Journal.restore``. Raises JournalFull, JournalDamaged."""
        return self._answer(lambda: self.state.restore(epoch, first, entries))

    def give_up(self, epoch: str, first: int) -> None:
        """See ``Journal.give_up``. Raises JournalFull, JournalDamaged."""
        self._step(lambda: self.state.give_up(epoch, first))

    def ask(self, what: Callable[[Tail], T]) -> T:
        """What the database says, on a disk that is trusted. Raises JournalFull, JournalDamaged."""
        return self._answer(lambda: what(self.state.tail))

    def _answer(self, step: Callable[[], T]) -> T:
        said: list[T] = []
        self._step(lambda: said.append(step()))
        return said[-1]

    def apply(self, settings: JournalSettings) -> None:
        """New limits and sinks. Raises JournalFull, JournalDamaged."""
        self.state.room.settings = settings
        self._step(self.state.settle)

    def told(self, segments: Sequence[SegmentInfo]) -> None:
        """Entries say that these were freed before their time. Raises JournalFull, JournalDamaged."""
        self._step(lambda: self.state.told(segments))

    def keep(self, change: Callable[[Keeping], Keeping]) -> None:
        """A person's step: another keep time, or something let go. Raises JournalFull, JournalDamaged."""
        self._step(lambda: self.state.keep(change(self.state.owed.keeping)))

    def look_for_room(self) -> bool:
        """Whether ordinary batches have room (again), on a disk that takes them. Raises JournalFull, JournalDamaged."""
        ordinary = False

        def step() -> None:
            nonlocal ordinary
            ordinary, _ = self.state.make_room(0)

        self._step(step)
        return ordinary

    def room_beside(self, more: int) -> bool:
        """Whether so many bytes have room that no entry needs. Raises JournalFull, JournalDamaged."""
        room = False

        def step() -> None:
            nonlocal room
            room = self.state.room_beside(more)

        self._step(step)
        return room


def _failed(error: Exception) -> DiskFails:
    return DiskFails(f"the disk fails: {error}", hint="nothing of this was acknowledged; replace the disk")


def _bytes(append: Append) -> int:
    return sum(map(len, append.entries)) + _ROW_BYTES * len(append.entries) + sum(map(len, append.texts))
