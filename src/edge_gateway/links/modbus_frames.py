"""Frames that carry no number, RTU and ASCII: finds the answer to one question among whatever came; pure bytes, no line, no time.

An answer is taken when unit, function, byte count and checksum are right, and only then. Around it anything may lie: noise
before and behind, our own question as a half-duplex adaptor echoes it, whole frames of other units or of earlier questions.
Source: "MODBUS over serial line specification and implementation guide" V1.02, 2.5.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, Protocol

from edge_gateway.links.modbus_pdu import (
    DEVICE_ID,
    READ_FUNCTIONS,
    SERVER_ID,
    VARIABLE,
    crc16,
    device_id_request,
    least,
)

#: More bytes than this without an answer among them are noise; the oldest go.
MOST_BYTES = 600
#: unit and two bytes of checksum around a PDU
_AROUND = 3
Outcome = Literal["crc", "short", "garbage", "wrong-unit", "wrong-function", "wrong-length", "echo", "twice"]


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked, and the very bytes that were sent."""

    unit: int
    pdu: bytes
    size: int
    frame: bytes


@dataclass(slots=True)
class Seen:
    """What lies in a stretch of bytes. ``others``: (unit, PDU) of whole right frames that answer something else."""

    reply: bytes = b""
    others: list[tuple[int, bytes]] = field(default_factory=list)
    echoes: int = 0
    noise: int = 0
    pending: bool = False  # the beginning of what may still become the answer
    twice: bool = False  # two answers to one question: neither is sure

    def take(self, question: Question | None, unit: int, pdu: bytes) -> None:
        """One whole frame whose checksum is right."""
        if question is None or unit != question.unit or least(question.pdu, question.size, pdu) != len(pdu):
            self.others.append((unit, pdu))
        elif self.reply:
            self.twice = True
        else:
            self.reply = pdu


class Framing(Protocol):
    """How a PDU becomes bytes on the line, and back."""

    def encode(self, unit: int, pdu: bytes) -> bytes:
        """The frame of a request."""
        ...

    def look(self, data: bytes, question: Question | None, *, last: bool = False) -> Seen:
        """What ``data`` holds. ``last``: nothing more will come, so that nothing is waited for."""
        ...

    def wire_bytes(self, pdu_bytes: int) -> int:
        """Characters on the line for a PDU of that length."""
        ...


class RtuFraming:
    """Unit, PDU, CRC. A frame has no mark at its end but silence: its own bytes must say how long it is."""

    def encode(self, unit: int, pdu: bytes) -> bytes:
        frame = bytes((unit,)) + pdu
        return frame + crc16(frame)

    def wire_bytes(self, pdu_bytes: int) -> int:
        return pdu_bytes + _AROUND

    def look(self, data: bytes, question: Question | None, *, last: bool = False) -> Seen:
        seen = Seen()
        at, size = 0, len(data)
        while at < size:
            if question is not None:
                # Before anything else: an echo may look like the beginning of an answer (start 0x04xx, 2 registers).
                if data.startswith(question.frame, at):
                    seen.echoes += 1
                    at += len(question.frame)
                    continue
                if data[at] == question.unit:
                    whole = least(question.pdu, question.size, data[at + 1 : at + 256])
                    end = at + whole + _AROUND
                    if whole and end > size and not last and not seen.reply:
                        seen.pending = True
                        return seen
                    if whole and _right(data, at, end) and not question.frame.startswith(data[at:end]):
                        seen.take(question, data[at], data[at + 1 : end - 2])
                        at = end
                        continue
            end = _foreign(data, at)
            if end and not (question is not None and question.frame.startswith(data[at:end])):
                seen.take(question, data[at], data[at + 1 : end - 2])
                at = end
            else:
                seen.noise += 1
                at += 1
        return seen


def _right(data: bytes, at: int, end: int) -> bool:
    return end <= len(data) and crc16(data[at : end - 2]) == data[end - 2 : end]


def _foreign(data: bytes, at: int) -> int:
    """Where a whole right answer to any reading question ends that begins at ``at``; 0 when there is none."""
    if len(data) < at + 5:
        return 0
    function = data[at + 1]
    if function & 0x7F in READ_FUNCTIONS or function & 0x7F in (SERVER_ID, DEVICE_ID):
        asked = (
            device_id_request(data[at + 3] or 1)
            if function == DEVICE_ID and 0 <= data[at + 3] <= 4
            else bytes((function,))
        )
        size = data[at + 2] if function in READ_FUNCTIONS else VARIABLE
        whole = 2 if function & 0x80 else least(asked, size, data[at + 1 : at + 256])
        if whole and _right(data, at, at + whole + _AROUND):
            return at + whole + _AROUND
    return 0


class AsciiFraming:
    """``:``, unit, PDU and LRC in hexadecimal digits, CR LF: marks of its own, so that nothing must be guessed."""

    def encode(self, unit: int, pdu: bytes) -> bytes:
        body = bytes((unit,)) + pdu
        return b":" + (body + bytes((-sum(body) & 0xFF,))).hex().upper().encode() + b"\r\n"

    def wire_bytes(self, pdu_bytes: int) -> int:
        return 2 * (pdu_bytes + 2) + 3

    def look(self, data: bytes, question: Question | None, *, last: bool = False) -> Seen:
        seen = Seen()
        for text, ended in _lines(data):
            if not text.startswith(b":"):
                seen.noise += len(text)
            elif not ended:
                seen.pending = seen.pending or (not last and not seen.reply)
                seen.noise += len(text) if last else 0
            elif question is not None and text == question.frame:
                seen.echoes += 1
            elif body := _body(text):
                seen.take(question, body[0], body[1:])
            else:
                seen.noise += len(text)
        return seen


def _lines(data: bytes) -> Iterator[tuple[bytes, bool]]:
    """Stretches from one ``:`` to CR LF, or to the next ``:``; and whether each has its end."""
    at = 0
    while at < len(data):
        begin = data.find(b":", at)
        if begin != at:
            yield data[at : begin if begin >= 0 else len(data)], True
            if begin < 0:
                return
        end, again = data.find(b"\r\n", begin), data.find(b":", begin + 1)
        if end >= 0 and (again < 0 or end < again):
            at = end + 2
            yield data[begin:at], True
        else:
            at = again if again >= 0 else len(data)
            yield data[begin:at], again >= 0


def _body(text: bytes) -> bytes:
    """Unit and PDU of a line whose digits and LRC are right, else nothing."""
    digits = text[1:-2]
    if not text.endswith(b"\r\n") or len(digits) % 2 or not digits.isalnum():  # fromhex would skip spaces
        return b""
    try:
        raw = bytes.fromhex(digits.decode("ascii"))
    except ValueError:
        return b""
    return raw[:-1] if len(raw) >= 4 and sum(raw) & 0xFF == 0 else b""


FRAMINGS: dict[str, Framing] = {"rtu": RtuFraming(), "ascii": AsciiFraming()}


def blame(seen: Seen, data: bytes, question: Question) -> tuple[Outcome, str]:
    """Why there is no answer in ``data`` after all, where it holds anything: (outcome, words)."""
    if seen.twice:
        return "twice", "two answers to one question"
    for unit, pdu in seen.others:
        if unit != question.unit:
            return "wrong-unit", f"unit {unit} answers for unit {question.unit}"
        if pdu[0] & 0x7F != question.pdu[0]:
            return "wrong-function", f"function {pdu[0]} answers function {question.pdu[0]}"
        return "wrong-length", f"{len(pdu) - 2} data bytes instead of {question.size}"
    if seen.echoes and not seen.noise:
        return "echo", "only our own question came back"
    return _guess(data, question)


def _guess(data: bytes, question: Question) -> tuple[Outcome, str]:
    """No right frame at all: what it looks most like."""
    head = data[:2]
    if head == bytes((question.unit, question.pdu[0])):
        whole = least(question.pdu, question.size, data[1:])
        if not whole:
            return "wrong-length", f"{data[2] if len(data) > 2 else 0} data bytes announced instead of {question.size}"
        if len(data) < whole + _AROUND:
            return "short", f"an answer that stopped after {len(data)} bytes"
        return "crc", "wrong checksum"
    if data[:1] == b":":
        return ("crc", "wrong checksum") if data.endswith(b"\r\n") else ("short", "an answer that stopped")
    if len(data) == 1 and data[0] == question.unit:
        return "short", "an answer that stopped after 1 bytes"
    return "garbage", f"{len(data)} bytes that are no answer"
