"""The file seam: the few durable steps that segments, texts and ballast need of a disk; knows nothing of entries.

All file work of the journal but SQLite's own goes through ``Files``, so that a test can put one simulated disk
under both (``vfs`` names the SQLite VFS that belongs to it).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from edge_gateway.errors import JournalBusy

#: Ending of a file that is not finished: such files are removed at the next start.
TEMPORARY = ".tmp"
#: What is read from the disk at once, past the cache: a multiple of every sector.
_DIRECT_BYTES = 1 << 20


class Closeable(Protocol):
    """Something held until it is closed."""

    def close(self) -> None: ...


class Readable(Protocol):
    """Where a segment file may be read from: a folder, or what stands for one."""

    def exists(self, path: Path) -> bool: ...

    def size(self, path: Path) -> int:
        """Size in bytes; 0 if it is not there."""
        ...

    def read(self, path: Path, offset: int = 0, size: int = -1) -> bytes:
        """Up to ``size`` bytes from ``offset`` on (to the end if negative)."""
        ...


class Files(Readable, Protocol):
    """What the journal asks of a file system. All methods raise OSError as the system does."""

    #: SQLite VFS that reaches the same disk; None is the default one.
    vfs: str | None

    def lock(self, path: Path) -> Closeable:
        """Hold ``path`` exclusively until closed or the process ends. Raises JournalBusy if another process does."""
        ...

    def make_folder(self, path: Path) -> None:
        """Create a folder (its parent exists) if it is not there, and make its name durable in any case."""
        ...

    def names(self, folder: Path) -> list[str]:
        """Names in a folder, sorted; [] if it is not there."""
        ...

    def read_disk(self, path: Path) -> Iterator[bytes]:
        """A whole file as the disk holds it, whatever the cache shows."""
        ...

    def settle(self, path: Path) -> None:
        """Make durable what the cache holds of a file, then let the cache forget it: what is read next comes from the disk."""
        ...

    def write_synced(self, path: Path, chunks: Iterable[bytes]) -> int:
        """Write a new file (or over an old one) and fsync it through the same descriptor; returns its size."""
        ...

    def sync(self, path: Path) -> None:
        """fsync a file that is already there."""
        ...

    def cut(self, path: Path, size: int) -> None:
        """Take off what lies behind ``size`` bytes, durably."""
        ...

    def rename(self, old: Path, new: Path) -> None: ...

    def unlink(self, path: Path) -> None:
        """Remove a name; nothing happens if it is not there."""
        ...

    def sync_folder(self, folder: Path) -> None:
        """Make a folder's names durable."""
        ...

    def allocate(self, path: Path, size: int) -> None:
        """Make a file of exactly ``size`` bytes whose blocks are really taken; 0 removes it."""
        ...

    def free_bytes(self, folder: Path) -> int:
        """Room that this process may still use on that file system."""
        ...


def opened(files: Files, folder: Path) -> int:
    """Make a folder of content-addressed files, remove unfinished ones; the bytes that are there. Raises OSError."""
    files.make_folder(folder)
    size_bytes = 0
    for name in files.names(folder):
        if name.endswith(TEMPORARY):
            files.unlink(folder / name)
        else:
            size_bytes += files.size(folder / name)
    return size_bytes


def write_durably(files: Files, path: Path, chunks: Iterable[bytes]) -> int:
    """Temporary name, write, fsync, rename, fsync the folder: after return the file is whole, also after a power cut.

    After an error nothing is retried on the same file: what an fsync failed for may be gone from the disk while
    the cache still shows it. Who starts again gets a new file, also where the old one could not be removed.
    """
    temporary = path.with_name(path.name + TEMPORARY)
    files.unlink(temporary)
    try:
        size = files.write_synced(temporary, chunks)
        files.rename(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            files.unlink(temporary)
        raise
    files.sync_folder(path.parent)
    return size


class DiskFiles:
    """The real disk."""

    vfs: str | None = None

    def lock(self, path: Path) -> Closeable:
        """``flock``: the kernel lets go of it when the process ends, however it ends."""
        handle = path.open("a+b")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            holder = handle.read(32).decode("ascii", "replace").strip()
            handle.close()
            raise JournalBusy(
                f"the state folder {path.parent} is in use" + (f" by process {holder}" if holder else ""),
                hint="stop the other gateway, or choose another state folder",
            ) from None
        handle.truncate(0)
        handle.write(b"%d\n" % os.getpid())
        handle.flush()
        return handle

    def make_folder(self, path: Path) -> None:
        if not path.is_dir():
            path.mkdir(mode=0o750, exist_ok=True)
        with contextlib.suppress(PermissionError):  # a parent that we may not open is another's, and older
            self.sync_folder(path.parent)

    def names(self, folder: Path) -> list[str]:
        try:
            return sorted(path.name for path in folder.iterdir())
        except FileNotFoundError:
            return []

    def exists(self, path: Path) -> bool:
        return path.exists()

    def size(self, path: Path) -> int:
        try:
            return path.stat().st_size
        except FileNotFoundError:
            return 0

    def read(self, path: Path, offset: int = 0, size: int = -1) -> bytes:
        with path.open("rb") as handle:
            handle.seek(offset)
            return handle.read(size)

    def read_disk(self, path: Path) -> Iterator[bytes]:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECT)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            yield from self._read_forgotten(path)  # this file system knows no other way
            return
        try:
            at, size = 0, os.fstat(descriptor).st_size
            with mmap.mmap(-1, _DIRECT_BYTES) as buffer:  # aligned to a page
                while at < size:
                    count = os.preadv(descriptor, [buffer], at)
                    if not count:
                        raise OSError(errno.EIO, f"{path} ends at {at} of {size} bytes")
                    yield buffer[:count]
                    at += count
        finally:
            os.close(descriptor)

    def _read_forgotten(self, path: Path) -> Iterator[bytes]:
        with path.open("rb", buffering=0) as handle:
            os.posix_fadvise(handle.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            while chunk := handle.read(_DIRECT_BYTES):
                yield chunk

    def settle(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)

    def write_synced(self, path: Path, chunks: Iterable[bytes]) -> int:
        with path.open("wb") as handle:
            size = 0
            for chunk in chunks:
                size += handle.write(chunk)
            handle.flush()
            os.fsync(handle.fileno())
        return size

    def sync(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def cut(self, path: Path, size: int) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.ftruncate(descriptor, size)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def rename(self, old: Path, new: Path) -> None:
        old.replace(new)

    def unlink(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def sync_folder(self, folder: Path) -> None:
        self.sync(folder)

    def allocate(self, path: Path, size: int) -> None:
        if not size:
            self.unlink(path)
            return
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            os.truncate(descriptor, min(size, os.fstat(descriptor).st_size))
            os.posix_fallocate(descriptor, 0, size)
        finally:
            os.close(descriptor)

    def free_bytes(self, folder: Path) -> int:
        stat = os.statvfs(folder)
        return stat.f_bavail * stat.f_frsize
