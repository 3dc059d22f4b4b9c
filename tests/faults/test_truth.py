"""The short form of `make truth`: fifteen minutes of the plant in half a one, compared value by value at the hub and in a real InfluxDB."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.truth import campaign, passed


@pytest.mark.campaign
async def test_every_value_that_the_plant_gave_is_at_hub_and_database_once_and_unaltered(tmp_path: Path) -> None:
    result = await campaign(tmp_path, seconds=30, seed=1, speed=30.0)
    assert passed(result), result
    assert result["readings"] > 500
    assert result["late"] < result["readings"] / 100, "the machine was too busy to tell"
    assert result["hub"]["readings"] == result["influx"]["readings"]
