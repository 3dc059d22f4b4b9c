"""What the control socket asks for of scans and of the inbox; knows nobody who answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Protocol

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from edge_gateway.errors import GatewayError
from edge_gateway.page.asker import user

#: Events that wait for whoever asked for a scan. Beyond, the scan ends.
MOST_WAITING = 1000
#: Of a text that goes on record, in characters.
MOST_SAID = 300


class Finder(Protocol):
    """Whoever scans, and keeps what is found. ``ending``: the gateway ends, and so does every scan."""

    ending: asyncio.Event

    def run(self, wanted: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """A scan's events; closing the generator ends it. Raises GatewayError."""
        ...

    def inbox(self) -> list[dict[str, Any]]:
        """The items."""
        ...

    def ignore(self, number: int) -> dict[str, Any]:
        """Show one no more. Raises GatewayError."""
        ...

    async def note(self, event: str, by: str, about: Mapping[str, Any]) -> None:
        """Record what a person asked for; durable on return."""
        ...

    async def look_about(self) -> None:
        """What the configuration asks to be looked for from time to time, until cancelled."""
        ...

    async def adopt(self, number: int, body: Mapping[str, Any], by: str) -> dict[str, Any]:
        """Make one part of the running configuration. Raises GatewayError."""
        ...


def routes(finder: Finder | None, body_of: Any) -> list[Route]:
    """``/v1/scan`` (JSON lines while it lasts; whoever hangs up ends it), ``/v1/inbox``; none without somebody who scans."""
    if finder is None:
        return []

    async def scan(request: Request) -> Response:
        wanted = await body_of(request)
        about = {key: str(wanted[key])[:MOST_SAID] for key in ("target", "mode", "active", "reason") if wanted.get(key)}
        await finder.note("scan-asked", user(request), {"why": "scan"} | about)
        events = _lines(finder.run(wanted), finder.ending)
        return StreamingResponse(events, media_type="application/x-ndjson")

    async def inbox(_request: Request) -> Response:
        return JSONResponse({"items": finder.inbox()})

    async def ignore(request: Request) -> Response:
        number, why = int(request.path_params["id"]), str((await body_of(request)).get("reason") or "ignored")
        ignored = finder.ignore(number)
        about = {"item": ignored["ignored"], "old": "suggested", "new": "ignored", "why": why[:MOST_SAID]}
        await finder.note("inbox-ignored", user(request), about)
        return JSONResponse(ignored)

    async def add(request: Request) -> Response:
        return JSONResponse(await finder.adopt(int(request.path_params["id"]), await body_of(request), user(request)))

    return [
        Route("/v1/scan", scan, methods=["POST"]),
        Route("/v1/inbox", inbox),
        Route("/v1/inbox/{id:int}/ignore", ignore, methods=["POST"]),
        Route("/v1/inbox/{id:int}/add", add, methods=["POST"]),
    ]


async def _lines(events: AsyncGenerator[dict[str, Any], None], ending: asyncio.Event) -> AsyncGenerator[bytes, None]:
    """One JSON object a line, ``done`` the last of all; an error is one of them: the answer has begun when it comes.

    When the gateway ends, the lines end without ``done``.
    """
    waiting: asyncio.Queue[bytes] = asyncio.Queue()
    task = asyncio.create_task(_pump(events, waiting), name="scan")
    ended = asyncio.create_task(ending.wait(), name="scan-ending")
    ended.add_done_callback(lambda _: task.cancel())
    try:
        while line := await waiting.get():
            yield line
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()  # raises what went wrong
    finally:
        ended.cancel()
        task.cancel()
        await asyncio.wait([task])


async def _pump(events: AsyncGenerator[dict[str, Any], None], waiting: asyncio.Queue[bytes]) -> None:
    """Events as lines into ``waiting``, b"" at the end. A scan holds a line that others wait for: it does not wait for its reader."""
    try:
        async with aclosing(events):
            async for event in events:
                if waiting.qsize() >= MOST_WAITING:
                    raise GatewayError("nobody reads what the scan says: it has ended", hint="scan again, and do not stop the command")
                waiting.put_nowait(_line(event))
        waiting.put_nowait(_line({"event": "done"}))
    except GatewayError as error:
        waiting.put_nowait(_line({"event": "error", "error": type(error).__name__, "why": error.why, "hint": error.hint}))
        waiting.put_nowait(_line({"event": "done"}))
    finally:
        waiting.put_nowait(b"")


def _line(event: Mapping[str, Any]) -> bytes:
    return orjson.dumps(event) + b"\n"
