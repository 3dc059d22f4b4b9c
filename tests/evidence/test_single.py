"""One entry and its proof: small, verified by keys from outside, and of no other entry."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest

from edge_gateway.cli.main import run as cli
from edge_gateway.record.checkpoint import Checkpoint, cosignature, cosigned_message
from edge_gateway.record.note import ED25519, Key, Signature, note_bytes
from edge_gateway.record.proof import inclusion, tlog_proof
from tests.evidence.record import GATEWAY, HUB, Epoch, entries, write
from tests.journal.entries import BEGAN_US

TOLD = entries(45)
KEYS = ["--key", str(GATEWAY.key), "--witness", str(HUB.key)]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    seconds = BEGAN_US // 1_000_000
    return write(tmp_path / "state", [Epoch("00000000000000e1", TOLD, [(11, seconds + 11), (42, seconds + 50), (45, None)])])


def judged(capsys: pytest.CaptureFixture[str], proof: Path, *options: str) -> tuple[int, dict[str, object]]:
    capsys.readouterr()
    code = cli(["journal", "verify", str(proof), "--json", *options])
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("seq", [0, 7, 8, 41])
def test_an_entry_is_proven_by_the_newest_cosigned_checkpoint(state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], seq: int) -> None:
    assert cli(["--state", str(state), "journal", "prove", "00000000000000e1", str(seq), "--out", str(tmp_path / "one")]) == 0
    proof, entry = tmp_path / "one.tlog-proof", tmp_path / "one.json"
    assert entry.read_bytes() == TOLD[seq]
    code, said = judged(capsys, proof, *KEYS)
    assert (code, said["outcome"]) == (0, "verified"), said
    assert said["checkpoint"] == {"epoch": "00000000000000e1", "size": 42, "witnessed_s": BEGAN_US // 1_000_000 + 50}
    assert judged(capsys, proof)[1]["code"] == "unknown-key"
    assert judged(capsys, proof, *KEYS[:2])[1]["code"] == "unknown-witness"
    entry.write_bytes(TOLD[seq].replace(b'"v":1', b'"v": 1'))
    assert judged(capsys, proof, *KEYS)[1]["outcome"] == "broken"
    entry.write_bytes(TOLD[(seq + 1) % len(TOLD)])
    assert judged(capsys, proof, *KEYS)[1]["at"] == {"epoch": "00000000000000e1", "first": seq, "last": seq}
    for spoilt in (b"{", b"", b"[]", b"{}", TOLD[seq][:-1], TOLD[seq] + b"\n"):
        entry.write_bytes(spoilt)
        assert judged(capsys, proof, *KEYS)[1]["code"] == "proof", "nobody signed this, whatever it is"
    entry.write_bytes(TOLD[seq])
    proof.write_bytes(proof.read_bytes()[:-20])
    assert judged(capsys, proof, *KEYS)[1]["outcome"] == "cannot-decide", "a proof that does not read accuses nobody"


def test_what_no_cosignature_covers_is_proven_as_signed(state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["--state", str(state), "journal", "prove", "00000000000000e1", "43", "--out", str(tmp_path / "one")]) == 0
    assert judged(capsys, tmp_path / "one.tlog-proof", *KEYS[:2])[1]["outcome"] == "verified"
    assert judged(capsys, tmp_path / "one.tlog-proof", *KEYS)[1]["code"] == "not-witnessed"
    for epoch, seq in (("00000000000000e1", "45"), ("00000000000000e2", "0")):
        assert cli(["--state", str(state), "journal", "prove", epoch, seq, "--out", str(tmp_path / "none")]) == 1


@pytest.mark.parametrize("size", [2**26, 2**26 - 1])
def test_a_proof_among_two_to_the_26_entries_is_less_than_two_kilobytes(size: int) -> None:
    """Seven years at one reading of a group in three seconds; hashes of subtrees are made up, their number is not."""
    path = inclusion(size * 2 // 3, size, lambda start, width: sha256(b"%d %d" % (start, width)).digest())
    assert len(path) == 26
    origin = "monitoring.example.org/xj/" + "g" * 32 + "/0123456789abcdef"
    head = Checkpoint(origin, size, bytes(32))
    key = Key(origin, ED25519, GATEWAY.key.public)
    lines = [Signature(origin, key.id, GATEWAY.private.sign(head.body().encode()))]
    lines.append(cosignature(HUB.key, 2**31, HUB.private.sign(cosigned_message(head.body(), 2**31))))
    assert len(tlog_proof(size * 2 // 3, path, note_bytes(head.body(), lines))) <= 2048
