"""The control socket: HTTP on a Unix socket for this machine's people; it knows who asks by the kernel's word."""

from __future__ import annotations

import pwd
import socket
import struct
from asyncio import BaseTransport
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from edge_gateway.errors import GatewayError
from edge_gateway.page import calibrating, finder, handling, marks, phasing, photos, recording
from edge_gateway.page.asker import user
from edge_gateway.page.site import Site

#: A request to the control socket is short.
MAX_BODY_BYTES = 64 * 1024


class PeerProtocol(H11Protocol):
    """HTTP whose ``client`` is the peer's OS user: (name, uid)."""

    def connection_made(self, transport: BaseTransport) -> None:
        """Ask the kernel who connected (SO_PEERCRED)."""
        super().connection_made(transport)  # type: ignore[arg-type]
        sock: socket.socket = transport.get_extra_info("socket")
        size = struct.calcsize("3i")
        _pid, uid, _gid = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
        try:
            name = pwd.getpwuid(uid).pw_name
        except KeyError:
            name = f"uid-{uid}"
        self.client = (name, uid)


def control_app(site: Site) -> Starlette:
    """Routes of the control socket; every answer is JSON."""

    async def status(_request: Request) -> Response:
        return JSONResponse(site.status())

    async def points(_request: Request) -> Response:
        return JSONResponse({"points": site.points()})

    async def position(_request: Request) -> Response:
        return JSONResponse({"epoch": site.journal.epoch, "committed_seq": site.journal.committed_seq})

    async def violations(_request: Request) -> Response:
        return JSONResponse({"violations": site.intake.state.violations.open()})

    async def read(request: Request) -> Response:
        return JSONResponse(await site.read_device(await _body(request)))

    async def provision(request: Request) -> Response:
        by = user(request)
        return JSONResponse(await site.provision(request.path_params["verb"], await _body(request), by))

    async def pack_state(request: Request) -> Response:
        by = user(request)
        return JSONResponse(await site.packs(request.path_params["pack"], await _body(request), by))

    async def reload(request: Request) -> Response:
        why = str((await _body(request)).get("reason") or "reload")
        await site.reload(user(request), why)
        return JSONResponse({"rejected": site.config.rejected, "pending_restart": list(site.config.pending_restart)})

    async def quarantine(request: Request) -> Response:
        items = await site.journal.quarantine_list(request.query_params.get("sink"))
        shown = [
            {name: getattr(i, name) for name in ("id", "sink", "epoch", "seq", "line", "reason", "wall_us")}
            for i in items
        ]
        return JSONResponse({"items": shown})

    async def quarantine_do(request: Request) -> Response:
        body = await _body(request)
        ids = body.get("ids", [])
        if not isinstance(ids, list) or any(type(id_) is not int for id_ in ids):
            raise ValueError("'ids' is no list of whole numbers")
        by = user(request)
        return JSONResponse(await site.quarantine(request.path_params["verb"], ids, by, str(body.get("reason", ""))))

    routes = [
        Route("/v1/status", status),
        Route("/v1/points", points),
        Route("/v1/position", position),
        Route("/v1/violations", violations),
        Route("/v1/read", read, methods=["POST"]),
        Route("/v1/reload", reload, methods=["POST"]),
        Route("/v1/provision/{verb}", provision, methods=["POST"]),
        Route("/v1/rules/{pack}/state", pack_state, methods=["POST"]),
        Route("/v1/journal/{verb}", _keep(site), methods=["POST"]),
        Route("/v1/quarantine", quarantine),
        Route("/v1/quarantine/{verb}", quarantine_do, methods=["POST"]),
    ]
    routes += finder.routes(site.finder, _body)
    routes += photos.routes(site.journal)
    routes += handling.routes(site.persons, _body)
    routes += recording.routes(site, _body)
    routes += marks.routes(site, _body)
    routes += phasing.routes(site, _body)
    routes += calibrating.routes(site, _body)
    return Starlette(routes=routes, exception_handlers={GatewayError: _refused, ValueError: _unreadable})


def _keep(site: Site) -> Callable[[Request], Awaitable[Response]]:
    async def keep(request: Request) -> Response:
        by = user(request)
        return JSONResponse(await site.keep(request.path_params["verb"], await _body(request), by))

    return keep


async def _body(request: Request) -> dict[str, Any]:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise ValueError(f"a request is at most {MAX_BODY_BYTES} bytes")
    if not body:
        return {}
    parsed = orjson.loads(body)
    if not isinstance(parsed, dict):
        raise ValueError("a JSON object is expected")
    return parsed


async def _refused(_request: Request, error: Exception) -> Response:
    hint = error.hint if isinstance(error, GatewayError) else ""
    why = error.why if isinstance(error, GatewayError) else str(error)
    return JSONResponse({"error": type(error).__name__, "why": why, "hint": hint}, status_code=409)


async def _unreadable(_request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "BadRequest", "why": str(error), "hint": "send a JSON object"}, status_code=400)
