"""Lines of a bus's health for people: hours in the site's zone, devices behind units, counters, causes with remedies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge_gateway.cli import health_lines
from edge_gateway.cli.verbs import Context

#: 2026-11-27 22:00 UTC, the beginning of an hour: 06:00 of the 28th in Shanghai.
AT_S = 1_795_816_800


def ctx(language: str) -> Context:
    return Context(config=Path("c"), state_dir=Path("s"), socket=Path("k"), language=language)


def health(**finding: Any) -> dict[str, Any]:
    shown = {"code": "noise", "level": "fail", "causes": ["noise", "bias"], "units": [], "figures": {}, "hours": []} | finding
    counts = {"frames": 1200, "timeouts": 3, "crc_errors": 41, "damaged": 55, "exceptions": 0, "late": 0, "retries": 58}
    quiet = dict.fromkeys(counts, 0) | {"frames": 7}
    devices = {"cold2-th": {"unit": 5}, "cold2-door": {"unit": 5}, "hall": {"unit": 9}}
    return {"devices": devices, "link": {"findings": [shown], "units": {"5": counts, "9": quiet}}}


def test_hours_are_of_the_sites_clock_and_run_together() -> None:
    hours = [AT_S, AT_S + 3600, AT_S + 7200, AT_S + 8 * 3600]
    finding = {"hours": hours}
    assert health_lines.hours(finding, "Asia/Shanghai") == "06:00–08:59, 14:00–14:59"
    assert health_lines.hours(finding, "UTC") == "00:00–00:59, 06:00–06:59, 22:00–23:59"
    assert health_lines.hours({"hours": []}, "UTC") == ""


def test_status_says_counters_finding_causes_and_next_step() -> None:
    about = health(units=[5], figures={"asked": 256, "damaged": 41}, hours=[AT_S])
    english = list(health_lines.status_lines(ctx("en"), about, "Asia/Shanghai"))
    assert english[0].split("  ")[-1] == "answers 1207 · time-outs 3 · CRC errors 41 · damaged in all 55 · retries 58"
    assert "unit 5 (cold2-th/cold2-door)  answers 1200" in english[1]
    assert not any("unit 9" in line for line in english), "a unit without trouble has no line"
    assert english[2].strip() == (
        "! unit 5 (cold2-th/cold2-door)  damaged answers from units at random  at 06:00–06:59  (asked 256 · damaged 41)"
    )
    assert english[3].strip().startswith("likely: disturbance, such as a motor")
    assert english[4].strip().startswith("next: compare the noisy hours")
    chinese = " ".join(health_lines.status_lines(ctx("zh"), about, "Asia/Shanghai"))
    assert "从站 5 (cold2-th/cold2-door)  各从站的应答随机受损  时段 06:00–06:59  (询问 256 · 受损 41)" in chinese
    assert "可能原因: 干扰" in chinese


def test_nothing_asked_nothing_said() -> None:
    assert list(health_lines.status_lines(ctx("en"), {"link": {"units": {}, "findings": []}}, "UTC")) == []
    assert list(health_lines.status_lines(ctx("en"), {"kind": "mqtt"}, "UTC")) == []


def test_every_cause_has_its_remedy_below() -> None:
    lines = list(health_lines.steps(ctx("en"), health()["link"]["findings"][0]))
    assert [line[:2] for line in lines[1::2]] == ["1.", "2."]
    assert all(line.startswith("   do: ") for line in lines[2::2])
