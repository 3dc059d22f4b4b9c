"""A simulated device of any type: lays values into the registers that its profile names, and answers reads; knows no site and no decoder.

The way back of what a gateway does: written from the profile's words (``Place``) with ``struct``, so that a fault of the
decoder shows as a difference.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from edge_gateway.demo.registers import ILLEGAL_ADDRESS, ILLEGAL_FUNCTION, ILLEGAL_VALUE, Answer
from edge_gateway.profiles.model import ModbusProfile, RegisterChannel

_INTEGERS = {"int16": 16, "uint16": 16, "int32": 32, "uint32": 32, "int64": 64, "uint64": 64}
_FLOATS = {"float16": ">e", "float32": ">f", "float64": ">d"}
_BCD_DIGITS = {"bcd16": 4, "bcd32": 8}
#: Decimal digits that each type always holds: what is given in so many comes back as it was written.
_DIGITS = {"float16": 3, "float32": 6, "float64": 9}


@dataclass(frozen=True, slots=True)
class Laid:
    """A value in its registers: the whole number or the bytes of them, and what it means to whoever reads it right."""

    meant: float | int
    word: int = 0
    data: bytes = b""


def lay(channel: RegisterChannel, value: float) -> Laid:
    """``value`` as near as the channel can say it, within what its probe measures, and no sentinel."""
    low, high = channel.range_low, channel.range_high
    value = max(value, low) if low is not None else value
    value = min(value, high) if high is not None else value
    if channel.type == "bool":
        bit = int(value > 0.5)
        return Laid(bit, bit << (channel.bit or 0))
    raw = (Decimal(repr(value)) - channel.offset) / channel.scale
    if channel.type in _FLOATS:
        raw = Decimal(f"{raw:.{_DIGITS[channel.type]}g}")
        return Laid(_meant(channel, raw), data=_ordered(struct.pack(_FLOATS[channel.type], float(raw)), channel.order))
    number = _whole(channel, int(raw.to_integral_value(ROUND_HALF_EVEN)))
    meant = _meant(channel, Decimal(number))
    if channel.bits is not None:
        return Laid(meant, (number & (1 << channel.bits) - 1) << (channel.bit or 0))
    if channel.type in _BCD_DIGITS:
        digits = _BCD_DIGITS[channel.type]
        return Laid(meant, data=_ordered(bytes.fromhex(f"{number:0{digits}d}"), channel.order))
    size = _INTEGERS[channel.type] // 8
    return Laid(meant, data=_ordered(number.to_bytes(size, "big", signed=channel.type.startswith("int")), channel.order))


def _meant(channel: RegisterChannel, raw: Decimal) -> float:
    return float(raw * channel.scale + channel.offset)


def _whole(channel: RegisterChannel, number: int) -> int:
    """Within the type, and beside its sentinels."""
    if channel.type in _BCD_DIGITS:
        return max(0, min(number, int("9" * _BCD_DIGITS[channel.type])))
    bits = channel.bits or _INTEGERS[channel.type]
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if channel.type.startswith("int") else (0, (1 << bits) - 1)
    number = max(low, min(number, high))
    taken = {int(each) for each in channel.sentinels} | {int(each) - (1 << bits) for each in channel.sentinels}
    while number in taken:
        number += -1 if number >= high else 1
    return number


def _ordered(data: bytes, order: str) -> bytes:
    """Big-endian bytes as the device has them."""
    words = [data[at : at + 2] for at in range(0, len(data), 2)]
    if order == "CDAB":
        words.reverse()
    elif order == "BADC":
        words = [word[::-1] for word in words]
    return data[::-1] if order == "DCBA" else b"".join(words)


class OwnUnit:
    """One unit: the points of every device behind it, by channel. Addresses that the profile does not let anybody read are exception 2."""

    def __init__(self, profile: ModbusProfile, points: Mapping[str, Sequence[str]], measure: Callable[[str], float]) -> None:
        self._points = points
        self._measure = measure
        self._channels = profile.channels
        self._has: dict[int, set[int]] = {}
        for channel in profile.channels.values():
            self._has.setdefault(channel.function, set()).update(range(channel.register_, channel.register_ + channel.width))
        if profile.modbus.gap_readable:
            self._has = {function: set(range(min(known), max(known) + 1)) for function, known in self._has.items()}
        for listed in profile.modbus.ranges:
            self._has.setdefault(listed.function, set()).update(range(listed.first, listed.last + 1))

    def answer(self, pdu: bytes) -> Answer:
        """Answer a request's PDU."""
        function = pdu[0] if pdu else 0
        if function not in self._has:
            return Answer(bytes([function | 0x80, ILLEGAL_FUNCTION]))
        if len(pdu) != 5:
            return Answer(bytes([function | 0x80, ILLEGAL_VALUE]))
        start, count = struct.unpack(">HH", pdu[1:])
        if not count or not self._has[function].issuperset(range(start, start + count)):
            return Answer(bytes([function | 0x80, ILLEGAL_ADDRESS]))
        values: dict[str, float | int] = {}
        whole: dict[int, int] = {}
        for name, channel in sorted(self._channels.items(), key=lambda item: item[1].bit is None):  # bits first
            if channel.function == function and start <= channel.register_ and channel.register_ + channel.width <= start + count:
                self._put(name, channel, values, whole)
        if function in (1, 2):
            packed = sum(whole.get(start + n, 0) << n for n in range(count))
            data = packed.to_bytes((count + 7) // 8, "little")
        else:
            data = b"".join(whole.get(start + n, 0).to_bytes(2, "big") for n in range(count))
        return Answer(bytes([function, len(data)]) + data, start, data, values)

    def _put(self, name: str, channel: RegisterChannel, values: dict[str, float | int], whole: dict[int, int]) -> None:
        """The channel's registers, if a point has it; several channels may be bits of one register."""
        points = self._points.get(name, ())
        if not points:
            return
        if channel.bit is None and channel.type == "uint16" and channel.register_ in whole:  # the register of bits that points have
            values.update(dict.fromkeys(points, _meant(channel, Decimal(whole[channel.register_]))))
            return
        laid = lay(channel, self._measure(points[0]))
        values.update(dict.fromkeys(points, laid.meant))
        data = laid.data or _ordered(laid.word.to_bytes(channel.width * 2, "big"), channel.order)
        if channel.function in (1, 2):
            whole[channel.register_] = laid.word
            return
        for at in range(channel.width):
            register = channel.register_ + at
            whole[register] = whole.get(register, 0) | int.from_bytes(data[2 * at : 2 * at + 2], "big")


def own_units(devices: Iterable[Mapping[str, Any]], measure: Callable[[str], float]) -> dict[tuple[str, int], tuple[str, OwnUnit]]:
    """Units by (bus, unit) of devices as ``own_site`` writes them down; devices behind one unit share it."""
    found: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
    for device in devices:
        found.setdefault((device["bus"], device["unit"]), []).append(device)
    units = {}
    for place, sharing in found.items():
        points: dict[str, list[str]] = {}
        for device in sharing:
            for point, channel in device["points"].items():
                points.setdefault(channel, []).append(point)
        units[place] = (sharing[0]["id"], OwnUnit(ModbusProfile.model_validate_json(sharing[0]["profile"]), points, measure))
    return units
