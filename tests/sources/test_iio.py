"""4-20 mA: every current lies in one band of NE 43, and the kernel's numbers become the value on the span."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from edge_gateway.reading import (
    BAD_FAULT_HIGH,
    BAD_FAULT_LOW,
    BAD_LINK_DOWN,
    BAD_NO_ANSWER,
    BAD_NOT_A_NUMBER,
    BAD_RANGE,
    BAD_UNPARSED,
    GOOD,
    UNCERTAIN_OFF_SPAN,
)
from edge_gateway.sources.iio import IioConfig, LoopSetting
from edge_gateway.sources.loop_current import current_ma, on_span
from tests.sources.local_site import TICK, lay, running, spec
from tests.sources.modbus_plant import until

pytestmark = pytest.mark.timing

BANDS = [
    (-1.0, BAD_FAULT_LOW), (0.0, BAD_FAULT_LOW), (3.59, BAD_FAULT_LOW), (3.6, BAD_FAULT_LOW),
    (3.61, UNCERTAIN_OFF_SPAN), (3.79, UNCERTAIN_OFF_SPAN), (3.8, GOOD), (4.0, GOOD), (12.0, GOOD), (20.0, GOOD), (20.5, GOOD),
    (20.51, UNCERTAIN_OFF_SPAN), (20.99, UNCERTAIN_OFF_SPAN), (21.0, BAD_FAULT_HIGH), (24.0, BAD_FAULT_HIGH),
    (float("nan"), BAD_NOT_A_NUMBER), (float("inf"), BAD_NOT_A_NUMBER),
]  # fmt: skip


@pytest.mark.parametrize(("ma", "quality"), BANDS)
def test_bands(ma: float, quality: str) -> None:
    value, found = on_span(ma, 0.0, 10.0)
    assert found == quality
    assert (value is None) == quality.startswith("bad")


def test_every_hundredth_of_a_milliampere_lies_on_the_line_or_in_a_fault() -> None:
    """N = 2,501 currents, 0 to 25 mA."""
    for hundredths in range(2501):
        ma = hundredths / 100
        value, quality = on_span(ma, -50.0, 150.0)
        if value is not None:
            assert value == pytest.approx(-50.0 + (ma - 4) / 16 * 200, abs=1e-9)
            assert 3.6 < ma < 21.0
        else:
            assert quality in (BAD_FAULT_LOW, BAD_FAULT_HIGH)


def test_a_broken_wire_is_not_an_empty_tank() -> None:
    """The planted reader without bands would say −2.5 m, or 0 after clamping."""
    assert on_span(0.0, 0.0, 10.0) == (None, BAD_FAULT_LOW)


def test_a_span_may_run_downwards() -> None:
    assert on_span(4.0, 5.0, 0.0) == (5.0, GOOD)
    assert on_span(20.0, 5.0, 0.0) == (0.0, GOOD)


def test_the_kernels_numbers() -> None:
    # ADS1115 at ±4.096 V: 0.125 mV a step; 250 ohm: 12 mA is 3.0 V, 24,000 steps
    assert current_ma(24_000, 0.125, 0.0, 250.0) == 12.0
    assert current_ma(1200, 0.01, 0.0, None) == 12.0
    assert current_ma(1100, 0.01, 100.0, None) == 12.0, "offset comes before scale"


@pytest.mark.parametrize(
    "wrong",
    [
        {"input": "voltage0"},  # no shunt
        {"input": "current0", "shunt_ohm": 250.0},
        {"input": "temp", "shunt_ohm": 250.0},
        {"input": "../voltage0", "shunt_ohm": 250.0},
        {"input": "voltage0", "shunt_ohm": 250.0, "unit": "mg/L"},
        {"input": "voltage0", "shunt_ohm": 250.0, "low": 10.0},
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    whole = {"quantity": "level", "unit": "m", "low": 0.0, "high": 10.0} | wrong
    with pytest.raises(ValidationError):
        LoopSetting.model_validate(whole)


def converter(folder: Path, raw: str, *, number: int = 1) -> Path:
    found = lay(folder / f"iio:device{number}", name="ads1115\n", in_voltage0_raw=f"{raw}\n", in_voltage_scale="0.125\n")
    lay(folder / "iio:device0", name="bme280\n")
    return found


LOOP = LoopSetting(input="voltage0", shunt_ohm=250.0, quantity="level", unit="m", low=0.0, high=5.0)


async def test_a_loop_is_read_through_the_kernel(tmp_path: Path) -> None:
    there = converter(tmp_path, "24000")
    config = IioConfig(kind="iio", device="ads1115", path=str(tmp_path))
    async with running(config, [spec(config, "tank", LOOP, "value", "current")]) as (source, inbox):
        await until(lambda: inbox.batches("tank.0"))
        (there / "in_voltage0_raw").write_text("12\n")
        await until(lambda: inbox.batches("tank.0")[-1].values[0] is None)
        assert "0.01 mA" in source.health()["devices"]["tank"]["said"]
        (there / "in_voltage0_raw").write_text("what\n")
        await until(lambda: inbox.batches("tank.0")[-1].quality == [BAD_UNPARSED] * 2)
    first, broken = inbox.batches("tank.0")[0], next(b for b in inbox.batches("tank.0") if b.quality)
    assert (first.values, first.quality) == ([2.5, 12.0], None)
    assert first.message is not None
    assert first.message.payload == b"raw=24000 scale=0.125 offset=0"
    assert (broken.values, broken.quality) == ([None, 0.006], [BAD_FAULT_LOW, GOOD])
    inbox.account("tank.0", TICK)


async def test_a_converter_is_found_by_name_whatever_its_number(tmp_path: Path) -> None:
    there = converter(tmp_path, "24000")
    config = IioConfig(kind="iio", device="ads1115", path=str(tmp_path))
    async with running(config, [spec(config, "tank", LOOP, "value")]) as (_, inbox):
        await until(lambda: inbox.batches("tank.0"))
        there.rename(tmp_path / "iio:device7")
        await until(lambda: len(inbox.batches("tank.0")) >= 4)
        assert all(batch.quality is None for batch in inbox.batches("tank.0"))
        (tmp_path / "iio:device7" / "name").write_text("mcp3424\n")
        (tmp_path / "iio:device7").rename(there)
        await until(lambda: inbox.batches("tank.0")[-1].quality == [BAD_LINK_DOWN])


async def test_a_converter_at_its_end_is_no_current(tmp_path: Path) -> None:
    """250 ohm on ±4.096 V: 20 mA would be 5 V, and reads as 16.4 mA for ever."""
    converter(tmp_path, "32767")
    config = IioConfig(kind="iio", device="ads1115", path=str(tmp_path))
    async with running(config, [spec(config, "tank", LOOP, "value", "current")]) as (source, inbox):
        await until(lambda: inbox.batches("tank.0"))
        assert "end of its scale" in source.health()["devices"]["tank"]["said"]
    assert inbox.batches("tank.0")[0].quality == [BAD_RANGE] * 2


async def test_an_input_that_fails_says_so(tmp_path: Path) -> None:
    there = converter(tmp_path, "24000")
    (there / "in_voltage0_raw").unlink()
    (there / "in_voltage0_raw").mkdir()  # reading a folder fails, as a converter does whose bus is stuck
    config = IioConfig(kind="iio", device="ads1115", path=str(tmp_path))
    async with running(config, [spec(config, "tank", LOOP, "value")]) as (_, inbox):
        await until(lambda: inbox.batches("tank.0"))
    assert inbox.batches("tank.0")[0].quality == [BAD_NO_ANSWER]


@pytest.mark.parametrize(
    ("raw", "scale", "shunt_ohm", "quality"),
    [
        ("2047", "1.0", 100.0, [BAD_RANGE] * 2),  # MCP3424 at 12 bits, 2.048 V: 20.47 mA, and so reads a short circuit
        ("1023", "4.8876", 250.0, [BAD_RANGE] * 2),  # 10 bits, 5 V: 20.0 mA
        ("2047", "1.0", 200.0, None),  # 10.2 mA: a code like others
        ("2046", "1.0", 100.0, None),
    ],
)
async def test_a_converter_of_few_bits_at_its_end_is_no_full_tank(
    raw: str, scale: str, shunt_ohm: float, quality: list[str] | None, tmp_path: Path
) -> None:
    there = converter(tmp_path, raw)
    lay(there, in_voltage_scale=f"{scale}\n")
    config = IioConfig(kind="iio", device="ads1115", path=str(tmp_path))
    loop = LOOP.model_copy(update={"shunt_ohm": shunt_ohm})
    async with running(config, [spec(config, "tank", loop, "value", "current")]) as (_, inbox):
        await until(lambda: inbox.batches("tank.0"))
    assert inbox.batches("tank.0")[0].quality == quality
