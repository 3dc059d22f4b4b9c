"""One simulated disk through several lives of the journal's writer: each ends by a power cut or a kill; what was acknowledged is asked back.

Knows how to act and how to read a journal back; what must be in it is ``survivors.py``, how many lives are lived is ``powercut.py``.
"""

from __future__ import annotations

import errno
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import apsw

from edge_gateway.errors import JournalError
from edge_gateway.journal.base import Position
from edge_gateway.journal.core import Core
from edge_gateway.journal.retention import JournalSettings
from edge_gateway.journal.segments import SegmentFile, texts_named
from edge_gateway.journal.work import Append, Drop, Move, Refuse, Signed, Work
from edge_gateway.record.entry import decode, encode, text_hash
from edge_gateway.record.merkle import leaf_hash, tree_root
from tests.faults.simdisk import PowerCut, SimDisk, SimFiles, forget
from tests.faults.survivors import Attempt, Survivors, Tables
from tests.journal.entries import batch, snapshot, stamp
from tests.journal.witness import cosigned, hub_key, signed

STATE = Path("/state")
#: Crash–recover cycles of a disk, and one life more that looks and goes on.
CYCLES = 4
#: Operations until a cut: at most so many while the journal is opened, and while it works.
OPENING, WORKING = 24, 330
SEGMENTS = (16, 32, 64)
QUARANTINE = 4
#: Lives in which an fsync fails.
FAILING = 0.25
LARGE = 4096


@dataclass(slots=True)
class Tally:
    """What a campaign counts."""

    cuts: int = 0
    in_recovery: int = 0
    at_4096: int = 0
    kills: int = 0
    failed_syncs: int = 0
    acknowledged: int = 0
    lost: int = 0
    corrupt: int = 0
    seals: int = 0
    freed: int = 0
    checkpoints: int = 0
    receipts: int = 0
    least_seals_a_run: int = 1 << 30
    why: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        for name in self.__slots__:
            if name not in ("why", "least_seals_a_run"):
                setattr(self, name, getattr(self, name) + getattr(other, name))
        self.least_seals_a_run = min(self.least_seals_a_run, other.least_seals_a_run)
        self.why = (self.why + other.why)[:20]


@dataclass(slots=True)
class Fault:
    """A way of being wrong: a core of another class, a disk that is told otherwise."""

    core: type[Core] = Core
    spoil: Callable[[Core, SimDisk], None] = lambda core, disk: None


class Life:
    """One disk. ``play`` lives all lives; ``failing``: the share of lives in which an fsync fails."""

    def __init__(self, seed: int, fault: Fault | None = None, *, segment: int = 0, failing: float = FAILING) -> None:
        self.rng = random.Random(seed)
        self.seed = seed
        self.fault = fault or Fault()
        self.segment = segment or self.rng.choice(SEGMENTS)
        self.settings = JournalSettings(
            max_bytes=1 << 30, segment_entries=self.segment, hub_name="hub", hub_vkey=str(hub_key()), sinks=("hub", "influx"),
            quarantine_entries=QUARANTINE,
        )  # fmt: skip
        self.disk = SimDisk(seed + 1)
        self.files = SimFiles(self.disk)
        self.tally = Tally()
        self.must = Survivors()
        self.failing = failing
        self.last = False  # the life that no cut ends
        self.killed = False  # the life before ended by a kill, not by a cut
        self.sync_fails_in = 0
        self.ids = 0

    def play(self) -> Tally:
        try:
            for cycle in range(CYCLES + 1):
                self._live(cycle)
                if self.tally.lost or self.tally.corrupt:
                    break
        finally:
            forget(self.files)
        self.tally.least_seals_a_run = self.tally.seals
        self.tally.at_4096 = self.tally.cuts if self.segment == LARGE else 0
        return self.tally

    def _new_id(self) -> str:
        self.ids += 1
        return f"{self.seed & 0xFFFFFFFF:08x}{self.ids:08x}"

    def _live(self, cycle: int) -> None:
        self.last = last = cycle == CYCLES
        self._arm(cycle)
        core = self.fault.core(self.files, STATE, self.settings, wall_us=lambda: 1_780_000_000_000_000, new_id=self._new_id)
        opened = False
        try:
            core.open()
            opened = True
            self.fault.spoil(core, self.disk)
            if not self.disk.dead and self._check(core):
                core.state.tail.fold_frames = self.rng.choice((6, 40, 512))
                self._act_until(core, last)
        except PowerCut:
            pass  # counted below: SQLite may also have made an error code of it
        except (JournalError, apsw.Error) as error:
            if not (self.disk.dead or self._disk_failed_just_now()):
                self._corrupt(f"{type(error).__name__}: {error}")
        self._end(core, cycle, opened)

    def _arm(self, cycle: int) -> None:
        """Where this life ends, and whether an fsync fails in it."""
        opening = cycle and (self.killed or self.rng.random() < 0.65)
        at = None if cycle == CYCLES else self.rng.randrange(1, OPENING if opening else WORKING)
        if self.segment == LARGE and not opening:
            at = None  # set when a segment is sealed
        self.disk.cut_after(at)
        self.sync_fails_in = self.rng.randrange(1, 40) if cycle < CYCLES and self.rng.random() < self.failing else 0
        self.disk.fail = self._fail if self.sync_fails_in else None

    def _fail(self, kind: str, path: str) -> None:
        """One fsync, or two in a row, end with EIO."""
        if kind == "sync":
            self.sync_fails_in -= 1
            if self.sync_fails_in in (0, -1) and (self.sync_fails_in == 0 or self.rng.random() < 0.5):
                self.tally.failed_syncs += 1
                raise OSError(errno.EIO, path)

    def _disk_failed_just_now(self) -> bool:
        """The service gives up and is started again."""
        return self.disk.fail is not None and self.sync_fails_in <= 0

    def _end(self, core: Core, cycle: int, opened: bool) -> None:
        last, cut = cycle == CYCLES, self.disk.dead
        self.killed = not last and (not cut or self.rng.random() < 0.2)
        if cut and not self.killed:
            self.tally.cuts += 1
            self.tally.in_recovery += cycle > 0 and not opened
        self.tally.kills += self.killed
        self.tally.seals += core.state.seals
        self.disk.fail = None
        self.disk.cut_after(None)
        self.disk.dead = not last  # what is torn down after a cut has no effect
        if hasattr(core.state, "tail"):
            core.close()
        if self.killed:  # only the process ended: what it wrote is seen, and still not durable
            self.disk.go_on()
        else:
            self.disk.restart()

    def _act_until(self, core: Core, last: bool) -> None:
        """Until the cut; in the last life for a while, and until something was sealed."""
        done = 0
        while not self.disk.dead and not (last and done >= 15 and self.tally.seals + core.state.seals):
            self._act(core)
            done += 1

    # --- doing ------------------------------------------------------------------------------------------------

    def _act(self, core: Core) -> None:
        choice = self.rng.random()
        try:
            if choice < 0.74:
                self._commit(core, self._works(core))
            elif choice < 0.88:
                self._seal(core)
            elif choice < 0.96:
                before = len(core.state.kept)
                core._step(lambda: core.state.free_covered(self.rng.choice((1, 3000))))
                self.tally.freed += before - len(core.state.kept)
            elif choice < 0.975 and core.state.size:
                core.new_epoch("restore")
                self.must.born(core.state.epoch.epoch)
            else:
                core._step(core.state.collect_texts)
        except JournalError:
            if not (self.disk.dead or self._disk_failed_just_now()):
                raise

    def _seal(self, core: Core) -> None:
        if self.segment == LARGE and core.seal_due() and not self.last:
            self.disk.cut_after(self.rng.randrange(1, 60))
        core.seal()

    def _works(self, core: Core) -> list[Work]:
        """One commit's: appends, a cursor, a receipt, a checkpoint, refused lines, some of them."""
        state, rng = core.state, self.rng
        works: list[Work] = []
        first, epoch = state.size, state.epoch.epoch
        for _ in range(rng.choice((0, 1, 1, 1, 2))):
            texts: list[bytes] = []
            count = rng.choice((300, 700)) if self.segment == LARGE else rng.choice((1, 1, 2, 3, 5, 9))
            entries = [self._entry(seq, texts) for seq in range(first, first + count)]
            works.append(Append(first=first, entries=entries, texts=texts))
            first += count
        if state.size and rng.random() < 0.5:
            back = rng.randrange(state.size) if rng.random() < 0.1 else state.size
            sink = rng.choice(("hub", "hub", "influx"))
            works.append(Move(sink=sink, to=Position(epoch, back), receipt={"size": back, "of": epoch} if sink == "hub" else None))
        if state.size and rng.random() < 0.3:
            garbled = rng.randbytes(80) + b"\n\xe2\x80\x94 a\n\xe2\x80\x94 b"  # nobody's word
            note = rng.choice((signed, cosigned, cosigned, lambda *_: garbled))(epoch, state.size)
            works.append(Signed(epoch=epoch, size=state.size, note=note))
        if rng.random() < 0.1:
            works.append(Refuse(sink="influx", epoch=epoch, items=[(first, f"line {rng.random()}", "why")]))
        elif rng.random() < 0.05 and (kept := [] if core.troubled else state.tail.quarantined()):
            works.append(Drop(ids=[kept[0].id]))
        return works

    def _commit(self, core: Core, works: Sequence[Work]) -> None:
        if not works or self._given_up(core):
            return
        self.must.tried(self._attempt(core, works))
        self.must.tried(self._attempt(core, [work for work in works if not isinstance(work, Append)]))  # on a full disk
        results = core.commit(works)
        if self.disk.dead:
            return
        if any(results):
            if not self._disk_failed_just_now():
                self._corrupt(f"a commit was refused on a sound disk: {results}")
            if self._given_up(core):
                return
        works = [work for work, refused in zip(works, results, strict=True) if refused is None]
        if not works:
            return
        self.must.acknowledged(attempt := self._attempt(core, works))
        self.tally.acknowledged += len(attempt.added)
        self.tally.checkpoints += sum(isinstance(work, Signed) for work in works)
        self.tally.receipts += sum(isinstance(work, Move) and work.receipt is not None for work in works)

    def _attempt(self, core: Core, works: Sequence[Work]) -> Attempt:
        added = [entry for work in works if isinstance(work, Append) for entry in work.entries]
        return Attempt(added, self.must.tables.after(works, core.state.order, QUARANTINE))

    def _given_up(self, core: Core) -> bool:
        """After a failed sync the writer went on in a new epoch: not for a single bad sync."""
        if core.state.epoch.epoch == self.must.open:
            return False
        self._lost(1, f"an epoch was given up: {core.damaged}")
        self.disk.dead = True  # this life shows no more
        return True

    def _entry(self, seq: int, texts: list[bytes]) -> bytes:
        if seq % self.segment == 0:
            state = f'{{"state":{self.rng.randrange(4)}}}'.encode()
            texts.append(state)
            entry = snapshot(seq, state_text=text_hash(state))
        elif self.rng.random() < (0.002 if self.segment == LARGE else 0.06):
            text = f'{{"text":{self.rng.randrange(6)}}}'.encode()
            texts.append(text)
            entry = encode(seq, "config", stamp(seq), {"text": text_hash(text), "texts": {}})
        else:
            size = 0 if self.segment == LARGE else self.rng.choice((0, 0, 0, 0, 0, 50, 3000))
            entry = batch(seq, salt=self.rng.randbytes(size or 8).hex())
        self.must.texts.update((text_hash(text), text) for text in texts)
        return entry

    # --- judging ----------------------------------------------------------------------------------------------

    def _corrupt(self, why: str) -> None:
        self.tally.corrupt += 1
        self.tally.why.append(f"seed {self.seed}: {why}")

    def _lost(self, count: int, why: str) -> None:
        self.tally.lost += count
        self.tally.why.append(f"seed {self.seed}: {why}")

    def _check(self, core: Core) -> bool:
        """Everything that must hold after an opening; afterwards what was undecided is decided."""
        state, must = core.state, self.must
        if core.damaged:
            self._corrupt(f"damage reported: {core.damaged}")
            return False
        here = {epoch.epoch for epoch in state.held.epochs}
        for name in must.epochs.keys() - here:
            self._lost(len(must.epochs[name].entries) or 1, f"epoch {name} is gone")
        added: list[bytes] = []
        for epoch in state.held.epochs:
            found = self._entries(core, epoch.epoch, epoch.first)
            size = epoch.first + len(found)
            known = must.epochs.get(epoch.epoch)
            owed = known.entries if known else []
            if size < len(owed):
                self._lost(len(owed) - size, f"epoch {epoch.epoch} ends at {size}")
                continue
            if found[: len(owed) - epoch.first] != owed[epoch.first :]:
                self._corrupt(f"epoch {epoch.epoch} reads otherwise than it was written")
            if known and epoch.first > known.witnessed:
                self._lost(epoch.first - known.witnessed, f"epoch {epoch.epoch} was freed to {epoch.first}, the hub witnessed {known.witnessed}")
            if size != (state.size if epoch.size is None else epoch.size):
                self._corrupt(f"epoch {epoch.epoch}: size {epoch.size} said, {size} found")
            more = found[len(owed) - epoch.first :]
            if epoch.closed and epoch.root != tree_root(map(leaf_hash, [*owed, *more])).hex():
                self._corrupt(f"epoch {epoch.epoch}: a wrong root")
            if more and epoch.epoch != must.open:
                self._corrupt(f"epoch {epoch.epoch} holds {len(more)} entries that were never written to it")
            added += more
            self._check_texts(core, found)
        if not (self.tally.lost or self.tally.corrupt):
            self._decide(core, added)
        return not (self.tally.lost or self.tally.corrupt)

    def _decide(self, core: Core, added: list[bytes]) -> None:
        if self.must.open and (wrong := self.must.decide(added, Tables.of(core.state.tail))):
            self._corrupt(wrong)
        if core.state.epoch.epoch != self.must.open:
            self.must.born(core.state.epoch.epoch)

    def _entries(self, core: Core, epoch: str, first: int) -> list[bytes]:
        """Kept entries of an epoch, from its segments and, for the open one, the tail."""
        state = core.state
        found: list[bytes] = []
        for segment in state.kept:
            if segment.epoch == epoch:
                if segment.first != first + len(found):
                    self._corrupt(f"a hole before segment {epoch}/{segment.first}")
                try:
                    file = SegmentFile(self.files, STATE, epoch, segment.first, segment.count)
                    file.verify()
                    found += file.entries()
                except (FileNotFoundError, JournalError) as error:
                    self._lost(segment.count, f"segment {epoch}/{segment.first}: {error}")
        if epoch == state.epoch.epoch:
            found += state.tail.entries(state.tail_first, state.size)
        return found

    def _check_texts(self, core: Core, entries: list[bytes]) -> None:
        for entry in entries:
            if b'"kind":"batch"' in entry:
                continue
            for name in texts_named(decode(entry)):
                try:
                    right = core.state.texts.get(name) == self.must.texts[name]
                except (KeyError, JournalError):
                    right = False
                if not right:
                    self._corrupt(f"text {name[:8]} is named and not here")
