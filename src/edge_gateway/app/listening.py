"""The two quiet ways to look at a line: listen to a foreign master, and read what was found again and again to see what moves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edge_gateway.config.scanning import Job
from edge_gateway.errors import BadFrame, DeviceRefused, GatewayError
from edge_gateway.links.modbus import NoAnswer, request
from edge_gateway.links.modbus_overheard import Heard, Overhearing, Traffic
from edge_gateway.profiles.decode import decoder
from edge_gateway.profiles.model import ModbusProfile
from edge_gateway.profiles.plan import PlannedBlock, plan
from edge_gateway.profiles.spec import DeviceSpec, PointSpec
from edge_gateway.sources.modbus_lend import Lender
from edge_gateway.sources.modbus_scan import MOST_S, Framing, framing
from edge_gateway.sources.modbus_scan_run import Event

#: One piece of listening (s), and how often a summary is said.
PIECE_S, SUMMARY_S = 0.5, 5.0
#: So many bytes without one whole frame: these are not the line's settings.
UNREADABLE_BYTES = 60
#: Between two rounds of reading what was found (s).
ROUND_S = 0.5
_MOST_DATA = 64


async def passive(job: Job, lender: Lender, for_s: float) -> AsyncGenerator[Event, None]:
    """Listen until closed, or for ``for_s`` seconds if that is not 0; never asks. Events ``heard``, ``framing``, ``traffic``."""
    if not job.serial:
        raise GatewayError("only a serial line can be listened to", hint="behind a TCP endpoint others are not heard")
    loop = asyncio.get_running_loop()
    started_s = said_s = loop.time()
    candidates = list(job.plan.framings)
    ear, traffic, tried, size = Overhearing(), Traffic(), 0, 0
    now = candidates[0]
    yield {"event": "framing", "framing": str(now)}
    while not for_s or loop.time() - started_s < for_s:
        for at_s, data in await lender.listen(now, PIECE_S):
            size += len(data)
            for one in ear.feed(at_s, data):
                traffic.add(one)
                yield _heard(one)
        if ear.frames == 0 and size > UNREADABLE_BYTES and len(candidates) > 1:
            tried += 1
            now = candidates[tried % len(candidates)]
            ear, size = Overhearing(), 0
            yield {"event": "framing", "framing": str(now)}
        if loop.time() - said_s >= SUMMARY_S:
            said_s = loop.time()
            yield _traffic(traffic, ear, now)
    for one in ear.end():
        traffic.add(one)
    yield _traffic(traffic, ear, now)


def _heard(one: Heard) -> Event:
    return {
        "event": "heard",
        "unit": one.unit,
        "function": one.function,
        "register": one.register,
        "count": one.count,
        "data": one.data[:_MOST_DATA].hex() if one.data is not None else None,
        "exception": one.exception,
        "took_ms": None if one.took_s is None else round(one.took_s * 1000),
        "writes": one.writes,
    }


def _traffic(traffic: Traffic, ear: Overhearing, now: Framing) -> Event:
    kinds = [
        {
            "unit": kind.unit,
            "function": kind.function,
            "register": kind.register,
            "count": kind.count,
            "times": kind.times,
            "answered": kind.answered,
            "refused": kind.refused,
            "every_s": None if kind.every_s is None else round(kind.every_s, 1),
            "data": kind.last[:_MOST_DATA].hex() if kind.last is not None else None,
        }
        for _, kind in sorted(traffic.kinds.items(), key=lambda item: str(item[0]))
    ]
    units = sorted({kind.unit for kind in traffic.kinds.values()})
    return {"event": "traffic", "framing": str(now), "units": units, "kinds": kinds, "noise": ear.noise, "more": traffic.more}


# --- which probe is which ---------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Moving:
    """One channel of an item, as it was first read and as it is now."""

    item: int
    framing: str
    unit: int
    name_zh: str
    name_en: str
    unit_of_measure: str
    decimals: int
    first: float | None = None
    value: float | None = None

    def row(self) -> Event:
        """JSON-able; ``change`` is in the channel's unit, ``steps`` in its last digit."""
        change = None if self.first is None or self.value is None else self.value - self.first
        steps = 0.0 if change is None else abs(change) * 10**self.decimals
        return {name: getattr(self, name) for name in self.__slots__} | {"change": change, "steps": round(steps, 1)}


@dataclass(slots=True)
class Watched:
    """One item with the requests that fetch its channels."""

    framing: Framing | None
    unit: int
    blocks: Sequence[PlannedBlock]
    channels: list[Moving] = field(default_factory=list)


def watched(items: Sequence[Mapping[str, Any]], job: Job) -> list[Watched]:
    """The items of the inbox that are on the job's line and have a likely profile."""
    by_id = {profile.id: profile for profile in job.profiles}
    found = []
    for item in items:
        its = item["found"]
        profile = next((by_id[m["profile"]] for m in its.get("matches", ()) if m["profile"] in by_id), None)
        here = its["kind"] == "modbus" and all(its.get(key) == value for key, value in job.place.items())
        if here and profile is not None and not item["ignored"]:
            found.append(_of(item, profile))
    return found


def _of(item: Mapping[str, Any], profile: ModbusProfile) -> Watched:
    its = item["found"]
    points = tuple(PointSpec(id=name, channel=name) for name in profile.channels)
    spec = DeviceSpec(id="item", profile=profile, points=points, interval_us=1_000_000, unit=its["unit"])
    blocks = [block for poll in plan(spec) for block in poll.blocks]
    channels = [
        Moving(item["id"], its["framing"], its["unit"], c.name_zh, c.name_en, c.unit, c.decimals)
        for block in blocks
        for c in (one.channel for one in block.fields)
    ]
    return Watched(framing(its["framing"]) if its["framing"] else None, its["unit"], blocks, channels)


async def identifying(found: Sequence[Watched], lender: Lender, for_s: float) -> AsyncGenerator[Event, None]:
    """Read all channels round by round until closed; one event ``values`` a round, what moved most first."""
    if not found:
        raise GatewayError("nothing in the inbox can be read on this line", hint="`edge-gateway scan` first; known devices: `watch`")
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    while True:
        for one in found:
            await _round(one, lender)
        rows = sorted((channel.row() for one in found for channel in one.channels), key=lambda row: -row["steps"])
        yield {"event": "values", "rows": rows}
        if for_s and loop.time() - started_s >= for_s:
            return
        await lender.rest()
        await asyncio.sleep(ROUND_S)


async def _round(one: Watched, lender: Lender) -> None:
    at = 0
    for block in one.blocks:
        mine = one.channels[at : at + len(block.fields)]
        at += len(block.fields)
        try:
            answer = await lender.ask(one.framing, one.unit, request(block.function, block.start, block.count), MOST_S)
        except (DeviceRefused, NoAnswer, BadFrame):
            for channel in mine:
                channel.value = None
            continue
        values, _ = decoder(block)(answer[2:])
        for channel, value in zip(mine, values, strict=True):
            channel.value = None if value is None else float(value)
            channel.first = channel.value if channel.first is None else channel.first
