"""A scan's answer over the control socket: whoever does not read it, or hangs up, keeps no line from its owner."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from edge_gateway.errors import GatewayError
from edge_gateway.page import finder

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


class Endless:
    """A scan that never ends by itself, and holds a line while it lasts."""

    def __init__(self, most: int = 10**9) -> None:
        self.lent = False
        self._most = most

    async def run(self) -> AsyncGenerator[dict[str, Any], None]:
        self.lent = True
        try:
            for number in range(self._most):
                yield {"event": "values", "number": number}
                await asyncio.sleep(0)
        finally:
            self.lent = False


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


async def test_a_client_that_stops_reading_does_not_keep_the_line() -> None:
    scan = Endless()
    lines = finder._lines(scan.run(), asyncio.Event())
    assert json.loads(await anext(lines))["number"] == 0
    assert scan.lent
    await until(lambda: not scan.lent)
    rest = [json.loads(line) async for line in lines]
    assert len(rest) <= finder.MOST_WAITING + 2
    assert [event["number"] for event in rest[:-2]] == list(range(1, len(rest) - 1))
    assert [event["event"] for event in rest[-2:]] == ["error", "done"]
    assert rest[-2]["why"]
    assert rest[-2]["hint"]


async def test_a_client_that_hangs_up_ends_the_scan() -> None:
    scan = Endless()
    lines = finder._lines(scan.run(), asyncio.Event())
    await anext(lines)
    await lines.aclose()
    assert not scan.lent


async def test_the_gateways_end_ends_the_scan_without_done() -> None:
    scan, ending = Endless(), asyncio.Event()
    lines = finder._lines(scan.run(), ending)
    await anext(lines)
    ending.set()
    rest = [json.loads(line) async for line in lines]
    assert not scan.lent
    assert {event["event"] for event in rest} <= {"values"}


async def test_all_events_arrive_and_an_error_is_told_before_the_end() -> None:
    async def refused() -> AsyncGenerator[dict[str, Any], None]:
        yield {"event": "plan"}
        raise GatewayError("no such line", hint="name another")

    assert len([line async for line in finder._lines(Endless(50).run(), asyncio.Event())]) == 50 + 1
    found = [json.loads(line) async for line in finder._lines(refused(), asyncio.Event())]
    assert [event["event"] for event in found] == ["plan", "error", "done"]


async def test_a_fault_of_our_own_is_not_swallowed() -> None:
    async def broken() -> AsyncGenerator[dict[str, Any], None]:
        yield {"event": "plan"}
        raise ZeroDivisionError

    lines = finder._lines(broken(), asyncio.Event())
    await anext(lines)
    with pytest.raises(ZeroDivisionError):
        await anext(lines)
