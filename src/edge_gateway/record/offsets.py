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

    The first correction after it counts. What was read before the clock was right, but journaled behind the correction, has
    none after it: the last one before it counts then.
    """
    own = [each for each in corrections if each.boot == boot]
    after = next((each for each in own if each.place >= place), own[-1] if own else None)
    return after.offset_us if after is not None else None
