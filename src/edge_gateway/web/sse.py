"""Server-sent events, conflated: a slow reader gets the newest rows, never a queue; knows no row's meaning."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import orjson
from starlette.responses import PlainTextResponse, Response, StreamingResponse

#: Streams at once; one more is refused (the page then polls by reloading).
MAX_STREAMS = 200
#: A stream is never silent for longer (real seconds); pages call it lost after twice this.
BEAT_S = 5.0
#: At most one event a stream in this time (real seconds).
PACE_S = 0.5


class Feed:
    """Streams of one page. ``publish`` rows by section and key; a stream begins with what ``full`` answers.

    ``stamp`` is put into every event: the server's time, from which browsers compute ages. ``at_once``: ``full`` awaits
    nothing, so that what was published before it is in it.
    """

    def __init__(
        self,
        full: Callable[[], Awaitable[Mapping[str, Any]]],
        stamp: Callable[[], Mapping[str, Any]],
        *,
        at_once: bool = False,
    ) -> None:
        self._full = full
        self._at_once = at_once
        self._stamp = stamp
        self._streams: set[_Stream] = set()
        self._closed = False

    @property
    def watched(self) -> bool:
        """Whether anybody looks."""
        return bool(self._streams)

    def publish(self, section: str, rows: Mapping[str, Any]) -> None:
        """Rows that changed, by key; None removes one."""
        for stream in self._streams:
            stream.merge(section, rows)

    def close(self) -> None:
        """End all streams; browsers come back by themselves."""
        self._closed = True
        for stream in self._streams:
            stream.news.set()

    def response(self) -> Response:
        """A stream for one browser."""
        if self._closed or len(self._streams) >= MAX_STREAMS:
            return PlainTextResponse("too many readers\n", 503, {"Retry-After": "15"})
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(self._events(), headers=headers, media_type="text/event-stream")

    async def _events(self) -> AsyncIterator[bytes]:
        stream = _Stream()
        self._streams.add(stream)
        try:
            full = await self._full()
            if self._at_once:
                stream.take()
            yield b"retry: 2000\n\n" + self._event("full", {"beat_s": BEAT_S, **full})
            while not self._closed:
                try:
                    async with asyncio.timeout(BEAT_S):
                        await stream.news.wait()
                except TimeoutError:
                    yield self._event("beat", {})
                    continue
                yield self._event("delta", stream.take())
                await asyncio.sleep(PACE_S)
        finally:
            self._streams.discard(stream)

    def _event(self, name: str, body: Mapping[str, Any]) -> bytes:
        return b"event: %s\ndata: %s\n\n" % (name.encode(), orjson.dumps({**self._stamp(), **body}))


class _Stream:
    """What one browser has not been told yet: at most one row a key."""

    def __init__(self) -> None:
        self.news = asyncio.Event()
        self._pending: dict[str, dict[str, Any]] = {}

    def merge(self, section: str, rows: Mapping[str, Any]) -> None:
        self._pending.setdefault(section, {}).update(rows)
        self.news.set()

    def take(self) -> dict[str, dict[str, Any]]:
        self.news.clear()
        pending, self._pending = self._pending, {}
        return pending
