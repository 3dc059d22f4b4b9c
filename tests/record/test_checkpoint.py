"""Checkpoints and cosignatures: the specification's example, both keys, and what must not pass for one."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_gateway.record.checkpoint import Checkpoint, cosignature, cosigned_message, opened, witnessed_s
from edge_gateway.record.note import COSIGNATURE, ED25519, Key, Note, NoteError, Signature, note_bytes

#: c2sp.org/tlog-cosignature: its example, whose keys are not published.
EXAMPLE = """example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
"""
ORIGIN = "example.org/xj/tlf-007/0123456789abcdef"
HEAD = Checkpoint(ORIGIN, 4096, bytes(range(32)))


def pair(name: str, kind: int, seed: int) -> tuple[Ed25519PrivateKey, Key]:
    private = Ed25519PrivateKey.from_private_bytes(bytes((seed,)) * 32)
    raw = private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return private, Key(name, kind, raw)


GATEWAY, LOG = pair(ORIGIN, ED25519, 1)
HUB, WITNESS = pair("hub.example.org", COSIGNATURE, 2)


def signed(head: Checkpoint = HEAD) -> bytes:
    return note_bytes(head.body(), [Signature(LOG.name, LOG.id, GATEWAY.sign(head.body().encode()))])


def cosigned(note: bytes, time_s: int = 1_700_000_000) -> bytes:
    text = Note.parse(note).text
    return note + cosignature(WITNESS, time_s, HUB.sign(cosigned_message(text, time_s))).line().encode()


def test_the_specifications_example_is_read() -> None:
    note = Note.parse(EXAMPLE.encode())
    head = Checkpoint.parse(note.text)
    assert (head.origin, head.size) == ("example.com/behind-the-sofa", 20_852_163)
    assert head.body() == note.text
    witness = note.signatures[1]
    assert witness.name == "witness.example.com/w1"
    assert int.from_bytes(witness.data[:8], "big") == 1_679_315_147  # the time in the specification's signed message
    assert cosigned_message(note.text, 1_679_315_147).startswith(b"cosignature/v1\ntime 1679315147\nexample.com/behind-the-sofa\n")


def test_signed_and_cosigned() -> None:
    head, note = opened(signed(), LOG)
    assert head == HEAD
    assert witnessed_s(note, WITNESS) is None
    both = Note.parse(cosigned(cosigned(signed()), 1_700_000_100))
    assert witnessed_s(both, WITNESS) == 1_700_000_100
    assert opened(bytes(both), LOG)[0] == HEAD  # a cosignature changes nothing of the log's own


def test_another_log_or_key_is_no_checkpoint_of_ours() -> None:
    _, other = pair(ORIGIN, ED25519, 3)
    with pytest.raises(NoteError, match="no valid signature"):
        opened(signed(), other)
    _, elsewhere = pair("example.org/xj/other/0123456789abcdef", ED25519, 1)
    with pytest.raises(NoteError, match="not the log"):
        opened(signed(), elsewhere)
    with pytest.raises(NoteError, match="no witness"):
        witnessed_s(Note.parse(signed()), LOG)


def test_every_altered_byte_of_a_cosignature_is_found() -> None:
    whole, before = cosigned(signed()), len(signed())
    for at in range(before, len(whole) - 1):
        altered = whole[:at] + bytes((whole[at] ^ 1,)) + whole[at + 1 :]
        try:
            assert witnessed_s(Note.parse(altered), WITNESS) is None, at
        except NoteError:
            continue


def test_a_cosignature_counts_for_its_own_text_only() -> None:
    grown = Checkpoint(ORIGIN, 8192, HEAD.root)
    stolen = Note.parse(cosigned(signed())).signatures[1]
    assert witnessed_s(Note.parse(signed(grown) + stolen.line().encode()), WITNESS) is None
    plain = Signature(WITNESS.name, WITNESS.id, (1).to_bytes(8, "big") + HUB.sign(HEAD.body().encode()))
    assert witnessed_s(Note.parse(signed() + plain.line().encode()), WITNESS) is None  # signed without time


@pytest.mark.parametrize(
    "text",
    [
        "", "o\n1\n", f"o\n01\n{'A' * 43}=\n", f"o\n-1\n{'A' * 43}=\n", f"o\n١\n{'A' * 43}=\n", f"\n1\n{'A' * 43}=\n",
        f"o o\n1\n{'A' * 43}=\n", f"o\n1\n{'A' * 42}B=\n", "o\n1\nAAAA\n", f"o\n1\n{'A' * 43}=", "o\n1\n!\n",
        f"o\n1\n{'A' * 43}=\nextension\n", f"o\n{'9' * 20}\n{'A' * 43}=\n",
    ],
)  # fmt: skip
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(NoteError):
        Checkpoint.parse(text)


def test_an_empty_log_has_a_checkpoint() -> None:
    text = f"o\n0\n{base64.b64encode(bytes(32)).decode()}\n"
    assert Checkpoint.parse(text).size == 0
