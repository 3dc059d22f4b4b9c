"""The one place where a request that writes is made; everything else in this program can only read.

Function codes 5, 6 and 16 (MODBUS Application Protocol Specification V1.1b3, 6.5, 6.6 and 6.12). Nothing but
``provision.bench`` may import this module; ``tests/provision/test_only_here.py`` holds that. No source can reach it:
sources stand on a lower floor.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from edge_gateway.errors import BadFrame, DeviceRefused
from edge_gateway.links.modbus_pdu import EXCEPTIONS
from edge_gateway.provision.model import FIRST_UNIT, LAST_UNIT, Parameter

_COIL_ON, _COIL_OFF = 0xFF00, 0x0000


def writing_request(unit: int, parameter: Parameter, words: Sequence[int]) -> bytes:
    """The PDU that sets ``parameter`` to ``words``. Raises ValueError: a broadcast, or words that do not fit."""
    if not FIRST_UNIT <= unit <= LAST_UNIT:
        raise ValueError(f"unit {unit}: only one unit is ever written to, {FIRST_UNIT} to {LAST_UNIT}")
    if parameter.type is None or len(words) != parameter.width:
        raise ValueError(f"{parameter.id}: {len(words)} words do not set it")
    if parameter.table == "coil":
        return struct.pack(">BHH", 5, parameter.address, _COIL_ON if words[0] else _COIL_OFF)
    if parameter.width == 1 and parameter.write != 16:
        return struct.pack(">BHH", 6, parameter.address, words[0])
    count = len(words)
    return struct.pack(f">BHHB{count}H", 16, parameter.address, count, 2 * count, *words)


def answer_to(request: bytes) -> bytes:
    """What a unit says that has taken ``request``: the request itself, or its first five bytes for function 16."""
    return request[:5]


def wrong(request: bytes, reply: bytes) -> BadFrame | DeviceRefused | None:
    """Why ``reply`` does not say that ``request`` was taken; None when it does."""
    if len(reply) == 2 and reply[0] == request[0] | 0x80:
        why = f"exception {reply[1]}: {EXCEPTIONS.get(reply[1], 'not in the standard')}"
        return DeviceRefused(why, code=reply[1])
    if reply != answer_to(request):
        return BadFrame("the answer does not repeat what was written", received=reply)
    return None
