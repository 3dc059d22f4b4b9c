"""What goes on as part of a violation, on the gateway's page and command line, in both languages; and what its points' rows say."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest

from edge_gateway.cli.verbs import Context
from edge_gateway.cli.violation_lines import lines
from edge_gateway.page.shown import MOST_HELD, violations
from edge_gateway.page.view import apparent
from edge_gateway.web import pages
from tests.page.site import MIN, NOW_US, resolved, rule, step, words

HELD = step(violation="tlf-007-2", condition="recovered", rule="house-quiet", handling="merged", into="tlf-007-1", minutes=12.5, first={"rule_us": 1, "wall_us": NOW_US - 40 * MIN, "value": None})
RULES = {"air": {"frozen-store-air": rule().as_config(), "house-quiet": {"title_zh": "无数据", "title_en": "No <data>", "kind": "stale"}}}


def text(language: str, count: int) -> str:
    said = words(language)
    found = violations([step(holds=count)], RULES, resolved()["points"], said, lambda id_: [HELD] * count if id_ == "tlf-007-1" else [])
    markup = str(pages.fragments("gateway_parts.html").open(found, said.t))
    assert "<data>" not in markup, "nothing breaks out"
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", markup)))


@pytest.mark.parametrize(("language", "wanted"), [("en", ("Because of this: 2 more", "No <data>", "12.5 min")), ("zh", ("由此引起：另有 2 项", "无数据", "自 "))])
def test_a_violation_lists_what_goes_on_as_part_of_it(language: str, wanted: tuple[str, ...]) -> None:
    shown = text(language, 2)
    for each in wanted:
        assert each in shown
    assert shown.count("12.5") == 2
    assert "{" not in shown


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_long_list_says_how_many_more(language: str) -> None:
    shown = text(language, MOST_HELD + 7)
    assert shown.count("12.5") == MOST_HELD
    assert words(language).say("violation.more", n=7) in shown


def test_a_row_shows_what_is_hidden_by_a_cause_but_for_silence() -> None:
    warm, silent = step(violation="tlf-007-3", handling="merged"), HELD | {"condition": "active"}
    assert [each["violation"] for each in apparent([step(), warm, silent], RULES)] == ["tlf-007-1", "tlf-007-3"]


@pytest.mark.parametrize(("language", "wanted"), [("en", "holds      tlf-007-2  house-quiet  air  recovered  since "), ("zh", "包含      tlf-007-2  house-quiet  air  ")])
def test_the_command_line_names_them_one_by_one(language: str, wanted: str) -> None:
    deeper = HELD | {"violation": "tlf-007-3", "into": "tlf-007-2"}
    found = {"violation": step(), "rule": {}, "consequences": [HELD, deeper]}
    shown = list(lines(Context(Path(), Path(), Path(), language=language), found, "Asia/Shanghai", NOW_US))
    assert any(line.startswith(wanted) for line in shown), shown
    assert sum("tlf-007-2)" in line for line in shown) == 1, "of one that is part of a part it is said of which"
