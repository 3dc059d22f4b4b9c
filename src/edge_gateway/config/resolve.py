"""From a loaded configuration to what the running parts are given: device specs, rules, the resolved text; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from edge_gateway.config.derived import derived_groups, derived_points
from edge_gateway.config.load import Loaded
from edge_gateway.config.model import DeviceConfig, GatewayConfig
from edge_gateway.config.specs import bus_specs, channel_of
from edge_gateway.intake.state import Setup
from edge_gateway.profiles.model import Profile
from edge_gateway.profiles.spec import DeviceSpec
from edge_gateway.reading import Group
from edge_gateway.record.entry import DECODE, canonical
from edge_gateway.rules.base import rules_document
from edge_gateway.rules.load import LoadedPack
from edge_gateway.violations.causes import CAUSES


def device_specs(loaded: Loaded) -> dict[str, tuple[DeviceSpec, ...]]:
    """The devices of each bus, with their points in the order of the file. Devices without points are left out."""
    return bus_specs(loaded.config, _models(loaded))


def _models(loaded: Loaded) -> dict[str, Profile]:
    return {name: profile.profile for name, profile in loaded.profiles.items()}


def setup(loaded: Loaded, groups: Mapping[str, Group], software: str) -> Setup:
    """What intake journals and judges by. ``groups`` are all poll groups as the sources planned them."""
    texts = {f"drivers/{name}.toml": profile.text.encode() for name, profile in loaded.profiles.items()}
    texts |= {f"rules/{pack.pack.id}.toml": pack.text.encode() for pack in loaded.packs}
    groups = {**groups, **derived_groups(loaded.config, groups)}
    return Setup(
        resolved=resolved(loaded, groups, software),
        groups=groups,
        texts=dict(sorted(texts.items())),
        rules=loaded.binding.rules,
        software=software,
    )


def resolved(loaded: Loaded, groups: Mapping[str, Group], software: str) -> dict[str, Any]:
    """The resolved configuration: docs/reference/journal-format.md section 4. Every key, and no secret: those are in files."""
    config, models = loaded.config, _models(loaded)
    document = {
        "software": software,
        "semantics": {"decode": DECODE, "causes": CAUSES},
        "clock": config.clock.model_dump(include={"trust", "speed"}),
        "gateway": config.site.id,
        "site": config.site.model_dump(exclude={"id"}) | {"id": config.site.id},
        "zones": {id_: zone.model_dump() for id_, zone in config.zones.items()},
        "buses": {id_: {"kind": bus.kind} for id_, bus in config.buses.items()},
        "devices": {id_: _device(device) for id_, device in config.devices.items()},
        "points": {id_: _point(loaded, id_, models) for id_ in config.points} | derived_points(config, models),
        "groups": {
            id_: {"device": group.device, "points": list(group.points), "interval_us": group.interval_us}
            for id_, group in groups.items()
        },
        "rules": rules_document(loaded.binding.rules),
        "packs": {pack.pack.id: _pack(loaded, pack) for pack in loaded.packs},
        "not_monitored": sorted({item.rule for item in loaded.binding.not_monitored}),
        "outlets": {id_: outlet.model_dump(exclude_none=True) for id_, outlet in config.outlets.items()},
        "records": config.records.model_dump() | {"required": _required(loaded)},
        "phases": {id_: item.model_dump() for id_, item in config.phases.items()},
        "workday": config.workday.model_dump(),
        "marks": {type_: own.model_dump(exclude_none=True) for type_, own in config.marks.items()},
        "sinks": {id_: {"kind": sink.kind} for id_, sink in config.sinks.items()},
    }
    parsed: dict[str, Any] = orjson.loads(canonical(document))  # plain JSON values only, as a reader will see them
    settings = _besides(config.model_dump(mode="json", exclude_none=True), parsed)
    return parsed | {"settings": orjson.loads(canonical(settings))}


def _pack(loaded: Loaded, pack: LoadedPack) -> dict[str, Any]:
    """What the hub tells of a pack, also of one that judges nothing here."""
    missing = {item.rule for item in loaded.binding.not_monitored if item.pack == pack.pack.id}
    told = {key: getattr(pack.pack, key) for key in ("version", "edition", "name_zh", "name_en")}
    return told | {"state": pack.state or "enforced", "not_monitored": len(missing)}


def _required(loaded: Loaded) -> list[dict[str, Any]]:
    """What the enforced packs that the site names require of its records."""
    packs = [loaded_pack.pack for loaded_pack in loaded.packs if not loaded_pack.state and loaded_pack.only is None]
    return [
        {"pack": pack.id, "before": each.before, "of": list(each.of), "title_zh": each.title_zh, "title_en": each.title_en, **each.basis.model_dump(exclude_none=True)}
        for pack in packs
        for each in pack.requires
    ]


def _besides(tables: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    """Of the configuration's tables what is not told in its place already: a change of any key shows."""
    found: dict[str, Any] = {}
    for key, value in tables.items():
        known = told.get(key)
        if not isinstance(value, dict):
            if key not in told or value != known:
                found[key] = value
        elif rest := _besides(value, known if isinstance(known, dict) else {}):
            found[key] = rest
    return found


def _device(device: DeviceConfig) -> dict[str, Any]:
    """What a device's table says; a key that it does not have is not there."""
    return {key: value for key, value in device.model_dump(exclude_none=True).items() if value != ""}


def _point(loaded: Loaded, id_: str, models: Mapping[str, Profile]) -> dict[str, Any]:
    point = loaded.config.points[id_]
    channel = channel_of(loaded.config, point, models)
    return {
        "device": point.device,
        "channel": point.channel,
        "zone": point.zone,
        "quantity": channel.quantity,
        "unit": channel.unit,
        "decimals": channel.decimals if point.decimals is None else point.decimals,
        "name_zh": point.name_zh or channel.name_zh or id_,
        "name_en": point.name_en or channel.name_en or id_,
    } | {key: value for key in ("select", "uncertainty", "renamed_from") if (value := getattr(point, key))}


def needs_restart(running: GatewayConfig, wanted: GatewayConfig) -> tuple[str, ...]:
    """Keys that a running gateway cannot take over: they stay as they were until it is started again."""
    changed = [f"site.{key}" for key in _PERMANENT if getattr(wanted.site, key) != getattr(running.site, key)]
    changed += [
        f"{table}.{key}"
        for table in _TABLES
        for key, value in getattr(wanted, table)
        if getattr(getattr(running, table), key) != value
    ]
    for id_ in running.sinks.keys() | wanted.sinks.keys():
        old, new = running.sinks.get(id_), wanted.sinks.get(id_)
        broker = getattr(new, "bus", None)
        if old != new or (broker and running.buses.get(broker) != wanted.buses.get(broker)):
            changed.append(f"sinks.{id_}")
    return tuple(sorted(changed))


#: What is fixed at a start: the record's name and bound, the clock, the page's door.
_PERMANENT = ("id", "origin")
_TABLES = ("clock", "journal", "signer", "page")


def in_force(running: GatewayConfig, wanted: GatewayConfig) -> GatewayConfig:
    """``wanted`` as far as a running gateway can take it over: what needs a restart stays as it runs."""
    site = wanted.site.model_copy(update={key: getattr(running.site, key) for key in _PERMANENT})
    kept = {table: getattr(running, table) for table in _TABLES} | {"sinks": running.sinks, "site": site}
    return wanted.model_copy(update=kept)
