"""A violation reaches the hub within 2 s while a backlog is being delivered; `bench/violation_latency.py` measures it with a day's."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.violation_latency import measure, options_of

pytestmark = [pytest.mark.timing, pytest.mark.alone]


@pytest.mark.campaign
def test_violations_overtake_a_backlog_that_is_being_delivered(tmp_path: Path) -> None:
    result = measure(tmp_path, options_of(["--readings", "400000", "--alarms", "4", "--pause", "0.1"]))
    assert result["violations"], "the backlog was delivered before a violation was seen"
    assert not any(sample["in_order"] for sample in result["samples"][:1])
    assert result["worst_s"] <= 2.0, result
