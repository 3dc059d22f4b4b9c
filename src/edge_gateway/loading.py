"""How a program loads its modules and leaves them at its end; knows none of them."""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Meanwhile nothing is looked through for cycles that nobody needs, and what was loaded never is.

    Modules stay until the end. That was a tenth of the processor's time until a gateway runs.
    """
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()


@functools.cache
def leave_all() -> None:
    """At its end the process goes whole: looking through it for cycles once more was a fifth of a quick verb's time."""
    atexit.register(gc.freeze)
