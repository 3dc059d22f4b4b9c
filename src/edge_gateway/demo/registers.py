"""How the simulated devices lay their values into registers, and how they answer a request; independent of the project's own decoder.

The layouts are written down here again, from the makers' register tables that the profiles cite, and packed with
``struct``: where profile and plant disagree, the comparison with the truth log shows it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE = 1, 2, 3


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a channel stands: its function and PDU address, how many registers (or bits), how a number becomes bytes.

    ``mean`` rounds a measured value to what the device can say: that is the truth which must arrive.
    """

    function: int
    address: int
    count: int
    mean: Callable[[float], float | int]
    pack: Callable[[float], bytes]


def _tenths(code: str) -> tuple[Callable[[float], float], Callable[[float], bytes]]:
    return (lambda value: round(value * 10) / 10), (lambda meant: struct.pack(code, round(meant * 10)))


def _words(data: bytes) -> bytes:
    """Low word first: ABCD to CDAB."""
    return data[2:] + data[:2]


def _float(digits: int, order: Callable[[bytes], bytes]) -> tuple[Callable[[float], float], Callable[[float], bytes]]:
    return (lambda value: round(value, digits)), (lambda meant: order(struct.pack(">f", meant)))


_SIGNED, _UNSIGNED = _tenths(">h"), _tenths(">H")
_PLAIN = _float(3, lambda data: data)
_BACKWARD = [_float(digits, lambda data: data[::-1]) for digits in range(3)]
_LOW_FIRST = [_float(digits, _words) for digits in range(4)]

#: Profile -> channel -> layout, for every channel that the device offers, whether the site uses it or not.
DEVICES: Mapping[str, Mapping[str, Layout]] = {
    # function 4: 1 temperature int16 / 10, 2 humidity uint16 / 10
    "generic/xy-md02": {
        "temperature": Layout(4, 1, 1, *_SIGNED),
        "humidity": Layout(4, 2, 1, *_UNSIGNED),
    },
    # function 2: inputs 0 to 7
    "wellpro/wp8028adam": {
        f"input-{n + 1}": Layout(2, n, 1, lambda value: int(value > 0.5), lambda meant: bytes([int(meant)]))
        for n in range(8)
    },
    # function 3: 0x0040 float32 ABCD, mg/L
    "zw/rcl101": {"free-chlorine": Layout(3, 0x0040, 2, *_PLAIN)},
    # function 3: float32 with all bytes backward (DCBA); pH 0x2800, temperature 0x2400, potential 0x1200
    "yosemitech/y532": {
        "ph": Layout(3, 0x2800, 2, *_BACKWARD[2]),
        "temperature": Layout(3, 0x2400, 2, *_BACKWARD[1]),
        "potential": Layout(3, 0x1200, 2, *_BACKWARD[1]),
    },
    # function 3, the manual's R1 is address 0: float32 CDAB flow, speed, speed of sound; int32 CDAB total; float32 inlet
    "tuf/2000m": {
        "flow": Layout(3, 0, 2, *_LOW_FIRST[2]),
        "velocity": Layout(3, 4, 2, *_LOW_FIRST[3]),
        "sound-velocity": Layout(3, 6, 2, *_LOW_FIRST[1]),
        "total": Layout(3, 8, 2, int, lambda meant: _words(struct.pack(">i", int(meant)))),
        "temperature-inlet": Layout(3, 32, 2, *_LOW_FIRST[1]),
    },
}


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer's PDU. ``data`` are the register bytes (b"" for an exception), ``values`` what they mean, by point."""

    pdu: bytes
    start: int = 0
    data: bytes = b""
    values: Mapping[str, float | int] = ()  # type: ignore[assignment]


class Unit:
    """One simulated device: answers functions 1 to 4 for the addresses that it has, with exception 2 for all others.

    ``points`` maps a channel to the site's point; other channels hold 0.
    """

    def __init__(self, profile: str, points: Mapping[str, str], measure: Callable[[str], float]) -> None:
        self._layouts = DEVICES[profile]
        self._points = points
        self._measure = measure

    def answer(self, pdu: bytes) -> Answer:
        """Answer a request's PDU."""
        function = pdu[0] if pdu else 0
        if function not in {layout.function for layout in self._layouts.values()}:
            return Answer(bytes([function | 0x80, ILLEGAL_FUNCTION]))
        if len(pdu) != 5:
            return Answer(bytes([function | 0x80, ILLEGAL_VALUE]))
        start, count = struct.unpack(">HH", pdu[1:])
        covered = self._covered(function, start, count)
        if covered is None:
            return Answer(bytes([function | 0x80, ILLEGAL_ADDRESS]))
        values: dict[str, float | int] = {}
        cells: dict[int, bytes] = {}
        for channel, layout in covered.items():
            point = self._points.get(channel)
            meant = layout.mean(self._measure(point)) if point else 0
            if point:
                values[point] = meant
            cells[layout.address] = layout.pack(meant)
        data = _bits(cells, start, count) if function in (1, 2) else b"".join(cells[at] for at in sorted(cells))
        return Answer(bytes([function, len(data)]) + data, start, data, values)

    def _covered(self, function: int, start: int, count: int) -> dict[str, Layout] | None:
        """The channels that exactly fill the asked range, or None where the device has no such addresses."""
        end = start + count
        inside = {
            channel: layout
            for channel, layout in self._layouts.items()
            if layout.function == function and start <= layout.address and layout.address + layout.count <= end
        }
        filled = sum(layout.count for layout in inside.values())
        return inside if count > 0 and filled == count else None


def _bits(cells: Mapping[int, bytes], start: int, count: int) -> bytes:
    packed = sum(cells[start + n][0] << n for n in range(count))
    return packed.to_bytes((count + 7) // 8, "little")
