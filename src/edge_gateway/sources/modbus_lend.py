"""A line for somebody who is no source: a scan's questions between a running source's own, under other settings; knows no plan.

The running source keeps its rhythm: the line goes back as soon as one of its slots is due, so that a slot is late by at most
one question of the scan's. A source that leaves its line no time at all is asked to wait for one question a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import fields, replace
from typing import Protocol

from edge_gateway.links import modbus, modbus_ear
from edge_gateway.links.modbus import Counters, Line, RtuSettings, TcpSettings
from edge_gateway.links.modbus_ear import Ear, Heard
from edge_gateway.sources.modbus_scan import MOST_S, TCP_S, Framing

#: How long a source that is due may keep a scan waiting (s).
MOST_WAIT_S = 1.0
_LOOK_S = 0.002

Settings = TcpSettings | RtuSettings


class Share(Protocol):
    """A running source that lends its line."""

    def lent(self) -> AbstractAsyncContextManager[Line | None]:
        """From the end of its turn on it asks nothing, and its line, which this gives, is closed; then it goes on."""
        ...

    def due_in_s(self) -> float:
        """Until its next slot (s); 0 or less when one waits."""
        ...


class Lender:
    """One line for one scan. ``settings`` of a framing; ``share`` None: nobody else has the line."""

    def __init__(self, settings: Callable[[Framing | None], Settings], share: Share | None = None) -> None:
        self.counters = Counters()
        #: what the last question took on the line (s)
        self.took_s = 0.0
        self._settings = settings
        self._share = share
        self._borrowed: AbstractAsyncContextManager[Line | None] | None = None
        self._theirs: Line | None = None
        self._line: Line | None = None
        self._ear: Ear | None = None
        self._late_told = 0
        self._framing: Framing | None = None

    async def ask(self, framing: Framing | None, unit: int, pdu: bytes, timeout_s: float) -> bytes:
        """One question. Raises what ``Line.exchange`` raises."""
        await self._take()
        line = await self._opened(framing)
        while owed_s := line.wait_s(unit, pdu):
            if self._share is not None:
                await self.close()  # it is theirs meanwhile
            await asyncio.sleep(owed_s)
            await self._take()
            line = await self._opened(framing)
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        try:
            return await line.exchange(unit, pdu, timeout_s)
        finally:
            self.took_s = loop.time() - started_s

    def late_units(self) -> list[int]:
        """Units whose answers came too late for their questions, since this was asked last."""
        line = self._line
        if line is None:
            return []
        new, self._late_told = line.counters.late - self._late_told, line.counters.late
        return [unit for late in line.late()[-new:] if isinstance(unit := late["unit"], int)] if new else []

    async def listen(self, framing: Framing, seconds: float) -> Heard:
        """What is said on the line while we are silent. Raises LinkDown."""
        heard: Heard = []
        left_s = seconds
        while left_s > 0:
            await self._take()
            ear = await self._hearing(framing)
            most_s = left_s if self._share is None else min(left_s, max(self._share.due_in_s(), 0.05))
            heard += await ear.hear(most_s)
            left_s -= most_s
        return heard

    async def close(self) -> None:
        """Give everything back. Harmless when done before."""
        self._drop_line()
        borrowed, self._borrowed = self._borrowed, None
        if borrowed is not None:
            await borrowed.__aexit__(None, None, None)

    async def rest(self) -> None:
        """Nothing is asked for a while: the line is theirs meanwhile. One that is nobody's stays open."""
        if self._share is not None:
            await self.close()

    async def _take(self) -> None:
        share = self._share
        if share is None:
            return
        if self._borrowed is not None and share.due_in_s() <= 0:
            await self.close()
        if self._borrowed is None:
            loop = asyncio.get_running_loop()
            ends_s = loop.time() + MOST_WAIT_S
            while share.due_in_s() <= 0 and loop.time() < ends_s:
                await asyncio.sleep(_LOOK_S)
            lent = share.lent()
            self._theirs = await lent.__aenter__()
            self._borrowed = lent

    async def _hearing(self, framing: Framing) -> Ear:
        """The ear stays open from one hearing to the next: in between nothing is missed."""
        if self._ear is None or self._framing != framing:
            self._drop_line()
            settings = self._settings(framing)
            assert isinstance(settings, RtuSettings)
            ear = modbus_ear.open_ear(settings)
            await ear.open()
            self._ear, self._framing = ear, framing
        return self._ear

    async def _opened(self, framing: Framing | None) -> Line:
        if self._line is None or self._framing != framing:
            self._drop_line()
            self._line, self._framing = modbus.open_line(self._settings(framing)), framing
            self._late_told = 0
            if self._theirs is not None:
                self._line.take_over(self._theirs)
        if not self._line.is_open:
            await self._line.open()
        return self._line

    def _drop_line(self) -> None:
        ear, self._ear = self._ear, None
        if ear is not None:
            ear.close()
        line, self._line = self._line, None
        if line is not None:
            line.close()
            if self._theirs is not None:
                self._theirs.take_over(line)  # what we asked may still be answered
            for one in fields(Counters):
                added = getattr(self.counters, one.name) + getattr(line.counters, one.name)
                setattr(self.counters, one.name, added)

    def totals(self) -> dict[str, int]:
        """Frames so far."""
        now = {} if self._line is None else self._line.counters.as_dict()
        return {name: number + now.get(name, 0) for name, number in self.counters.as_dict().items()}


#: An answer later than this is taken for lost while scanning a line of ours.
LATE_MAX_S = 0.4


def settings_of(port: str, like: RtuSettings | None = None) -> Callable[[Framing | None], Settings]:
    """Settings of a serial port under each framing; all else as ``like``. An answer that comes late has its unit's address in
    it, so the silence after a time-out is the line's own, and no more."""
    base = like or RtuSettings(port=port)

    def of(framing: Framing | None) -> Settings:
        assert framing is not None
        return replace(
            base,
            baud=framing.baud,
            parity=framing.parity,
            stopbits=framing.stopbits,
            timeout_s=MOST_S,
            quiet_s=framing.silence_s,
            late_max_s=LATE_MAX_S,
        )

    return of


def settings_of_host(host: str, port: int) -> Callable[[Framing | None], Settings]:
    """Settings of a TCP endpoint that no configuration has."""
    return lambda _framing: TcpSettings(host=host, port=port, timeout_s=TCP_S, connect_timeout_s=1.0)
