"""One turn: a poll group's requests over the line, with the retries that fit into a slot; it neither schedules nor journals."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from edge_gateway.backoff import Backoff
from edge_gateway.clock import Clock
from edge_gateway.errors import BadFrame, DeviceRefused, LinkDown
from edge_gateway.links.modbus import Line, NoAnswer
from edge_gateway.profiles.decode import Columns
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
    Value,
)
from edge_gateway.sources.modbus_unit import Ask, Poll, Unit

#: A busy unit (exceptions 5 and 6) is asked this often again within the slot, after this wait.
BUSY_TRIES, BUSY_WAIT_S = 2, 0.1
#: Requests that a turn may divide: the rest is learned in later slots.
MOST_DIVISIONS = 16

_ADDRESS, _VALUE, _DEVICE_FAILURE = 2, 3, 4
_BUSY = frozenset({5, 6})
_BEHIND = frozenset({10, 11})


class LineGone(LinkDown):
    """The line itself cannot be opened: asking further units is pointless until it is."""


@dataclass(slots=True)
class Turn:
    """What a turn brought. ``failed``: why the slot has nothing at all ("", ``backed-off``, ``unreachable``)."""

    batch: Batch
    failed: str = ""
    said: str = ""


@dataclass(slots=True)
class _State:
    """A turn under way: per ask its columns or the reason for having none."""

    results: dict[int, Columns] = field(default_factory=dict)
    reasons: dict[int, str] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)
    mono_us: list[int] = field(default_factory=list)  # when each block's answer came
    wall_us: int = 0  # when the last one came
    asked: bool = False
    answered: bool = False
    said: str = ""
    failed: str = ""
    divisions: int = 0


class Turns:
    """Takes turns on one line. The caller sees to it that there is one at a time."""

    def __init__(self, line: Line, clock: Clock, backoff: Backoff) -> None:
        self.line = line
        self.backoff = backoff
        self.rest_until_us = 0
        self.said = ""
        self._clock = clock

    async def take(self, poll: Poll) -> Turn:
        """Ask everything of ``poll`` once. Always answers with a batch, good or bad."""
        if poll.relearn_us and self._clock.mono_us() >= poll.relearn_us:
            poll.reset()
        state = _State()
        # A failing unit is asked another block first each time: it may ignore only one of them.
        first = poll.unit.backoff.failures % len(poll.asks)
        queue = poll.asks[first:] + poll.asks[:first]
        while queue and not state.failed:
            ask = queue.pop(0)
            if ask.refused and not ask.worked:
                state.reasons[id(ask)] = BAD_REFUSED
            elif ask.rest_until_us and ask.rest_until_us > self._clock.mono_us():
                state.reasons[id(ask)] = BAD_NO_ANSWER
            else:
                state.asked = True
                queue[:0] = await self._one(poll, ask, state)
        return self._result(poll, state)

    async def _one(self, poll: Poll, ask: Ask, state: _State) -> list[Ask]:
        """Ask one block; returns what to ask in its place when it was refused."""
        unit = poll.unit
        try:
            answer = await self.ask(unit, ask.block.unit, ask.pdu, poll.planned.timeout_us, poll.planned.rest_us)
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
        else:
            self._answered(poll, ask, answer[2:], state)
        return []

    def _answered(self, poll: Poll, ask: Ask, data: bytes, state: _State) -> None:
        state.mono_us.append(self._clock.mono_us())
        state.wall_us = self._clock.wall_us()
        block = ask.block
        state.blocks.append(Block(unit=block.unit, function=block.function, start=block.start, data=data))
        state.results[id(ask)] = ask.decode(data)
        state.answered = True
        if ask.refused or not ask.worked:
            poll.succeeded(ask)
        if ask.rest_until_us:
            ask.rest_until_us = 0
            ask.backoff.reset()

    def _refused(self, poll: Poll, ask: Ask, state: _State, refusal: DeviceRefused) -> list[Ask]:
        code = refusal.code
        state.said = refusal.why
        if code in (_ADDRESS, _VALUE):
            state.answered = True
            if state.divisions < MOST_DIVISIONS:
                state.divisions += 1
                parts = poll.divide(ask, self._clock.mono_us())
                if parts:
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
            ask.rest_until_us = self._clock.mono_us() + int(ask.backoff.next_s() * 1e6)
        else:
            self._stop(state, ask, reason, "backed-off", error)

    @staticmethod
    def _stop(state: _State, ask: Ask, reason: str, failed: str, error: Exception) -> None:
        state.reasons[id(ask)] = reason
        state.failed = failed
        state.said = str(error)

    async def ask(self, unit: Unit, address: int, pdu: bytes, timeout_us: int, rest_us: int) -> bytes:
        """One request with its retries: once after a lost connection or, from a unit that was well, silence or rubbish.

        Raises what ``Line.exchange`` raises, and LineGone.
        """
        again = True
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
                self.line.trace.retried(address)
                await asyncio.sleep(BUSY_WAIT_S)
            except (NoAnswer, BadFrame):
                if not (again and unit.alive):
                    raise
                again = False
                self.line.trace.retried(address)
            except LinkDown:
                if not again:
                    raise
                again = False
                self.line.trace.retried(address)
            else:
                unit.heard_s = loop.time()
                unit.round_trip_us = int((unit.heard_s - started_s) * 1e6)
                return answer

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
        """The columns in the order of the asks, which is the order of the group's points."""
        values, quality = _joined(poll.asks, state)
        if not state.blocks:
            state.mono_us.append(self._clock.mono_us())
            state.wall_us = self._clock.wall_us()
        mono_us = state.mono_us[-1]
        if len(state.blocks) > 1:
            for block, at_us in zip(state.blocks, state.mono_us, strict=True):
                block.offset_us = at_us - mono_us
        batch = Batch(
            group=poll.planned.group,
            mono_us=mono_us,
            wall_us=state.wall_us,
            values=values,
            quality=quality,
            blocks=state.blocks,
        )
        if state.asked and not state.answered and not state.failed:
            state.failed = "backed-off"  # it has nothing but failures to tell
        return Turn(batch, "" if state.answered else state.failed, state.said)


def _joined(asks: list[Ask], state: _State) -> Columns:
    if len(asks) == 1 and state.results:
        return state.results[id(asks[0])]
    fallback = next(reversed(state.reasons.values()), BAD_NO_ANSWER)
    values: list[Value] = []
    quality: list[str] | None = None
    for ask in asks:
        found = state.results.get(id(ask))
        if found is None:
            reason = state.reasons.get(id(ask), fallback)
            found = [None] * ask.columns, [reason] * ask.columns
        some, marks = found
        if marks is not None and quality is None:
            quality = [GOOD] * len(values)
        if quality is not None:
            quality += marks or [GOOD] * len(some)
        values += some
    return values, quality
