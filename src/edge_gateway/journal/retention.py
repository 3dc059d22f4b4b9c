"""What may be freed, and what must be declared first: pure planning over segments, limits and cursors.

By age, or for room, the oldest first, and in each epoch only up to its limit (``keeping.limits``): what a hub is owed and has
not witnessed stays, and holds up no other epoch. Other sinks hold nothing: their cursors pass a ``skipped`` range, which is
journaled before anything goes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from edge_gateway.journal.base import Position
from edge_gateway.journal.keeping import KEEP_US
from edge_gateway.journal.segments import Segment

#: The reserve that ordinary batches leave to violations, commands, ticks and gaps.
RESERVE_BYTES = 8 * 1024 * 1024
RESERVE_SHARE = 20  # at least a twentieth
#: Roots in one declared range: it becomes one entry, and an entry has its bounds.
MAX_ROOTS = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalSettings:
    """How much, how long, how often, for whom. ``hub_name`` is the sink that holds retention, None if there is none.

    ``hub_vkey``: the key by which the hub witnesses; "" if no person gave it, and then nothing counts as witnessed.
    """

    max_bytes: int
    keep_us: int = KEEP_US  # before it is over, a segment goes only for want of room
    segment_entries: int = 4096
    commit_every_us: int = 1_000_000  # the longest that a cursor's move waits for a commit to ride with
    hub_name: str | None = None
    hub_vkey: str = ""
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
    """``free``: may go now, ``early``: those of them that go before their time. ``skipped``: must be journaled before more may go."""

    free: tuple[Segment, ...] = ()
    early: tuple[Segment, ...] = ()
    skipped: tuple[SkippedRange, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a plan goes by: ``limits`` of each epoch (entries below may go), the sinks' ``cursors`` (but the hub's), ``order`` of epochs.

    ``declared``: ranges that are in the record as skipped already.
    """

    limits: Mapping[str, int]
    cursors: Mapping[str, Position | None]
    order: Mapping[str, int]
    declared: Sequence[SkippedRange] = ()

    def allows(self, segment: Segment) -> bool:
        """Whether all of it may go."""
        return self.limits.get(segment.epoch, 0) >= segment.end


def plan(
    segments: Sequence[Segment], need_bytes: int, bounds: Bounds, aged: Collection[tuple[str, int]] = frozenset()
) -> Plan:
    """Which of ``segments`` (kept ones, oldest first) go: all that are ``aged`` (epoch, first), and as many more as give ``need_bytes``.

    What is left of an epoch has no holes: behind a segment that stays, none of its epoch goes.
    """
    wanted = _wanted(segments, need_bytes, bounds, aged)
    late = next((at for at, each in enumerate(wanted) if not _served(each, bounds)), len(wanted))
    free, declared = wanted[:late], wanted[late:]
    early = tuple(each for each in free if (each.epoch, each.first) not in aged)
    why = "aged" if all((each.epoch, each.first) in aged for each in declared) else "journal-full"
    skipped = [part for sink, cursor in bounds.cursors.items() for part in _ranges(sink, cursor, declared, bounds.order, why)]
    return Plan(free=tuple(free), early=early, skipped=tuple(skipped))


def _wanted(segments: Sequence[Segment], need_bytes: int, bounds: Bounds, aged: Collection[tuple[str, int]]) -> list[Segment]:
    wanted: list[Segment] = []
    stays: set[str] = set()
    gained = 0
    for segment in segments:
        if gained >= need_bytes and not aged:
            break
        old = (segment.epoch, segment.first) in aged
        if segment.epoch in stays or not bounds.allows(segment) or (not old and gained >= need_bytes):
            stays.add(segment.epoch)
            continue
        wanted.append(segment)
        gained += segment.size_bytes
    return wanted


def _served(segment: Segment, bounds: Bounds) -> bool:
    return all(
        _passed(segment, cursor, bounds.order)
        or any(part.sink == sink and part.epoch == segment.epoch and part.end >= segment.end for part in bounds.declared)
        for sink, cursor in bounds.cursors.items()
    )


def _passed(segment: Segment, cursor: Position | None, order: Mapping[str, int]) -> bool:
    if cursor is None:
        return False
    there, here = order.get(cursor.epoch, -1), order[segment.epoch]
    return there > here or (there == here and cursor.seq >= segment.end)


def _ranges(
    sink: str, cursor: Position | None, segments: Sequence[Segment], order: Mapping[str, int], why: str
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
                sink=sink, epoch=segment.epoch, first=first, count=segment.end - first, reason=why,
                roots=roots,
            )
        )  # fmt: skip
    return ranges
