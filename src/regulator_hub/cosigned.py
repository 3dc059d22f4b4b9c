"""What was cosigned last of each log, in synced files outside the store; knows no key, no entry and no protocol.

One file a gateway. It is durable before a cosignature leaves, and no backup of the store brings an older one back: so a
store that was restored is found to be behind, and nothing inconsistent with a cosignature that is out is ever cosigned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import orjson

from edge_gateway.errors import GatewayError
from edge_gateway.links.synced import sync_folder, write_synced

_VERSION = 1


class MemoryLost(GatewayError):
    """The file is not as it was written: nothing of this gateway is cosigned by a memory that may have forgotten."""


@dataclass(frozen=True, slots=True)
class Cosigned:
    """``logs``: epoch → (size, root) of the newest cosigned checkpoint of one gateway."""

    gateway: str
    logs: Mapping[str, tuple[int, bytes]] = field(default_factory=dict)

    def grown(self, epoch: str, size: int, root: bytes) -> Cosigned:
        """With one log's newest size and root."""
        return Cosigned(self.gateway, {**self.logs, epoch: (size, root)})

    def __bytes__(self) -> bytes:
        logs = {epoch: [size, root.hex()] for epoch, (size, root) in self.logs.items()}
        body = orjson.dumps({"v": _VERSION, "gateway": self.gateway, "logs": logs}, option=orjson.OPT_SORT_KEYS)
        return b'{"sha256":"%s","cosigned":%s}\n' % (sha256(body).hexdigest().encode(), body)

    @classmethod
    def parse(cls, data: bytes, gateway: str) -> Cosigned:
        """Raises MemoryLost: any byte that differs from what was written is found."""
        try:
            body = orjson.loads(data)["cosigned"]
            logs = {str(epoch): (int(size), bytes.fromhex(root)) for epoch, (size, root) in body["logs"].items()}
            found = cls(str(body["gateway"]), logs)
            if bytes(found) != data or found.gateway != gateway or body["v"] != _VERSION:
                raise ValueError("its checksum, version or gateway is wrong")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            hint = "restore it from a copy; or remove it, and the newest notes in the store take its place"
            raise MemoryLost(f"the memory of what was cosigned cannot be believed: {error}", hint=hint) from error
        return found


def make_folder(folder: Path) -> None:
    """The folder that ``read`` and ``write`` want, its own name durable too: else a power cut takes all that is in it. Raises OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    sync_folder(folder.parent)


def read(folder: Path, gateway: str) -> Cosigned:
    """The gateway's file in ``folder``; empty if there is none. Raises MemoryLost, OSError."""
    try:
        return Cosigned.parse((folder / f"{gateway}.json").read_bytes(), gateway)
    except FileNotFoundError:
        return Cosigned(gateway)


def write(folder: Path, cosigned: Cosigned) -> None:
    """Durable on return. Raises OSError."""
    write_synced(folder / f"{cosigned.gateway}.json", bytes(cosigned))
