"""The time a bus needs, against what the arithmetic of the line says, and what `check` makes of it."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from edge_gateway.config.budget import Budget, Job, budget
from edge_gateway.config.load import ConfigRefused
from edge_gateway.profiles.load import load as load_profile
from edge_gateway.profiles.plan import PlannedPoll, plan
from edge_gateway.profiles.spec import DeviceSpec, PointSpec
from edge_gateway.sources.modbus import ModbusRtuConfig, ModbusTcpConfig
from edge_gateway.sources.modbus_time import NETWORK_S, TURNAROUND_S
from edge_gateway.web.chinese import chinese
from tests.config.test_resolve import sample
from tests.profiles.devices import device, registers


def poll(*channels: str) -> PlannedPoll:
    points = tuple(PointSpec(id=channel, channel=channel) for channel in channels)
    profile = load_profile("generic/xy-md02").profile
    return plan(DeviceSpec(id="th", profile=profile, points=points, interval_us=1_000_000, unit=1))[0]


@pytest.mark.parametrize(("baud", "parity", "bits"), [(9600, "N", 10), (9600, "E", 11), (4800, "N", 10)])
def test_one_block_on_a_line(baud: int, parity: str, bits: int) -> None:
    bus = ModbusRtuConfig.model_validate({"kind": "rtu", "port": "/dev/x", "baud": baud, "parity": parity})
    characters = 8 + 5 + 2 * 2 + 2 * 3.5
    assert bus.time().poll_s(poll("temperature", "humidity")) == pytest.approx(characters * bits / baud + TURNAROUND_S)


def test_one_block_over_tcp() -> None:
    assert ModbusTcpConfig(kind="tcp", host="h").time().poll_s(poll("temperature")) == NETWORK_S + TURNAROUND_S


def test_silence_is_1750_us_above_19200_baud() -> None:
    bus = ModbusRtuConfig(kind="rtu", port="/dev/x", baud=115_200)
    expected = (8 + 5 + 2) * 10 / 115_200 + 2 * 0.00175 + TURNAROUND_S
    assert bus.time().poll_s(poll("temperature")) == pytest.approx(expected)


def test_rests_and_time_outs_count() -> None:
    bus = ModbusRtuConfig(kind="rtu", port="/dev/x", timeout_s=0.3, quiet_s=0.2)
    spec = device(registers(0, 1) | registers(9, 1), rest_ms=50, timeout_ms=700)
    its = budget(bus.time(), [spec], distinct=True)
    (job,) = its.jobs
    one_s = (8 + 5 + 2 + 7) * 10 / 9600
    assert job.requests == 2
    assert job.wire_s == pytest.approx(2 * one_s)
    assert job.poll_s == pytest.approx(2 * (one_s + TURNAROUND_S + 0.05))
    assert job.failing_s == pytest.approx((8 + 5 + 2 + 3.5) * 10 / 9600 + 0.7 + 0.2 + 0.05)


def test_devices_behind_one_unit_are_one_poll() -> None:
    shared = device(registers(0, 26))
    devices = [replace(shared, id=f"d{n}", points=shared.points[2 * n : 2 * n + 2]) for n in range(13)]
    its = budget(ModbusRtuConfig(kind="rtu", port="/dev/x").time(), devices, distinct=True)
    assert (len(its.jobs), its.requests) == (1, 1)


def test_the_sample_has_time_enough(tmp_path: Path) -> None:
    codes = {warning.code for warning in sample(tmp_path).warnings}
    assert not {"too-fast", "serial-settings", "late-slots", "no-slack"} & codes


@pytest.mark.parametrize(
    ("interval_s", "code", "says"),
    [
        (0.06, "too-fast", "interval_s = 0.2 or more"),
        (0.15, "late-slots", "interval_s = 0.2 or more"),
        (2.0, "no-slack", "interval_s = 5 or more"),
    ],
)
def test_warnings_name_the_interval_that_fits(tmp_path: Path, interval_s: float, code: str, says: str) -> None:
    changed = ("interval_s = 10.0", f"interval_s = {interval_s}")
    found = sample(tmp_path, changed, changed)
    (warning,) = [w for w in found.warnings if w.code in ("too-fast", "late-slots", "no-slack")]
    assert warning.code == code
    assert warning.key.endswith(".interval_s")
    assert says in warning.hint
    assert chinese(warning.why) != warning.why
    assert chinese(warning.hint) != warning.hint
    better = (changed[0], f"interval_s = {says.split()[2]}")
    codes = {w.code for w in sample(tmp_path, better, better).warnings}
    assert not {"too-fast", "late-slots", *([code] if code == "no-slack" else [])} & codes, "the hint does not help"


def test_what_no_line_can_carry_is_refused(tmp_path: Path) -> None:
    changed = ("interval_s = 10.0", "interval_s = 0.02")
    with pytest.raises(ConfigRefused) as refused:
        sample(tmp_path, changed, changed)
    (fault,) = refused.value.faults
    assert fault.code == "bus-overload"
    assert fault.line > 0
    assert "bytes alone" in fault.why
    assert "interval_s = 0.2 or more" in fault.hint
    assert chinese(fault.why) != fault.why
    assert chinese(fault.hint) != fault.hint


def simulated(its: Budget, silent: int | None, rounds: int) -> bool:
    """Earliest deadline first on a line, slot by slot: everything within half its interval? The silent unit's poll has just begun."""
    begun_s = next((job.failing_s for job in its.jobs if job.unit == silent), 0.0)
    slots = sorted(
        (n * job.interval_s, n * job.interval_s + job.interval_s / 2, job.poll_s)
        for job in its.jobs
        if job.unit != silent
        for n in range(rounds)
    )
    now_s, left = begun_s, list(slots)
    while left:
        due = [slot for slot in left if slot[0] <= now_s] or [min(left)]
        slot = min(due, key=lambda item: item[1])
        left.remove(slot)
        now_s = max(now_s, slot[0]) + slot[2]
        if now_s > slot[1] + 1e-9:
            return False
    return True


def test_what_is_called_in_time_is_in_time() -> None:
    """N = 300 random buses, seed 7: the criterion never promises what a simulation breaks, and is no refusal of everything."""
    random_ = random.Random(7)
    promised = 0
    for _ in range(300):
        jobs = []
        for unit in range(random_.randint(1, 6)):
            poll_s = random_.choice((0.02, 0.05, 0.1, 0.3))
            jobs.append(Job(f"d{unit}", unit, random_.choice((1.0, 2.0, 5.0)), 1, 0.0, poll_s, 2 * (poll_s + 0.2)))
        its = Budget(tuple(jobs))
        silent = random_.choice([None, *(job.unit for job in jobs)])
        if its.load <= 1 and its.in_time(silent):
            promised += 1
            assert simulated(its, silent, 20), (its, silent)
    assert 50 < promised < 290
