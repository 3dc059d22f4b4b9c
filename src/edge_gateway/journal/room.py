"""Room on the disk: quota, reserve and ballast; decides who may still write, frees nothing itself.

A full disk cannot be emptied through SQLite: DELETE and checkpoint need room too. So a ballast file keeps blocks
taken that the reserve's writers get back, step by step, when the disk itself is full.
"""

from __future__ import annotations

import errno
from pathlib import Path

import apsw

from edge_gateway.journal.files import Files
from edge_gateway.journal.retention import JournalSettings

#: What the ballast gives back at once.
STEP_BYTES = 512 * 1024
#: Room beside the ballast that ordinary batches wait for after the disk was full.
AGAIN_BYTES = 2 * 1024 * 1024


def is_full(error: BaseException) -> bool:
    """Whether an error says that the disk (or the user's quota on it) is full."""
    if isinstance(error, apsw.FullError):
        return True
    if isinstance(error, apsw.IOError):  # the shared-memory file could not grow
        return bool(getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_SHMSIZE)
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


class Room:
    """What is used, and what may still be used. ``disk_full``: the file system refused; ``quota_full``: we did."""

    def __init__(self, files: Files, state_dir: Path, settings: JournalSettings) -> None:
        self._files = files
        self._folder = state_dir
        self._path = state_dir / "ballast"
        self.settings = settings
        self.disk_full = False
        self.quota_full = False

    @property
    def full(self) -> bool:
        return self.disk_full or self.quota_full

    @property
    def ordinary_bytes(self) -> int:
        """Where ordinary batches stop."""
        return self.settings.max_bytes - self.settings.reserve_bytes

    @property
    def soft_bytes(self) -> int:
        """Where freeing begins, somewhat earlier: declarations take a moment."""
        return self.ordinary_bytes - self.settings.max_bytes // 50

    def shed(self) -> bool:
        """Give a step of the ballast back; False if nothing is left of it."""
        self.disk_full = True
        left = self._files.size(self._path)
        if not left:
            return False
        self._files.allocate(self._path, max(0, left - STEP_BYTES))
        return True

    def look(self) -> bool:
        """Whether the disk has room again (then the ballast is whole again too)."""
        missing = self.settings.ballast_bytes - self._files.size(self._path)
        if missing > 0:
            again = min(AGAIN_BYTES, self.settings.reserve_bytes)
            if self._files.free_bytes(self._folder) < missing + again:
                return False
            try:
                self._files.allocate(self._path, self.settings.ballast_bytes)
            except OSError as error:
                if not is_full(error):
                    raise
                return False
        elif self.disk_full and self._files.free_bytes(self._folder) < min(AGAIN_BYTES, self.settings.reserve_bytes):
            return False
        self.disk_full = False
        return True
