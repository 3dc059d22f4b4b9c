"""Growing waits with jitter, once, for everybody; knows no clock and does not sleep."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(slots=True)
class Backoff:
    """``next_s()`` answers how long to wait after the next failure: doubling from ``first_s`` to ``most_s``, ±20 %.

    ``apart``: many gateways lost the same server at one instant, and are to come back apart: anything from a tenth of that wait to all of it.
    """

    first_s: float = 1.0
    most_s: float = 60.0
    failures: int = 0
    apart: bool = False

    def next_s(self) -> float:
        """Seconds to wait; each call counts one failure."""
        wait_s = min(self.most_s, self.first_s * 2.0 ** min(self.failures, 20))
        self.failures += 1
        return wait_s * (random.uniform(0.1, 1.0) if self.apart else random.uniform(0.8, 1.2))

    def reset(self) -> None:
        """After a success."""
        self.failures = 0
