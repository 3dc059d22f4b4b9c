"""What the hub says to a checkpoint, judged by the vectors: right cosignatures count, forged ones do not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from edge_gateway.cli import status
from edge_gateway.errors import ConfigError
from edge_gateway.record.checkpoint import witnessed_s
from edge_gateway.record.note import Key, Note
from edge_gateway.sinks.hub import HubConfig
from edge_gateway.sinks.hub_witness import ALARMS, HubWitness
from edge_gateway.web.chinese import chinese

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
    assert witness.status()["code"] == "unsupported"
    for code in ("fork", "no-key", "of-a-later-release"):
        verdict = witness.judge({"refused": code, "why": "x"}, EPOCH, note)
        assert (verdict.alarm, verdict.note) == (code if code in ALARMS else "", b"")
        assert code in witness.status()["why"]
        assert witness.status()["code"] == code
    for answer in ({"expected": 3}, {"later": 9}, {}, {"cosignature": 7}):
        assert not witness.judge(answer, EPOCH, note).note


def test_each_refusal_of_the_page_has_its_words_in_chinese() -> None:
    page = (Path(__file__).parents[2] / "docs/reference/hub-protocol.md").read_text(encoding="utf-8")
    rows = page.partition("| code | what it means |")[2].partition("\n\n")[0].splitlines()[2:]
    codes = {code.strip(" `") for row in rows for code in row.split("|")[1].split(",")}
    codes = {code for each in codes for code in each.replace("`", " ").split()}
    assert {"fork", "no-key", "closed"} <= codes
    assert codes <= set(status._NOT_COSIGNED)


def test_a_key_that_is_none_is_refused_with_the_configuration(tmp_path: Path) -> None:
    table = {"kind": "hub", "url": "https://h", "token_file": str(tmp_path / "token")}
    (tmp_path / "token").write_text("t")
    assert HubConfig.model_validate(table | {"vkey": GOOD["vkey"]})
    for wrong in ("name+00000000+BAAA", GOOD["vkey"].replace("hub", "hut"), "a+b"):
        with pytest.raises(ValidationError):
            HubConfig.model_validate(table | {"vkey": wrong})
    with pytest.raises(ConfigError, match="cannot be read") as caught:
        HubConfig.model_validate(table | {"vkey": str(tmp_path / "none")}).build("hub", "tlf-007")
    assert (caught.value.key, chinese(caught.value.why).startswith("无法读取监管端公钥")) == ("sinks.hub.vkey", True)
    (tmp_path / "file").write_text(GOOD["vkey"] + "\n")
    sink = HubConfig.model_validate(table | {"vkey": str(tmp_path / "file")}).build("hub", "tlf-007")
    assert sink.status()["witness"]["key"] == GOOD["vkey"]
