"""What a derivation says of one column of a batch, and what the derivations have in common; derives nothing itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from edge_gateway.reading import GOOD, Value

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody can derive it from what is kept: ``why`` is a short identifier."""

    why: str


class _Unread:
    """No bytes were kept, because none came: the reading must have no value, and a bad quality that says why."""


UNREAD = _Unread()

#: What is derived of a column: value and quality, or why there are none.
Derived = tuple[Value, str] | Unknown | _Unread

#: Why something cannot be decided. Stable identifiers: pages and the command line translate them.
HASH_ONLY = "payload-kept-as-hash"
NEWER = "newer-semantics"
NO_TEXT = "text-missing"
NO_CONFIG = "configuration-unknown"
UNREADABLE = "text-unreadable"
NOT_TOLD = "configuration-does-not-tell"
OVERLAP = "two-answers-hold-it"
BEFORE = "depends-on-what-is-not-here"


class Kind(Protocol):
    """How the batches of one poll group are derived."""

    name: str

    def derive(self, body: Body) -> Sequence[Derived]:
        """One for each point of the group, in order."""
        ...

    def doubt(self, body: Body, column: int) -> str:
        """What was journaled is not what was derived: "" when that is a difference, else why it need not be one."""
        ...

    def also(self, body: Body) -> tuple[str, Any, Any] | None:
        """What else in the batch is derived, and is not as derived: (name, journaled, derived)."""
        ...


def reading_of(body: Body, column: int) -> tuple[Value, str]:
    """A column as it was journaled. Raises IndexError."""
    value = body["values"][column]
    quality = body.get("quality")
    return int(value) if isinstance(value, str) else value, GOOD if quality is None else str(quality[column])
