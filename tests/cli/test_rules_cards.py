"""`rules cards`: a page for each rule in both languages, whole in itself, honest about what is not verified and not monitored."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from edge_gateway.cli.main import run
from tests.cli.test_rules import copied, site

__all__ = ["site"]


class Page(HTMLParser):
    """What a page loads from elsewhere, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_every_rule_has_a_card_in_both_languages_whole_in_itself(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rules", "cards", "--out", str(site / "out")]) == 0
    said = capsys.readouterr().out
    files = sorted((site / "out").iterdir())
    rules = {file.name.split(".")[0] for file in files}
    assert len(files) == 2 * len(rules)
    assert f"{len(rules)} cards" in said
    assert {"cutting-room-air", "frozen-store-air", "offal-core", "steriliser-hour"} <= rules
    for file in files:
        text = file.read_text("utf-8")
        page = Page(text)
        assert not page.loads
        assert "script" not in page.tags
        assert "url(" not in text
        assert "@import" not in text
        assert f'lang="{"zh-CN" if file.name.endswith("zh.html") else "en"}"' in text
        assert ("怎么办" in page.text) == file.name.endswith("zh.html")


def test_a_card_says_limit_points_what_to_do_and_how_well_it_is_known(site: Path) -> None:
    assert run(["rules", "cards", "cutting-room-air", "frozen-store-air", "--out", str(site / "out")]) == 0
    here = Page((site / "out/cutting-room-air.en.html").read_text("utf-8")).text
    for words in ("≤ 12 °C", "Operator's value, unverified", "Shut the doors, keep people and hot water out", "violation after 15 min", "market regulation", "In shadow"):
        assert words in here
    chinese = Page((site / "out/cutting-room-air.zh.html").read_text("utf-8")).text
    for words in ("≤ 12 °C", "运营方设定值，未核实", "关门，减少人员和热水进出", "15 分钟", "市场监管", "条款未核实", "来源", "恢复条件", "≤ 11.7 °C; 持续 5 分钟", "全年"):
        assert words in chinese
    nowhere = Page((site / "out/frozen-store-air.en.html").read_text("utf-8")).text
    assert "Not monitored here. That is not compliance." in nowhere
    assert "Operator's value, unverified" not in nowhere
    assert "The pack's limit: ≤ -18 °C" in nowhere
    assert "by a contact of its zone (defrost, door) for 30 min, never beyond -12 °C" in nowhere
    assert "转引 GB/T 24616-2019" in Page((site / "out/frozen-store-air.zh.html").read_text("utf-8")).text
    assert len(list((site / "out").iterdir())) == 4
    assert run(["rules", "cards", "cold-chain-silence", "--out", str(site / "out")]) == 0
    assert "data-missing (at its point)" in Page((site / "out/cold-chain-silence.en.html").read_text("utf-8")).text
    assert "并入本条的后果" in Page((site / "out/cold-chain-silence.zh.html").read_text("utf-8")).text


def test_what_a_pack_says_is_text_and_never_a_page(site: Path) -> None:
    copied(site, "plant-rooms", 'title_en = "Cutting room above 12 °C"', "title_en = '<script>alert(1)</script>'")
    assert run(["rules", "cards", "cutting-room-air", "--out", str(site / "out")]) == 0
    text = (site / "out/cutting-room-air.en.html").read_text("utf-8")
    assert "script" not in Page(text).tags
    assert re.search(r"&lt;script&gt;alert\(1\)", text)


def test_no_such_rule_and_no_such_folder(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rules", "cards", "cutting-room", "--out", str(site / "out")]) == 1
    assert "did you mean 'cutting-room-" in capsys.readouterr().err
    (site / "file").write_text("", encoding="utf-8")
    assert run(["rules", "cards", "--out", str(site / "file" / "x")]) == 1
