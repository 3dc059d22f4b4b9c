"""Series of the day's bytes, the keep time and the card's wear: there where something is known, and not where nothing is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from prometheus_client.core import Metric

from edge_gateway.page import metrics

SINK = {"backlog": 3, "last_ok_wall_us": 0, "skipped": 0, "state": "held"}


def values(found: Iterable[Metric]) -> dict[str, float]:
    return {f"{sample.name}{sorted(sample.labels.values())}": sample.value for metric in found for sample in metric.samples}


def test_a_sinks_day_is_shown_where_it_is_bounded() -> None:
    budget = {"bytes_per_day": 1000, "used": 1200, "until_us": 5_000_000}
    sinks: dict[str, Any] = {"far": SINK | {"budget": budget}, "near": SINK | {"budget": None}}
    found = values(metrics._sinks(sinks))
    assert found["edge_gateway_sink_budget_bytes['far']"] == 1000
    assert found["edge_gateway_sink_budget_used_bytes['far']"] == 1200
    assert found["edge_gateway_sink_held_until_time_seconds['far']"] == 5
    assert not [name for name in found if "budget" in name and "near" in name]
    budget["until_us"] = None
    assert values(metrics._sinks(sinks))["edge_gateway_sink_held_until_time_seconds['far']"] == 0


def test_wear_has_no_series_where_the_kernel_does_not_count() -> None:
    known = {"written_bytes": 4096, "readings": 2, "bytes_per_reading": 2048.0}
    found = values(metrics._wear(known))
    assert found["edge_gateway_storage_written_bytes_total[]"] == 4096
    assert found["edge_gateway_storage_written_bytes_per_reading[]"] == 2048
    assert values(metrics._wear({"written_bytes": None, "readings": 2, "bytes_per_reading": None})) == {}


def test_the_keep_time_and_what_went_before_it() -> None:
    found = values(metrics._journal({"keeping": {"freed_early": 3, "keep_us": 60_000_000}}))
    assert found["edge_gateway_journal_freed_early_segments_total[]"] == 3
    assert found["edge_gateway_journal_keep_seconds[]"] == 60
