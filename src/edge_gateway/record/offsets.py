"""What wall time an entry really had, once a correction of its boot is known; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: Where an entry stands in a record: number of its epoch, seq.
Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Correction:
    """A ``correction`` entry: for entries of ``boot``, the right wall time is monotonic time + ``offset_us``."""

    place: Place
    boot: str
    offset_us: int


def corrected(boot: str, place: Place, corrections: Sequence[Correction]) -> int | None:
    """What to add to the monotonic time of an untrusted entry of ``boot`` at ``place``; None when nobody ever learned it.

    The first correction of the boot from the entry on counts: a correction's own time is corrected by itself.
    """
    return next((each.offset_us for each in corrections if each.boot == boot and each.place >= place), None)
