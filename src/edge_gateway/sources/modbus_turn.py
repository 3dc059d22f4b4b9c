"""One turn: a poll's requests over the line, with the retries that fit into a slot; it neither schedules nor journals."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from edge_gateway.backoff import Backoff
from edge_gateway.clock import Clock
from edge_gateway.errors import BadFrame, DeviceRefused, LinkDown, SourceError
from edge_gateway.links.health_watch import Watch
from edge_gateway.links.modbus import Line, NoAnswer, StillOwed, data_bytes, request
from edge_gateway.profiles.decode import Columns
from edge_gateway.profiles.plan import PlannedBlock
from edge_gateway.profiles.shapes import equivalents
from edge_gateway.reading import (
    BAD_BUSY,
    BAD_FRAME,
    BAD_GATEWAY,
    BAD_LINK_DOWN,
    BAD_NO_ANSWER,
    BAD_REFUSED,
    GOOD,
    Batch,
    Block,
    Group,
    Value,
)
from edge_gateway.sources.modbus_time import LineTime, LineUse
from edge_gateway.sources.modbus_unit import Ask, Part, Poll, Unit

#: A busy unit (exceptions 5 and 6) is asked this often again within the slot, after this wait.
BUSY_TRIES, BUSY_WAIT_S = 2, 0.1
#: Requests that a turn may divide: the rest is learned in later slots.
MOST_DIVISIONS = 16
#: Altered requests that units refused, remembered so that they are not tried again.
MOST_UNFIT = 1000

_ADDRESS, _VALUE, _DEVICE_FAILURE = 2, 3, 4
_BUSY = frozenset({5, 6})
_BEHIND = frozenset({10, 11})


class LineGone(LinkDown):
    """The line itself cannot be opened: asking further units is pointless until it is."""


@dataclass(slots=True)
class Turn:
    """What a turn brought: a batch for each of the poll's groups. ``failed``: why the slot has nothing at all ("", ``backed-off``, ``unreachable``)."""

    batches: list[Batch]
    failed: str = ""
    said: str = ""
    asked: bool = False
    lag_us: int = 0  # how long the unit let us wait, the bytes' own time left out; 0 when the line was left alone first
    owed_us: int = -1  # 0 or more: it was not even asked, since a late answer may still come for so long


@dataclass(slots=True)
class _State:
    """A turn under way: the answers as they came, each with its time, and per ask the reason for having none."""

    answers: list[tuple[Ask, bytes, int]] = field(default_factory=list)  # data bytes, monotonic µs
    #: asks that were answered through requests of other shapes, which stand in ``answers`` instead
    covered: set[int] = field(default_factory=set)
    reasons: dict[int, str] = field(default_factory=dict)
    mono_us: int = 0  # when the last answer came, by either clock
    wall_us: int = 0
    asked: bool = False
    answered: bool = False
    said: str = ""
    failed: str = ""
    divisions: int = 0
    owed_us: int = -1
    retried: bool = False


class Turns:
    """Takes turns on one line. The caller sees to it that there is one at a time."""

    def __init__(self, line: Line, clock: Clock, backoff: Backoff, time: LineTime) -> None:
        self.line = line
        self.time = time
        self.use = LineUse()
        self.watch = Watch(line.trace)
        self.backoff = backoff
        self.rest_until_us = 0
        self.said = ""
        self._clock = clock
        self._unfit: set[tuple[int, int, int, int]] = set()
        self._quiet = False  # True: the line is left alone after a failure before the next request
        self._free_s = 0.0  # loop time at which the silence after the last answer is over

    async def take(self, poll: Poll, mono_us: int) -> Turn:
        """Ask everything of ``poll`` once, from ``mono_us`` (now) on. Always answers with a batch for each of its groups, good or bad."""
        poll.began(mono_us)
        loop = asyncio.get_running_loop()
        started_s, quiet = loop.time(), self._quiet
        state = _State()
        # A failing unit is asked another block first each time: it may ignore only one of them.
        first = poll.unit.backoff.failures % len(poll.asks)
        queue = poll.asks[first:] + poll.asks[:first]
        while queue and not state.failed:
            ask = queue.pop(0)
            if ask.refused and not self._retries(ask, state):
                state.reasons[id(ask)] = BAD_REFUSED
            elif ask.rest_until_us and ask.rest_until_us > self._clock.mono_us():
                state.reasons[id(ask)] = BAD_NO_ANSWER
            else:
                state.asked = True
                queue[:0] = await self._one(poll, ask, state)
        if poll.divided:
            poll.ended(_answered(state), self._clock.mono_us(), whole=state.divisions < MOST_DIVISIONS)
        ended_s = loop.time()
        if state.asked:
            self.use.held(started_s, ended_s, self.time.silence_s)
        turn = self._result(poll, state)
        turn.owed_us = state.owed_us
        wire_s = sum(self.time.frames_s(len(data)) for _, data, _ in state.answers) if self.time.character_s else 0.0
        turn.lag_us = 0 if quiet else max(0, int((ended_s - started_s - wire_s) * 1e6))
        return turn

    def _retries(self, ask: Ask, state: _State) -> bool:
        """Is it time to try what was refused? One of them a turn."""
        if state.retried or ask.hole is None or ask.hole.retry_us > self._clock.mono_us():
            return False
        state.retried = True
        return True

    async def _one(self, poll: Poll, ask: Ask, state: _State) -> list[Ask]:
        """Ask one block; returns what to ask in its place when it was refused."""
        unit = poll.unit
        try:
            if self.line.numbered:
                answer = await self.ask(unit, ask.block.unit, ask.pdu, poll.planned.timeout_us, poll.planned.rest_us)
                self._answered(poll, ask, answer[2:], state)
            else:
                await self._in_any_shape(poll, ask, state)
        except DeviceRefused as refusal:
            return self._refused(poll, ask, state, refusal)
        except LineGone as error:
            self._stop(state, ask, BAD_LINK_DOWN, "unreachable", error)
        except NoAnswer as error:
            self._silent(ask, state, BAD_NO_ANSWER, error)
        except BadFrame as error:
            self._silent(ask, state, BAD_FRAME, error)
        except LinkDown as error:
            self._stop(state, ask, BAD_LINK_DOWN, "unreachable", error)
        return []

    async def _in_any_shape(self, poll: Poll, ask: Ask, state: _State) -> None:
        """By its own request, or by others that bring the same when an answer of that shape is still owed by the unit.

        Raises what ``ask`` raises; StillOwed when nothing could be asked.
        """
        unit, planned, well = poll.unit, poll.planned, poll.unit.alive
        failure: SourceError | None = None
        if not self._owed_s(ask.block):
            try:
                answer = await self.ask(unit, ask.block.unit, ask.pdu, planned.timeout_us, planned.rest_us)
            except (NoAnswer, BadFrame) as error:
                if unit.hurried or not (well and self._owed_s(ask.block)):
                    raise
                failure = error
            else:
                self._answered(poll, ask, answer[2:], state)
                return
        blocks = equivalents(ask.block, planned.readable, self._free)
        if failure is not None:
            if not blocks:
                raise failure
            self._retried(ask.block.unit)
        if not blocks:
            left_s = self._owed_s(ask.block)
            raise StillOwed(f"a late answer could be taken for the next one: asked again in {left_s:.0f} s", left_s)
        sizes = [len(group.points) for group in planned.groups]
        found = [await self._other(poll, Ask.of(block, sizes, ask.backoff)) for block in blocks]
        state.answers += found[:-1]
        state.covered.add(id(ask))
        self._took_place(state, *found[-1])
        self._noted(poll, ask)

    async def _other(self, poll: Poll, other: Ask) -> tuple[Ask, bytes, int]:
        planned = poll.planned
        try:
            answer = await self.ask(
                poll.unit, other.block.unit, other.pdu, planned.timeout_us, planned.rest_us, again=False
            )
        except DeviceRefused as refusal:
            raise self._unfitting(other, refusal) from refusal
        return other, answer[2:], self._clock.mono_us()

    def _owed_s(self, block: PlannedBlock) -> float:
        return self.line.wait_s(block.unit, request(block.function, block.start, block.count))

    def _free(self, block: PlannedBlock) -> bool:
        return (block.unit, block.function, block.start, block.count) not in self._unfit and not self._owed_s(block)

    def _unfitting(self, other: Ask, refusal: DeviceRefused) -> Exception:
        """An altered request was refused: that says nothing of the planned one, unless the unit is busy or not there."""
        if refusal.code not in (_ADDRESS, _VALUE):
            return refusal
        block = other.block
        if len(self._unfit) >= MOST_UNFIT:
            self._unfit.clear()
        self._unfit.add((block.unit, block.function, block.start, block.count))
        return StillOwed(f"asked otherwise while a late answer may come, and refused ({refusal.why})", 0.0)

    def _took_place(self, state: _State, ask: Ask, data: bytes, mono_us: int) -> None:
        state.mono_us, state.wall_us = mono_us, self._clock.wall_us()
        state.answers.append((ask, data, mono_us))
        state.answered = True

    def _answered(self, poll: Poll, ask: Ask, data: bytes, state: _State) -> None:
        self._took_place(state, ask, data, self._clock.mono_us())
        self._noted(poll, ask)

    @staticmethod
    def _noted(poll: Poll, ask: Ask) -> None:
        poll.unit.hurried = False
        if ask.hole is not None or not ask.worked:
            poll.succeeded(ask)
        if ask.rest_until_us:
            ask.rest_until_us = 0
            ask.backoff.reset()

    def _refused(self, poll: Poll, ask: Ask, state: _State, refusal: DeviceRefused) -> list[Ask]:
        code = refusal.code
        state.said = refusal.why
        if code in (_ADDRESS, _VALUE):
            state.answered = True
            if state.divisions < MOST_DIVISIONS and (parts := poll.divide(ask, code, self._clock.mono_us())):
                state.divisions += 1
                return parts
            state.reasons[id(ask)] = BAD_REFUSED
        elif code in _BEHIND:
            state.reasons[id(ask)] = BAD_GATEWAY
            if not state.answered:
                state.failed = "backed-off"
        else:
            state.reasons[id(ask)] = BAD_BUSY if code in _BUSY else BAD_REFUSED
            state.answered = state.answered or code != _DEVICE_FAILURE
        return []

    def _silent(self, ask: Ask, state: _State, reason: str, error: Exception) -> None:
        """No (usable) answer. After one that answered it is this block's matter; before, the unit's."""
        if state.answered:
            state.reasons[id(ask)] = reason
            state.said = str(error)
            rest_s = error.left_s if isinstance(error, StillOwed) else ask.backoff.next_s()
            ask.rest_until_us = self._clock.mono_us() + int(rest_s * 1e6)
        else:
            self._stop(state, ask, reason, "backed-off", error)
            state.owed_us = int(error.left_s * 1e6) if isinstance(error, StillOwed) else -1

    @staticmethod
    def _stop(state: _State, ask: Ask, reason: str, failed: str, error: Exception) -> None:
        state.reasons[id(ask)] = reason
        state.failed = failed
        state.said = str(error)

    async def ask(
        self, unit: Unit, address: int, pdu: bytes, timeout_us: int, rest_us: int, *, again: bool = True
    ) -> bytes:
        """One request with its retries: once after a lost connection or, from a unit that was well, silence or rubbish.

        On a line whose answers bear no number a request is not repeated while its answer may still come.
        Raises what ``Line.exchange`` raises, and LineGone.
        """
        busy = BUSY_TRIES
        loop = asyncio.get_running_loop()
        while True:
            if not self.line.is_open:
                await self.connect()
            if rest_us and (left_s := unit.heard_s + rest_us / 1e6 - loop.time()) > 0:
                await asyncio.sleep(left_s)
            started_s = loop.time()
            try:
                answer = await self.line.exchange(address, pdu, timeout_us / 1e6)
            except DeviceRefused as refusal:
                unit.heard_s = loop.time()
                if refusal.code not in _BUSY or busy == 0:
                    raise
                busy -= 1
                self._retried(address)
                await asyncio.sleep(BUSY_WAIT_S)
            except (NoAnswer, BadFrame):
                self._quiet = True
                if not (again and unit.alive) or unit.hurried or self.line.wait_s(address, pdu):
                    raise
                again = False
                self._retried(address)
            except LinkDown:
                if not again:
                    raise
                again = False
                self._retried(address)
            else:
                unit.heard_s = loop.time()
                self._took(unit, pdu, started_s)
                return answer

    async def once(self, unit: Unit, pdu: bytes, timeout_us: int, rest_us: int) -> bytes:
        """One request without a second try, for what can wait. Raises what ``Line.exchange`` raises."""
        loop = asyncio.get_running_loop()
        if rest_us and (left_s := unit.heard_s + rest_us / 1e6 - loop.time()) > 0:
            await asyncio.sleep(left_s)
        answer = await self.line.exchange(unit.address, pdu, timeout_us / 1e6)
        unit.heard_s = loop.time()
        return answer

    def longest_us(self, timeout_us: int) -> int:
        """How long ``once`` may hold the line, on the gateway's clock (µs): time-out, its longest frames, and silence after it."""
        seconds = (timeout_us / 1e6 or self.time.timeout_s) + self.time.quiet_s + self.time.frames_s(250)
        return int(seconds * 1e6 * self._clock.speed)

    def _took(self, unit: Unit, pdu: bytes, started_s: float) -> None:
        """Its round trip, less the silence that the exchange before still owed."""
        took_s = unit.heard_s - max(started_s, self._free_s)
        self._free_s = unit.heard_s + self.time.silence_s
        if self._quiet:
            self._quiet = False
            return
        unit.round_trip_us = int(took_s * 1e6)
        unit.began_after(took_s - self.time.frames_s(data_bytes(pdu)) if self.time.character_s else took_s)

    def _retried(self, address: int) -> None:
        self.line.counters.retries += 1
        self.line.trace.retried(address)

    async def connect(self) -> None:
        """Open the line unless it is being rested. Raises LineGone."""
        mono_us = self._clock.mono_us()
        if mono_us < self.rest_until_us:
            raise LineGone(self.said)
        try:
            await self.line.open()
        except LinkDown as error:
            self.said = str(error)
            self.rest_until_us = self._clock.mono_us() + int(self.backoff.next_s() * 1e6)
            raise LineGone(self.said) from error
        self.said = ""
        self.rest_until_us = 0
        self.backoff.reset()

    def _result(self, poll: Poll, state: _State) -> Turn:
        """A batch for each group, with its own share of each answer and the time of the last of them."""
        if not state.answers:
            state.mono_us, state.wall_us = self._clock.mono_us(), self._clock.wall_us()
        groups = poll.planned.groups
        if len(groups) == 1 and len(poll.asks) == 1 and len(state.answers) == 1 and state.answers[0][0] is poll.asks[0]:
            batches = [_plain(groups[0], state, *state.answers[0])]  # what nearly all polls are
        else:
            batches = [_batch(poll, state, number, group) for number, group in enumerate(groups)]
        if state.asked and not state.answered and not state.failed:
            state.failed = "backed-off"  # it has nothing but failures to tell
        return Turn(batches, "" if state.answered else state.failed, state.said, state.asked)


def _plain(group: Group, state: _State, ask: Ask, data: bytes, at_us: int) -> Batch:
    """One request that brought one group all it wants."""
    block = ask.block
    values, quality = ask.parts[0].decode(data)
    return Batch(
        group=group,
        mono_us=at_us,
        wall_us=state.wall_us,
        values=values,
        quality=quality,
        blocks=[Block(unit=block.unit, function=block.function, start=block.start, data=data)],
    )


def _batch(poll: Poll, state: _State, number: int, group: Group) -> Batch:
    shares = [(ask, part, data, at) for ask, data, at in state.answers for part in ask.parts if part.group == number]
    mono_us = shares[-1][3] if shares else state.mono_us
    blocks: list[Block] = []
    columns: list[tuple[Part, Columns]] = []
    for ask, part, data, at_us in shares:
        data = data[part.first : part.end]
        block = ask.block
        blocks.append(Block(unit=block.unit, function=block.function, start=part.start, data=data, offset_us=at_us - mono_us))
        columns.append((part, part.decode(data)))
    if len(columns) == 1 and columns[0][0].whole:
        values, quality = columns[0][1]
    else:
        values, quality = _joined(len(group.points), columns, _reasons(poll, state, number))
    return Batch(
        group=group,
        mono_us=mono_us,
        wall_us=state.wall_us - (state.mono_us - mono_us),
        values=values,
        quality=quality,
        blocks=blocks,
    )


def _answered(state: _State) -> set[int]:
    """Ids of the asks that were answered, in whatever shape."""
    return {id(ask) for ask, _, _ in state.answers} | state.covered


def _reasons(poll: Poll, state: _State, number: int) -> list[tuple[Part, str]]:
    """Of the group's shares that had no answer."""
    if not state.reasons and not state.covered and len(state.answers) == len(poll.asks):
        return []
    answered = _answered(state)
    fallback = next(reversed(state.reasons.values()), BAD_NO_ANSWER)
    missing = [ask for ask in poll.asks if id(ask) not in answered]
    return [
        (part, state.reasons.get(id(ask), fallback)) for ask in missing for part in ask.parts if part.group == number
    ]


def _joined(size: int, columns: list[tuple[Part, Columns]], missing: list[tuple[Part, str]]) -> Columns:
    values: list[Value] = [None] * size
    for part, (some, _) in columns:
        if part.span is not None:
            values[part.span] = some
        else:
            for column, value in zip(part.columns, some, strict=True):
                values[column] = value
    if not missing and all(marks is None for _, (_, marks) in columns):
        return values, None
    quality = [GOOD] * size
    for part, (_, marks) in columns:
        for column, mark in zip(part.columns, marks or (), strict=False):
            quality[column] = mark
    for part, reason in missing:
        for column in part.columns:
            quality[column] = reason
    return values, quality
