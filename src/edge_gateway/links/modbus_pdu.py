"""Modbus requests and what counts as their answer: pure bytes, no line, no time. Only the four reading functions exist here.

Source: MODBUS Application Protocol Specification V1.1b3, sections 6.1-6.4 and 7; CRC from "MODBUS over serial line"
V1.02, 6.2.2.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, fields

from edge_gateway.errors import BadFrame, DeviceRefused, LinkDown

_REQUEST = struct.Struct(">BHH")
#: Largest count a request may ask for, by function.
MOST = {1: 2000, 2: 2000, 3: 125, 4: 125}
READ_FUNCTIONS = frozenset(MOST)

EXCEPTIONS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "acknowledged, not ready",
    6: "device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "the unit behind the gateway did not respond",
}


class NoAnswer(LinkDown):
    """The line stands, but the unit said nothing in time: rest this unit, not the line."""


@dataclass(slots=True)
class Counters:
    """What happened on a line since it was made. ``strange`` are answers to no question of ours: late, doubled, misaddressed."""

    requests: int = 0
    answers: int = 0
    refused: int = 0
    no_answer: int = 0
    bad_frames: int = 0
    strange: int = 0
    opened: int = 0
    open_failures: int = 0
    closed_by_peer: int = 0

    def as_dict(self) -> dict[str, int]:
        """JSON-able."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def request(function: int, start: int, count: int) -> bytes:
    """A reading request's PDU. Raises ValueError for anything but functions 1-4 within their bounds: we never write."""
    if function not in READ_FUNCTIONS:
        raise ValueError(f"function {function} is not a reading one; the field bus is read-only")
    if not (1 <= count <= MOST[function] and start >= 0 and start + count <= 0x10000):
        raise ValueError(f"function {function} cannot read {count} from {start}")
    return _REQUEST.pack(function, start, count)


def data_bytes(pdu: bytes) -> int:
    """Data bytes that the answer to ``pdu`` must carry. Raises ValueError if ``pdu`` is no reading request."""
    if len(pdu) != 5 or pdu[0] not in READ_FUNCTIONS:
        raise ValueError(f"{pdu.hex()} is no reading request; the field bus is read-only")
    count = pdu[3] << 8 | pdu[4]
    return (count + 7) // 8 if pdu[0] <= 2 else 2 * count


def fault(asked: bytes, size: int, reply: bytes) -> BadFrame | DeviceRefused | None:
    """Why ``reply`` is no good answer to ``asked`` (which wants ``size`` data bytes); None for a good one."""
    if not reply:
        return BadFrame("an empty answer", received=reply)
    if reply[0] == asked[0] | 0x80:
        if len(reply) != 2:
            return BadFrame(f"an exception of {len(reply)} bytes instead of 2", received=reply)
        code = reply[1]
        return DeviceRefused(f"exception {code}: {EXCEPTIONS.get(code, 'not in the standard')}", code=code)
    if reply[0] != asked[0]:
        return BadFrame(f"function {reply[0]} answers function {asked[0]}", received=reply)
    if len(reply) < 2 or reply[1] != size:
        said = reply[1] if len(reply) > 1 else 0
        return BadFrame(f"{said} data bytes announced instead of {size}", received=reply)
    if len(reply) != size + 2:
        return BadFrame(f"{len(reply) - 2} data bytes instead of {size}", received=reply)
    return None


def _table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
        table.append(value)
    return tuple(table)


_CRC = _table()


def crc16(data: bytes) -> bytes:
    """The two checksum bytes of a serial frame, low byte first."""
    crc = 0xFFFF
    table = _CRC
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return bytes((crc & 0xFF, crc >> 8))
