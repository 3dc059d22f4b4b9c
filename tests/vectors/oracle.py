"""What the vectors are judged by: trees, proofs, signed notes and segment files word for word from their definitions, with no line of ours.

Slow and short on purpose. Signing is `cryptography`'s; everything else is the standard library.
"""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def leaf(entry: bytes) -> bytes:
    """RFC 6962 section 2.1."""
    return sha256(b"\x00" + entry).digest()


def node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def split(size: int) -> int:
    """The largest power of two smaller than ``size``."""
    power = 1
    while power * 2 < size:
        power *= 2
    return power


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Over leaf hashes."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return node(root_of(leaves[:k]), root_of(leaves[k:]))


def path_of(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """PATH(m, D[n]) of section 2.1.1."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if index < k:
        return [*path_of(leaves[:k], index), root_of(leaves[k:])]
    return [*path_of(leaves[k:], index - k), root_of(leaves[:k])]


def consistency_of(leaves: Sequence[bytes], old: int) -> list[bytes]:
    """PROOF(m, D[n]) of section 2.1.2; nothing for m = 0 and m = n."""

    def sub(old: int, leaves: Sequence[bytes], whole: bool) -> list[bytes]:
        if old == len(leaves):
            return [] if whole else [root_of(leaves)]
        k = split(len(leaves))
        if old <= k:
            return [*sub(old, leaves[:k], whole), root_of(leaves[k:])]
        return [*sub(old - k, leaves[k:], False), root_of(leaves[:k])]

    return [] if old in (0, len(leaves)) else sub(old, leaves, True)


def includes(leaf_hash: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether PATH's definition, run backwards, leads to the root with exactly these hashes."""

    def up(index: int, size: int, path: Sequence[bytes]) -> bytes | None:
        if size == 1:
            return None if path else leaf_hash
        if not path:
            return None
        k = split(size)
        below = up(index, k, path[:-1]) if index < k else up(index - k, size - k, path[:-1])
        if below is None:
            return None
        return node(below, path[-1]) if index < k else node(path[-1], below)

    return 0 <= index < size and up(index, size, path) == root


def extends(old: int, old_root: bytes, size: int, root: bytes, path: Sequence[bytes]) -> bool:
    """Whether PROOF's definition, run backwards, gives both roots with exactly these hashes."""

    def up(old: int, size: int, whole: bool, path: Sequence[bytes]) -> tuple[bytes, bytes] | None:
        if old == size:
            if whole:
                return None if path else (old_root, old_root)
            return (path[0], path[0]) if len(path) == 1 else None
        if not path:
            return None
        k = split(size)
        below = up(old, k, whole, path[:-1]) if old <= k else up(old - k, size - k, False, path[:-1])
        if below is None:
            return None
        return (below[0], node(below[1], path[-1])) if old <= k else (node(path[-1], below[0]), node(path[-1], below[1]))

    if not 0 <= old <= size:
        return False
    if old in (0, size):
        return not path and (old == 0 or old_root == root)
    return up(old, size, True, path) == (old_root, root)


class Signer:
    """An Ed25519 key under a name; ``kind`` 1 signs notes, 4 is a witness's (C2SP signed-note, tlog-cosignature)."""

    def __init__(self, seed: bytes, name: str, kind: int) -> None:
        self.name, self.kind = name, kind
        self._seed = seed
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self._key.public_key().public_bytes_raw()

    def named(self, name: str) -> Signer:
        return Signer(self._seed, name, self.kind)

    @property
    def id(self) -> bytes:
        return sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[:4]

    @property
    def vkey(self) -> str:
        return f"{self.name}+{self.id.hex()}+{b64(bytes([self.kind]) + self.public)}"

    @property
    def fingerprint(self) -> str:
        return sha256(self.public).hexdigest()

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)

    def line(self, text: str, time_s: int = 0) -> str:
        """The signature line under a note's text."""
        if self.kind == 1:
            signed = self.sign(text.encode())
        else:
            signed = struct.pack(">Q", time_s) + self.sign(f"cosignature/v1\ntime {time_s}\n{text}".encode())
        return f"\u2014 {self.name} {b64(self.id + signed)}\n"


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def head(origin: str, size: int, root: bytes) -> str:
    """A checkpoint's text (C2SP tlog-checkpoint)."""
    return f"{origin}\n{size}\n{b64(root)}\n"


def proof(index: int, path: Sequence[bytes], checkpoint: bytes, extra: bytes | None = None) -> bytes:
    """C2SP tlog-proof."""
    lines = ["c2sp.org/tlog-proof@v1", *([f"extra {b64(extra)}"] if extra is not None else []), f"index {index}", *map(b64, path)]
    return "\n".join(lines).encode() + b"\n\n" + checkpoint


def member(data: bytes, level: int = 6) -> bytes:
    """A gzip member (RFC 1952)."""
    packer = zlib.compressobj(level, zlib.DEFLATED, 31)
    return packer.compress(data) + packer.flush()


def trailer(footer_at: int) -> bytes:
    """The last member of a segment file (journal-format.md section 3): one stored block."""
    line = b'{"footer_at":"%012d"}\n' % footer_at
    block = struct.pack("<BHH", 1, len(line), len(line) ^ 0xFFFF) + line
    return b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff" + block + struct.pack("<II", zlib.crc32(line), len(line))


def segment(epoch: str, first: int, entries: Sequence[bytes], a_member: int = 256, /, **footer: Any) -> bytes:
    """A segment file; ``footer`` replaces what the footer says."""
    data, members = b"", []
    for at in range(0, len(entries), a_member):
        members.append([first + at, len(data)])
        data += member(b"".join(entry + b"\n" for entry in entries[at : at + a_member]))
    root = root_of([leaf(entry) for entry in entries]).hex()
    told = {"v": 1, "footer": True, "epoch": epoch, "first": first, "count": len(entries), "root": root, "wall_us": [0, 0]}
    told |= {"rule_us": [0, 0], "groups": [], "texts": [], "kinds": {}, "members": members} | footer
    return data + member(json.dumps(told, separators=(",", ":")).encode() + b"\n") + trailer(len(data))
