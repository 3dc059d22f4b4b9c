"""The local page's doors: the live page and its stream, /healthz, /readyz, /metrics, /api/v1; only shows, changes nothing."""

from __future__ import annotations

import asyncio
import http
import time

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from edge_gateway.page import lots
from edge_gateway.page.live import PART, Live
from edge_gateway.page.metrics import SiteCollector
from edge_gateway.page.site import Site
from edge_gateway.web import pages

#: Answers that must be computed: so many a second for one reader in the long run, and so many at once.
RATE_PER_S, BURST = 20.0, 100.0
#: Readers whose pace is remembered.
MAX_READERS = 256
#: The journal's writer must answer a no-op within this for the gateway to be ready (real seconds).
READY_S = 1.0
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def page_app(site: Site, live: Live) -> ASGIApp:
    """Routes of the page. GET and HEAD only."""

    async def healthz(_request: Request) -> Response:
        return PlainTextResponse("ok\n", headers=_HEADERS)

    async def readyz(_request: Request) -> Response:
        wrong = await not_ready(site)
        if wrong:
            return problem(503, "; ".join(wrong), {"Retry-After": "5"})
        return PlainTextResponse("ready\n", headers=_HEADERS)

    async def metrics(_request: Request) -> Response:
        return Response(
            site.telemetry.metrics(), headers=_HEADERS, media_type="text/plain; version=0.0.4; charset=utf-8"
        )

    async def status(_request: Request) -> Response:
        return JSONResponse(site.status(), headers=_HEADERS)

    async def points(_request: Request) -> Response:
        body = {
            "schema": "edge-gateway/points/1",
            **live.stamp(),
            "wall_us": site.clock.wall_us(),
            "points": site.points(),
        }
        return JSONResponse(body, headers=_HEADERS)

    async def full(request: Request) -> Response:
        return JSONResponse(dict(await live.full(request)), headers=_HEADERS)

    async def failed(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == http.HTTPStatus.NOT_FOUND and not request.url.path.startswith("/api/"):
            return pages.page(request, "notfound.html", live.language, part=PART, status_code=404)
        return problem(error.status_code, str(error.detail), dict(error.headers or {}))

    site.telemetry.registry.register(SiteCollector(site))
    routes = [
        Route("/", live.page),
        Route("/events", live.stream),
        Route("/full", full),
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/metrics", metrics),
        Route("/api/v1/status", status),
        Route("/api/v1/points", points),
        *lots.routes(site, live.language),
        pages.static(),
    ]
    return Paced(Starlette(routes=routes, exception_handlers={HTTPException: failed}))


async def not_ready(site: Site) -> list[str]:
    """Why the gateway does not do its work now; empty when it does."""
    wrong = []
    if site.intake.state.config is None:
        wrong.append("no configuration is in force")
    if not site.sources:
        wrong.append("no bus is read: no device is configured")
    if site.journal.status()["full"]:
        wrong.append("the journal is full")
    try:
        async with asyncio.timeout(READY_S):
            await site.journal.heartbeat()
    except TimeoutError:
        wrong.append(f"the journal's writer did not answer within {READY_S:g} s")
    return wrong


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    """RFC 9457."""
    title = http.HTTPStatus(status).phrase
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return JSONResponse(body, status, _HEADERS | (headers or {}), media_type="application/problem+json")


class Paced:
    """Bounds the work that one reader can ask for: what is computed is paced, what is a file or a sign of life is not.

    Readers are told apart by address, the last MAX_READERS of them; behind a proxy all are one.
    """

    def __init__(self, app: ASGIApp, *, rate_per_s: float = RATE_PER_S, burst: float = BURST) -> None:
        self._app = app
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._readers: dict[str, tuple[float, float]] = {}  # address -> what is left, and when that was

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 429 beyond the pace."""
        path = scope.get("path", "")
        free = scope["type"] != "http" or path == "/healthz" or path.startswith("/static/")
        if free or self._take((scope.get("client") or ("",))[0]):
            await self._app(scope, receive, send)
            return
        await problem(429, "too many requests", {"Retry-After": "1"})(scope, receive, send)

    def _take(self, reader: str) -> bool:
        now_s = time.monotonic()
        left, at_s = self._readers.pop(reader, (self._burst, now_s))
        left = min(self._burst, left + (now_s - at_s) * self._rate_per_s)
        taken = left >= 1.0
        self._readers[reader] = (left - 1.0 if taken else left, now_s)
        if len(self._readers) > MAX_READERS:
            del self._readers[next(iter(self._readers))]
        return taken
