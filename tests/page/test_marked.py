"""What page and status say of points that are marked, of the phase and of calibrations that are due."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_gateway.cli.marking import worked_at
from edge_gateway.cli.verbs import Context
from edge_gateway.marks import TYPES
from edge_gateway.page.shown import row
from tests.page.site import NOW_US, reading, resolved, rows, words


def said(language: str) -> Context:
    return Context(config=Path("c"), state_dir=Path("s"), socket=Path("x"), language=language)


@pytest.mark.parametrize("type_", TYPES)
@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_marked_row_says_so_until_when(type_: str, language: str) -> None:
    about = rows(resolved(), {"air": (reading(-19.0), reading(-19.0))})["air"]
    assert row(about, words(language))["why"] == ""
    marked = about | {"mark": {"mark": "M-1", "type": type_, "until_wall_us": NOW_US + 27 * 60_000_000}}
    why = row(marked, words(language))["why"]
    assert "14:30" in why
    assert type_ not in why or language == "en"


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_row_says_that_its_readings_are_corrected_and_when_its_probe_is_due(language: str) -> None:
    about = rows(resolved(), {"air": (reading(-19.0), reading(-19.0))})["air"]
    why = row(about | {"correction": {"offset": -0.6, "until_wall_us": NOW_US}}, words(language))["why"]
    assert "\u22120.6" in why
    assert "14:03" in why
    said = {overdue: row(about | {"calibration": {"due": "2026-03-01", "overdue": overdue}}, words(language))["why"] for overdue in (True, False)}
    assert all("2026-03-01" in each for each in said.values())
    assert said[True] != said[False]


def test_status_lines() -> None:
    mark = {"mark": "M-1", "type": "calibration", "scope": {"points": ["air"]}, "until_wall_us": NOW_US}
    due = [{"point": "air", "due": "2026-03-01", "days": -4, "overdue": True, "soon": True}, {"point": "b", "due": "x", "days": 80, "overdue": False, "soon": False}]
    status = {"marks": [mark], "phase": {"phase": "production", "since_wall_us": NOW_US}, "calibration_due": due}
    english = list(worked_at(said("en"), status, "Asia/Shanghai"))
    assert [line.split()[0] for line in english] == ["mark", "phase", "due"]
    assert "point=air" in english[0]
    assert "生产中" in list(worked_at(said("zh"), status, "Asia/Shanghai"))[1]
    assert list(worked_at(said("en"), {}, "Asia/Shanghai")) == []
