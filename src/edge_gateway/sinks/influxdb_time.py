"""When an entry really happened: wall time, corrected if the record learned better later; knows no sink and no server.

Entries of an untrusted boot wait for that boot's ``correction`` entry, looked for ahead in the record, at most
``hold_us``; then they go as they are, tagged. A boot that is over without one is not waited for: its monotonic clock is
gone, so nothing can correct it any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from edge_gateway.clock import Clock
from edge_gateway.errors import SegmentDamaged
from edge_gateway.journal.base import Position, Reader
from edge_gateway.record.entry import decode

#: Entries looked through in one call while searching ahead; the search goes on at the next call.
MAX_SCAN = 50_000
_CHUNK_ENTRIES = 1000
_CHUNK_BYTES = 1 << 20
_MARK = b'"kind":"correction"'


@dataclass(frozen=True, slots=True)
class When:
    """An entry's time in µs UTC, whether nobody vouches for it, or why it must wait (then the rest means nothing)."""

    wall_us: int
    untrusted: bool = False
    held: str = ""


class TrustedTime:
    """Answers ``when`` for entries in order; remembers how far ahead it has looked."""

    def __init__(self, clock: Clock, hold_us: int) -> None:
        self._clock = clock
        self._hold_us = hold_us
        self._from: Position | None = None
        self._next: Position | None = None
        self._found: list[tuple[Position, str, int]] = []  # where, boot, offset_us; in the record's order

    async def when(self, entry: Mapping[str, Any], position: Position, reader: Reader) -> When:
        """The time of an entry that stands at ``position``."""
        wall_us: int = entry["wall_us"]
        if entry["trusted"]:
            return When(wall_us)
        boot: str = entry["boot"]
        order = {info.epoch: number for number, info in enumerate(reader.epochs())}
        self._begin(position, order)
        finished = True
        offset_us = self._offset_us(boot, position, order)
        if offset_us is None:
            finished = await self._look_ahead(boot, reader)
            offset_us = self._offset_us(boot, position, order)
        if offset_us is not None:
            return When(entry["mono_us"] + offset_us)
        if not finished:
            return When(wall_us, held="clock untrusted: looking ahead in the record for its correction")
        if boot != self._clock.boot:
            return When(wall_us, untrusted=True)
        left_us = entry["mono_us"] + self._hold_us - self._clock.mono_us()
        if left_us <= 0:
            return When(wall_us, untrusted=True)
        return When(wall_us, held=f"clock untrusted: waiting for its correction, at most {_span(left_us)} more")

    def _begin(self, position: Position, order: Mapping[str, int]) -> None:
        """Start the search at this entry unless it already started before it."""
        known = self._from is not None and self._from.epoch in order
        if known and self._from is not None and _place(self._from, order) <= _place(position, order):
            return
        self._from = self._next = position
        self._found = []

    def _offset_us(self, boot: str, position: Position, order: Mapping[str, int]) -> int | None:
        """The first correction of this boot from the entry on: a correction's own time is corrected by itself."""
        here = _place(position, order)
        for where, which, offset_us in self._found:
            if which == boot and where.epoch in order and _place(where, order) >= here:
                return offset_us
        return None

    async def _look_ahead(self, boot: str, reader: Reader) -> bool:
        """Read on until a correction of ``boot`` or the record's end (True), at most MAX_SCAN entries (then False)."""
        looked = 0
        while looked < MAX_SCAN:
            assert self._next is not None
            at = self._next
            try:
                entries = await reader.read(at, max_entries=_CHUNK_ENTRIES, max_bytes=_CHUNK_BYTES)
            except SegmentDamaged as damage:  # a correction in it is lost; the next segments are there
                self._next = Position(at.epoch, damage.first + damage.count)
                continue
            except KeyError:  # freed meanwhile: go on where the record begins now
                entries = []
                first = next((info.first for info in reader.epochs() if info.epoch == at.epoch), at.seq)
                if first > at.seq:
                    self._next = Position(at.epoch, first)
                    continue
            if not entries:
                following = _following(at, reader)
                if following is None:
                    return True
                self._next = following
                continue
            self._next = Position(at.epoch, at.seq + len(entries))
            looked += len(entries)
            if self._collect(at, entries, boot):
                return True
        return False

    def _collect(self, at: Position, entries: list[bytes], boot: str) -> bool:
        seen = False
        for number, data in enumerate(entries):
            if _MARK not in data:
                continue
            entry = decode(data)
            if entry["kind"] == "correction":
                self._found.append((Position(at.epoch, at.seq + number), entry["boot"], int(entry["offset_us"])))
                seen = seen or entry["boot"] == boot
        return seen


def _place(position: Position, order: Mapping[str, int]) -> tuple[int, int]:
    return order.get(position.epoch, -1), position.seq


def _following(at: Position, reader: Reader) -> Position | None:
    """The first entry of the epoch after a closed one."""
    for info, following in pairwise(reader.epochs()):
        if info.epoch == at.epoch and info.closed:
            return Position(following.epoch, following.first)
    return None


def _span(span_us: int) -> str:
    minutes = max(1, round(span_us / 60_000_000))
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
