"""Proofs against RFC 6962's published tree, its own definition, pymerkle, and every altered hash."""

from __future__ import annotations

import base64
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymerkle import InmemoryTree

from edge_gateway.record.merkle import leaf_hash, node_hash, tree_root
from edge_gateway.record.note import NoteError
from edge_gateway.record.proof import (
    MAX_HASHES,
    Subtree,
    consistency,
    extends,
    includes,
    inclusion,
    parse_tlog_proof,
    range_root,
    tlog_proof,
)
from tests.record.test_merkle import LEAVES, ROOTS


def tree(leaves: list[bytes]) -> Subtree:
    def subtree(start: int, width: int) -> bytes:
        assert width & (width - 1) == 0
        assert start % width == 0
        return tree_root(leaves[start : start + width])

    return subtree


PUBLISHED = tree([leaf_hash(leaf) for leaf in LEAVES])


def test_published_proofs() -> None:
    """certificate-transparency's reference vectors (Apache-2.0)."""
    assert [h.hex() for h in consistency(6, 8, PUBLISHED)] == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]
    assert [h.hex() for h in consistency(2, 5, PUBLISHED)] == [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ]
    assert inclusion(0, 1, PUBLISHED) == []
    assert [h.hex() for h in inclusion(2, 3, PUBLISHED)] == [ROOTS[1]]


@pytest.mark.parametrize("size", [*range(1, 34), 63, 64, 65, 127, 129])
def test_every_entry_is_proven_and_no_other_index_or_leaf(size: int) -> None:
    leaves = [leaf_hash(b"%d" % i) for i in range(size)]
    root, subtree = tree_root(leaves), tree(leaves)
    oracle = InmemoryTree(algorithm="sha256")
    for i in range(size):
        oracle.append_entry(b"%d" % i)
    for index in range(size):
        path = inclusion(index, size, subtree)
        assert includes(leaves[index], index, size, path, root)
        assert path == [bytes.fromhex(h) for h in oracle.prove_inclusion(index + 1).serialize()["path"]][1:]
        assert not includes(leaf_hash(b"other"), index, size, path, root)
        assert not includes(leaves[index], index, size, [*path, root], root)
        if path:
            assert not includes(leaves[index], index, size, path[:-1], root)
            assert not includes(leaves[index], index, size, [path[0][::-1], *path[1:]], root)
            assert not includes(leaves[index], (index + 1) % size, size, path, root)


@given(st.integers(0, 80), st.integers(0, 80), st.integers(0, 2**32))
@settings(deadline=None, max_examples=300)
def test_growth_is_proven_and_a_fork_is_not(a: int, b: int, seed: int) -> None:
    old, new = sorted((a, b))
    leaves = [leaf_hash(b"%d" % i) for i in range(new)]
    old_root, new_root = tree_root(leaves[:old]), tree_root(leaves)
    path = consistency(old, new, tree(leaves))
    assert extends(old, old_root, new, new_root, path)
    assert not extends(old, old_root, new, new_root, [*path, new_root])
    if old:
        assert not extends(old, old_root[::-1], new, new_root, path)
        forked = list(leaves)
        forked[random.Random(seed).randrange(old)] = leaf_hash(b"forked")
        assert not extends(old, old_root, new, tree_root(forked), consistency(old, new, tree(forked)))
    if old and new > old:
        assert not extends(old, old_root, new, new_root[::-1], path)
        assert not extends(new, new_root, old, old_root, path)
        assert not extends(old, old_root, new, new_root, path[:-1])


def test_out_of_the_tree_is_an_error_and_too_long_a_path_is_none() -> None:
    for index, size in ((-1, 3), (3, 3), (0, 0)):
        with pytest.raises(ValueError, match="no entry"):
            inclusion(index, size, PUBLISHED)
        assert not includes(b"", index, size, [], b"")
    with pytest.raises(ValueError, match="does not grow"):
        consistency(4, 3, PUBLISHED)
    assert not includes(b"", 0, 2**62, [b""] * (MAX_HASHES + 1), b"")
    assert not extends(1, b"", 2**62, b"", [b""] * (MAX_HASHES + 1))


def test_ranges_are_joined_as_the_rfc_joins_them() -> None:
    leaves = [leaf_hash(b"%d" % i) for i in range(7)]
    assert range_root(0, 7, tree(leaves)) == tree_root(leaves)
    assert range_root(4, 7, tree(leaves)) == node_hash(node_hash(leaves[4], leaves[5]), leaves[6])


def test_a_proof_as_a_text_is_short_at_67_million_entries() -> None:
    path = [bytes((i,)) * 32 for i in range(26)]  # 2**26 entries
    checkpoint = b"o" * 64 + b"\n67108864\n" + b"A" * 43 + b"=\n\n" + b"\xe2\x80\x94 k s\n" * 2
    text = tlog_proof(67_108_863, path, checkpoint)
    assert parse_tlog_proof(text) == (67_108_863, path, checkpoint)
    assert len(text) < 2048


@pytest.mark.parametrize(
    "text",
    [
        "", "x\n\n", "c2sp.org/tlog-proof@v1\n\n", "c2sp.org/tlog-proof@v1\nindex -1\n\n", "c2sp.org/tlog-proof@v1\nindex 01\n\n",
        "c2sp.org/tlog-proof@v1\nindex 1\nAAAA\n\n", "c2sp.org/tlog-proof@v1\nindex 1\n!\n\n", "c2sp.org/tlog-proof@v1\nindex 1\n",
        "c2sp.org/tlog-proof@v1\nextra AAAA\n\n", "c2sp.org/tlog-proof@v1\nindex é\n\n",
        "c2sp.org/tlog-proof@v1\nindex 1\n" + f"{'A' * 43}=\n" * 64 + "\n",
    ],
)  # fmt: skip
def test_what_is_no_proof_is_refused(text: str) -> None:
    with pytest.raises(NoteError):
        parse_tlog_proof(text.encode())


def test_extra_data_is_passed_over() -> None:
    line = base64.b64encode(bytes(32)).decode()
    text = f"c2sp.org/tlog-proof@v1\nextra AAAA\nindex 0\n{line}\n\ncheckpoint".encode()
    assert parse_tlog_proof(text) == (0, [bytes(32)], b"checkpoint")
