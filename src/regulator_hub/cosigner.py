"""The hub's cosigning key: made once, in a folder of its own, for cosignatures alone; knows no record and judges nothing.

Source: c2sp.org/tlog-cosignature v1.0.0, type 0x04 (Ed25519).
"""

from __future__ import annotations

from pathlib import Path

from edge_gateway.record.checkpoint import cosignature, cosigned_message
from edge_gateway.record.note import COSIGNATURE, Key, Signature
from regulator_hub import keyfile

_FILE = "cosign.key"
WORDS = keyfile.Words(
    "cosigning key", "restore it from a copy", "the hub makes it at its first start; a key that has cosigned must come back from a copy"
)
#: What lies beside the key and says that it has cosigned.
COSIGNED = "cosigned"


def key_name(hub_name: str) -> str:
    """The hub's name as signature lines carry it: one word without '+'."""
    return "-".join(hub_name.replace("+", " ").split()) or "regulator-hub"


class Cosigner:
    """The key in ``folder``. With ``born`` it is made if there is none. Raises ConfigError when it cannot be used."""

    def __init__(self, folder: Path, hub_name: str, *, born: bool) -> None:
        fresh = born and not (folder / _FILE).exists() and not any((folder / COSIGNED).glob("*"))
        self._key = keyfile.make(folder / _FILE, WORDS) if fresh else keyfile.read(folder / _FILE, WORDS)
        self.key = Key(key_name(hub_name), COSIGNATURE, keyfile.public(self._key))

    def cosign(self, body: str, time_s: int) -> Signature:
        """The signature line on a checkpoint's text at ``time_s`` (whole seconds since 1970)."""
        return cosignature(self.key, time_s, self._key.sign(cosigned_message(body, time_s)))
