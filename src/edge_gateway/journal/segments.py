"""Sealed segments: entries as a multi-member gzip file with footer and trailer; knows no database and no sink.

The format is docs/reference/journal-format.md section 3. A file's bytes follow from its entries alone, so a
segment that was interrupted anywhere is simply written again.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from edge_gateway.errors import SegmentDamaged
from edge_gateway.journal.base import SegmentInfo
from edge_gateway.journal.files import Files, Readable, write_durably
from edge_gateway.record.entry import FORMAT, MAX_ENTRY_BYTES, has_only_integers
from edge_gateway.record.merkle import leaf_hash, tree_root
from edge_gateway.record.photo import FOLDER, photos_of

#: Entries of a data member: what one look-up inflates.
MEMBER_ENTRIES = 256
ENDING = ".ndjson.gz"
#: What a file that did not read is called from then on.
DAMAGED = ".damaged"
#: The most that a member may inflate to: so many of the largest entries. What is larger was not written by us.
MAX_MEMBER_BYTES, MAX_FOOTER_BYTES = MEMBER_ENTRIES * (MAX_ENTRY_BYTES + 1), 8 << 20
_GZIP = 31  # zlib's wbits for a gzip member with CRC-32 and length
#: Of narrow entries (two points each) level 7 leaves 10 % less than 6 for a tenth more time; 9 doubles the time of wide ones.
_LEVEL = 7


def _member(data: bytes) -> bytes:
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    return packer.compress(data) + packer.flush()


def _trailer(footer_at: int) -> bytes:
    """Built by hand, so that its length is the same with every compression library: one stored block."""
    line = b'{"footer_at":"%012d"}\n' % footer_at
    stored = struct.pack("<BHH", 1, len(line), len(line) ^ 0xFFFF) + line
    return b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff" + stored + struct.pack("<II", zlib.crc32(line), len(line))


_PLACE = re.compile(rb'\{"footer_at":"([0-9]{12})"\}\n')
#: Length of the last member: 52.
TRAILER_BYTES = len(_trailer(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A sealed segment as the tables keep it. ``wall_us`` is the least and greatest wall time of its entries."""

    epoch: str
    first: int
    count: int
    root: str
    size_bytes: int
    wall_us: tuple[int, int]
    texts: tuple[str, ...]
    freed: bool = False
    lost: bool = False  # damaged, and not to be had again
    untold: bool = False  # freed before its time, and no entry says so yet

    @property
    def end(self) -> int:
        return self.first + self.count

    def info(self) -> SegmentInfo:
        return SegmentInfo(
            epoch=self.epoch,
            first=self.first,
            count=self.count,
            root=self.root,
            size_bytes=self.size_bytes,
            freed=self.freed,
            lost=self.lost,
        )


def segment_path(state_dir: Path, epoch: str, first: int) -> Path:
    """Where a segment's file lies."""
    return state_dir / "segments" / epoch / f"{first:012d}{ENDING}"


def texts_named(entry: dict[str, Any]) -> set[str]:
    """What an entry names of files beside it: hashes of texts (snapshots and configurations do), and ``photos/<sha256>``."""
    named = {FOLDER + photo.sha256 for photo in photos_of(entry)}
    kind = entry["kind"]
    if kind == "config":
        _texts_of_config(entry, named)
    elif kind == "snapshot":
        for config in [entry.get("config"), *entry.get("configs", ())]:
            if isinstance(config, dict):
                _texts_of_config(config, named)
        if isinstance(entry.get("state_text"), str):
            named.add(entry["state_text"])
    return named


def _texts_of_config(config: dict[str, Any], named: set[str]) -> None:
    if isinstance(config.get("text"), str):
        named.add(config["text"])
    texts = config.get("texts")
    if isinstance(texts, dict):
        named.update(text for text in texts.values() if isinstance(text, str))


class _Contents:
    """Gathers a footer's facts from entries as they pass."""

    def __init__(self) -> None:
        self.wall_us = [2**63, -(2**63)]
        self.rule_us = [0, 0]
        self.groups: set[str] = set()
        self.texts: set[str] = set()
        self.kinds: Counter[str] = Counter()

    def add(self, entry: dict[str, Any], first: bool) -> None:
        wall_us, rule_us, kind = entry["wall_us"], entry["rule_us"], entry["kind"]
        self.wall_us[0] = min(self.wall_us[0], wall_us)
        self.wall_us[1] = max(self.wall_us[1], wall_us)
        if first:
            self.rule_us[0] = rule_us
        self.rule_us[1] = rule_us
        self.kinds[kind] += 1
        if kind == "batch":
            self.groups.add(entry["group"])
        elif kind != "tick":
            self.texts |= texts_named(entry)


def build(epoch: str, first: int, entries: Iterable[bytes], member_entries: int) -> tuple[list[bytes], Segment]:
    """A segment file's bytes (in chunks) and its record. Entries are parsed once, for the footer's facts."""
    chunks: list[bytes] = []
    members: list[list[int]] = []
    leaves: list[bytes] = []
    contents = _Contents()
    lines: list[bytes] = []
    offset, seq = 0, first

    def flush() -> None:
        nonlocal offset
        members.append([seq - len(lines), offset])
        chunks.append(_member(b"\n".join(lines) + b"\n"))
        offset += len(chunks[-1])
        lines.clear()

    for entry in entries:
        contents.add(orjson.loads(entry), seq == first)
        leaves.append(leaf_hash(entry))
        lines.append(entry)
        seq += 1
        if len(lines) == member_entries:
            flush()
    if lines:
        flush()
    root = tree_root(leaves).hex()
    footer = {
        "v": FORMAT, "footer": True, "epoch": epoch, "first": first, "count": seq - first, "root": root,
        "wall_us": contents.wall_us, "rule_us": contents.rule_us, "groups": sorted(contents.groups),
        "texts": sorted(contents.texts), "kinds": dict(sorted(contents.kinds.items())), "members": members,
    }  # fmt: skip
    chunks += [_member(orjson.dumps(footer) + b"\n"), _trailer(offset)]
    return chunks, _segment(footer, sum(map(len, chunks)))


def _segment(footer: dict[str, Any], size_bytes: int) -> Segment:
    if not isinstance(footer["wall_us"], list) or not isinstance(footer["texts"], list):
        raise TypeError("it does not say when its entries were, or what texts they name")
    least, greatest = footer["wall_us"]
    return Segment(
        epoch=footer["epoch"],
        first=footer["first"],
        count=footer["count"],
        root=footer["root"],
        size_bytes=size_bytes,
        wall_us=(least, greatest),
        texts=tuple(footer["texts"]),
    )


def _sound(footer: dict[str, Any], footer_at: int) -> None:
    """The members that a footer names lie one after the other from the file's beginning to the footer. Raises ValueError, TypeError, KeyError."""
    places = [(seq, offset) for seq, offset in footer["members"]]
    ends = [*places[1:], (footer["first"] + footer["count"], footer_at)]
    if any(type(number) is not int for place in (*places, *ends) for number in place):
        raise TypeError("a place is no number")
    if not places or places[0] != (footer["first"], 0):
        raise ValueError("its first member is not at its beginning")
    if not all(a < c and b < d for (a, b), (c, d) in zip(places, ends, strict=True)):
        raise ValueError("its members are not in order")


def write_segment(
    files: Files, state_dir: Path, epoch: str, first: int, entries: Iterable[bytes], member_entries: int
) -> Segment:
    """Seal entries into a durable file; only after return may they leave the tail. Raises OSError."""
    chunks, segment = build(epoch, first, entries, member_entries)
    path = segment_path(state_dir, epoch, first)
    files.make_folder(path.parent)
    write_durably(files, path, chunks)
    return segment


class SegmentFile:
    """One sealed file for reading. Every byte given out was covered by a member's CRC-32."""

    def __init__(self, files: Readable, state_dir: Path, epoch: str, first: int, count: int = 0) -> None:
        """Reads the footer. Raises FileNotFoundError when the file is gone, SegmentDamaged when it does not read."""
        self._files = files
        self._path = segment_path(state_dir, epoch, first)
        self._epoch, self._first, self._count = epoch, first, count
        size = files.size(self._path)
        if not size and not files.exists(self._path):
            raise FileNotFoundError(self._path)
        try:
            place = _PLACE.fullmatch(self._inflate(size - TRAILER_BYTES, TRAILER_BYTES))
            if place is None:
                raise ValueError("its trailer names no place")
            self._footer_at = int(place[1])
            line = self._inflate(self._footer_at, size - TRAILER_BYTES - self._footer_at, MAX_FOOTER_BYTES)
            footer = orjson.loads(line)
            if line.find(b"\n") != len(line) - 1 or not has_only_integers(footer):
                raise ValueError("it is not one line of integers and texts")
            if (footer["epoch"], footer["first"]) != (epoch, first) or (count and footer["count"] != count):
                raise self._damaged("its footer is another segment's")
            _sound(footer, self._footer_at)
            self.footer: dict[str, Any] = footer
            self.segment = _segment(footer, size)
        except (ValueError, KeyError, TypeError) as wrong:
            raise self._damaged(f"its footer cannot be read ({wrong})") from wrong
        self._count = self.segment.count

    def _damaged(self, why: str) -> SegmentDamaged:
        return SegmentDamaged(why, epoch=self._epoch, first=self._first, count=self._count)

    def _inflate(self, offset: int, size: int, most: int = MAX_MEMBER_BYTES) -> bytes:
        """One member's content. Raises SegmentDamaged unless exactly one whole member of at most ``most`` bytes lies there."""
        if offset < 0 or size <= 0:
            raise self._damaged("it is cut short")
        unpacker = zlib.decompressobj(_GZIP)
        try:
            data = unpacker.decompress(self._files.read(self._path, offset, size), most + 1)
        except zlib.error as wrong:
            raise self._damaged(f"a member at byte {offset} fails its check ({wrong})") from wrong
        except FileNotFoundError:
            raise
        except OSError as wrong:
            raise self._damaged(f"reading at byte {offset} failed ({wrong})") from wrong
        if not unpacker.eof or unpacker.unused_data or len(data) > most:  # of exactly so many bytes zlib may not have met the end
            raise self._damaged(f"a member at byte {offset} is not whole")
        return data

    def member_of(self, seq: int) -> int:
        """Number of the member that holds ``seq``."""
        starts = self.footer["members"]
        low, high = 0, len(starts)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if starts[middle][0] <= seq else (low, middle)
        return low

    def member(self, number: int) -> tuple[int, list[bytes]]:
        """First seq and entries of one member, in order. Raises SegmentDamaged."""
        starts: list[list[int]] = self.footer["members"]
        first, offset = starts[number]
        last = number + 1 == len(starts)
        until = self._footer_at if last else starts[number + 1][1]
        count = (self.segment.end if last else starts[number + 1][0]) - first
        lines = self._inflate(offset, until - offset).split(b"\n")
        if lines.pop() != b"" or len(lines) != count:
            raise self._damaged(f"member {number} holds {len(lines)} entries instead of {count}")
        return first, lines

    def entries(self) -> Iterator[bytes]:
        """All entries, in order. Raises SegmentDamaged."""
        for number in range(len(self.footer["members"])):
            yield from self.member(number)[1]

    def verify(self) -> None:
        """Read everything and compare the root. Raises SegmentDamaged."""
        if tree_root(leaf_hash(entry) for entry in self.entries()).hex() != self.segment.root:
            raise self._damaged("its entries do not give its root")
