"""Reads every sealed byte again, one file after the other, for as long as the gateway runs; mends nothing and knows no sink.

Bits rot where nobody looks. A pass over all segments and texts takes a week (more often where there is little), so that
every byte is read within 30 days also at a gateway that is off most of the time. What is read comes from the disk, not
from the cache. Where a pass stands rides with commits: a restart goes on from there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from edge_gateway import events
from edge_gateway.errors import JournalDamaged, JournalError, SegmentDamaged
from edge_gateway.journal.files import Files
from edge_gateway.journal.photos import Photos
from edge_gateway.journal.segments import Segment, SegmentFile, segment_path
from edge_gateway.journal.store import Store
from edge_gateway.journal.texts import Texts
from edge_gateway.journal.writer import give_way

#: A pass is spread over so long; a file a minute at least, and never more than five a second (real seconds).
PASS_S, LONGEST_WAIT_S, SHORTEST_WAIT_S = 7 * 86_400.0, 60.0, 0.2
#: What does not read is read once more after this: a bit may have tipped on its way (real seconds).
AGAIN_S = 2.0
#: Names of the numbers that are kept: the place (the epoch's number and the next entry), when this pass began, when one was last complete.
_EPOCH, _NEXT, _BEGAN, _WHOLE = "scrub_epoch", "scrub_next", "scrub_began_us", "scrub_whole_us"


class Scrub:
    """``damaged`` is told of each segment that does not read, twice."""

    def __init__(
        self, journal: Store, *, wall_us: Callable[[], int], tell: events.Tell, damaged: Callable[[SegmentDamaged, str], Awaitable[None]]
    ) -> None:
        self._journal = journal
        self._wall_us = wall_us
        self._tell = tell
        self._damaged = damaged
        noted = journal.noted()
        self._place = (noted.get(_EPOCH, 0), noted.get(_NEXT, 0))
        self._began_us, self._whole_us = noted.get(_BEGAN, 0), noted.get(_WHOLE, 0)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal-scrub", initializer=give_way)

    def status(self) -> dict[str, Any]:
        """JSON-able: ``whole_us`` when all was last read (0: never), ``began_us`` this pass, ``share`` of it that is done."""
        segments = self._journal.kept()
        done = sum((number, segment.first) < self._place for number, segment in segments)
        return {"whole_us": self._whole_us, "began_us": self._began_us, "share": round(done / len(segments), 3) if segments else 1.0}

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                await self._step()
                await asyncio.sleep(rest_s(len(self._journal.kept())))
        finally:
            self._thread.shutdown(wait=False)

    async def _step(self) -> None:
        """The next segment; after the last one all texts, and a new pass."""
        self._began_us = self._began_us or self._wall_us()
        due = next(((number, s) for number, s in self._journal.kept() if (number, s.first) >= self._place), None)
        if due is None:
            await self._texts()
            self._place, self._whole_us, self._began_us = (0, 0), self._wall_us(), 0
        else:
            number, segment = due
            if not segment.lost:
                await self._look(segment)
            self._place = (number, segment.end)
        self._journal.note({_EPOCH: self._place[0], _NEXT: self._place[1], _BEGAN: self._began_us, _WHOLE: self._whole_us})

    async def _look(self, segment: Segment) -> None:
        files, folder = self._journal.files, self._journal.state_dir
        if not await self._there(check, files, folder, segment):
            return
        await asyncio.sleep(AGAIN_S)
        why = await self._there(check, files, folder, segment)
        if why and segment in (s for _, s in self._journal.kept()):  # not freed meanwhile
            damage = SegmentDamaged(why, epoch=segment.epoch, first=segment.first, count=segment.count)
            try:
                await self._damaged(damage, "scrub")
            except JournalError:
                return  # the disk refuses just now, which is told: the next pass comes to it again

    async def _texts(self) -> None:
        for code, files in (("text-damaged", self._journal.texts), ("photo-damaged", self._journal.photos)):
            for name in await self._there(files.names):
                why = await self._there(check_text, self._journal.files, files, name)
                if why:
                    self._tell(events.Alarmed(code=code, why=why))
                await asyncio.sleep(SHORTEST_WAIT_S)

    async def _there(self, what: Callable[..., Any], *about: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, what, *about)


def rest_s(segments: int) -> float:
    """Between two steps of a pass over so many segments (and, last, the texts), in real seconds."""
    return min(LONGEST_WAIT_S, max(SHORTEST_WAIT_S, PASS_S / (1 + segments)))


def check(files: Files, state_dir: Path, segment: Segment) -> str:
    """Why a segment's file does not hold what was sealed; "" if it does. Read from the disk, entry by entry."""
    try:
        files.settle(segment_path(state_dir, segment.epoch, segment.first))
        file = SegmentFile(files, state_dir, segment.epoch, segment.first, segment.count)
        file.verify()
    except FileNotFoundError:
        return "its file is missing"
    except SegmentDamaged as damage:
        return damage.why
    except OSError as error:
        return f"it cannot be read ({error})"
    return "" if file.segment.root == segment.root else "its entries give another root than the one that was kept"


def check_text(files: Files, texts: Texts | Photos, name: str) -> str:
    """Why a text or a photo is not what its name says; "" if it is, or was removed meanwhile."""
    try:
        files.settle(texts.path(name))
        texts.get(name)
    except (FileNotFoundError, KeyError):
        return ""
    except (JournalDamaged, OSError) as wrong:
        return str(wrong)
    return ""
