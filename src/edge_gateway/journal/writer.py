"""The thread that owns the journal's only writing connection, and the one that packs sealed segments.

What waits in the queue together shares one transaction. Knows no event loop: results go through ``post``.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import apsw

from edge_gateway.errors import JournalError, JournalFull
from edge_gateway.journal.core import Core
from edge_gateway.journal.renewal import DATABASE
from edge_gateway.journal.room import is_full
from edge_gateway.journal.segments import Segment
from edge_gateway.journal.tail import Tail
from edge_gateway.journal.work import Move, Noted, Remember, SealJob, Signed, Work

#: Works that share a transaction at most.
MAX_GROUP = 512
#: How long a seal that failed waits, and how often a full journal looks for room (real seconds).
SEAL_AGAIN_S = 5.0
LOOK_AGAIN_S = 1.0
#: How nice the packing thread is to all others.
PACKING_NICE = 10


@dataclass(slots=True)
class Request:
    """A work with whoever waits for it (``waiting`` is handed back untouched); ``latency_us`` of its commit."""

    work: Work
    waiting: Any = None


@dataclass(slots=True)
class Call:
    """Something else to do on the writer's thread, in its turn; ``settled`` waits for a seal under way first."""

    step: Callable[[Core], Any]
    waiting: Any
    settled: bool = False


@dataclass(slots=True)
class Lazy:
    """A cursor's move, a checkpoint, numbers, or something to remember, that rides with the next commit."""

    work: Move | Signed | Noted | Remember

    @property
    def rides_for(self) -> str:
        """Whose newest one counts: a sink's, a checkpoint's (it comes again with a cosignature), a name's."""
        match self.work:
            case Move():
                return self.work.sink
            case Signed():
                return f"checkpoint {self.work.epoch} {self.work.size}"
            case Noted():
                return "numbers"
            case Remember():
                return f"memory {self.work.name}"


@dataclass(slots=True)
class Sealed:
    """The packing thread is done."""

    job: SealJob
    result: Future[Segment]


@dataclass(slots=True)
class Stop:
    """The last item."""


Item = Request | Call | Lazy | Sealed | Stop
#: Told after each group: the requests, their results in order, what the commit took (µs).
Post = Callable[[Sequence[Request], Sequence[JournalError | None], int], None]
#: Told after each call: who waits, the result, the error.
Answer = Callable[[Any, Any, BaseException | None], None]


def give_way() -> None:
    """For a thread that has time: on a busy single core it must not take half of it from those who read the field."""
    with suppress(OSError):  # where threads have no priority of their own
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), PACKING_NICE)


class Writer:
    """Start it, ``put`` items, ``stop`` it. ``post``, ``answer`` and ``ended`` are called on its thread."""

    def __init__(self, core: Core, *, lazy_s: float, post: Post, answer: Answer, ended: Callable[[], None]) -> None:
        self._core = core
        self._lazy_s = lazy_s
        self._post = post
        self._answer = answer
        self._ended = ended
        self._queue: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self._riding: dict[str, Lazy] = {}
        self._riding_since = 0.0
        self._packer = ThreadPoolExecutor(1, thread_name_prefix="journal-seal", initializer=give_way)
        self._sealing: Sealed | None = None
        self._seal_after = 0.0
        self._thread = threading.Thread(target=self._run, name="journal-writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, item: Request | Call | Lazy) -> None:
        """Ask for something; items are done in order."""
        self._queue.put(item)

    def stop(self) -> None:
        """Let what is queued be done, then end; returns when the thread has ended."""
        self._queue.put(Stop())
        self._thread.join()

    # --- on the thread ----------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while True:
                group, rest = self._gather()
                if group or self._lazy_due():
                    self._commit(group)
                match rest:
                    case Call():
                        self._call(rest)
                    case Sealed():
                        self._take_sealed(rest)
                    case Stop():
                        self._settle()
                        break
                self._begin_seal()
        finally:
            self._packer.shutdown(wait=True)
            self._core.close()
            self._ended()

    def _gather(self) -> tuple[list[Request], Call | Sealed | Stop | None]:
        """Wait for something; then the requests that are queued, and the first item that is no request, if any."""
        group: list[Request] = []
        try:
            item = self._queue.get(timeout=self._patience_s())
            while True:
                match item:
                    case Request():
                        group.append(item)
                        if len(group) == MAX_GROUP:
                            return group, None
                    case Lazy():
                        self._riding_since = self._riding_since if self._riding else time.monotonic()
                        self._riding[item.rides_for] = item
                    case Call() | Sealed() | Stop():
                        return group, item
                item = self._queue.get_nowait()
        except queue.Empty:
            if not group:
                self._idle()
            return group, None

    def _patience_s(self) -> float | None:
        """How long to wait at most (real seconds)."""
        waits: list[float] = []
        now = time.monotonic()
        if self._riding:
            waits.append(self._riding_since + self._lazy_s - now)
        if self._core.state.room.full or self._core.troubled:
            waits.append(LOOK_AGAIN_S)
        if self._sealing is None and self._core.seal_due() is not None:
            waits.append(self._seal_after - now)
        return max(0.0, min(waits)) if waits else None

    def _idle(self) -> None:
        if self._core.state.room.full or self._core.troubled:
            with suppress(JournalError):  # told by the next append that meets it
                self._core.look_for_room()
            self._post([], [], 0)

    def _lazy_due(self) -> bool:
        return bool(self._riding) and time.monotonic() >= self._riding_since + self._lazy_s

    def _commit(self, group: Sequence[Request]) -> None:
        explicit = {request.work.sink for request in group if isinstance(request.work, Move)}
        riders = [lazy for name, lazy in self._riding.items() if name not in explicit]
        self._riding.clear()
        began = time.perf_counter_ns()
        results = self._core.commit([*(lazy.work for lazy in riders), *(request.work for request in group)])
        for lazy, refused in zip(riders, results, strict=False):
            if isinstance(refused, JournalFull):  # it goes on riding
                self._riding_since = time.monotonic()
                self._riding.setdefault(lazy.rides_for, lazy)
        self._post(group, results[len(riders) :], (time.perf_counter_ns() - began) // 1000)

    def _call(self, call: Call) -> None:
        if call.settled:
            self._settle()
        try:
            result = call.step(self._core)
        except JournalError as error:
            self._answer(call.waiting, None, error)
        else:
            self._answer(call.waiting, result, None)

    def _settle(self) -> None:
        """Nothing rides along and nothing is under way any more."""
        if self._riding:
            self._commit([])
        if self._sealing is not None:
            self._sealing.result.exception()  # waits
            self._take_sealed(self._sealing)

    # --- sealing ----------------------------------------------------------------------------------------------

    def _begin_seal(self) -> None:
        if self._sealing is not None or time.monotonic() < self._seal_after:
            return
        job = self._core.seal_due()
        if job is not None:
            future = self._packer.submit(self._pack, job)
            self._sealing = Sealed(job, future)
            future.add_done_callback(lambda future: self._queue.put(Sealed(job, future)))

    def _pack(self, job: SealJob) -> Segment:
        """On the packing thread, through a reader of its own: appends go on meanwhile."""
        tail = Tail(self._core.state.state_dir / DATABASE, vfs=self._core.state.files.vfs, read_only=True)
        try:
            return self._core.state.write_seal(job, tail.entries(job.first, job.end))
        finally:
            tail.close()

    def _take_sealed(self, sealed: Sealed) -> None:
        if self._sealing is None or self._sealing.job != sealed.job:
            return  # taken already, before an epoch was closed
        self._sealing = None
        error = sealed.result.exception()
        try:
            if error is None:
                self._core.sealed(sealed.result.result())
            elif isinstance(error, (apsw.Error, OSError, JournalError)):
                self._core.seal_failed(error, full=is_full(error))
            else:
                raise error
        except JournalError:
            error = error or RuntimeError()  # the next commit meets and tells it
        if error is not None:
            self._seal_after = time.monotonic() + SEAL_AGAIN_S
        self._post([], [], 0)
