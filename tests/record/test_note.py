"""Notes and keys against the reference implementation's own vectors, and against every mangling of them."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from edge_gateway.record.note import COSIGNATURE, ED25519, Key, Note, NoteError, Signature, merged, note_bytes

# golang.org/x/mod/sumdb/note, note_test.go (BSD-3-Clause): a key, its seed, and a note that it signed.
VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
SEED = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
LINE = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
NOTE = (TEXT + "\n" + LINE).encode()


def test_the_reference_key_and_note() -> None:
    key = Key.parse(VKEY)
    assert (key.name, key.kind, key.id.hex(), str(key)) == ("PeterNeumann", ED25519, "c74f20a3", VKEY)
    note = Note.parse(NOTE)
    assert note.text == TEXT
    assert note.signed_by(key)
    assert bytes(note) == NOTE
    signature = Ed25519PrivateKey.from_private_bytes(SEED).sign(TEXT.encode())
    assert note_bytes(TEXT, [Signature(key.name, key.id, signature)]) == NOTE  # Ed25519 is deterministic


def test_no_mangled_key_is_taken() -> None:
    for i in range(len(VKEY) + 1):
        for j in range(i + 1, len(VKEY) + 1):
            if VKEY[i:j] != VKEY:
                with pytest.raises(NoteError):
                    Key.parse(VKEY[i:j])
    for i, letter in enumerate(VKEY):
        with pytest.raises(NoteError):
            Key.parse(VKEY[:i] + chr(ord(letter) + 1) + VKEY[i + 1 :])
    for wrong in (
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",  # too long, its id adjusted
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",  # unknown type, its id adjusted
    ):
        with pytest.raises(NoteError):
            Key.parse(wrong)


def test_every_altered_byte_of_a_note_is_found() -> None:
    key = Key.parse(VKEY)
    for at in range(len(NOTE)):
        altered = NOTE[:at] + bytes((NOTE[at] ^ 1,)) + NOTE[at + 1 :]
        try:
            assert not Note.parse(altered).signed_by(key), at
        except NoteError:
            continue


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\n", b"text\n", b"text\n\n", b"text\n\n\n", NOTE[:-1], NOTE + b"\n", NOTE.replace(b"If", b"I\x01"),
        NOTE.replace("— ".encode(), b"- "), NOTE.replace(b"x08g", b"x08"), b"\xff" + NOTE, b"a" * 70_000 + NOTE,
        NOTE + LINE.encode() * 100, NOTE + "— a YQ==\n".encode(), NOTE + "— a+b AAAAAAA=\n".encode(),
        NOTE.replace(b"nAM=", b"nAN="),  # the same bytes, spelled with padding bits set
    ],
)  # fmt: skip
def test_what_is_no_note_is_refused(data: bytes) -> None:
    with pytest.raises(NoteError):
        Note.parse(data)


def test_unknown_signatures_are_passed_over_and_a_wrong_one_of_a_known_key_is_not() -> None:
    key = Key.parse(VKEY)
    stranger = Signature("stranger.example", b"\0\0\0\1", b"x" * 64)
    same_name = Signature(key.name, b"\0\0\0\1", b"x" * 64)
    assert Note.parse(NOTE + stranger.line().encode() + same_name.line().encode()).signed_by(key)
    wrong = Signature(key.name, key.id, b"x" * 64)
    assert not Note.parse(NOTE + wrong.line().encode()).signed_by(key)
    assert not Note.parse((TEXT + "\n" + stranger.line()).encode()).signed_by(key)
    other_type = Key(key.name, COSIGNATURE, key.public)
    assert other_type.id != key.id
    assert not Note.parse(NOTE).signed_by(other_type)


@given(st.binary(max_size=300))
def test_foreign_bytes_give_a_note_or_a_reason(data: bytes) -> None:
    try:
        note = Note.parse(data)
    except NoteError:
        return
    assert bytes(note) == data


def test_two_witnesses_lines_stand_side_by_side_in_one_note() -> None:
    note = Note.parse(NOTE)
    first, second, later = (Signature(name, b"abcd", bytes([n]) * 72) for n, name in enumerate(("hub-1", "hub-2", "hub-1")))
    one, two = (note_bytes(TEXT, [*note.signatures, line]) for line in (first, second))
    assert Note.parse(merged(one, two)).signatures == (*note.signatures, second, first)
    again = note_bytes(TEXT, [*note.signatures, later])
    assert merged(one, again) == again  # the same witness: its newest line counts
    assert merged(NOTE, one) == merged(one, NOTE) == one
    other = note_bytes("another text\n", note.signatures)
    assert merged(one, other) == other
    assert merged(b"no note", one) == one
