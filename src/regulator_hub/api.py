"""The JSON API: what the hub holds and what it means, read-only; knows no page and takes nothing in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from edge_gateway.clock import Clock
from regulator_hub import rows
from regulator_hub.interpret import Interpreter
from regulator_hub.outbox import Outbox
from regulator_hub.store import reader as read
from regulator_hub.store import witnessed
from regulator_hub.store.reader import EpochRow, Reader
from regulator_hub.view import View
from regulator_hub.watch import Watch
from regulator_hub.witness import Witness

#: Entries that one request for readings looks at; ``next`` tells where to go on.
MAX_SCAN = 20_000
#: Entries that one request for raw bytes returns.
MAX_ENTRIES = 5_000
_CHUNK = 1_000


class Asked(ValueError):
    """A request that cannot be answered: 404 or 400, with a sentence."""

    def __init__(self, status: int, code: str, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class Held:
    """What the API reads: the store, the views, who is alive."""

    reader: Reader
    interpreter: Interpreter
    watch: Watch
    clock: Clock
    witness: Witness
    outbox: Outbox

    def view(self, request: Request) -> View:
        """The asked gateway's view. Raises Asked."""
        name = request.path_params["gateway"]
        if name not in self.interpreter.views:
            raise Asked(404, "no-gateway", f"gateway '{name}' never delivered here")
        return self.interpreter.views[name]

    async def gateways(self) -> list[dict[str, Any]]:
        """One line a gateway, by id."""
        found = []
        for row in await self.reader.run(read.gateways):
            name = str(row["gateway"])
            view = self.interpreter.view(name)
            epochs = await self.reader.run(read.epochs, name)
            notes = {epoch: size for epoch, size, _ in await self.reader.run(witnessed.notes, name)}
            pending = await self.witness.pending(name)
            found.append(
                {
                    "gateway": name,
                    **rows.site(view),
                    "first_us": row["first_us"],
                    "last_us": row["last_us"],
                    "silent_s": round(self.watch.silent_s(name), 1),
                    "dark": name in self.watch.dark,
                    "epochs": [
                        {
                            "epoch": e.epoch,
                            "size": e.size,
                            "witnessed": notes.get(e.epoch),
                            "pending": e.epoch in pending,
                            "closed_at": e.closed_at,
                            "branch_of": e.branch_of and {"epoch": e.branch_of, "size": e.branch_at},
                            "interpreted": view.state["cursors"].get(e.epoch, 0),
                            "skipped": await self.reader.run(read.skipped, e.id),
                        }
                        for e in epochs
                    ],
                    "quarantined": view.state["quarantined"],
                    "unknown": view.state["unknown"],
                    "waiting_for_texts": sorted(view.state["waiting"]),
                }
            )
        return found

    async def epoch(self, request: Request) -> list[EpochRow]:
        """The asked epoch, or all of the gateway's but branches, oldest first. Raises Asked."""
        epochs = await self.reader.run(read.epochs, request.path_params["gateway"])
        name = request.query_params.get("epoch")
        found = [epoch for epoch in epochs if (epoch.branch_of is None if name is None else name == epoch.epoch)]
        if name is not None and not found:
            raise Asked(404, "no-epoch", f"no epoch '{name}' of this gateway")
        return found


def _instruments(held: Held) -> Callable[[Request], Awaitable[Response]]:
    """Who measures at a gateway, newest first."""

    async def instruments(request: Request) -> Response:
        noted = held.view(request).state["instruments"]
        return _json({"instruments": [{"entry": place, **found} for place, found in reversed(noted.items())]})

    return instruments


def _commands(held: Held) -> Callable[[Request], Awaitable[Response]]:
    """What persons here asked of a gateway: what waits for its answer, and its newest answers, newest first."""

    async def commands(request: Request) -> Response:
        view = held.view(request)
        waiting = [
            {key: getattr(item.command, key) for key in ("id", "violation", "verb", "by", "reason", "issued_us", "expires_us")}
            for item in held.outbox.waiting(view.gateway)
            if not view.answered(item.name)
        ]
        return _json({"waiting": waiting, "answered": list(reversed(view.state["commands"].values()))})

    return commands


def _marks(held: Held) -> Callable[[Request], Awaitable[Response]]:
    """Which points are marked, or were, and the phases of the day, newest first."""

    async def marks(request: Request) -> Response:
        state = held.view(request).state
        return _json({"marks": list(reversed(state["marks"].values())), "phases": list(reversed(state["phases"])), "calibrations": list(reversed(state["calibrations"]))})

    return marks


def _packs(held: Held) -> Callable[[Request], Awaitable[Response]]:
    """Which rule packs judge at a gateway, in which edition and state (null: its configuration is not here yet), and who changed that, newest first."""

    async def packs(request: Request) -> Response:
        view = held.view(request)
        meaning = view.current()
        return _json({"packs": None if meaning is None else meaning.packs, "changes": list(reversed(view.state["packs"]))})

    return packs


def _records(held: Held) -> Callable[[Request], Awaitable[Response]]:
    """What was put on record of lots at a gateway, newest first."""

    async def records(request: Request) -> Response:
        return _json({"records": list(reversed(held.view(request).state["records"].values()))})

    return records


def routes(held: Held) -> list[Route]:
    """All routes of the API."""

    async def gateways(_request: Request) -> Response:
        return _json({"now_us": held.clock.wall_us(), "gateways": await held.gateways()})

    async def points(request: Request) -> Response:
        now_us = held.clock.wall_us()
        return _json({"now_us": now_us, "points": rows.points(held.view(request), now_us)})

    async def violations(request: Request) -> Response:
        ended = request.query_params.get("ended", "") not in {"", "0"}
        views = [held.view(request)] if "gateway" in request.path_params else held.interpreter.views.values()
        return _json({"violations": [step for view in views for step in rows.violations(view, ended=ended, now_us=held.clock.wall_us())]})

    async def readings(request: Request) -> Response:
        return _json(await _readings(held, request))

    async def entries(request: Request) -> Response:
        epoch = (await held.epoch(request))[:1] if "epoch" in request.query_params else []
        if not epoch:
            raise Asked(400, "no-epoch", "name an epoch: ?epoch=<16 hex digits>&first=<seq>&count=<n>")
        first, count = _number(request, "first", 0), _number(request, "count", MAX_ENTRIES)
        found = await held.reader.run(read.entries, epoch[0].id, first, min(count, MAX_ENTRIES))
        return Response(b"".join(entry + b"\n" for _, entry in found), media_type="application/x-ndjson")

    async def checkpoint(request: Request) -> Response:
        epochs = {epoch.epoch for epoch in await held.epoch(request)}
        found = [n for n in await held.reader.run(witnessed.notes, held.view(request).gateway) if n[0] in epochs]
        if not found:
            raise Asked(404, "no-checkpoint", "nothing of it was cosigned so far")
        return Response(found[-1][2], media_type="text/plain; charset=utf-8")

    async def alarms(request: Request) -> Response:
        return _json({"alarms": await held.reader.run(read.alarms, request.path_params.get("gateway"))})

    async def evidence(request: Request) -> Response:
        return _json({"evidence": await held.reader.run(read.evidence, held.view(request).gateway)})

    async def quarantine(request: Request) -> Response:
        view = held.view(request)
        return _json({"count": view.state["quarantined"], "newest": view.state["quarantine"]})

    base = "/api/v1/gateways"
    return [
        Route(base, gateways),
        Route(base + "/{gateway}/points", points),
        Route(base + "/{gateway}/violations", violations),
        Route(base + "/{gateway}/readings", readings),
        Route(base + "/{gateway}/entries", entries, methods=["GET"]),
        Route(base + "/{gateway}/checkpoint", checkpoint, methods=["GET"]),
        Route(base + "/{gateway}/alarms", alarms),
        Route(base + "/{gateway}/instruments", _instruments(held)),
        Route(base + "/{gateway}/records", _records(held)),
        Route(base + "/{gateway}/commands", _commands(held)),
        Route(base + "/{gateway}/marks", _marks(held)),
        Route(base + "/{gateway}/packs", _packs(held)),
        Route(base + "/{gateway}/evidence", evidence),
        Route(base + "/{gateway}/quarantine", quarantine),
        Route("/api/v1/violations", violations),
        Route("/api/v1/alarms", alarms),
    ]


async def asked(_request: Request, error: Exception) -> Response:
    """The problem+json of an ``Asked``."""
    assert isinstance(error, Asked)
    body: dict[str, Any] = {"type": "about:blank", "title": "Not found" if error.status == 404 else "Bad request"}
    body |= {"status": error.status, "code": error.code, "detail": str(error)}
    return Response(orjson.dumps(body), error.status, media_type="application/problem+json")


async def _readings(held: Held, request: Request) -> dict[str, Any]:
    """Readings of one point (or all), oldest epoch first, in order of seq, from the ordered lane only."""
    view, wanted = held.view(request), request.query_params.get("point")
    first, left = _number(request, "first", 0), min(_number(request, "limit", MAX_SCAN), MAX_SCAN)
    found: list[dict[str, Any]] = []
    epochs = await held.epoch(request)
    start = request.query_params.get("from")  # go on from this epoch: part of ``next``
    if start is not None:
        epochs = epochs[next((i for i, e in enumerate(epochs) if e.epoch == start), 0) :]
    for epoch in epochs:
        while first < epoch.size:
            if left <= 0:
                return {"readings": found, "next": {"from": epoch.epoch, "first": first}}
            count = min(left, _CHUNK)
            for seq, entry in await held.reader.run(read.entries, epoch.id, first, count):
                if b'"batch"' in entry:
                    found += _decoded(view, epoch.epoch, seq, entry, wanted)
            first, left = first + count, left - count
        first = 0
    return {"readings": found, "next": None}


def _decoded(view: View, epoch: str, seq: int, entry: bytes, wanted: str | None) -> list[dict[str, Any]]:
    """A batch's readings; [] for what is none or cannot be interpreted (the quarantine says why)."""
    try:
        content = orjson.loads(entry)
        meaning = view.meaning(view.state["configs"][epoch][str(content["config_seq"])])
        if content["kind"] != "batch" or meaning is None:
            return []
        points, values = meaning.groups[content["group"]], content["values"]
        quality = content.get("quality") or ["good"] * len(values)
        common = {"epoch": epoch, "seq": seq, "time_us": view.observed_us(content), "slot_us": content.get("slot_us")}
        return [
            {"point": point, **common, "value": value, "quality": why}
            for point, value, why in zip(points, values, quality, strict=True)
            if wanted in (None, point)
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []


def _number(request: Request, key: str, default: int) -> int:
    text = request.query_params.get(key, str(default))
    if not text.isascii() or not text.isdigit() or len(text) > 13:
        raise Asked(400, "bad-number", f"'{key}' is no whole number")
    return int(text)


def _json(body: Mapping[str, Any]) -> Response:
    return Response(orjson.dumps(body), media_type="application/json", headers={"Cache-Control": "no-store"})
