"""What the hub refused of our record because it holds other bytes there, and as which epoch it is handed that; knows no session.

Entries are never changed, and the hub holds others under their numbers: so it is offered them as an epoch of their own that
begins as the refused one does. Which, is said in the first entry of the epoch that followed (``previous.branches``), and found there.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from edge_gateway.errors import JournalDamaged
from edge_gateway.journal.base import EpochInfo, Journal, Position

log = logging.getLogger(__name__)
#: The first entry of an epoch is at most this large (bytes).
_MOST_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class Branch:
    """Entries from ``size`` on of our epoch ``of`` are, to the hub, those of ``epoch``, whose first ``size`` are the hub's own of ``of``."""

    epoch: str
    of: str
    size: int

    def body(self) -> dict[str, Any]:
        """As it stands in ``previous.branches``."""
        return {"epoch": self.epoch, "of": self.of, "size": self.size}


class Branches:
    """By our epoch. ``load`` it first, and again when the record names new ones."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._by_epoch: dict[str, Branch] = {}

    async def load(self) -> None:
        """Read what the record says of branches. What does not read is refused, and branched, once more."""
        for info in self._journal.epochs():
            if info.reason != "roll-back" or info.first > 0:
                continue
            try:
                first = await self._journal.read(Position(info.epoch, 0), max_entries=1, max_bytes=_MOST_BYTES)
                for entry in first:
                    self._take((orjson.loads(entry).get("previous") or {}).get("branches") or ())
            except (JournalDamaged, KeyError, ValueError, TypeError, AttributeError) as error:
                log.warning("the first entry of epoch %s tells of no branches: %s", info.epoch, error)

    def _take(self, bodies: Iterable[dict[str, Any]]) -> None:
        for body in bodies:
            branch = Branch(str(body["epoch"]), str(body["of"]), int(body["size"]))
            self._by_epoch[branch.of] = branch

    def of(self, epoch: str) -> Branch | None:
        """As what the hub is handed our ``epoch``; None if as itself."""
        return self._by_epoch.get(epoch)

    def asked(self, epochs: Sequence[EpochInfo]) -> list[EpochInfo]:
        """Our epochs, and behind each one that was refused its branch: what the hub is asked about."""
        found: list[EpochInfo] = []
        for info in epochs:
            found.append(info)
            if (branch := self.of(info.epoch)) is not None:
                found.append(replace(info, epoch=branch.epoch))
        return found

    @staticmethod
    def born(of: str, receipted: int) -> Branch:
        """A branch under a new id: what the hub receipted of ``of`` before it refused more is common to both."""
        return Branch(secrets.token_hex(8), of, receipted)
