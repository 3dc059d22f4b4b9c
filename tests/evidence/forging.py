"""Packs built straight from entries, honest or not: a forger has all of our code, and whatever keys a case gives him."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

from edge_gateway.evidence import keys, layout, pieces
from edge_gateway.evidence.manifest import Claim, Given, Manifest, Part
from edge_gateway.evidence.zipped import Writer
from edge_gateway.journal.segments import build
from edge_gateway.record.merkle import leaf_hash, tree_root
from edge_gateway.record.note import Key
from tests.evidence.record import CONFIG, GATEWAY, HUB, LOG, Party, note


@dataclass(frozen=True)
class Sheet:
    """One epoch as a forger writes it down. ``carried``: first and end of the entries that go in, whole segments."""

    epoch: str
    entries: tuple[bytes, ...]
    carried: tuple[int, int]
    notes: tuple[tuple[int, bytes], ...] = ()
    segment: int = 8
    #: Changes a segment file's bytes; called with its first seq.
    bend: Callable[[int, bytes], bytes] | None = None
    #: Segments (by first seq) that are left out of the zip: as a hole, or hidden behind their roots.
    dropped: frozenset[int] = frozenset()
    hidden: frozenset[int] = frozenset()
    #: Other leaves than those of ``entries``, for the roots of what is not carried: a forger knows the true ones.
    leaves: tuple[bytes, ...] | None = None
    size: int | None = None

    def segments(self) -> list[tuple[int, int]]:
        first, end = self.carried
        return [(at, min(at + self.segment, end)) for at in range(first, end, self.segment)]


#: In every pack, whether an entry names it or not.
PHOTO = b"\xff\xd8\xff\xe1" + bytes(range(256)) * 20


@dataclass(frozen=True)
class Plan:
    """A pack to build."""

    sheets: tuple[Sheet, ...]
    claim: Claim | None
    keys: tuple[Key, ...] = (GATEWAY.key, HUB.key)
    texts: tuple[tuple[str, bytes], ...] = ((sha256(CONFIG).hexdigest(), CONFIG),)
    photos: tuple[tuple[str, bytes], ...] = ((sha256(PHOTO).hexdigest(), PHOTO),)
    extra: tuple[tuple[str, bytes], ...] = ()
    about: dict[str, Any] = field(default_factory=lambda: {"site": {"timezone": "Asia/Shanghai"}, "made_us": 0, "software": "0"})

    def sheet(self, number: int, **changes: Any) -> Plan:
        """With one epoch changed."""
        sheets = list(self.sheets)
        sheets[number] = replace(sheets[number], **changes)
        return replace(self, sheets=tuple(sheets))


def sealed(sheet: Sheet, first: int, end: int) -> bytes:
    """One segment file, its footer and roots made to agree."""
    return b"".join(build(sheet.epoch, first, sheet.entries[first:end], 4)[0])


def part(sheet: Sheet) -> Part:
    """The manifest's part, its given roots computed over the sheet's leaves."""
    leaves = sheet.leaves or tuple(map(leaf_hash, sheet.entries))
    size = len(sheet.entries) if sheet.size is None else sheet.size
    here = [each for each in sheet.segments() if each[0] not in sheet.hidden]
    stops = [each for each, _ in sheet.notes if each <= size]

    def root(first: int, count: int) -> bytes:
        return tree_root(leaves[first : first + count])

    given: tuple[Given, ...] = pieces.given(here, size, stops, root)
    return Part(sheet.epoch, size, given)


def packed(plan: Plan) -> bytes:
    """The zip."""
    file = io.BytesIO()
    writer = Writer(file, 0)
    for sheet in plan.sheets:
        for first, end in sheet.segments():
            if first in sheet.dropped or first in sheet.hidden:
                continue
            data = sealed(sheet, first, end)
            writer.add(layout.segment(sheet.epoch, first), sheet.bend(first, data) if sheet.bend else data)
        for size, data in sheet.notes:
            writer.add(layout.checkpoint(sheet.epoch, size), data)
    for name, text in plan.texts:
        writer.add(layout.text(name), text)
    for name, photo in plan.photos:
        writer.add(layout.photo(name), photo)
    writer.add(layout.KEYS, keys.dump(plan.keys))
    for name, data in plan.extra:
        writer.add(name, data)
    manifest = Manifest("tlf-007", LOG, plan.claim, tuple(map(part, plan.sheets)), plan.about)
    writer.add(layout.MANIFEST, bytes(manifest))
    writer.close()
    return file.getvalue()


def signed(epoch: str, entries: Sequence[bytes], notes: Sequence[tuple[int, int | None]], gateway: Party = GATEWAY, hub: Party = HUB) -> tuple[tuple[int, bytes], ...]:
    """Checkpoints ``(size, cosigned at or None)`` over these entries."""
    return tuple((size, note(epoch, entries, size, time_s, gateway=gateway, hub=hub)) for size, time_s in notes)
