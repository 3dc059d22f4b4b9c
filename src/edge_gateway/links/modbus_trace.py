"""What became of the exchanges on one line, bounded: figures per unit, and the newest failures with their bytes; judges nothing.

A good exchange costs a few additions and no object. Failures keep the bytes, since those tell what is wrong with the line
(``links.health``). Hours are hours of wall time; the trace looks at the clock once a minute, never per exchange.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

#: What an exchange can become; the number is its code in ``UnitRecord.recent``.
OUTCOMES = (
    "answer",
    "exception",
    "silence",
    "crc",  # header and length as asked for, wrong checksum
    "short",  # began well and stopped
    "garbage",  # cannot be read as an answer
    "wrong-unit",  # whole frames, but not what was asked for
    "wrong-function",
    "wrong-length",
    "echo",  # our own request came back
    "late",  # silence, and then the answer after its time
    "padded",  # the right answer, with other bytes around it
)
CODES = {name: code for code, name in enumerate(OUTCOMES)}
#: Outcomes where bytes came that were no answer.
DAMAGED = frozenset(OUTCOMES[3:10])
_SILENCE, _LATE, _PADDED = CODES["silence"], CODES["late"], CODES["padded"]
_DAMAGED_CODES = frozenset(CODES[name] for name in DAMAGED)

#: Outcomes remembered per unit (a power of two), times taken, failures kept per unit, and byte runs nobody asked for.
RECENT, TIMES, KEPT, STRANGERS, HOURS = 256, 64, 24, 24, 24
#: Bytes kept of one failure or stranger.
MOST_BYTES = 300
_LOOK_S = 60.0


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and what came. ``sent`` and ``received`` are whole frames as on the line; ``at_s`` is wall time.

    ``framing`` and ``parity``: bytes with such an error since the failure before, by the UART's own count; -1: the
    driver does not count. ``code`` is the exception's.
    """

    at_s: float
    unit: int
    function: int
    outcome: str
    sent: bytes
    received: bytes
    took_s: float
    code: int = 0
    framing: int = -1
    parity: int = -1


@dataclass(frozen=True, slots=True)
class UnitRecord:
    """A unit's figures. ``recent``: codes of the last outcomes, oldest first; ``took_s``: of its last answers, sorted.

    ``totals`` by outcome since the line was made; ``hours``: (hour since 1970, asked, disturbed, silent), oldest first.
    """

    unit: int
    recent: bytes
    took_s: tuple[float, ...]
    totals: dict[str, int]
    retries: int
    hours: tuple[tuple[int, int, int, int], ...]
    kept: tuple[Exchange, ...]


@dataclass(frozen=True, slots=True)
class LineRecord:
    """A line's figures. ``strangers``: bytes that came unasked. ``ends``: how opening and closing went, newest last.

    An end is (wall s, what, detail): what is ``opened``, ``refused``, ``unreachable``, ``held`` or ``closed`` (by the
    peer; detail: answers since it was opened). ``uart``: (framing, parity) errors since opening, None if not counted.
    """

    kind: str
    timeout_s: float
    baud: int
    units: tuple[UnitRecord, ...]
    strangers: tuple[bytes, ...]
    strange: int
    ends: tuple[tuple[float, str, str], ...]
    uart: tuple[int, int] | None
    answers: int  # right ones since opening


class _Unit:
    __slots__ = ("asked", "hours", "kept", "recent", "retries", "took_s", "totals")

    def __init__(self) -> None:
        self.asked = 0
        self.recent = bytearray(RECENT)
        self.took_s = [0.0] * TIMES
        self.totals = [0] * len(OUTCOMES)  # but answers: they are what is left of ``asked``
        self.retries = 0
        self.hours = [0] * (3 * HOURS)
        self.kept: deque[Exchange] = deque(maxlen=KEPT)


class Trace:
    """What one line reports. ``uart`` answers (framing, parity) errors counted so far, or None."""

    def __init__(self, kind: str, *, timeout_s: float, baud: int = 0, wall_s: Callable[[], float] = time.time) -> None:
        self.kind, self.timeout_s, self.baud = kind, timeout_s, baud
        self.uart: Callable[[], tuple[int, int] | None] = lambda: None
        self._uart_seen: tuple[int, int] | None = None
        self._uart_before: tuple[int, int] | None = None  # when the line was opened: the kernel counts since it started
        self._wall_s = wall_s
        self._units: dict[int, _Unit] = {}
        self._strangers: deque[bytes] = deque(maxlen=STRANGERS)
        self._strange = 0
        self._ends: deque[tuple[float, str, str]] = deque(maxlen=64)
        self._answers_before = 0
        self._look_at_s = 0.0
        self._hour_number = int(wall_s() // 3600)
        self._cell = self._hour_number % HOURS * 3
        self._listeners: list[Callable[[Exchange], None]] = []

    # --- what lines report -----------------------------------------------------------------------------------------

    def answered(self, unit: int, took_s: float, now_s: float) -> None:
        """A good answer; ``now_s`` is the loop's time."""
        if now_s >= self._look_at_s:
            self._look(now_s)
        known = self._units.get(unit)
        if known is None:
            known = self._units[unit] = _Unit()
        asked = known.asked
        known.asked = asked + 1
        known.recent[asked & RECENT - 1] = 0
        known.took_s[asked & TIMES - 1] = took_s
        known.hours[self._cell] += 1
        if self._listeners:
            self._tell(Exchange(self._wall_s(), unit, 0, "answer", b"", b"", took_s))

    def failed(self, outcome: str, sent: bytes, received: bytes, took_s: float, code: int = 0) -> None:
        """Anything but a clean answer. ``sent`` begins with unit and function (RTU frames; for TCP: unit and PDU)."""
        self._look(0.0)
        unit = sent[0]
        known = self._units.setdefault(unit, _Unit())
        number = CODES[outcome]
        known.recent[known.asked & RECENT - 1] = number
        known.took_s[known.asked & TIMES - 1] = took_s if outcome == "padded" else -1.0
        known.asked += 1
        known.totals[number] += 1
        known.hours[self._cell] += 1
        if number in _DAMAGED_CODES or number == _PADDED:
            known.hours[self._cell + 1] += 1
        elif number == _SILENCE:
            known.hours[self._cell + 2] += 1
        framing, parity = self._uart_since()
        exchange = Exchange(
            self._wall_s(), unit, sent[1], outcome, sent, received[:MOST_BYTES], took_s, code, framing, parity
        )
        known.kept.append(exchange)
        self._tell(exchange)

    def trailed(self, unit: int, received: bytes) -> None:
        """More bytes of the failure just reported for ``unit``: they came while the line was kept quiet."""
        known = self._units.get(unit)
        if known is None or not known.kept:
            self.strange(received)
            return
        last = known.kept[-1]
        known.kept[-1] = replace(last, received=(last.received + received)[:MOST_BYTES])

    def late(self, unit: int) -> None:
        """The answer to a question of ``unit`` that timed out has come after all."""
        known = self._units.get(unit)
        if known is None:
            return
        known.totals[_LATE] += 1
        last = known.asked - 1 & RECENT - 1
        if known.recent[last] == _SILENCE:
            known.recent[last] = _LATE

    def strange(self, received: bytes) -> None:
        """Bytes that answer no question of ours."""
        self._strange += 1
        self._strangers.append(received[:MOST_BYTES])

    def retried(self, unit: int) -> None:
        """The same question is asked again within its slot."""
        self._units.setdefault(unit, _Unit()).retries += 1

    def ended(self, what: str, detail: str = "") -> None:
        """See ``LineRecord.ends``; for ``closed`` the answers since opening are added."""
        answers = self._answers()
        if what == "opened":
            self._answers_before = answers
            self._uart_seen = self._uart_before = self.uart()
        elif what == "closed":
            detail = str(answers - self._answers_before)
        self._ends.append((self._wall_s(), what, detail))

    # --- who looks ---------------------------------------------------------------------------------------------------

    def listen(self, listener: Callable[[Exchange], None]) -> Callable[[], None]:
        """Hear of every exchange from now on (good ones without bytes); returns the end of it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def record(self) -> LineRecord:
        """The figures as they are now: a copy."""
        self._look(0.0)
        units = tuple(self._unit_record(unit) for unit in sorted(self._units))
        return LineRecord(
            self.kind, self.timeout_s, self.baud, units, tuple(self._strangers), self._strange, tuple(self._ends), self._uart_opened(),
            self._answers() - self._answers_before,
        )  # fmt: skip

    def _unit_record(self, unit: int) -> UnitRecord:
        known = self._units[unit]
        asked = known.asked
        at = asked & RECENT - 1
        recent = bytes(known.recent[:asked] if asked <= RECENT else known.recent[at:] + known.recent[:at])
        took_s = tuple(sorted(took for took in known.took_s[: min(asked, TIMES)] if took >= 0))
        totals = dict(zip(OUTCOMES, known.totals, strict=True))
        totals["answer"] = asked - sum(known.totals) + known.totals[_LATE]  # a late one was counted as silence
        hours = []
        for hour in range(self._hour_number - HOURS + 1, self._hour_number + 1):
            cell = hour % HOURS * 3
            if known.hours[cell]:
                hours.append((hour, *known.hours[cell : cell + 3]))
        return UnitRecord(unit, recent, took_s, totals, known.retries, tuple(hours), tuple(known.kept))  # type: ignore[arg-type]

    def _tell(self, exchange: Exchange) -> None:
        for listener in self._listeners:
            listener(exchange)

    def _answers(self) -> int:
        """Right answers since the line was made, those with bytes around them too."""
        return sum(
            known.asked - sum(known.totals) + known.totals[_LATE] + known.totals[_PADDED] for known in self._units.values()
        )

    def _uart_opened(self) -> tuple[int, int] | None:
        now, before = self.uart(), self._uart_before
        return None if now is None or before is None else (now[0] - before[0], now[1] - before[1])

    def _uart_since(self) -> tuple[int, int]:
        now, before = self.uart(), self._uart_seen
        self._uart_seen = now
        return (now[0] - before[0], now[1] - before[1]) if now is not None and before is not None else (-1, -1)

    def _look(self, now_s: float) -> None:
        """Which hour it is. A clock that jumps leaves no hour with another's figures: what is skipped is emptied."""
        if now_s:
            self._look_at_s = now_s + _LOOK_S
        hour = int(self._wall_s() // 3600)
        if hour == self._hour_number:
            return
        ahead = hour - self._hour_number
        emptied = range(self._hour_number + 1, hour + 1) if 0 < ahead < HOURS else range(HOURS)
        for known in self._units.values():
            for skipped in emptied:
                cell = skipped % HOURS * 3
                known.hours[cell : cell + 3] = (0, 0, 0)
        self._hour_number, self._cell = hour, hour % HOURS * 3
