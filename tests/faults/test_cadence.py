"""The short form of the cadence campaign, and a planted stall that it must catch."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.cadence import campaign

pytestmark = pytest.mark.timing


@pytest.mark.campaign
@pytest.mark.alone
def test_fifty_devices_miss_no_slot(tmp_path: Path) -> None:
    result = campaign(tmp_path, seconds=12)
    assert result.passed, result
    assert result.n >= 50 * 10
    assert result.jitter_p99_ms < 250, result


@pytest.mark.campaign
def test_a_gateway_that_stands_still_is_caught(tmp_path: Path) -> None:
    result = campaign(tmp_path, seconds=4, devices=5, interval_s=0.5, stall_s=1.2)
    assert not result.bad
    assert result.missed >= 5, "the campaign did not see the planted stall"
