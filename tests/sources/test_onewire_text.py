"""What the 1-Wire driver says of a probe: every trap becomes a reason, and a temperature only what was measured.

Texts are the driver's own format (Linux drivers/w1/slaves/w1_therm.c); scratchpads from the DS18B20 data sheet and
github.com/cpetrich/counterfeit_DS18B20, their checksums computed here.
"""

from __future__ import annotations

from random import Random

import pytest

from edge_gateway.reading import BAD_FRAME, BAD_NO_ANSWER, BAD_POWER_ON, BAD_RANGE, GOOD
from edge_gateway.sources.onewire_text import crc8, temperature

DS18B20, DS18S20 = 0x28, 0x10
#: "Scratchpad after power-up" of an original chip, family A, as that page prints it.
POWER_UP = bytes.fromhex("5005 4B46 7FFF 0C10 1C".replace(" ", ""))


def pad(raw: int, *, six: int | None = None, config: int = 0x7F) -> bytes:
    """A scratchpad of an original chip after a conversion, or with another byte 6."""
    low = raw & 0xFFFF
    body = low.to_bytes(2, "little") + bytes([0x4B, 0x46, config, 0xFF, 0x10 - (low & 0xF) if six is None else six, 0x10])
    return body + bytes([crc8(body)])


def text(nine: bytes, *, verdict: str = "YES", told: int | None = None) -> str:
    """The driver's two lines."""
    words = " ".join(f"{byte:02x}" for byte in nine)
    milli = int.from_bytes(nine[:2], "little", signed=True) * 1000 // 16 if told is None else told
    return f"{words} : crc={crc8(nine[:8]):02x} {verdict}\n{words} t={milli}\n"


def test_the_checksum_is_the_chips_own() -> None:
    assert crc8(POWER_UP[:8]) == POWER_UP[8]
    assert crc8(bytes.fromhex("7201 4b46 7fff 0e10".replace(" ", ""))) == 0x57  # the example that the driver's users print


@pytest.mark.parametrize(
    ("raw", "expected"), [(0x07D0, 125.0), (0x0191, 25.0625), (0x0008, 0.5), (0, 0.0), (0xFFF8, -0.5), (0xFC90, -55.0)]
)
def test_the_data_sheets_table(raw: int, expected: float) -> None:
    assert temperature(text(pad(raw)), DS18B20, None) == (expected, GOOD, "")


def test_register_values_are_right_or_refused() -> None:
    """N = 13,108: every fifth of all there are."""
    refused = 0
    for raw in range(0, 0x10000, 5):
        value, quality, _ = temperature(text(pad(raw)), DS18B20, None)
        signed = raw - 0x10000 if raw & 0x8000 else raw
        if -55 <= signed / 16 <= 125:
            assert (value, quality) == (signed / 16, GOOD)
        else:
            assert (value, quality) == (None, BAD_RANGE)
            refused += 1
    assert refused == 13_108 - 401 - 176  # 0 to 125 °C, and -55 °C to below 0


def test_the_power_on_value_is_no_temperature() -> None:
    assert temperature(text(POWER_UP), DS18B20, None)[:2] == (None, BAD_POWER_ON)
    assert temperature(text(POWER_UP), DS18B20, -18.0)[:2] == (None, BAD_POWER_ON), "a cold store is not at 85 °C"


def test_a_true_85_degrees_is_one() -> None:
    assert temperature(text(pad(0x0550)), DS18B20, None)[:2] == (85.0, GOOD), "byte 6 says: converted"
    copy = pad(0x0550, six=0x0C)  # copies hold 0x0C for ever
    assert temperature(text(copy), DS18B20, None)[:2] == (None, BAD_POWER_ON)
    assert temperature(text(copy), DS18B20, 84.5)[:2] == (85.0, GOOD)
    assert temperature(text(copy), DS18B20, 80.0)[:2] == (None, BAD_POWER_ON)


def test_a_copy_is_believed_beside_85() -> None:
    assert temperature(text(pad(0x054F, six=0x0C)), DS18B20, None)[:2] == (84.9375, GOOD)


def test_after_no_the_retained_value_is_not_believed() -> None:
    broken = bytes([0x50, *pad(0x0191)[1:]])
    said = f"{' '.join(f'{b:02x}' for b in broken)} : crc=77 NO\n{' '.join(f'{b:02x}' for b in pad(0x0191))} t=25062\n"
    assert temperature(said, DS18B20, None)[:2] == (None, BAD_FRAME)


def test_a_verdict_of_yes_alone_proves_nothing() -> None:
    broken = bytes([0x50, *pad(0x0191)[1:]])
    assert temperature(text(broken), DS18B20, None)[:2] == (None, BAD_FRAME)


@pytest.mark.parametrize(("nine", "what"), [(bytes(9), "shorted line, whose checksum is right"), (b"\xff" * 9, "nobody there")])
def test_a_dead_line_is_no_temperature(nine: bytes, what: str) -> None:
    assert temperature(text(nine), DS18B20, 0.0)[:2] == (None, BAD_FRAME), what


@pytest.mark.parametrize("raw", [0x07FF, 0x7FFF, 0x8000])
def test_failed_conversions_are_out_of_range(raw: int) -> None:
    assert temperature(text(pad(raw, six=0x0C)), DS18B20, None)[:2] == (None, BAD_RANGE)


def test_a_ds18s20_is_read_by_the_drivers_arithmetic() -> None:
    nine = pad(0x0032, six=0x0C, config=0xFF)  # 25.0 by halves; the driver refines it with COUNT_REMAIN
    assert temperature(text(nine, told=25000), DS18S20, None)[:2] == (25.0, GOOD)
    hot = pad(0x00AA, six=0x0C, config=0xFF)
    assert temperature(text(hot, told=85000), DS18S20, None)[:2] == (None, BAD_POWER_ON)


@pytest.mark.parametrize("said", ["", "\n", "  \n"])
def test_silence_is_no_answer(said: str) -> None:
    assert temperature(said, DS18B20, None)[:2] == (None, BAD_NO_ANSWER)


def test_no_single_flipped_bit_becomes_another_temperature() -> None:
    good = pad(0x0191)
    for bit in range(72):
        flipped = bytearray(good)
        flipped[bit // 8] ^= 1 << bit % 8
        assert temperature(text(bytes(flipped)), DS18B20, None)[1] != GOOD, bit


def test_a_planted_reader_that_takes_the_last_number_as_it_is_is_caught() -> None:
    """As many scripts do: what stands behind ``t=`` is the temperature. Each of these texts tells it from ours."""

    def naive(said: str) -> float:
        return int(said.rpartition("t=")[2]) / 1000

    stale = text(bytes([0x50, *pad(0x0191)[1:]]), verdict="NO", told=25062)
    for said in (text(POWER_UP), text(bytes(9)), stale, text(pad(0x07FF, six=0x0C))):
        assert temperature(said, DS18B20, None)[0] is None
        assert naive(said) is not None


def test_whatever_the_file_holds_something_is_said() -> None:
    """N = 20,000, seed 4: texts cut, joined and garbled."""
    random = Random(4)
    for _ in range(20_000):
        said = list(text(pad(random.randrange(0x10000))))
        for _ in range(random.randrange(1, 6)):
            said[random.randrange(len(said))] = chr(random.randrange(32, 127))
        garbled = "".join(said)[: random.randrange(len(said) + 1)]
        value, quality, why = temperature(garbled, random.choice((DS18B20, DS18S20)), None)
        assert (value is None) == (quality != GOOD)
        assert quality == GOOD or why
