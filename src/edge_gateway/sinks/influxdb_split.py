"""Finding the bad lines of a refused batch in few requests; pure: says what to send next and is told the answer.

Line protocol is idempotent (the same series and time overwrites), so sending a good line twice is safe; InfluxDB 1.x
stores the good lines of a batch that it refuses, 2.x does not say, and both are served by the same plan:

1. The batch as it is. Refused once: halve it. One bad line among 1,000 costs at most 1 + 2 × 10 = 21 requests.
2. Both halves refused: there is more than one. What is left is split by series, and series are halved instead.
3. A bad series is tried alone, line by line if need be, paced, after everything else is done.

No line counts as refused that was not itself refused, alone or in a request of which the server says that it dropped
all. And none counts before the server has taken *something*: one that refuses everything (a proxy, a portal) holds.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass, field

from edge_gateway.wire import line


@dataclass(frozen=True, slots=True)
class Try:
    """Send these lines (indices). ``paced``: beyond what one bad line may cost. ``canary``: send a line known to be good."""

    lines: Sequence[int]
    paced: bool = False
    canary: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said to a Try. ``all_dropped``: every line of it was refused, in its own words."""

    ok: bool
    reason: str = ""
    too_large: bool = False
    all_dropped: bool = False


OK = Answer(True)


@dataclass(slots=True)
class Findings:
    """The end of a batch: who was refused and why, and which series were found bad (or good again)."""

    refused: list[tuple[int, str]] = field(default_factory=list)
    bad_series: set[str] = field(default_factory=set)
    good_series: set[str] = field(default_factory=set)
    #: the server refuses even the canary: nothing may be concluded
    refuses_everything: str = ""


Plan = Generator[Try, Answer, Findings]


class Splitter:
    """The plan for one batch of ``texts``. ``suspects``: series found bad before, tried alone from the start."""

    def __init__(self, texts: Sequence[str], most_lines: int, suspects: Collection[str] = ()) -> None:
        self._texts = texts
        self._most = most_lines
        self._suspects = suspects
        self._found = Findings()
        self._taken = False  # the server took something of this batch, so its refusals are about lines
        # Series for the end, each with its refusal if it was tried as a whole already.
        self._bad: list[tuple[str, list[int], Answer | None]] = []

    def run(self) -> Plan:
        """Yields what to send, is sent the answer, returns the findings."""
        rest = list(range(len(self._texts)))
        if self._suspects:
            rest = self._set_suspects_aside(rest)
        pieces = [rest[at : at + self._most] for at in range(0, len(rest), self._most)]
        while pieces:
            piece = pieces.pop(0)
            answer = yield from self._send(piece)
            if answer.ok:
                continue
            if answer.too_large and len(piece) > 1:
                middle = (len(piece) + 1) // 2
                pieces[:0] = [piece[:middle], piece[middle:]]
                continue
            left = yield from self._bisect(piece, answer)
            if left:
                yield from self._by_series(left)
        for name, lines, refusal in self._bad:
            if self._found.refuses_everything:
                break
            yield from self._alone(name, lines, refusal)
        return self._found

    def _set_suspects_aside(self, rest: list[int]) -> list[int]:
        groups = self._group(rest)
        self._bad = [(name, lines, None) for name, lines in groups.items() if name in self._suspects]
        aside = {index for _, lines, _ in self._bad for index in lines}
        return [index for index in rest if index not in aside]

    def _group(self, lines: Sequence[int]) -> dict[str, list[int]]:
        groups: dict[str, list[int]] = {}
        for index in lines:
            groups.setdefault(line.series(self._texts[index]), []).append(index)
        return groups

    def _send(self, lines: Sequence[int], *, paced: bool = False) -> Generator[Try, Answer, Answer]:
        answer = yield Try(lines, paced=paced)
        self._taken = self._taken or answer.ok
        return answer

    def _refuse(self, lines: Sequence[int], answer: Answer) -> Generator[Try, Answer, None]:
        """Believe a refusal; first make sure that the server takes anything at all from us."""
        if not self._taken:
            said = yield Try((), canary=True)
            if not said.ok:
                self._found.refuses_everything = said.reason
                return
            self._taken = True
        self._found.refused += [(index, answer.reason) for index in lines]

    def _bisect(self, piece: list[int], answer: Answer) -> Generator[Try, Answer, list[int]]:
        """Narrow a refused piece to its one bad line; the lines still open if it has more than one."""
        while len(piece) > 1:
            middle = (len(piece) + 1) // 2
            left, right = piece[:middle], piece[middle:]
            on_left = yield from self._send(left)
            if on_left.ok:
                # It must be on the right; whether it is, the smallest piece's own answer tells.
                piece, answer = right, OK
                continue
            on_right = yield from self._send(right)
            if not on_right.ok:
                return piece
            piece, answer = left, on_left
        if answer.ok:
            answer = yield from self._send(piece)
        if not answer.ok:
            yield from self._refuse(piece, answer)
        return []

    def _by_series(self, lines: list[int]) -> Generator[Try, Answer, None]:
        """Deliver what is good, whole series at a time; the bad ones are left for the end."""
        stack: list[tuple[list[str], bool]] = [(list(groups := self._group(lines)), True)]
        while stack:
            names, refused = stack.pop()
            answer: Answer | None = None
            if not refused:
                answer = yield from self._send([index for name in names for index in groups[name]], paced=True)
                if answer.ok:
                    continue
            if len(names) == 1:
                self._bad.append((names[0], groups[names[0]], answer))
                continue
            middle = (len(names) + 1) // 2
            stack += [(names[middle:], False), (names[:middle], False)]

    def _alone(self, name: str, lines: list[int], answer: Answer | None) -> Generator[Try, Answer, None]:
        """One bad series: the whole of it, then halves, down to the lines that are refused themselves."""
        stack: list[tuple[list[int], Answer | None]] = [(lines, answer)]
        some_refused = False
        while stack and not self._found.refuses_everything:
            piece, answer = stack.pop()
            if answer is None:
                answer = yield from self._send(piece, paced=True)
            if answer.ok:
                continue
            if len(piece) == 1 or answer.all_dropped:
                some_refused = True
                yield from self._refuse(piece, answer)
                continue
            if name in self._suspects:  # it was bad before: halving would only add requests
                stack += [([index], None) for index in reversed(piece)]
                continue
            middle = (len(piece) + 1) // 2
            stack += [(piece[middle:], None), (piece[:middle], None)]
        (self._found.bad_series if some_refused else self._found.good_series).add(name)
