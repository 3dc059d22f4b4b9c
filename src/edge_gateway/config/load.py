"""From files to a configuration ready to run: validation, references, profiles, packs; every fault at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, TypeVar

from pydantic import ValidationError

from edge_gateway import toml_errors
from edge_gateway.config.budget import bus_faults, bus_warnings
from edge_gateway.config.derived import facts
from edge_gateway.config.files import KeyPath, Merged, Origin, read_files
from edge_gateway.config.local_budget import local_warnings
from edge_gateway.config.model import GatewayConfig
from edge_gateway.config.overrides import with_overrides
from edge_gateway.config.permits import permit_warnings
from edge_gateway.config.references import check_references
from edge_gateway.config.seals import seal_faults
from edge_gateway.config.secrets import check_files, with_absolute_files
from edge_gateway.config.sheets import sheet_warnings
from edge_gateway.config.specs import bus_specs, unplannable
from edge_gateway.config.unused import unused_warnings
from edge_gateway.config.witnesses import witness_warnings
from edge_gateway.errors import ConfigError
from edge_gateway.profiles import load as profile_files
from edge_gateway.profiles.load import Loaded as LoadedProfile
from edge_gateway.profiles.model import Profile
from edge_gateway.rules import load as pack_files
from edge_gateway.rules.bind import Binding, PointFacts, ZoneFacts, bind
from edge_gateway.rules.calendar import day_of
from edge_gateway.rules.load import LoadedPack


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
    warnings: list[ConfigError] = field(default_factory=list)

    def lean(self) -> Loaded:
        """Without the files' tables and where each key stood, megabytes that only ``check`` needs."""
        return replace(self, merged=Merged())


def load(main: Path, state_dir: Path | None = None, *, running: bool = True, day: str | None = None) -> Loaded:
    """Load and check everything; offline, opens no port. Raises ConfigRefused with all faults found.

    ``running``: the gateway itself asks, so that a secret that cannot be read is a fault; else it is a warning.
    ``day``: the civil day (Beijing) by which permits have begun or ended; None: today, by this machine's clock.
    """
    merged = read_files(main, state_dir)
    if merged.faults:  # what could not be read would show as missing keys
        raise ConfigRefused(merged.faults)
    config = _validated(merged, main)
    locate = Locator(merged)
    profiles, faults = _profiles(config, main.parent, locate)
    packs, pack_faults = _packs(config, main.parent, locate)
    faults += pack_faults
    models = {name: loaded.profile for name, loaded in profiles.items()}
    faults += check_references(config, models, locate)
    file_faults, warnings = check_files(config, merged.data, locate, running=running)
    faults += file_faults
    if faults:
        raise ConfigRefused(_sorted(faults))
    try:
        day = day or day_of(time.time_ns() // 1000)
        binding = _bind(config, packs, models, day)
    except ConfigError as error:
        raise ConfigRefused([_located(error, locate)]) from error
    specs = bus_specs(config, models)
    if faults := [_located(fault, locate) for fault in unplannable(specs)]:
        raise ConfigRefused(_sorted(faults))
    if faults := list(bus_faults(config, specs, locate)):
        raise ConfigRefused(_sorted(faults))
    warnings += unused_warnings(config, binding, locate)
    warnings += permit_warnings(config, binding, locate, day)
    warnings += witness_warnings(config, locate)
    warnings += bus_warnings(config, specs, locate)
    warnings += local_warnings(config, specs, locate)
    warnings += sheet_warnings(config, models, main.parent, locate)
    return Loaded(config, merged, profiles, packs, binding, _sorted(warnings))


class Locator:
    """Makes errors that point at a key of the merged configuration."""

    def __init__(self, merged: Merged) -> None:
        self._merged = merged

    def __call__(self, path: KeyPath, why: str, *, code: str, hint: str = "") -> ConfigError:
        origin = self._merged.origin(path) or Origin(next(iter(self._merged.texts), ""), 0)
        key = toml_errors.dotted(path)
        return ConfigError(why, file=origin.file, line=origin.line, key=key, code=code, hint=hint)


def _sorted(faults: Sequence[ConfigError]) -> list[ConfigError]:
    return sorted(faults, key=lambda fault: (fault.file, fault.line, fault.key))


def _validated(merged: Merged, main: Path) -> GatewayConfig:
    """Strict: a number in quotes is no number, true is no 1."""
    try:
        return GatewayConfig.model_validate(with_absolute_files(merged.data, main.parent), strict=True)
    except ValidationError as error:
        lines, origins = merged.lines()
        faults = toml_errors.explain(error, GatewayConfig, lines, str(main))
        raise ConfigRefused(_placed(faults, origins)) from error


def _placed(faults: Sequence[ConfigError], origins: Sequence[Origin]) -> list[ConfigError]:
    """Exchange the index that stood in for a line against file and line."""
    for fault in faults:
        if fault.line:
            origin = origins[fault.line - 1]
            fault.file, fault.line = origin.file, origin.line
    return _sorted(faults)


def _located(error: ConfigError, locate: Locator) -> ConfigError:
    """An error of a part that knows its key, but not the files."""
    if error.file:
        return error
    return locate(tuple(error.key.split(".")), error.why, code=error.code, hint=error.hint)


class _File(Protocol):
    @property
    def file(self) -> Path: ...


_Read = TypeVar("_Read", bound=_File)


def _named(
    name: str,
    path: KeyPath,
    read: Callable[[str], _Read],
    all_faults: Callable[[Path], tuple[_Read | None, list[ConfigError]]],
    locate: Locator,
) -> tuple[_Read | None, list[ConfigError]]:
    """A profile or pack by name; else its faults: at the naming key when there is no such file, in it otherwise."""
    try:
        return read(name), []
    except ConfigError as error:
        if not error.file:
            return None, [locate(path, error.why, code=error.code, hint=error.hint)]
        return None, all_faults(Path(error.file))[1] or [error]


def _profiles(
    config: GatewayConfig, folder: Path, locate: Locator
) -> tuple[dict[str, LoadedProfile], list[ConfigError]]:
    profiles: dict[str, LoadedProfile] = {}
    faults: list[ConfigError] = []
    tried: set[str] = set()
    for id_, device in config.devices.items():
        if not device.profile or device.profile in tried:
            continue
        tried.add(device.profile)
        path = ("devices", id_, "profile")
        loaded, found = _named(
            device.profile,
            path,
            lambda name: profile_files.load(name, [folder / "drivers"]),
            profile_files.read,
            locate,
        )
        faults += found
        if loaded is not None:
            profiles[device.profile] = loaded
    return profiles, faults


def _packs(config: GatewayConfig, folder: Path, locate: Locator) -> tuple[list[LoadedPack], list[ConfigError]]:
    packs: list[LoadedPack] = []
    faults: list[ConfigError] = []
    for index, pack in enumerate(config.rules.packs):
        path = ("rules", "packs", index)
        if pack in config.rules.packs[:index]:
            faults.append(locate(path, f"pack '{pack}' stands twice", code="duplicate", hint="name it once"))
            continue
        loaded, found = _named(
            pack, path, lambda name: pack_files.load_pack(name, [folder / "rules"]), pack_files.read_pack, locate
        )
        faults += found
        if loaded is not None:
            packs.append(loaded)
    faults += seal_faults(config.rules, packs)
    packs = [replace(loaded, state=_state(config, loaded.pack.id)) for loaded in packs]
    named = list(packs)
    for at, loaded in enumerate(named):
        wanted: dict[str, set[str]] = {}
        for rule, home in loaded.pack.moved.items():
            wanted.setdefault(home, set()).add(rule)
        for home, rules in wanted.items():
            if home in config.rules.packs:
                continue
            moved, found = _named(home, ("rules", "packs", at), lambda name: pack_files.load_pack(name, [folder / "rules"]), pack_files.read_pack, locate)
            faults += found
            if moved is not None:
                for lost in sorted(rules - {rule.id for rule in moved.pack.rule}):
                    why, hint = f"pack '{home}' has no rule '{lost}', which pack '{loaded.pack.id}' says went there", "take both packs from one release"
                    faults.append(locate(("rules", "packs", at), why, code="unknown-rule", hint=hint))
                faults += seal_faults(config.rules, [moved])
                _take(packs, replace(moved, only=frozenset(rules), state=_state(config, home)))
    packs, found = with_overrides(config.rules, packs, locate)
    faults += found
    known = {loaded.pack.id: loaded.file for loaded in packs}
    for pack in config.rules.state:
        if pack not in known and not faults:
            why, hint = f"pack '{pack}' is not in use here", toml_errors.did_you_mean(pack, known)
            faults.append(locate(("rules", "state", pack), why, code="no-pack", hint=hint))
    return packs, faults


def _state(config: GatewayConfig, pack: str) -> str:
    """What a bound rule says of its pack's state; "" where it is enforced."""
    state = config.rules.state.get(pack, "enforced")
    return "" if state == "enforced" else state


def _take(packs: list[LoadedPack], moved: LoadedPack) -> None:
    """Add rules that went to another pack, whose name the configuration does not say; once, however many lost rules to it."""
    for at, loaded in enumerate(packs):
        if loaded.pack.id == moved.pack.id:
            packs[at] = replace(loaded, only=(loaded.only or frozenset()) | (moved.only or frozenset()))
            return
    packs.append(moved)


def _own_time(config: GatewayConfig, point: str) -> bool:
    """Whether a point's readings may carry a time of their own: messages may, what is polled or derived here is timed by us."""
    known = config.points.get(point)
    return known is not None and config.buses[config.devices[known.device].bus].kind == "mqtt"


def _bind(config: GatewayConfig, packs: Sequence[LoadedPack], models: Mapping[str, Profile], day: str) -> Binding:
    zones = {id_: ZoneFacts(stage=zone.stage, kind=zone.kind) for id_, zone in config.zones.items()}
    outlets = {id_: outlet.model_dump(exclude_none=True) for id_, outlet in config.outlets.items()}
    tables = {**config.points, **config.derived}
    points = [
        PointFacts(
            id=id_,
            quantity=known.quantity,
            unit=known.unit,
            zone=tables[id_].zone,
            interval_us=known.interval_us,
            renamed_from=tables[id_].renamed_from or "",
            uncertainty=getattr(tables[id_], "uncertainty", ""),
            own_time=_own_time(config, id_),
        )
        for id_, known in facts(config, models).items()
    ]
    return bind(packs, points, zones, outlets, day)
