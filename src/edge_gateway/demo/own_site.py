"""A site's own configuration made playable: which of its devices the plant can act, what their points show, and the configuration that the gateway runs on.

Only Modbus devices are acted, by the registers that their profiles name. What else stands in the configuration is left out and named.
It changes no number of the site: rules, zones, points, outlets, phases are its own; buses, sinks, clock and record are the simulation's.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge_gateway.config.load import Loaded, load
from edge_gateway.demo.cast import Cast, Signal
from edge_gateway.demo.own_signals import kept_rooms, signals_of
from edge_gateway.demo.scenarios import Scenario
from edge_gateway.profiles.model import ModbusProfile
from edge_gateway.rules.base import BoundRule
from edge_gateway.sources.modbus import ModbusRtuConfig, ModbusTcpConfig

#: Tables of the configuration that are the simulation's own.
_REPLACED = ("clock", "journal", "signer", "page", "sinks", "buses")


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnSite:
    """``left_out``: (what, why) of devices and points that nobody acts. ``tables``: the site's configuration without what is replaced."""

    id: str
    names: tuple[str, str]
    tcp: tuple[str, ...]
    serial: tuple[str, ...]
    devices: tuple[dict[str, Any], ...]
    points: Mapping[str, tuple[str, str]]
    rooms: Mapping[str, float]
    signals: Mapping[str, Signal]
    rules: tuple[BoundRule, ...]
    zones: Mapping[str, str]
    zone_names: Mapping[str, tuple[str, str]]
    left_out: tuple[tuple[str, str], ...]
    #: points, derived ones too, that nobody acts: no rule judges them in this run
    points_left_out: tuple[str, ...]
    tables: Mapping[str, Any]
    folder: Path

    def plan(self, cast: Cast, scenario: Scenario) -> dict[str, Any]:
        """What the plant is told, JSON-able."""
        signals = {point: asdict(signal) for point, signal in self.signals.items()}
        return {
            "tcp": self.tcp, "serial": self.serial, "devices": self.devices, "rooms": dict(self.rooms), "signals": signals, "cast": asdict(cast),
            "story": scenario.story, "lasts_s": scenario.lasts_s,
        }  # fmt: skip


def read(config: Path, state: Path | None, packs: Callable[[Path], tuple[str, ...]], work: Path) -> OwnSite:
    """Read a site's configuration (with its ``gateway.d``, and the one in its ``state`` folder). ``packs`` puts the reader's own packs into a folder and says their names.

    Rules and drivers beside the configuration are copied to ``work``. Raises ConfigError.
    """
    loaded = load(config, state, running=False)
    for folder in ("rules", "drivers"):
        if (config.parent / folder).is_dir():
            shutil.copytree(config.parent / folder, work / folder, dirs_exist_ok=True)
    named = packs(work)
    tables = {key: value for key, value in loaded.merged.data.items() if key not in _REPLACED}
    acted = _acted(loaded)
    left_out = [(f"devices.{id_}", _why(loaded, id_)) for id_ in loaded.config.devices if id_ not in acted]
    points = {id_: point for id_, point in loaded.config.points.items() if point.device in acted}
    derived, lost = _derived(loaded, set(points))
    left_out += lost
    tables["devices"] = {id_: tables["devices"][id_] for id_ in acted}
    tables["points"] = {id_: tables["points"][id_] for id_ in points}
    tables["derived"] = {id_: tables["derived"][id_] for id_ in derived}
    rules = dict(tables.get("rules", {}))
    rules["packs"] = [*loaded.config.rules.packs, *(name for name in named if name not in loaded.config.rules.packs)]
    tables["rules"] = rules
    bound = tuple(rule for rule in loaded.binding.rules if rule.point in points)
    facts = {id_: acted[point.device].channels[point.channel] for id_, point in points.items()}
    rooms = kept_rooms(loaded.config.zones, {id_: (point.zone, facts[id_]) for id_, point in points.items()}, bound)
    zones = {id_: point.zone for id_, point in points.items()}
    buses = {loaded.config.devices[id_].bus for id_ in acted}
    return OwnSite(
        id=loaded.config.site.id, names=(loaded.config.site.name_en, loaded.config.site.name_zh),
        tcp=tuple(id_ for id_, bus in loaded.config.buses.items() if id_ in buses and isinstance(bus, ModbusTcpConfig)),
        serial=tuple(id_ for id_, bus in loaded.config.buses.items() if id_ in buses and isinstance(bus, ModbusRtuConfig)),
        devices=tuple(_device(loaded, id_, profile) for id_, profile in acted.items()),
        points={id_: (point.name_en or id_, point.name_zh or id_) for id_, point in points.items()},
        rooms=rooms, signals=signals_of({id_: (zones[id_], facts[id_]) for id_ in points}, rooms, bound), rules=bound, zones=zones,
        zone_names={id_: (zone.name_en or id_, zone.name_zh or id_) for id_, zone in loaded.config.zones.items()},
        left_out=tuple(left_out), points_left_out=tuple(id_ for id_ in (*loaded.config.points, *loaded.config.derived) if id_ not in (*points, *derived)), tables=tables, folder=config.parent,
    )  # fmt: skip


def _acted(loaded: Loaded) -> dict[str, ModbusProfile]:
    """Devices with points on a Modbus bus, and their profiles."""
    with_points = {point.device for point in loaded.config.points.values()}
    found = {}
    for id_, device in loaded.config.devices.items():
        bus = loaded.config.buses[device.bus]
        if id_ in with_points and isinstance(bus, ModbusTcpConfig | ModbusRtuConfig):
            profile = loaded.profiles[device.profile].profile
            if isinstance(profile, ModbusProfile):
                found[id_] = profile
    return found


def _why(loaded: Loaded, device: str) -> str:
    bus = loaded.config.buses[loaded.config.devices[device].bus]
    if not any(point.device == device for point in loaded.config.points.values()):
        return "no point"
    return f"bus of kind {bus.kind}"


def _derived(loaded: Loaded, acted: set[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """Derived points all of whose inputs are acted, and those that are not."""
    known, kept, lost = set(acted), [], []
    for id_, derived in loaded.config.derived.items():
        if missing := [point for point in derived.of if point not in known]:
            lost.append((f"derived.{id_}", f"computed from {missing[0]}"))
        else:
            known.add(id_)
            kept.append(id_)
    return kept, lost


def _device(loaded: Loaded, id_: str, profile: ModbusProfile) -> dict[str, Any]:
    device = loaded.config.devices[id_]
    points = {point_id: point.channel for point_id, point in loaded.config.points.items() if point.device == id_}
    return {"id": id_, "bus": device.bus, "unit": device.unit or 0, "profile": profile.model_dump_json(by_alias=True), "points": points}
