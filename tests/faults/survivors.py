"""What must be in a journal after an opening: the entries acknowledged, and side tables as one transaction left them; drives nothing.

A commit is all or nothing. Until it is acknowledged it may be there whole or not at all: each such attempt is kept with the
tables as it would leave them, and what is found must be exactly one of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import orjson

from edge_gateway.journal.base import Position
from edge_gateway.journal.keeping import cosigned
from edge_gateway.journal.tail import CHECKPOINTS_KEPT, Tail
from edge_gateway.journal.work import Drop, Move, Refuse, Signed, Work
from edge_gateway.record.note import merged
from tests.journal.witness import hub_key

_SIGNED = "\n\N{EM DASH} ".encode()
Receipts = Mapping[tuple[str, str], tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Tables:
    """The side tables. ``checkpoints``: (epoch, size) → note; ``quarantine``: what was refused, oldest first."""

    cursors: Mapping[str, Position] = field(default_factory=dict)
    receipts: Receipts = field(default_factory=dict)
    checkpoints: Mapping[tuple[str, int], bytes] = field(default_factory=dict)
    quarantine: tuple[tuple[int, str, str], ...] = ()
    witnessed: Mapping[str, int] = field(default_factory=dict, compare=False)  # epoch → how far the hub's key cosigned it

    @classmethod
    def of(cls, tail: Tail) -> Tables:
        """As they stand in a database."""
        held = tail.held()
        rows = tail.connection.execute("SELECT sink, epoch, size, receipt FROM receipts")
        return cls(
            cursors=held.cursors,
            receipts={(sink, epoch): (size, receipt) for sink, epoch, size, receipt in rows},
            checkpoints={(epoch, size): note for epoch, size, note in held.checkpoints},
            quarantine=tuple((each.seq, each.line, each.reason) for each in tail.quarantined()),
        )

    def after(self, works: Sequence[Work], order: Mapping[str, int], keep: int) -> Tables:
        """Once ``works`` are committed; ``order`` numbers the epochs, ``keep`` is the quarantine's room."""
        tables = self
        for work in works:
            match work:
                case Move():
                    tables = tables._moved(work, order)
                case Signed():
                    tables = tables._signed(work)
                case Refuse():
                    tables = replace(tables, quarantine=(*tables.quarantine, *work.items)[-keep:])
                case Drop():
                    tables = replace(tables, quarantine=tables.quarantine[len(work.ids) :])
        return tables

    def _signed(self, work: Signed) -> Tables:
        """A cosignature by the hub's key is its word on what it holds, too."""
        there = self.checkpoints.get((work.epoch, work.size))
        note = work.note if there is None else merged(there, work.note)
        notes = _kept({**self.checkpoints, (work.epoch, work.size): note}, work.epoch)
        if not _by_the_hub(work.epoch, work.size, work.note):
            return replace(self, checkpoints=notes)
        receipts, seen = dict(self.receipts), {**self.witnessed, work.epoch: max(work.size, self.witnessed.get(work.epoch, 0))}
        if receipts.get(("hub", work.epoch), (0, ""))[0] < work.size:
            receipts["hub", work.epoch] = (work.size, orjson.dumps({"cosigned": work.size}).decode())
        return replace(self, checkpoints=notes, receipts=receipts, witnessed=seen)

    def _moved(self, move: Move, order: Mapping[str, int]) -> Tables:
        """A way back takes from the hub's word what it no longer holds."""
        receipts: dict[tuple[str, str], tuple[int, str]] = {}
        for (sink, epoch), (size, said) in self.receipts.items():
            if sink != move.sink or order[epoch] < order[move.to.epoch]:
                receipts[sink, epoch] = (size, said)
            elif epoch == move.to.epoch:
                receipts[sink, epoch] = (move.to.seq, "null") if size > move.to.seq else (size, said)
        if move.receipt is not None:
            receipts[move.sink, move.to.epoch] = (move.to.seq, orjson.dumps(move.receipt).decode())
        return replace(self, cursors={**self.cursors, move.sink: move.to}, receipts=receipts)


@lru_cache(1024)
def _by_the_hub(epoch: str, size: int, note: bytes) -> bool:
    return cosigned(epoch, note, hub_key()) == size


def _kept(notes: Mapping[tuple[str, int], bytes], epoch: str) -> dict[tuple[str, int], bytes]:
    """The newest of an epoch, and of each witness (the last four to be heard of) the newest that it cosigned."""
    sizes = sorted((size for name, size in notes if name == epoch), reverse=True)
    witnesses: dict[tuple[bytes, bytes], int] = {}
    for size in sizes:
        for line in notes[epoch, size].split(_SIGNED)[2:]:
            name, _, signature = line.rpartition(b" ")
            witnesses.setdefault((name, signature[:5]), size)  # its key's id stands first, in base64
    gone = {(epoch, size) for size in sizes[CHECKPOINTS_KEPT:]} - {(epoch, size) for size in list(witnesses.values())[:4]}
    return {key: note for key, note in notes.items() if key not in gone}


@dataclass(slots=True)
class Attempt:
    """A commit that was tried: entries it adds to the open epoch, and the tables it leaves."""

    added: Sequence[bytes]
    tables: Tables


@dataclass(slots=True)
class Expected:
    """One epoch: its acknowledged entries, and how far retention may ever have gone (the greatest size that the hub cosigned)."""

    entries: list[bytes] = field(default_factory=list)
    witnessed: int = 0


@dataclass(slots=True)
class Survivors:
    """All that was acknowledged. ``open`` is the epoch being written; ``attempts`` are those of it not yet decided."""

    epochs: dict[str, Expected] = field(default_factory=dict)
    texts: dict[str, bytes] = field(default_factory=dict)
    tables: Tables = field(default_factory=Tables)
    attempts: list[Attempt] = field(default_factory=list)
    open: str = ""

    def born(self, epoch: str) -> None:
        """``epoch`` is the one being written from here on."""
        self.epochs.setdefault(epoch, Expected())
        self.open = epoch
        self.attempts.clear()

    def tried(self, attempt: Attempt) -> None:
        self.attempts.append(attempt)
        self._note_witnessed(attempt.tables)

    def acknowledged(self, attempt: Attempt) -> None:
        """The newest attempt succeeded: it is the truth, and those before it are none of it."""
        self.epochs[self.open].entries += attempt.added
        self.tables = attempt.tables
        self.attempts.clear()

    def decide(self, added: Sequence[bytes], tables: Tables) -> str:
        """What was found decides; "" if it is what one of the attempts leaves, else what is wrong."""
        for attempt in [Attempt([], self.tables), *self.attempts]:
            if list(attempt.added) == list(added) and attempt.tables == tables:
                self.acknowledged(attempt)
                return ""
        wrong = [
            name
            for name in ("cursors", "receipts", "checkpoints", "quarantine")
            if all(getattr(tables, name) != getattr(each, name) for each in [self.tables, *(a.tables for a in self.attempts)])
        ]
        return f"found {len(added)} entries more, and {', '.join(wrong) or 'tables'} as no commit left them"

    def _note_witnessed(self, tables: Tables) -> None:
        for epoch, size in tables.witnessed.items():
            self.epochs[epoch].witnessed = max(self.epochs[epoch].witnessed, size)
