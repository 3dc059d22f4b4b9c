"""The hub's key of commands: made once, in a file of its own, beside the cosigning key and never the same; knows no gateway."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_gateway.errors import ConfigError
from edge_gateway.links.synced import sync_folder, write_synced
from edge_gateway.record.note import ED25519, Key, Signature, note_bytes
from edge_gateway.wire.command import HubCommand
from regulator_hub.cosigner import key_name

FILE = "command.key"


class Commander:
    """The key in ``folder``. With ``born`` it is made if there is none. Raises ConfigError when it cannot be used."""

    def __init__(self, folder: Path, hub_name: str, *, born: bool) -> None:
        path = folder / FILE
        self._key = _make(path) if born and not path.exists() else _read(path)
        public = self._key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.key = Key(f"{key_name(hub_name)}/commands", ED25519, public)

    def signed(self, command: HubCommand) -> bytes:
        """The signed note (docs/reference/hub-commands.md, section 2)."""
        text = command.body()
        return note_bytes(text, [Signature(self.key.name, self.key.id, self._key.sign(text.encode()))])


def _make(path: Path) -> Ed25519PrivateKey:
    made = Ed25519PrivateKey.generate()
    raw = made.private_bytes(serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption())
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_synced(path, raw.hex().encode() + b"\n")
        sync_folder(path.parent.parent)
    except OSError as error:
        why = f"the key of commands cannot be made in {path.parent}: {error.strerror}"
        raise ConfigError(why, key="witness_dir", hint="name a folder that the hub may write") from None
    return made


def _read(path: Path) -> Ed25519PrivateKey:
    try:
        mode = path.stat().st_mode
        if mode & 0o077:
            hint = "a key that others saw is none: move it away, and give every gateway the new one"
            raise ConfigError(f"the key of commands may be read by others (mode {mode & 0o777:o})", file=str(path), hint=hint)
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(path.read_text("ascii").strip()))
    except ValueError as error:
        hint = "restore it from a copy, or remove it: a new one is made at the hub's start, for every gateway's command_vkey"
        raise ConfigError("the key of commands cannot be read", file=str(path), hint=hint) from error
    except FileNotFoundError:
        raise ConfigError("there is no key of commands", file=str(path), hint="the hub makes it at its start: start it once") from None
    except OSError as error:
        raise ConfigError(f"the key of commands cannot be read: {error.strerror}", file=str(path), hint="run as the hub's user") from None
