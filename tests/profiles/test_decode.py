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

from edge_gateway.profiles import decode as decode_module
from edge_gateway.profiles.decode import decoder, shortest16, shortest32
from edge_gateway.profiles.plan import plan
from edge_gateway.reading import BAD_NOT_A_NUMBER, BAD_RANGE, BAD_SENTINEL, BAD_UNPARSED, GOOD
from tests.profiles.devices import device

DATA = ModbusClientMixin.DATATYPE
TYPES = {
    "int16": ("h", DATA.INT16), "uint16": ("H", DATA.UINT16), "int32": ("i", DATA.INT32), "uint32": ("I", DATA.UINT32),
    "int64": ("q", DATA.INT64), "uint64": ("Q", DATA.UINT64), "float32": ("f", DATA.FLOAT32), "float64": ("d", DATA.FLOAT64),
    "float16": ("e", None),  # pymodbus does not know it
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
    if order in ("ABCD", "CDAB") and pymodbus_type:  # pymodbus knows word order only
        registers = list(struct.unpack(f">{len(sent) // 2}H", sent))
        word_order: Any = "big" if order == "ABCD" else "little"
        theirs = ModbusClientMixin.convert_from_registers(registers, pymodbus_type, word_order=word_order)
        assert struct.pack(f">{code}", theirs) == struct.pack(f">{code}", values[0])


@pytest.mark.parametrize("order", ["ABCD", "CDAB", "BADC", "DCBA"])
@pytest.mark.parametrize(("kind", "digits"), [("bcd16", 4), ("bcd32", 8)])
@given(data=st.data())
def test_decimals_in_all_orders(kind: str, digits: int, order: str, data: st.DataObject) -> None:
    number = data.draw(st.integers(0, 10**digits - 1))
    sent = arranged(bytes.fromhex(f"{number:0{digits}d}"), order)
    assert decode(sent, type=kind, order=order) == ([number], None)
    assert decode(sent, type=kind, order=order, scale="0.01")[0] == [number / 100]


@given(st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=20))
def test_a_digit_above_nine_is_no_number_and_harms_no_other(words: list[int]) -> None:
    channels = {f"c{i}": {"function": 3, "register": i, "type": "bcd16", "scale": "0.1"} for i in range(len(words))}
    (group,) = plan(device(channels))
    values, quality = decoder(group.blocks[0])(struct.pack(f">{len(words)}H", *words))
    for word, value, mark in zip(words, values, quality or [GOOD] * len(words), strict=True):
        text = f"{word:04x}"
        assert (value, mark) == ((int(text) / 10, GOOD) if text.isdecimal() else (None, BAD_UNPARSED))


@pytest.mark.parametrize("order", ["ABCD", "CDAB", "BADC", "DCBA"])
@pytest.mark.parametrize("kind", ["int16", "uint16", "int32", "uint32", "int64", "uint64"])
@given(seed=st.binary(min_size=8, max_size=8), data=st.data())
def test_fields_of_an_integer_in_all_orders(kind: str, order: str, seed: bytes, data: st.DataObject) -> None:
    """Against the whole number's own binary digits."""
    big = seed[: struct.calcsize(TYPES[kind][0])]
    whole = len(big) * 8
    bit = data.draw(st.integers(0, whole - 1))
    bits = data.draw(st.integers(1, min(63, whole - bit)))
    digits = "".join(f"{byte:08b}" for byte in big)[::-1][bit : bit + bits][::-1]
    expected = int(digits, 2) - (1 << bits if kind.startswith("int") and digits[0] == "1" else 0)
    assert decode(arranged(big, order), type=kind, order=order, bit=bit, bits=bits) == ([expected], None)


def test_fields_that_share_a_register() -> None:
    """Eliwell writes them address:shift:width: 32876:7:1, 32876:0:3; a signed field, and one with a sentinel."""
    channels: dict[str, dict[str, Any]] = {
        "alarm": {"function": 3, "register": 5, "type": "uint16", "bit": 7, "bits": 1},
        "mode": {"function": 3, "register": 5, "type": "uint16", "bit": 0, "bits": 3},
        "offset": {"function": 3, "register": 5, "type": "int16", "bit": 8, "bits": 4},
        "gone": {"function": 3, "register": 5, "type": "uint16", "bit": 12, "bits": 4, "sentinels": [0xF]},
    }
    (group,) = plan(device(channels))
    (block,) = group.blocks
    assert (block.start, block.count) == (5, 1)
    values, quality = decoder(block)(bytes.fromhex("FD85"))
    names = [group.group.points[f.column] for f in block.fields]
    assert dict(zip(names, values, strict=True)) == {"d-alarm": 1, "d-mode": 5, "d-offset": -3, "d-gone": None}
    assert dict(zip(names, quality or [], strict=True))["d-gone"] == BAD_SENTINEL


@given(st.integers(0, 0xFFFF))
def test_shortest_float16(word: int) -> None:
    (value,) = struct.unpack(">e", struct.pack(">H", word))
    assume(math.isfinite(value))
    short = shortest16(value)
    assert struct.pack(">e", short) == struct.pack(">e", value)
    shorter = [float(f"{value:.{digits}g}") for digits in (3, 4)]
    fitting = [near for near in shorter if abs(near) < 65520 and struct.pack(">e", near) == struct.pack(">e", value)]
    assert short == (fitting or [float(f"{value:.5g}")])[0]


def test_a_float16_is_what_its_sender_meant() -> None:
    assert decode(struct.pack(">e", 21.3), type="float16") == ([21.3], None)  # 21.296875 as a double
    assert decode(struct.pack("<e", -18.6), type="float16", order="BADC") == ([-18.6], None)


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
        ("float16", "7E00", {}, BAD_NOT_A_NUMBER),
        ("float16", "FC00", {"scale": "0.1"}, BAD_NOT_A_NUMBER),
        ("float16", "6400", {"sentinels": [1024]}, BAD_SENTINEL),
        ("bcd16", "FFFF", {"sentinels": [0xFFFF]}, BAD_SENTINEL),
        ("bcd16", "9999", {"sentinels": [0x9999]}, BAD_SENTINEL),
        ("bcd16", "9999", {"sentinels": [9999]}, GOOD),
        ("bcd16", "FFFF", {}, BAD_UNPARSED),
        ("bcd16", "00A0", {"range_high": 5}, BAD_UNPARSED),
        ("bcd32", "0000001E", {}, BAD_UNPARSED),
        ("bcd16", "0801", {"scale": "0.1", "range_high": 80}, BAD_RANGE),
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


# --- planted faults: each must be seen by what the tests above compare -----------------------------------------------


def mistaken(kind: str, order: str, **channel: Any) -> bool:
    """Whether numbers that struct writes come out as others."""
    code, written = {"bcd16": ("H", 0x1234), "bcd32": ("I", 0x12345678)}.get(kind, (TYPES.get(kind, ("H",))[0], 0x1234))
    number = 3.140625 if code in "efd" else written
    expected = int(f"{number:x}") if kind.startswith("bcd") else number
    values, _ = decode(arranged(struct.pack(f">{code}", number), order), type=kind, order=order, **channel)
    return values != [expected]


WIDE = ("int32", "uint32", "int64", "uint64", "float32", "float64", "bcd32")


@pytest.mark.parametrize(("order", "as_if"), [("CDAB", "ABCD"), ("BADC", "DCBA"), ("ABCD", "CDAB"), ("DCBA", "BADC")])
@pytest.mark.parametrize("kind", WIDE)
def test_a_planted_exchange_of_word_orders_is_seen(monkeypatch: pytest.MonkeyPatch, kind: str, order: str, as_if: str) -> None:
    assert not mistaken(kind, order)
    monkeypatch.setitem(decode_module._ORDERS, order, decode_module._ORDERS[as_if])
    assert mistaken(kind, order)


def test_planted_types_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind, wrong in (("bcd16", _plain), ("bcd32", _plain)):
        assert not mistaken(kind, "ABCD")
        with monkeypatch.context() as planted:
            planted.setattr(decode_module, "_decimals", wrong)
            assert mistaken(kind, "ABCD")
    with monkeypatch.context() as planted:  # a signed field without its sign
        planted.setattr(decode_module, "_fields", lambda key: lambda raws: ([int(r) >> key.bit & (1 << key.bits) - 1 for r in raws], None))
        assert decode(b"\xf0\x00", type="int16", bit=12, bits=4) == ([15], None)
    assert decode(b"\xf0\x00", type="int16", bit=12, bits=4) == ([-1], None)


def _plain(_key: Any) -> Any:
    return lambda raws: (list(raws), None)
