"""What the first entry of an epoch says of those before it, the newest checkpoint that a witness cosigned among it; knows no hub."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edge_gateway.errors import JournalDamaged
from edge_gateway.journal.base import Journal
from edge_gateway.record.checkpoint import Checkpoint
from edge_gateway.record.note import Note, NoteError


async def previous(journal: Journal, branches: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any] | None:
    """``previous`` of docs/reference/journal-format.md section 2; None in a gateway's first epoch.

    Of ``branches`` one that begins where the epoch that was just closed ends holds nothing, and is left out.
    """
    body = journal.previous()
    if body is None:
        return None
    named = [dict(each) for each in branches if (each["of"], each["size"]) != (body["epoch"], body["size"])]
    return body | {"cosigned": await _cosigned(journal)} | ({"branches": named} if named else {})


async def _cosigned(journal: Journal) -> dict[str, Any] | None:
    """The newest note here that carries more than the gateway's own signature: of the newest epoch that has one."""
    try:
        kept = await journal.checkpoints()
    except JournalDamaged:  # what the journal's own checks tell of; nothing can be named then
        return None
    order = {info.epoch: place for place, info in enumerate(journal.known_epochs())}
    newest: tuple[int, int] | None = None
    found: dict[str, Any] | None = None
    for epoch, size, data in kept:
        if epoch not in order or (newest is not None and (order[epoch], size) < newest):
            continue
        try:
            note = Note.parse(data)
            head = Checkpoint.parse(note.text)
        except NoteError:
            continue
        if any(line.name != head.origin for line in note.signatures):
            newest = order[epoch], size
            found = {"epoch": epoch, "size": size, "root": head.root.hex(), "note": data.decode()}
    return found
