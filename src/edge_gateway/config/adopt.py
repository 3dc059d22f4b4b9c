"""From an item of the inbox to tables of a configuration: bus, device, zone and points as TOML text; pure, writes nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_gateway.config.model import BusConfig, GatewayConfig
from edge_gateway.errors import GatewayError
from edge_gateway.profiles.model import PayloadChannel, Profile
from edge_gateway.profiles.paths import needs_select
from edge_gateway.sources.modbus import ModbusRtuConfig, ModbusTcpConfig
from edge_gateway.sources.modbus_scan import framing
from edge_gateway.toml_errors import did_you_mean

#: More channels than this are not taken without being named.
MOST_CHANNELS = 8
#: A guess of no more than this share of the evidence is no name: another one may be as good.
LEAST_SCORE = 0.51
#: The stage of a kind of place, where there is but one.
STAGES = {"frozen-store": "storage", "chilled-store": "storage", "cleaning-line": "washing", "outlet": "wastewater"}
INTERVAL_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a person says to an item. ``kind`` and ``stage`` make a zone that is not there yet."""

    prefix: str
    zone: str = ""
    kind: str = ""
    stage: str = ""
    profile: str = ""
    channels: tuple[str, ...] = ()
    select: str = ""
    interval_s: float = INTERVAL_S


def profile_for(found: Mapping[str, Any], wish: Wish) -> str:
    """The profile's id: as said, else the likeliest. Raises GatewayError when none is likely."""
    if wish.profile:
        return wish.profile
    matches: Sequence[Mapping[str, Any]] = found.get("matches", ())
    if matches and matches[0]["score"] >= LEAST_SCORE and not (len(matches) > 1 and matches[1]["score"] == matches[0]["score"]):
        return str(matches[0]["profile"])
    likely = ", ".join(f"{m['profile']} ({m['score']:.0%})" for m in matches)
    hint = f"say which: --profile …; likely: {likely}" if likely else "name one with --profile, or write one: `read --unit … --raw` shows what it says"
    raise GatewayError("nobody knows what this is", hint=hint)


def tables(found: Mapping[str, Any], wish: Wish, profile: Profile, config: GatewayConfig) -> dict[str, Any]:
    """``buses``, ``zones``, ``devices``, ``points`` to be added. Raises GatewayError for a wish that cannot be met."""
    if found.get("state") == "garbled":
        raise GatewayError("what garbles cannot be read", hint="mend the line first: two units with this address, or a bad line")
    if wish.prefix in config.devices:
        raise GatewayError(f"there is a device '{wish.prefix}' already", hint="choose another name with --as")
    zone, zones = _zone(wish, config)
    bus, buses = _bus(found, config)
    device: dict[str, Any] = {"bus": bus, "profile": profile.id}
    if found["kind"] == "mqtt":
        device["topic"] = found["topic"]
    else:
        device |= {"unit": found["unit"], "interval_s": wish.interval_s}
    points: dict[str, Any] = {}
    for channel in _channels(wish, profile):
        id_ = f"{wish.prefix}-{channel}"
        if id_ in config.points:
            raise GatewayError(f"there is a point '{id_}' already", hint="choose another name with --as")
        points[id_] = {"device": wish.prefix, "channel": channel, "zone": zone}
        spec = profile.channels[channel]
        if isinstance(spec, PayloadChannel) and "{select}" in spec.path:
            select = wish.select or str(next((m.get("select", "") for m in found.get("matches", ()) if m["profile"] == profile.id), ""))
            if not select and needs_select(spec.path):
                raise GatewayError(f"channel '{channel}' tells several probes apart", hint="name the probe with --select")
            points[id_] |= {"select": select} if select else {}
    return {"buses": buses, "zones": zones, "devices": {wish.prefix: device}, "points": points}


def _channels(wish: Wish, profile: Profile) -> list[str]:
    if wish.channels:
        for name in wish.channels:
            if name not in profile.channels:
                hint = did_you_mean(name, profile.channels)
                raise GatewayError(f"profile '{profile.id}' has no channel '{name}'", hint=hint)
        return list(wish.channels)
    if len(profile.channels) > MOST_CHANNELS:
        hint = f"name those you want with --channels: {', '.join(profile.channels)}"
        raise GatewayError(f"profile '{profile.id}' has {len(profile.channels)} channels", hint=hint)
    return list(profile.channels)


def _zone(wish: Wish, config: GatewayConfig) -> tuple[str, dict[str, Any]]:
    zone = wish.zone or (next(iter(config.zones)) if len(config.zones) == 1 else "")
    if not zone:
        known = ", ".join(config.zones)
        hint = f"say --zone, one of {known}" if known else "say --zone NAME --kind frozen-store (or another kind of place)"
        raise GatewayError("in which zone is it?", hint=hint)
    if zone in config.zones:
        return zone, {}
    if not wish.kind:
        raise GatewayError(f"no zone '{zone}'", hint="make it: add --kind frozen-store, chilled-store, cleaning-line, outlet …")
    stage = wish.stage or STAGES.get(wish.kind, "")
    if not stage:
        raise GatewayError(f"a {wish.kind} may belong to several stages of the work", hint="say --stage intake, washing, dispatch or storage")
    return zone, {zone: {"stage": stage, "kind": wish.kind}}


def _bus(found: Mapping[str, Any], config: GatewayConfig) -> tuple[str, dict[str, Any]]:
    """The bus that it is on: one of the configuration, or a new table."""
    id_ = found.get("bus") or next((id_ for id_, bus in config.buses.items() if _same_line(bus, found)), "")
    bus = config.buses.get(id_)
    if bus is None:
        return _new_bus(found, config)
    if isinstance(bus, ModbusRtuConfig):
        its = f"{bus.baud}-8{bus.parity}"
        if not str(found["framing"]).startswith(its):
            busy = [name for name, device in config.devices.items() if device.bus == id_]
            hint = "set it to the bus's line first (`provision`), or wire it to a line of its own"
            hint += f"; on this bus are {', '.join(busy)}" if busy else ""
            raise GatewayError(f"the unit speaks {found['framing']}, bus '{id_}' {its}{bus.stopbits}", hint=hint)
    return id_, {}


def _same_line(bus: BusConfig, found: Mapping[str, Any]) -> bool:
    if isinstance(bus, ModbusRtuConfig):
        return bus.port == found.get("port")
    return isinstance(bus, ModbusTcpConfig) and [bus.host, bus.port] == [found.get("host"), found.get("tcp_port")]


def _new_bus(found: Mapping[str, Any], config: GatewayConfig) -> tuple[str, dict[str, Any]]:
    stem = "line" if found.get("port") else "tcp"
    id_ = next(name for name in (f"{stem}{n}" for n in range(1, 1000)) if name not in config.buses)
    if found.get("port"):
        line = framing(str(found["framing"]))
        return id_, {
            id_: {"kind": "rtu", "port": found["port"], "baud": line.baud, "parity": line.parity, "stopbits": line.stopbits}
        }
    if found.get("host"):
        return id_, {id_: {"kind": "tcp", "host": found["host"], "port": found["tcp_port"]}}
    raise GatewayError(f"bus '{found.get('bus')}' is no longer configured", hint="scan again")


def text(added: Mapping[str, Any], remark: Sequence[str]) -> str:
    """The tables as a TOML file."""
    lines = [f"# {line}" for line in remark]
    for table, rows in added.items():
        for id_, keys in rows.items():
            lines += ["", f"[{table}.{id_}]", *(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in keys.items())]
    return "\n".join(lines) + "\n"
