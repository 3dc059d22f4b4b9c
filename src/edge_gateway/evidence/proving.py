"""One epoch's tree out of a record at rest: what a pack, or the proof of one entry, needs of it; reads, and writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from edge_gateway.errors import JournalDamaged
from edge_gateway.evidence.manifest import Given, Part
from edge_gateway.evidence.pieces import Stretch, given, left_out
from edge_gateway.evidence.stretch import SEGMENT_ENTRIES, Chunk, entries
from edge_gateway.journal.base import EpochInfo
from edge_gateway.journal.reading import Reading
from edge_gateway.journal.segments import Segment
from edge_gateway.record.merkle import leaf_hash
from edge_gateway.record.proof import inclusion
from edge_gateway.signer.tree import Missing, Tree

_Found = TypeVar("_Found")


class Gone(Exception):
    """A hash inside a segment is needed whose entries are not here (freed, or damaged)."""


class Proving:
    """An epoch's entries 0 … ``size`` - 1: roots of its sealed segments, leaves of what follows them."""

    def __init__(self, reading: Reading, info: EpochInfo, sealed: Sequence[Segment]) -> None:
        """``sealed``: the epoch's segments, in order. From ``known`` on no root is: those of before, or the last entries, are gone."""
        self._reading = reading
        self._info = info
        every = max((each.count for each in sealed), default=SEGMENT_ENTRIES)
        every = every if every & (every - 1) == 0 else SEGMENT_ENTRIES
        whole = [each for each in sealed if each.count == every]
        self._segments = {each.first: each for each in whole}
        whole_known = all(each.first == number * every for number, each in enumerate(sealed)) and sealed[: len(whole)] == whole
        self._tree = Tree(every, [bytes.fromhex(each.root) for each in whole] if whole_known else [])
        self.size = info.size
        end = Chunk(info.epoch, len(whole) * every, info.size, None)  # the short last segment, or the tail as it is now
        try:
            self._tree.add(list(entries(reading, end)) if whole_known else [])
        except (JournalDamaged, KeyError):
            self.known = end.first
        else:
            self.known = info.size if whole_known else 0

    def part(self, here: Sequence[Stretch], notes: Iterable[tuple[int, bytes]]) -> tuple[Part, list[tuple[int, bytes]]]:
        """The manifest's part, and those of the notes ``(size, note)`` whose roots it gives."""
        stops: list[int] = []
        kept = []
        for size, note in notes:
            if size <= self.known and self._reachable(size):
                stops.append(size)
                kept.append((size, note))
        proven = given([(first, min(end, self.known)) for first, end in here if first < self.known], self.known, stops, self.root)
        lost = [(max(first, self.known), end) for first, end in left_out(here, self.size) if end > self.known]
        return Part(self._info.epoch, self.size, (*proven, *(Given(first, end - first, None) for first, end in lost))), kept

    def _reachable(self, size: int) -> bool:
        try:
            self._asked(lambda: self._tree.root(size))
        except Gone:
            return False
        return True

    def root(self, first: int, count: int) -> bytes:
        """Of an aligned subtree. Raises Gone."""
        return self._asked(lambda: self._tree.subtree(first, count))

    def inclusion(self, seq: int, size: int) -> list[bytes]:
        """The path of an entry in the tree of ``size``. Raises Gone, ValueError outside it."""
        return self._asked(lambda: inclusion(seq, size, self._tree.subtree))

    def _asked(self, question: Callable[[], _Found]) -> _Found:
        while True:
            try:
                return question()
            except Missing as missing:
                segment = self._segments.get(missing.first)
                if segment is None or segment.freed:
                    raise Gone(f"{self._info.epoch}/{missing.first}") from None
                try:
                    chunk = Chunk(self._info.epoch, segment.first, segment.end, segment)
                    self._tree.learn(segment.first, [leaf_hash(entry) for entry in entries(self._reading, chunk)])
                except (JournalDamaged, KeyError):
                    raise Gone(f"{self._info.epoch}/{missing.first}") from None
