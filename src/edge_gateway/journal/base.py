"""What intake, shipping, page and command line may ask of a journal; knows no storage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from edge_gateway.record.photo import Photo


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in the record: ``seq`` is the number of the next entry to serve or to write, within ``epoch``."""

    epoch: str
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochInfo:
    """One epoch as this gateway holds it: entries ``first`` … ``size - 1`` are here, earlier ones were freed."""

    epoch: str
    first: int
    size: int
    closed: bool
    reason: str  # why it was opened: "new", "damage", "restore", "replacement", "roll-back", "skipped"
    wall_us: int  # when it was opened


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentInfo:
    """A sealed segment; ``root`` (hex) is kept when the file is freed."""

    epoch: str
    first: int
    count: int
    root: str
    size_bytes: int
    freed: bool
    lost: bool = False  # damaged, and not to be had again: declared skipped


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """One thing a sink refused: what, where it came from, and the sink's own words."""

    id: int
    sink: str
    epoch: str
    seq: int
    line: str
    reason: str
    wall_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What a restart needs: the last snapshot's state and the entries after it (at most one segment)."""

    snapshot: dict[str, Any] | None  # the decoded snapshot entry, its state already resolved from texts
    entries: Sequence[bytes]  # all entries after the snapshot, in order
    damaged: str = ""  # why an earlier epoch was moved aside, "" if nothing was
    epoch: str = ""  # whose entries these are
    mended: str = ""  # what had changed on the disk and was put back, "" if nothing was


class Reader(Protocol):
    """Reading side: what is returned was committed, and does not change."""

    def epochs(self) -> Sequence[EpochInfo]:
        """All epochs with entries still here, oldest first; the last one is being written."""
        ...

    async def read(self, start: Position, *, max_entries: int, max_bytes: int) -> list[bytes]:
        """Consecutive entries of one epoch from ``start`` on, at least one if one is there; [] at the end.

        Raises JournalDamaged for bytes that fail their hash; KeyError when ``start`` was freed by retention.
        """
        ...

    async def config(self, epoch: str, config_seq: int) -> dict[str, Any]:
        """The resolved configuration (parsed text) that ``config_seq`` names. Raises KeyError if unknown."""
        ...

    async def text(self, sha256: str) -> bytes:
        """A content-addressed text. Raises KeyError if it is not here."""
        ...

    async def photo(self, sha256: str) -> bytes:
        """A content-addressed photo. Raises KeyError if it is not here, JournalDamaged if it is another one."""
        ...

    async def segments(self) -> list[SegmentInfo]: ...

    async def checkpoints(self) -> list[tuple[str, int, bytes]]:
        """``(epoch, size, signed note)``: the newest few of each epoch, the smallest first."""
        ...


class Lagging(Protocol):
    """Entries first … first+count-1 that ``sink`` will never be served: room is short, and it lags."""

    @property
    def sink(self) -> str: ...
    @property
    def epoch(self) -> str: ...
    @property
    def first(self) -> int: ...
    @property
    def count(self) -> int: ...
    @property
    def reason(self) -> str: ...
    @property
    def roots(self) -> tuple[str, ...]: ...


class Journal(Reader, Protocol):
    """The one writer's side. All methods are for the event loop; one thread of its own does the disk work."""

    @property
    def epoch(self) -> str: ...

    @property
    def next_seq(self) -> int:
        """The seq of the next entry, counting those handed to ``append`` but not yet durable."""
        ...

    @property
    def committed_seq(self) -> int:
        """Entries below this are durable."""
        ...

    @property
    def segment_entries(self) -> int:
        """Entries a segment holds; the entry whose seq is a multiple of it must be a snapshot."""
        ...

    def known_epochs(self) -> Sequence[EpochInfo]:
        """As ``epochs``, and those of which nothing is here any more: only their roots are kept."""
        ...

    def recover(self) -> Recovery: ...

    async def append(self, entries: Sequence[bytes], texts: Sequence[bytes] = (), *, reserve: bool = False) -> None:
        """Make entries (and before them the texts they name) durable; returns after the fsync.

        ``entries`` continue at ``next_seq`` without holes. ``reserve`` lets violations, commands, ticks and gaps
        use the reserve when the journal is full. Raises JournalFull (nothing was written; call again later) or
        JournalDamaged.
        """
        ...

    async def put_photo(self, data: bytes) -> Photo:
        """Make a photo durable, for an entry to name. Raises PhotoRefused, JournalFull."""
        ...

    def named_photos(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """The key ``photos`` of an entry that names these, which are durable here. Raises PhotoRefused."""
        ...

    async def new_epoch(self, reason: str) -> None:
        """Close this epoch for good and open another; the caller appends its snapshot as seq 0."""
        ...

    def previous(self) -> dict[str, Any] | None:
        """The ``previous`` of this epoch's first snapshot: epoch, size, root (hex or None), reason; None if it has none."""
        ...

    def subscribe(self, told: Callable[[str, int, Sequence[bytes]], None]) -> Callable[[], None]:
        """Call ``told(epoch, first_seq, entries)`` on the loop after each commit; returns the unsubscribe."""
        ...

    def cursor(self, sink: str) -> Position | None: ...

    async def receipts(self, sink: str) -> dict[str, int]:
        """How many entries of each epoch the hub's own words say that it holds; they are kept until it says less."""
        ...

    async def move_cursor(self, sink: str, to: Position, receipt: dict[str, Any] | None = None) -> None:
        """Record how far a sink is served; it rides with the next commit (a lost move only repeats deliveries).

        With ``receipt`` (the hub's own word) it is durable on return. What it covers is *held*; retention waits for
        *witnessed*: ``keep_checkpoint`` of a note that the hub cosigned.
        """
        ...

    @property
    def keep_us(self) -> int:
        """The keep time in force (µs)."""
        ...

    def freed_early(self) -> Sequence[SegmentInfo]:
        """Segments that went for want of room before their keep time was over: journal it, then ``told``."""
        ...

    async def told(self, segments: Sequence[SegmentInfo]) -> None:
        """Entries that say so are durable. A kill before this repeats them."""
        ...

    def remember(self, name: str, value: dict[str, Any]) -> None:
        """Keep something beside the record with the next commit; the newest ``value`` of a ``name`` counts."""
        ...

    def remembered(self, name: str) -> dict[str, Any] | None:
        """What an earlier run left under a name."""
        ...

    def keep_checkpoint(self, epoch: str, size: int, note: bytes) -> None:
        """Keep a signed note with the next commit: one that is lost is signed again."""
        ...

    def skipped_due(self) -> Sequence[Any]:
        """Ranges (``Lagging``) to journal as ``skipped`` entries, from the reserve, before ``free``."""
        ...

    async def free(self, ranges: Sequence[Any]) -> None:
        """After their entries are durable: those sinks' cursors pass the ranges; what nobody needs is unlinked."""
        ...

    def missing(self) -> Sequence[SegmentInfo]:
        """Sealed segments whose file is gone or was moved aside, and that were not given up."""
        ...

    async def set_aside(self, epoch: str, first: int) -> bool:
        """Move a damaged segment's file aside; its root stays. False if it is not here, or was moved before."""
        ...

    async def restore(self, epoch: str, first: int, entries: Sequence[bytes]) -> bool:
        """Make a missing segment's file anew; False (and nothing changes) unless ``entries`` give the root that was kept."""
        ...

    async def give_up(self, epoch: str, first: int) -> None:
        """A missing segment will not come back; its root stays. After its ``skipped`` entry."""
        ...

    async def quarantine_add(self, sink: str, epoch: str, items: Sequence[tuple[int, str, str]]) -> None:
        """Keep refused items ``(seq, line, reason)``; bounded a sink, the oldest give way and are counted."""
        ...

    async def quarantine_list(self, sink: str | None = None) -> list[Quarantined]: ...

    async def quarantine_drop(self, ids: Sequence[int]) -> int: ...

    async def heartbeat(self) -> None:
        """A no-op through the writer thread: returns when it has answered (the watchdog's question)."""
        ...

    def status(self) -> dict[str, Any]:
        """JSON-able: epoch, size, bytes, bytes_per_day, autonomy_hours, full, commits, last_commit_us …"""
        ...

    async def close(self) -> None: ...
