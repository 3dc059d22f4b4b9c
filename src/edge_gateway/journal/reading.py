"""Reading a state folder without writing to it, also beside a running gateway; takes no lock, knows no sink.

The store's reader thread uses it, and so does ``export``. Everything is checked as it is read: gzip members by
their CRC-32, open entries by theirs, texts by their name.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any

import apsw
import orjson

from edge_gateway.errors import JournalDamaged, JournalError, JournalTooNew, SegmentDamaged
from edge_gateway.journal.base import EpochInfo, Position, SegmentInfo
from edge_gateway.journal.files import DiskFiles, Files
from edge_gateway.journal.keeping import Keeping
from edge_gateway.journal.photos import Photos
from edge_gateway.journal.renewal import DATABASE
from edge_gateway.journal.segments import Segment, SegmentFile
from edge_gateway.journal.tail import LAYOUT, Epoch, Tail
from edge_gateway.journal.texts import Texts
from edge_gateway.record.entry import decode

#: Inflated members that are kept: one for the reader in order, one for who looks something up.
MEMBERS_KEPT = 2
_TAIL_PART = 256
#: Snapshots that are looked at for a configuration whose own entry does not read.
SNAPSHOTS_TRIED = 8


class Reading:
    """One reader's view; for one thread. Raises JournalError when there is no journal, JournalTooNew."""

    def __init__(self, state_dir: Path, files: Files | None = None, *, configs_kept: int = 8) -> None:
        self._files = files or DiskFiles()
        self._folder = state_dir
        self._texts = Texts(self._files, state_dir)
        self._photos = Photos(self._files, state_dir)
        self._members: OrderedDict[tuple[str, int, int], tuple[int, list[bytes]]] = OrderedDict()
        self._file: SegmentFile | None = None
        self._configs: dict[str, dict[str, Any]] = {}
        self._configs_kept = configs_kept
        self._tail = self._open(state_dir / DATABASE)

    def _open(self, database: Path) -> Tail:
        if not database.exists():
            raise JournalError(f"there is no journal in {self._folder}", hint="name the gateway's state folder")
        immutable = False
        while True:
            try:
                tail = Tail(database, vfs=self._files.vfs, read_only=True, immutable=immutable)
                layout = tail.layout()
                break
            except (apsw.CantOpenError, apsw.ReadOnlyError) as wrong:
                # A cleanly closed journal in a folder that we may not write to: nobody is changing it.
                log = database.with_name(database.name + "-wal")
                if immutable or log.exists():
                    raise JournalError(f"cannot read {database}: {wrong}", hint="check the file's rights") from wrong
                immutable = True
            except apsw.NotADBError as wrong:
                raise JournalDamaged(
                    f"{database} is no database", hint="start the gateway: it moves it aside"
                ) from wrong
        if layout > LAYOUT:
            raise JournalTooNew(f"{self._folder} was written by a newer release", hint="read it with that release")
        if layout == 0:  # a start that was cut off before the tables were made
            tail.close()
            raise JournalError(f"there is no journal in {self._folder} yet", hint="start the gateway: it goes on making it")
        return tail

    def close(self) -> None:
        self._tail.close()

    def copy_database(self, target: Path) -> None:
        """The database as it stands at one moment, as a file of its own. Raises apsw.Error."""
        target.unlink(missing_ok=True)
        with closing(apsw.Connection(str(target))) as copy, copy.backup("main", self._tail.connection, "main") as backup:
            backup.step()

    # --- what is there --------------------------------------------------------------------------------------

    def epochs(self) -> list[EpochInfo]:
        """Epochs with entries still here, oldest first, and the one being written."""
        return [info for info in self.known_epochs() if not info.closed or info.first < info.size]

    def known_epochs(self) -> list[EpochInfo]:
        """As ``epochs``, and those of which only roots are kept."""
        held = self._tail.held()
        end = max((s.end for s in held.segments if s.epoch == held.epochs[-1].epoch), default=0)
        span = self._tail.span()
        return infos(held.epochs, span[1] if span else end, freed=True)

    def root_of(self, epoch: str) -> str | None:
        """The root (hex) that was fixed when ``epoch`` was closed; None while it is open, or if it could not be computed then."""
        return next((each.root for each in self._tail.held().epochs if each.epoch == epoch), None)

    def segments(self) -> list[SegmentInfo]:
        """All sealed segments, freed ones included."""
        return [segment.info() for segment in self._tail.segments()]

    def sealed(self) -> list[Segment]:
        """As ``segments``, with their wall times and texts."""
        return list(self._tail.segments())

    def checkpoints(self) -> list[tuple[str, int, bytes]]:
        """See ``journal.base.Reader.checkpoints``."""
        return self._tail.checkpoints()

    def receipts(self, sink: str) -> dict[str, int]:
        """See ``journal.base.Journal.receipts``. Raises JournalDamaged."""
        return {epoch: size for (whose, epoch), size in self._tail.receipts().items() if whose == sink}

    def kept(self) -> list[Segment]:
        """Sealed segments whose files are here, oldest first."""
        return [segment for segment in self._tail.segments() if not segment.freed]

    def keeping(self) -> Keeping:
        """How long the record stays, and for whom. Raises JournalDamaged."""
        return Keeping.read(self._tail.memory())

    def text(self, sha256: str) -> bytes:
        """A text. Raises KeyError, JournalDamaged."""
        return self._texts.get(sha256)

    def photo(self, sha256: str) -> bytes:
        """A photo. Raises KeyError, JournalDamaged."""
        return self._photos.get(sha256)

    # --- entries --------------------------------------------------------------------------------------------

    def read(self, start: Position, *, max_entries: int, max_bytes: int, end: int | None = None) -> list[bytes]:
        """As ``journal.base.Reader.read``; entries from ``end`` on are left out."""
        found: list[bytes] = []
        size, seq = 0, start.seq
        while len(found) < max_entries and size < max_bytes and (end is None or seq < end):
            most = max_entries - len(found) if end is None else min(max_entries - len(found), end - seq)
            try:
                part = self._part(start.epoch, seq, most)
            except (KeyError, JournalDamaged):
                if found:
                    break  # what reads is given out first
                raise
            if not part:
                break
            for entry in part:
                if found and size + len(entry) > max_bytes:
                    return found
                found.append(entry)
                size += len(entry)
            seq += len(part)
        return found

    def _part(self, epoch: str, seq: int, most: int) -> list[bytes]:
        """Some consecutive entries from one place: a sealed member, or the tail."""
        connection = self._tail.connection
        connection.execute("BEGIN")  # one view: what is not yet in a segment is still in the tail
        try:
            segment = self._tail.segment_with(epoch, seq)
            if segment is None:
                newest = connection.execute("SELECT epoch FROM epochs ORDER BY number DESC LIMIT 1").fetchone()
                if newest is None or newest[0] != epoch:
                    if connection.execute("SELECT 1 FROM epochs WHERE epoch = ?", (epoch,)).fetchone() is None:
                        raise KeyError(epoch)
                    return []
                return list(self._tail.entries(seq, seq + min(most, _TAIL_PART)))
        finally:
            connection.execute("COMMIT")
        if segment.freed:
            raise KeyError(f"{epoch}/{seq}")
        if segment.lost:
            raise SegmentDamaged("it was damaged and is gone for good", epoch=epoch, first=segment.first, count=segment.count)
        try:
            first, lines = self._member(epoch, segment.first, segment.count, seq)
        except FileNotFoundError:
            again = self._tail.segment_with(epoch, seq)
            if again is not None and again.freed:
                raise KeyError(f"{epoch}/{seq}") from None
            raise SegmentDamaged("its file is missing", epoch=epoch, first=segment.first, count=segment.count) from None
        return lines[seq - first : seq - first + most]

    def _member(self, epoch: str, first: int, count: int, seq: int) -> tuple[int, list[bytes]]:
        file = self._file
        if file is None or (file.segment.epoch, file.segment.first) != (epoch, first):
            file = self._file = SegmentFile(self._files, self._folder, epoch, first, count)
        number = file.member_of(seq)
        key = (epoch, first, number)
        found = self._members.get(key)
        if found is None:
            found = self._members[key] = file.member(number)
            if len(self._members) > MEMBERS_KEPT:
                self._members.popitem(last=False)
        else:
            self._members.move_to_end(key)
        return found

    def config(self, epoch: str, config_seq: int) -> dict[str, Any]:
        """As ``journal.base.Reader.config``: from the entry itself or, where that was freed, from a snapshot."""
        for entry in self._entries_about(epoch, config_seq):
            named = entry if entry["kind"] == "config" else _config_of(entry, config_seq)
            if named is not None:
                return self._parsed(named["text"])
        raise KeyError(f"{epoch}/{config_seq}")

    def _entries_about(self, epoch: str, config_seq: int) -> Iterator[dict[str, Any]]:
        """The entry with that number, the snapshot that this epoch begins with here, those of the next segments."""
        first = next((info.first for info in self.epochs() if info.epoch == epoch), None)
        if first is None:
            return
        for seq in chain((config_seq, first), self._openings(epoch, max(config_seq, first))):
            if seq >= first:
                try:
                    found = self.read(Position(epoch, seq), max_entries=1, max_bytes=1)
                except SegmentDamaged:
                    continue  # what it says stands in the next snapshot too
                if found and (entry := decode(found[0]))["kind"] in ("config", "snapshot"):
                    yield entry

    def _openings(self, epoch: str, after: int) -> Iterator[int]:
        """Where the next few segments behind ``after`` begin: looked up only when they are needed."""
        ends = [segment.end for segment in self._tail.segments() if segment.epoch == epoch and segment.end > after]
        yield from sorted(ends)[:SNAPSHOTS_TRIED]

    def _parsed(self, sha256: str) -> dict[str, Any]:
        if sha256 not in self._configs:
            if len(self._configs) >= self._configs_kept:
                self._configs.clear()
            config: dict[str, Any] = orjson.loads(self.text(sha256))
            if not self._configs_kept:
                return config
            self._configs[sha256] = config
        return self._configs[sha256]

    def entries(
        self, from_us: int | None = None, to_us: int | None = None, groups: set[str] | None = None
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """``(epoch, decoded entry)`` in order, with wall times ``from_us`` ≤ t < ``to_us``; batches of ``groups`` only.

        Segments that cannot hold any are not opened. Raises SegmentDamaged where it comes to a damaged one.
        """
        low, high = from_us if from_us is not None else -(2**62), to_us if to_us is not None else 2**62
        for info in self.epochs():
            seq = info.first
            while seq < info.size:
                segment = self._tail.segment_with(info.epoch, seq)
                if segment is not None and (segment.wall_us[1] < low or segment.wall_us[0] >= high):
                    seq = segment.end
                    continue
                found = self.read(Position(info.epoch, seq), max_entries=_TAIL_PART, max_bytes=4 << 20, end=info.size)
                if not found:
                    break
                seq += len(found)
                for data in found:
                    entry = decode(data)
                    wanted = groups is None or entry["kind"] != "batch" or entry["group"] in groups
                    if wanted and low <= entry["wall_us"] < high:
                        yield info.epoch, entry


def _config_of(snapshot: dict[str, Any], config_seq: int) -> dict[str, Any] | None:
    for config in (snapshot.get("config"), *snapshot.get("configs", ())):
        if isinstance(config, dict) and config.get("config_seq") == config_seq:
            return config
    return None


def infos(epochs: list[Epoch], size: int, *, freed: bool = False) -> list[EpochInfo]:
    """Rows as ``EpochInfo``; ``size`` is the open epoch's. Closed ones with nothing left are left out unless ``freed``."""
    return [
        EpochInfo(
            epoch=epoch.epoch, first=epoch.first, size=size if epoch.size is None else epoch.size, closed=epoch.closed,
            reason=epoch.reason, wall_us=epoch.wall_us,
        )
        for epoch in epochs
        if freed or not epoch.closed or epoch.first < (epoch.size or 0)
    ]  # fmt: skip
