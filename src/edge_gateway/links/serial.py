"""A serial port taken for ourselves alone, and waits finer than the event loop's millisecond; knows no protocol."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import fcntl
import os
import struct
import termios

import serial

from edge_gateway.errors import LinkDown


class SettingsRefused(LinkDown):
    """The port is there and cannot be set up so: another rate or parity may do."""


def open_port(port: str, *, baud: int, parity: str, stopbits: int, bytesize: int = 8) -> serial.Serial:
    """Open ``port`` raw, non-blocking and exclusively: a lock on the file and TIOCEXCL.

    Raises LinkDown: no such device, no permission, or held by another program.
    """
    try:
        opened = serial.Serial(
            port, baud, bytesize, parity, stopbits, timeout=0, write_timeout=0, exclusive=True
        )  # fmt: skip
    except (
        OSError,
        ValueError,
        termios.error,
    ) as error:  # SerialException is an OSError; the others: settings it cannot do
        unfit = isinstance(error, termios.error | ValueError) and not isinstance(error, OSError)
        kind = SettingsRefused if unfit else LinkDown
        raise kind(f"{port}: {_why(error)}", hint=_hint(error)) from error
    try:
        fcntl.ioctl(opened.fileno(), termios.TIOCEXCL)
        opened.reset_input_buffer()
    except (OSError, termios.error) as error:
        opened.close()
        raise LinkDown(f"{port}: {error}") from error
    try:
        opened.set_low_latency_mode(True)  # USB adaptors otherwise sit on an answer for up to 16 ms
    except (OSError, ValueError, NotImplementedError):
        pass  # a port without that knob
    return opened


#: How the kernel and flock say that somebody else has the port.
_HELD = frozenset({errno.EAGAIN, errno.EBUSY})


def _why(error: Exception) -> str:
    number = getattr(error, "errno", None)
    if isinstance(error, termios.error):
        return f"cannot be set up so ({error.args[-1]})"
    if number in _HELD:
        return "held by another program"
    return os.strerror(number) if isinstance(number, int) else str(error)


def _hint(error: Exception) -> str:
    number = getattr(error, "errno", None)
    if number == errno.ENOENT:
        return "is the adaptor plugged in? Use a stable name such as /dev/serial/by-id/…"
    if number == errno.EACCES:
        return "the user must belong to the group dialout"
    if number in _HELD:
        return "stop the other program, or ask the running gateway: `edge-gateway read`"
    return "check baud, parity and stopbits" if isinstance(error, ValueError | termios.error) else ""


#: Linux: struct serial_icounter_struct, cts dsr rng dcd rx tx frame overrun parity brk buf_overrun and 9 spare ints.
_TIOCGICOUNT, _ICOUNT = 0x545D, struct.Struct("20i")


def line_errors(descriptor: int) -> tuple[int, int] | None:
    """Bytes with a framing error (breaks included) and with a parity error, as the driver has counted them so far.

    None where the driver does not count (pseudo-terminals, some USB adaptors). Source: linux/serial.h, tty_ioctl(4).
    """
    into = bytearray(_ICOUNT.size)
    try:
        fcntl.ioctl(descriptor, _TIOCGICOUNT, into)
    except OSError:
        return None
    counts = _ICOUNT.unpack(into)
    return counts[6] + counts[9], counts[8]


_libc = ctypes.CDLL(None, use_errno=True)
_CLOCK_MONOTONIC = 1
_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC
_SPEC = struct.Struct("qqqq")  # struct itimerspec: interval and value, seconds and nanoseconds


class FineTimer:
    """Waits to about 0.1 ms through a timerfd: the loop's own timers are rounded up to whole milliseconds."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._fd = _libc.timerfd_create(_CLOCK_MONOTONIC, _FLAGS)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._waiting: asyncio.Future[None] | None = None
        loop.add_reader(self._fd, self._fired)

    async def sleep(self, seconds: float) -> None:
        """Sleep; one sleeper at a time."""
        if seconds <= 0:
            return
        nanoseconds = max(1, round(seconds * 1e9))
        spec = _SPEC.pack(0, 0, nanoseconds // 10**9, nanoseconds % 10**9)
        if _libc.timerfd_settime(self._fd, 0, spec, None) != 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime")
        self._waiting = self._loop.create_future()
        await self._waiting

    def _fired(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            return
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def close(self) -> None:
        """Give the descriptor back. Harmless when done before."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
