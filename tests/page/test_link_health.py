"""What the page says of a line's health, in both languages: the headline, counters, hours, causes, the next step."""

from __future__ import annotations

from typing import Any

import pytest

from edge_gateway.page.links import links
from edge_gateway.page.words import Words
from edge_gateway.web.pages import catalog
from tests.cli.test_health_lines import AT_S, health


def item(language: str, level: str, **finding: Any) -> dict[str, Any]:
    """The bus's item on a page."""
    words = Words(catalog(language, "gateway"), language, "Asia/Shanghai", (AT_S + 10) * 1_000_000)
    about = health(level=level, hours=[AT_S, AT_S + 3600], **finding) | {"state": "up", "kind": "rtu"}
    for device in about["devices"].values():
        device["state"] = "answers"
    status = {
        "clock": {"trusted": True, "trust": "kernel"},
        "buses": {"line1": about},
        "sinks": {},
        "journal": {"full": False, "size_bytes": 1, "max_bytes": 2, "committed_seq": 3},
        "config": {"sha256": "0" * 64, "applied_wall_us": 1, "rejected": "", "pending_restart": []},
        "version": "1",
        "started_wall_us": 1,
    }
    (found,) = [one for one in links(status, {}, words) if one["id"] == "bus-line1"]
    return found


@pytest.mark.parametrize(
    ("language", "headline", "counters", "where", "step"),
    [
        ("en", "damaged answers from units at random", "over 1,200 answers · 3 time-outs · 41 CRC errors", "at 06, 07", "next: compare"),
        ("zh", "各从站的应答随机受损", "应答 1,200 次以上 · 超时 3 次 · CRC 错误 41 次", "时段 06, 07", "下一步：对照"),
    ],
)  # fmt: skip
def test_a_fault_is_the_headline(language: str, headline: str, counters: str, where: str, step: str) -> None:
    shown = item(language, "fail")
    assert (shown["word"], shown["bad"]) == (headline, True)
    text = "\n".join(shown["lines"])
    assert all(part in text for part in (counters, where, step)), text


def test_a_warning_is_a_line_not_a_headline() -> None:
    shown = item("en", "warn")
    assert (shown["word"], shown["bad"]) == ("connected", False)
    assert any("damaged answers from units at random" in line for line in shown["lines"])


def test_a_sound_line_makes_no_page_differ_with_every_answer() -> None:
    sound = item("en", "ok", code="healthy", causes=[])
    assert (sound["word"], sound["bad"]) == ("connected", False)
    assert not any("healthy" in line for line in sound["lines"])
