"""Loads the modules of a program that runs for long; knows none of them."""

from __future__ import annotations

import contextlib
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
