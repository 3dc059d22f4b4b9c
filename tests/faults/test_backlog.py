"""The short form of `make backlog`: some minutes' backlog drains beside live traffic; what compares finds what it should."""

from __future__ import annotations

import pytest

from tests.faults.backlog import compare, measure, planted_faults


@pytest.mark.campaign
@pytest.mark.timing
@pytest.mark.alone
def test_a_backlog_drains_beside_live_traffic_and_nothing_is_lost() -> None:
    """N = 90,000 readings in 4,500 entries: more than one segment."""
    result = measure(90_000, 80_000)
    assert result["drained"] >= 80_000, result
    assert (result["lost"], result["altered"], result["unaccounted"], result["doubled"], result["out_of_order"]) == (0, 0, 0, 0, 0)
    assert result["same"] >= 4_000
    assert result["live_entries"] > 0


def test_what_the_hub_lacks_or_holds_otherwise_is_told() -> None:
    whole = [b"%d" % n for n in range(100)]
    assert compare(whole, whole) == {"same": 100, "lost": 0, "altered": 0}
    for name, here, there in planted_faults():
        found = compare(here, there)
        assert found["lost"] or found["altered"], name
