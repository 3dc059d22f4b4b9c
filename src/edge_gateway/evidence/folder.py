"""Judges a whole state folder (or a copy of one) by the keys and the checkpoint that a person brought; what is read, ``journal.verify`` checks."""

from __future__ import annotations

from pathlib import Path

from edge_gateway.evidence.judge import (
    Asked,
    Reasons,
    Tested,
    Verdict,
    against,
    epoch_of,
    fitting,
    size_of,
    through,
    trusted,
)
from edge_gateway.journal.reading import Reading
from edge_gateway.journal.verify import check as read
from edge_gateway.record.walk import Broken


def check(state_dir: Path, asked: Asked) -> Verdict:
    """The verdict. The newest epoch that has a checkpoint decides, or the one that ``asked.against`` is of.

    Raises NoteError for a key that is none, JournalError, JournalTooNew.
    """
    verdict, reasons = Verdict(), Reasons()
    notes = _notes(state_dir)
    sizes = {epoch: {size for size, _ in each} for epoch, each in notes.items()}
    elsewhere = epoch_of(asked.against) if asked.against else ""
    if asked.against:
        sizes.setdefault(elsewhere, set()).add(size_of(asked.against))
    known = trusted(asked, (), reasons)
    found = read(state_dir, sizes)
    verdict.epochs = found.epochs
    if found.broken is not None:
        return verdict.ended(found.broken)
    tests = {each.epoch: Tested(each.epoch, each.size, each.roots, notes.get(each.epoch, ())) for each in found.epochs}
    try:
        fits = {epoch: fitting(test, known) for epoch, test in tests.items()}
        why = against(asked.against, tests, fits, known, whole=True) if asked.against else None
    except Broken as broken:
        return verdict.ended(broken)
    verdict.throughs = [through(test, fits[epoch], known) for epoch, test in tests.items()]
    reasons += [why] if why else []
    signed = [each for each in verdict.throughs if each.epoch == elsewhere or (not elsewhere and notes.get(each.epoch))]
    for each in (signed or verdict.throughs)[-1:]:
        if each.code:
            reasons.append((each.code, {"epoch": each.epoch, "names": each.names}))
    return verdict.concluded(reasons)


def _notes(state_dir: Path) -> dict[str, list[tuple[int, bytes]]]:
    reading = Reading(state_dir)
    try:
        kept = reading.checkpoints()
    finally:
        reading.close()
    found: dict[str, list[tuple[int, bytes]]] = {}
    for epoch, size, note in kept:
        found.setdefault(epoch, []).append((size, note))
    return found
