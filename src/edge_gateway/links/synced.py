"""A file that is durable when the call returns, and whole at any moment; knows nothing of what it holds."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path


def _rename(fresh: Path, path: Path) -> None:
    fresh.rename(path)


def write_synced(
    path: Path, data: bytes, put: Callable[[Path, Path], object] = _rename, *, mode: int = 0o600, ending: str = ".tmp"
) -> None:
    """Durable on return, and never half: temporary name, fsync, ``put`` in its place, fsync of the folder.

    ``put(fresh, path)`` replaces what is there; ``os.link`` instead raises FileExistsError. ``mode`` is less the process' umask;
    ``ending`` makes the temporary name, of its own where several processes may write. Raises OSError.
    """
    fresh = path.with_name(path.name + ending)
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        put(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)
    sync_folder(path.parent)


def overwrite_synced(path: Path, data: bytes, at: int) -> None:
    """Put ``data`` in the place of what stands ``at`` there: durable on return, by one sync, since no name and no size changes; a cut may leave any part of it. Raises OSError."""
    handle = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        if os.pwrite(handle, data, at) != len(data):
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        os.fdatasync(handle)
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Make a name in ``folder`` durable. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
