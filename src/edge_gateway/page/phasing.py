"""What the control socket asks for of the phases of the day; judges nothing."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from edge_gateway.intake.phasing import look, next_phase, sign_item
from edge_gateway.page import day
from edge_gateway.page.asker import user
from edge_gateway.page.site import Site
from edge_gateway.phases import NAMES_ZH, PhaseRefused, Signer


def shown(site: Site) -> dict[str, Any]:
    """The phase that runs, its items, what comes next, and the rules that it disarms."""
    state = site.intake.state
    disarmed = [
        {"rule": rule.id, "point": rule.point} for rule, reasons in state.engine.standing() if any(each.why == "phase" for each in reasons)
    ]
    phases = state.phases
    return day.told(state, site.clock) | {
        "phase_zh": NAMES_ZH.get(phases.phase or "", ""),
        "next": phases.following(), "next_zh": NAMES_ZH[phases.following()], "items": look(site.intake, site.clock.mono_us(), site.clock.wall_us()), "disarmed": disarmed,
        "example": not state.resolved.get("phases"), "timezone": state.resolved.get("site", {}).get("timezone", ""),
    }  # fmt: skip


def routes(site: Site, body_of: Any) -> list[Route]:
    """``/v1/phase`` and a person's steps on it."""

    async def show(_request: Request) -> Response:
        return JSONResponse(shown(site))

    async def sign(request: Request) -> Response:
        asked = await body_of(request)
        return JSONResponse(await sign_item(site.intake, str(asked.get("item", "")), await _signer(request, asked, "phase sign")))

    async def next_(request: Request) -> Response:
        asked = await body_of(request)
        return JSONResponse(await next_phase(site.intake, await _signer(request, asked, "phase next")))

    async def _signer(request: Request, asked: dict[str, Any], what: str) -> Signer:
        who = await site.persons.who(asked, user(request), what)
        photos = asked.get("photos", [])
        if not isinstance(photos, list):
            raise PhaseRefused("'photos' is no list of hashes")
        names = site.journal.named_photos([str(name) for name in photos]) if photos else []
        return Signer(name=who.name, proven=who.proven, user=who.user, reason=str(asked.get("reason", "")), photos=tuple(names))

    return [
        Route("/v1/phase", show),
        Route("/v1/phase/sign", sign, methods=["POST"]),
        Route("/v1/phase/next", next_, methods=["POST"]),
    ]
