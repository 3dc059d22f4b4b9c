"""From a loaded configuration to what the running parts are given: device specs, rules, the resolved text; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_gateway.config.load import Loaded
from edge_gateway.config.model import GatewayConfig
from edge_gateway.intake.state import Setup
from edge_gateway.profiles.spec import DeviceSpec, PointSpec
from edge_gateway.reading import Group
from edge_gateway.record.entry import canonical


def device_specs(loaded: Loaded) -> dict[str, tuple[DeviceSpec, ...]]:
    """The devices of each bus, with their points in the order of the file. Devices without points are left out."""
    config = loaded.config
    specs: dict[str, list[DeviceSpec]] = {bus: [] for bus in config.buses}
    for id_, device in config.devices.items():
        points = tuple(
            PointSpec(id=point_id, channel=point.channel, interval_us=_us(point.interval_s), select=point.select)
            for point_id, point in config.points.items()
            if point.device == id_
        )
        if points:
            spec = DeviceSpec(
                id=id_,
                profile=loaded.profiles[device.profile].profile,
                points=points,
                interval_us=_us(device.interval_s),
                unit=device.unit or 0,
                topic=device.topic or "",
                expect_every_us=_us(device.expect_every_s),
            )
            specs[device.bus].append(spec)
    return {bus: tuple(devices) for bus, devices in specs.items()}


def setup(loaded: Loaded, groups: Mapping[str, Group], software: str) -> Setup:
    """What intake journals and judges by. ``groups`` are all poll groups as the sources planned them."""
    texts = {f"drivers/{name}.toml": profile.text.encode() for name, profile in loaded.profiles.items()}
    texts |= {f"rules/{pack.pack.id}.toml": pack.text.encode() for pack in loaded.packs}
    return Setup(
        resolved=resolved(loaded, groups, software),
        groups=groups,
        texts=dict(sorted(texts.items())),
        rules=loaded.binding.rules,
        software=software,
    )


def resolved(loaded: Loaded, groups: Mapping[str, Group], software: str) -> dict[str, Any]:
    """The resolved configuration: docs/reference/journal-format.md section 4. No addresses, no secrets."""
    config = loaded.config
    document = {
        "software": software,
        "gateway": config.site.id,
        "site": config.site.model_dump(exclude={"id"}) | {"id": config.site.id},
        "zones": {id_: zone.model_dump() for id_, zone in config.zones.items()},
        "buses": {id_: {"kind": bus.kind} for id_, bus in config.buses.items()},
        "devices": {id_: device.model_dump(exclude_none=True) for id_, device in config.devices.items()},
        "points": {id_: _point(loaded, id_) for id_ in config.points},
        "groups": {
            id_: {"device": group.device, "points": list(group.points), "interval_us": group.interval_us}
            for id_, group in groups.items()
        },
        "rules": [rule.as_config() for rule in loaded.binding.rules],
        "not_monitored": sorted({item.rule for item in loaded.binding.not_monitored}),
        "outlets": {id_: outlet.model_dump(exclude_none=True) for id_, outlet in config.outlets.items()},
        "sinks": {id_: {"kind": sink.kind} for id_, sink in config.sinks.items()},
    }
    import orjson

    parsed: dict[str, Any] = orjson.loads(canonical(document))  # plain JSON values only, as a reader will see them
    return parsed


def _point(loaded: Loaded, id_: str) -> dict[str, Any]:
    point = loaded.config.points[id_]
    channel = loaded.profiles[loaded.config.devices[point.device].profile].profile.channels[point.channel]
    return {
        "device": point.device,
        "channel": point.channel,
        "zone": point.zone,
        "quantity": channel.quantity,
        "unit": channel.unit,
        "decimals": channel.decimals if point.decimals is None else point.decimals,
        "name_zh": point.name_zh or channel.name_zh or id_,
        "name_en": point.name_en or channel.name_en or id_,
    } | ({"renamed_from": point.renamed_from} if point.renamed_from else {})


def needs_restart(old: GatewayConfig, new: GatewayConfig) -> tuple[str, ...]:
    """Keys that a running gateway cannot take over: they stay as they were until it is started again."""
    changed = [
        f"{table}.{key}"
        for table in ("clock", "journal", "page")
        for key, value in getattr(new, table)
        if getattr(getattr(old, table), key) != value
    ]
    changed += [
        f"sinks.{id_}" for id_ in old.sinks.keys() | new.sinks.keys() if old.sinks.get(id_) != new.sinks.get(id_)
    ]
    if old.site.id != new.site.id:
        changed.append("site.id")
    return tuple(sorted(changed))


def _us(seconds: float | None) -> int:
    return round(seconds * 1e6) if seconds else 0
