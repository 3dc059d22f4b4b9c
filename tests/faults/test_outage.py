"""The short form of `make outage`: each part away, and all together, with the gateway killed in two of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.outage import SHORT, campaign


@pytest.mark.campaign
def test_outages_of_hub_broker_and_database_lose_nothing(tmp_path: Path) -> None:
    result = campaign(tmp_path, seconds=3.0, seed=1, outages=SHORT)
    assert result["passed"], result
    assert sum(outage["gateway_killed"] for outage in result["outages"]) == 2
    assert result["influx"]["readings"] > 0
