"""What the control socket asks for of calibrations; the reading is the gateway's own, nobody types it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from edge_gateway.calibration import CalibrationRefused, Reading
from edge_gateway.page.asker import user
from edge_gateway.page.site import Site
from edge_gateway.record.entry import Stamp
from edge_gateway.rules.base import BoundRule
from edge_gateway.rules.guard import BAND, GUARD


def shown(site: Site) -> dict[str, Any]:
    """The last calibration of each point, and what is due."""
    calibrations = site.intake.state.calibrations
    return {"points": calibrations.last(), "due": calibrations.due(site.today()), "timezone": site.intake.state.resolved.get("site", {}).get("timezone") or "Asia/Shanghai"}


def routes(site: Site, body_of: Any) -> list[Route]:
    """``/v1/calibrations``."""

    async def list_(_request: Request) -> Response:
        return JSONResponse(shown(site))

    async def record(request: Request) -> Response:
        asked = await body_of(request)
        by = user(request)
        point = str(asked.get("point", ""))

        async def step() -> object:
            state = site.intake.state
            _, stamp = await site.intake.moment()
            body = state.calibrations.draft(str(asked.get("step", "")), point, _reading(site, point), asked, state.marks.running()) | {"by": by}
            made = await _kept(site, body, stamp)
            made |= {"guard": bands} if (bands := guards(state.rules(), point)) else {}
            implied = state.calibrations.implied(body)
            return made if implied is None else made | {"corrected": await _kept(site, implied, stamp)}

        return JSONResponse(await site.intake.command(step))

    async def correct(request: Request) -> Response:
        asked = await body_of(request)
        by = user(request)

        async def step() -> object:
            _, stamp = await site.intake.moment()
            return await _kept(site, site.intake.state.calibrations.correct(str(asked.get("point", "")), asked, stamp.wall_us) | {"by": by}, stamp)

        return JSONResponse(await site.intake.command(step))

    return [
        Route("/v1/calibrations", list_),
        Route("/v1/calibrations", record, methods=["POST"]),
        Route("/v1/calibrations/correct", correct, methods=["POST"]),
    ]


def guards(rules: Iterable[BoundRule], point: str) -> dict[str, str]:
    """By rule how near its limit it decides nothing at a point, as it judges now: decimal text in the point's unit."""
    return {rule.id: str(rule.terms[BAND]) for rule in rules if rule.point == point and {GUARD, BAND} <= rule.terms.keys()}


async def _kept(site: Site, body: dict[str, Any], stamp: Stamp) -> dict[str, Any]:
    """The entry first; what is remembered of it is what stands there."""
    seq = await site.intake.add("calibration", body, stamp=stamp, urgent=True)
    made = body | {"seq": seq, "wall_us": stamp.wall_us}
    site.intake.state.calibrated(made)
    return made


def _reading(site: Site, point: str) -> Reading:
    row = next((row for row in site.points() if row["point"] == point), None)
    if row is None:
        raise CalibrationRefused(f"no point '{point}'", hint="`edge-gateway status --points` shows them")
    if row["value"] is None or row["stale"] or not str(row["quality"]).startswith("good"):
        raise CalibrationRefused(f"{point} has no good reading just now", hint="`edge-gateway read` shows why")
    return Reading(value=float(row["value"]), unit=str(row["unit"]), wall_us=int(row["observed_us"]))
