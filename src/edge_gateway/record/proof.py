"""Proofs over RFC 6962 trees: that an entry is in one, that one grew out of another; pure: hashes come from outside.

Sources: RFC 6962 section 2.1.1 and 2.1.2 (paths), RFC 9162 section 2.1.3.2 and 2.1.4.2 (checking them), c2sp.org/tlog-proof.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence

from edge_gateway.record.merkle import node_hash
from edge_gateway.record.note import NoteError, unbase64

#: Root of the ``width`` leaves from ``start`` on. ``width`` is a power of two and divides ``start``.
Subtree = Callable[[int, int], bytes]
#: More hashes than any tree of less than 2⁶³ leaves needs.
MAX_HASHES = 63
_HEAD = "c2sp.org/tlog-proof@v1"
_NUMBER = re.compile(r"(0|[1-9][0-9]{0,15})\Z")
_MOST = 2**53 - 1


def range_root(start: int, end: int, subtree: Subtree) -> bytes:
    """Root of leaves ``start`` … ``end - 1`` as RFC 6962 joins them; ``start`` is aligned as a left or right subtree is."""
    width = end - start
    if width & (width - 1) == 0:
        return subtree(start, width)
    split = start + _split(width)
    return node_hash(range_root(start, split, subtree), range_root(split, end, subtree))


def _split(size: int) -> int:
    """The largest power of two smaller than ``size``."""
    return 1 << ((size - 1).bit_length() - 1)


def inclusion(index: int, size: int, subtree: Subtree) -> list[bytes]:
    """The path of leaf ``index`` in the tree of ``size`` leaves, from the leaf's sibling up. Raises ValueError outside it."""
    if not 0 <= index < size:
        raise ValueError(f"no entry {index} in a tree of {size}")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        split = start + _split(end - start)
        if index < split:
            path.append(range_root(split, end, subtree))
            end = split
        else:
            path.append(range_root(start, split, subtree))
            start = split
    return path[::-1]


def includes(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether ``path`` leads from the leaf's hash at ``index`` to ``root`` of ``size`` leaves."""
    if not 0 <= index < size or len(path) > MAX_HASHES:
        return False
    at, last, found = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return False
        if at & 1 or at == last:
            found = node_hash(sibling, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and found == root


def consistency(old: int, new: int, subtree: Subtree) -> list[bytes]:
    """The proof that the tree of ``old`` leaves is the beginning of that of ``new``; [] where nothing needs proving.

    Raises ValueError when ``old`` is larger.
    """
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {new} does not grow out of one of {old}")
    return [] if old in (0, new) else _subproof(old, 0, new, True, subtree)


def _subproof(old: int, start: int, end: int, known: bool, subtree: Subtree) -> list[bytes]:
    """RFC 6962's SUBPROOF of leaves ``start`` … ``end - 1``; ``known``: the old tree is this very subtree, so its root is known."""
    if old == end:
        return [] if known else [range_root(start, end, subtree)]
    split = start + _split(end - start)
    if old <= split:
        return [*_subproof(old, start, split, known, subtree), range_root(split, end, subtree)]
    return [*_subproof(old, split, end, False, subtree), range_root(start, split, subtree)]


def extends(old: int, old_root: bytes, new: int, new_root: bytes, path: Sequence[bytes]) -> bool:
    """Whether ``path`` proves that the tree (``new``, ``new_root``) begins with the tree (``old``, ``old_root``)."""
    if not 0 <= old <= new or len(path) > MAX_HASHES:
        return False
    if old in (0, new):
        return not path and (old == 0 or old_root == new_root)
    hashes = [old_root, *path] if old & (old - 1) == 0 else list(path)
    if not hashes:
        return False
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    first = second = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            second = node_hash(second, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and first == old_root and second == new_root


def tlog_proof(index: int, path: Sequence[bytes], checkpoint: bytes) -> bytes:
    """Proof of one entry as a text of its own (``.tlog-proof``): index, path, and the signed checkpoint as it is."""
    lines = [_HEAD, f"index {index}", *(base64.b64encode(each).decode() for each in path), "", ""]
    return "\n".join(lines).encode() + checkpoint


def parse_tlog_proof(data: bytes) -> tuple[int, list[bytes], bytes]:
    """Index, path, checkpoint. Extra data, which nothing vouches for, is passed over. Raises NoteError."""
    head, gap, checkpoint = data.partition(b"\n\n")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise NoteError("a proof's own lines are ASCII") from None
    if not gap or lines[0] != _HEAD:
        raise NoteError(f"a proof begins with {_HEAD}")
    lines = lines[2:] if len(lines) > 1 and lines[1].startswith("extra ") else lines[1:]
    number = lines[0].removeprefix("index ") if lines else ""
    if not lines or not lines[0].startswith("index ") or not _NUMBER.match(number) or int(number) > _MOST:
        raise NoteError("a proof names its entry: index <number>")
    if len(lines) - 1 > MAX_HASHES:
        raise NoteError(f"{len(lines) - 1} hashes, more than {MAX_HASHES}")
    path = []
    for line in lines[1:]:
        found = unbase64(line)
        if found is None or len(found) != 32:
            raise NoteError(f"no hash: {line[:80]!r}")
        path.append(found)
    return int(number), path, checkpoint
