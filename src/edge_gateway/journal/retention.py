"""What may be freed, and what must be declared first: pure planning over segments, receipts and cursors.

The hub holds retention: a segment goes only when its receipt covers it. Other sinks do not: their cursors pass a
``skipped`` range, which is journaled before anything goes. Without a hub, sinks that are served hold nothing up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edge_gateway.journal.base import Position
from edge_gateway.journal.segments import Segment

#: The reserve that ordinary batches leave to violations, commands, ticks and gaps.
RESERVE_BYTES = 8 * 1024 * 1024
RESERVE_SHARE = 20  # at least a twentieth
#: Roots in one declared range: it becomes one entry, and an entry has its bounds.
MAX_ROOTS = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalSettings:
    """How much, how often, for whom. ``hub_name`` is the sink that holds retention, None if there is none."""

    max_bytes: int
    segment_entries: int = 4096
    commit_every_us: int = 1_000_000  # the longest that a cursor's move waits for a commit to ride with
    hub_name: str | None = None
    sinks: tuple[str, ...] = ()  # all sinks, the hub included
    quarantine_entries: int = 10_000  # a sink
    ring_entries: int = 8192
    ring_bytes: int = 16 * 1024 * 1024
    ring_age_s: float = 10.0

    def __post_init__(self) -> None:
        if self.segment_entries < 2 or self.segment_entries & (self.segment_entries - 1):
            raise ValueError(f"segment_entries must be a power of two, not {self.segment_entries}")

    @property
    def reserve_bytes(self) -> int:
        """At least 8 MiB and 5 %; a quarter where that is too much."""
        return min(max(self.max_bytes // RESERVE_SHARE, RESERVE_BYTES), self.max_bytes // 4)

    @property
    def ballast_bytes(self) -> int:
        """A file that keeps the reserve's blocks taken, so that others cannot fill the disk up to the last one."""
        return min(self.reserve_bytes, RESERVE_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedRange:
    """Entries that a sink will never be served: journal it (kind ``skipped``), then ``free``. ``roots`` are hex."""

    sink: str
    epoch: str
    first: int
    count: int
    reason: str
    roots: tuple[str, ...]

    @property
    def end(self) -> int:
        return self.first + self.count


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """``free``: may go now. ``skipped``: must be journaled before more may go."""

    free: tuple[Segment, ...] = ()
    skipped: tuple[SkippedRange, ...] = ()


def plan(
    segments: Sequence[Segment],
    need_bytes: int,
    *,
    hub_holds: Mapping[str, int] | None,
    cursors: Mapping[str, Position | None],
    order: Mapping[str, int],
) -> Plan:
    """Which of ``segments`` (kept ones, oldest first) give ``need_bytes``.

    ``hub_holds`` maps epochs to the hub's receipt (entries it holds from 0 on), None without a hub; ``cursors`` are the
    other sinks'; ``order`` numbers the epochs.
    """
    free: list[Segment] = []
    declared: list[Segment] = []
    gained = 0
    for segment in segments:
        if gained >= need_bytes or (hub_holds is not None and hub_holds.get(segment.epoch, 0) < segment.end):
            break
        if declared or any(not _passed(segment, cursor, order) for cursor in cursors.values()):
            declared.append(segment)
        else:
            free.append(segment)
        gained += segment.size_bytes
    skipped = [part for sink, cursor in cursors.items() for part in _ranges(sink, cursor, declared, order)]
    return Plan(free=tuple(free), skipped=tuple(skipped))


def _passed(segment: Segment, cursor: Position | None, order: Mapping[str, int]) -> bool:
    if cursor is None:
        return False
    there, here = order.get(cursor.epoch, -1), order[segment.epoch]
    return there > here or (there == here and cursor.seq >= segment.end)


def _ranges(
    sink: str, cursor: Position | None, segments: Sequence[Segment], order: Mapping[str, int]
) -> list[SkippedRange]:
    """One range an epoch (more where it is long), from the cursor on where it stands inside."""
    ranges: list[SkippedRange] = []
    for segment in segments:
        if _passed(segment, cursor, order):
            continue
        inside = cursor is not None and cursor.epoch == segment.epoch and cursor.seq > segment.first
        first = cursor.seq if cursor is not None and inside else segment.first
        roots: tuple[str, ...] = () if inside else (segment.root,)
        follows = bool(ranges) and ranges[-1].epoch == segment.epoch and ranges[-1].end == first
        if follows and len(ranges[-1].roots) < MAX_ROOTS:
            last = ranges.pop()
            first, roots = last.first, last.roots + roots
        ranges.append(
            SkippedRange(
                sink=sink, epoch=segment.epoch, first=first, count=segment.end - first, reason="journal-full",
                roots=roots,
            )
        )  # fmt: skip
    return ranges
