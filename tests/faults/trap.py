"""Kills a process before its n-th write, fsync, rename, unlink or send, of whatever thread; knows nothing of what the process is.

The kernel asks first: a seccomp filter hands each such call to the supervisor (``seccomp_unotify(2)``, Linux 5.9), which lets
it happen or ends the process instead. Neither a tracer nor a compiler nor the program's help is wanted, and the count runs over all threads.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import platform
import select
import signal
import struct
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

_X86 = {
    "write": 1, "pwrite64": 18, "writev": 20, "pwritev": 296, "fsync": 74, "fdatasync": 75, "ftruncate": 77, "rename": 82, "renameat": 264, "renameat2": 316,
    "link": 86, "unlink": 87, "unlinkat": 263, "sendto": 44, "sendmsg": 46, "sendmmsg": 307,
}  # fmt: skip
_ARM = {
    "write": 64, "pwrite64": 68, "writev": 66, "pwritev": 70, "fsync": 82, "fdatasync": 83, "ftruncate": 46, "renameat": 38, "renameat2": 276,
    "linkat": 37, "unlinkat": 35, "sendto": 206, "sendmsg": 211, "sendmmsg": 269,
}  # fmt: skip
#: machine → (the kernel's audit number of it, its calls, seccomp's own number)
_MACHINES = {"x86_64": (0xC000003E, _X86, 317), "aarch64": (0xC00000B7, _ARM, 277)}
_PR_SET_NO_NEW_PRIVS, _MODE_FILTER, _NEW_LISTENER = 38, 1, 1 << 3
_ALLOW, _ASK = 0x7FFF0000, 0x7FC00000
_RECEIVE, _ANSWER, _GO_ON = 0xC0502100, 0xC0182101, 1
_PIDFD_GETFD = 438
#: Where the child puts its listener, for the supervisor to take.
_LISTENER = 200
_LIBC = ctypes.CDLL(None, use_errno=True)


def _filter() -> bytes:
    """BPF: ask about these calls of this machine, allow all others."""
    audit, calls, _ = _machine()
    numbers = sorted(calls.values())
    code = [(0x20, 0, 0, 4), (0x15, 1, 0, audit), (0x06, 0, 0, _ALLOW), (0x20, 0, 0, 0)]
    code += [(0x15, len(numbers) - at, 0, number) for at, number in enumerate(numbers)]
    code += [(0x06, 0, 0, _ALLOW), (0x06, 0, 0, _ASK)]
    return b"".join(struct.pack("=HBBI", *each) for each in code)


def _machine() -> tuple[int, dict[str, int], int]:
    try:
        return _MACHINES[platform.machine()]
    except KeyError:
        raise SystemExit(f"no numbers of system calls for {platform.machine()}") from None


def _install() -> None:
    """From here on this process asks. Raises OSError."""
    code = ctypes.create_string_buffer(_filter())
    program = ctypes.create_string_buffer(struct.pack("@HP", len(code.raw) // 8, ctypes.addressof(code)))
    _LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    listener = _LIBC.syscall(_machine()[2], _MODE_FILTER, _NEW_LISTENER, program)
    if listener < 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    os.dup2(listener, _LISTENER, inheritable=False)
    os.close(listener)


@dataclass(slots=True)
class Ended:
    """How it went: calls counted, which one it was killed before (kind and target), else the exit code."""

    calls: int
    kind: str = ""
    target: str = ""
    exit: int = 0


@dataclass(slots=True)
class Trap:
    """One supervised child. ``at`` 0: never killed by it; it may be set later (``arm``)."""

    pid: int
    at: int
    _pidfd: int
    _listener: int
    _calls: int = 0
    _names: dict[int, str] = field(default_factory=lambda: {number: name for name, number in _machine()[1].items()})

    @classmethod
    def start(cls, body: Callable[[], object], at: int) -> Trap:
        """Fork; the child runs ``body`` under the filter and ends."""
        ready, mine = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(ready)
            _child(body, mine)
        os.close(mine)
        os.read(ready, 1)  # its end: the listener stands
        os.close(ready)
        pidfd = os.pidfd_open(pid)
        listener = _LIBC.syscall(_PIDFD_GETFD, pidfd, _LISTENER, 0)
        if listener < 0:
            raise OSError(ctypes.get_errno(), "pidfd_getfd")
        return cls(pid, at, pidfd, listener)

    def arm(self, calls: int) -> None:
        """Kill it before the ``calls``-th from now on."""
        self.at = self._calls + calls

    def supervise(self, other: int, told: Callable[[Trap], None]) -> Ended:
        """Until it ends; ``told`` is called when the descriptor ``other`` may be read."""
        poll = select.poll()
        for descriptor in (self._pidfd, self._listener, other):
            poll.register(descriptor, select.POLLIN)
        kind = target = ""
        while True:
            for descriptor, _ in poll.poll():
                if descriptor == self._listener and not kind:
                    kind, target = self._asked()
                elif descriptor == other:
                    told(self)
                elif descriptor == self._pidfd:
                    _, status = os.waitpid(self.pid, 0)
                    os.close(self._pidfd)
                    os.close(self._listener)
                    return Ended(self._calls, kind, target, os.waitstatus_to_exitcode(status))

    def _asked(self) -> tuple[str, str]:
        """One call: let it happen, or kill before it; then its kind and target."""
        asked = bytearray(80)
        try:
            fcntl.ioctl(self._listener, _RECEIVE, asked)
            number, pid, _, call, *_, first, _, size, _, _, _ = struct.unpack("=QIIiIQ6Q", asked)
            kind = self._names[call]
            if not _nothing(kind, first, size):
                self._calls += 1
                if self._calls == self.at:
                    target = _target(pid, kind, first)
                    os.kill(self.pid, signal.SIGKILL)
                    return kind, target
            fcntl.ioctl(self._listener, _ANSWER, struct.pack("=QqiI", number, 0, 0, _GO_ON))
        except FileNotFoundError:  # its thread ended meanwhile
            pass
        return "", ""


def _nothing(kind: str, first: int, size: int) -> bool:
    """What changes neither a file nor a peer: words to the log, an event loop that wakes itself with one byte."""
    return (kind == "write" and first in (1, 2)) or (kind in ("sendto", "write") and size == 1)


def _target(pid: int, kind: str, first: int) -> str:
    """The file's name without folder (an epoch's or a text's is not told apart), or what kind of peer."""
    if kind.startswith(("rename", "link", "unlink")):
        return ""
    try:
        link = Path(f"/proc/{pid}/fd/{first}").readlink()
    except OSError:
        return "?"
    if link.name.startswith("socket:"):
        return "socket"
    if link.is_dir():
        return "folder"
    named = {".ndjson": "segment"} | ({".tmp": "text"} if len(link.name) == 68 else {})
    return next((word for ending, word in named.items() if ending in link.name), link.name)


def _child(body: Callable[[], object], ready: int) -> NoReturn:
    code = 70
    try:
        os.setsid()
        _install()
        os.close(ready)
        body()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 -- this process ends here, and says why
        traceback.print_exc()
    finally:
        os._exit(code)
