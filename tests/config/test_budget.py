"""The time a bus needs, against what the arithmetic of the line says."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_gateway.config.budget import NETWORK_S, TURNAROUND_S, poll_s
from edge_gateway.profiles.load import load as load_profile
from edge_gateway.profiles.plan import plan
from edge_gateway.profiles.spec import DeviceSpec, PointSpec
from edge_gateway.sources.modbus import ModbusRtuConfig, ModbusTcpConfig
from tests.config.test_resolve import sample


def poll(*channels: str) -> DeviceSpec:
    points = tuple(PointSpec(id=channel, channel=channel) for channel in channels)
    profile = load_profile("generic/xy-md02").profile
    return DeviceSpec(id="th", profile=profile, points=points, interval_us=1_000_000, unit=1)


@pytest.mark.parametrize(("baud", "parity", "bits"), [(9600, "N", 10), (9600, "E", 11), (4800, "N", 10)])
def test_one_block_on_a_line(baud: int, parity: str, bits: int) -> None:
    bus = ModbusRtuConfig.model_validate({"kind": "rtu", "port": "/dev/x", "baud": baud, "parity": parity})
    (group,) = plan(poll("temperature", "humidity"))
    characters = 8 + 5 + 2 * 2 + 2 * 3.5
    assert poll_s(bus, group) == pytest.approx(characters * bits / baud + TURNAROUND_S)


def test_one_block_over_tcp() -> None:
    bus = ModbusTcpConfig(kind="tcp", host="h")
    (group,) = plan(poll("temperature"))
    assert poll_s(bus, group) == pytest.approx(NETWORK_S + TURNAROUND_S)


def test_silence_is_at_least_1750_us_above_19200_baud() -> None:
    bus = ModbusRtuConfig(kind="rtu", port="/dev/x", baud=115_200)
    (group,) = plan(poll("temperature"))
    assert poll_s(bus, group) == pytest.approx((8 + 5 + 2) * 10 / 115_200 + 2 * 0.00175 + TURNAROUND_S)


def test_the_sample_has_time_enough(tmp_path: Path) -> None:
    assert not {"too-fast", "serial-settings"} & {warning.code for warning in sample(tmp_path).warnings}


def test_too_fast_together_though_not_alone(tmp_path: Path) -> None:
    found = sample(tmp_path, ("interval_s = 10.0", "interval_s = 0.06"), ("interval_s = 10.0", "interval_s = 0.06"))
    (warning,) = [warning for warning in found.warnings if warning.code == "too-fast"]
    assert warning.key.endswith(".interval_s")
    assert "interval_s = 0.5 or more" in warning.hint
