"""Power cuts under the real journal code, on a simulated disk: what was acknowledged must be there, byte for byte.

``python -m tests.faults.powercut --n 100000 --seed 1``: at least n cuts, four crash–recover cycles a seed, each in the middle
of a random disk operation, one in three while the journal opens and repairs itself; 100 of them with segments of 4,096. The signer's
ledger and the hub's memory of what it cosigned are cut as well (``memories.py``), a twentieth as often.
The last line is JSON; the exit status is 1 if anything was lost or corrupt, or if a planted fault went unnoticed.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import apsw

from edge_gateway.journal.core import Core
from edge_gateway.journal.renewal import DATABASE
from edge_gateway.journal.tail import Tail, entry_crc
from edge_gateway.journal.work import Append, Work
from tests.faults import memories, results
from tests.faults.lives import CYCLES, LARGE, STATE, Fault, Life, Tally
from tests.faults.simdisk import PowerCut, SimDisk, SimFiles

#: Cuts with segments of 4,096 that a campaign makes besides.
AT_4096 = 100


class DeletesFirst(Core):
    """Planted: entries leave the tail before the folder of their segment's file is synced."""

    def seal(self) -> bool:
        job = self.seal_due()
        if job is None:
            return False
        files, late = self.state.files, list[Path]()
        files.sync_folder = late.append  # type: ignore[method-assign,assignment]
        try:
            segment = self.state.write_seal(job, self.state.tail.entries(job.first, job.end))
        finally:
            del files.sync_folder
        self.state.sealed(segment)
        for folder in late:
            files.sync_folder(folder)
        return True


class TrustsTheCache(Core):
    """Planted: after a kill, what the cache shows is taken for durable."""

    def open(self) -> None:
        checkpoint, frames, settle = Tail.checkpoint, Tail.log_frames, SimFiles.settle
        Tail.checkpoint = lambda self: None  # type: ignore[method-assign]
        Tail.log_frames = lambda self: 1 << 30  # type: ignore[method-assign]
        SimFiles.settle = lambda self, path: None  # type: ignore[method-assign]
        try:
            super().open()
        finally:
            Tail.checkpoint, Tail.log_frames = checkpoint, frames  # type: ignore[method-assign]
            SimFiles.settle = settle  # type: ignore[method-assign]


class TrustsAReopening(Core):
    """Planted: after a sync that failed the database is opened again, and what the cache shows of it counts."""

    def _write(self, works: Sequence[Work]) -> None:
        try:
            super()._write(works)
        except apsw.IOError:
            self.state.tail.abandon()
            self.state.tail = Tail(STATE / DATABASE, vfs=self.state.files.vfs)
            self.state.tail.prepare()
            added = [entry for work in works if isinstance(work, Append) for entry in work.entries]
            if list(self.state.tail.entries(self.state.size, self.state.size + len(added))) != added:
                raise
            self.state.crcs += map(entry_crc, range(self.state.size, self.state.size + len(added)), added)
            self.state.size += len(added)


def _normal(core: Core, disk: SimDisk) -> None:
    core.state.tail.connection.execute("PRAGMA synchronous=NORMAL").fetchall()


def _no_folder_sync(core: Core, disk: SimDisk) -> None:
    disk.sync_folder = lambda folder: None  # type: ignore[method-assign]


def _no_file_sync(core: Core, disk: SimDisk) -> None:
    synced = disk.sync
    database = ("journal.sqlite", "journal.sqlite-wal")
    disk.sync = lambda path, inode: synced(path, inode) if Path(path).name in database else None  # type: ignore[method-assign]


PLANTED: dict[str, Fault] = {
    "synchronous=NORMAL": Fault(spoil=_normal),
    "no fsync of a file": Fault(spoil=_no_file_sync),
    "no folder fsync": Fault(spoil=_no_folder_sync),
    "tail deleted before the sealed file's folder sync": Fault(core=DeletesFirst),
    "re-open and trust after a failed fsync": Fault(core=TrustsAReopening),
}


def play(seeds: Iterable[int], segment: int = 0) -> Tally:
    """Lives with these seeds, one disk after the other; ``segment`` 0: its size is the seed's choice."""
    total = Tally()
    for seed in seeds:
        total.add(Life(seed, segment=segment).play())
    return total


def play_large(seed: int, cuts: int) -> Tally:
    """At least so many cuts with segments of 4,096."""
    total = Tally()
    while total.cuts < cuts:
        total.add(Life(seed, segment=LARGE).play())
        seed += 1
    return total


def caught(planted: str, seed: int, most: int = 400) -> int:
    """Cuts until a planted fault is noticed; 0 if it is not, within ``most`` disks."""
    cuts, fault = 0, PLANTED[planted]
    for disk in range(most):
        tally = Life(seed + disk, fault, failing=1.0 if fault.core is TrustsAReopening else 0.0).play()
        cuts += tally.cuts
        if tally.lost or tally.corrupt:
            return max(1, cuts)
    return 0


def _be_quiet() -> None:
    sys.unraisablehook = _quiet


def _quiet(unraisable: sys.UnraisableHookArgs) -> None:
    """A checkpoint's error is none of the commit's business: SQLite passes a cut over there, and the life ends after it."""
    if not isinstance(unraisable.exc_value, PowerCut | apsw.IOError):
        sys.__unraisablehook__(unraisable)


def campaign(n: int, seed: int, workers: int, budget_s: float) -> dict[str, Any]:
    """At least ``n`` cuts, or as many as the budget allows; what was counted, and the planted faults' cuts until noticed."""
    ends, total, at = time.monotonic() + budget_s, Tally(), seed * 1_000_000
    with ProcessPoolExecutor(workers, initializer=_be_quiet) as pool:
        planted = {name: pool.submit(caught, name, at) for name in PLANTED}
        planted |= {f"{which}: {name}": pool.submit(memories.caught, which, name, at) for which in memories.MEMORIES for name in memories.PLANTED}
        large = [pool.submit(play_large, at + 500_000 + 1000 * part, AT_4096 // workers + 1) for part in range(workers)]
        kept = {which: pool.submit(memories.play, which, at, n // 20) for which in memories.MEMORIES}
        for part in large:
            total.add(part.result())
        while total.cuts < n and time.monotonic() < ends:
            chunk = max(4, min(100, (n - total.cuts) // (CYCLES * workers)))
            parts = [range(at + one * chunk, at + (one + 1) * chunk) for one in range(workers)]
            at += chunk * workers
            for tally in pool.map(play, parts):
                total.add(tally)
        found = {name: future.result() for name, future in planted.items()}
        remembered = {which: asdict(future.result()) for which, future in kept.items()}
    counts = asdict(total)
    for why in [*counts.pop("why"), *(why for each in remembered.values() for why in each.pop("why"))]:
        print(why)
    forgot = any(each["forgotten"] or each["broken"] for each in remembered.values())
    return {
        "n": total.cuts, "seed": seed, **counts, "memories": remembered, "planted": found,
        "passed": not (total.lost or total.corrupt or forgot) and all(found.values()) and 3 * total.in_recovery >= total.cuts,
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=100_000, help="cuts at least")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--budget-s", type=float, default=600.0, help="begin no further disk after so many seconds")
    options = parser.parse_args()
    began = time.monotonic()
    result = campaign(options.n, options.seed, options.workers, options.budget_s)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    result |= {"seconds": round(time.monotonic() - began, 1), "cpu_seconds": round(used.ru_utime + used.ru_stime, 1)}
    results.append("powercut", result)
    print(json.dumps(result))
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
