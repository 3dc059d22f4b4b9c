"""Does what docs/tutorials/a-working-day.md shows, command by command, at a running gateway with its items, and compares what is answered."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest

from edge_gateway.journal.reading import Reading
from tests.cli.site import Gateway, Plant, config_text
from tests.cli.test_record_page import _BLOCK, _HEAD, WASH, plain

pytestmark = pytest.mark.timing

PAGES = Path(__file__).resolve().parents[2] / "docs/tutorials"
_TOML = re.compile(r"^```toml\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(("page", "language"), [("a-working-day.md", "en"), ("a-working-day.zh-CN.md", "zh")])
def test_the_page_is_a_transcript(tmp_path: Path, page: str, language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (PAGES / page).read_text(encoding="utf-8")
    (items,) = _TOML.findall(text)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wang.secret").write_text("seven quiet goats at noon\n", encoding="utf-8")
    (tmp_path / "thermometer.jpg").write_bytes(b"\xff\xd8\xff\xe1\x00\x18Exif\x00\x00" + bytes(range(256)) * 40)
    with Plant() as plant, Gateway(tmp_path, config_text(plant.port, interval_s=2.0, more=WASH + items)) as running:
        running.wait(lambda: running.status().get("points", {}).get("normal") == 3, "readings")
        golden, commands = [], 0
        for block in _BLOCK.findall(text):
            told = ""
            for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
                head = _HEAD.match(part)
                assert head is not None
                done = running.verb(*shlex.split(head[0].replace("\\\n", " "))[1:], "--lang", language)
                commands, said = commands + 1, done.stdout + done.stderr
                told += f"$ {head[0]}{said}"
                assert os.environ.get("GOLDEN") == "write" or plain(said) == plain(part[head.end() :]), head[0]
            golden.append(told)
    if os.environ.get("GOLDEN") == "write":
        rest = iter(golden)
        (PAGES / page).write_text(_BLOCK.sub(lambda _: f"```console\n{next(rest)}```", text), encoding="utf-8")
    assert commands == 22
    reading = Reading(running.state)
    try:
        steps = [(e["step"], e["phase"], e.get("open")) for _, e in reading.entries() if e["kind"] == "phase" and e["step"] == "began"]
    finally:
        reading.close()
    assert steps == [("began", phase, []) for phase in ("pre-start", "production", "closing", "closed")], "a day in order"
