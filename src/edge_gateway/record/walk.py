"""An epoch's tree as its entries and known subtrees pass, from left to right; pure: bytes come from outside, and nothing is believed that can be computed."""

from __future__ import annotations

from collections.abc import Iterable

from edge_gateway.record.entry import decode
from edge_gateway.record.merkle import Frontier, leaf_hash


class Broken(Exception):
    """The record is not what it says it is: entries ``first`` … ``last`` of ``epoch``, and why. ``code``: the same for programs."""

    def __init__(self, epoch: str, first: int, last: int, why: str, code: str) -> None:
        super().__init__(why)
        self.epoch, self.first, self.last, self.why, self.code = epoch, first, last, why, code


class Walk:
    """One epoch. ``asked``: sizes whose roots are wanted; ``roots`` has them (by size) once they have passed.

    ``checked`` counts entries that were read; ``known`` is False behind a part whose root nobody has any more.
    """

    def __init__(self, epoch: str, asked: Iterable[int] = ()) -> None:
        self.epoch = epoch
        self.checked = 0
        self.known = True
        self.roots: dict[int, bytes] = {}
        self._asked = frozenset(asked)
        self._whole = Frontier()
        self._part = Frontier()  # the segment or tail under way
        self._lost = 0
        self._edge: tuple[bytes, int] | None = None  # root and entries of a short segment that is gone
        self._look()

    @property
    def size(self) -> int:
        return self._lost + self._whole.size + self._part.size + (self._edge[1] if self._edge else 0)

    def root(self) -> bytes:
        """Of all that passed; means nothing unless ``known``."""
        if self._edge:
            return self._whole.joined(self._edge[0])
        return self._whole.joined(self._part.root()) if self._part.size else self._whole.root()

    def add(self, entry: bytes) -> dict[str, object]:
        """One entry, read; decoded. Raises Broken for one that is none, or another one."""
        seq = self.size
        self._must_go_on()
        try:
            told = decode(entry)
        except (ValueError, KeyError, TypeError) as error:
            raise Broken(self.epoch, seq, seq, f"it is no entry: {error}", "entry") from error
        if told["seq"] != seq or told["seq"] is True:
            raise Broken(self.epoch, seq, seq, f"entry {told['seq']} stands in its place", "entry")
        if self._part.size and self._part.size == self._whole.size & -self._whole.size:
            self.seal()  # an open tail goes on beyond what is one subtree here
        self._part.append(leaf_hash(entry))
        self.checked += 1
        if seq + 1 in self._asked:
            self._look()
        return told

    def seal(self) -> str:
        """The segment under way is complete: its root (hex). A short one closes the epoch: it stays the tree's right edge."""
        root, count = self._part.root(), self._part.size
        if count and count & (count - 1) == 0:
            self._part = Frontier()
            self._join(root, count)
        return root.hex()

    def keep(self, root: str, count: int) -> None:
        """A segment or subtree that is not here: its root is. A short one closes the epoch. Raises Broken where anything follows it."""
        self._must_go_on()
        if self.known and count & (count - 1):
            self._edge = bytes.fromhex(root), count
        else:
            self._join(bytes.fromhex(root), count)
        self._look()

    def _must_go_on(self) -> None:
        if self._edge:
            raise Broken(self.epoch, self.size, self.size, "something follows the short segment that closed the epoch", "entry")

    def lose(self, count: int) -> None:
        """Entries of which not even a root is known: behind them no root of the whole is."""
        self._lost = self.size + count
        self._whole, self._part, self._edge = Frontier(), Frontier(), None
        self.known = False

    def _join(self, root: bytes, count: int) -> None:
        if self.known:
            self._whole.append_subtree(root, count)
        else:
            self._lost += count

    def _look(self) -> None:
        if self.known and self.size in self._asked:
            self.roots[self.size] = self.root()
