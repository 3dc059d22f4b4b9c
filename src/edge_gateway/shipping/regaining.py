"""Cosigned checkpoints that are gone here, had back from the hub that gave them; believes none that our own entries do not give.

They were lost with a damaged database. Evidence packs, a new epoch's first entry and retention rest on them.
"""

from __future__ import annotations

from edge_gateway.errors import JournalDamaged
from edge_gateway.journal.base import EpochInfo, Journal, Position
from edge_gateway.record.checkpoint import Checkpoint
from edge_gateway.record.merkle import Frontier, leaf_hash
from edge_gateway.record.note import Note
from edge_gateway.sinks.base import HubLink

_ENTRIES, _BYTES = 1_024, 4 << 20


async def lacking(hub: HubLink, journal: Journal, witnessed: dict[str, int]) -> bool:
    """Whether the hub cosigned (``witnessed``: epoch -> size) beyond every cosigned checkpoint that is kept of an epoch here."""
    kept: dict[str, int] = {}
    for epoch, size, note in await _kept(journal):
        if hub.witnessed(epoch, note):
            kept[epoch] = max(size, kept.get(epoch, 0))
    sizes = {info.epoch: info.size for info in journal.known_epochs()}
    return any(kept.get(epoch, 0) < size <= sizes.get(epoch, 0) for epoch, size in witnessed.items())


async def regain(hub: HubLink, journal: Journal) -> list[str]:
    """Keep what the hub gives back and our own entries give too; of which epochs. Raises Unreachable, NotAuthorised."""
    known = {info.epoch: info for info in journal.known_epochs()}
    kept = {(epoch, size) for epoch, size, note in await _kept(journal) if hub.witnessed(epoch, note)}
    found = []
    for epoch, size, note in await hub.notes():
        info = known.get(epoch)
        if info is None or (epoch, size) in kept:
            continue
        if await root_at(journal, info, size) == Checkpoint.parse(Note.parse(note).text).root:
            journal.keep_checkpoint(epoch, size, note)
            found.append(epoch)
    return found


async def _kept(journal: Journal) -> list[tuple[str, int, bytes]]:
    try:
        return await journal.checkpoints()
    except JournalDamaged:  # told by the journal's own checks
        return []


async def root_at(journal: Journal, info: EpochInfo, size: int) -> bytes | None:
    """The tree's root at a size, out of kept roots of whole segments and the entries behind them; None where these do not give it."""
    every, tree = journal.segment_entries, Frontier()
    mine = {s.first: s for s in await journal.segments() if s.epoch == info.epoch}
    while tree.size + every <= size and (segment := mine.get(tree.size)) is not None and segment.count == every:
        tree.append_subtree(bytes.fromhex(segment.root), every)
    while tree.size < size <= info.size:
        try:
            entries = await journal.read(Position(info.epoch, tree.size), max_entries=min(_ENTRIES, size - tree.size), max_bytes=_BYTES)
        except (KeyError, JournalDamaged):
            return None
        if not entries:
            return None
        for entry in entries:
            tree.append(leaf_hash(entry))
    return tree.root() if tree.size == size else None
