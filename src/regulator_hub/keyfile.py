"""A private key of the hub as a file of its own: made once, durable, readable by its owner alone; knows not what it signs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_gateway.errors import ConfigError
from edge_gateway.links.synced import sync_folder, write_synced


@dataclass(frozen=True, slots=True)
class Words:
    """What the key is called in faults, and what to do where it does not read, or is not there."""

    what: str
    unreadable: str
    missing: str


def make(path: Path, words: Words) -> Ed25519PrivateKey:
    """A new key, durable on return. Raises ConfigError."""
    made = Ed25519PrivateKey.generate()
    raw = made.private_bytes(serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption())
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_synced(path, raw.hex().encode() + b"\n")
        sync_folder(path.parent.parent)
    except OSError as error:
        why = f"the {words.what} cannot be made in {path.parent}: {error.strerror}"
        raise ConfigError(why, key="witness_dir", hint="name a folder that the hub may write") from None
    return made


def read(path: Path, words: Words) -> Ed25519PrivateKey:
    """The key that is there. Raises ConfigError for none, one that others may read, and one that does not read."""
    try:
        mode = path.stat().st_mode
        if mode & 0o077:
            hint = "a key that others saw is none: move it away, and give every gateway the new one"
            raise ConfigError(f"the {words.what} may be read by others (mode {mode & 0o777:o})", file=str(path), hint=hint)
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(path.read_text("ascii").strip()))
    except ValueError as error:
        raise ConfigError(f"the {words.what} cannot be read", file=str(path), hint=words.unreadable) from error
    except FileNotFoundError:
        raise ConfigError(f"there is no {words.what}", file=str(path), hint=words.missing) from None
    except OSError as error:
        raise ConfigError(f"the {words.what} cannot be read: {error.strerror}", file=str(path), hint="run as the hub's user") from None


def public(key: Ed25519PrivateKey) -> bytes:
    """Its public half, 32 bytes."""
    return key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
