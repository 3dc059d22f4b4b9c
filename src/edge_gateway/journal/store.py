"""The journal as the event loop sees it: hands work to the writer's thread, answers live readers from memory.

Knows neither sources nor sinks. ``open_journal`` is the way in; the contract is ``journal.base.Journal``.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from edge_gateway import events
from edge_gateway.clock import Clock
from edge_gateway.errors import DiskFails, JournalError, JournalFull
from edge_gateway.journal.base import EpochInfo, Position, Quarantined, Recovery, SegmentInfo
from edge_gateway.journal.core import Core
from edge_gateway.journal.files import Closeable, DiskFiles, Files
from edge_gateway.journal.keeping import Keeping
from edge_gateway.journal.photos import Photos
from edge_gateway.journal.reading import Reading
from edge_gateway.journal.retention import JournalSettings, SkippedRange
from edge_gateway.journal.ring import Ring
from edge_gateway.journal.room import AGAIN_BYTES, is_full
from edge_gateway.journal.segments import Segment
from edge_gateway.journal.texts import Texts
from edge_gateway.journal.view import View, look, status
from edge_gateway.journal.work import Append, Drop, Move, Noted, Refuse, Remember, Signed, Work
from edge_gateway.journal.writer import Call, Lazy, Request, Writer
from edge_gateway.record.entry import MAX_ENTRY_BYTES, decode
from edge_gateway.record.photo import Photo, photo_of

__all__ = ["JournalSettings", "SkippedRange", "Store", "open_journal"]

T = TypeVar("T")
Told = Callable[[str, int, Sequence[bytes]], None]


def _nobody(_event: events.Event) -> None:
    """Tools that read and write a journal have no alarms to raise."""


@dataclass(slots=True, eq=False)
class _Waiting:
    """Somebody on the loop who waits for the writer; ``generation`` counts refusals of appends."""

    future: asyncio.Future[Any]
    generation: int = 0


async def open_journal(state_dir: Path, *, settings: JournalSettings, clock: Clock, tell: events.Tell = _nobody) -> Store:
    """Open (or begin) the journal in ``state_dir``; ``tell`` hears of the disk's errors.

    Raises JournalBusy (another process has it), JournalTooNew, JournalError (the folder cannot be used). A damaged
    database is moved aside and a new epoch begins: see ``Recovery.damaged`` and ``previous()``.
    """
    files = DiskFiles()
    try:
        state_dir.mkdir(parents=True, exist_ok=True, mode=0o750)
        lock = files.lock(state_dir / "lock")
    except OSError as error:
        raise JournalError(f"the state folder {state_dir} cannot be used: {error}", hint="check its owner") from error
    core = Core(files, state_dir, settings, wall_us=clock.wall_us, trusted=clock.trusted)
    try:
        await asyncio.to_thread(core.open)
        recovery = await asyncio.to_thread(core.recover)
    except BaseException:
        lock.close()
        raise
    return Store(core, recovery, lock, clock, tell)


class Store:
    """One open journal. All methods belong to the event loop that opened it."""

    def __init__(self, core: Core, recovery: Recovery, lock: Closeable, clock: Clock, tell: events.Tell = _nobody) -> None:
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._core = core
        self._recovery: Recovery | None = recovery
        self._lock = lock
        self._clock = clock
        self._settings = core.state.settings
        self._view = look(core)
        self._cursors = dict(self._view.cursors)
        self._next_seq = self._committed = self._view.size
        self._generation = 0
        self._ring = Ring(self._settings.ring_entries, self._settings.ring_bytes, self._settings.ring_age_s)
        self._ring.clear(self._committed)
        self._subscribers: list[Told] = []
        self._waiting: set[_Waiting] = set()
        self._last_commit_us: int | None = None
        self._latency_us = 0
        self._appended_bytes = 0
        self._opened_us = clock.mono_us()
        self._reader: Reading | None = None
        self._photo = asyncio.Lock()
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="journal-read")
        self._closed = False
        self._writer = Writer(
            core,
            lazy_s=self._settings.commit_every_us / 1e6,
            post=lambda requests, results, us: self._on_loop(self._finished, requests, results, us, look(core)),
            answer=lambda waiting, result, error: self._on_loop(self._answered, waiting, result, error, look(core)),
            ended=lambda: self._on_loop(self._ended),
        )
        self._writer.start()

    # --- properties -----------------------------------------------------------------------------------------

    @property
    def epoch(self) -> str:
        return self._view.epoch

    @property
    def next_seq(self) -> int:
        """See ``Journal.next_seq``. After a refused append it is ``committed_seq`` again."""
        return self._next_seq

    @property
    def committed_seq(self) -> int:
        return self._committed

    @property
    def segment_entries(self) -> int:
        return self._settings.segment_entries

    @property
    def full(self) -> bool:
        """Whether ordinary batches are refused just now; looked at again every second."""
        return self._view.full

    def epochs(self) -> Sequence[EpochInfo]:
        return self._view.epochs

    def known_epochs(self) -> Sequence[EpochInfo]:
        return self._view.known

    def recover(self) -> Recovery:
        """See ``Journal.recover``; available until the first append."""
        if self._recovery is None:
            raise JournalError("what a restart needs is given before the first append")
        return self._recovery

    def previous(self) -> dict[str, Any] | None:
        return self._view.previous

    # --- writing --------------------------------------------------------------------------------------------

    async def append(self, entries: Sequence[bytes], texts: Sequence[bytes] = (), *, reserve: bool = False) -> None:
        """See ``Journal.append``.

        After JournalFull or JournalDamaged nothing of it was acknowledged: look at ``epoch`` and ``next_seq`` again,
        which may have changed. Raises ValueError for entries that do not continue at ``next_seq``, exceed the
        format's size, or miss the snapshot that opens a segment.
        """
        if not entries:
            return
        first = self._next_seq
        _check(entries, first, self._settings.segment_entries)
        self._recovery = None
        self._next_seq += len(entries)
        await self._ask(Append(first=first, entries=entries, texts=texts, reserve=reserve))

    async def settled(self) -> None:
        """Everything that was handed over, also what rides with the next commit, is durable on return."""
        await self._call(lambda _core: None, settled=True)

    async def new_epoch(self, reason: str) -> None:
        await self._call(lambda core: core.new_epoch(reason), settled=True)

    async def _ask(self, work: Work) -> None:
        waiting = self._wait()
        self._writer.put(Request(work, waiting))
        await waiting.future

    async def _call(self, step: Callable[[Core], T], *, settled: bool = False) -> T:
        waiting = self._wait()
        self._writer.put(Call(step, waiting, settled))
        result: T = await waiting.future
        return result

    def _wait(self) -> _Waiting:
        if self._closed:
            raise JournalError("the journal is closed")
        waiting = _Waiting(self._loop.create_future(), self._generation)
        self._waiting.add(waiting)
        return waiting

    # --- what the writer's thread reports ---------------------------------------------------------------------

    def _on_loop(self, tell: Callable[..., None], *values: Any) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(tell, *values)

    def _finished(
        self, requests: Sequence[Request], results: Sequence[JournalError | None], latency_us: int, view: View
    ) -> None:
        appended = [
            request.work
            for request, error in zip(requests, results, strict=True)
            if error is None and isinstance(request.work, Append)
        ]
        epoch = self.epoch
        for work in appended:
            self._ring.add(work.entries, self._loop.time())
            self._committed += len(work.entries)
            self._appended_bytes += sum(map(len, work.entries))
        if requests and any(error is None for error in results):
            self._last_commit_us, self._latency_us = self._clock.wall_us(), latency_us
        self._see(view)
        for request, error in zip(requests, results, strict=True):
            if error is not None and isinstance(request.work, Append):
                self._refused(request.waiting)
            self._resolve(request.waiting, None, error)
        for work in appended:
            for told in tuple(self._subscribers):
                told(epoch, work.first, work.entries)

    def _answered(self, waiting: _Waiting, result: Any, error: BaseException | None, view: View) -> None:
        self._see(view)
        self._resolve(waiting, result, error)

    def _refused(self, waiting: _Waiting) -> None:
        """Those that were handed over after the refused one are refused too: numbering begins anew, once."""
        if waiting.generation == self._generation:
            self._generation += 1
            self._next_seq = self._committed

    def _see(self, view: View) -> None:
        before, self._view = self._view, view
        changed = view.epoch != before.epoch
        if view.disk_errors > before.disk_errors and not before.troubled:
            self._tell(events.Alarmed(code="disk-error", why=f"the disk failed, and nothing is acknowledged until all is written anew: {view.disk_error}"))
        if changed:
            self._generation += 1
            self._next_seq = self._committed = view.size
            self._ring.clear(view.size)
            self._cursors = dict(view.cursors) | {s: at for s, at in self._cursors.items() if _stands(at, view)}
        if (changed or view.renewals != before.renewals) and not self._closed:
            self._reading.submit(self._close_reader)  # it may look at a database that was moved aside, or exchanged

    def _resolve(self, waiting: _Waiting, result: Any, error: BaseException | None) -> None:
        self._waiting.discard(waiting)
        if waiting.future.done():
            return  # whoever waited was cancelled; the work is done all the same
        if error is not None:
            waiting.future.set_exception(error)
        else:
            waiting.future.set_result(result)

    def _ended(self) -> None:
        self._closed = True
        for waiting in tuple(self._waiting):
            self._resolve(waiting, None, JournalError("the journal's writer has ended"))

    def subscribe(self, told: Told) -> Callable[[], None]:
        self._subscribers.append(told)
        return lambda: self._subscribers.remove(told) if told in self._subscribers else None

    # --- reading --------------------------------------------------------------------------------------------

    async def read(self, start: Position, *, max_entries: int, max_bytes: int) -> list[bytes]:
        """See ``Reader.read``. May return fewer entries than would fit; [] only at the end."""
        if start.epoch not in self._view.sizes:
            raise KeyError(start.epoch)
        own = start.epoch == self.epoch
        end = self._committed if own else self._view.sizes[start.epoch]
        if start.seq >= end:
            return []
        if own and start.seq < self._view.epochs[-1].first:
            raise KeyError(f"{start.epoch}/{start.seq}")  # freed, though it may still be in memory
        if own and start.seq >= self._ring.first:
            return self._ring.read(start.seq, max_entries, max_bytes)
        return await self._read(lambda r: r.read(start, max_entries=max_entries, max_bytes=max_bytes, end=end))

    async def config(self, epoch: str, config_seq: int) -> dict[str, Any]:
        return await self._read(lambda reading: reading.config(epoch, config_seq))

    async def text(self, sha256: str) -> bytes:
        return await self._read(lambda reading: reading.text(sha256))

    async def photo(self, sha256: str) -> bytes:
        return await self._read(lambda reading: reading.photo(sha256))

    async def put_photo(self, data: bytes) -> Photo:
        """See ``Journal.put_photo``. It takes no room that the reserve's writers may need, and holds up nobody who writes entries."""
        await asyncio.to_thread(photo_of, data)  # the hash of a large one takes longer than a poll may wait
        async with self._photo:
            if not await self._call(lambda core: core.room_beside(len(data))) or not await asyncio.to_thread(self._room_on_disk, len(data)):
                raise JournalFull("there is no room for a photo", hint="let the hub be reached, or make room on the disk")
            try:
                return await asyncio.to_thread(self._core.state.photos.put, data)
            except OSError as error:
                why = f"the disk took no photo: {error}"
                raise (JournalFull if is_full(error) else DiskFails)(why, hint="bring it again") from error

    def _room_on_disk(self, more: int) -> bool:
        least = more + AGAIN_BYTES + self._settings.reserve_bytes
        return self.files.free_bytes(self.state_dir) >= least

    def named_photos(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """See ``Journal.named_photos``."""
        return self._core.state.photos.named(names)

    async def segments(self) -> list[SegmentInfo]:
        return [segment.info() for segment in self._view.segments]

    async def quarantine_list(self, sink: str | None = None) -> list[Quarantined]:
        return await self._call(lambda core: core.ask(lambda tail: tail.quarantined(sink)))

    async def _read(self, what: Callable[[Reading], T]) -> T:
        if self._closed:
            raise JournalError("the journal is closed")
        return await self._loop.run_in_executor(self._reading, self._read_there, what)

    def _read_there(self, what: Callable[[Reading], T]) -> T:
        """On the reading thread. A database that was moved aside is not read any further."""
        if self._reader is None:
            # A sink asks once for each configuration and keeps what it makes of it.
            self._reader = Reading(self._core.state.state_dir, configs_kept=0)
        return what(self._reader)

    # --- cursors and quarantine ---------------------------------------------------------------------------------

    def cursor(self, sink: str) -> Position | None:
        return self._cursors.get(sink)

    async def receipts(self, sink: str) -> dict[str, int]:
        """See ``Journal.receipts``."""
        return await self._read(lambda reading: reading.receipts(sink))

    async def move_cursor(self, sink: str, to: Position, receipt: dict[str, Any] | None = None) -> None:
        """See ``Journal.move_cursor``. A move backwards is durable on return, too, and takes receipts back.

        Raises KeyError for an epoch that is not here, ValueError for a place beyond what is durable.
        """
        size = self._committed if to.epoch == self.epoch else self._view.sizes[to.epoch]
        if not 0 <= to.seq <= size:
            raise ValueError(f"{to.epoch} holds {size} entries: a cursor cannot stand at {to.seq}")
        before = self._cursors.get(sink)
        move = Move(sink=sink, to=to, receipt=receipt)
        self._cursors[sink] = to
        order = list(self._view.sizes)
        if receipt is not None or (
            before and (order.index(to.epoch), to.seq) < (order.index(before.epoch), before.seq)
        ):
            await self._ask(move)
        else:
            self._writer.put(Lazy(move))

    async def quarantine_add(self, sink: str, epoch: str, items: Sequence[tuple[int, str, str]]) -> None:
        await self._ask(Refuse(sink=sink, epoch=epoch, items=items))

    async def quarantine_drop(self, ids: Sequence[int]) -> int:
        drop = Drop(ids=ids)
        await self._ask(drop)
        return drop.dropped

    # --- checkpoints --------------------------------------------------------------------------------------------

    def keep_checkpoint(self, epoch: str, size: int, note: bytes) -> None:
        """See ``Journal.keep_checkpoint``."""
        self._writer.put(Lazy(Signed(epoch=epoch, size=size, note=note)))

    async def checkpoints(self) -> list[tuple[str, int, bytes]]:
        """See ``Reader.checkpoints``."""
        return await self._read(lambda reading: reading.checkpoints())

    # --- damaged segments ---------------------------------------------------------------------------------------

    def kept(self) -> list[tuple[int, Segment]]:
        """Sealed segments that were not freed, each with its epoch's number, in order."""
        order = self._view.order
        return [(order[segment.epoch], segment) for segment in self._view.kept]

    @property
    def files(self) -> Files:
        """The disk."""
        return self._core.state.files

    @property
    def state_dir(self) -> Path:
        """The folder."""
        return self._core.state.state_dir

    @property
    def texts(self) -> Texts:
        """For reading."""
        return self._core.state.texts

    @property
    def photos(self) -> Photos:
        """For reading."""
        return self._core.state.photos

    def noted(self) -> dict[str, int]:
        """Numbers that were kept, as they were at the start."""
        return dict(self._core.state.held.counters)

    def note(self, values: Mapping[str, int]) -> None:
        """Keep numbers with the next commit."""
        self._writer.put(Lazy(Noted(values=values)))

    def missing(self) -> list[SegmentInfo]:
        """See ``Journal.missing``."""
        return [segment.info() for segment in self._view.missing]

    async def set_aside(self, epoch: str, first: int) -> bool:
        """See ``Journal.set_aside``."""
        return await self._call(lambda core: core.set_aside(epoch, first))

    async def restore(self, epoch: str, first: int, entries: Sequence[bytes]) -> bool:
        """See ``Journal.restore``."""
        return await self._call(lambda core: core.restore(epoch, first, entries))

    async def give_up(self, epoch: str, first: int) -> None:
        """See ``Journal.give_up``."""
        await self._call(lambda core: core.give_up(epoch, first))

    # --- retention ----------------------------------------------------------------------------------------------

    def skipped_due(self) -> tuple[SkippedRange, ...]:
        """Ranges to journal as ``skipped`` entries (``reserve=True``) before ``free``: room is short and sinks lag."""
        return self._view.skipped_due

    async def free(self, ranges: Sequence[SkippedRange]) -> None:
        """After their entries are durable: those sinks' cursors pass the ranges, and what nobody needs is unlinked."""
        await self._call(lambda core: core.free(ranges), settled=True)
        self._cursors |= {
            part.sink: self._view.cursors[part.sink] for part in ranges if part.sink in self._view.cursors
        }

    def freed_early(self) -> Sequence[SegmentInfo]:
        """See ``Journal.freed_early``."""
        return self._view.untold

    async def told(self, segments: Sequence[SegmentInfo]) -> None:
        """See ``Journal.told``."""
        await self._call(lambda core: core.told(segments))

    async def keep(self, change: Callable[[Keeping], Keeping]) -> None:
        """A person's step, durable on return: another keep time, or something let go; say so in the record first.

        Raises JournalFull, JournalDamaged.
        """
        await self._call(lambda core: core.keep(change))

    @property
    def keep_us(self) -> int:
        """See ``Journal.keep_us``."""
        return self._view.keeping.keep_us

    @property
    def keeping(self) -> Keeping:
        """How long the record stays, and for whom, just now."""
        return self._view.keeping

    def remember(self, name: str, value: dict[str, Any]) -> None:
        """Keep something beside the record with the next commit; the newest ``value`` of a ``name`` counts."""
        self._writer.put(Lazy(Remember(name=name, value=value)))

    def remembered(self, name: str) -> dict[str, Any] | None:
        """What an earlier run left under a name."""
        return self._core.state.held.memory.get(name)

    async def apply(self, settings: JournalSettings) -> None:
        """New limits and sinks (a reload). Raises ValueError if the segment's size would change."""
        if settings.segment_entries != self._settings.segment_entries:
            raise ValueError("the segment's size is the format's: it does not change")
        await self._call(lambda core: core.apply(settings))
        self._settings = settings

    # --- the watchdog and the end ---------------------------------------------------------------------------------

    async def heartbeat(self) -> None:
        await self._call(lambda _core: None)

    def hold_writer(self, release: threading.Event) -> None:
        """Test hook: the writer's thread does nothing until ``release`` is set."""
        self._writer.put(Call(lambda _core: release.wait(), self._wait()))

    def status(self) -> dict[str, Any]:
        """JSON-able. ``last_commit_us`` is a wall time; ``bytes_per_day`` and ``autonomy_hours`` are None while unknown.

        ``autonomy_hours``: how long the hub may stay away from now on, at the pace of late.
        """
        open_us = self._clock.mono_us() - self._opened_us
        return status(self._view, self._settings, self._appended_bytes, open_us) | {
            "size": self._committed,
            "pending": self._next_seq - self._committed,
            "commit_latency_us": self._latency_us,
            "last_commit_us": self._last_commit_us,
            "ring_entries": self._ring.end - self._ring.first,
            "cursors": {sink: {"epoch": at.epoch, "seq": at.seq} for sink, at in self._cursors.items()},
        }

    async def close(self) -> None:
        """Make durable what is queued, fold the log in, let go of the folder."""
        if self._closed:
            return
        self._closed = True
        await self._loop.run_in_executor(self._reading, self._close_reader)
        self._reading.shutdown(wait=False)
        await asyncio.to_thread(self._writer.stop)
        self._lock.close()

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None


def _check(entries: Sequence[bytes], first: int, segment_entries: int) -> None:
    """Raises ValueError: a programming error of whoever encoded them."""
    for seq, entry in enumerate(entries, first):
        opening = seq % segment_entries == 0
        if opening or not entry.startswith(b'{"v":1,"seq":%d,' % seq):
            decoded = decode(entry)
            if decoded["seq"] != seq:
                raise ValueError(f"entry {decoded['seq']} where {seq} is due")
            if opening and decoded["kind"] != "snapshot":
                raise ValueError(f"entry {seq} opens a segment: a snapshot is due, not a {decoded['kind']}")
        if len(entry) > MAX_ENTRY_BYTES or b"\n" in entry:
            raise ValueError(f"entry {seq} is {len(entry)} bytes, or has a newline")


def _stands(cursor: Position, view: View) -> bool:
    return cursor.seq <= view.sizes.get(cursor.epoch, -1)
