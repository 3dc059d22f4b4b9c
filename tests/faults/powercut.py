"""Power cuts under the real journal code, on a simulated disk: what was acknowledged must be there, byte for byte.

``python -m tests.faults.powercut --n 5000 --seed 1``: at least n cuts, each in the middle of a random disk operation
(also while the journal opens and repairs itself). The last line is JSON; the exit status is 1 if anything was lost
or corrupt, or if a planted fault went unnoticed.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

import apsw

from edge_gateway.errors import JournalError
from edge_gateway.journal.base import Position
from edge_gateway.journal.core import Core
from edge_gateway.journal.retention import JournalSettings
from edge_gateway.journal.segments import SegmentFile, build, texts_named
from edge_gateway.journal.tail import Tail
from edge_gateway.journal.work import Append, Move, Refuse, Work
from edge_gateway.record.entry import decode, encode, text_hash
from edge_gateway.record.merkle import leaf_hash, tree_root
from tests.faults.simdisk import PowerCut, SimDisk, SimFiles, forget
from tests.journal.entries import batch, snapshot, stamp

SEGMENT = 8
STATE = Path("/state")
SETTINGS = JournalSettings(max_bytes=1 << 30, segment_entries=SEGMENT, hub_name="hub", sinks=("hub", "influx"))
#: Lives a disk has: each but the last ends with a cut.
LIVES = 5
LEAST_SEALS = 3


@dataclass(slots=True)
class Tally:
    """What a campaign counts."""

    cuts: int = 0
    acknowledged: int = 0
    lost: int = 0
    corrupt: int = 0
    seals: int = 0
    least_seals_a_run: int = 1 << 30
    why: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        self.cuts += other.cuts
        self.acknowledged += other.acknowledged
        self.lost += other.lost
        self.corrupt += other.corrupt
        self.seals += other.seals
        self.least_seals_a_run = min(self.least_seals_a_run, other.least_seals_a_run)
        self.why = (self.why + other.why)[:20]


@dataclass(slots=True)
class Expected:
    """One epoch as it must be: acknowledged entries, and those that a cut left undecided."""

    entries: list[bytes] = field(default_factory=list)
    undecided: list[bytes] = field(default_factory=list)


class TrustsTheCache(Core):
    """Planted: after a kill, what the cache shows is taken for durable."""

    def open(self) -> None:
        checkpoint, frames = Tail.checkpoint, Tail.log_frames
        Tail.checkpoint = lambda self: None  # type: ignore[method-assign]
        Tail.log_frames = lambda self: 1 << 30  # type: ignore[method-assign]
        try:
            super().open()
        finally:
            Tail.checkpoint, Tail.log_frames = checkpoint, frames  # type: ignore[method-assign]


@dataclass(slots=True)
class Fault:
    """A way of being wrong: a core of another class, a disk that is told otherwise."""

    core: type[Core] = Core
    spoil: Callable[[Core, SimDisk], None] = lambda core, disk: None


class DeletesFirst(Core):
    """Planted: entries leave the tail before their segment is durable."""

    def seal(self) -> bool:
        job = self.seal_due()
        if job is None:
            return False
        entries = list(self.state.tail.entries(job.first, job.end))
        self.state.sealed(build(job.epoch, job.first, entries, self.state.member_entries)[1])
        self.state.write_seal(job, entries)
        return True


def _normal(core: Core, disk: SimDisk) -> None:
    core.state.tail.connection.execute("PRAGMA synchronous=NORMAL").fetchall()


def _no_folder_sync(core: Core, disk: SimDisk) -> None:
    disk.sync_folder = lambda folder: None  # type: ignore[method-assign]


PLANTED: dict[str, Fault] = {
    "synchronous=NORMAL": Fault(spoil=_normal),
    "no folder fsync": Fault(spoil=_no_folder_sync),
    "tail deleted before the seal is durable": Fault(core=DeletesFirst),
}


class Run:
    """One disk through several lives."""

    def __init__(self, seed: int, fault: Fault | None = None) -> None:
        self.rng = random.Random(seed)
        self.fault = fault or Fault()
        self.disk = SimDisk(seed + 1)
        self.files = SimFiles(self.disk)
        self.tally = Tally(least_seals_a_run=0)
        self.epochs: dict[str, Expected] = {}
        self.texts: dict[str, bytes] = {}
        self.cursors: dict[str, set[Position | None]] = {}  # where they may stand
        self.refused = self.refused_undecided = 0
        self.ids = 0
        self.seed = seed
        self.killed = False  # the life before ended by a kill, not by a cut

    def play(self) -> Tally:
        try:
            for life in range(LIVES):
                self._live(last=life == LIVES - 1)
                if self.tally.lost or self.tally.corrupt:
                    break
        finally:
            forget(self.files)
        self.tally.least_seals_a_run = self.tally.seals
        return self.tally

    def _new_id(self) -> str:
        self.ids += 1
        return f"{self.seed & 0xFFFFFFFF:08x}{self.ids:08x}"

    def _live(self, last: bool) -> None:
        opening = self.killed or self.rng.random() < 1 / 3
        self.disk.cut_after(None if last else self.rng.randrange(1, 45 if opening else 330))
        core = self.fault.core(self.files, STATE, SETTINGS, wall_us=lambda: 1_780_000_000_000_000, new_id=self._new_id)
        try:
            core.open()
            self.fault.spoil(core, self.disk)
            if not self.disk.dead and self._check(core):
                core.state.tail.connection.wal_autocheckpoint(self.rng.choice((6, 40, 512)))
                self._act_until(core, last)
        except PowerCut:
            pass  # counted below: SQLite may also have made an error code of it
        except (JournalError, apsw.Error) as error:
            if not self.disk.dead:
                self._corrupt(f"{type(error).__name__}: {error}")
        self.killed = self.disk.dead and self.rng.random() < 0.25
        self.tally.cuts += self.disk.dead and not self.killed
        self.tally.seals += core.state.seals
        self.disk.dead = not last  # what is torn down after a cut has no effect
        if hasattr(core.state, "tail"):
            core.close()
        if self.killed:  # only the process ended: what it wrote is seen, and still not durable
            self.disk.go_on()
        else:
            self.disk.restart()

    def _act_until(self, core: Core, last: bool) -> None:
        """Until the cut; in the last life for a while, and until there were enough seals."""
        done = 0
        while not self.disk.dead and not (last and done >= 25 and self.tally.seals + core.state.seals >= LEAST_SEALS):
            self._act(core)
            done += 1

    # --- doing ------------------------------------------------------------------------------------------------

    def _act(self, core: Core) -> None:
        state, choice = core.state, self.rng.random()
        if choice < 0.75:
            self._append(core)
        elif choice < 0.9:
            core.seal()
        elif choice < 0.94:
            self._refuse(core)
        elif choice < 0.97:
            state.free_covered(self.rng.choice((1, 3000)))
        elif choice < 0.985 and state.size:
            core.new_epoch("restore")
            self.epochs[state.epoch.epoch] = Expected()
        else:
            state.collect_texts()

    def _append(self, core: Core) -> None:
        state = core.state
        expected = self.epochs[state.epoch.epoch]
        works: list[Work] = []
        first = state.size
        for _ in range(self.rng.choice((1, 1, 2))):
            texts: list[bytes] = []
            count = self.rng.choice((1, 1, 2, 3, 5))
            entries = [self._entry(seq, texts) for seq in range(first, first + count)]
            works.append(Append(first=first, entries=entries, texts=texts))
            first += len(entries)
        added = [entry for work in works if isinstance(work, Append) for entry in work.entries]
        if self.rng.random() < 0.4 and state.size:
            sink = self.rng.choice(("hub", "influx"))
            move = Move(sink=sink, to=Position(state.epoch.epoch, state.size), receipt={} if sink == "hub" else None)
            works.append(move)
            self.cursors.setdefault(sink, {None}).add(move.to)
        expected.undecided = added
        results = core.commit(works)
        if self.disk.dead:
            return
        if any(results):
            self._corrupt(f"a commit was refused on a sound disk: {results}")
            return
        expected.entries += added
        expected.undecided = []
        self.tally.acknowledged += len(added)
        for work in works:
            if isinstance(work, Move):
                self.cursors[work.sink] = {work.to}

    def _entry(self, seq: int, texts: list[bytes]) -> bytes:
        if seq % SEGMENT == 0:
            state = f'{{"state":{self.rng.randrange(4)}}}'.encode()
            texts.append(state)
            entry = snapshot(seq, state_text=text_hash(state))
        elif self.rng.random() < 0.1:
            text = f'{{"text":{self.rng.randrange(6)}}}'.encode()
            texts.append(text)
            entry = encode(seq, "config", stamp(seq), {"text": text_hash(text), "texts": {}})
        else:
            entry = batch(seq, size=self.rng.choice((0, 0, 100, 6000)), salt=str(self.rng.random()))
        self.texts.update((text_hash(text), text) for text in texts)
        return entry

    def _refuse(self, core: Core) -> None:
        self.refused_undecided = 1
        core.commit([Refuse(sink="influx", epoch=core.state.epoch.epoch, items=[(0, "line", "why")])])
        if not self.disk.dead:
            self.refused += 1
            self.refused_undecided = 0

    # --- judging ----------------------------------------------------------------------------------------------

    def _corrupt(self, why: str) -> None:
        self.tally.corrupt += 1
        self.tally.why.append(f"seed {self.seed}: {why}")

    def _lost(self, count: int, why: str) -> None:
        self.tally.lost += count
        self.tally.why.append(f"seed {self.seed}: {why}")

    def _check(self, core: Core) -> bool:
        """Everything that must hold after an opening; afterwards what was undecided is decided."""
        state = core.state
        if core.damaged:
            self._corrupt(f"damage reported: {core.damaged}")
            return False
        here = {epoch.epoch for epoch in state.held.epochs}
        for name in self.epochs.keys() - here:
            self._lost(len(self.epochs[name].entries) or 1, f"epoch {name} is gone")
        for epoch in state.held.epochs:
            expected = self.epochs.setdefault(epoch.epoch, Expected())
            found = self._entries(core, epoch.epoch, epoch.first)
            size = epoch.first + len(found)
            whole = expected.entries + expected.undecided
            if found != whole[epoch.first : size]:
                self._corrupt(f"epoch {epoch.epoch} reads otherwise than it was written")
            elif size < len(expected.entries):
                self._lost(len(expected.entries) - size, f"epoch {epoch.epoch} ends at {size}")
            elif size not in (len(expected.entries), len(whole)):
                self._corrupt(f"epoch {epoch.epoch} ends inside a group, at {size}")
            if size != (state.size if epoch.size is None else epoch.size):
                self._corrupt(f"epoch {epoch.epoch}: size {epoch.size} said, {size} found")
            if epoch.closed and epoch.root != tree_root(map(leaf_hash, whole[:size])).hex():
                self._corrupt(f"epoch {epoch.epoch}: a wrong root")
            expected.entries, expected.undecided = whole[:size], []
            self._check_texts(core, found)
        self._check_tables(core)
        return not (self.tally.lost or self.tally.corrupt)

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
                    core.state.texts.get(name)
                except (KeyError, JournalError):
                    self._corrupt(f"text {name[:8]} is named and not here")

    def _check_tables(self, core: Core) -> None:
        state = core.state
        for sink, allowed in self.cursors.items():
            cursor = state.held.cursors.get(sink)
            if cursor not in allowed:
                self._corrupt(f"cursor {sink} stands at {cursor}, not in {allowed}")
            elif cursor is not None and cursor.seq > len(self.epochs[cursor.epoch].entries):
                self._corrupt(f"cursor {sink} stands beyond the end")
            self.cursors[sink] = {cursor}
        refused = len(state.tail.quarantined())
        if refused not in (self.refused, self.refused + self.refused_undecided):
            self._lost(1, f"quarantine holds {refused} instead of {self.refused}")
        self.refused, self.refused_undecided = refused, 0


def play(seeds: range, planted: str = "") -> Tally:
    """Runs with these seeds, one after the other."""
    total = Tally()
    for seed in seeds:
        total.add(Run(seed, PLANTED.get(planted)).play())
    return total


def caught(planted: str, seed: int, most: int = 400) -> int:
    """Cuts until a planted fault is noticed; 0 if it is not, within ``most`` runs."""
    cuts = 0
    for run in range(most):
        tally = Run(seed + run, PLANTED[planted]).play()
        cuts += tally.cuts
        if tally.lost or tally.corrupt:
            return max(1, cuts)
    return 0


def _be_quiet() -> None:
    sys.unraisablehook = _quiet


def _quiet(unraisable: sys.UnraisableHookArgs) -> None:
    """A checkpoint's error is none of the commit's business: SQLite passes a cut over there, and the run ends after it."""
    if not isinstance(unraisable.exc_value, PowerCut):
        sys.__unraisablehook__(unraisable)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=5000, help="cuts at least")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    began, total, seed = time.monotonic(), Tally(), options.seed * 1_000_000
    with ProcessPoolExecutor(options.workers, initializer=_be_quiet) as pool:
        found = {name: pool.submit(caught, name, seed) for name in PLANTED}
        while total.cuts < options.n:
            chunk = max(4, min(50, (options.n - total.cuts) // (LIVES * options.workers)))
            parts = [range(seed + at * chunk, seed + (at + 1) * chunk) for at in range(options.workers)]
            seed += chunk * options.workers
            for part in pool.map(play, parts):
                total.add(part)
        planted = {name: future.result() for name, future in found.items()}
    result = {"n": options.n, "seed": options.seed} | asdict(total) | {
        "planted": planted, "seconds": round(time.monotonic() - began, 1)
    }  # fmt: skip
    for why in result.pop("why"):
        print(why)
    print(json.dumps(result))
    return 1 if total.lost or total.corrupt or not all(planted.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
