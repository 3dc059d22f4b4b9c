"""Checks what one table says of another: devices name buses, points name devices, channels and zones; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Protocol

from edge_gateway.config.derived import check_derived
from edge_gateway.config.files import KeyPath
from edge_gateway.config.model import BusConfig, DeviceConfig, GatewayConfig, PointConfig
from edge_gateway.config.specs import profile_of
from edge_gateway.errors import ConfigError
from edge_gateway.profiles.model import ModbusProfile, PayloadChannel, PayloadProfile, Profile
from edge_gateway.profiles.paths import needs_select
from edge_gateway.sinks.hub import HubConfig
from edge_gateway.sources.local import LocalBus
from edge_gateway.sources.modbus import ModbusRtuConfig, ModbusTcpConfig
from edge_gateway.sources.mqtt import MqttConfig
from edge_gateway.toml_errors import did_you_mean


class Locate(Protocol):
    """Makes an error that points at a key."""

    def __call__(self, path: KeyPath, why: str, *, code: str, hint: str = "") -> ConfigError: ...


Profiles = Mapping[str, Profile]


#: Points and devices of one gateway together, and points of one device: what is made of them must fit into a message
#: (10,000 points on 1,000 devices: 205 KB of 256, measured) and into an entry.
MAX_TABLES, MAX_POINTS_OF_DEVICE = 11_000, 1_000


def check_references(config: GatewayConfig, profiles: Profiles, locate: Locate) -> list[ConfigError]:
    """All faults between tables. ``profiles`` holds those that could be loaded."""
    faults = list(_buses(config, locate))
    faults += _devices(config, profiles, locate)
    faults += _units(config, locate)
    faults += _local_places(config, locate)
    faults += _topics(config, locate)
    faults += _zones(config, locate)
    faults += _points(config, profiles, locate)
    faults += check_derived(config, profiles, locate)
    faults += _many(config, locate)
    faults += _renamed(config, locate)
    faults += _outlets(config, locate)
    faults += _workday(config, locate)
    faults += _sinks(config, locate)
    return faults


def _buses(config: GatewayConfig, locate: Locate) -> Iterable[ConfigError]:
    """One serial port is one bus; one name at a broker is one client."""
    ports: dict[str, str] = {}
    clients: dict[tuple[str, int, str], str] = {}
    for id_, bus in config.buses.items():
        if isinstance(bus, ModbusRtuConfig):
            first = ports.setdefault(bus.port, id_)
            if first != id_:
                why, hint = f"port {bus.port} is bus '{first}' already", "put all its devices on one bus"
                yield locate(("buses", id_, "port"), why, code="duplicate", hint=hint)
        elif isinstance(bus, MqttConfig) and bus.client_id:
            first = clients.setdefault((bus.host, bus.port, bus.client_id), id_)
            if first != id_:
                why = f"client_id '{bus.client_id}' at this broker is bus '{first}' already"
                hint = "the broker would throw one of the two out: give each its own, or leave it out"
                yield locate(("buses", id_, "client_id"), why, code="duplicate", hint=hint)


def _devices(config: GatewayConfig, profiles: Profiles, locate: Locate) -> Iterable[ConfigError]:
    for id_, device in config.devices.items():
        at: KeyPath = ("devices", id_)
        bus = config.buses.get(device.bus)
        if bus is None:
            yield locate(
                (*at, "bus"), f"no bus '{device.bus}'", code="no-such", hint=_near("buses", device.bus, config.buses)
            )
            continue
        yield from _placement(device, at, bus, locate)
        if isinstance(bus, LocalBus):
            continue
        mqtt = isinstance(bus, MqttConfig)
        serial = isinstance(bus, ModbusRtuConfig) or (isinstance(bus, ModbusTcpConfig) and bus.framing != "mbap")
        if serial and device.unit is not None and not 1 <= device.unit <= 247:
            why = f"unit {device.unit} is no address on a serial line"
            hint = "addresses are 1 to 247; 0 is for everybody and nobody answers to it"
            yield locate((*at, "unit"), why, code="out-of-range", hint=hint)
        profile = profiles.get(device.profile)
        if profile is not None and isinstance(profile, PayloadProfile) != mqtt:
            needs = "an mqtt bus" if isinstance(profile, PayloadProfile) else "an rtu or tcp bus"
            why = f"profile '{device.profile}' needs {needs}, and '{device.bus}' is none"
            yield locate((*at, "profile"), why, code="wrong-bus", hint="choose the bus that the device is wired to")
        if isinstance(profile, ModbusProfile) and (asks := _ASKS.get(profile.modbus.needs)):
            why = f"profile '{device.profile}' measures only after {asks}, which the gateway never sends"
            hint = f"`edge-gateway drivers show {device.profile}` says why, and what can be done"
            yield locate((*at, "profile"), why, code="needs-write", hint=hint)


#: What a device wants that no reading sends (design: the field bus is read-only).
_ASKS = {"write": "a write to it", "zero-quantity": "a request for 0 registers (no lawful Modbus)"}


#: The keys of a device that only some buses understand.
_PLACES = frozenset({"profile", "unit", "interval_s", "topic", "expect_every_s", "probe", "loop", "pulse", "contact"})


def _placement(device: DeviceConfig, at: KeyPath, bus: BusConfig, locate: Locate) -> Iterable[ConfigError]:
    """Each kind of bus has devices with keys of its own, and none with another's."""
    needed: tuple[str, ...]
    known: tuple[str, ...]
    if isinstance(bus, MqttConfig):
        kind, needed, known = "an mqtt device", ("profile", "topic"), ("expect_every_s",)
    elif isinstance(bus, LocalBus):
        kind, needed, known = f"a device on a bus of kind {bus.kind}", ("interval_s",), (bus.setting,)
        needed += (bus.setting,) if bus.needs_setting else ()
    else:
        kind, needed, known = "a Modbus device", ("profile", "unit", "interval_s"), ()
    foreign = sorted(_PLACES - {*needed, *known})
    for key in needed:
        if getattr(device, key) in (None, ""):
            yield locate((*at, key), f"key '{key}' is missing", code="missing-key", hint=f"{kind} needs it")
    for key in foreign:
        if getattr(device, key) not in (None, ""):
            yield locate((*at, key), f"{kind} has no '{key}'", code="unknown-key", hint="delete this line")


def _units(config: GatewayConfig, locate: Locate) -> Iterable[ConfigError]:
    """Several logical devices may share a unit only with the same profile."""
    seen: dict[tuple[str, int], str] = {}
    for id_, device in config.devices.items():
        if device.unit is None:
            continue
        first = seen.setdefault((device.bus, device.unit), id_)
        if first != id_ and config.devices[first].profile != device.profile:
            why = f"unit {device.unit} on bus '{device.bus}' is device '{first}' already, with another profile"
            yield locate(("devices", id_, "unit"), why, code="duplicate", hint="give each device its own address")


def _local_places(config: GatewayConfig, locate: Locate) -> Iterable[ConfigError]:
    """A probe, an input or a pin is one device."""
    taken: dict[tuple[str, str], str] = {}
    for id_, device in config.devices.items():
        bus = config.buses.get(device.bus)
        if not isinstance(bus, LocalBus) or (setting := getattr(device, bus.setting)) is None:
            continue
        place = bus.place(setting)
        first = taken.setdefault((device.bus, place), id_) if place else id_
        if first != id_:
            why = f"{place} of bus '{device.bus}' is device '{first}' already"
            yield locate(("devices", id_, bus.setting), why, code="duplicate", hint="give it one table, with several points")


def _topics(config: GatewayConfig, locate: Locate) -> Iterable[ConfigError]:
    topics: dict[tuple[str, str], str] = {}
    for id_, device in config.devices.items():
        if device.topic is None:
            continue
        at: KeyPath = ("devices", id_, "topic")
        if "+" in device.topic or "#" in device.topic:
            why = f'topic "{device.topic}" has a wildcard'
            yield locate(at, why, code="not-permitted", hint="name one device's topic")
        elif device.topic.startswith("/") or "//" in device.topic or device.topic.endswith("/"):
            why = f'topic "{device.topic}" has an empty level'
            yield locate(at, why, code="not-permitted", hint="no '/' first, last or twice in a row")
        else:
            first = topics.setdefault((device.bus, device.topic), id_)
            if first != id_:
                why, hint = (
                    f"topic \"{device.topic}\" is device '{first}' already",
                    "one device a topic, several points a device",
                )
                yield locate(at, why, code="duplicate", hint=hint)


def _zones(config: GatewayConfig, locate: Locate) -> Iterable[ConfigError]:
    """Every point is in a zone that there is."""
    wanted = [("points", id_, point.zone) for id_, point in config.points.items()]
    wanted += [("derived", id_, point.zone) for id_, point in config.derived.items()]
    for table, id_, zone in wanted:
        if zone not in config.zones:
            yield locate((table, id_, "zone"), f"no zone '{zone}'", code="no-such", hint=_near("zones", zone, config.zones))


def _points(config: GatewayConfig, profiles: Profiles, locate: Locate) -> Iterable[ConfigError]:
    taken: dict[tuple[str, str, str], str] = {}
    for id_, point in config.points.items():
        at: KeyPath = ("points", id_)
        device = config.devices.get(point.device)
        if device is None:
            hint = _near("devices", point.device, config.devices)
            yield locate((*at, "device"), f"no device '{point.device}'", code="no-such", hint=hint)
            continue
        yield from _channel(id_, point, profile_of(config, device, profiles), locate)
        first = taken.setdefault((point.device, point.channel, point.select), id_)
        if first != id_:
            why = f"channel '{point.channel}' of device '{point.device}' is point '{first}' already"
            yield locate((*at, "channel"), why, code="duplicate", hint="a measured quantity is one point")


def _channel(id_: str, point: PointConfig, profile: Profile | None, locate: Locate) -> Iterable[ConfigError]:
    """Whether the profile has the channel, and whether the point's keys suit it."""
    at: KeyPath = ("points", id_)
    if profile is None:
        return
    channel = profile.channels.get(point.channel)
    if channel is None:
        why = f"profile '{profile.id}' has no channel '{point.channel}'"
        yield locate((*at, "channel"), why, code="no-such", hint=did_you_mean(point.channel, profile.channels))
        return
    if point.means and channel.quantity != "contact":
        why = f"channel '{point.channel}' is no contact: it means what it measures"
        yield locate((*at, "means"), why, code="not-permitted", hint="delete this line")
    if not isinstance(channel, PayloadChannel):
        if point.select:
            yield locate((*at, "select"), "only a point of an mqtt device has 'select'", code="unknown-key", hint="delete this line")
        return
    if needs_select(channel.path) and not point.select:
        why = f"key 'select' is missing: channel '{point.channel}' tells several probes apart by it"
        hint = f"add select = the probe's own id, or the field's name: see `edge-gateway drivers show {profile.id}`"
        yield locate((*at, "select"), why, code="missing-key", hint=hint)
    elif point.select and "{select}" not in channel.path:
        why = f"channel '{point.channel}' has no use for 'select'"
        yield locate((*at, "select"), why, code="unknown-key", hint="delete this line")
    if point.interval_s is not None:
        why = "a point of an mqtt device has no 'interval_s'"
        hint = "delete this line; the device's expect_every_s says when its silence counts"
        yield locate((*at, "interval_s"), why, code="unknown-key", hint=hint)


def _many(config: GatewayConfig, locate: Locate) -> Iterable[ConfigError]:
    """A batch must fit into an entry (192 KiB), and the resolved configuration into a message to the hub (256 KiB)."""
    points = len(config.points) + len(config.derived)
    if points + len(config.devices) > MAX_TABLES:
        why = f"{points} points and {len(config.devices)} devices; one gateway takes at most {MAX_TABLES}"
        yield locate(("points",), why, code="too-many", hint="divide the site between two gateways")
    for id_, count in Counter(point.device for point in config.points.values()).items():
        if count > MAX_POINTS_OF_DEVICE and id_ in config.devices:
            why = f"{count} points on one device; at most {MAX_POINTS_OF_DEVICE}"
            yield locate(
                ("devices", id_), why, code="too-many", hint="describe it as several devices with the same unit"
            )


def _renamed(config: GatewayConfig, locate: Locate) -> Iterable[ConfigError]:
    """A point's id is permanent: history follows one new name, never two."""
    heirs: dict[str, str] = {}
    tables = [("points", *item) for item in config.points.items()] + [("derived", *item) for item in config.derived.items()]
    for table, id_, point in tables:
        if point.renamed_from is None:
            continue
        at: KeyPath = (table, id_, "renamed_from")
        if point.renamed_from in config.points or point.renamed_from in config.derived:
            why = f"'{point.renamed_from}' is still a point of its own"
            yield locate(at, why, code="duplicate", hint="delete the old table, or this line")
        first = heirs.setdefault(point.renamed_from, id_)
        if first != id_:
            why = f"point '{first}' was renamed from '{point.renamed_from}' already"
            yield locate(at, why, code="duplicate", hint="one point goes on as one point")


def _outlets(config: GatewayConfig, locate: Locate) -> Iterable[ConfigError]:
    zones: dict[str, str] = {}
    for id_, outlet in config.outlets.items():
        at: KeyPath = ("outlets", id_, "zone")
        zone = config.zones.get(outlet.zone)
        if zone is None:
            yield locate(at, f"no zone '{outlet.zone}'", code="no-such", hint=_near("zones", outlet.zone, config.zones))
        elif zone.kind != "outlet":
            why = f"zone '{outlet.zone}' is a {zone.kind}, no outlet"
            yield locate(at, why, code="not-permitted", hint='its kind must be "outlet"')
        first = zones.setdefault(outlet.zone, id_)
        if first != id_:
            why = f"zone '{outlet.zone}' has the permit of outlet '{first}' already"
            yield locate(at, why, code="duplicate", hint="one permit a zone")
        if outlet.ph_low is not None and outlet.ph_high is not None and outlet.ph_low >= outlet.ph_high:
            why = f"ph_low {outlet.ph_low} is not below ph_high {outlet.ph_high}"
            yield locate(("outlets", id_, "ph_low"), why, code="not-permitted", hint="exchange the two")


def _workday(config: GatewayConfig, locate: Locate) -> Iterable[ConfigError]:
    known = (*config.points, *config.derived)
    if (point := config.workday.contact) and point not in known:
        yield locate(("workday", "contact"), f"no point '{point}'", code="no-such", hint=_near("points", point, known))


def _sinks(config: GatewayConfig, locate: Locate) -> Iterable[ConfigError]:
    hubs = {id_: sink for id_, sink in config.sinks.items() if isinstance(sink, HubConfig)}
    for id_ in list(hubs)[1:]:
        why = f"'{next(iter(hubs))}' is the hub already: one hub's receipts decide what may be freed"
        yield locate(("sinks", id_, "kind"), why, code="duplicate", hint="keep one")
    for id_, sink in hubs.items():
        if sink.via == "mqtt" and not isinstance(config.buses.get(sink.bus or ""), MqttConfig):
            brokers = [name for name, bus in config.buses.items() if isinstance(bus, MqttConfig)]
            near = f"brokers: {', '.join(brokers)}" if brokers else 'add a table [buses.…] with kind = "mqtt"'
            yield locate(("sinks", id_, "bus"), f"bus '{sink.bus}' is no broker", code="no-such", hint=near)


def _near(table: str, wrong: str, known: Iterable[str]) -> str:
    names = list(known)
    return did_you_mean(wrong, names) if names else f"there is none yet: add a table [{table}.{wrong}]"
