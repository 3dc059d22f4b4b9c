"""What a rejected answer was, told from its bytes alone: for lines that are drawn up in tests."""

from __future__ import annotations

from edge_gateway.links.modbus_pdu import crc16


def outcome_of(sent: bytes, received: bytes, data_size: int) -> str:
    """What a rejected run of bytes on a serial line was: the name of an outcome. ``data_size``: data bytes asked for, or
    negative where only the answer tells.

    An answer that is right in all is not rejected, so it is never called ``answer``.
    """
    if not received:
        return "silence"
    if (
        len(received) >= 3
        and received.startswith(sent[: len(received)])
        and received[2:3] != bytes((max(data_size, 0),))
    ):
        return "echo"
    if len(received) >= 4 and crc16(received[:-2]) == received[-2:]:
        if received[0] != sent[0]:
            return "wrong-unit"
        return "wrong-function" if received[1] & 0x7F != sent[1] else "wrong-length"
    if data_size < 0:  # the answer itself would have told
        return "crc" if received[:2] == sent[:2] else "garbage"
    expected = bytes((sent[0], sent[1], data_size))
    if received[:3] == expected[: len(received)]:
        return "short" if len(received) < data_size + 5 else "crc"
    return "garbage"
