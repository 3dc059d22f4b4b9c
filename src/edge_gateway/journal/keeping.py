"""How long the record stays, and what must stay longer: keep time, what is due to a hub, what a person let go; pure.

A hub is owed everything that was written while it stood in the configuration. What is owed stays until the hub *witnessed*
it: until it cosigned a checkpoint that covers it, by the key that a person configured. That it holds it is not enough.
Taking a hub out of the configuration takes nothing from what it is owed; a named person does (``Released``). A hub is known by
its key: another key under its name is another hub.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from edge_gateway.journal.base import Position
from edge_gateway.record.checkpoint import Checkpoint, witnessed_s
from edge_gateway.record.note import Key, Note, NoteError

DAY_US = 86_400_000_000
#: The default keep time: two years, of food records without a shelf life (Food Safety Law; docs/reference/journal-format.md).
KEEP_US = 730 * DAY_US
EVER = 2**62
#: Who is owed what lies here, when that was lost with a damaged database.
UNKNOWN = "unknown"
_KEEP, _DUE, _RELEASED = "keep", "due ", "released "


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What ``hub`` is owed: all entries before ``until``; None while it stands in the configuration. ``vkey`` cosigns for it."""

    hub: str
    vkey: str = ""
    until: Position | None = None

    def is_hub(self, name: str, vkey: str) -> bool:
        """Whether a configured hub is this one: by its key, or by its name where one of the two has none yet."""
        return (bool(vkey) and self.vkey == vkey) or (self.hub == name and not self.vkey)

    @property
    def displaced(self) -> bool:
        """Whether another hub stands in the configuration under its name: receipts under that name are not its own."""
        return " " in self.hub

    def displacing(self, name: str) -> Due:
        """The same under a name that a configured hub called ``name`` cannot have."""
        return self if self.hub != name else replace(self, hub=f"{name} {'+'.join(self.vkey.split('+')[:2])}")

    def key(self) -> Key | None:
        """The key by which its word counts; None if it was never given one: it can witness nothing then."""
        return Key.parse(self.vkey) if self.vkey else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """What outlives a restart. ``keep_us``: the keep time in force; ``released``: epochs that a person let go."""

    keep_us: int = 0
    dues: tuple[Due, ...] = ()
    released: frozenset[str] = frozenset()

    @classmethod
    def read(cls, rows: Mapping[str, Mapping[str, Any]]) -> Keeping:
        """From the rows of table ``memory``. Raises KeyError, TypeError, ValueError for what is none of ours."""
        dues = []
        for name, row in rows.items():
            if name.startswith(_DUE):
                until = None if row["epoch"] is None else Position(str(row["epoch"]), int(row["seq"]))
                dues.append(Due(hub=name.removeprefix(_DUE), vkey=str(row["vkey"]), until=until))
        released = (name.removeprefix(_RELEASED) for name in rows if name.startswith(_RELEASED))
        return cls(keep_us=int(rows.get(_KEEP, {}).get("us", 0)), dues=tuple(dues), released=frozenset(released))

    @staticmethod
    def is_row(name: str) -> bool:
        """Whether a row of table ``memory`` is of these."""
        return name.startswith((_KEEP, _DUE, _RELEASED))

    def rows(self) -> dict[str, dict[str, Any]]:
        """As ``read`` reads them."""
        found: dict[str, dict[str, Any]] = {_KEEP: {"us": self.keep_us}}
        for due in self.dues:
            at = due.until
            found[_DUE + due.hub] = {"vkey": due.vkey, "epoch": at.epoch if at else None, "seq": at.seq if at else None}
        return found | {_RELEASED + epoch: {} for epoch in sorted(self.released)}

    def without(self, hub: str) -> Keeping:
        """A person let go what a hub is owed that no longer stands in the configuration. Raises KeyError."""
        if not any(due.hub == hub and due.until is not None for due in self.dues):
            raise KeyError(hub)
        return replace(self, dues=tuple(due for due in self.dues if due.hub != hub))

    def letting_go(self, epoch: str) -> Keeping:
        """A person let an epoch go: it may be freed though no hub witnessed it."""
        return replace(self, released=self.released | {epoch})

    def settled(self, keep_us: int, hub: str | None, vkey: str, end: Position) -> Keeping:
        """At a start: a configured ``keep_us`` lengthens, and shortens nothing; who is owed what from now on.

        ``hub`` is the one in the configuration; ``end`` is where the record stands: others are owed nothing from there on.
        """
        if hub is None:
            dues = [replace(due, until=due.until or end) for due in self.dues]
        else:  # it is owed everything here, also what was lost track of
            past = [due for due in self.dues if not due.is_hub(hub, vkey) and due.hub != UNKNOWN]
            dues = [replace(due.displacing(hub), until=due.until or end) for due in past] + [Due(hub=hub, vkey=vkey)]
        return replace(self, keep_us=max(keep_us, self.keep_us), dues=tuple(dues))


def limits(order: Mapping[str, int], owed: Iterable[tuple[Due, Mapping[str, int]]], released: Collection[str]) -> dict[str, int]:
    """By epoch: entries below this may be freed. ``owed``: each due with what that hub witnessed, by epoch; ``order`` numbers them."""
    found = dict.fromkeys(order, EVER)
    for due, witnessed in owed:
        for epoch, number in order.items():
            if epoch not in released:
                found[epoch] = min(found[epoch], _limit(due, witnessed.get(epoch, 0), number, order))
    return found


def _limit(due: Due, witnessed: int, number: int, order: Mapping[str, int]) -> int:
    if due.until is None:
        return witnessed
    last = order.get(due.until.epoch, EVER)
    if number > last or (number == last and witnessed >= due.until.seq):
        return EVER
    return witnessed


def cosigned(epoch: str, note: bytes, key: Key | None) -> int | None:
    """How many entries of ``epoch`` a kept note witnesses by ``key``; None if it is not cosigned, or not by that key."""
    if key is None:
        return None
    try:
        found = Note.parse(note)
        head = Checkpoint.parse(found.text)
        if head.origin.rpartition("/")[2] != epoch or witnessed_s(found, key) is None:
            return None
    except NoteError:
        return None
    return head.size


def witnessed(notes: Iterable[tuple[str, int, bytes]], key: Key | None) -> dict[str, int]:
    """By epoch: how far ``key`` cosigned, by the kept notes ``(epoch, size, note)``. Each epoch's newest right one counts."""
    found: dict[str, int] = {}
    for epoch, size, note in sorted(notes, key=lambda each: -each[1]):
        if epoch not in found and (right := cosigned(epoch, note, key)) == size:
            found[epoch] = right
    return found
