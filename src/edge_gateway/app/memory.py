"""Asks the C library's allocator to hold on to less: one pool for all threads, large pieces given back; knows no part of ours.

glibc makes a pool for each thread and keeps what was freed in it. We have five threads that take turns, so one pool serves
them as well: about 4 MB less of 100 with a thousand points and the page open, at no cost that could be measured.
"""

from __future__ import annotations

import ctypes
from typing import Any

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
#: Pieces from this size on come from the kernel and go back to it.
LARGE_BYTES = 128 * 1024


def hold_less(library: Any = None) -> bool:
    """Before the first thread starts. False where the library has no such knobs (musl): nothing is changed then."""
    try:
        mallopt = (library or ctypes.CDLL(None)).mallopt
    except (AttributeError, OSError):
        return False
    return bool(mallopt(_M_ARENA_MAX, 1)) and bool(mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES))
