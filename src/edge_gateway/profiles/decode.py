"""Register bytes to values and qualities, compiled once for each block; pure, and on the hot path.

A value is the double nearest to raw × scale + offset, with scale and offset as decimal text; a float32 counts as
its shortest decimal (the fewest digits, 6 to 9, that give the same float32), a float16 likewise (3 to 5). What is no
number, a maker's error value or beyond the probe's range is None with a reason.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_right
from collections.abc import Callable, Sequence
from copy import copy
from fractions import Fraction
from itertools import groupby

from edge_gateway.profiles.model import RegisterChannel
from edge_gateway.profiles.plan import Field, PlannedBlock
from edge_gateway.reading import BAD_NOT_A_NUMBER, BAD_RANGE, BAD_SENTINEL, BAD_UNPARSED, GOOD, Value

#: Values of a block's fields, in their order, and their qualities (None: all good).
Columns = tuple[list[Value], list[str] | None]
Raw = Sequence[int | float]
_Convert = Callable[[Raw], Columns]

_CODES = {
    "int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "int64": "q", "uint64": "Q", "float32": "f", "float64": "d",
    "bool": "H", "bcd16": "H", "bcd32": "I", "float16": "e",
}  # fmt: skip
# Swapping the bytes of every word turns CDAB into little-endian and BADC into big-endian.
_ORDERS = {"ABCD": (False, ">"), "CDAB": (True, "<"), "BADC": (True, ">"), "DCBA": (False, "<")}


def decoder(block: PlannedBlock) -> Callable[[bytes], Columns]:
    """A function from a block's bytes to its fields' values, in the order of ``block.fields``.

    The bytes must have the block's length: the guard has seen to that.
    """
    extract = _bits(block) if block.function in (1, 2) else _registers(block.fields)
    channels = [field.channel for field in block.fields]
    runs = [(len(list(same)), _conversion(key)) for key, same in groupby(channels, key=_Key)]
    if len(runs) == 1:
        convert = runs[0][1]
        return lambda data: convert(extract(data))
    return lambda data: _in_runs(extract(data), runs)


def _in_runs(raws: Raw, runs: list[tuple[int, _Convert]]) -> Columns:
    values: list[Value] = []
    quality: list[str] | None = None
    at = 0
    for length, convert in runs:
        some, marks = convert(raws[at : at + length])
        if marks is not None and quality is None:
            quality = [GOOD] * at
        if quality is not None:
            quality += marks or [GOOD] * length
        values += some
        at += length
    return values, quality


def _bits(block: PlannedBlock) -> Callable[[bytes], Raw]:
    places = tuple(field.at for field in block.fields)

    def extract(data: bytes) -> Raw:
        packed = int.from_bytes(data, "little")
        return [packed >> place & 1 for place in places]

    return extract


def _registers(fields: Sequence[Field]) -> Callable[[bytes], Raw]:
    """One ``struct.unpack`` for each byte order in the block; more only where channels overlap."""
    layers = _layers(fields)
    if len(layers) == 1:
        swap, form, order = layers[0]
        if order == list(range(len(fields))):
            unpack = form.unpack_from
            return (lambda data: unpack(_swapped(data))) if swap else unpack

    def extract(data: bytes) -> Raw:
        raws: list[int | float] = [0] * len(fields)
        for swap, form, order in layers:
            for index, raw in zip(order, form.unpack_from(_swapped(data) if swap else data), strict=True):
                raws[index] = raw
        return raws

    return extract


def _swapped(data: bytes) -> bytes:
    words = array("H", data)
    words.byteswap()
    return words.tobytes()


def _layers(fields: Sequence[Field]) -> list[tuple[bool, struct.Struct, list[int]]]:
    """Fields dealt into structs: (swap bytes first?, struct with pads, indexes of the fields it gives)."""
    layers: list[tuple[bool, str, int, list[int]]] = []  # swap, format so far, end in bytes, indexes
    for index, field in sorted(enumerate(fields), key=lambda item: item[1].at):
        swap, endian = _ORDERS[field.channel.order]
        start, size = field.at * 2, field.channel.width * 2
        code = _CODES[field.channel.type]
        for number, (its_swap, form, end, order) in enumerate(layers):
            if its_swap == swap and form[0] == endian and end <= start:
                pad = f"{start - end}x" if start > end else ""
                layers[number] = (swap, form + pad + code, start + size, [*order, index])
                break
        else:
            layers.append((swap, f"{endian}{f'{start}x' if start else ''}{code}", start + size, [index]))
    return [(swap, struct.Struct(form), order) for swap, form, _, order in layers]


class _Key:
    """What two channels must share to be converted together."""

    __slots__ = ("bit", "bits", "high", "low", "offset", "scale", "sentinels", "type")

    def __init__(self, channel: RegisterChannel) -> None:
        self.type, self.bit, self.bits = channel.type, channel.bit, channel.bits
        self.scale, self.offset = Fraction(channel.scale), Fraction(channel.offset)
        self.sentinels = frozenset(_normal(s, channel) for s in channel.sentinels)
        self.low = float("-inf") if channel.range_low is None else channel.range_low
        self.high = float("inf") if channel.range_high is None else channel.range_high

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and all(getattr(self, n) == getattr(other, n) for n in self.__slots__)

    __hash__ = None  # type: ignore[assignment]

    @property
    def bounded(self) -> bool:
        return self.low > float("-inf") or self.high < float("inf")


def _normal(sentinel: float, channel: RegisterChannel) -> int | float:
    """A sentinel as the type's own number: 0x8000 of an int16 is −32768."""
    bits = channel.integer_bits
    if bits is None:
        return sentinel
    number = int(sentinel)
    return number - (1 << bits) if channel.type.startswith("int") and number >= 1 << bits - 1 else number


def _conversion(key: _Key) -> _Convert:
    if key.type == "bool":
        bit = key.bit
        return (
            (lambda raws: (list(raws), None))
            if bit is None
            else (lambda raws: ([int(r) >> bit & 1 for r in raws], None))
        )
    if key.type.startswith("float"):
        return _floats(key)
    if key.type.startswith("bcd"):
        return _decimals(key)
    return _integers(key) if key.bits is None else _fields(key)


def _fields(key: _Key) -> _Convert:
    """Some bits of each integer, then as any other integer."""
    convert, bit, bits = _integers(key), key.bit or 0, key.bits or 0
    mask, sign = (1 << bits) - 1, 1 << bits - 1 if key.type.startswith("int") else 0
    if sign:
        return lambda raws: convert([((int(raw) >> bit & mask) ^ sign) - sign for raw in raws])
    return lambda raws: convert([int(raw) >> bit & mask for raw in raws])


def _decimals(key: _Key) -> _Convert:
    """Binary-coded decimals: a register's hex digits are the number's digits, and A to F are none."""
    sentinels, plain = key.sentinels, copy(key)
    plain.sentinels = frozenset()  # those are of the register, not of the number
    convert = _integers(plain)

    def one(raw: float) -> tuple[Value, str]:
        if raw in sentinels:
            return None, BAD_SENTINEL
        try:
            (value,), marks = convert([int(f"{raw:x}")])
        except ValueError:
            return None, BAD_UNPARSED
        return value, marks[0] if marks else GOOD

    def many(raws: Raw) -> Columns:
        if sentinels.isdisjoint(raws):
            try:
                return convert([int(f"{raw:x}") for raw in raws])
            except ValueError:
                pass
        found = [one(raw) for raw in raws]
        return [value for value, _ in found], [mark for _, mark in found]

    return many


def _integers(key: _Key) -> _Convert:
    """(raw × p + o) / q in integers: one rounding."""
    q = key.scale.denominator * key.offset.denominator
    p, o = int(key.scale * q), int(key.offset * q)
    scaled = _scaled(p, o, q)
    sentinels, low, high, bounded = key.sentinels, key.low, key.high, key.bounded

    def convert(raws: Raw) -> Columns:
        values = scaled(raws)
        if (sentinels and not sentinels.isdisjoint(raws)) or (bounded and (min(values) < low or max(values) > high)):
            return _judged(raws, values, sentinels, low, high)
        return values, None  # type: ignore[return-value]  # a list of numbers is a list of values

    return convert


def _scaled(p: int, o: int, q: int) -> Callable[[Raw], list[int | float]]:
    if (p, o, q) == (1, 0, 1):
        return list
    if q == 1:
        return lambda raws: [raw * p + o for raw in raws]
    if (p, o) == (1, 0):
        return lambda raws: [raw / q for raw in raws]
    return lambda raws: [(raw * p + o) / q for raw in raws]


def _floats(key: _Key) -> _Convert:
    shortest = _SHORTEST[key.type]
    plain = key.scale == 1 and key.offset == 0
    sentinels, low, high, bounded = key.sentinels, key.low, key.high, key.bounded

    def convert(raws: Raw) -> Columns:
        total = sum(raws)
        if not plain or total - total != 0:  # scaled, or a NaN or an infinity is among them
            return _one_by_one(raws, key)
        values = shortest(raws)
        if (sentinels and not sentinels.isdisjoint(values)) or (bounded and (min(values) < low or max(values) > high)):
            return _judged(values, values, sentinels, low, high)
        return values, None  # type: ignore[return-value]  # a list of numbers is a list of values

    return convert


def _one_by_one(raws: Raw, key: _Key) -> Columns:
    values: list[Value] = []
    quality: list[str] = []
    for raw in raws:
        value, mark = _one(raw, key)
        values.append(value)
        quality.append(mark)
    return values, quality if any(mark != GOOD for mark in quality) else None


def _one(raw: float, key: _Key) -> tuple[Value, str]:
    if raw - raw != 0:
        return None, BAD_NOT_A_NUMBER
    (value,) = _SHORTEST[key.type]((raw,))
    if value in key.sentinels:
        return None, BAD_SENTINEL
    try:
        value = value if key.scale == 1 and key.offset == 0 else float(Fraction(repr(value)) * key.scale + key.offset)
    except OverflowError:
        return None, BAD_RANGE
    return (value, GOOD) if key.low <= value <= key.high else (None, BAD_RANGE)


def _judged(
    raws: Raw, values: Sequence[int | float], sentinels: frozenset[int | float], low: float, high: float
) -> Columns:
    quality = [
        BAD_SENTINEL if raw in sentinels else GOOD if low <= value <= high else BAD_RANGE
        for raw, value in zip(raws, values, strict=True)
    ]
    return [value if mark is GOOD else None for value, mark in zip(values, quality, strict=True)], quality


# 10 to the power that makes seven digits of a number below each step; NaN where the arithmetic below would not be exact.
_STEPS = [5e-324, 0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6, 1e7]
_POWERS = [1.0, float("nan"), 1e9, 1e8, 1e7, 1e6, 1e5, 1e4, 1e3, 1e2, 1e1, 1.0, float("nan")]
#: Added and taken away again, it rounds a double of less than 2**51 to a whole number, half to even.
_WHOLE = 1.5 * 2.0**52
_FORMS = [struct.Struct(f"<{n}f") for n in range(126)]


def _shortest_all(raws: Raw) -> list[int | float]:
    """``shortest32`` of each, by arithmetic instead of text for numbers of 0.001 to 10⁷ in size (and 0).

    There raw × 10ᵏ is exact (24 + 26 bits), so is its rounding to n digits, and the quotient of two exact doubles
    is the double nearest to that decimal. A float32's step is there no larger than a unit of the seventh digit, so
    that seven digits cannot miss a shorter decimal.
    """
    raws = tuple(raws)
    powers = [_POWERS[bisect_right(_STEPS, abs(raw))] for raw in raws]
    near: list[int | float] = [(raw * p + _WHOLE - _WHOLE) / p for raw, p in zip(raws, powers, strict=True)]
    form = _FORMS[len(raws)]
    back = form.unpack(form.pack(*near))
    if back == raws:
        return near
    for index, (raw, again) in enumerate(zip(raws, back, strict=True)):
        if raw != again:
            eight = powers[index] * 10.0
            better = (raw * eight + _WHOLE - _WHOLE) / eight
            near[index] = better if _ONE.unpack(_ONE.pack(better))[0] == raw else shortest32(raw)
    return near


_ONE = struct.Struct("<f")
_HALF = struct.Struct("<e")


def shortest32(value: float) -> float:
    """The decimal with the fewest digits (6 to 9) that is the same float32 as ``value``, as a double."""
    return _shortest(value, _ONE, (6, 7, 8, 9))


def shortest16(value: float) -> float:
    """The decimal with the fewest digits (3 to 5) that is the same float16 as ``value``, as a double."""
    return _shortest(value, _HALF, (3, 4, 5))


def _shortest(value: float, form: struct.Struct, digits: tuple[int, ...]) -> float:
    for number in digits[:-1]:
        near = float(f"{value:.{number}g}")
        try:
            if form.unpack(form.pack(near))[0] == value:
                return near
        except OverflowError:
            continue  # rounded up beyond the largest of its kind
    return float(f"{value:.{digits[-1]}g}")


_SHORTEST: dict[str, Callable[[Raw], list[int | float]]] = {
    "float16": lambda raws: [shortest16(raw) for raw in raws],
    "float32": _shortest_all,
    "float64": list,
}
