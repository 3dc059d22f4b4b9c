"""Who has the machine: several workers' tests beside each other, or one test alone; knows nothing of what they test.

One that wants it alone holds back those that come after it, and begins when the others' have ended. The locks are the kernel's, on
two files that the workers of a run share: a worker that dies holds none.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


class Turns:
    """``folder``: what all workers of a run have in common."""

    def __init__(self, folder: Path) -> None:
        self._queue, self._machine = (os.open(folder / name, os.O_RDWR | os.O_CREAT) for name in ("queue", "machine"))

    @contextlib.contextmanager
    def taken(self, *, alone: bool) -> Iterator[None]:
        """Wait for one's turn, and have it."""
        fcntl.flock(self._queue, fcntl.LOCK_EX)
        try:
            fcntl.flock(self._machine, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        finally:
            fcntl.flock(self._queue, fcntl.LOCK_UN)
        try:
            yield
        finally:
            fcntl.flock(self._machine, fcntl.LOCK_UN)

    def close(self) -> None:
        """Nobody waits any more."""
        os.close(self._queue)
        os.close(self._machine)
