"""What damaged bytes of a serial line show by themselves: flipped bits, foreign frames, breaks; pure, blames nothing."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, lru_cache

from edge_gateway.links.modbus_pdu import crc16
from edge_gateway.links.modbus_trace import Exchange

#: Function codes that a foreign frame is believed to have.
_FUNCTIONS = frozenset((1, 2, 3, 4, 5, 6, 15, 16))
#: Bytes of one run that are searched for frames.
_SEARCHED = 160


@cache
def _syndromes(size: int) -> dict[int, int]:
    """For a frame of ``size`` bytes: what a single wrong bit does to the checksum -> the bit, counted from the first."""
    zero = int.from_bytes(crc16(bytes(size - 2)), "little")
    found = {}
    for bit in range(8 * (size - 2)):
        body = bytearray(size - 2)
        body[bit >> 3] = 1 << (bit & 7)
        found[int.from_bytes(crc16(bytes(body)), "little") ^ zero] = bit
    for bit in range(16):  # in the checksum itself
        found[1 << bit] = 8 * (size - 2) + bit
    return found


def flipped(exchange: Exchange) -> list[tuple[int, bool]]:
    """The bits of a damaged answer that can be located: (which of its byte, came right after a change of the wire's level).

    A single wrong bit is located by the checksum; otherwise the first three bytes are compared with what an answer to
    this question begins with. The wire carries a start bit (0) before each byte's bits, lowest first.
    """
    frame, asked = exchange.received, exchange.sent
    size = _data_size(asked)
    if len(frame) != size + 5:
        return []
    syndrome = int.from_bytes(crc16(frame[:-2]), "little") ^ int.from_bytes(frame[-2:], "little")
    bit = _syndromes(len(frame)).get(syndrome)
    if bit is not None:
        right = bytearray(frame)
        right[bit >> 3] ^= 1 << (bit & 7)
        return [_wire(right[bit >> 3], bit & 7)]
    expected = bytes((asked[0], asked[1], size))
    return [
        _wire(right_byte, bit)
        for right_byte, byte in zip(expected, frame, strict=False)
        for bit in range(8)
        if (right_byte ^ byte) >> bit & 1
    ]


def _wire(right: int, bit: int) -> tuple[int, bool]:
    before = right >> (bit - 1) & 1 if bit else 0
    return bit, (right >> bit & 1) != before


def _data_size(asked: bytes) -> int:
    count = int.from_bytes(asked[4:6], "big") if len(asked) >= 6 else 0
    return (count + 7) // 8 if asked[1] <= 2 else 2 * count


@lru_cache(maxsize=512)  # the same failures are looked at again with every judgement
def frames(run: bytes) -> tuple[tuple[bool, bytes], ...]:
    """Whole frames with a right checksum within ``run``: (it is a question, the frame)."""
    return tuple(_frames(run))


def _frames(run: bytes) -> Iterator[tuple[bool, bytes]]:
    run = run[:_SEARCHED]
    at = 0
    while at + 5 <= len(run):
        for size, question in _sizes(run, at):
            frame = run[at : at + size]
            if len(frame) == size and crc16(frame[:-2]) == frame[-2:]:
                yield question, frame
                at += size - 1
                break
        at += 1


def _sizes(run: bytes, at: int) -> tuple[tuple[int, bool], ...]:
    function = run[at + 1]
    if function & 0x80:
        return ((5, False),) if function & 0x7F in _FUNCTIONS else ()
    if function not in _FUNCTIONS:
        return ()
    return ((8, True), (5 + run[at + 2], False)) if function <= 4 else ((8, True),)


def has_answer_twice(exchange: Exchange) -> bool:
    """More bytes than the answer has, and among them the beginning of a second one."""
    size = _data_size(exchange.sent)
    head = bytes((*exchange.sent[:2], size & 0xFF))
    return len(exchange.received) > size + 5 and exchange.received.find(head, 1) > 0


def is_long(exchange: Exchange) -> bool:
    """More bytes than the answer has."""
    return len(exchange.received) > _data_size(exchange.sent) + 5


def begins_right(exchange: Exchange) -> bool:
    """Its first two bytes are those of an answer to this question."""
    return len(exchange.received) >= 2 and exchange.received[:2] == exchange.sent[:2]


def is_echo(exchange: Exchange) -> bool:
    """Our own question came back, whole or in part; and it is not the answer that looks so."""
    received = exchange.received
    if exchange.outcome == "echo":
        return True
    return len(received) >= 8 and received.startswith(exchange.sent)


def is_idle(run: bytes) -> bool:
    """Nothing but what a line that rests at the wrong level, or floats, makes a UART hear: 00 (breaks), FF, FE, FC …"""
    return bool(run) and all(byte in _IDLE for byte in run)


_IDLE = frozenset((0x00, 0xFF, 0xFE, 0xFC, 0xF8, 0xF0, 0xE0, 0xC0, 0x80))


def padding(exchange: Exchange) -> bytes:
    """What stands before and after the right answer of a padded exchange, else nothing."""
    size = _data_size(exchange.sent) + 5
    head = bytes((*exchange.sent[:2], (size - 5) & 0xFF))
    at = exchange.received.find(head)
    while at >= 0:
        frame = exchange.received[at : at + size]
        if len(frame) == size and crc16(frame[:-2]) == frame[-2:]:
            return exchange.received[:at] + exchange.received[at + size :]
        at = exchange.received.find(head, at + 1)
    return b""
