"""How long requests take on a line: the arithmetic of the wire, and how much of its time a line was used; reads no clock.

Source: "MODBUS over serial line" V1.02, 2.5.1: a character has a start bit, 8 bits, parity and stop bits; 3.5 characters of
silence end a frame, 1.75 ms above 19,200 baud.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge_gateway.profiles.plan import PlannedBlock, PlannedPoll, length

#: What a device takes before it answers (s): an assumption between the makers' 5 ms and 50 ms.
TURNAROUND_S = 0.02
#: A network's way there and back besides (s): an assumption for a local network.
NETWORK_S = 0.005
#: Bytes of a serial request (unit, function, start, count, checksum), and of an answer besides its data.
REQUEST_BYTES, ANSWER_BYTES = 8, 5
_FIXED_SILENCE_S = 0.001_75


@dataclass(frozen=True, slots=True)
class LineTime:
    """A line's pace, seconds. ``character_s`` 0: a network, whose bytes take no time to speak of.

    ``timeout_s`` is how long an answer is waited for, ``quiet_s`` how long the line is left alone after a failure,
    ``turnaround_s`` what a unit is assumed to take until it begins to answer.
    """

    character_s: float = 0.0
    silence_s: float = 0.0
    timeout_s: float = 1.0
    quiet_s: float = 0.0
    turnaround_s: float = TURNAROUND_S + NETWORK_S

    @classmethod
    def serial(cls, *, baud: int, parity: str, stopbits: int, timeout_s: float, quiet_s: float) -> LineTime:
        """Of a serial line (RTU)."""
        character_s = (1 + 8 + (parity != "N") + stopbits) / baud
        silence_s = 3.5 * character_s if baud <= 19_200 else _FIXED_SILENCE_S
        return cls(character_s, silence_s, timeout_s, quiet_s, TURNAROUND_S)

    def frames_s(self, data_bytes: int) -> float:
        """Request and answer on the wire, with the silence by which the unit knows that the request has ended."""
        return (REQUEST_BYTES + ANSWER_BYTES + data_bytes) * self.character_s + self.silence_s

    def request_s(self, block: PlannedBlock, turnaround_s: float | None = None) -> float:
        """From a request's first byte until the next may begin."""
        turnaround_s = self.turnaround_s if turnaround_s is None else turnaround_s
        return self.frames_s(length(block)) + turnaround_s + self.silence_s

    def poll_s(self, poll: PlannedPoll) -> float:
        """One poll when everything answers, with the rests that the unit needs before each request."""
        return sum(self.request_s(block) + poll.rest_us / 1e6 for block in poll.blocks)

    def failing_s(self, poll: PlannedPoll) -> float:
        """The longest that one poll keeps the line when its unit falls silent; its second try comes after the others."""
        longest = max(poll.blocks, key=length)
        timeout_s = poll.timeout_us / 1e6 or self.timeout_s
        return self.frames_s(length(longest)) + timeout_s + max(self.quiet_s, self.silence_s) + poll.rest_us / 1e6


#: How long (s) use is averaged over: one to two such spans.
SPAN_S = 150.0


@dataclass(slots=True)
class LineUse:
    """Which share of real time a line was held, over the last few minutes."""

    busy_s: float = 0.0
    _since_s: float | None = None
    _before_s: float = 0.0
    _before_busy_s: float = 0.0
    _free_s: float = 0.0

    def held(self, start_s: float, end_s: float, silence_s: float) -> None:
        """The line was ours from ``start_s`` to ``end_s`` (loop time), and is silent for ``silence_s`` then."""
        if self._since_s is None:
            self._since_s = start_s
        free_s = end_s + silence_s
        self.busy_s += max(0.0, free_s - max(start_s, self._free_s))
        self._free_s = free_s
        if end_s - self._since_s >= SPAN_S:
            self._before_s, self._before_busy_s = end_s - self._since_s, self.busy_s
            self._since_s, self.busy_s = end_s, 0.0

    def share(self, now_s: float) -> float | None:
        """0 … 1, or None before a second has passed."""
        if self._since_s is None:
            return None
        elapsed_s = now_s - self._since_s + self._before_s
        return min(1.0, (self.busy_s + self._before_busy_s) / elapsed_s) if elapsed_s >= 1.0 else None
