"""Writes the configuration that a gateway runs on at a simulated plant of a site's own; starts nothing, reads no file."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from edge_gateway.demo.site_config import Places

_BARE = re.compile(r"^[A-Za-z0-9_-]+$")


def own_toml(tables: Mapping[str, Any], places: Places) -> str:
    """The site's own tables, with the simulation's buses, clock, record and sinks; no device is read more often than the plant is asked for."""
    buses: dict[str, Any] = {
        id_: {"kind": "tcp", "host": "127.0.0.1", "port": port, "timeout_s": places.timeout_s} for id_, port in places.tcp_ports.items()
    }
    buses |= {id_: {"kind": "rtu", "port": path, "baud": 9600, "timeout_s": places.timeout_s} for id_, path in places.serial.items()}
    replaced = {
        "clock": {"trust": "declared", "speed": places.speed, "origin_us": places.origin_us},
        "journal": {"commit_every_s": 0.2, "max_bytes": "2GB"},
        "page": {"listen": places.page, "language": places.language},
        "signer": {"socket": str(places.signer)},
        "buses": buses,
        "devices": {id_: _slower(device, places.interval_s) for id_, device in tables["devices"].items()},
        "points": {id_: _slower(point, places.interval_s) for id_, point in tables["points"].items()},
        "sinks": {
            "hub": {
                "kind": "hub", "via": "http", "url": places.hub_url, "token_file": str(places.token_file), "vkey": places.hub_vkey,
                "command_vkey": places.command_vkey,
            },
            "influx": {"kind": "influxdb1", "url": places.receiver_url, "database": places.database},
        },
    }  # fmt: skip
    head = "# Written by `simulate`: a site's own rules and points at a simulated plant. Not for a site.\n"
    return head + "\n".join(_table((), {**tables, **replaced})) + "\n"


def _slower(table: Mapping[str, Any], least_s: float) -> dict[str, Any]:
    """A device's or point's table, read at most once in so many seconds."""
    return dict(table) | ({"interval_s": max(float(table["interval_s"]), least_s)} if "interval_s" in table else {})


def _table(path: tuple[str, ...], table: Mapping[str, Any]) -> Iterator[str]:
    """A table's own keys, then its tables."""
    if path:
        yield ""
        yield f"[{'.'.join(map(_key, path))}]"
    for key, value in table.items():
        if not isinstance(value, Mapping):
            yield f"{_key(key)} = {_value(value)}"
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _table((*path, key), value)


def _key(name: str) -> str:
    return name if _BARE.match(name) else json.dumps(name, ensure_ascii=False)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(key)} = {_value(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return value.isoformat() if isinstance(value, dt.date | dt.time) else json.dumps(value, ensure_ascii=False)
