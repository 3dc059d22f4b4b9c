"""What the gateway asks of allocator, interpreter and collector of cycles; knows no part of ours.

glibc makes a pool for each thread and keeps what was freed in it. We have five threads that take turns, so one pool serves
them as well: about 4 MB less of 100 with a thousand points and the page open, at no cost that could be measured.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from typing import Any

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
#: Pieces from this size on come from the kernel and go back to it.
LARGE_BYTES = 128 * 1024
#: How long one thread may keep the others waiting for the interpreter; Python's own 5 ms cost the event loop that much at
#: each of its system calls while a segment is packed.
SWITCH_S = 0.0005
#: New objects until the collector looks at those that are new: more than a round of fifty polls has under way at once (some 15 each), or it looks
#: through them in every round, and finds that all are needed (Python's own: 700).
YOUNG = 3_000


def hold_less(library: Any = None) -> bool:
    """Before the first thread starts. False where the library has no such knobs (musl): nothing is changed then."""
    try:
        mallopt = (library or ctypes.CDLL(None)).mallopt
    except (AttributeError, OSError):
        return False
    return bool(mallopt(_M_ARENA_MAX, 1)) and bool(mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES))


def take_turns() -> None:
    """Threads hand the interpreter over soon."""
    sys.setswitchinterval(SWITCH_S)


def settle() -> None:
    """What is here now stays: the collector need not look through it again and again.

    With 5,000 points it holds up everything for 70 ms each time, longer than a fast unit's interval. To be called when a
    configuration has come into force; what an earlier one left is collected then.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])
