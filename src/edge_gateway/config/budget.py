"""What keeps a Modbus bus from doing what is asked of it: other serial settings than the maker's, too little time; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from edge_gateway.config.model import GatewayConfig
from edge_gateway.config.references import Locate
from edge_gateway.errors import ConfigError
from edge_gateway.profiles.model import ModbusProfile, ModbusTraits
from edge_gateway.profiles.plan import PlannedBlock, PlannedGroup, plan
from edge_gateway.profiles.spec import DeviceSpec
from edge_gateway.sources.modbus import ModbusRtuConfig, ModbusTcpConfig

#: What a device takes before it answers (s): an assumption between the makers' 5 ms and 50 ms.
TURNAROUND_S = 0.02
#: A network's way there and back besides (s).
NETWORK_S = 0.005
#: Above this share of its time a bus has no room for a retry.
FULL = 1.0


def bus_warnings(
    config: GatewayConfig, specs: Mapping[str, Sequence[DeviceSpec]], locate: Locate
) -> Iterator[ConfigError]:
    """Warnings of all Modbus buses."""
    for bus_id, bus in config.buses.items():
        devices = specs.get(bus_id, ())
        if isinstance(bus, ModbusRtuConfig):
            yield from _serial(bus, devices, locate)
        if isinstance(bus, ModbusRtuConfig | ModbusTcpConfig):
            yield from _time(bus_id, bus, devices, locate)


def _serial(bus: ModbusRtuConfig, devices: Sequence[DeviceSpec], locate: Locate) -> Iterator[ConfigError]:
    ours = f"{bus.baud} {bus.parity} {bus.stopbits}"
    for device in devices:
        if isinstance(device.profile, ModbusProfile):
            theirs = _settings(device.profile.modbus)
            if theirs != ours:
                why = f"the bus speaks {ours}, {device.profile.id} leaves the factory with {theirs}"
                hint = "ignore this if the device was set to the bus's settings (see firmware_configs/)"
                yield locate(("devices", device.id, "bus"), why, code="serial-settings", hint=hint)


def _settings(traits: ModbusTraits) -> str:
    return f"{traits.baud} {traits.parity} {traits.stopbits}"


def _time(
    bus_id: str, bus: ModbusRtuConfig | ModbusTcpConfig, devices: Sequence[DeviceSpec], locate: Locate
) -> Iterator[ConfigError]:
    """A warning when all polls together need more time than there is."""
    groups = [(device, group) for device in devices for group in plan(device, distinct=bus.kind == "rtu")]
    needed = [(device, group, poll_s(bus, group)) for device, group in groups]
    load = sum(seconds * 1e6 / group.interval_us for _, group, seconds in needed)
    if load <= FULL:
        return
    device = max(needed, key=lambda item: item[2] / item[1].interval_us)[0]
    round_s = sum(seconds for _, _, seconds in needed)
    why = f"bus '{bus_id}' is asked to be busy {load:.0%} of the time: one round of its polls takes {round_s:.2f} s"
    hint = f"slots will be missed; use interval_s = {_sensible(round_s):g} or more on this bus"
    yield locate(("devices", device.id, "interval_s"), why, code="too-fast", hint=hint)


def _sensible(round_s: float) -> float:
    """The next interval that people would write, with a quarter to spare."""
    return next((step for step in (0.5, 1, 2, 5, 10, 15, 20, 30, 60) if step >= round_s * 1.25), round(round_s * 1.5))


def poll_s(bus: ModbusRtuConfig | ModbusTcpConfig, group: PlannedGroup) -> float:
    """How long one poll of a group takes when everything answers (s)."""
    rest_s = group.rest_us / 1e6
    return sum(_request_s(bus, block) + TURNAROUND_S + rest_s for block in group.blocks)


def _request_s(bus: ModbusRtuConfig | ModbusTcpConfig, block: PlannedBlock) -> float:
    """Request, answer and the silence that frames them, on the wire (s)."""
    if isinstance(bus, ModbusTcpConfig):
        return NETWORK_S
    data = (block.count + 7) // 8 if block.function in (1, 2) else 2 * block.count
    character_s = (1 + 8 + (bus.parity != "N") + bus.stopbits) / bus.baud
    silence_s = 2 * max(3.5 * character_s, 0.001_75)
    return (8 + 5 + data) * character_s + silence_s
