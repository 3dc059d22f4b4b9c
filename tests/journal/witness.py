"""A hub's key, and notes that it cosigned: for tests of what retention may free."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_gateway.record.checkpoint import Checkpoint, cosignature, cosigned_message
from edge_gateway.record.note import COSIGNATURE, ED25519, Key, Signature, note_bytes

GATEWAY = "example.org/xj/tlf-007"


def _private(number: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)


def hub_key(number: int = 1) -> Key:
    return Key("regulator-hub", COSIGNATURE, _private(number).public_key().public_bytes_raw())


def signed(epoch: str, size: int) -> bytes:
    """By the gateway only."""
    head = Checkpoint(f"{GATEWAY}/{epoch}", size, bytes(32))
    key = Key(head.origin, ED25519, _private(99).public_key().public_bytes_raw())
    return note_bytes(head.body(), [Signature(key.name, key.id, _private(99).sign(head.body().encode()))])


def cosigned(epoch: str, size: int, number: int = 1, *, name: str = "") -> bytes:
    """By the hub with that key too; ``name``: the epoch that the text names, if another."""
    note = signed(name or epoch, size)
    body = Checkpoint(f"{GATEWAY}/{name or epoch}", size, bytes(32)).body()
    line = cosignature(hub_key(number), 1_780_000_000, _private(number).sign(cosigned_message(body, 1_780_000_000)))
    return note + line.line().encode()
