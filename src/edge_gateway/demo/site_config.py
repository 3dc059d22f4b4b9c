"""Writes the demonstration's gateway.toml and hub.toml from the scene; starts nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_gateway.demo.scene import (
    BROKER_BUS,
    DEVICES,
    SERIAL_BUS,
    SITE_EN,
    SITE_ID,
    SITE_ZH,
    TCP_BUSES,
    ZONES,
    Device,
    Zone,
)

#: What the demonstration's site is judged by.
PACKS = ("cold-chain", "offal-cooling", "plant-rooms", "cleaning-water", "wastewater")


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where everything listens, and how time runs."""

    tcp_ports: Mapping[str, int]
    serial: Mapping[str, str]
    broker_port: int
    hub_url: str
    token_file: Path
    hub_vkey: str
    command_vkey: str
    signer: Path
    receiver_url: str
    database: str
    page: str
    language: str
    speed: float
    origin_us: int
    interval_s: float
    timeout_s: float
    mqtt_protocol: str
    packs: tuple[str, ...] = PACKS


def gateway_toml(places: Places) -> str:
    """The gateway's configuration."""
    return "\n".join(_lines(places)) + "\n"


def hub_toml(listen: str, state_dir: Path, language: str) -> str:
    """The hub's configuration."""
    name = "演示监管端" if language == "zh" else "Demo hub"
    values = {"name": name, "listen": listen, "state_dir": str(state_dir), "language": language}
    return "".join(f"{key} = {_quoted(value)}\n" for key, value in values.items())


def _lines(places: Places) -> Iterator[str]:
    yield "# Written by the demonstration: clock trust is declared and time is scaled. Not for a site."
    yield from _table("site", id=SITE_ID, origin="example.org/demo", name_en=SITE_EN, name_zh=SITE_ZH)
    yield from _table("clock", trust="declared", speed=places.speed, origin_us=places.origin_us)
    yield from _table("journal", commit_every_s=0.2, max_bytes="2GB")
    yield from _table("page", listen=places.page, language=places.language)
    for zone in ZONES:
        yield from _zone(zone)
    yield from _buses(places)
    for device in DEVICES:
        yield from _device(device, places.interval_s)
    yield from _table("rules", packs=places.packs)
    yield from _table(
        "outlets.outlet1", zone="outlet1", permit="DEMO", permit_date="2026-01-01", permit_until="2030-12-31", document_sha256="0" * 64, checked_by="demo", ph_low=6.0, ph_high=9.0,
        temperature_cel=40.0, flow_m3_h=20.0,
    )  # fmt: skip
    yield from _table("signer", socket=str(places.signer))
    yield from _table(
        "sinks.hub", kind="hub", via="http", url=places.hub_url, token_file=str(places.token_file), vkey=places.hub_vkey,
        command_vkey=places.command_vkey,
    )  # fmt: skip
    yield from _table("sinks.influx", kind="influxdb1", url=places.receiver_url, database=places.database)


def _zone(zone: Zone) -> Iterator[str]:
    yield from _table(f"zones.{zone.id}", stage=zone.stage, kind=zone.kind, name_en=zone.en, name_zh=zone.zh)


def _buses(places: Places) -> Iterator[str]:
    for bus in TCP_BUSES:
        port = places.tcp_ports[bus]
        yield from _table(f"buses.{bus}", kind="tcp", host="127.0.0.1", port=port, timeout_s=places.timeout_s)
    yield from _table(f"buses.{SERIAL_BUS}", kind="rtu", port=places.serial[SERIAL_BUS], baud=9600, timeout_s=places.timeout_s)
    yield from _table(
        f"buses.{BROKER_BUS}", kind="mqtt", host="127.0.0.1", port=places.broker_port, protocol=places.mqtt_protocol
    )


def _device(device: Device, interval_s: float) -> Iterator[str]:
    how: dict[str, object] = (
        {"topic": device.topic, "expect_every_s": 2 * interval_s}
        if device.topic
        else {"unit": device.unit, "interval_s": interval_s}
    )
    yield from _table(f"devices.{device.id}", bus=device.bus, profile=device.profile, **how)
    for point in device.points:
        select: dict[str, object] = {"select": point.select} if point.select else {}
        yield from _table(
            f"points.{point.id}", device=device.id, channel=point.channel, zone=point.zone, name_en=point.en,
            name_zh=point.zh, **select,
        )  # fmt: skip


def _table(name: str, /, **keys: object) -> Iterator[str]:
    yield ""
    yield f"[{name}]"
    for key, value in keys.items():
        yield f"{key} = {_quoted(value)}"


def _quoted(value: object) -> str:
    """A string, number or list of strings as TOML; JSON writes these the same way."""
    return json.dumps(value, ensure_ascii=False)
