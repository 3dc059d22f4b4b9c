"""Leaves and roots against RFC 6962's own definition, published vectors and pymerkle."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymerkle import InmemoryTree

from edge_gateway.record.merkle import EMPTY_ROOT, Frontier, leaf_hash, node_hash, tree_root

#: The reference tree of the Certificate Transparency implementation (certificate-transparency merkletree test):
#: its eight leaves' inputs, and the root after each.
LEAVES = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def by_definition(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, word for word: split at the largest power of two smaller than n."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaf_hash(leaves[0])
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return node_hash(by_definition(leaves[:split]), by_definition(leaves[split:]))


def test_published_vectors() -> None:
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    for size, root in enumerate(ROOTS, 1):
        assert tree_root(map(leaf_hash, LEAVES[:size])).hex() == root


@given(st.lists(st.binary(max_size=40), max_size=130))
@settings(deadline=None, max_examples=60)
def test_roots_equal_the_definition_and_pymerkle(leaves: list[bytes]) -> None:
    root = tree_root(map(leaf_hash, leaves))
    assert root == by_definition(leaves)
    if leaves:
        oracle = InmemoryTree(algorithm="sha256")
        for leaf in leaves:
            oracle.append_entry(leaf)
        assert root == oracle.get_root()


@given(st.integers(0, 40), st.integers(0, 5), st.integers(0, 31))
@settings(deadline=None)
def test_whole_subtrees_can_be_added_by_their_roots(wholes: int, exponent: int, rest: int) -> None:
    width = 1 << exponent
    rest %= width
    leaves = [b"%d" % number for number in range(wholes * width + rest)]
    frontier = Frontier()
    for number in range(wholes):
        part = leaves[number * width : (number + 1) * width]
        frontier.append_subtree(tree_root(map(leaf_hash, part)), width)
    for leaf in leaves[wholes * width :]:
        frontier.append(leaf_hash(leaf))
    assert frontier.size == len(leaves)
    assert frontier.root() == tree_root(map(leaf_hash, leaves))
    again = Frontier(frontier.size, frontier.edge)
    again.append(b"\0" * 32)
    frontier.append(b"\0" * 32)
    assert again.root() == frontier.root()


def test_a_subtree_that_does_not_fit_is_refused() -> None:
    frontier = Frontier()
    frontier.append(leaf_hash(b"one"))
    with pytest.raises(ValueError, match="does not fit"):
        frontier.append_subtree(leaf_hash(b"two"), 2)
    with pytest.raises(ValueError, match="does not fit"):
        Frontier().append_subtree(leaf_hash(b"two"), 3)
