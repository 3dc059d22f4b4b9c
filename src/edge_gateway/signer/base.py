"""The contract between what makes checkpoints and who signs them; knows no socket and no key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from edge_gateway.record.checkpoint import Checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Sign ``head``, which grew out of the tree of ``old`` entries that was signed last: ``path`` (RFC 6962) proves it."""

    head: Checkpoint
    old: int
    path: Sequence[bytes]


class Signer(Protocol):
    """Signs what extends the last that it signed of that log, and nothing else."""

    async def public(self) -> bytes:
        """The 32 bytes of its Ed25519 public key. Raises SignerAway."""
        ...

    async def sign(self, ask: Ask) -> bytes:
        """64 bytes of Ed25519 over the head's text.

        Raises SignerAway (nothing was signed, or nobody knows: ask again), SignerRefused (with what it holds).
        """
        ...
