"""The local page: live values, abnormal first, and the machine's doors /healthz, /readyz, /metrics, /api/v1."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from edge_gateway.page.site import Site


def page_app(site: Site) -> Starlette:
    """Routes of the page. It only shows: nothing here changes anything."""

    async def healthz(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_request: Request) -> Response:
        status = site.journal.status()
        ready = not status.get("full") and bool(site.sources)
        return PlainTextResponse("ready\n" if ready else "not ready\n", status_code=200 if ready else 503)

    async def metrics(_request: Request) -> Response:
        site.telemetry.gauges(site.gauges())
        return Response(site.telemetry.metrics(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def status(_request: Request) -> Response:
        return JSONResponse(site.status())

    async def points(_request: Request) -> Response:
        return JSONResponse({"wall_us": site.clock.wall_us(), "points": site.points()})

    routes = [
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/metrics", metrics),
        Route("/api/v1/status", status),
        Route("/api/v1/points", points),
    ]
    return Starlette(routes=routes)
