"""Copies segments into a pack byte for byte and looks at every entry once on the way; decides nothing of what belongs in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from edge_gateway.errors import JournalDamaged, JournalError, SegmentDamaged
from edge_gateway.evidence import layout
from edge_gateway.evidence.pieces import Stretch
from edge_gateway.evidence.reach import Reach
from edge_gateway.evidence.stretch import Chunk, entries
from edge_gateway.evidence.zipped import Writer
from edge_gateway.journal.base import EpochInfo
from edge_gateway.journal.reading import Reading
from edge_gateway.journal.segments import MEMBER_ENTRIES, Segment, SegmentFile, build, segment_path
from edge_gateway.record.entry import decode
from edge_gateway.record.merkle import leaf_hash, tree_root
from edge_gateway.record.photo import FOLDER


class Onlooker(Protocol):
    """Hears of every entry that goes into the pack, decoded and in order."""

    def see(self, epoch: str, entry: dict[str, Any]) -> None: ...


@dataclass(slots=True)
class Carried:
    """One epoch as far as it was copied, and how far that reaches in time."""

    info: EpochInfo
    reach: Reach
    stretches: list[Stretch] = field(default_factory=list)


class Held:
    """A segment file's bytes in memory, for ``SegmentFile``."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def exists(self, path: Path) -> bool:
        """It is here."""
        return True

    def size(self, path: Path) -> int:
        """In bytes."""
        return len(self._data)

    def read(self, path: Path, offset: int = 0, size: int = -1) -> bytes:
        """As a file is read."""
        return self._data[offset:] if size < 0 else self._data[offset : offset + size]


class Copying:
    """``damaged``: segments that do not read and stay out; ``missing``: texts and photos that are not here."""

    def __init__(self, state_dir: Path, reading: Reading, writer: Writer, onlooker: Onlooker) -> None:
        self.entries = 0
        self.damaged: list[str] = []
        self.missing: list[str] = []
        self._state_dir = state_dir
        self._reading = reading
        self._writer = writer
        self._see = onlooker.see
        self._texts: set[str] = set()

    def chunk(self, chunk: Chunk, carried: Carried) -> None:
        """One segment, or the tail as a segment of its own. Raises JournalError for one that was freed meanwhile."""
        try:
            data, segment, lines = self._sealed(chunk, chunk.segment) if chunk.segment else self._open(chunk)
        except JournalDamaged as damage:
            self.damaged.append(damage.why)
            return
        except (KeyError, FileNotFoundError):
            if not self._waits(chunk.segment):
                raise JournalError("entries were freed while they were copied", hint="export again") from None
            self.damaged.append(f"segment {chunk.epoch}/{chunk.first}: it was damaged, and moved aside until the hub gives it back")
            return
        for entry in map(decode, lines):
            carried.reach.see(entry)
            self._see(chunk.epoch, entry)
        self._writer.add(layout.segment(chunk.epoch, chunk.first), data)
        self._texts.update(segment.texts)
        carried.stretches.append((chunk.first, chunk.end))
        self.entries += chunk.end - chunk.first

    def _waits(self, gone: Segment | None) -> bool:
        """Whether a segment is not freed though its file is not here."""
        return gone is not None and any((each.epoch, each.first, each.freed) == (gone.epoch, gone.first, False) for each in self._reading.sealed())

    def _sealed(self, chunk: Chunk, sealed: Segment) -> tuple[bytes, Segment, list[bytes]]:
        data = segment_path(self._state_dir, chunk.epoch, chunk.first).read_bytes()
        file = SegmentFile(Held(data), Path(), chunk.epoch, chunk.first, sealed.count)
        lines = list(file.entries())
        if tree_root(map(leaf_hash, lines)).hex() != sealed.root:
            raise SegmentDamaged("its entries do not give its root", epoch=chunk.epoch, first=chunk.first, count=sealed.count)
        return data, file.segment, lines

    def _open(self, chunk: Chunk) -> tuple[bytes, Segment, list[bytes]]:
        lines = list(entries(self._reading, chunk))
        data, segment = build(chunk.epoch, chunk.first, lines, MEMBER_ENTRIES)
        return b"".join(data), segment, lines

    def texts(self) -> None:
        """The texts and photos that the copied entries name."""
        for name in sorted(self._texts):
            photo = name.removeprefix(FOLDER)
            try:
                data = self._reading.text(name) if photo == name else self._reading.photo(photo)
            except (KeyError, JournalDamaged):
                self.missing.append(name)
                continue
            self._writer.add(layout.text(name) if photo == name else layout.photo(photo), data)
