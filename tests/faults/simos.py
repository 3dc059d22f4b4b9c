"""``os`` and ``Path`` on a simulated disk, as far as code needs them that writes small files by itself; knows no such code.

``placed(disk, *modules)`` puts both under modules that call ``os.open``, ``os.fdopen``, ``os.pwrite``, ``os.fsync``, ``os.fdatasync``, ``os.close``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from types import ModuleType
from typing import Any, ClassVar, Self

from tests.faults.simdisk import Inode, SimDisk


class SimHandle:
    """A file that is open for writing."""

    def __init__(self, system: SimOs, descriptor: int, text: bool) -> None:
        self._system, self._descriptor, self._text = system, descriptor, text

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._system.close(self._descriptor)

    def write(self, data: Any) -> None:
        raw = data.encode() if self._text else data
        path, inode = self._system.opened[self._descriptor]
        self._system.disk.write(path, inode, len(inode.seen), raw)

    def flush(self) -> None:
        """Nothing is buffered."""

    def fileno(self) -> int:
        return self._descriptor


class SimOs:
    """Stands for the module ``os``; constants are the real ones."""

    def __init__(self, disk: SimDisk) -> None:
        self.disk = disk
        self.opened: dict[int, tuple[str, Inode]] = {}
        self.folders: dict[int, str] = {}

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("O_"):
            raise AttributeError(f"no os.{name} on a simulated disk")
        return getattr(os, name)

    def open(self, path: SimPath, flags: int, mode: int = 0o600) -> int:
        descriptor, name = len(self.opened) + len(self.folders) + 1000, str(path)
        if flags & os.O_DIRECTORY:
            self.folders[descriptor] = name
            return descriptor
        if flags & os.O_EXCL and name in self.disk.names:
            raise FileExistsError(name)
        inode = self.disk.open(name, bool(flags & os.O_CREAT))
        if flags & os.O_TRUNC and inode.seen:
            self.disk.truncate(name, inode, 0)
        self.opened[descriptor] = (name, inode)
        return descriptor

    def fdopen(self, descriptor: int, mode: str) -> SimHandle:
        return SimHandle(self, descriptor, text="b" not in mode)

    def fsync(self, descriptor: int) -> None:
        if descriptor in self.folders:
            self.disk.sync_folder(self.folders[descriptor])
        else:
            self.disk.sync(*self.opened[descriptor])

    def pwrite(self, descriptor: int, data: bytes, offset: int) -> int:
        path, inode = self.opened[descriptor]
        self.disk.write(path, inode, offset, data)
        return len(data)

    fdatasync = fsync

    def close(self, descriptor: int) -> None:
        """Closing syncs nothing."""


class SimPath(PurePosixPath):
    """A path on ``disk``, which a class of its own carries (``path_class``)."""

    disk: ClassVar[SimDisk]

    def exists(self) -> bool:
        return str(self) in self.disk.names

    def read_bytes(self) -> bytes:
        return bytes(self.disk.open(str(self), create=False).seen)

    def read_text(self, encoding: str = "utf-8") -> str:
        return self.read_bytes().decode(encoding)

    def stat(self) -> os.stat_result:
        """The mode, which is its owner's alone."""
        return os.stat_result((0o100600, 0, 0, 0, 0, 0, len(self.read_bytes()), 0, 0, 0))

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        self.disk.open(str(self), create=True)

    def glob(self, pattern: str) -> list[str]:
        """All of a folder; other patterns nobody asks for."""
        assert pattern == "*"
        return [name for name in self.disk.names if name.startswith(f"{self}/")]

    def rename(self, target: PurePosixPath) -> None:
        self.disk.rename(str(self), str(target))

    def unlink(self, missing_ok: bool = False) -> None:
        self.disk.unlink(str(self))


def path_class(disk: SimDisk) -> type[SimPath]:
    """Paths on this disk."""
    return type("SimPath", (SimPath,), {"disk": disk, "__slots__": ()})


@contextmanager
def placed(disk: SimDisk, *modules: ModuleType) -> Iterator[type[SimPath]]:
    """The modules' ``os`` is the disk's; gives the class of its paths."""
    system, before = SimOs(disk), [module.__dict__["os"] for module in modules]
    for module in modules:
        module.__dict__["os"] = system
    try:
        yield path_class(disk)
    finally:
        for module, real in zip(modules, before, strict=True):
            module.__dict__["os"] = real
