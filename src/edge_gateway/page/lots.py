"""The page of lots and documents in the reader's language; shows what the ledger has, changes nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from edge_gateway.page.photos import shown
from edge_gateway.page.recording import overview, settings
from edge_gateway.page.site import Site
from edge_gateway.page.words import Words
from edge_gateway.traceability.model import kg
from edge_gateway.units import symbol
from edge_gateway.web import pages

PART = "lots"
#: Lots on the page; `record list` has all.
MOST = 200


def routes(site: Site, language: str) -> list[Route]:
    """``/lots``, and ``/photos/{sha256}`` for what it links to."""
    return [Route("/lots", _page(site, language)), Route("/photos/{sha256}", shown(site.journal))]


def _page(site: Site, language: str) -> Callable[[Request], Awaitable[Response]]:
    async def page(request: Request) -> Response:
        return pages.page(request, "lots.html", language, part=PART, **content(site, pages.language(request, language)))

    return page


def content(site: Site, language: str) -> dict[str, Any]:
    """What the template says."""
    words, found, resolved = pages.catalog(language, PART), overview(site), site.intake.state.resolved
    about = resolved.get("site", {})
    zone = ZoneInfo(str(about.get("timezone", "UTC")))
    zones = {id_: str(each.get(f"name_{language}") or id_) for id_, each in resolved.get("zones", {}).items()}
    photos = {str(record["record"]): [photo["sha256"] for photo in record.get("photos", ())] for record in found["records"]}
    warn = settings(site)["warn_days"]
    lots = [_lot(lot, words, (zones, zone), photos, warn) for lot in found["lots"]]
    lots.sort(key=lambda lot: (lot["over"], not lot["urgent"]))  # stable: newest first within
    said = Words(words, language, zone.key, site.clock.wall_us())
    return {
        "site_name": about.get(f"name_{language}", ""), "site_id": about.get("id", ""), "clock": f"{said.local(said.now_us):%Y-%m-%d %H:%M}", "zone": said.zone_name(),
        "lots": lots[:MOST], "expiring": [_expiring(item, words) for item in found["expiring"]],
    }  # fmt: skip


def _lot(lot: Mapping[str, Any], words: Mapping[str, str], places: tuple[Mapping[str, str], ZoneInfo], photos: Mapping[str, list[str]], warn: int) -> dict[str, Any]:
    zones, zone = places
    came = datetime.fromtimestamp(lot["began_us"] / 1e6, UTC).astimezone(zone)
    days = None if lot["over"] else lot["days_left"]
    papers = " · ".join(part for part in (lot["certificate"], lot["slip"]) if part)
    return {
        "id": lot["id"], "product": lot["product"], "over": lot["over"], "supplier": lot["supplier"], "expires": lot["expires"] or "–",
        "left": words["lots.gone"] if lot["over"] else f"{kg(lot['grams_left'])} / {kg(lot['grams_in'])} kg",
        "place": zones.get(lot["zone"], lot["zone"]) or "–", "lacks": not lot["certificate"] and not lot["from"],
        "papers": papers or words["lots.from"].replace("{lots}", ", ".join(lot["from"])), "measured": _measured(lot["temperature"], words),
        "came": f"{came:%m-%d %H:%M}", "urgent": "" if days is None or days > warn else "gone" if days < 0 else "soon",
        "left_days": "" if days is None else _days(days, words), "photos": [photo for record in lot["records"] for photo in photos.get(record, ())],
    }  # fmt: skip


MINUS = "\u2212"


def _measured(told: Mapping[str, Any] | None, words: Mapping[str, str]) -> str:
    if told is None or told.get("value") is None:
        return "–"
    doubt = "" if told["quality"] == "good" else f" ({words.get('q.' + told['quality'], told['quality'])})"
    return f"{str(told['value']).replace('-', MINUS)} {symbol(str(told.get('unit', '')))}{doubt}"


def _expiring(item: Mapping[str, Any], words: Mapping[str, str]) -> dict[str, Any]:
    what = f"{item['document']} {item['number']}" if item.get("document") else f"{words['lots.lot']} {item['lot']}"
    return {"what": what, "expires": item["expires"], "days_left": item["days_left"], "left": _days(item["days_left"], words)}


def _days(days: int, words: Mapping[str, str]) -> str:
    key = "lots.expired" if days < 0 else "lots.today" if days == 0 else "lots.days"
    return words[key].replace("{n}", str(abs(days)))
