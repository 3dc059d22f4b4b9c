"""Checks what one table says of another: devices name buses, points name devices, channels and zones; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from edge_gateway.config.files import KeyPath
from edge_gateway.config.model import DeviceConfig, GatewayConfig
from edge_gateway.errors import ConfigError
from edge_gateway.profiles.model import PayloadProfile, Profile
from edge_gateway.sinks.hub import HubConfig
from edge_gateway.sources.mqtt import MqttConfig
from edge_gateway.toml_errors import did_you_mean


class Locate(Protocol):
    """Makes an error that points at a key."""

    def __call__(self, path: KeyPath, why: str, *, code: str, hint: str = "") -> ConfigError: ...


Profiles = Mapping[str, Profile]


def check_references(config: GatewayConfig, profiles: Profiles, locate: Locate) -> list[ConfigError]:
    """All faults between tables. ``profiles`` holds those that could be loaded."""
    faults = list(_devices(config, profiles, locate))
    faults += _units(config, locate)
    faults += _points(config, profiles, locate)
    faults += _outlets(config, locate)
    faults += _sinks(config, locate)
    return faults


def _devices(config: GatewayConfig, profiles: Profiles, locate: Locate) -> Iterable[ConfigError]:
    for id_, device in config.devices.items():
        at: KeyPath = ("devices", id_)
        if device.bus not in config.buses:
            yield locate(
                (*at, "bus"), f"no bus '{device.bus}'", code="no-such", hint=did_you_mean(device.bus, config.buses)
            )
            continue
        mqtt = isinstance(config.buses[device.bus], MqttConfig)
        yield from _placement(device, at, mqtt, locate)
        profile = profiles.get(device.profile)
        if profile is not None and isinstance(profile, PayloadProfile) != mqtt:
            needs = "an mqtt bus" if isinstance(profile, PayloadProfile) else "an rtu or tcp bus"
            why = f"profile '{device.profile}' needs {needs}, and '{device.bus}' is none"
            yield locate((*at, "profile"), why, code="wrong-bus", hint="choose the bus that the device is wired to")


def _placement(device: DeviceConfig, at: KeyPath, mqtt: bool, locate: Locate) -> Iterable[ConfigError]:
    """A message device has a topic; a Modbus device a unit and an interval; neither has the other's keys."""
    needed, foreign = (
        (("topic",), ("unit", "interval_s")) if mqtt else (("unit", "interval_s"), ("topic", "expect_every_s"))
    )
    kind = "an mqtt" if mqtt else "a Modbus"
    for key in needed:
        if getattr(device, key) is None:
            yield locate((*at, key), f"key '{key}' is missing", code="missing-key", hint=f"{kind} device needs it")
    for key in foreign:
        if getattr(device, key) is not None:
            yield locate((*at, key), f"{kind} device has no '{key}'", code="unknown-key", hint="delete this line")


def _units(config: GatewayConfig, locate: Locate) -> Iterable[ConfigError]:
    """Several logical devices may share a unit (they cost one poll) only with the same profile."""
    seen: dict[tuple[str, int], str] = {}
    topics: dict[tuple[str, str], str] = {}
    for id_, device in config.devices.items():
        if device.unit is not None:
            first = seen.setdefault((device.bus, device.unit), id_)
            if first != id_ and config.devices[first].profile != device.profile:
                why = f"unit {device.unit} on bus '{device.bus}' is device '{first}' already, with another profile"
                yield locate(("devices", id_, "unit"), why, code="duplicate", hint="give each device its own address")
        if device.topic is not None and ("+" in device.topic or "#" in device.topic):
            why = f'topic "{device.topic}" has a wildcard'
            yield locate(("devices", id_, "topic"), why, code="not-permitted", hint="name one device's topic")
        elif device.topic is not None:
            first = topics.setdefault((device.bus, device.topic), id_)
            if first != id_:
                why = f"topic \"{device.topic}\" is device '{first}' already"
                yield locate(
                    ("devices", id_, "topic"), why, code="duplicate", hint="one device a topic, several points a device"
                )


def _points(config: GatewayConfig, profiles: Profiles, locate: Locate) -> Iterable[ConfigError]:
    taken: dict[tuple[str, str, str], str] = {}
    for id_, point in config.points.items():
        at: KeyPath = ("points", id_)
        if point.zone not in config.zones:
            yield locate(
                (*at, "zone"), f"no zone '{point.zone}'", code="no-such", hint=did_you_mean(point.zone, config.zones)
            )
        device = config.devices.get(point.device)
        if device is None:
            hint = did_you_mean(point.device, config.devices)
            yield locate((*at, "device"), f"no device '{point.device}'", code="no-such", hint=hint)
            continue
        profile = profiles.get(device.profile)
        if profile is not None and point.channel not in profile.channels:
            why = f"profile '{device.profile}' has no channel '{point.channel}'"
            yield locate((*at, "channel"), why, code="no-such", hint=did_you_mean(point.channel, profile.channels))
        elif isinstance(profile, PayloadProfile):
            path = getattr(profile.channels[point.channel], "path", "")
            if ("{select}" in path) != bool(point.select):
                needs = "needs 'select' (the probe's own id)" if "{select}" in path else "has no use for 'select'"
                yield locate((*at, "select"), f"channel '{point.channel}' {needs}", code="not-permitted")
        elif point.select:
            yield locate((*at, "select"), "a Modbus point has no 'select'", code="unknown-key", hint="delete this line")
        first = taken.setdefault((point.device, point.channel, point.select), id_)
        if first != id_:
            why = f"channel '{point.channel}' of device '{point.device}' is point '{first}' already"
            yield locate((*at, "channel"), why, code="duplicate", hint="a measured quantity is one point")
        if point.renamed_from in config.points:
            why = f"'{point.renamed_from}' is still a point of its own"
            yield locate((*at, "renamed_from"), why, code="duplicate", hint="delete the old table")


def _outlets(config: GatewayConfig, locate: Locate) -> Iterable[ConfigError]:
    zones: dict[str, str] = {}
    for id_, outlet in config.outlets.items():
        at: KeyPath = ("outlets", id_, "zone")
        zone = config.zones.get(outlet.zone)
        if zone is None:
            yield locate(at, f"no zone '{outlet.zone}'", code="no-such", hint=did_you_mean(outlet.zone, config.zones))
        elif zone.kind != "outlet":
            yield locate(
                at,
                f"zone '{outlet.zone}' is a {zone.kind}, no outlet",
                code="not-permitted",
                hint='its kind must be "outlet"',
            )
        first = zones.setdefault(outlet.zone, id_)
        if first != id_:
            yield locate(at, f"zone '{outlet.zone}' has the permit of outlet '{first}' already", code="duplicate")
        if outlet.ph_low is not None and outlet.ph_high is not None and outlet.ph_low >= outlet.ph_high:
            why = f"ph_low {outlet.ph_low} is not below ph_high {outlet.ph_high}"
            yield locate(("outlets", id_, "ph_low"), why, code="not-permitted", hint="exchange the two")


def _sinks(config: GatewayConfig, locate: Locate) -> Iterable[ConfigError]:
    hubs = [id_ for id_, sink in config.sinks.items() if isinstance(sink, HubConfig)]
    for id_ in hubs[1:]:
        why = f"'{hubs[0]}' is the hub already: one hub's receipts decide what may be freed"
        yield locate(("sinks", id_, "kind"), why, code="duplicate", hint="keep one")
    for id_ in hubs:
        sink = config.sinks[id_]
        bus = getattr(sink, "bus", None)
        if getattr(sink, "via", "http") == "mqtt" and not isinstance(config.buses.get(bus or ""), MqttConfig):
            brokers = [name for name, entry in config.buses.items() if isinstance(entry, MqttConfig)]
            why = f"no mqtt bus '{bus}'" if bus else "key 'bus' is missing"
            yield locate(("sinks", id_, "bus"), why, code="no-such", hint=did_you_mean(bus or "", brokers))
