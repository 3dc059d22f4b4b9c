"""The short form of `make killloop`, and its planted fault: a gateway that takes a PUBACK for a receipt must be found."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.killloop import campaign


@pytest.mark.campaign
def test_kills_of_gateway_hub_and_broker_lose_nothing_acknowledged(tmp_path: Path) -> None:
    result = campaign(tmp_path, n=4, seed=1)
    assert result["passed"], result
    assert min(result["kills"].values()) > 0
    assert min(result["rounds_via"].values()) > 0
    assert result["pubacks"] > 0
    assert result["receipts"] > 0


@pytest.mark.campaign
def test_a_gateway_that_frees_on_puback_is_caught(tmp_path: Path) -> None:
    result = campaign(tmp_path, n=3, seed=1, planted="puback")
    assert result["lost"] > 0, result
    assert not result["passed"]
