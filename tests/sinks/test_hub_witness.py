"""What the hub says to a checkpoint, judged by the vectors: right cosignatures count, forged ones do not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge_gateway.record.checkpoint import witnessed_s
from edge_gateway.record.note import Key, Note
from edge_gateway.sinks.hub_witness import ALARMS, HubWitness

LINES = (Path(__file__).parents[1] / "vectors/hub-protocol.jsonl").read_text(encoding="utf-8").splitlines()
VECTORS = [vector for vector in map(json.loads, LINES) if vector["what"] == "cosignature"]
EPOCH = "0123456789abcdef"
GOOD = next(vector for vector in VECTORS if vector["valid"])


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v["why"])
def test_only_right_cosignatures_are_kept_and_count(vector: dict[str, Any]) -> None:
    witness = HubWitness(Key.parse(vector["vkey"]))
    verdict = witness.judge({"cosignature": vector["line"]}, EPOCH, vector["note"].encode())
    assert bool(verdict.note) is vector["valid"]
    assert verdict.alarm == ("" if vector["valid"] else "forged-cosignature")
    if vector["valid"]:
        assert witnessed_s(Note.parse(verdict.note), Key.parse(vector["vkey"])) == 1_800_000_000
        assert witness.status()["newest"] == {"epoch": EPOCH, "size": 7, "time_s": 1_800_000_000, "known": True}
        again = witness.judge({"cosignature": vector["line"]}, EPOCH, verdict.note)
        assert again.note == verdict.note  # its line is replaced, not doubled
        for forged in (other for other in VECTORS if not other["valid"]):
            assert not witness.judge({"cosignature": forged["line"]}, EPOCH, verdict.note).note
    else:
        assert witness.status()["newest"] is None


def test_without_a_key_it_is_kept_and_does_not_count() -> None:
    witness = HubWitness(None)
    kept = witness.judge({"cosignature": GOOD["line"]}, EPOCH, GOOD["note"].encode())
    assert kept.note
    assert witness.status()["newest"]["known"] is False
    assert not HubWitness(None).learn(EPOCH, kept.note)
    later = HubWitness(Key.parse(GOOD["vkey"]))  # the key came meanwhile
    assert later.learn(EPOCH, kept.note)
    assert not later.learn(EPOCH, GOOD["note"].encode())
    assert not later.learn(EPOCH, b"no note")


def test_what_else_a_hub_may_say() -> None:
    witness, note = HubWitness(None), GOOD["note"].encode()
    assert not witness.judge({"unsupported": "checkpoint"}, EPOCH, note).supported
    for code in ("fork", "no-key", "of-a-later-release"):
        verdict = witness.judge({"refused": code, "why": "x"}, EPOCH, note)
        assert (verdict.alarm, verdict.note) == (code if code in ALARMS else "", b"")
        assert code in witness.status()["why"]
    for answer in ({"expected": 3}, {"later": 9}, {}, {"cosignature": 7}):
        assert not witness.judge(answer, EPOCH, note).note
