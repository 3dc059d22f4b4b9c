"""The short form of ``make scan``, and the faults that it must catch. Seeds are 1 and 2; N is 2 of the campaign's 10."""

from __future__ import annotations

from unittest import mock

import pytest

from edge_gateway.profiles.model import ModbusProfile
from edge_gateway.sources import modbus_lend, modbus_scan
from tests.faults.scan import BUS_TIME_S, profiles, run_seed


@pytest.fixture(scope="module")
def known() -> list[ModbusProfile]:
    return profiles()


@pytest.mark.parametrize("seed", [1, 2])
def test_three_unknown_units_are_found_and_named(seed: int, known: list[ModbusProfile]) -> None:
    run = run_seed(seed, known)
    assert run["faults"] == []
    assert run["named_s"] <= BUS_TIME_S
    assert run["estimate_rest_s"] > run["estimate_s"]


def test_a_planted_scan_without_parity_finds_less(known: list[ModbusProfile]) -> None:
    deaf = tuple(one for one in modbus_scan.USUAL if one.parity == "N")
    with mock.patch.object(modbus_scan, "USUAL", deaf):
        assert any("found 0 times" in fault for fault in run_seed(1, known)["faults"])


def test_a_planted_scan_that_keeps_the_line_makes_own_points_miss(known: list[ModbusProfile]) -> None:
    async def keeps(self: modbus_lend.Lender) -> None:
        if self._borrowed is None and self._share is not None:
            self._borrowed = self._share.lent()
            await self._borrowed.__aenter__()

    with mock.patch.object(modbus_lend.Lender, "_take", keeps):
        faults = run_seed(1, known)["faults"]
    assert any("late" in fault or "gap" in fault for fault in faults), faults
