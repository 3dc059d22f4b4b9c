"""A step that cannot be written down has not been taken: what it moved is put back; knows no kind of entry."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any, Protocol


class Part(Protocol):
    """What stands in snapshots: marks, phases, violations."""

    def snapshot(self) -> Any: ...

    def restore(self, state: Any) -> None: ...


@contextmanager
def unmoved(part: Part) -> Iterator[None]:
    """``part`` is as it was before, unless everything within succeeds: the step, and that its entries can be made (``Intake.fits``)."""
    before, taken = deepcopy(part.snapshot()), False
    try:
        yield
        taken = True
    finally:
        if not taken:
            part.restore(before)
