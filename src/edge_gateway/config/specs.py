"""What each bus is told of its devices, out of configuration and profiles; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from edge_gateway.config.model import DeviceConfig, GatewayConfig, PointConfig
from edge_gateway.errors import ConfigError
from edge_gateway.profiles.model import Channel, ModbusProfile, PayloadProfile, Profile
from edge_gateway.profiles.payload import PayloadReader
from edge_gateway.profiles.plan import plan
from edge_gateway.profiles.spec import DeviceSpec, PointSpec
from edge_gateway.sources.local import LocalBus


def profile_of(config: GatewayConfig, device: DeviceConfig, files: Mapping[str, Profile]) -> Profile | None:
    """What a device can tell: by its profile's file, or by its bus' kind. None while its tables are faulty."""
    bus = config.buses.get(device.bus)
    if not isinstance(bus, LocalBus):
        return files.get(device.profile)
    setting = getattr(device, bus.setting)
    return None if setting is None and bus.needs_setting else bus.profile(setting)


def channel_of(config: GatewayConfig, point: PointConfig, files: Mapping[str, Profile]) -> Channel:
    """A point's channel, of the quantity that the point means by it. Raises KeyError for what ``check_references`` would have refused."""
    profile = profile_of(config, config.devices[point.device], files)
    if profile is None:
        raise KeyError(point.device)
    channel = profile.channels[point.channel]
    return channel.model_copy(update={"quantity": point.means}) if point.means else channel


def bus_specs(config: GatewayConfig, profiles: Mapping[str, Profile]) -> dict[str, tuple[DeviceSpec, ...]]:
    """The devices of each bus, with their points in the order of the file. Devices without points are left out."""
    points: dict[str, list[PointSpec]] = {}
    for id_, point in config.points.items():
        spec = PointSpec(id=id_, channel=point.channel, interval_us=_us(point.interval_s), select=point.select)
        points.setdefault(point.device, []).append(spec)
    specs: dict[str, list[DeviceSpec]] = {bus: [] for bus in config.buses}
    for id_, device in config.devices.items():
        profile = profile_of(config, device, profiles)
        if id_ in points and profile is not None:
            bus = config.buses[device.bus]
            specs[device.bus].append(
                DeviceSpec(
                    id=id_,
                    profile=profile,
                    points=tuple(points[id_]),
                    interval_us=_us(device.interval_s),
                    unit=device.unit or 0,
                    topic=device.topic or "",
                    expect_every_us=_us(device.expect_every_s),
                    setting=getattr(device, bus.setting) if isinstance(bus, LocalBus) else None,
                )
            )
    return {bus: tuple(devices) for bus, devices in specs.items()}


def unplannable(specs: Mapping[str, Sequence[DeviceSpec]]) -> Iterator[ConfigError]:
    """Devices that their sources would refuse to build, by the sources' own word."""
    for device in (device for devices in specs.values() for device in devices):
        try:
            if isinstance(device.profile, PayloadProfile):
                PayloadReader(device)
            elif isinstance(device.profile, ModbusProfile):
                plan(device)
        except ConfigError as error:
            yield error


def _us(seconds: float | None) -> int:
    return round(seconds * 1e6) if seconds else 0
