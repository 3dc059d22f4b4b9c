"""From files to a configuration ready to run: validation, references, profiles, packs; every fault at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from edge_gateway import toml_errors
from edge_gateway.config.files import KeyPath, Merged, Origin, read_files
from edge_gateway.config.model import GatewayConfig
from edge_gateway.config.references import check_references
from edge_gateway.errors import ConfigError
from edge_gateway.profiles.load import Loaded as LoadedProfile
from edge_gateway.profiles.load import load as load_profile
from edge_gateway.rules.bind import Binding, PointFacts, ZoneFacts, bind
from edge_gateway.rules.load import LoadedPack, load_pack


class ConfigRefused(ConfigError):
    """A configuration with faults; ``faults`` has all of them, in the order of the files."""

    def __init__(self, faults: Sequence[ConfigError]) -> None:
        first = faults[0]
        super().__init__(first.why, file=first.file, line=first.line, key=first.key, code=first.code, hint=first.hint)
        self.faults = list(faults)


@dataclass(slots=True)
class Loaded:
    """A configuration without faults, with everything it names. ``warnings`` do not keep it from running."""

    config: GatewayConfig
    merged: Merged
    profiles: dict[str, LoadedProfile]
    packs: list[LoadedPack]
    binding: Binding
    folder: Path
    warnings: list[ConfigError] = field(default_factory=list)


def load(main: Path, state_dir: Path | None = None) -> Loaded:
    """Load and check everything; offline, opens no port. Raises ConfigRefused with all faults found."""
    try:
        merged = read_files(main, state_dir)
    except ConfigError as error:
        raise ConfigRefused([error]) from error
    lines, origins = merged.lines()
    try:
        config = GatewayConfig.model_validate(merged.data)
    except ValidationError as error:
        faults = toml_errors.explain(error, GatewayConfig, lines, str(main))
        raise ConfigRefused(_placed(faults, origins)) from error
    locate = _Locator(merged)
    profiles, faults = _profiles(config, main.parent, locate)
    packs, pack_faults = _packs(config, main.parent, locate)
    faults += pack_faults
    faults += check_references(config, {name: p.profile for name, p in profiles.items()}, locate)
    if faults:
        raise ConfigRefused(sorted(faults, key=lambda f: (f.file, f.line)))
    try:
        binding = _bind(config, packs, profiles)
    except ConfigError as error:
        raise ConfigRefused([error]) from error
    warnings = _warnings(config, binding, locate)
    return Loaded(config, merged, profiles, packs, binding, main.parent, warnings)


class _Locator:
    """Makes errors that point at a key of the merged configuration."""

    def __init__(self, merged: Merged) -> None:
        self._origins = merged.origins

    def __call__(self, path: KeyPath, why: str, *, code: str, hint: str = "") -> ConfigError:
        origin = next((self._origins[path[:n]] for n in range(len(path), 0, -1) if path[:n] in self._origins), None)
        key = toml_errors.dotted(path)
        if origin is None:
            return ConfigError(why, key=key, code=code, hint=hint)
        return ConfigError(why, file=origin.file, line=origin.line, key=key, code=code, hint=hint)


def _placed(faults: Sequence[ConfigError], origins: Sequence[Origin]) -> list[ConfigError]:
    """Exchange the index that stood in for a line against file and line."""
    for fault in faults:
        if fault.line:
            origin = origins[fault.line - 1]
            fault.file, fault.line = origin.file, origin.line
    return sorted(faults, key=lambda f: (f.file, f.line, f.key))


def _profiles(
    config: GatewayConfig, folder: Path, locate: _Locator
) -> tuple[dict[str, LoadedProfile], list[ConfigError]]:
    profiles: dict[str, LoadedProfile] = {}
    faults: list[ConfigError] = []
    for device_id, device in config.devices.items():
        if device.profile in profiles:
            continue
        try:
            profiles[device.profile] = load_profile(device.profile, [folder / "drivers"])
        except ConfigError as error:
            if error.code != "unknown-profile":
                faults.append(error)
                continue
            faults.append(locate(("devices", device_id, "profile"), error.why, code=error.code, hint=error.hint))
    return profiles, faults


def _packs(config: GatewayConfig, folder: Path, locate: _Locator) -> tuple[list[LoadedPack], list[ConfigError]]:
    packs: list[LoadedPack] = []
    faults: list[ConfigError] = []
    for index, name in enumerate(config.rules.packs):
        try:
            packs.append(load_pack(name, [folder / "rules"]))
        except ConfigError as error:
            if error.code != "no-pack":
                faults.append(error)
                continue
            faults.append(locate(("rules", "packs", index), error.why, code=error.code, hint=error.hint))
    return packs, faults


def _bind(config: GatewayConfig, packs: Sequence[LoadedPack], profiles: Mapping[str, LoadedProfile]) -> Binding:
    zones = {id_: ZoneFacts(stage=zone.stage, kind=zone.kind) for id_, zone in config.zones.items()}
    outlets = {id_: outlet.model_dump(exclude_none=True) for id_, outlet in config.outlets.items()}
    points = []
    for id_, point in config.points.items():
        device = config.devices[point.device]
        channel = profiles[device.profile].profile.channels[point.channel]
        interval_s = point.interval_s or device.interval_s or device.expect_every_s or 0.0
        points.append(
            PointFacts(
                id=id_,
                quantity=channel.quantity,
                unit=channel.unit,
                zone=point.zone,
                interval_us=round(interval_s * 1e6),
                renamed_from=point.renamed_from or "",
            )
        )
    return bind(packs, points, zones, outlets)


def _warnings(config: GatewayConfig, binding: Binding, locate: _Locator) -> list[ConfigError]:
    """What keeps nothing from running but should be known."""
    found = []
    for item in binding.not_monitored:
        why = f"rule '{item.rule}' judges nothing here: {item.why}"
        hint = "it is reported as not monitored, never as compliant"
        found.append(locate(("rules",), why, code="not-monitored", hint=hint))
    used = {point.device for point in config.points.values()}
    for id_ in config.devices:
        if id_ not in used:
            why = f"device '{id_}' has no point: it is not read"
            found.append(
                locate(("devices", id_), why, code="unused", hint="add a [points.…] table, or delete the device")
            )
    for id_ in config.buses.keys() - {device.bus for device in config.devices.values()}:
        if all(getattr(sink, "bus", None) != id_ for sink in config.sinks.values()):
            found.append(locate(("buses", id_), f"bus '{id_}' has no device", code="unused", hint="it is not opened"))
    if not config.sinks:
        found.append(
            locate(("sinks",), "no sink: readings stay on this machine", code="unused", hint="add [sinks.hub]")
        )
    return found
