"""Leaf hashes and roots of RFC 6962 section 2.1; knows nothing of what the bytes mean."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    """SHA-256(0x00 ‖ entry): 32 bytes. ``entry`` is the exact stored bytes, without the newline."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 ‖ left ‖ right)."""
    return sha256(b"\x01" + left + right).digest()


class Frontier:
    """The right edge of a growing tree: O(log n) memory, one append a leaf, the root at any time."""

    __slots__ = ("size", "_edge")

    def __init__(self, size: int = 0, edge: Iterable[bytes] = ()) -> None:
        self.size = size
        self._edge = list(edge)  # roots of the complete subtrees, largest first

    @property
    def edge(self) -> list[bytes]:
        """The complete subtrees' roots, largest first: one for each set bit of ``size``."""
        return list(self._edge)

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        self._edge.append(leaf)
        self.size += 1
        size = self.size
        while size % 2 == 0:
            right = self._edge.pop()
            self._edge.append(node_hash(self._edge.pop(), right))
            size //= 2

    def append_subtree(self, root: bytes, leaves: int) -> None:
        """Add a complete subtree of ``leaves`` (a power of two) leaves, aligned at the current size.

        Raises ValueError when ``leaves`` is no power of two or the size is not aligned to it.
        """
        if leaves & (leaves - 1) or self.size % leaves:
            raise ValueError(f"subtree of {leaves} leaves does not fit at size {self.size}")
        self._edge.append(root)
        self.size += leaves
        width = self.size // leaves
        while width % 2 == 0:
            right = self._edge.pop()
            self._edge.append(node_hash(self._edge.pop(), right))
            width //= 2

    def root(self) -> bytes:
        """The tree's root hash; SHA-256 of nothing for an empty tree."""
        if not self._edge:
            return EMPTY_ROOT
        root = self._edge[-1]
        for left in reversed(self._edge[:-1]):
            root = node_hash(left, root)
        return root

    def joined(self, right: bytes) -> bytes:
        """Root of a tree that goes on to the right of this one with a smaller subtree of root ``right``."""
        for left in reversed(self._edge):
            right = node_hash(left, right)
        return right


def tree_root(leaves: Iterable[bytes]) -> bytes:
    """Root over leaf hashes, in order."""
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    return frontier.root()
