"""What is asked of the journal's writer, one class each; does nothing by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_gateway.journal.base import Position


@dataclass(slots=True, kw_only=True)
class Append:
    """Entries from ``first`` on, and the texts they name."""

    first: int
    entries: Sequence[bytes]
    texts: Sequence[bytes] = ()
    reserve: bool = False


@dataclass(slots=True, kw_only=True)
class Move:
    """How far a sink is served; with the hub's own word if it gave one."""

    sink: str
    to: Position
    receipt: dict[str, Any] | None = None


@dataclass(slots=True, kw_only=True)
class Refuse:
    """Items that a sink refused: ``(seq, line, reason)``."""

    sink: str
    epoch: str
    items: Sequence[tuple[int, str, str]]


@dataclass(slots=True, kw_only=True)
class Drop:
    """Quarantined items that a person gave up; ``dropped`` is filled in."""

    ids: Sequence[int]
    dropped: int = 0


@dataclass(slots=True, kw_only=True)
class Signed:
    """A signed checkpoint over the first ``size`` entries of ``epoch``; ``witnessed`` is filled in: the hub's key cosigned it."""

    epoch: str
    size: int
    note: bytes
    witnessed: bool = False


@dataclass(slots=True, kw_only=True)
class Noted:
    """Numbers to be found again after a restart, by their names."""

    values: Mapping[str, int]


@dataclass(slots=True, kw_only=True)
class Remember:
    """Something that must outlive a restart beside the record; the newest ``value`` of a ``name`` counts."""

    name: str
    value: dict[str, Any]


Work = Append | Move | Refuse | Drop | Signed | Noted | Remember


@dataclass(frozen=True, slots=True, kw_only=True)
class SealJob:
    """A segment that is complete and lies in the tail."""

    epoch: str
    first: int
    end: int
