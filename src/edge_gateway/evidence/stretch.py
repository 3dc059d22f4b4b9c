"""Which part of a record a period needs: the segments to carry, and for which period they are then complete; copies nothing.

Entries lie in the order in which they came, whatever a clock said. So the part begins with a segment whose first entry has a
trusted wall time before the period, and ends with one that has such a time behind it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edge_gateway.journal.base import EpochInfo, Position
from edge_gateway.journal.reading import Reading
from edge_gateway.journal.segments import Segment
from edge_gateway.record.entry import decode

#: A segment's length, where none was sealed yet.
SEGMENT_ENTRIES = 4096
_AT_ONCE, _AT_ONCE_BYTES = 4096, 64 << 20


@dataclass(frozen=True, slots=True)
class Chunk:
    """Entries ``first`` … ``end - 1`` that are here: a sealed segment, or (``segment`` None) the open tail."""

    epoch: str
    first: int
    end: int
    segment: Segment | None


def chunks(epochs: Sequence[EpochInfo], sealed: Sequence[Segment]) -> list[Chunk]:
    """All that is here, in order. Segments that were freed are not; a long tail comes in pieces of a segment's length."""
    found = []
    every = max((each.count for each in sealed), default=SEGMENT_ENTRIES)
    for info in epochs:
        mine = [segment for segment in sealed if segment.epoch == info.epoch]
        found += [Chunk(info.epoch, each.first, each.end, each) for each in mine if not (each.freed or each.lost)]
        end = max((each.end for each in mine), default=0)
        if not info.closed and info.size > end:
            found += [Chunk(info.epoch, at, min(at + every, info.size), None) for at in range(end, info.size, every)]
    return found


def entries(reading: Reading, chunk: Chunk) -> Iterator[bytes]:
    """A chunk's entries. Raises JournalDamaged; KeyError when they were freed meanwhile."""
    at = chunk.first
    while at < chunk.end:
        found = reading.read(Position(chunk.epoch, at), max_entries=min(_AT_ONCE, chunk.end - at), max_bytes=_AT_ONCE_BYTES)
        if not found:
            raise KeyError(f"{chunk.epoch}/{at}")
        yield from found
        at += len(found)


def needed(reading: Reading, here: Sequence[Chunk], from_us: int, to_us: int) -> list[Chunk]:
    """The chunks that a period needs, without a hole in their order; [] where nothing is here."""
    if not here:
        return []
    last = next((n for n, each in enumerate(here) if _reaches(reading, each, to_us)), len(here) - 1)
    first = next((n for n in range(last, -1, -1) if _begins_before(reading, here[n], from_us)), 0)
    return list(here[first : last + 1])


def _begins_before(reading: Reading, chunk: Chunk, from_us: int) -> bool:
    if chunk.segment is not None and chunk.segment.wall_us[0] > from_us:
        return False
    entry = decode(next(entries(reading, chunk)))
    return bool(entry["trusted"]) and entry["wall_us"] <= from_us


def _reaches(reading: Reading, chunk: Chunk, to_us: int) -> bool:
    if chunk.segment is not None and chunk.segment.wall_us[1] < to_us:
        return False
    return any(entry["trusted"] and entry["wall_us"] >= to_us for entry in map(decode, entries(reading, chunk)))
