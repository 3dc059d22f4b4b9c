"""The short form of `make killloop`, and its planted faults."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.judge import Seen
from tests.faults.killloop import Start, campaign, first_readings_s, merged


@pytest.mark.campaign
@pytest.mark.timing  # each start has 5 s to its first durable reading
def test_kills_of_gateway_signer_hub_and_broker_lose_nothing_acknowledged(tmp_path: Path) -> None:
    result = campaign(tmp_path, n=5, seed=1)
    assert result["passed"], {name: value for name, value in result.items() if value}
    assert min(result["kills"].values()) > 0
    assert min(result["rounds_via"].values()) > 0
    assert result["pubacks"] > 0
    assert result["receipts"] > 0
    assert len(result["first_readings_s"]) == result["kills"]["gateway"] + 1


@pytest.mark.campaign
@pytest.mark.parametrize(("planted", "kills"), [("puback", 2), ("forgets", 2)])
def test_a_planted_fault_is_noticed(planted: str, kills: int, tmp_path: Path) -> None:
    result = campaign(tmp_path, n=kills, seed=1, planted=planted)
    assert result["rolled_back" if planted == "forgets" else "lost"] > 0, result
    assert not result["passed"]


def test_the_first_reading_is_one_that_was_made_after_the_start() -> None:
    lines = [b'{"seq":%d,"kind":"batch","mono_us":%d}' % (seq, at_us) for seq, at_us in ((0, 1_000_000), (1, 6_000_000), (2, 6_500_000))]
    seen = Seen(positions={"e": [(1_100_000, 1), (6_200_000, 2), (6_700_000, 3)]}, ended_us=9_000_000)
    starts = [Start(500_000, "", 0), Start(5_000_000, "e", 1), Start(8_000_000, "e", 3)]
    assert first_readings_s(starts, [("e", lines)], seen) == [0.6, 1.2]


def test_a_start_without_a_reading_counts_for_as_long_as_it_ran_unless_it_was_cut_off() -> None:
    lines = [b'{"seq":0,"kind":"batch","mono_us":1000000}', b'{"seq":1,"kind":"batch","mono_us":5500000}']
    seen = Seen(positions={"e": [(1_100_000, 1)]}, ended_us=13_500_000)
    starts = [Start(500_000, "", 0), Start(5_000_000, "e", 1), Start(8_000_000, "e", 1)]
    assert first_readings_s(starts, [("e", lines)], seen) == [0.6, 5.5]


def test_sites_add_up() -> None:
    one = {"n": 5, "passed": True, "kills": {"hub": 2}, "lost": 0, "broken": False, "examples": [], "first_readings_s": [1.0, 3.0]}
    two = {"n": 6, "passed": False, "kills": {"hub": 3}, "lost": 1, "broken": True, "examples": ["why"], "first_readings_s": [2.0]}
    whole = merged([one, two])
    assert (whole["n"], whole["passed"], whole["kills"], whole["lost"], whole["broken"]) == (11, False, {"hub": 5}, 1, True)
    assert whole["first_reading_s"] == {"starts": 3, "median": 2.0, "p99": 3.0, "worst": 3.0}
