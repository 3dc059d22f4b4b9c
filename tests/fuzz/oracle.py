"""Judges an answer that a line accepted, by the specification alone: shares no code with the lines.

"MODBUS Application Protocol" V1.1b3, 6.1-6.4; "MODBUS over serial line" V1.02, 2.5 (CRC, LRC); "MODBUS Messaging on TCP/IP"
V1.0b, 3.1.3.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Asked:
    """A question of functions 1 to 4; ``transaction`` counts over TCP only."""

    unit: int
    function: int
    start: int
    count: int
    transaction: int = 0

    @property
    def pdu(self) -> bytes:
        return bytes([self.function]) + self.start.to_bytes(2, "big") + self.count.to_bytes(2, "big")

    @property
    def data_bytes(self) -> int:
        return -(-self.count // 8) if self.function in (1, 2) else self.count * 2


def crc(data: bytes) -> bytes:
    """CRC-16/MODBUS bit by bit, low byte first."""
    register = 0xFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            carry = register & 1
            register >>= 1
            if carry:
                register ^= 0xA001
    return register.to_bytes(2, "little")


def lrc(data: bytes) -> bytes:
    """Two's complement of the sum."""
    return bytes([(256 - sum(data) % 256) % 256])


def frame(kind: str, asked: Asked, pdu: bytes, *, unit: int | None = None, transaction: int | None = None) -> bytes:
    """A frame whose envelope is right."""
    unit = asked.unit if unit is None else unit
    if kind == "tcp":
        number = asked.transaction if transaction is None else transaction
        return number.to_bytes(2, "big") + b"\0\0" + (len(pdu) + 1).to_bytes(2, "big") + bytes([unit]) + pdu
    body = bytes([unit]) + pdu
    if kind == "rtu":
        return body + crc(body)
    return b":" + (body + lrc(body)).hex().upper().encode() + b"\r\n"


def wrong(kind: str, asked: Asked, came: bytes, reply: bytes) -> str:
    """Why ``reply`` may not be taken for the answer, out of all bytes that came; "" if it may."""
    if not reply or reply[0] != asked.function:
        return "function"
    if len(reply) < 2 or reply[1] != asked.data_bytes or len(reply) != 2 + asked.data_bytes:
        return "count"
    for place in range(len(came)):
        if _stands(kind, asked, came[place:], reply):
            return ""
    return "unit, number or checksum: no such frame came"


def _stands(kind: str, asked: Asked, came: bytes, reply: bytes) -> bool:
    whole = frame(kind, asked, reply)
    if kind == "ascii":  # digits may be small
        return came[: len(whole)].upper() == whole
    return came.startswith(whole)
