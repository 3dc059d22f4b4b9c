"""The HTTP carrier of the hub's protocol: bearer tokens, bounded bodies, problems; knows no store and no page."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from edge_gateway.wire import hub as wire
from edge_gateway.wire.hub import WireError
from regulator_hub.desk import Desk
from regulator_hub.gateways import Gateways
from regulator_hub.store.writer import StoreFailed


def entries_route(desk: Desk, gateways: Gateways, stopping: Callable[[], bool]) -> Route:
    """``POST /api/v1/gateways/{gateway}/entries`` (docs/reference/hub-protocol.md section 1)."""

    async def entries(request: Request) -> Response:
        gateway = request.path_params["gateway"]
        try:
            if not gateways.authorised(gateway, _bearer(request)):
                raise WireError(
                    "unauthorised", "register the gateway with `regulator-hub gateways add`, or mend its token"
                )
            if stopping():
                raise WireError("stopping", "the hub is ending; try again")
            message = await desk.decode(await _body(request))
            answer = await desk.answer(gateway, message)
        except WireError as error:
            desk.counts[f"refused:{error.code}"] += 1
            return problem_response(error.code, error.why)
        except StoreFailed as error:
            return problem_response("storage", error.why)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is there to read it
        return Response(answer, media_type="application/json")

    return Route("/api/v1/gateways/{gateway}/entries", entries, methods=["POST"])


def problem_response(code: str, detail: str) -> Response:
    """RFC 9457."""
    body = wire.problem(code, detail)
    headers = {"WWW-Authenticate": "Bearer"} if code == "unauthorised" else {}
    headers |= {"Retry-After": "5"} if body["status"] == 503 else {}
    return Response(orjson.dumps(body), body["status"], headers, media_type="application/problem+json")


def _bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


async def _body(request: Request) -> bytes:
    """The body, never more than the bound in memory, never waited for longer than ANSWER_TIMEOUT_S."""
    too_large = WireError("too-large", f"more than {wire.MAX_COMPRESSED_BYTES} bytes compressed")
    announced = request.headers.get("content-length", "0")
    if announced.isdigit() and int(announced) > wire.MAX_COMPRESSED_BYTES:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(wire.ANSWER_TIMEOUT_S):
            async for part in request.stream():
                body += part
                if len(body) > wire.MAX_COMPRESSED_BYTES:
                    raise too_large
    except TimeoutError:
        raise WireError("slow", f"the body did not come within {wire.ANSWER_TIMEOUT_S:g} s") from None
    return bytes(body)
