"""Does what docs/how-to/record-lots.md shows, command by command, at a running gateway, and compares what is answered."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.site import FROZEN, THAWED, Gateway, Plant, config_text

PAGES = Path(__file__).resolve().parents[2] / "docs/how-to"
WASH = '\n[zones.wash]\nstage = "washing"\nkind = "cleaning-line"\nname_zh = "清洗间"\nname_en = "Washing hall"\n'
#: What is another at each run: times, ages, entries' numbers, the user, a photo's hash is not.
_VARIES = (
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d( [+-]\d\d:\d\d)?"), "TIME"), (re.compile(r"(entry|条目) \d+"), r"\1 N"), (re.compile(r"(age|时延) \d+ s"), r"\1 N"),
    (re.compile(r"(by|记录人):? \S+"), r"\1 USER"), (re.compile(r"\d+ d left|剩 \d+ 天"), "DAYS"), (re.compile(r"[ ]+"), " "),
)  # fmt: skip
#: A command, with the lines that it goes on in.
_HEAD = re.compile(r"(?:[^\n]*\\\n)*[^\n]*\n")
_BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[tuple[Gateway, Plant]]:
    with Plant() as plant, Gateway(tmp_path, config_text(plant.port, more=WASH)) as running:
        running.wait(lambda: any(row.get("value") is not None for row in running.status()["rows"]), "a reading")
        (tmp_path / "slip.jpg").write_bytes(b"\xff\xd8\xff\xe1\x00\x18Exif\x00\x00" + bytes(range(256)) * 40)
        yield running, plant


def plain(text: str) -> list[str]:
    for pattern, word in _VARIES:
        text = pattern.sub(word, text)
    return [line.strip() for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize(("page", "language"), [("record-lots.md", "en"), ("record-lots.zh-CN.md", "zh")])
def test_the_page_is_a_transcript(gateway: tuple[Gateway, Plant], page: str, language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    running, plant = gateway
    monkeypatch.chdir(running.folder)
    text = (PAGES / page).read_text(encoding="utf-8")
    golden, commands = [], 0
    for block in _BLOCK.findall(text):
        told = ""
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            head = _HEAD.match(part)
            assert head is not None
            shown = part[head.end() :]
            told += f"$ {head[0]}"
            if head[0].startswith("# "):  # what happens in the store meanwhile
                warm(running, plant)
                continue
            done = running.verb(*shlex.split(head[0].replace("\\\n", " "))[1:], "--lang", language)
            commands, said = commands + 1, done.stdout + done.stderr
            told += said
            assert os.environ.get("GOLDEN") == "write" or plain(said) == plain(shown), head[0]
        golden.append(told)
    assert commands == 8
    if os.environ.get("GOLDEN") == "write":
        rest = iter(golden)
        (PAGES / page).write_text(_BLOCK.sub(lambda _: f"```console\n{next(rest)}```", text), encoding="utf-8")


def warm(running: Gateway, plant: Plant) -> None:
    plant.set(1, THAWED)
    running.wait(lambda: any(v["level"] == "violation" for v in running.status()["violations"]), "a violation")
    plant.set(1, FROZEN)
    running.wait(lambda: all(v["condition"] == "recovered" for v in running.status()["violations"]), "it recovers")
