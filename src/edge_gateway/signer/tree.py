"""One epoch's Merkle tree as it grows, with what proofs of growth need of it; knows no journal and no signer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from edge_gateway.record.merkle import leaf_hash, node_hash, tree_root
from edge_gateway.record.proof import consistency, range_root

#: Segments whose leaves are kept, besides the open one's: a proof from within an older one reads it again.
_KEPT = 2


class Missing(Exception):
    """A proof needs the leaves of the segment that begins at ``first``: ``learn`` them, then ask again."""

    def __init__(self, first: int) -> None:
        super().__init__(first)
        self.first = first


class Tree:
    """Leaf hashes of the open segment, roots of the whole ones before it. ``size`` is the number of entries."""

    def __init__(self, segment_entries: int, roots: Iterable[bytes] = ()) -> None:
        self._every = segment_entries
        self._roots = list(roots)
        self._leaves: list[bytes] = []
        self._known: dict[int, list[bytes]] = {}

    @property
    def size(self) -> int:
        return len(self._roots) * self._every + len(self._leaves)

    def add(self, entries: Sequence[bytes]) -> None:
        """The entries that follow, as bytes."""
        for entry in entries:
            self._leaves.append(leaf_hash(entry))
            if len(self._leaves) == self._every:
                self.learn(len(self._roots) * self._every, self._leaves)
                self._roots.append(tree_root(self._leaves))
                self._leaves = []

    def learn(self, first: int, leaves: list[bytes]) -> None:
        """Leaf hashes of a whole segment."""
        self._known[first] = leaves
        while len(self._known) > _KEPT:
            self._known.pop(next(iter(self._known)))

    def root(self, size: int) -> bytes:
        """Root over the first ``size`` entries. Raises Missing, ValueError beyond the end."""
        if not 0 <= size <= self.size:
            raise ValueError(f"no root of {size} entries: {self.size} are here")
        return range_root(0, size, self._subtree) if size else tree_root(())

    def growth(self, old: int, new: int) -> list[bytes]:
        """The proof that the tree of ``new`` entries begins with that of ``old``. Raises Missing, ValueError."""
        return consistency(old, new, self._subtree)

    def _subtree(self, start: int, width: int) -> bytes:
        if width > self._every:
            half = width // 2
            return node_hash(self._subtree(start, half), self._subtree(start + half, half))
        number, at = divmod(start, self._every)
        if number == len(self._roots):
            return tree_root(self._leaves[at : at + width])
        if width == self._every:
            return self._roots[number]
        first = number * self._every
        if first not in self._known:
            raise Missing(first)
        return tree_root(self._known[first][at : at + width])
