"""The single writing thread: jobs in order, many a commit, answered after the sync; knows no table."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import apsw

from edge_gateway.errors import GatewayError
from regulator_hub.store.schema import open_writer

log = logging.getLogger("regulator_hub")
T = TypeVar("T")
Job = Callable[[apsw.Connection], Any]

#: Jobs that one commit may carry: bounds how long the first of them waits.
MAX_JOBS_A_COMMIT = 64
#: Jobs that may wait; beyond it callers wait for room.
MAX_WAITING = 256


class StoreFailed(GatewayError):
    """The store could not make something durable (disk full, I/O error): nothing of it counts as received."""


class Writer:
    """``await run(job)`` returns the job's result once it is durable. A job that raises undoes only itself."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._jobs: queue.Queue[tuple[Job, asyncio.Future[Any]] | None] = queue.Queue()
        self._room = asyncio.Semaphore(MAX_WAITING)
        self._loop = asyncio.get_running_loop()
        self._db = open_writer(path)
        self._thread = threading.Thread(target=self._work, name="hub-writer", daemon=True)
        self._thread.start()
        self.commits = 0

    async def run(self, job: Callable[[apsw.Connection], T]) -> T:
        """Raises StoreFailed, or whatever the job itself raised."""
        async with self._room:
            future: asyncio.Future[T] = self._loop.create_future()
            self._jobs.put((job, future))
            # A caller that is cancelled leaves its job running: what was handed over is written or not, never half.
            return await asyncio.shield(future)

    async def close(self) -> None:
        """Finish what is handed over, then close the file."""
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)
        self._db.close()

    def _work(self) -> None:
        ending = False
        while not ending:
            jobs = [self._jobs.get()]
            while len(jobs) < MAX_JOBS_A_COMMIT and not self._jobs.empty():
                jobs.append(self._jobs.get())
            ending = None in jobs
            self._commit([job for job in jobs if job is not None])

    def _commit(self, jobs: list[tuple[Job, asyncio.Future[Any]]]) -> None:
        if not jobs:
            return
        done: list[tuple[asyncio.Future[Any], Any, BaseException | None]] = []
        try:
            self._db.execute("BEGIN IMMEDIATE")
            for job, future in jobs:
                done.append((future, *self._attempt(job)))
            self._db.execute("COMMIT")
            self.commits += 1
        except apsw.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            failed = StoreFailed(f"the store cannot write: {error}", hint="free space or mend the disk")
            done = [(future, None, failed) for _, future in jobs]
        try:
            self._loop.call_soon_threadsafe(_tell, done)
        except RuntimeError:
            return  # the loop is gone: nobody waits any more

    def _attempt(self, job: Job) -> tuple[Any, BaseException | None]:
        self._db.execute("SAVEPOINT job")
        try:
            result = job(self._db)
        except apsw.Error:
            raise  # the disk's trouble is everybody's: the whole commit is undone
        except GatewayError as error:
            self._db.execute("ROLLBACK TO job; RELEASE job")
            return None, error
        except ValueError as error:
            self._db.execute("ROLLBACK TO job; RELEASE job")
            return None, error
        except (TypeError, AttributeError, LookupError, ArithmeticError) as fault:  # ours: this job's, and no other's
            log.error("a job of the store failed: %r", fault, exc_info=fault)
            self._db.execute("ROLLBACK TO job; RELEASE job")
            return None, StoreFailed(f"a fault of the hub's own: {fault!r}"[:300])
        self._db.execute("RELEASE job")
        return result, None


def _tell(done: list[tuple[asyncio.Future[Any], Any, BaseException | None]]) -> None:
    for future, result, error in done:
        if future.done():
            continue
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)
