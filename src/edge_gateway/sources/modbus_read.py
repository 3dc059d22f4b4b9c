"""A single reading now, for a person who waits: a point, or raw registers of any unit; nothing of it is recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from edge_gateway.backoff import Backoff
from edge_gateway.errors import GatewayError
from edge_gateway.links.modbus import NoAnswer, StillOwed, request
from edge_gateway.profiles.decode import decoder
from edge_gateway.profiles.plan import PlannedBlock, plan
from edge_gateway.profiles.spec import DeviceSpec, PointSpec
from edge_gateway.reading import GOOD
from edge_gateway.sources.modbus_turn import Turns
from edge_gateway.sources.modbus_unit import Bus, Unit

#: The line is lent for no longer than this a request: the bus's own devices wait meanwhile.
MOST_TIMEOUT_S = 10.0


async def read(bus: Bus, turns: Turns, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """``{"point": id}`` or ``{"unit", "function", "register", "count"}``, optionally with ``timeout_s`` (≤ 10).

    Raises GatewayError: what was asked for makes no sense; SourceError: no (good) answer. The line's rest after
    failures is not waited for: a person asks now.
    """
    if point := wanted.get("point"):
        return await _point(bus, turns, str(point))
    try:
        address, function = int(wanted["unit"]), int(wanted["function"])
        start, count = int(wanted["register"]), int(wanted.get("count", 1))
        if not 0 <= address <= 255:
            raise ValueError(f"unit {address} is not within 0 to 255")
        if not turns.line.numbered and not 1 <= address <= 247:  # frames of a serial line, where 0 is everybody
            raise ValueError(f"unit {address} is no address on a serial line")
        pdu = request(function, start, count)
        timeout_s = float(wanted.get("timeout_s", 0))
        if not 0 <= timeout_s <= MOST_TIMEOUT_S:
            raise ValueError(f"timeout_s {timeout_s:g} is not within 0 to {MOST_TIMEOUT_S:g}")
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise GatewayError(
            f"cannot be read: {error}", hint="give unit, function (1-4), register (from 0) and count"
        ) from error
    unit = bus.units.get(address) or Unit(address, Backoff())
    answer, took_ms = await _ask(turns, unit, address, pdu, int(timeout_s * 1e6))
    data = answer[2:]
    shown = {"unit": address, "function": function, "register": start, "count": count, "data": data.hex()}
    if function > 2:
        shown["registers"] = [int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2)]
    else:
        shown["bits"] = [data[i >> 3] >> (i & 7) & 1 for i in range(count)]
    return shown | {"round_trip_ms": took_ms, "counters": turns.line.counters.as_dict()}


async def _point(bus: Bus, turns: Turns, point: str) -> dict[str, Any]:
    device, spec = _find(bus, point)
    alone = DeviceSpec(
        id=device.id, profile=device.profile, points=(spec,), interval_us=device.interval_us or 1, unit=device.unit
    )
    (planned,) = plan(alone)
    block: PlannedBlock = planned.blocks[0]
    unit = bus.units[device.unit]
    pdu = request(block.function, block.start, block.count)
    answer, took_ms = await _ask(turns, unit, device.unit, pdu, planned.timeout_us, planned.rest_us)
    values, quality = decoder(block)(answer[2:])
    channel = device.profile.channels[spec.channel]
    return {
        "point": point,
        "device": device.id,
        "channel": spec.channel,
        "value": values[0],
        "quality": quality[0] if quality else GOOD,
        "quantity": channel.quantity,
        "unit_of_measure": channel.unit,
        "decimals": channel.decimals,
        "unit": device.unit,
        "function": block.function,
        "register": block.start,
        "count": block.count,
        "data": answer[2:].hex(),
        "round_trip_ms": took_ms,
        "counters": turns.line.counters.as_dict(),
    }


def _find(bus: Bus, point: str) -> tuple[DeviceSpec, PointSpec]:
    for device in bus.devices:
        for spec in device.points:
            if spec.id == point:
                return device, spec
    raise GatewayError(f"no point '{point}' on bus '{bus.id}'")


async def _ask(
    turns: Turns, unit: Unit, address: int, pdu: bytes, timeout_us: int, rest_us: int = 0
) -> tuple[bytes, float]:
    turns.rest_until_us = 0
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    try:
        answer = await turns.ask(unit, address, pdu, timeout_us, rest_us)
    except StillOwed:
        raise  # it was not asked, and says until when
    except NoAnswer as error:
        hint = "check its address, A and B, its power; `edge-gateway scan` asks every address"
        raise NoAnswer(f"unit {address} did not answer in {(loop.time() - started_s) * 1000:.0f} ms", hint=hint) from error
    return answer, round((loop.time() - started_s) * 1000, 1)
