"""An hour's figures of one point; knows no entry and no table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum

HOUR_US = 3_600_000_000


@dataclass(slots=True)
class Hour:
    """One point's hour: readings taken, good ones, and these ones' least, sum and greatest."""

    taken: int = 0
    good: int = 0
    least: float = 0.0
    greatest: float = 0.0
    total: float = 0.0

    def add(self, taken: int, values: Sequence[float]) -> None:
        """Readings of one stretch; ``values`` are the good ones."""
        self.join(Hour(taken, len(values), min(values), max(values), fsum(values)) if values else Hour(taken))

    def join(self, other: Hour) -> None:
        """Those of another stretch too."""
        if other.good:
            self.least = min(self.least, other.least) if self.good else other.least
            self.greatest = max(self.greatest, other.greatest) if self.good else other.greatest
        self.taken, self.good, self.total = self.taken + other.taken, self.good + other.good, self.total + other.total

    @property
    def mean(self) -> float:
        """Of the good ones, of which there is one at least."""
        return self.total / self.good
