"""What one unit was found to refuse, and what of it ever worked: learned, forgotten, tried again slowly; no line, no clock, no file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edge_gateway.profiles.plan import PlannedBlock
from edge_gateway.profiles.readable import Learned

#: How soon what was refused is tried again (gateway time); the wait doubles up to the most.
RELEARN_US, MOST_WAIT_US = 600_000_000, 3_600_000_000
#: A gap that may not be read along, and a shorter most, cost requests and no reading: tried again once a day.
GAP_WAIT_US = 86_400_000_000
#: Holes kept of one unit. Beyond, what is refused is found out anew at each start.
MOST_HOLES = 256


@dataclass(slots=True)
class Hole:
    """Addresses ``first`` … ``last`` that ``function`` was refused for with exception ``code``; tried again at ``retry_us`` (monotonic)."""

    function: int
    first: int
    last: int
    code: int
    #: True: only read along between channels; no reading is missed for it
    gap: bool = False
    retry_us: int = 0
    wait_us: int = 0

    def meets(self, function: int, first: int, end: int) -> bool:
        return self.function == function and self.first < end and first <= self.last


@dataclass(slots=True)
class Memory:
    """The memory of one unit. ``revision`` grows when requests have to be planned anew, ``changed`` when there is something to keep."""

    holes: list[Hole] = field(default_factory=list)
    #: function -> (most addresses in a request, when to try more)
    most: dict[int, tuple[int, int]] = field(default_factory=dict)
    worked: dict[int, set[int]] = field(default_factory=dict)
    revision: int = 0
    changed: bool = False
    _next_us: int = 0

    @property
    def full(self) -> bool:
        """True: further holes are not remembered; the requests stay divided until they are planned anew."""
        return len(self.holes) >= MOST_HOLES

    def learned(self) -> Learned:
        """For the planner."""
        holes = tuple((hole.function, hole.first, hole.last) for hole in self.holes)
        return Learned(holes, {function: most for function, (most, _) in self.most.items()})

    def hole(self, function: int, first: int, end: int) -> Hole | None:
        """A hole that these addresses meet."""
        return next((hole for hole in self.holes if hole.meets(function, first, end)), None)

    def has_worked(self, block: PlannedBlock) -> bool:
        """Did every channel of ``block`` answer once?"""
        worked = self.worked.get(block.function)
        return worked is not None and all(
            block.start + f.at + i in worked for f in block.fields for i in range(f.channel.width)
        )

    def works(self, block: PlannedBlock) -> None:
        """``block`` was answered: its channels work, and a hole among its addresses is none."""
        worked = self.worked.setdefault(block.function, set())
        before = len(worked)
        for f in block.fields:
            worked.update(range(block.start + f.at, block.start + f.at + f.channel.width))
        self.changed |= len(worked) > before
        end = block.start + block.count
        if self.hole(block.function, block.start, end) is not None:
            self.holes = [hole for hole in self.holes if not hole.meets(block.function, block.start, end)]
            self._revised()

    def refused(self, block: PlannedBlock, code: int, mono_us: int) -> None:
        """A single channel was refused: a hole (less what others read of it), or one that waits longer."""
        hole = self.hole(block.function, block.start, block.start + block.count)
        if hole is not None and not hole.gap:
            hole.wait_us = min(hole.wait_us * 2, MOST_WAIT_US)
            hole.retry_us = mono_us + hole.wait_us
            return
        if hole is not None:
            self.holes.remove(hole)  # a point is read of it now: its time is another
        worked = self.worked.get(block.function, set())
        addresses = range(block.start, block.start + block.count)
        culprits = [address for address in addresses if address not in worked] or list(addresses)
        for first, last in _runs(culprits):
            self._add(Hole(block.function, first, last, code), mono_us, RELEARN_US)

    def parted(self, block: PlannedBlock, parts: Sequence[PlannedBlock], code: int, mono_us: int) -> None:
        """``block`` was refused as a whole, and all its ``parts`` were answered: what they leave out is a hole, or the block too long."""
        kept = {part.start + i for part in parts for i in range(part.count)}
        lost = [address for address in range(block.start, block.start + block.count) if address not in kept]
        if not lost:
            most = max(part.count for part in parts)
            if self.most.get(block.function, (0, 0))[0] == most:
                return
            self.most[block.function] = (most, mono_us + GAP_WAIT_US)
            self._due(mono_us + GAP_WAIT_US)
            self._revised()
        for first, last in _runs(lost):
            self._add(Hole(block.function, first, last, code, gap=True), mono_us, GAP_WAIT_US)

    def expire(self, mono_us: int) -> None:
        """Forget the gaps and shorter mosts whose time has come: they are asked as planned again."""
        if not self._next_us or mono_us < self._next_us:
            return
        kept = [hole for hole in self.holes if not (hole.gap and hole.retry_us <= mono_us)]
        most = {function: item for function, item in self.most.items() if item[1] > mono_us}
        if len(kept) < len(self.holes) or len(most) < len(self.most):
            self.holes, self.most = kept, most
            self._revised()
        self._next_us = min((*(h.retry_us for h in kept if h.gap), *(at for _, at in most.values())), default=0)

    def _add(self, hole: Hole, mono_us: int, wait_us: int) -> None:
        if self.full or self.hole(hole.function, hole.first, hole.last + 1) is not None:
            return
        hole.wait_us, hole.retry_us = wait_us, mono_us + wait_us
        self.holes.append(hole)
        if hole.gap:
            self._due(hole.retry_us)
        self._revised()

    def _due(self, at_us: int) -> None:
        self._next_us = min(self._next_us or at_us, at_us)

    def _revised(self) -> None:
        self.revision += 1
        self.changed = True

    def as_dict(self) -> dict[str, Any]:
        """JSON-able; ``of`` reads it. Times are left out: a monotonic clock ends with its boot."""
        return {
            "holes": [[hole.function, hole.first, hole.last, hole.code, hole.gap] for hole in self.holes],
            "most": {str(function): most for function, (most, _) in self.most.items()},
            "worked": {str(function): _runs(sorted(worked)) for function, worked in self.worked.items()},
        }

    def restore(self, kept: Mapping[str, Any], mono_us: int) -> None:
        """Take over what ``as_dict`` made. Raises KeyError, TypeError or ValueError for anything else, and then knows nothing."""
        self.holes, self.most, self.worked = [], {}, {}
        try:
            for function, first, last, code, gap in kept["holes"]:
                hole = Hole(int(function), int(first), int(last), int(code), gap=bool(gap))
                self._add(hole, mono_us, GAP_WAIT_US if hole.gap else RELEARN_US)
            for function, most in kept["most"].items():
                if int(most) < 1:
                    raise ValueError(f"a request takes {most} registers")
                self.most[int(function)] = (int(most), mono_us + GAP_WAIT_US)
                self._due(mono_us + GAP_WAIT_US)
            for function, runs in kept["worked"].items():
                addresses = self.worked.setdefault(int(function), set())
                for first, last in runs:
                    addresses.update(range(max(0, int(first)), min(int(last), 0xFFFF) + 1))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            self.holes, self.most, self.worked = [], {}, {}
            raise
        finally:
            self.revision += 1
            self.changed = False


def _runs(addresses: Sequence[int]) -> list[list[int]]:
    """[first, last] of each run of neighbours; ``addresses`` ascend."""
    runs: list[list[int]] = []
    for address in addresses:
        if runs and address == runs[-1][1] + 1:
            runs[-1][1] = address
        else:
            runs.append([address, address])
    return runs
