"""Vectors of hashes, trees and proofs, about half of them bad, each judged by the definitions in `oracle`; knows neither verifier."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from random import Random
from typing import Any

from tests.vectors import oracle

Vector = dict[str, Any]
MOST_LEAVES = 70


def sha2(rng: Random, bad: bool) -> Vector:
    """No digest is bad: lengths around the block's end stand for the edge."""
    bits = rng.choice((256, 512))
    data = rng.randbytes(rng.choice((rng.randrange(300), rng.choice((55, 56, 63, 64, 111, 112, 119, 127, 128, 183, 184)))))
    return {"kind": f"sha{bits}", "given": {"data": oracle.b64(data)}, "want": hashlib.new(f"sha{bits}", data).hexdigest()}


def tree(rng: Random, bad: bool) -> Vector:
    entries = [rng.randbytes(rng.randrange(200)) for _ in range(rng.randrange(MOST_LEAVES))]
    root = oracle.root_of([oracle.leaf(entry) for entry in entries])
    return {"kind": "tree", "given": {"entries": [oracle.b64(entry) for entry in entries]}, "want": root.hex()}


def inclusion(rng: Random, bad: bool) -> Vector:
    leaves = [rng.randbytes(32) for _ in range(rng.randrange(1, MOST_LEAVES))]
    index = rng.randrange(len(leaves))
    given = {
        "leaf": leaves[index], "index": index, "size": len(leaves),
        "path": oracle.path_of(leaves, index), "root": oracle.root_of(leaves),
    }  # fmt: skip
    if bad:
        rng.choice(_SPOIL_INCLUSION)(rng, given)
    want = oracle.includes(given["leaf"], given["index"], given["size"], given["path"], given["root"])
    return {"kind": "inclusion", "given": _hexed(given), "want": want}


def consistency(rng: Random, bad: bool) -> Vector:
    leaves = [rng.randbytes(32) for _ in range(rng.randrange(1, MOST_LEAVES))]
    size = len(leaves)
    old = rng.choice((rng.randrange(size + 1), 1 << rng.randrange(size.bit_length()), rng.randrange(size + 1)))
    given = {
        "old": old, "old_root": oracle.root_of(leaves[:old]), "size": size, "root": oracle.root_of(leaves),
        "path": oracle.consistency_of(leaves, old),
    }  # fmt: skip
    if bad:
        rng.choice(_SPOIL_CONSISTENCY)(rng, given)
    want = oracle.extends(given["old"], given["old_root"], given["size"], given["root"], given["path"])
    return {"kind": "consistency", "given": _hexed(given), "want": want}


def _hexed(given: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for name, value in given.items():
        shown[name] = value.hex() if isinstance(value, bytes) else [each.hex() for each in value] if isinstance(value, list) else value
    return shown


def flipped(rng: Random, data: bytes) -> bytes:
    """With one bit changed."""
    at = rng.randrange(len(data) * 8)
    return data[: at // 8] + bytes([data[at // 8] ^ 1 << at % 8]) + data[at // 8 + 1 :]


def _flip(name: str) -> Callable[[Random, dict[str, Any]], None]:
    def spoil(rng: Random, given: dict[str, Any]) -> None:
        given[name] = flipped(rng, given[name])

    return spoil


def _number(name: str) -> Callable[[Random, dict[str, Any]], None]:
    def spoil(rng: Random, given: dict[str, Any]) -> None:
        size = given["size"]
        given[name] = rng.choice((given[name] + 1, max(0, given[name] - 1), given[name] ^ 1, size, 2 * size, rng.randrange(2 * size + 1), 2**53 - 1))

    return spoil


def _flip_path(rng: Random, given: dict[str, Any]) -> None:
    path = given["path"]
    if path:
        at = rng.randrange(len(path))
        path[at] = flipped(rng, path[at])
    else:
        path.append(rng.randbytes(32))


def _lose_hash(rng: Random, given: dict[str, Any]) -> None:
    if given["path"]:
        del given["path"][rng.choice((0, -1, rng.randrange(len(given["path"]))))]
    else:
        given["path"] = [given["root"]]


def _more_hashes(rng: Random, given: dict[str, Any]) -> None:
    """At the end, where a checker that does not count would still have the root; up to beyond 63 of them."""
    path = given["path"]
    more = rng.choice((1, 1, 2, 64))
    given["path"] = rng.choice((path + [rng.randbytes(32)] * more, [rng.randbytes(32)] * more + path, path + path[-1:] * more))


def _swap(rng: Random, given: dict[str, Any]) -> None:
    path = given["path"]
    if len(path) > 1:
        at = rng.randrange(len(path) - 1)
        path[at], path[at + 1] = path[at + 1], path[at]
    else:
        _flip_path(rng, given)


def _trade_roots(rng: Random, given: dict[str, Any]) -> None:
    given["old_root"], given["root"] = given["root"], given["old_root"]


def _beyond(rng: Random, given: dict[str, Any]) -> None:
    """A leaf that is not in the tree, with the path of the last one: what a checker that asks only for the root takes."""
    given["index"] = given["size"] + rng.randrange(3)


def _grafted(rng: Random, given: dict[str, Any]) -> None:
    """Deeper or flatter than the tree is: the root of a subtree in the leaf's place, its path cut to fit."""
    if given["path"]:
        down = given["path"].pop(0)
        left = given["index"] % 2 == 0
        given["leaf"] = oracle.node(given["leaf"], down) if left else oracle.node(down, given["leaf"])


_SPOIL_INCLUSION = (
    _flip("leaf"), _flip("root"), _flip_path, _flip_path, _number("index"), _number("size"),
    _lose_hash, _more_hashes, _more_hashes, _swap, _beyond, _grafted,
)  # fmt: skip
_SPOIL_CONSISTENCY = (
    _flip("old_root"), _flip("root"), _flip_path, _flip_path, _number("old"), _number("size"),
    _lose_hash, _more_hashes, _more_hashes, _swap, _trade_roots,
)  # fmt: skip
