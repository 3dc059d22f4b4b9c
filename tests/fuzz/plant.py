"""Planted faults: a guard that leaves one check out. Each must be found, by the fuzzer and by the replay."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from edge_gateway.errors import BadFrame, DeviceRefused
from edge_gateway.links import modbus_frames, modbus_tcp
from edge_gateway.links.modbus_pdu import fault

#: What is left out, and the target that must find it.
PLANTED = {"count": "modbus-tcp", "function": "modbus-tcp", "unit": "modbus-tcp", "crc": "modbus-rtu", "lrc": "modbus-ascii"}


def _without(check: str) -> Callable[[bytes, int, bytes], BadFrame | DeviceRefused | None]:
    """``links.modbus_pdu.fault`` without the check of the function, or of the count."""

    def lax(asked: bytes, size: int, reply: bytes) -> BadFrame | DeviceRefused | None:
        if check == "function" and reply and not reply[0] & 0x80:
            return fault(asked, size, asked[:1] + reply[1:])
        if check == "count" and len(reply) > 1 and reply[0] == asked[0]:
            return None
        return fault(asked, size, reply)

    return lax


def _blind(connection: Any, transaction: int, _unit: int, reply: bytes) -> None:
    """``_take`` that believes every frame to come from the unit that was asked."""
    _TAKE(connection, transaction, connection._asked[1], reply)


_TAKE = modbus_tcp._Connection._take


def _any_digits(text: bytes) -> bytes:
    """``modbus_frames._body`` without its checksum."""
    try:
        raw = bytes.fromhex(text[1:-2].decode("ascii"))[:-1]
    except ValueError:
        return b""
    return raw if len(raw) >= 3 else b""


@contextmanager
def planted(name: str) -> Iterator[None]:
    """The fault is in while this lasts."""
    patches = {
        "count": lambda: mock.patch.object(modbus_tcp, "fault", _without("count")),
        "function": lambda: mock.patch.object(modbus_tcp, "fault", _without("function")),
        "unit": lambda: mock.patch.object(modbus_tcp._Connection, "_take", _blind),
        "crc": lambda: mock.patch.object(modbus_frames, "_right", lambda data, _at, end: end <= len(data)),
        "lrc": lambda: mock.patch.object(modbus_frames, "_body", _any_digits),
    }
    with patches[name]():
        yield
