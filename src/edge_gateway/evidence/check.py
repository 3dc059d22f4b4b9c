"""Checks an evidence pack as docs/reference/journal-format.md section 8 says, whoever made it; believes nothing in it, and takes no more memory than one of its members.

The other half of that section, for a state folder, is ``journal.verify``; what signatures are worth is judged by ``judge`` for both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

from edge_gateway.errors import SegmentDamaged
from edge_gateway.evidence import judge, keys, layout
from edge_gateway.evidence.judge import Asked, Reasons, Tested, Through, Trusted, Verdict
from edge_gateway.evidence.manifest import MAX_MANIFEST_BYTES, Claim, Given, Manifest, NewerFormat, Part
from edge_gateway.evidence.reach import Reach
from edge_gateway.evidence.zipped import Malformed, Zip
from edge_gateway.journal.segments import SegmentFile
from edge_gateway.journal.verify import Epoch
from edge_gateway.record.walk import Broken, Walk

#: A segment has no more entries than this, and its file no more bytes.
MAX_SEGMENT_ENTRIES, MAX_SEGMENT_BYTES = 4096, 1 << 30


@dataclass(slots=True)
class Walked:
    """An epoch as it was walked: ``checked`` entries were read; ``opening`` is its entry 0 if that is here."""

    part: Part
    walk: Walk
    reach: Reach
    opening: Mapping[str, Any] | None = None
    #: Entries that are not here: before the first that is, between, and behind the last.
    before: int = 0
    between: int = 0
    behind: int = 0

    @property
    def end(self) -> int:
        """Behind the last entry that is here."""
        return self.walk.size - self.behind if self.walk.checked else 0

    def seen(self) -> Epoch:
        """As people are told of it."""
        root, size = self.walk.root().hex() if self.walk.known else "", self.walk.size
        return Epoch(epoch=self.part.epoch, size=size, root=root, checked=self.walk.checked, kept=size - self.walk.checked)


def check(file: BinaryIO, asked: Asked) -> Verdict:
    """The verdict on a pack. Raises NoteError for a key that is none, OSError; for nothing that the file says."""
    verdict, reasons = Verdict(), Reasons()
    try:
        pack = Zip(file)
        manifest = verdict.manifest = Manifest.parse(_member(pack, layout.MANIFEST, MAX_MANIFEST_BYTES))
        _judge(_Contents(pack, manifest), manifest, verdict, _trusted(pack, asked, reasons), asked, reasons)
    except NewerFormat as newer:
        reasons.append(("newer-format", {"format": str(newer)}))
    except Malformed as wrong:
        reasons.append(("malformed", {"why": str(wrong)}))
    except Broken as broken:
        return verdict.ended(broken)
    return verdict.concluded(reasons)


def _trusted(pack: Zip, asked: Asked, reasons: Reasons) -> Trusted:
    named = keys.parse(pack.read(layout.KEYS, layout.MAX_KEYS_BYTES)) if layout.KEYS in pack.members else []
    return judge.trusted(asked, named, reasons)


def _judge(contents: _Contents, manifest: Manifest, verdict: Verdict, known: Trusted, asked: Asked, reasons: Reasons) -> None:
    contents.files()
    tests, fits, walked = {}, {}, []
    elsewhere = (judge.epoch_of(asked.against), judge.size_of(asked.against)) if asked.against else ("", 0)
    for part in manifest.epochs:
        notes = contents.notes(part.epoch)
        stops = {size for size, _ in notes} | {part.size} | ({elsewhere[1]} if elsewhere[0] == part.epoch else set())
        epoch = Walked(part, Walk(part.epoch, stops), Reach(stops))
        contents.walk(epoch)
        walked.append(epoch)
        verdict.epochs.append(epoch.seen())
        tests[part.epoch] = Tested(part.epoch, part.size, epoch.walk.roots, notes, not epoch.walk.known)
        fits[part.epoch] = judge.fitting(tests[part.epoch], known, reasons)
    if asked.against and (why := judge.against(asked.against, tests, fits, known, whole=False)):
        reasons.append(why)
    verdict.throughs = [judge.through(tests[each], fits[each], known) for each in tests]
    reasons += [(each.code, {"epoch": each.epoch, "names": each.names}) for each in verdict.throughs if each.code]
    _tied(walked, verdict.throughs, reasons)
    if manifest.claim is not None and walked:
        _claimed(manifest.claim, walked, verdict.throughs, reasons)
    if not walked:
        reasons.append(("unsigned", {"epoch": "", "names": ()}))


class _Contents:
    """A pack's members, read as they are needed. Raises Malformed for names that are none."""

    def __init__(self, pack: Zip, manifest: Manifest) -> None:
        self._pack = pack
        self._segments: dict[str, list[int]] = {}
        self._notes: dict[str, list[int]] = {}
        self._files: list[tuple[str, str]] = []  # texts and photos
        listed = {part.epoch for part in manifest.epochs}
        for name in pack.members:
            try:
                found = layout.parsed(name)
            except ValueError as wrong:
                raise Malformed(str(wrong)) from wrong
            if found is None:
                continue
            kind, key, number = found
            if kind in ("text", "photo"):
                self._files.append((kind, key))
            elif key not in listed:
                raise Malformed(f"{name} is of an epoch that the manifest does not list")
            else:
                (self._segments if kind == "segment" else self._notes).setdefault(key, []).append(number)

    def files(self) -> None:
        """Each text, then each photo, is what its name says. Raises Broken."""
        for kind, name in sorted(self._files, key=lambda file: file[0] != "text"):
            member = layout.text(name) if kind == "text" else layout.photo(name)
            if sha256(self._pack.read(member, layout.MAX_TEXT_BYTES)).hexdigest() != name:
                raise Broken("", 0, 0, f"{kind} {name} is not what its name says", kind)

    def notes(self, epoch: str) -> list[tuple[int, bytes]]:
        """Its checkpoints, the smallest first."""
        sizes = sorted(self._notes.get(epoch, []))
        return [(size, self._pack.read(layout.checkpoint(epoch, size), layout.MAX_NOTE_BYTES)) for size in sizes]

    def walk(self, epoch: Walked) -> None:
        """All pieces from left to right. Raises Broken, Malformed."""
        part, walk = epoch.part, epoch.walk
        pieces: list[tuple[int, Given | None]] = [(each.first, each) for each in part.given]
        pieces += [(first, None) for first in self._segments.get(part.epoch, [])]
        pieces.sort(key=lambda piece: piece[0])
        waiting = 0  # entries that are not here, since the last that is
        for number, (first, piece) in enumerate(pieces):
            if first > walk.size:
                raise Broken(part.epoch, walk.size, first - 1, "entries are missing", "missing")
            if first < walk.size:
                raise Malformed(f"pieces of epoch {part.epoch} overlap at {first}")
            if piece is None:
                if walk.checked:
                    epoch.between += waiting
                else:
                    epoch.before = waiting
                waiting = 0
                self._segment(epoch, first, last=number + 1 == len(pieces))
            elif piece.root is None:
                walk.lose(piece.count)
                waiting += piece.count
            else:
                walk.keep(piece.root.hex(), piece.count)
                waiting += piece.count
        epoch.behind = waiting
        if walk.size > part.size:
            raise Malformed(f"epoch {part.epoch} has more entries than its size")
        if walk.size < part.size:
            raise Broken(part.epoch, walk.size, part.size - 1, "entries are missing", "missing")

    def _segment(self, epoch: Walked, first: int, *, last: bool) -> None:
        name, walk = epoch.part.epoch, epoch.walk
        try:
            file = SegmentFile(_InZip(self._pack, layout.segment(name, first)), Path(), name, first)
            count = file.segment.count
            if not 0 < count <= MAX_SEGMENT_ENTRIES or type(count) is not int:
                raise SegmentDamaged(f"it claims {count} entries", epoch=name, first=first, count=0)
            width = 1 << (count - 1).bit_length()
            if first % width or (count != width and not last):
                raise Malformed(f"segment {name}/{first} has {count} entries: it is no part of a tree there")
            for line in file.entries():
                entry = walk.add(line)
                epoch.reach.see(entry)
                if walk.size == 1:
                    epoch.opening = entry
        except SegmentDamaged as damage:
            raise Broken(name, first, first, damage.why, "segment") from damage
        if walk.seal() != file.segment.root:
            raise Broken(name, first, first + count - 1, "its entries do not give the root that its footer says", "segment-root")


class _InZip:
    """A segment's member as ``SegmentFile`` reads a file."""

    def __init__(self, pack: Zip, name: str) -> None:
        self._pack, self._name = pack, name

    def exists(self, path: Path) -> bool:
        return True

    def size(self, path: Path) -> int:
        return min(self._pack.members[self._name].size, MAX_SEGMENT_BYTES)

    def read(self, path: Path, offset: int = 0, size: int = -1) -> bytes:
        return self._pack.read_part(self._name, offset, self.size(path) if size < 0 else size)


def _member(pack: Zip, name: str, most: int) -> bytes:
    if name not in pack.members:
        raise Malformed(f"there is no {name}")
    return pack.read(name, most)


def _tied(epochs: Sequence[Walked], throughs: Sequence[Through], reasons: Reasons) -> None:
    """Each epoch names the one before it, which is vouched for that far. Raises Broken."""
    for before, reached, after in zip(epochs, throughs, epochs[1:], strict=False):
        previous = _previous(after.opening)
        size, root = previous.get("size"), previous.get("root")
        if previous.get("epoch") != before.part.epoch or type(size) is not int or size > reached.size:
            reasons.append(("untied", {"epoch": after.part.epoch, "before": before.part.epoch}))
            continue
        known = before.walk.roots.get(size)
        if isinstance(root, str) and known is not None and known.hex() != root:
            raise Broken(after.part.epoch, 0, 0, f"it names another end of epoch {before.part.epoch}", "tie")


def _previous(opening: Mapping[str, Any] | None) -> Mapping[str, Any]:
    previous = opening.get("previous") if opening else None
    return previous if isinstance(previous, Mapping) else {}


def _claimed(claim: Claim, epochs: Sequence[Walked], throughs: Sequence[Through], reasons: Reasons) -> None:
    """The pack is complete for the period that it claims, as far as entries that are vouched for say."""
    first, last, reached = epochs[0], epochs[-1], throughs[-1]
    seams = sum(a.behind + b.before for a, b in pairwise(epochs))
    if missing := seams + sum(each.between for each in epochs):
        reasons.append(("hole", {"entries": missing}))
    for each, through in zip(epochs[:-1], throughs, strict=False):
        if each.end > through.size:
            reasons.append(("beyond-through", {"epoch": each.part.epoch, "through": through.size}))
    begin_us = first.reach.begin_us(throughs[0].size)
    if begin_us is None or claim.from_us < begin_us:
        reasons.append(("begins-later", {"from_us": claim.from_us, "begin_us": begin_us}))
    if reached.code:
        return
    bounds = [-(2**62) if (end_us := last.reach.end_us(reached.size)) is None else end_us]
    if reached.time_s is not None:
        bounds.append(reached.time_s * 1_000_000)
    if claim.to_us > min(bounds):
        reasons.append(("beyond-witness", {"to_us": claim.to_us, "through_us": min(bounds)}))
