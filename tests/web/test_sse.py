"""The event stream: a full picture first, then the newest rows only; a slow reader costs no memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.responses import StreamingResponse

from edge_gateway.web import sse
from edge_gateway.web.sse import Feed


async def full() -> dict[str, Any]:
    return {"points": {"a": 1}}


def feed_and_events() -> tuple[Feed, AsyncIterator[Any]]:
    feed = Feed(full, lambda: {"now_us": 7})
    response = feed.response()
    assert isinstance(response, StreamingResponse)
    return feed, aiter(response.body_iterator)


def parsed(event: Any) -> tuple[str, Any]:
    lines = bytes(event).decode().strip().splitlines()
    return lines[-2].removeprefix("event: "), json.loads(lines[-1].removeprefix("data: "))


async def test_full_then_deltas_conflated_then_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "BEAT_S", 0.05)
    monkeypatch.setattr(sse, "PACE_S", 0.0)
    feed, events = feed_and_events()
    assert parsed(await anext(events)) == ("full", {"now_us": 7, "beat_s": 0.05, "points": {"a": 1}})
    for value in range(10_000):
        feed.publish("points", {"a": value, "b": None})
    assert parsed(await anext(events)) == ("delta", {"now_us": 7, "points": {"a": 9999, "b": None}})
    assert parsed(await anext(events)) == ("beat", {"now_us": 7})
    feed.close()
    async with asyncio.timeout(1):
        async for _event in events:
            pass  # at most what was on its way
    assert not feed.watched
    assert feed.response().status_code == 503


async def test_streams_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_STREAMS", 1)
    feed, events = feed_and_events()
    await anext(events)
    assert feed.watched
    assert feed.response().status_code == 503
    await events.aclose()  # type: ignore[attr-defined]
    assert feed.response().status_code == 200
