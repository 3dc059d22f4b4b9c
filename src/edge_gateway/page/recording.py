"""Records of lots at the control socket: what a person says, with what the gateway itself knows of that moment; decides nothing.

The temperature of a record is the newest reading of a point, with its entry, its age and its quality: nobody types it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from edge_gateway.journal.base import Journal, Position
from edge_gateway.page.asker import user
from edge_gateway.page.site import Site
from edge_gateway.record.entry import Stamp, decode
from edge_gateway.traceability.asked import required
from edge_gateway.traceability.model import KEYS, MAX_TEXT, Lot, RecordRefused, days_left

#: Zones in which work on a lot begins.
STARTING = frozenset({"washing"})
#: How far back a reading's entry is looked for, and how many entries at once.
_BACK, _AT_ONCE = 8_192, 1_024


def routes(site: Site, body_of: Any) -> list[Route]:
    """``GET /v1/records``, ``POST /v1/records/{intake|lot|dispatch|document|void}``."""

    async def listed(_request: Request) -> Response:
        return JSONResponse(overview(site))

    async def add(request: Request) -> Response:
        by = user(request)
        return JSONResponse(await recorded(site, str(request.path_params["kind"]), await body_of(request), by))

    return [Route("/v1/records", listed), Route("/v1/records/{kind}", add, methods=["POST"])]


def overview(site: Site) -> dict[str, Any]:
    """Records in force, lots (newest first), what expires soon; JSON-able."""
    ledger, now = site.intake.state.ledger, site.today()
    lots = [lot_row(lot, now) for lot in reversed(list(ledger.lots.values()))]
    return {"today": now, "records": ledger.records(), "lots": lots, "expiring": ledger.expiring(now, settings(site)["warn_days"]), "requires": _requires(site)}


def lot_row(lot: Lot, now: str) -> dict[str, Any]:
    """One lot as pages and commands show it."""
    row = {name: getattr(lot, name) for name in ("id", "product", "supplier", "certificate", "slip", "expires", "zone", "over")}
    row |= {"grams_in": lot.grams_in, "grams_left": lot.grams_left, "began_us": lot.began_us, "days_left": days_left(lot.expires, now)}
    return row | {"from": list(lot.parents), "into": list(lot.children), "records": list(lot.records), "temperature": lot.temperature}


def settings(site: Site) -> Mapping[str, Any]:
    """``[records]`` of the configuration in force."""
    known: Mapping[str, Any] = site.intake.state.resolved.get("records", {})
    return {"start_requires": [], "dispatch_requires": [], "warn_days": 30, **known}


def _requires(site: Site) -> dict[str, Any]:
    """What is asked of records today, and the packs that ask."""
    known = settings(site)
    wanted = required(known, site.today())
    return {"start": list(wanted.start), "dispatch": list(wanted.dispatch), "packs": list(known.get("required", ()))}


async def recorded(site: Site, kind: str, asked: Mapping[str, Any], by: str) -> dict[str, Any]:
    """Make it an entry: durable on return. Raises RecordRefused, PhotoRefused."""
    reason = str(asked.get("reason") or "").strip()
    if len(reason) > 3 * MAX_TEXT:
        raise RecordRefused(f"a reason has at most {3 * MAX_TEXT} characters")
    if kind == "void":
        return await _added(site, lambda _stamp: site.intake.state.ledger.voided(str(asked.get("record", "")), by, reason))
    given = asked.get("given")
    if kind not in KEYS or not isinstance(given, dict):
        raise RecordRefused(f"no record '{kind[:40]}'", hint=f"one of {', '.join(KEYS)}, void")
    zones = site.intake.state.resolved.get("zones", {})
    zone = given.get("zone")
    if zone and (not isinstance(zone, str) or zone not in zones):
        raise RecordRefused(f"no zone '{str(zone)[:40]}'", hint=f"one of {', '.join(zones)}"[:300])
    more: dict[str, Any] = {"by": by, "reason": reason}
    if asked.get("corrects") and asked.get("temperature"):
        raise RecordRefused("a correction keeps the temperature that was taken", hint="leave --temperature out; void the record if it was another point")
    if point := asked.get("temperature"):
        more["temperature"] = await temperature(site, str(point))
    if photos := asked.get("photos"):
        if not isinstance(photos, list):
            raise RecordRefused("'photos' is no list of hashes")
        more["photos"] = site.journal.named_photos([str(name) for name in photos])
    starts = bool(zone) and zones[zone].get("stage") in STARTING
    corrects, known = str(asked.get("corrects") or ""), settings(site)
    requires = required(known, site.today())

    def made(stamp: Stamp) -> dict[str, Any]:
        ledger = site.intake.state.ledger
        body = ledger.draft(kind, given, more)
        if corrects:
            return ledger.corrected(corrects, body, requires)
        lacking = ledger.check(body, (stamp.rule_us, stamp.wall_us), requires, starts=starts, today=site.today())
        return body | ({"lacking": lacking} if lacking else {})

    return await _added(site, made)


async def _added(site: Site, made: Any) -> dict[str, Any]:
    intake = site.intake

    async def act() -> object:
        _, stamp = await intake.moment()
        body = made(stamp)
        seq = await intake.add("record", body, urgent=True, stamp=stamp)
        intake.state.ledger.replay({**body, "rule_us": stamp.rule_us, "wall_us": stamp.wall_us})
        return {**body, "seq": seq, "wall_us": stamp.wall_us}

    done = await intake.command(act)
    return dict(done) if isinstance(done, Mapping) else {}


async def temperature(site: Site, point: str) -> dict[str, Any]:
    """The newest reading of a point, of which entry, how old (µs), and how good. Raises RecordRefused for no point, or none yet."""
    resolved = site.intake.state.resolved
    about = resolved.get("points", {}).get(point)
    if about is None or about.get("quantity") != "temperature":
        raise RecordRefused(f"'{point[:40]}' is no point that measures a temperature", hint="`edge-gateway status --points` lists the points")
    newest, _ = site.newest.of(resolved.get("groups", {})).get(point, (None, None))
    if newest is None:
        raise RecordRefused(f"'{point}' has no reading yet", hint="wait for one, or record it without a temperature")
    groups = [name for name, group in resolved["groups"].items() if point in group["points"]]
    seq = await entry_of(site.journal, groups, newest.mono_us)
    found = {"point": point, "value": newest.value, "unit": about.get("unit", ""), "quality": newest.quality}
    return found | {"age_us": max(0, site.clock.mono_us() - newest.mono_us), "entry": None if seq is None else [site.journal.epoch, seq]}


async def entry_of(journal: Journal, groups: list[str], mono_us: int) -> int | None:
    """The number of the newest batch of these groups at that instant; None if it is not among the newest entries of this epoch."""
    first = journal.epochs()[-1].first
    end = journal.committed_seq
    while end > max(first, journal.committed_seq - _BACK):
        start = max(first, end - _AT_ONCE)
        at, found = start, None
        while at < end and (entries := await journal.read(Position(journal.epoch, at), max_entries=end - at, max_bytes=1 << 22)):
            for number, data in enumerate(entries, at):
                if f'"mono_us":{mono_us}'.encode() in data and (entry := decode(data))["kind"] == "batch" and entry["group"] in groups:
                    found = number
            at += len(entries)
        if found is not None:
            return found
        end = start
    return None
