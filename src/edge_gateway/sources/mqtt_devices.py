"""The devices of one broker: who speaks on which topic, their readers and their slots; knows no connection and no inbox."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_gateway.clock import Clock
from edge_gateway.errors import ConfigError
from edge_gateway.profiles.model import PayloadProfile
from edge_gateway.profiles.payload import PayloadReader
from edge_gateway.profiles.spec import DeviceSpec
from edge_gateway.reading import Group
from edge_gateway.sources.mqtt_silence import Silence


@dataclass(slots=True, eq=False)
class Device:
    """A device, its reader, its groups' slots (none without ``expect_every_s``), and what is known of it."""

    spec: DeviceSpec
    reader: PayloadReader
    silences: list[Silence]
    availability_topic: str = ""
    availability: str = ""
    heard_us: int | None = None
    messages: int = 0

    def state(self, now_us: int) -> dict[str, Any]:
        """JSON-able, for ``health()``."""
        return {
            "topic": self.spec.topic,
            "messages": self.messages,
            "age_us": None if self.heard_us is None else now_us - self.heard_us,
            "gap": next((silence.gap.reason for silence in self.silences if silence.gap is not None), ""),
            "availability": self.availability,
        }


#: Devices by their topic.
Devices = dict[str, Device]


def plan(specs: Sequence[DeviceSpec], before: Mapping[str, Device], clock: Clock) -> Devices:
    """Devices by topic; an unchanged one is kept as it stands, a changed one goes on where its slots stood.

    Raises ConfigError: no single topic, two devices on one topic, a point that the profile cannot serve.
    """
    planned: Devices = {}
    for spec in specs:
        key = f"devices.{spec.id}.topic"
        if not spec.topic or any(character in spec.topic for character in "+#\0"):
            raise ConfigError(f"'{spec.topic}' names no single topic", key=key, hint="a topic without + and #")
        if (other := planned.get(spec.topic)) is not None:
            hint = f"make them points of one device, as channels of '{other.spec.id}'"
            raise ConfigError(f"'{spec.topic}' is the topic of '{other.spec.id}' already", key=key, hint=hint)
        known = before.get(spec.topic)
        planned[spec.topic] = known if known is not None and known.spec == spec else _changed(spec, known, clock)
    return planned


def _changed(spec: DeviceSpec, known: Device | None, clock: Clock) -> Device:
    reader = PayloadReader(spec)
    suffix = spec.profile.payload.availability if isinstance(spec.profile, PayloadProfile) else ""
    silences = slots(reader.groups, clock.mono_us(), clock.boot)
    before = {silence.group.id: silence for silence in known.silences} if known is not None else {}
    for silence in silences:
        if silence.group.id in before:
            silence.follow(before[silence.group.id])
    return Device(spec, reader, silences, _beside(spec.topic, suffix))


def _beside(topic: str, suffix: str) -> str:
    """The topic that ``suffix`` names, seen from a device's own; "" where there is none."""
    while suffix.startswith("../"):
        topic, up, _ = topic.rpartition("/")
        if not up:
            return ""
        suffix = suffix.removeprefix("../")
        if not suffix.startswith("../"):
            suffix = f"/{suffix}"
    return f"{topic}{suffix}" if suffix else ""


def slots(groups: Sequence[Group], from_us: int, boot: str) -> list[Silence]:
    """Slots from an instant on, of those groups that have any."""
    return [Silence(group, from_us, boot) for group in groups if group.interval_us]


def topics(devices: Mapping[str, Device]) -> list[str]:
    """Everything to subscribe to, each once: a node's devices may share the topic that says whether it is there."""
    beside = (device.availability_topic for device in devices.values() if device.availability_topic)
    return list(dict.fromkeys([*devices, *beside]))


def availability(payload: bytes) -> str:
    """Zigbee2MQTT says ``{"state":"online"}``, older ones ``online``, Tasmota ``Online``, Shelly ``true``; "" for anything else."""
    said = payload[:200].strip().lower()
    if said in (b"true", b"false"):
        return "online" if said == b"true" else "offline"
    return next((word for word in ("offline", "online") if word.encode() in said), "")
