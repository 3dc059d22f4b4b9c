"""One epoch's Merkle tree as it grows, with what proofs of growth need of it; knows no journal and no signer.

Nodes are kept, not computed again: years of segments, and a checkpoint still costs a few dozen hashes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from edge_gateway.record.merkle import leaf_hash, node_hash, tree_root
from edge_gateway.record.proof import consistency, range_root

#: Segments whose leaves are kept, besides the open one's: a proof from within an older one reads it again.
_KEPT = 2
_HASH_BYTES = 32


class Missing(Exception):
    """A proof needs the leaves of the segment that begins at ``first``: ``learn`` them, then ask again."""

    def __init__(self, first: int) -> None:
        super().__init__(first)
        self.first = first


class _Nodes:
    """Every complete subtree's root over what was added so far: level k holds those of 2ᵏ, 32 bytes each."""

    def __init__(self, hashes: Iterable[bytes] = ()) -> None:
        self._levels = [bytearray()]
        for each in hashes:
            self.add(each)

    def __len__(self) -> int:
        return len(self._levels[0]) // _HASH_BYTES

    def add(self, found: bytes) -> None:
        for level in range(len(self._levels)):
            nodes = self._levels[level]
            nodes += found
            if len(nodes) // _HASH_BYTES % 2:
                return
            found = node_hash(bytes(nodes[-2 * _HASH_BYTES : -_HASH_BYTES]), found)
        self._levels.append(bytearray(found))

    def root(self, start: int, width: int) -> bytes:
        """Over ``width`` of them (a power of two that divides ``start``)."""
        at = start // width * _HASH_BYTES
        return bytes(self._levels[width.bit_length() - 1][at : at + _HASH_BYTES])


class Tree:
    """All nodes of the open segment, and those above whole ones. ``size`` is the number of entries."""

    def __init__(self, segment_entries: int, roots: Iterable[bytes] = ()) -> None:
        self._every = segment_entries
        self._whole = _Nodes(roots)
        self._open = _Nodes()
        self._known: dict[int, _Nodes] = {}

    @property
    def size(self) -> int:
        return len(self._whole) * self._every + len(self._open)

    def add(self, entries: Sequence[bytes]) -> None:
        """The entries that follow, as bytes."""
        for entry in entries:
            self._open.add(leaf_hash(entry))
            if len(self._open) == self._every:
                self._keep(len(self._whole) * self._every, self._open)
                self._whole.add(self._open.root(0, self._every))
                self._open = _Nodes()

    def learn(self, first: int, leaves: Iterable[bytes]) -> None:
        """Leaf hashes of a whole segment."""
        self._keep(first, _Nodes(leaves))

    def _keep(self, first: int, nodes: _Nodes) -> None:
        self._known[first] = nodes
        while len(self._known) > _KEPT:
            self._known.pop(next(iter(self._known)))

    def root(self, size: int) -> bytes:
        """Root over the first ``size`` entries. Raises Missing, ValueError beyond the end."""
        if not 0 <= size <= self.size:
            raise ValueError(f"no root of {size} entries: {self.size} are here")
        return range_root(0, size, self.subtree) if size else tree_root(())

    def growth(self, old: int, new: int) -> list[bytes]:
        """The proof that the tree of ``new`` entries begins with that of ``old``. Raises Missing, ValueError."""
        return consistency(old, new, self.subtree)

    def subtree(self, start: int, width: int) -> bytes:
        """Root of ``width`` (a power of two that divides ``start``) entries from ``start`` on. Raises Missing."""
        if width >= self._every:
            return self._whole.root(start // self._every, width // self._every)
        number, at = divmod(start, self._every)
        if number == len(self._whole):
            return self._open.root(at, width)
        first = number * self._every
        if first not in self._known:
            raise Missing(first)
        return self._known[first].root(at, width)
