"""A pulse total that outlives the counter it is read from: what a new count adds, and when pulses may be missing; pure.

A counter of the kernel or of a process begins anew at each boot (or start). The total does not: it goes on from what the
journal holds, and says so where pulses may have been missed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from edge_gateway.reading import GOOD, UNCERTAIN_RESET

#: The kernel's interrupt counter has 32 bits (drivers/counter/interrupt-cnt.c: atomic_t), shown with its sign extended.
_MOD = 1 << 32
#: A counter that went down by a wrap came up again by less than this since the last look; by more, it began anew.
_MOST_AT_ONCE = 1 << 24


@dataclass(frozen=True, slots=True)
class Total:
    """``pulses`` since the point began. ``count``: what the counter showed then; ``life``: which life of the counter that was."""

    pulses: int = 0
    count: int = 0
    life: str = ""

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Total | None:
        """From what the journal kept of a device; None when that is no total."""
        if "pulses" not in kept:
            return None
        return cls(int(kept["pulses"]), int(kept["count"]), str(kept["life"]))

    def keep(self) -> dict[str, Any]:
        """For the journal."""
        return {"pulses": self.pulses, "count": self.count, "life": self.life}


def advance(before: Total | None, count: int, life: str) -> tuple[Total, str]:
    """The total once the counter shows ``count`` in its life ``life`` (boot id, or a start of ours), and its quality.

    ``uncertain:counter-reset``, for this one reading: the counter began anew, so pulses between the last journaled reading and
    its end are missing. A first reading ever begins at 0: what the counter showed before is not ours.
    """
    count %= _MOD
    if before is None:
        return Total(0, count, life), GOOD
    if before.life != life:
        return Total(before.pulses + count, count, life), UNCERTAIN_RESET
    new = (count - before.count) % _MOD
    if count < before.count and new >= _MOST_AT_ONCE:
        return Total(before.pulses + count, count, life), UNCERTAIN_RESET
    return Total(before.pulses + new, count, life), GOOD


def quantity(pulses: int, per_pulse: float, start: float) -> float:
    """start + pulses × per_pulse, both taken as the decimals that a person wrote, as the nearest double."""
    return float(Fraction(repr(start)) + pulses * Fraction(repr(per_pulse)))
