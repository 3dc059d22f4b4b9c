"""The short form of `make outage`: each part away, and all together, with the gateway killed in two of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.faults.judge import Truth
from tests.faults.outage import SHORT, campaign, stored
from tests.faults.plant import SPREAD


@pytest.mark.campaign
def test_outages_of_hub_broker_and_database_lose_nothing(tmp_path: Path) -> None:
    result = campaign(tmp_path, seconds=3.0, seed=1, outages=SHORT)
    assert result["passed"], result
    assert sum(outage["gateway_killed"] for outage in result["outages"]) == 2
    assert result["influx"]["readings"] > 0


def test_a_reading_that_influxdb_lacks_doubles_or_alters_is_told() -> None:
    truth = Truth(replies={1: {SPREAD + n: n for n in range(1, 4)}}, published={0: {1}})
    entries = [{"kind": "batch", "group": "u1.0", "values": [SPREAD + n, 0]} for n in range(1, 4)]
    entries.append({"kind": "batch", "group": "t0.0", "values": [1]})
    record = [("0123456789abcdef", [json.dumps(entry).encode() for entry in entries])]
    rows = [{"point": "u1-n", "value": float(SPREAD + n)} for n in range(1, 4)] + [{"point": "t0-n", "value": 1.0}]
    assert stored(rows, truth, record).sound
    assert stored(rows[1:], truth, record).lost == 1
    assert stored(rows[:-1], truth, record).lost == 1
    assert stored([*rows, rows[0]], truth, record).doubled == 1
    changed = stored([{"point": "u1-n", "value": float(SPREAD + 9)}, *rows[1:]], truth, record)
    assert (changed.lost, changed.altered) == (1, 1)
    assert not stored([], Truth(), []).sound
