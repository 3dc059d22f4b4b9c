"""Checks a record at rest: each entry, each segment's root, each epoch's tree, and whether it holds a checkpoint's tree; changes nothing.

Nothing is believed that can be computed. What a record says of itself proves only that it is whole: whoever can write
the folder can write all of it anew. A checkpoint from elsewhere, signed by a key from elsewhere, is what decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edge_gateway.errors import JournalDamaged, SegmentDamaged
from edge_gateway.journal.base import EpochInfo, Position, SegmentInfo
from edge_gateway.journal.files import DiskFiles
from edge_gateway.journal.reading import Reading
from edge_gateway.journal.segments import SegmentFile
from edge_gateway.record.walk import Broken, Walk

_PART_ENTRIES, _PART_BYTES = 1024, 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """An epoch that was checked. ``root`` (hex) is its tree's; ``checked`` entries were read, ``kept`` are known by their segments' roots only.

    ``roots``: the tree's root at the sizes that were asked for, where it can be known.
    """

    epoch: str
    size: int
    root: str
    checked: int
    kept: int
    roots: Mapping[int, bytes] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Findings:
    """What was found, epoch by epoch, oldest first, up to the first fault."""

    epochs: list[Epoch] = field(default_factory=list)
    broken: Broken | None = None


def check(state_dir: Path, asked: Mapping[str, Iterable[int]] | None = None) -> Findings:
    """Read everything that is here. ``asked``: sizes, by epoch, at which the root is wanted too.

    Stops at the first fault. Raises JournalError (no journal there), JournalTooNew.
    """
    found = Findings()
    reading = Reading(state_dir)
    try:
        by_epoch: dict[str, list[SegmentInfo]] = {}
        for segment in reading.segments():
            by_epoch.setdefault(segment.epoch, []).append(segment)
        known = reading.known_epochs()
        for info in known:
            if info is known[0] and not by_epoch.get(info.epoch) and _elsewhere(known):
                continue
            tree = Walk(info.epoch, (asked or {}).get(info.epoch, ()))
            _segments(state_dir, info, by_epoch.get(info.epoch, []), tree)
            if info.closed:
                _closed(reading, info, tree)
            else:
                _tail(reading, info, tree)
            found.epochs.append(
                Epoch(
                    epoch=info.epoch, size=tree.size, root=tree.root().hex(), checked=tree.checked,
                    kept=tree.size - tree.checked, roots=tree.roots,
                )
            )  # fmt: skip
    except Broken as broken:
        found.broken = broken
    finally:
        reading.close()
    return found


def _elsewhere(known: list[EpochInfo]) -> bool:
    """Whether the first epoch was another machine's, and only its last checkpoint came here: the second one's first entry names it."""
    return len(known) > 1 and known[0].first == known[0].size and known[1].reason == "replacement"


def _segments(state_dir: Path, info: EpochInfo, segments: list[SegmentInfo], tree: Walk) -> None:
    files = DiskFiles()
    for segment in segments:
        last = segment.first + segment.count - 1
        if segment.first != tree.size:
            raise Broken(info.epoch, tree.size, segment.first - 1, "a segment is missing", "missing")
        if segment.freed or segment.lost:  # lost: damaged, and declared so in the record
            tree.keep(segment.root, segment.count)
            continue
        try:
            file = SegmentFile(files, state_dir, info.epoch, segment.first, segment.count)
            for entry in file.entries():
                tree.add(entry)
        except FileNotFoundError:
            raise Broken(info.epoch, segment.first, last, "its segment's file is missing", "missing") from None
        except SegmentDamaged as damage:
            raise Broken(info.epoch, tree.size, last, damage.why, "segment") from damage
        if tree.seal() != segment.root:
            raise Broken(info.epoch, segment.first, last, "its entries do not give the root that was kept of their segment", "segment-root")


def _tail(reading: Reading, info: EpochInfo, tree: Walk) -> None:
    try:
        for entry in _entries(reading, info, tree):
            tree.add(entry)
    except JournalDamaged as damage:
        raise Broken(info.epoch, tree.size, info.size - 1, damage.why, "tail") from damage
    if tree.size != info.size:
        raise Broken(info.epoch, tree.size, info.size - 1, "the open entries end before their end", "tail")


def _entries(reading: Reading, info: EpochInfo, tree: Walk) -> Iterator[bytes]:
    while tree.size < info.size:
        part = reading.read(Position(info.epoch, tree.size), max_entries=_PART_ENTRIES, max_bytes=_PART_BYTES, end=info.size)
        if not part:
            return
        yield from part


def _closed(reading: Reading, info: EpochInfo, tree: Walk) -> None:
    """A closed epoch's size and root were fixed when it was closed."""
    if tree.size != info.size:
        raise Broken(info.epoch, tree.size, info.size - 1, "the epoch was closed with more entries", "closed")
    kept = reading.root_of(info.epoch)
    if kept is not None and kept != tree.root().hex():
        raise Broken(info.epoch, 0, info.size - 1, "the epoch's entries do not give the root that was kept of it", "closed")
