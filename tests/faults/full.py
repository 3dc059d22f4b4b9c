"""A small file system, filled from outside and by the journal itself, and freed: the child of ``diskfull.py``.

``python -m tests.faults.full FOLDER --rounds 100``: FOLDER is a file system of its own. The last line is JSON; exit 1 on any loss.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from edge_gateway.clock import SystemClock
from edge_gateway.errors import JournalError, JournalFull
from edge_gateway.journal.base import Position
from edge_gateway.journal.core import Core
from edge_gateway.journal.room import Room
from edge_gateway.journal.store import JournalSettings, Store, open_journal
from edge_gateway.journal.work import Append, Work
from tests.journal.entries import run
from tests.journal.witness import cosigned, hub_key

SEGMENT, MAX_BYTES = 256, 20_000_000
#: Of so many rounds one less is filled from outside: then it is near its own limit all the time.
EACH = 5


@dataclass(slots=True)
class Result:
    rounds: int = 0
    acknowledged: int = 0
    refused: int = 0
    from_reserve: int = 0
    freed_segments: int = 0
    slowest_resume_s: float = 0.0
    lost: int = 0
    altered: int = 0


class Scenario:
    def __init__(self, folder: Path, store: Store) -> None:
        self.folder = folder
        self.store = store
        self.epoch = store.epoch
        self.entries: list[bytes] = []
        self.result = Result()

    async def append(self, count: int, *, size: int, reserve: bool = False) -> None:
        entries = run(self.store.next_seq, count, SEGMENT, size=size)
        await self.store.append(entries, reserve=reserve)
        self.entries += entries
        self.result.acknowledged += count

    async def until_full(self, *, most: int, sealed_s: float = 1.0) -> None:
        """Ordinary batches until they are refused, also when everything that is complete was sealed and packed, or ``sealed_s`` have passed."""
        settled = False
        for _ in range(most):
            try:
                await self.append(16, size=600)
                settled = False
            except JournalFull:
                self.result.refused += 1
                if settled:
                    return
                settled = await self._sealed(sealed_s)
        raise AssertionError("the journal never said that it is full")

    async def _sealed(self, within_s: float) -> bool:
        """Wait until no complete segment is left in the tail; a full disk may not let them be sealed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while len(await self.store.segments()) < self.store.committed_seq // SEGMENT:
                    await self.store.heartbeat()
                    await asyncio.sleep(0.01)
        return True

    async def on_the_reserve(self, *, still_full: bool = True) -> None:
        """Violations and their like go on; ordinary batches do not."""
        for _ in range(40):
            await self.append(1, size=300, reserve=True)
            self.result.from_reserve += 1
        if not still_full:  # what was witnessed in an earlier round may have been freed by now
            return
        with suppress(JournalFull):
            await self.append(16, size=600)
            raise AssertionError("an ordinary batch was taken while there was no room")

    async def resumes(self) -> None:
        """Room came back: nobody does anything but wait, as intake does."""
        began = time.monotonic()
        async with asyncio.timeout(60):
            while self.store.full:
                await asyncio.sleep(0.05)
        await self.append(16, size=600)
        self.result.slowest_resume_s = max(self.result.slowest_resume_s, round(time.monotonic() - began, 2))

    async def witnessed(self) -> None:
        """The hub's receipt and its cosignature come: what they cover may go."""
        size = self.store.committed_seq
        await self.store.move_cursor("hub", Position(self.epoch, size), {"size": size})
        self.store.keep_checkpoint(self.epoch, size, cosigned(self.epoch, size))

    async def filled_from_outside(self) -> None:
        if self.store.status()["size_bytes"] > MAX_BYTES // 2:  # else it comes near its own limit, and nothing may be freed
            await self.witnessed()
        filler = self.folder / "filler"
        with filler.open("wb", buffering=0) as handle, suppress(OSError):
            while True:
                handle.write(os.urandom(1 << 16))
        with filler.open("ab", buffering=0) as handle, suppress(OSError):
            while True:
                handle.write(b"x" * 512)
        await self.until_full(most=2_000)
        await self.on_the_reserve()
        filler.unlink()
        await self.resumes()

    async def filled_by_itself(self) -> None:
        """No hub: the quota is reached. Then its receipt and its cosignature come, and what they cover goes."""
        before = sum(segment.freed for segment in await self.store.segments())
        await self.until_full(most=20_000, sealed_s=30.0)  # here the disk lets them be sealed: only then is it full for good
        await self.on_the_reserve(still_full=False)
        await self.witnessed()
        await self.resumes()
        self.result.freed_segments += sum(segment.freed for segment in await self.store.segments()) - before

    async def check(self, store: Store) -> None:
        first = store.epochs()[0].first
        found: list[bytes] = []
        while part := await store.read(Position(self.epoch, first + len(found)), max_entries=1000, max_bytes=1 << 22):
            found += part
        self.result.lost += max(0, len(self.entries) - first - len(found))
        self.result.altered += sum(a != b for a, b in zip(self.entries[first:], found, strict=False))


def _no_reserve() -> None:
    """Planted: the ballast gives nothing back."""
    Room.shed = lambda self: False  # type: ignore[method-assign]


def _forgiving() -> None:
    """Planted: what found no room is acknowledged all the same."""
    commit, forgiven = Core.commit, list[Work]()

    def forgives(self: Core, works: Sequence[Work]) -> list[JournalError | None]:
        refused = commit(self, works)
        for work, why in zip(works, refused, strict=True):
            if isinstance(work, Append) and isinstance(why, JournalFull) and work.first == self.state.size and not forgiven:
                self.state.size += len(work.entries)
                forgiven.append(work)
        return [None if any(work is each for each in forgiven) else why for work, why in zip(works, refused, strict=True)]

    Core.commit = forgives  # type: ignore[method-assign]


PLANTED = {"a reserve that is none": _no_reserve, "acknowledged without room": _forgiving}


async def play(folder: Path, rounds: int, by_itself: int) -> Result:
    settings = JournalSettings(
        max_bytes=MAX_BYTES, segment_entries=SEGMENT, commit_every_us=50_000, hub_name="hub", hub_vkey=str(hub_key()),
        sinks=("hub",),
    )  # fmt: skip
    clock = SystemClock(declared=True)
    store = await open_journal(folder / "state", settings=settings, clock=clock)
    scenario = Scenario(folder, store)
    await scenario.append(1, size=0)
    for number in range(rounds):
        if number < rounds - by_itself:
            await scenario.filled_from_outside()
        else:
            await scenario.filled_by_itself()
        scenario.result.rounds += 1
        if number % 10 < 3:
            await scenario.check(store)
    await store.close()
    store = await open_journal(folder / "state", settings=settings, clock=clock)
    await scenario.check(store)
    await store.close()
    return scenario.result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--planted", default="")
    options = parser.parse_args()
    if options.planted:
        PLANTED[options.planted]()
    by_itself = 0 if options.planted else max(1, options.rounds // EACH)
    result = asyncio.run(play(options.folder, options.rounds, by_itself))
    print(json.dumps(asdict(result)))
    return 1 if result.lost or result.altered else 0


if __name__ == "__main__":
    sys.exit(main())
