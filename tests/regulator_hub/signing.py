"""A gateway's signer by hand: the key, checkpoints over any entries, honest or not; none of the gateway's own signer."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_gateway.record.checkpoint import Checkpoint
from edge_gateway.record.merkle import leaf_hash, tree_root
from edge_gateway.record.note import ED25519, Key, Signature, note_bytes
from tests.regulator_hub.harness import EPOCH, GATEWAY

NAME = f"example.org/{GATEWAY}"


class Hand:
    """``seed`` makes the key: another number, another key."""

    def __init__(self, seed: int = 1, name: str = NAME) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
        self.name = name
        self.public = self._key.public_key().public_bytes_raw()

    @property
    def vkey(self) -> str:
        """As ``signer key`` prints it."""
        return str(Key(self.name, ED25519, self.public))

    def note(self, entries: Sequence[bytes], epoch: str = EPOCH, *, root: bytes | None = None, size: int | None = None) -> bytes:
        """A signed checkpoint over these entries; ``root`` and ``size`` say something else."""
        honest = tree_root([leaf_hash(entry) for entry in entries])
        head = Checkpoint(f"{self.name}/{epoch}", len(entries) if size is None else size, honest if root is None else root)
        key = Key(head.origin, ED25519, self.public)
        return note_bytes(head.body(), [Signature(key.name, key.id, self._key.sign(head.body().encode()))])
