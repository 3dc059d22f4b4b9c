"""A journaled configuration as derivations of its poll groups: profiles out of the journaled texts, never out of files on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from edge_gateway.errors import ConfigError, JournalDamaged
from edge_gateway.profiles.load import parsed
from edge_gateway.profiles.model import ModbusProfile, PayloadProfile, Profile
from edge_gateway.profiles.paths import SELECT
from edge_gateway.profiles.spec import DeviceSpec, PointSpec
from edge_gateway.recompute import local
from edge_gateway.recompute.base import NEWER, NO_TEXT, NOT_TOLD, UNREADABLE, Kind
from edge_gateway.recompute.messages import Messages
from edge_gateway.recompute.registers import Registers
from edge_gateway.record.entry import DECODE

#: A text by its SHA-256. Raises KeyError (not kept), JournalDamaged (not what its name says).
Text = Callable[[str], bytes]
#: The device of derived points.
DERIVED = "derived"


class Undecided(Exception):
    """Nothing of a group can be derived, for ``why``."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Configured:
    """One configuration. ``texts``: the names of its profiles with their SHA-256. Raises Undecided: it does not read."""

    def __init__(self, text: str, texts: Mapping[str, str], read: Text, memory: local.Memory) -> None:
        self._read, self._texts, self._memory = read, texts, memory
        self.resolved: dict[str, Any] = orjson.loads(_fetched(read, text))
        self.groups: dict[str, Any] = self.resolved.get("groups", {})
        #: False: it was written before configurations told all that decoding needs
        self.complete = "semantics" in self.resolved
        self._kinds: dict[str, Kind | Undecided] = {}
        self._profiles: dict[str, Profile] = {}

    def kind(self, group: str) -> Kind:
        """How a group's batches are derived. Raises Undecided."""
        found = self._kinds.get(group)
        if found is None:
            try:
                found = self._kind(self.groups[group])
            except Undecided as undecided:
                found = undecided
            self._kinds[group] = found
        if isinstance(found, Undecided):
            raise found
        return found

    def _kind(self, group: Mapping[str, Any]) -> Kind:
        if int(self.resolved.get("semantics", {}).get("decode", 1)) != DECODE:
            raise Undecided(NEWER)
        try:
            device_id = str(group["device"])
            device = self.resolved["devices"][device_id]
            points = [(id_, self.resolved["points"][id_]) for id_ in group["points"]]
            kind = str(self.resolved["buses"][device["bus"]]["kind"])
            channels = [str(point["channel"]) for _, point in points]
            match kind:
                case "tcp" | "rtu":
                    return self._registers(device, channels)
                case "mqtt":
                    return self._messages(device_id, device, points)
                case _:
                    return self._local(kind, (device_id, device), channels, int(group["interval_us"]))
        except KeyError:
            raise Undecided(NOT_TOLD) from None

    def _registers(self, device: Mapping[str, Any], channels: Sequence[str]) -> Registers:
        profile = self._profile(device["profile"])
        if not isinstance(profile, ModbusProfile):
            raise Undecided(UNREADABLE)
        return Registers(int(device["unit"]), [profile.channels[channel] for channel in channels])

    def _messages(self, id_: str, device: Mapping[str, Any], points: Sequence[tuple[str, Mapping[str, Any]]]) -> Messages:
        profile = self._profile(device["profile"])
        if not isinstance(profile, PayloadProfile):
            raise Undecided(UNREADABLE)
        specs = []
        for point, about in points:
            channel = profile.channels[about["channel"]]
            if not self.complete and SELECT in channel.path:
                raise Undecided(NOT_TOLD)
            specs.append(PointSpec(id=point, channel=about["channel"], select=about.get("select", "")))
        try:
            return Messages(DeviceSpec(id=id_, profile=profile, points=tuple(specs), topic=device["topic"]))
        except ConfigError:
            raise Undecided(UNREADABLE) from None

    def _local(self, kind: str, named: tuple[str, Mapping[str, Any]], channels: Sequence[str], interval_us: int) -> Kind:
        id_, device = named
        match kind:
            case "onewire":
                return local.Probe(channels, device["probe"], interval_us, self._memory)
            case "iio":
                return local.loop(channels, device["loop"])
            case "pulse":
                return local.Meter(channels, id_, device["pulse"], self._memory)
            case "host":
                return local.host(channels, device.get("contact"))
        raise Undecided(NEWER)

    def _profile(self, id_: str) -> Profile:
        if id_ not in self._profiles:
            name = f"drivers/{id_}.toml"
            if name not in self._texts:
                raise Undecided(NO_TEXT)
            try:
                profile, _ = parsed(_fetched(self._read, self._texts[name]).decode(), Path(name))
            except UnicodeDecodeError:
                profile = None
            if profile is None:
                raise Undecided(UNREADABLE)
            self._profiles[id_] = profile
        return self._profiles[id_]


def _fetched(read: Text, sha256: str) -> bytes:
    try:
        return read(sha256)
    except KeyError:
        raise Undecided(NO_TEXT) from None
    except JournalDamaged:
        raise Undecided(UNREADABLE) from None
