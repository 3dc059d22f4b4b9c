"""What the control socket asks of persons and violations; knows nobody who decides."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from edge_gateway.page.asker import asker, user
from edge_gateway.page.persons import Persons


def routes(persons: Persons, body_of: Callable[[Request], Awaitable[dict[str, Any]]]) -> list[Route]:
    """``/v1/violations/…`` and ``/v1/people``."""

    async def show(request: Request) -> Response:
        return JSONResponse(persons.show(str(request.path_params["id"])))

    async def find(request: Request) -> Response:
        return JSONResponse(await persons.find(await body_of(request), user(request)))

    async def step(request: Request) -> Response:
        verb, id_ = str(request.path_params["verb"]), str(request.path_params["id"])
        return JSONResponse(await persons.step(verb, id_, await body_of(request), user(request)))

    async def people(_request: Request) -> Response:
        return JSONResponse(await persons.everybody())

    async def change(request: Request) -> Response:
        return JSONResponse(await persons.change(str(request.path_params["verb"]), await body_of(request), asker(request)))

    return [
        Route("/v1/violations", find, methods=["POST"]),
        Route("/v1/violations/{id}", show),
        Route("/v1/violations/{id}/{verb}", step, methods=["POST"]),
        Route("/v1/people", people),
        Route("/v1/people/{verb}", change, methods=["POST"]),
    ]
