"""What the control socket asks for of marks; judges nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from edge_gateway.intake.marking import SCOPES, end_mark, extend_mark, start_mark
from edge_gateway.marks import WEEK_US
from edge_gateway.page.asker import user
from edge_gateway.page.site import Site

_US_PER_S = 1_000_000


def shown(site: Site) -> dict[str, Any]:
    """Marks that run and those of the last week, what is not armed because of them, and the types with their bounds."""
    state = site.intake.state
    armed_not = [
        {"rule": rule.id, "point": rule.point, "because": [{"why": each.why, "ref": each.ref} for each in reasons]}
        for rule, reasons in state.engine.standing()
    ]
    types = {
        name: {"longest_s": known.longest_us // _US_PER_S, "weekly_s": known.weekly_us // _US_PER_S, "zh": known.zh}
        for name, known in state.marks.types.items()
    }
    return {
        "marks": state.marks.running(), "ended": state.marks.recent(), "not_armed": armed_not, "types": types,
        "week_us": WEEK_US, "wall_us": site.clock.wall_us(), "timezone": state.resolved.get("site", {}).get("timezone", ""),
    }  # fmt: skip


def routes(site: Site, body_of: Any) -> list[Route]:
    """``/v1/marks`` and a person's steps on them."""

    async def list_(_request: Request) -> Response:
        return JSONResponse(shown(site))

    async def start(request: Request) -> Response:
        body = await body_of(request)
        scope = {key: _names(body, key) for key in SCOPES}
        made = await start_mark(site.intake, str(body.get("type", "")), scope, _lasting(body), (user(request), str(body.get("reason", ""))))
        keys = [key for key, ref in site.intake.state.marks.refs(site.intake.state.rules()).items() if made["mark"] in ref.split(",")]
        return JSONResponse(made | {"rules": [{"rule": rule, "point": point} for rule, point in sorted(keys)]})

    async def extend(request: Request) -> Response:
        body = await body_of(request)
        who = (user(request), str(body.get("reason", "")))
        return JSONResponse(await extend_mark(site.intake, request.path_params["id"], _lasting(body), who))

    async def end(request: Request) -> Response:
        body = await body_of(request)
        return JSONResponse(await end_mark(site.intake, request.path_params["id"], (user(request), str(body.get("reason", "")))))

    return [
        Route("/v1/marks", list_),
        Route("/v1/marks", start, methods=["POST"]),
        Route("/v1/marks/{id}/extend", extend, methods=["POST"]),
        Route("/v1/marks/{id}/end", end, methods=["POST"]),
    ]


def _lasting(body: Mapping[str, Any]) -> int:
    """How long, in µs. Raises ValueError."""
    seconds = body.get("for_s", 0)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= 7 * 86_400:
        raise ValueError("'for_s' is no number of seconds within a week")
    return round(seconds * _US_PER_S)


def _names(body: Mapping[str, Any], key: str) -> list[str]:
    names = body.get(key, [])
    if not isinstance(names, list) or any(not isinstance(name, str) for name in names):
        raise ValueError(f"'{key}' is no list of names")
    return names
