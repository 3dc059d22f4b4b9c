"""One simulated disk under SQLite (an apsw VFS) and under the journal's files (the ``Files`` seam).

It keeps what was written apart from what was synced, and names apart from contents. At a power cut each file keeps
an arbitrary part of its unsynced writes (dropped, reordered, torn at sectors), and each folder an arbitrary part of
its unsynced creates, renames and removals. A power-safe overwrite is assumed, as SQLite's own unix VFS does: bytes
beside a torn write stay as they were.
"""

from __future__ import annotations

import errno
import itertools
import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TypeVar

import apsw

#: A disk with plenty of room says this.
ROOM_BYTES = 1 << 40
_POWERSAFE_OVERWRITE = 0x1000


class PowerCut(BaseException):
    """The lights went out in the middle of an operation."""


@dataclass(slots=True, eq=False)
class Inode:
    """A file: what programs see, what the platter holds, and the writes between (``(offset, bytes)``; None cuts there)."""

    seen: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)

    def apply(self, data: bytearray, offset: int, what: bytes | None) -> None:
        if what is None:
            if offset < len(data):
                del data[offset:]
            elif offset > len(data):
                data.extend(bytes(offset - len(data)))
            return
        if offset > len(data):
            data.extend(bytes(offset - len(data)))
        data[offset : offset + len(what)] = what

    def on_disk(self) -> bytes:
        """What the device answers: what was written, but for what a failed sync dropped; the cache may show more."""
        data = bytearray(self.durable)
        for offset, what in self.pending:
            self.apply(data, offset, what)
        return bytes(data)

    def change(self, offset: int, what: bytes | None) -> None:
        self.apply(self.seen, offset, what)
        self.pending.append((offset, what))

    def sync(self) -> None:
        for offset, what in self.pending:
            self.apply(self.durable, offset, what)
        self.pending.clear()


T = TypeVar("T")
Change = tuple[str, str, "Inode | str | None"]  # "link" name inode · "unlink" name · "rename" old new


class SimDisk:
    """``cut_after`` arms a cut; after ``PowerCut`` nothing has an effect until ``restart``."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.names: dict[str, Inode] = {}
        self.durable_names: dict[str, Inode] = {}
        self.unsynced: dict[str, list[Change]] = {}
        self.operations = 0
        self.cut_at: int | None = None
        self.dead = False
        self.lose_all = False
        #: Called before each operation with its kind and path; may raise what a failing disk raises.
        self.fail: Callable[[str, str], None] | None = None
        #: Kernels drop the dirty pages of a failed sync: they stay visible until the next restart, and never get durable.
        self.drop_on_failed_sync = True
        #: Whether a write that fails has written some of it.
        self.short_writes = False

    # --- operations -------------------------------------------------------------------------------------------

    def step(self, kind: str, path: str) -> bool:
        """Count an operation; False if the disk is dead."""
        if self.dead:
            return False
        if self.fail is not None:
            self.fail(kind, path)
        self.operations += 1
        return True

    def cut_due(self) -> bool:
        return self.cut_at is not None and self.operations >= self.cut_at and not self.dead

    def cut_after(self, operations: int | None) -> None:
        """Cut in the middle of the n-th operation from now on (None: never)."""
        self.cut_at = None if operations is None else self.operations + operations

    def _cut_if_due(self) -> None:
        if self.cut_due():
            self.dead = True
            raise PowerCut

    def open(self, path: str, create: bool) -> Inode:
        inode = self.names.get(path)
        if inode is None:
            if not create:
                raise FileNotFoundError(path)
            inode = Inode()
            if self.step("create", path):
                self.names[path] = inode
                self._note(path, ("link", path, inode))
                self._cut_if_due()
        return inode

    def write(self, path: str, inode: Inode, offset: int, data: bytes) -> None:
        try:
            alive = self.step("write", path)
        except OSError:
            if self.short_writes:
                inode.change(offset, data[: self.rng.randrange(len(data) + 1)])
            raise
        if alive:
            inode.change(offset, data)
            self._cut_if_due()

    def truncate(self, path: str, inode: Inode, size: int) -> None:
        if self.step("truncate", path):
            inode.change(size, None)
            self._cut_if_due()

    def sync(self, path: str, inode: Inode) -> None:
        try:
            alive = self.step("sync", path)
        except OSError:
            if self.drop_on_failed_sync:
                inode.pending.clear()
            raise
        if alive:
            self._cut_if_due()
            inode.sync()

    def rename(self, old: str, new: str) -> None:
        if self.step("rename", new):
            self.names[new] = self.names.pop(old)
            self._note(new, ("rename", old, new))
            self._cut_if_due()

    def unlink(self, path: str) -> None:
        if path in self.names and self.step("unlink", path):
            del self.names[path]
            self._note(path, ("unlink", path, None))
            self._cut_if_due()

    def sync_folder(self, folder: str) -> None:
        if self.step("sync_folder", folder):
            self._cut_if_due()
            for change in self.unsynced.pop(folder, []):
                self._apply(change)

    def _note(self, path: str, change: Change) -> None:
        self.unsynced.setdefault(str(PurePosixPath(path).parent), []).append(change)

    def _apply(self, change: Change) -> None:
        kind, name, other = change
        if kind == "link" and isinstance(other, Inode):
            self.durable_names[name] = other
        elif kind == "unlink":
            self.durable_names.pop(name, None)
        elif isinstance(other, str):
            inode = self.durable_names.pop(name, None)
            if inode is not None:
                self.durable_names[other] = inode

    # --- the cut ----------------------------------------------------------------------------------------------

    def restart(self, *, lose_all: bool = False) -> None:
        """What is on the platter after the cut is all that is left; ``lose_all``: of what was not synced, nothing is."""
        self.lose_all = lose_all
        for changes in self.unsynced.values():
            for change in self._some(changes):
                self._apply(change)
        self.unsynced.clear()
        while lost := [n for n in self.durable_names if str(PurePosixPath(n).parent) not in ("/", *self.durable_names)]:
            for name in lost:  # its folder is gone
                del self.durable_names[name]
        for inode in dict.fromkeys(self.durable_names.values()):
            for offset, what in self._some(inode.pending):
                self._tear(inode, offset, what)
            inode.pending.clear()
            inode.seen = bytearray(inode.durable)
        self.names = dict(self.durable_names)
        self.dead = False
        self.cut_at = None

    def go_on(self) -> None:
        """Only a process ended: nothing is lost, and nothing became durable by it."""
        self.dead = False
        self.cut_at = None

    def _some(self, things: list[T]) -> list[T]:
        """None, all, a beginning, or any of them, in order (the order of what overlaps is kept)."""
        way = 0.0 if self.lose_all else self.rng.random()
        if way < 0.25:
            return []
        if way < 0.45:
            return things
        if way < 0.65:
            return things[: self.rng.randrange(len(things) + 1)]
        return [thing for thing in things if self.rng.random() < 0.5]

    def _tear(self, inode: Inode, offset: int, what: bytes | None) -> None:
        """A write arrives whole, or sector by sector with some missing."""
        if what is None or self.rng.random() < 0.6:
            inode.apply(inode.durable, offset, what)
            return
        sector = self.rng.choice((512, 4096))
        at = offset
        while at < offset + len(what):
            until = min((at // sector + 1) * sector, offset + len(what))
            if self.rng.random() < 0.5:
                inode.apply(inode.durable, at, what[at - offset : until - offset])
            at = until


class SimFiles:
    """The journal's ``Files`` on a simulated disk."""

    def __init__(self, disk: SimDisk) -> None:
        self.disk = disk
        self.vfs: str | None = register(disk)

    def lock(self, path: Path) -> SimFiles:
        return self

    def close(self) -> None:
        """The lock's other half."""

    def make_folder(self, path: Path) -> None:
        if str(path) not in self.disk.names:
            self.disk.open(str(path), create=True)
        self.sync_folder(path.parent)

    def names(self, folder: Path) -> list[str]:
        start = f"{folder}/"
        return sorted({name[len(start) :].split("/")[0] for name in self.disk.names if name.startswith(start)})

    def exists(self, path: Path) -> bool:
        return str(path) in self.disk.names

    def size(self, path: Path) -> int:
        inode = self.disk.names.get(str(path))
        return len(inode.seen) if inode else 0

    def read(self, path: Path, offset: int = 0, size: int = -1) -> bytes:
        inode = self.disk.names.get(str(path))
        if inode is None:
            raise FileNotFoundError(path)
        return bytes(inode.seen[offset:] if size < 0 else inode.seen[offset : offset + size])

    def read_disk(self, path: Path) -> Iterator[bytes]:
        yield self.disk.open(str(path), create=False).on_disk()

    def settle(self, path: Path) -> None:
        inode = self.disk.open(str(path), create=False)
        self.disk.sync(str(path), inode)
        if not self.disk.dead:
            inode.seen = bytearray(inode.durable)

    def write_synced(self, path: Path, chunks: Iterable[bytes]) -> int:
        name = str(path)
        inode = self.disk.open(name, create=True)
        self.disk.truncate(name, inode, 0)
        size = 0
        for chunk in chunks:
            self.disk.write(name, inode, size, chunk)
            size += len(chunk)
        self.disk.sync(name, inode)
        return size

    def sync(self, path: Path) -> None:
        self.disk.sync(str(path), self.disk.open(str(path), create=False))

    def cut(self, path: Path, size: int) -> None:
        inode = self.disk.open(str(path), create=False)
        self.disk.truncate(str(path), inode, size)
        self.disk.sync(str(path), inode)

    def rename(self, old: Path, new: Path) -> None:
        self.disk.rename(str(old), str(new))

    def unlink(self, path: Path) -> None:
        self.disk.unlink(str(path))

    def sync_folder(self, folder: Path) -> None:
        self.disk.sync_folder(str(folder))

    def allocate(self, path: Path, size: int) -> None:
        """The ballast is no part of what a cut may hurt."""

    def free_bytes(self, folder: Path) -> int:
        return ROOM_BYTES


class SimVfs(apsw.VFS):
    """SQLite's view of a disk."""

    def __init__(self, name: str, disk: SimDisk) -> None:
        self.disk = disk
        super().__init__(name, base="")

    def xOpen(self, name: object, flags: list[int]) -> SimVfsFile:  # type: ignore[override]  # noqa: N802
        path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        create = bool(flags[0] & apsw.SQLITE_OPEN_CREATE)
        try:
            inode = self.disk.open(path, create)
        except OSError:
            raise apsw.CantOpenError(path) from None
        flags[1] = flags[0]
        return SimVfsFile(self.disk, path, inode, create)

    def xDelete(self, name: str, sync_folder: bool) -> None:  # noqa: N802
        with suppress(PowerCut), _sqlite_errors():  # SQLite does not look: the disk is dead from here on all the same
            self.disk.unlink(name)
            if sync_folder:
                self.disk.sync_folder(str(PurePosixPath(name).parent))

    def xAccess(self, path: str, flags: int) -> bool:  # noqa: N802
        return path in self.disk.names

    def xFullPathname(self, name: str) -> str:  # noqa: N802
        return name


@contextmanager
def _sqlite_errors() -> Iterator[None]:
    """What the unix VFS makes of the system's errors."""
    try:
        yield
    except OSError as error:
        kind = apsw.FullError if error.errno == errno.ENOSPC else apsw.IOError
        raise kind(str(error)) from None


class SimVfsFile:
    """One open database file. As in SQLite's unix VFS, the first sync of a log that was opened to be
    created syncs its folder too."""

    def __init__(self, disk: SimDisk, path: str, inode: Inode, create: bool) -> None:
        self._disk = disk
        self._path = path
        self._inode = inode
        self._folder_due = create and path.endswith(("-wal", "-journal"))

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        return bytes(self._inode.seen[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        with _sqlite_errors():
            self._disk.write(self._path, self._inode, offset, bytes(data))

    def xTruncate(self, size: int) -> None:  # noqa: N802
        with _sqlite_errors():
            self._disk.truncate(self._path, self._inode, size)

    def xSync(self, flags: int) -> None:  # noqa: N802
        with _sqlite_errors():
            self._disk.sync(self._path, self._inode)
            if self._folder_due:
                self._folder_due = False
                self._disk.sync_folder(str(PurePosixPath(self._path).parent))

    def xFileSize(self) -> int:  # noqa: N802
        return len(self._inode.seen)

    def xLock(self, level: int) -> None:  # noqa: N802
        """One process, one connection."""

    def xUnlock(self, level: int) -> None:  # noqa: N802
        """One process, one connection."""

    def xCheckReservedLock(self) -> bool:  # noqa: N802
        return False

    def xFileControl(self, op: int, pointer: int) -> bool:  # noqa: N802
        return False

    def xSectorSize(self) -> int:  # noqa: N802
        return 4096

    def xDeviceCharacteristics(self) -> int:  # noqa: N802
        return _POWERSAFE_OVERWRITE

    def xClose(self) -> None:  # noqa: N802
        """Nothing is held: closing syncs nothing."""


_numbers = itertools.count()
_registered: dict[str, SimVfs] = {}


def register(disk: SimDisk) -> str:
    """Name of a VFS for this disk."""
    name = f"simdisk-{next(_numbers)}"
    _registered[name] = SimVfs(name, disk)
    return name


def forget(files: SimFiles) -> None:
    """Unregister the disk's VFS."""
    if files.vfs is not None:
        _registered.pop(files.vfs).unregister()
