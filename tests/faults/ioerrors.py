"""Errors of the disk under the real journal code: EIO, ENOSPC, short writes, once and lasting; nothing is acknowledged that is not on disk.

``python -m tests.faults.ioerrors --n 1000 --seed 1``: at least n lives of the journal on a simulated disk, in each of which operations fail from a
random one on (also while the journal is opened, and while it recovers from such an error); most end with a power cut that leaves of what was not synced
only what it likes. Then ``--timed`` runs of a store on the real disk, whose system calls strace lets fail: how long until the alarm, and until it goes on.
The last line is JSON; exit 1 on a false acknowledgement, an alarm later than 5 s, a journal that does not recover by itself, or a planted fault that
is not noticed.
"""

from __future__ import annotations

import argparse
import errno
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from edge_gateway.errors import JournalError
from edge_gateway.journal.core import Core
from edge_gateway.journal.work import Work
from tests.faults import results, timed_errors
from tests.faults.lives import Fault, Life, Tally
from tests.faults.simdisk import SimDisk

#: Operations that fail in a row; the last one: all that follow, until the process ends.
SPANS = {"once": 1, "a few": 4, "many": 60, "lasting": 1 << 60}
CODES = {"EIO": errno.EIO, "ENOSPC": errno.ENOSPC}
#: An error that lasts is looked at for so many failures; then the process is ended.
PATIENCE = 80


@dataclass(slots=True)
class Count:
    """``n`` lives in which something failed, by kind; ``failures``: operations that did."""

    n: int = 0
    failures: int = 0
    in_opening: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    tally: Tally = field(default_factory=Tally)

    def add(self, other: Count) -> None:
        self.n += other.n
        self.failures += other.failures
        self.in_opening += other.in_opening
        self.kinds += other.kinds
        self.tally.add(other.tally)


class Erring(Life):
    """A disk in each of whose lives but the last operations fail. An act during which none failed must succeed."""

    def __init__(self, seed: int, fault: Fault | None = None) -> None:
        super().__init__(seed, fault, failing=0.0)
        self.count = Count(tally=self.tally)
        self.hits = self.hits_before = 0
        self.fails_in, self.span, self.code = 0, 0, errno.EIO

    def _arm(self, cycle: int) -> None:
        super()._arm(cycle)
        self.hits = self.hits_before = 0
        if self.last:
            return
        name, code = self.rng.choice(list(SPANS)), self.rng.choice(list(CODES))
        self.span, self.code = SPANS[name], CODES[code]
        self.disk.short_writes = self.rng.random() < 0.5
        self.fails_in = self.rng.randrange(1, 30 if self.rng.random() < 0.25 else 250)
        self.kind = f"{code}{', short writes' if self.disk.short_writes else ''}, {name}"
        self.disk.fail = self._refuse

    def _refuse(self, kind: str, path: str) -> None:
        self.fails_in -= 1
        if -self.span < self.fails_in <= 0:
            self.hits += 1
            raise OSError(self.code, f"{kind} {path}")

    def _disk_failed_just_now(self) -> bool:
        return self.hits > self.hits_before

    def _act(self, core: Core) -> None:
        self.hits_before = self.hits
        super()._act(core)
        if self.hits > PATIENCE:
            self.disk.dead = True

    def _end(self, core: Core, cycle: int, opened: bool) -> None:
        if self.hits:
            self.count.n += 1
            self.count.failures += self.hits
            self.count.in_opening += not opened
            self.count.kinds[self.kind] += 1
        super()._end(core, cycle, opened)


class Forgives(Core):
    """Planted: a commit that the disk refused is acknowledged all the same."""

    def commit(self, works: Sequence[Work]) -> list[JournalError | None]:
        size = self.state.size
        refused = super().commit(works)
        if any(refused) and not self.state.room.full:
            self.state.size = max(size, self.state.size)
            return [None] * len(works)
        return refused


def _retries_syncs(core: Core, disk: SimDisk) -> None:
    disk.sync = _again(disk.sync)  # type: ignore[method-assign]


def _again(sync: Callable[..., None]) -> Callable[..., None]:
    def twice(*arguments: object) -> None:
        try:
            sync(*arguments)
        except OSError:
            sync(*arguments)

    return twice


PLANTED = {"an fsync tried twice": Fault(spoil=_retries_syncs), "acknowledged though refused": Fault(core=Forgives)}


def play(seeds: range) -> Count:
    """Disks with these seeds, one after the other."""
    total = Count()
    for seed in seeds:
        disk = Erring(seed)
        disk.play()
        total.add(disk.count)
    return total


def caught(planted: str, seed: int, most: int = 400) -> int:
    """Lives with errors until a planted fault is noticed; 0 if it is not, within ``most`` disks."""
    lives = 0
    for at in range(most):
        disk = Erring(seed + at, PLANTED[planted])
        disk.play()
        lives += disk.count.n
        if disk.tally.lost or disk.tally.corrupt:
            return max(1, lives)
    return 0


def _be_quiet() -> None:
    sys.unraisablehook = lambda unraisable: None  # a disk's errors inside SQLite's own clean-up


def campaign(n: int, seed: int, timed: int, budget_s: float) -> dict[str, Any]:
    """At least ``n`` lives with errors, or as many as the budget allows, and ``timed`` runs on the real disk."""
    ends, total, at = time.monotonic() + budget_s, Count(), seed * 1_000_000
    with ProcessPoolExecutor(2, initializer=_be_quiet) as pool:
        planted = {name: pool.submit(caught, name, at) for name in PLANTED}
        while total.n < n and time.monotonic() < ends:
            chunk = max(4, min(40, (n - total.n) // 8))
            for part in pool.map(play, [range(at, at + chunk), range(at + chunk, at + 2 * chunk)]):
                total.add(part)
            at += 2 * chunk
        found = {name: future.result() for name, future in planted.items()}
    real = timed_errors.play(timed, seed)
    counts, tally = {"failures": total.failures, "in_opening": total.in_opening, "kinds": dict(total.kinds)}, total.tally
    for why in (*tally.why, *real["why"]):
        print(why)
    passed = not (tally.lost or tally.corrupt or real["why"]) and all(found.values()) and total.n >= min(n, 1)
    seen = {name: getattr(tally, name) for name in ("acknowledged", "cuts", "kills", "lost", "corrupt")}
    return {"n": total.n, "seed": seed, **counts, **seen, "timed": real | {"why": len(real["why"])}, "planted": found, "passed": passed}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=1000, help="lives with errors at least")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--timed", type=int, default=24, help="runs on the real disk")
    parser.add_argument("--budget-s", type=float, default=300.0, help="begin no further disk after so many seconds")
    options = parser.parse_args()
    began = time.monotonic()
    result = campaign(options.n, options.seed, options.timed, options.budget_s)
    result["seconds"] = round(time.monotonic() - began, 1)
    results.append("ioerrors", result)
    print(json.dumps(result))
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
