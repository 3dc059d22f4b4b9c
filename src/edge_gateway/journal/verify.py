"""Checks a record at rest: each entry, each segment's root, each epoch's tree, and whether it holds a checkpoint's tree; changes nothing.

Nothing is believed that can be computed. What a record says of itself proves only that it is whole: whoever can write
the folder can write all of it anew. A checkpoint from elsewhere, signed by a key from elsewhere, is what decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from edge_gateway.errors import JournalDamaged, SegmentDamaged
from edge_gateway.journal.base import EpochInfo, Position, SegmentInfo
from edge_gateway.journal.files import DiskFiles
from edge_gateway.journal.opening import joined
from edge_gateway.journal.reading import Reading
from edge_gateway.journal.segments import SegmentFile
from edge_gateway.record.checkpoint import Checkpoint
from edge_gateway.record.entry import decode
from edge_gateway.record.merkle import Frontier, leaf_hash

_PART_ENTRIES, _PART_BYTES = 1024, 4 << 20


class Broken(Exception):
    """The record is not what it says it is: entries ``first`` … ``last`` of ``epoch``, and why."""

    def __init__(self, epoch: str, first: int, last: int, why: str) -> None:
        super().__init__(why)
        self.epoch, self.first, self.last, self.why = epoch, first, last, why


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """An epoch that was checked. ``root`` (hex) is its tree's; ``checked`` entries were read, ``kept`` are known by their segments' roots only."""

    epoch: str
    size: int
    root: str
    checked: int
    kept: int


@dataclass(slots=True, kw_only=True)
class Findings:
    """What was found, epoch by epoch, oldest first. ``roots``: hex root at the size that was asked for, by epoch."""

    epochs: list[Epoch] = field(default_factory=list)
    broken: Broken | None = None
    roots: dict[str, str] = field(default_factory=dict)


def check(state_dir: Path, asked: Checkpoint | None = None, *, told: Callable[[Epoch], None] = lambda _: None) -> Findings:
    """Read everything that is here. ``asked``: also compute the root at that checkpoint's size, for its epoch.

    Stops at the first fault. Raises JournalError (no journal there), JournalTooNew.
    """
    found = Findings()
    reading = Reading(state_dir)
    try:
        by_epoch: dict[str, list[SegmentInfo]] = {}
        for segment in reading.segments():
            by_epoch.setdefault(segment.epoch, []).append(segment)
        for info in reading.known_epochs():
            size = asked.size if asked is not None and asked.origin.rpartition("/")[2] == info.epoch else None
            tree = _Tree(info.epoch, size)
            _segments(state_dir, info, by_epoch.get(info.epoch, []), tree)
            if not info.closed:
                _tail(reading, info, tree)
            _closed(reading, info, tree)
            epoch = Epoch(
                epoch=info.epoch, size=tree.size, root=tree.root().hex(), checked=tree.checked, kept=tree.size - tree.checked
            )
            found.epochs.append(epoch)
            if tree.at is not None:
                found.roots[info.epoch] = tree.at.hex()
            told(epoch)
    except Broken as broken:
        found.broken = broken
    finally:
        reading.close()
    return found


class _Tree:
    """An epoch's tree as it is read; ``at`` is its root at ``asked`` entries once they have passed."""

    def __init__(self, epoch: str, asked: int | None) -> None:
        self.epoch = epoch
        self.checked = 0
        self.at: bytes | None = None
        self._asked = asked
        self._whole = Frontier()
        self._part = Frontier()  # the segment or tail under way
        self._look()

    @property
    def size(self) -> int:
        return self._whole.size + self._part.size

    def root(self) -> bytes:
        return joined(self._whole, self._part.root()) if self._part.size else self._whole.root()

    def add(self, entry: bytes) -> None:
        """One entry, read. Raises Broken for one that is none, or another one."""
        seq = self.size
        try:
            told = decode(entry)
            right = told["seq"] == seq
        except (ValueError, KeyError, TypeError) as error:
            raise Broken(self.epoch, seq, seq, f"it is no entry: {error}") from error
        if not right:
            raise Broken(self.epoch, seq, seq, f"entry {told['seq']} stands in its place")
        self._part.append(leaf_hash(entry))
        self.checked += 1
        self._look()

    def seal(self) -> str:
        """The segment under way is complete: its root (hex). A short one closes the epoch: it stays the tree's right edge."""
        root, count = self._part.root(), self._part.size
        if count & (count - 1) == 0:
            self._part = Frontier()
            self._whole.append_subtree(root, count)
        return root.hex()

    def keep(self, root: str, count: int) -> None:
        """A segment that is gone: its root was kept."""
        self._whole.append_subtree(bytes.fromhex(root), count)
        self._look()

    def _look(self) -> None:
        if self.size == self._asked:
            self.at = self.root()


def _segments(state_dir: Path, info: EpochInfo, segments: list[SegmentInfo], tree: _Tree) -> None:
    files = DiskFiles()
    for segment in segments:
        last = segment.first + segment.count - 1
        if segment.first != tree.size:
            raise Broken(info.epoch, tree.size, segment.first - 1, "a segment is missing")
        if segment.freed:
            tree.keep(segment.root, segment.count)
            continue
        try:
            file = SegmentFile(files, state_dir, info.epoch, segment.first, segment.count)
            for entry in file.entries():
                tree.add(entry)
        except FileNotFoundError:
            raise Broken(info.epoch, segment.first, last, "its segment's file is missing") from None
        except SegmentDamaged as damage:
            raise Broken(info.epoch, tree.size, last, damage.why) from damage
        if tree.seal() != segment.root:
            raise Broken(info.epoch, segment.first, last, "its entries do not give the root that was kept of their segment")


def _tail(reading: Reading, info: EpochInfo, tree: _Tree) -> None:
    try:
        for entry in _entries(reading, info, tree):
            tree.add(entry)
    except JournalDamaged as damage:
        raise Broken(info.epoch, tree.size, info.size - 1, damage.why) from damage
    if tree.size != info.size:
        raise Broken(info.epoch, tree.size, info.size - 1, "the open entries end before their end")


def _entries(reading: Reading, info: EpochInfo, tree: _Tree) -> Iterator[bytes]:
    while tree.size < info.size:
        part = reading.read(Position(info.epoch, tree.size), max_entries=_PART_ENTRIES, max_bytes=_PART_BYTES, end=info.size)
        if not part:
            return
        yield from part


def _closed(reading: Reading, info: EpochInfo, tree: _Tree) -> None:
    """A closed epoch's size and root were fixed when it was closed."""
    if not info.closed:
        return
    if tree.size != info.size:
        raise Broken(info.epoch, tree.size, info.size - 1, "the epoch was closed with more entries")
    kept = reading.root_of(info.epoch)
    if kept is not None and kept != tree.root().hex():
        raise Broken(info.epoch, 0, info.size - 1, "the epoch's entries do not give the root that was kept of it")
