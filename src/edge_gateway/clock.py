"""Time as a thing that is passed in: wall, monotonic, boot identity and trust; knows nothing of what is timed.

What is recorded, judged or shown gets its time from here; time-outs and pacing use the loop's own. Inside, time is integer microseconds. Monotonic time is CLOCK_BOOTTIME (it counts suspend), so that rule time
is right after a laptop's lid was shut too. ``speed`` scales one clock for demo and tests: plant, intervals,
rules and story share it; socket time-outs do not use it.
"""

from __future__ import annotations

import asyncio
import ctypes
import ctypes.util
import time
from pathlib import Path
from typing import Protocol

#: Clock holdover: trust ends when the possible drift since the last synchronisation exceeds this (design invariant 7).
MAX_HOLDOVER_ERROR_US = 2_000_000


class Clock(Protocol):
    """What everybody above floor 0 knows of time."""

    @property
    def boot(self) -> str: ...

    @property
    def speed(self) -> float:
        """How fast it runs against real time: 1 outside demo and tests."""
        ...

    def mono_us(self) -> int: ...

    def wall_us(self) -> int: ...

    def trusted(self) -> bool: ...

    async def sleep_until(self, mono_us: int) -> None: ...


def boot_id() -> str:
    """The kernel's boot id, first 12 hex digits; a fresh one at each power-on."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().replace("-", "").strip()[:12]


def rtc_present() -> bool:
    """Whether this machine has a battery-backed clock; without one each power-on begins at a wrong time, until a server is heard."""
    return Path("/sys/class/rtc/rtc0").exists()


class SystemClock:
    """The real clock; ``speed`` > 1 only with declared trust (demo, tests).

    With a speed, wall and monotonic time both run ``speed`` times as fast from ``origin_us`` (real wall time in
    µs) on, so that processes given the same origin agree on the time.
    """

    def __init__(self, *, declared: bool = False, speed: float = 1.0, origin_us: int | None = None) -> None:
        self._declared = declared
        self._speed = speed
        self._origin_us = origin_us if origin_us is not None else time.time_ns() // 1000
        self._boot = boot_id()
        # Real monotonic time at the origin, so that all processes scale from the same instant.
        self._mono_origin_us = self._real_mono_us() - (time.time_ns() // 1000 - self._origin_us)

    @property
    def boot(self) -> str:
        return self._boot

    @property
    def speed(self) -> float:
        return self._speed

    @staticmethod
    def _real_mono_us() -> int:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000

    def mono_us(self) -> int:
        if self._speed == 1.0:
            return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000
        return self._mono_origin_us + int((self._real_mono_us() - self._mono_origin_us) * self._speed)

    def wall_us(self) -> int:
        if self._speed == 1.0:
            return time.time_ns() // 1000
        return self._origin_us + int((self._real_mono_us() - self._mono_origin_us) * self._speed)

    def trusted(self) -> bool:
        """True if someone vouches for wall time: by declaration, or the kernel's synchronisation state."""
        return self._declared or kernel_synchronised()

    async def sleep_until(self, mono_us: int) -> None:
        """Sleep until the (possibly scaled) monotonic time; returns at once if it has passed."""
        while (left_us := mono_us - self.mono_us()) > 0:
            await asyncio.sleep(left_us / 1e6 / self._speed)


class _Timex(ctypes.Structure):
    """struct timex of adjtimex(2), the leading fields; padded generously for the rest."""

    _fields_ = [
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("_rest", ctypes.c_byte * 256),
    ]


_STA_UNSYNC = 0x0040
_TIME_ERROR = 5
_libc = ctypes.CDLL(ctypes.util.find_library("c") or "libc.so.6", use_errno=True)


def kernel_synchronised() -> bool:
    """The kernel's word on synchronisation (adjtimex): STA_UNSYNC clear and the maximum error within 2 s.

    The kernel lets ``maxerror`` (µs) grow by 500 ppm since the last update of the NTP daemon: it is the
    holdover bound of design invariant 7.
    """
    timex, state = _asked()
    if state < 0 or state == _TIME_ERROR or timex.status & _STA_UNSYNC:
        return False
    return bool(timex.maxerror <= MAX_HOLDOVER_ERROR_US)


def clock_error_us() -> int:
    """How far wall time may be off, by the kernel's word (adjtimex, ``maxerror``, µs): large while nothing synchronises it."""
    return int(_asked()[0].maxerror)


def _asked() -> tuple[_Timex, int]:
    timex = _Timex(modes=0)
    return timex, int(_libc.adjtimex(ctypes.byref(timex)))
