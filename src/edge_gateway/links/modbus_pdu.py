"""Modbus requests and what counts as their answer: pure bytes, no line, no time. Only reading functions exist here.

Registers and bits (functions 1-4), and what a device says of itself: function 17 (report server id) and 43/14 (read
device identification), whose answers have a length of their own.
Source: MODBUS Application Protocol Specification V1.1b3, sections 6.1-6.4, 6.13, 6.21 and 7; CRC from "MODBUS over
serial line" V1.02, 6.2.2.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, fields

from edge_gateway.errors import BadFrame, DeviceRefused, LinkDown

_REQUEST = struct.Struct(">BHH")
#: Largest count a request may ask for, by function.
MOST = {1: 2000, 2: 2000, 3: 125, 4: 125}
READ_FUNCTIONS = frozenset(MOST)
SERVER_ID, DEVICE_ID, _DEVICE_ID_MEI = 17, 43, 14
#: Size of an answer that only the answer itself tells.
VARIABLE = -1
#: The longest PDU there is.
MOST_PDU = 253

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


class StillOwed(NoAnswer):
    """Not asked: an earlier answer of the same shape is outstanding for ``left_s`` more seconds at most, and could not be
    told from the one to this question."""

    def __init__(self, why: str, left_s: float) -> None:
        super().__init__(why, hint="see late_max_s of the bus")
        self.left_s = left_s


@dataclass(slots=True)
class Counters:
    """What happened on a line since it was made.

    Frames: ``requests`` sent and ``answers`` taken; ``refused``: exceptions; ``no_answer``: time-outs; ``bad_frames``: all
    that came instead of an answer, of which ``crc_errors``; ``late``: answers after their time, quarantined; ``retries``:
    requests sent again; ``strange``: answers to no question of ours; ``echoes``: of our own requests; ``noise_bytes``:
    thrown away around frames.
    """

    requests: int = 0
    answers: int = 0
    refused: int = 0
    no_answer: int = 0
    bad_frames: int = 0
    crc_errors: int = 0
    late: int = 0
    retries: int = 0
    strange: int = 0
    echoes: int = 0
    noise_bytes: int = 0
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


def server_id_request() -> bytes:
    """Function 17's PDU: what the unit says it is, in bytes of its maker's choice."""
    return bytes((SERVER_ID,))


def device_id_request(code: int = 1, object_id: int = 0) -> bytes:
    """Function 43/14's PDU. ``code``: 1 basic, 2 regular, 3 extended (from ``object_id`` on), 4 that object alone.

    Raises ValueError for others.
    """
    if code not in (1, 2, 3, 4) or not 0 <= object_id <= 255:
        raise ValueError(f"device identification has the codes 1-4 and objects 0-255, not {code} and {object_id}")
    return bytes((DEVICE_ID, _DEVICE_ID_MEI, code, object_id))


def data_bytes(pdu: bytes) -> int:
    """Data bytes that the answer to ``pdu`` must carry, or VARIABLE. Raises ValueError if ``pdu`` is no reading request."""
    if len(pdu) == 5 and pdu[0] in READ_FUNCTIONS:
        count = pdu[3] << 8 | pdu[4]
        return (count + 7) // 8 if pdu[0] <= 2 else 2 * count
    if pdu == b"\x11" or (len(pdu) == 4 and pdu[:2] == b"\x2b\x0e" and 1 <= pdu[2] <= 4):
        return VARIABLE
    raise ValueError(f"{pdu.hex()} is no reading request; the field bus is read-only")


def least(asked: bytes, size: int, head: bytes) -> int:
    """The length that an answer's PDU beginning with ``head`` has at least; its whole length once ``head`` is that long.

    0: nothing that begins so answers ``asked`` (which wants ``size`` data bytes).
    """
    if not head or head[0] == asked[0] | 0x80:
        return 2
    if head[0] != asked[0]:
        return 0
    if asked[0] == DEVICE_ID:
        return _least_device_id(asked, head)
    if len(head) < 2:
        return 2
    if size == VARIABLE:
        return 2 + head[1] if 2 + head[1] <= MOST_PDU else 0
    return 2 + size if head[1] == size else 0


def _least_device_id(asked: bytes, head: bytes) -> int:
    """MEI 14, the code asked for, conformity, more, next, number of objects; then id, length and bytes of each."""
    if head[1:3] != asked[1 : min(len(head), 3)]:
        return 0
    at = 7
    for _ in range(head[6] if len(head) > 6 else 0):
        if len(head) < at + 2:
            at += 2
            break
        at += 2 + head[at + 1]
    return at if at <= MOST_PDU else 0


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
    if size == VARIABLE:
        whole = least(asked, size, reply)
        if whole == 0 or whole != len(reply):
            return BadFrame(f"{len(reply)} bytes that are no identification", received=reply)
        return None
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
