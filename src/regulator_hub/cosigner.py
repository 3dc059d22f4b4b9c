"""The hub's cosigning key: made once, in a folder of its own, for cosignatures alone; knows no record and judges nothing.

Source: c2sp.org/tlog-cosignature v1.0.0, type 0x04 (Ed25519).
"""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_gateway.errors import ConfigError
from edge_gateway.links.synced import sync_folder, write_synced
from edge_gateway.record.checkpoint import cosignature, cosigned_message
from edge_gateway.record.note import COSIGNATURE, Key, Signature

_FILE = "cosign.key"
#: What lies beside the key and says that it has cosigned.
COSIGNED = "cosigned"


def key_name(hub_name: str) -> str:
    """The hub's name as signature lines carry it: one word without '+'."""
    return "-".join(hub_name.replace("+", " ").split()) or "regulator-hub"


class Cosigner:
    """The key in ``folder``. With ``born`` it is made if there is none. Raises ConfigError when it cannot be used."""

    def __init__(self, folder: Path, hub_name: str, *, born: bool) -> None:
        fresh = born and not (folder / _FILE).exists() and not any((folder / COSIGNED).glob("*"))
        self._key = _make(folder) if fresh else _read(folder / _FILE)
        public = self._key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.key = Key(key_name(hub_name), COSIGNATURE, public)

    def cosign(self, body: str, time_s: int) -> Signature:
        """The signature line on a checkpoint's text at ``time_s`` (whole seconds since 1970)."""
        return cosignature(self.key, time_s, self._key.sign(cosigned_message(body, time_s)))


def _make(folder: Path) -> Ed25519PrivateKey:
    made = Ed25519PrivateKey.generate()
    raw = made.private_bytes(serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption())
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_synced(folder / _FILE, raw.hex().encode() + b"\n")
        sync_folder(folder.parent)
    except OSError as error:
        why = f"the cosigning key cannot be made in {folder}: {error.strerror}"
        raise ConfigError(why, key="witness_dir", hint="name a folder that the hub may write") from None
    return made


def _read(path: Path) -> Ed25519PrivateKey:
    try:
        mode = path.stat().st_mode
        if mode & 0o077:
            raise ConfigError(
                f"the cosigning key may be read by others (mode {mode & 0o777:o})",
                file=str(path),
                hint="a key that others saw is none: move it away, and give every gateway the new one",
            )
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(path.read_text("ascii").strip()))
    except ValueError as error:
        raise ConfigError("the cosigning key cannot be read", file=str(path), hint="restore it from a copy") from error
    except FileNotFoundError:
        hint = "the hub makes it at its first start; a key that has cosigned must come back from a copy"
        raise ConfigError("there is no cosigning key", file=str(path), hint=hint) from None
    except OSError as error:
        why = f"the cosigning key cannot be read: {error.strerror}"
        raise ConfigError(why, file=str(path), hint="run as the hub's user") from None
