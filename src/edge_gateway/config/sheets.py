"""Whether the parameter sheets of a configuration's devices agree with their profiles and buses; opens no line.

A faulty sheet keeps nothing from being measured: it is a warning, and `provision` refuses it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from edge_gateway.config.model import GatewayConfig
from edge_gateway.config.references import Locate
from edge_gateway.errors import ConfigError
from edge_gateway.profiles.model import Profile
from edge_gateway.provision import load
from edge_gateway.provision.agree import cannot_follow, faults
from edge_gateway.provision.load import LoadedSheet
from edge_gateway.sources.modbus import ModbusRtuConfig

_HINT = "mend the sheet (firmware_configs/README.md says what it may hold); until then `provision` refuses it"


def sheet_warnings(
    config: GatewayConfig, profiles: Mapping[str, Profile], folder: Path, locate: Locate
) -> Iterator[ConfigError]:
    """Every disagreement, at its line of the sheet or at the device that asks for it. ``folder``: the configuration's."""
    sheets: dict[str, LoadedSheet] = {}
    for name in sorted({device.profile for device in config.devices.values()}):
        file = load.find(name, folder)
        if file is None:
            continue
        loaded, broken = load.read(file)
        yield from (_warning(fault) for fault in broken)
        if loaded is None:
            continue
        sheets[name] = loaded
        for path, why in faults(loaded.sheet, profiles.get(loaded.sheet.profile)):
            line = load.line_of(loaded, path)
            key = ".".join(map(str, path))
            yield ConfigError(why, file=str(file), line=line, key=key, code="sheet", hint=_HINT)
    yield from _reachable(config, sheets, locate)


def _warning(fault: ConfigError) -> ConfigError:
    fault.code = "sheet"
    return fault


def _reachable(config: GatewayConfig, sheets: Mapping[str, LoadedSheet], locate: Locate) -> Iterator[ConfigError]:
    """Devices that cannot be set to what their bus and their own table ask of them."""
    for id_, device in config.devices.items():
        bus, loaded = config.buses.get(device.bus), sheets.get(device.profile)
        if loaded is None or not isinstance(bus, ModbusRtuConfig) or device.unit is None:
            continue
        asked = cannot_follow(
            loaded.sheet, baud=bus.baud, parity=bus.parity, stopbits=bus.stopbits, unit=device.unit
        )
        for why in asked:
            hint = "choose bus settings that all its devices can have"
            yield locate(("devices", id_, "bus"), why, code="sheet", hint=hint)
