"""Which addresses of a device one request may cover: by its profile's word, less what the unit itself refused; asks nobody."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from edge_gateway.profiles.model import ModbusProfile, ModbusTraits

#: Functions that read bits; the others read registers.
BITS = (1, 2)


@dataclass(frozen=True, slots=True)
class Learned:
    """What a unit was found to refuse: ``holes`` (function, first, last), and ``most`` addresses a request of a function takes."""

    holes: tuple[tuple[int, int, int], ...] = ()
    most: Mapping[int, int] = field(default_factory=dict)


NOTHING_LEARNED = Learned()


class Readable:
    """The map of one device type (and one unit's holes).

    Readable are the addresses of the profile's channels. Between two channels up to ``max_gap`` further ones in a row may
    be read along where the profile says ``gap_readable`` or lists a range around them. Holes never are. Where the profile
    lists ranges for a function, a request lies wholly within one of them.
    """

    def __init__(self, profile: ModbusProfile, learned: Learned = NOTHING_LEARNED) -> None:
        self.traits: ModbusTraits = profile.modbus
        self._learned = learned
        self._channels: dict[int, set[int]] = {1: set(), 2: set(), 3: set(), 4: set()}
        self._ranges: dict[int, list[tuple[int, int]]] = {1: [], 2: [], 3: [], 4: []}
        for channel in profile.channels.values():
            self._channels[channel.function].update(range(channel.register_, channel.register_ + channel.width))
        for listed in self.traits.ranges:
            self._ranges[listed.function].append((listed.first, listed.last))

    def most(self, function: int) -> int:
        """The most registers or bits of one request."""
        most = self.traits.max_bits if function in BITS else self.traits.max_registers
        return min(most, self._learned.most.get(function, most))

    def together(self, function: int, first: int, end: int) -> bool:
        """Are addresses ``first`` … ``end - 1`` few enough for one request, and within one of the listed ranges?"""
        if end - first > self.most(function):
            return False
        ranges = self._ranges[function]
        return not ranges or any(a <= first and end - 1 <= b for a, b in ranges)

    def refused(self, function: int, first: int, end: int) -> bool:
        """Does any of ``first`` … ``end - 1`` lie in a hole that the unit was found to have?"""
        return _meets(((a, b) for f, a, b in self._learned.holes if f == function), first, end)

    def gap(self, function: int, first: int, end: int) -> bool:
        """May addresses ``first`` … ``end - 1`` be read along?"""
        if self.refused(function, first, end):
            return False
        known = self._channels[function]
        unknown = [address for address in range(first, end) if address not in known]
        if not unknown:
            return True
        ranges = self._ranges[function]
        if not (self.traits.gap_readable or ranges) or _longest_run(unknown) > self.traits.max_gap:
            return False
        holes = self.traits.holes
        return not any(a <= address <= b for a, b in holes for address in unknown) and (
            not ranges or all(any(a <= address <= b for a, b in ranges) for address in unknown)
        )


def _meets(spans: Iterable[tuple[int, int]], first: int, end: int) -> bool:
    return any(a < end and first <= b for a, b in spans)


def _longest_run(addresses: list[int]) -> int:
    longest = run = 1
    for before, address in pairwise(addresses):
        run = run + 1 if address == before + 1 else 1
        longest = max(longest, run)
    return longest
