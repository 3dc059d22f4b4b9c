"""A foreign master's traffic out of the bytes on a line: requests and answers, paired; pure, and never asks anything itself.

Source: "MODBUS over serial line" V1.02, 2.5; frame lengths from the Application Protocol V1.1b3, section 6. Frames are found
by their checksum alone: a listener sees pieces, and pauses tell little through an adaptor.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from edge_gateway.links.modbus_pdu import crc16

_MOST_FRAME, _LEAST_FRAME = 256, 4
#: Bytes that are kept in the hope of becoming a frame, and questions and unit lists that are remembered.
_MOST_BUFFER, MOST_KINDS = 2048, 1000
#: A question without an answer after so long has none (s).
ANSWER_S = 2.0
WRITES = frozenset({5, 6, 15, 16, 21, 22, 23})


@dataclass(frozen=True, slots=True)
class Heard:
    """One exchange: a request with its answer's data or exception, or with neither. ``function`` and what it was about.

    ``register`` and ``count`` are None where the function has none. ``took_s``: from the request's last byte to the answer's.
    """

    at_s: float
    unit: int
    function: int
    register: int | None = None
    count: int | None = None
    data: bytes | None = None
    exception: int | None = None
    took_s: float | None = None

    @property
    def writes(self) -> bool:
        """Whether the foreign master changes something with it."""
        return self.function in WRITES

    @property
    def answered(self) -> bool:
        """With data or with a refusal."""
        return self.data is not None or self.exception is not None


@dataclass(slots=True)
class Overhearing:
    """A line as it is listened to. ``noise``: bytes that belong to no frame."""

    noise: int = 0
    frames: int = 0
    _buffer: bytes = b""
    _pending: Heard | None = None

    def feed(self, at_s: float, data: bytes) -> list[Heard]:
        """More bytes; the exchanges that are complete by now."""
        found: list[Heard] = []
        if self._pending is not None and at_s - self._pending.at_s > ANSWER_S:
            found.append(self._pending)
            self._pending = None
        self._buffer = (self._buffer + data)[-_MOST_BUFFER:]
        while len(self._buffer) >= _LEAST_FRAME:
            length = self._length()
            if length < 0:  # may still become a frame
                break
            if length == 0:
                self._buffer = self._buffer[1:]
                self.noise += 1
                continue
            frame, self._buffer = self._buffer[:length], self._buffer[length:]
            self.frames += 1
            found += self._frame(at_s, frame)
        return found

    def end(self) -> list[Heard]:
        """The question that nobody answered, if one is open."""
        pending, self._pending = self._pending, None
        self.noise += len(self._buffer)
        self._buffer = b""
        return [pending] if pending is not None else []

    def _length(self) -> int:
        """The frame's length at the buffer's begin; 0: none begins here; -1: too early to say."""
        buffer = self._buffer
        short = False
        for length in _lengths(buffer, self._pending):
            if length > len(buffer):
                short = True
            elif crc16(buffer[: length - 2]) == buffer[length - 2 : length]:
                return length
        return -1 if short and len(buffer) < _MOST_FRAME else 0

    def _frame(self, at_s: float, frame: bytes) -> Iterator[Heard]:
        pending = self._pending
        unit, function = frame[0], frame[1]
        if pending is not None and unit == pending.unit and _answers(frame, pending):
            self._pending = None
            yield _answered(pending, at_s, frame)
            return
        if pending is not None:
            yield pending
        self._pending = None
        if function & 0x80:
            yield Heard(at_s, unit, function & 0x7F, exception=frame[2])  # its request was not heard
        elif _is_request(frame):
            self._pending = _request(at_s, frame)
        else:
            yield Heard(at_s, unit, function, data=frame[3:-2])


def _lengths(buffer: bytes, pending: Heard | None) -> list[int]:
    """Lengths that a frame beginning so may have, the likelier first."""
    function = buffer[1]
    if function & 0x80:
        return [5]
    if function in (1, 2, 3, 4):
        asked = pending is not None and pending.unit == buffer[0] and pending.function == function
        return [5 + buffer[2], 8] if asked else [8, 5 + buffer[2]]
    if function in (5, 6):
        return [8]
    if function in (15, 16):
        return [8, 9 + buffer[6]] if len(buffer) > 6 else [8]
    if function == 17:
        return [4, 5 + buffer[2]]
    if function == 43:
        return [7, *range(10, _MOST_FRAME + 1)]
    return []


def _is_request(frame: bytes) -> bool:
    function = frame[1]
    if function in (1, 2, 3, 4):
        return len(frame) == 8
    return function in (5, 6, 15, 16) or (function, len(frame)) in ((17, 4), (43, 7))


def _request(at_s: float, frame: bytes) -> Heard:
    unit, function = frame[0], frame[1]
    if function in (17, 43):
        return Heard(at_s, unit, function)
    register = int.from_bytes(frame[2:4], "big")
    count = 1 if function in (5, 6) else int.from_bytes(frame[4:6], "big")
    return Heard(at_s, unit, function, register, count)


def _answers(frame: bytes, asked: Heard) -> bool:
    function = frame[1]
    if function == asked.function | 0x80:
        return True
    if function != asked.function:
        return False
    if function in (1, 2):
        return len(frame) == 5 + ((asked.count or 0) + 7) // 8
    if function in (3, 4):
        return len(frame) == 5 + 2 * (asked.count or 0)
    return True


def _answered(asked: Heard, at_s: float, frame: bytes) -> Heard:
    took_s = at_s - asked.at_s
    about = (asked.at_s, asked.unit, asked.function, asked.register, asked.count)
    if frame[1] & 0x80:
        return Heard(*about, exception=frame[2], took_s=took_s)
    head = 3 if asked.function in (1, 2, 3, 4, 17) else 2
    return Heard(*about, data=frame[head:-2], took_s=took_s)


def overheard(heard: Iterable[tuple[float, bytes]]) -> list[Heard]:
    """All exchanges in pieces of a line's bytes with their times."""
    ear = Overhearing()
    found = [one for at_s, data in heard for one in ear.feed(at_s, data)]
    return found + ear.end()


@dataclass(slots=True)
class Kind:
    """One question that the foreign master repeats: how often, how answered, what was said last."""

    unit: int
    function: int
    register: int | None
    count: int | None
    times: int = 0
    answered: int = 0
    refused: int = 0
    first_s: float = 0.0
    last_s: float = 0.0
    took_s: float = 0.0
    last: bytes | None = None

    @property
    def every_s(self) -> float | None:
        """The mean time between two of them; None for a single one."""
        return (self.last_s - self.first_s) / (self.times - 1) if self.times > 1 else None


@dataclass(slots=True)
class Traffic:
    """All questions by kind, at most ``MOST_KINDS``; ``more`` counts what came beyond them."""

    kinds: dict[tuple[int, int, int | None, int | None], Kind] = field(default_factory=dict)
    more: int = 0

    def add(self, one: Heard) -> None:
        """One exchange."""
        key = (one.unit, one.function, one.register, one.count)
        kind = self.kinds.get(key)
        if kind is None:
            if len(self.kinds) >= MOST_KINDS:
                self.more += 1
                return
            kind = self.kinds[key] = Kind(*key, first_s=one.at_s)
        kind.times += 1
        kind.last_s = one.at_s
        kind.answered += one.data is not None
        kind.refused += one.exception is not None
        if one.took_s is not None:
            kind.took_s = max(kind.took_s, one.took_s)
        if one.data is not None:
            kind.last = one.data
