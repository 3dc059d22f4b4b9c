"""Register bytes to values: against exact arithmetic, against pymodbus, and at the edges."""

from __future__ import annotations

import math
import struct
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pymodbus.client.mixin import ModbusClientMixin

from edge_gateway.profiles.decode import decoder, shortest32
from edge_gateway.profiles.plan import plan
from edge_gateway.reading import BAD_NOT_A_NUMBER, BAD_RANGE, BAD_SENTINEL, GOOD
from tests.profiles.devices import device

DATA = ModbusClientMixin.DATATYPE
TYPES = {
    "int16": ("h", DATA.INT16), "uint16": ("H", DATA.UINT16), "int32": ("i", DATA.INT32), "uint32": ("I", DATA.UINT32),
    "int64": ("q", DATA.INT64), "uint64": ("Q", DATA.UINT64), "float32": ("f", DATA.FLOAT32), "float64": ("d", DATA.FLOAT64),
}  # fmt: skip


def arranged(big: bytes, order: str) -> bytes:
    """Big-endian bytes as the device sends them, by the definition of the four orders."""
    words = [big[i : i + 2] for i in range(0, len(big), 2)]
    if order in ("CDAB", "DCBA"):
        words.reverse()
    if order in ("BADC", "DCBA"):
        words = [w[::-1] for w in words]
    return b"".join(words)


def decode(data: bytes, **channel: Any) -> tuple[list[Any], list[str] | None]:
    width = len(data) // 2
    (group,) = plan(device({"a": {"function": 3, "register": 0, **channel}}))
    assert group.blocks[0].count == width
    return decoder(group.blocks[0])(data)


@pytest.mark.parametrize("order", ["ABCD", "CDAB", "BADC", "DCBA"])
@pytest.mark.parametrize("kind", TYPES)
@given(seed=st.binary(min_size=8, max_size=8))
def test_all_types_and_orders(kind: str, order: str, seed: bytes) -> None:
    code, pymodbus_type = TYPES[kind]
    big = seed[: struct.calcsize(code)]
    (expected,) = struct.unpack(f">{code}", big)
    sent = arranged(big, order)
    values, quality = decode(sent, type=kind, order=order)
    if kind.startswith("float") and not math.isfinite(expected):
        assert (values, quality) == ([None], [BAD_NOT_A_NUMBER])
        return
    assert quality is None
    assert struct.pack(f">{code}", values[0]) == big or values[0] == expected == 0
    if order in ("ABCD", "CDAB"):  # pymodbus knows word order only
        registers = list(struct.unpack(f">{len(sent) // 2}H", sent))
        word_order: Any = "big" if order == "ABCD" else "little"
        theirs = ModbusClientMixin.convert_from_registers(registers, pymodbus_type, word_order=word_order)
        assert struct.pack(f">{code}", theirs) == struct.pack(f">{code}", values[0])


def test_the_flow_meters_bytes() -> None:
    """80 6B 42 12 is 0x4212806B: low word first."""
    assert decode(bytes.fromhex("806B4212"), type="float32", order="CDAB") == ([36.62541], None)


@given(st.integers(-32768, 32767), st.decimals(-1000, 1000, places=5), st.decimals(-1000, 1000, places=3))
def test_scaling_rounds_once(raw: int, scale: Decimal, offset: Decimal) -> None:
    assume(scale != 0)
    exact = Fraction(raw) * Fraction(scale) + Fraction(offset)
    values, quality = decode(struct.pack(">h", raw), type="int16", scale=str(scale), offset=str(offset))
    assert quality is None
    assert values[0] == exact.numerator / exact.denominator


@given(st.integers(-(2**63), 2**63 - 1), st.sampled_from(["0.1", "0.001", "3", "1e-6", "0.0625"]))
def test_wide_integers_scale_exactly(raw: int, scale: str) -> None:
    exact = Fraction(raw) * Fraction(scale)
    values, _ = decode(struct.pack(">q", raw), type="int64", scale=scale)
    assert values[0] == (exact.numerator if exact.denominator == 1 else exact.numerator / exact.denominator)


def test_scale_as_a_number_is_the_decimal_that_was_written() -> None:
    assert decode(struct.pack(">h", -178), type="int16", scale=0.1) == ([-17.8], None)
    assert decode(struct.pack(">h", 610), type="int16", scale=0.1) == ([61.0], None)
    assert decode(struct.pack(">H", 3), type="uint16", scale=0.1) == (
        [0.3],
        None,
    )  # 3 * 0.1 would be 0.30000000000000004


@given(st.integers(0, 2**32 - 1))
def test_shortest_float32(word: int) -> None:
    (value,) = struct.unpack(">f", struct.pack(">I", word))
    assume(math.isfinite(value))
    short = shortest32(value)
    assert struct.pack(">f", short) == struct.pack(">f", value)
    digits = len(f"{Decimal(repr(short)).normalize():e}".split("e")[0].replace("-", "").replace(".", ""))
    for fewer in range(6, digits):
        near = float(f"{value:.{fewer}g}")
        assert abs(near) > 3.4028235677973366e38 or struct.pack(">f", near) != struct.pack(">f", value)


@given(
    st.lists(
        st.one_of(st.floats(width=32), st.integers(-(2**40), 2**40).map(lambda n: n / 1000)), min_size=1, max_size=20
    )
)
def test_many_float32_are_as_one_by_one(numbers: list[float]) -> None:
    data = struct.pack(f">{len(numbers)}f", *numbers)
    values, quality = decoder(
        plan(device({f"c{i}": {"function": 3, "register": 2 * i, "type": "float32"} for i in range(len(numbers))}))[
            0
        ].blocks[0]
    )(data)
    singles = [decode(struct.pack(">f", n), type="float32") for n in numbers]
    assert values == [v[0] for v, _ in singles]
    assert (quality or [GOOD] * len(numbers)) == [(q or [GOOD])[0] for _, q in singles]


@pytest.mark.parametrize(
    ("kind", "data", "channel", "mark"),
    [
        ("int16", "8000", {"sentinels": [0x8000]}, BAD_SENTINEL),
        ("int16", "8000", {"sentinels": [-32768]}, BAD_SENTINEL),
        ("int16", "7FFF", {"sentinels": [0x7FFF, 0x8000], "scale": "0.1"}, BAD_SENTINEL),
        ("uint16", "FFFF", {"sentinels": [65535]}, BAD_SENTINEL),
        ("uint16", "FFFE", {"sentinels": [65535]}, GOOD),
        ("int32", "FFFFFC19", {"sentinels": [-999]}, BAD_SENTINEL),
        ("float32", "C479C000", {"sentinels": [-999]}, BAD_SENTINEL),
        ("float32", "4479FF5C", {"sentinels": [999.99]}, BAD_SENTINEL),
        ("float32", "4479FF5C", {"sentinels": [999.99], "scale": "0.1"}, BAD_SENTINEL),
        ("float32", "7FC00000", {}, BAD_NOT_A_NUMBER),
        ("float32", "FFC00001", {"scale": "0.1"}, BAD_NOT_A_NUMBER),
        ("float32", "7F800000", {}, BAD_NOT_A_NUMBER),
        ("float32", "FF800000", {"range_low": 0}, BAD_NOT_A_NUMBER),
        ("float64", "7FEFFFFFFFFFFFFF", {"scale": "1e10"}, BAD_RANGE),
        ("int16", "0321", {"scale": "0.1", "range_high": 80}, BAD_RANGE),
        ("int16", "0320", {"scale": "0.1", "range_high": 80}, GOOD),
        ("int16", "FE6F", {"scale": "0.1", "range_low": -40}, BAD_RANGE),
        ("float32", "41600001", {"range_high": 14}, BAD_RANGE),
        ("float32", "41600000", {"range_high": 14}, GOOD),
    ],
)  # fmt: skip
def test_no_error_value_passes_as_data(kind: str, data: str, channel: dict[str, Any], mark: str) -> None:
    values, quality = decode(bytes.fromhex(data), type=kind, **channel)
    assert (quality or [GOOD]) == [mark]
    assert (values[0] is None) == (mark != GOOD)


def test_one_bad_column_leaves_the_others_good() -> None:
    spec = device({f"c{i}": {"function": 3, "register": i, "type": "int16", "sentinels": [0x7FFF]} for i in range(3)})
    assert decoder(plan(spec)[0].blocks[0])(bytes.fromhex("000A7FFFFFF6")) == (
        [10, None, -10],
        [GOOD, BAD_SENTINEL, GOOD],
    )


def test_a_mixed_block() -> None:
    channels: dict[str, dict[str, Any]] = {
        "a": {"function": 3, "register": 10, "type": "int16", "scale": "0.1"},
        "b": {"function": 3, "register": 12, "type": "float32", "order": "CDAB"},
        "c": {"function": 3, "register": 14, "type": "float32", "order": "ABCD", "range_high": 1},
        "d0": {"function": 3, "register": 16, "type": "bool", "bit": 0},
        "d9": {"function": 3, "register": 16, "type": "bool", "bit": 9},
        "e": {"function": 3, "register": 16, "type": "uint16"},
    }
    (group,) = plan(device(channels, gap_readable=True))
    (block,) = group.blocks
    data = struct.pack(">hH", -178, 0) + arranged(struct.pack(">f", 1.5), "CDAB") + struct.pack(">fH", 2.5, 0x0201)
    values, quality = decoder(block)(data)
    names = [group.group.points[f.column] for f in block.fields]
    assert dict(zip(names, values, strict=True)) == {
        "d-a": -17.8, "d-b": 1.5, "d-c": None, "d-d0": 1, "d-d9": 1, "d-e": 0x0201,
    }  # fmt: skip
    assert quality == [GOOD, GOOD, BAD_RANGE, GOOD, GOOD, GOOD]


def test_bits_of_functions_1_and_2() -> None:
    spec = device({f"i{n}": {"function": 2, "register": n, "type": "bool"} for n in range(10)})
    assert decoder(plan(spec)[0].blocks[0])(bytes([0b1010_0101, 0b10])) == ([1, 0, 1, 0, 0, 1, 0, 1, 0, 1], None)
