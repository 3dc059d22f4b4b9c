"""The hub's key of commands: made once, in a file of its own, beside the cosigning key and never the same; knows no gateway."""

from __future__ import annotations

from pathlib import Path

from edge_gateway.record.note import ED25519, Key, Signature, note_bytes
from edge_gateway.wire.command import HubCommand
from regulator_hub import keyfile
from regulator_hub.cosigner import key_name

FILE = "command.key"
WORDS = keyfile.Words(
    "key of commands", "restore it from a copy, or remove it: a new one is made at the hub's start, for every gateway's command_vkey",
    "the hub makes it at its start: start it once",
)  # fmt: skip


class Commander:
    """The key in ``folder``. With ``born`` it is made if there is none. Raises ConfigError when it cannot be used."""

    def __init__(self, folder: Path, hub_name: str, *, born: bool) -> None:
        path = folder / FILE
        self._key = keyfile.make(path, WORDS) if born and not path.exists() else keyfile.read(path, WORDS)
        self.key = Key(f"{key_name(hub_name)}/commands", ED25519, keyfile.public(self._key))

    def signed(self, command: HubCommand) -> bytes:
        """The signed note (docs/reference/hub-commands.md, section 2)."""
        text = command.body()
        return note_bytes(text, [Signature(self.key.name, self.key.id, self._key.sign(text.encode()))])
