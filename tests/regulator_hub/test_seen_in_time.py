"""Every handling step and hub command is seen at the hub and read back from InfluxDB within 2 s, with real servers."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.handling_latency import measure, result_of

pytestmark = pytest.mark.timing


def test_each_step_is_seen_at_the_hub_and_in_influxdb_within_two_seconds(tmp_path: Path) -> None:
    result = measure(tmp_path, 1)
    assert (result["n"], result["passed"]) == (15, True), result


def test_a_step_that_one_of_them_never_shows_is_not_passed() -> None:
    good = {"what": "ack", "hub": 0.1, "influxdb": 0.1}
    assert result_of([good])["passed"]
    assert not result_of([good, good | {"influxdb": None}])["passed"]
    assert not result_of([good, good | {"hub": 2.1}])["passed"]
