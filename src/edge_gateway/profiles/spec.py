"""What a source is told about a device: resolved, immutable, free of configuration files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edge_gateway.profiles.model import Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class PointSpec:
    """One point of a device: ``channel`` is the profile's name of it; ``interval_us`` 0 means the device's.

    ``select`` fills ``{select}`` in a payload channel's path: which of several probes (its serial number).
    """

    id: str
    channel: str
    interval_us: int = 0
    select: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSpec:
    """A device as its source sees it. Modbus devices have ``unit``, message devices ``topic``.

    ``expect_every_us`` > 0 makes silence of a message device visible (its groups then have slots). ``setting`` says what a
    device of this machine's own is (a probe's number, an input with its span): what its bus' kind understands.
    """

    id: str
    profile: Profile
    points: tuple[PointSpec, ...]
    interval_us: int = 0
    unit: int = 0
    topic: str = ""
    expect_every_us: int = 0
    setting: Any = None
