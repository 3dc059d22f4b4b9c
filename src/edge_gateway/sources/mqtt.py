"""A broker as a bus: its table in the configuration; knows neither topics nor payloads."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from edge_gateway.clock import Clock
from edge_gateway.profiles.spec import DeviceSpec

if TYPE_CHECKING:
    from edge_gateway.links.mqtt import MqttSettings
    from edge_gateway.sources.mqtt_source import MqttSource


class MqttConfig(BaseModel):
    """How to reach a broker. ``ca_file`` turns TLS on; ``cert_file`` and ``key_file`` are a client certificate.

    ``client_id`` names our session at the broker, where messages wait while we are away: it must stay the same, and no
    other client may have it. Empty: made from the bus's id and this machine's identity.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["mqtt"]
    host: str = Field(min_length=1, max_length=255)
    port: int = Field(default=1883, ge=1, le=65535)
    user: str = ""
    password_file: str = ""
    protocol: Literal["5", "3.1.1"] = "5"
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    client_id: str = Field(default="", max_length=64, pattern=r"^[A-Za-z0-9._-]*$")
    keepalive_s: float = Field(default=30.0, ge=1, le=3600)
    session_expiry_s: float = Field(default=14 * 86_400.0, ge=0, le=4_294_967_294)
    discover: tuple[Annotated[str, Field(min_length=1, max_length=512)], ...] = Field(
        default=(), max_length=16, description="topic filters; once an hour, for 30 s, unknown topics among them go to the inbox"
    )

    @field_validator("discover")
    @classmethod
    def _filters(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        for word in words:
            levels = word.split("/")
            if any(sign in level and level != sign for level in levels for sign in "#+") or "#" in levels[:-1]:
                raise ValueError(f'"{word}" is no topic filter; write it such as "zigbee2mqtt/+" or "tele/#"')
        return words

    @model_validator(mode="after")
    def _sound(self) -> MqttConfig:
        if self.cert_file and not self.ca_file:
            raise ValueError("a client certificate (cert_file) needs TLS: set ca_file too")
        if self.key_file and not self.cert_file:
            raise ValueError("key_file needs cert_file")
        if self.password_file and not self.user:
            raise ValueError("password_file needs user")
        return self

    def settings(self, bus_id: str) -> MqttSettings:
        """What a link to this broker needs; reads the password. Raises ConfigError when it cannot be read."""
        from edge_gateway.links.mqtt import MqttSettings
        from edge_gateway.links.secret import read_secret

        return MqttSettings(
            host=self.host,
            port=self.port,
            client_id=self.client_id or f"edge-gateway-{bus_id}-{machine()}",
            protocol=self.protocol,
            user=self.user,
            password=read_secret(self.password_file, key=f"buses.{bus_id}.password_file") if self.password_file else "",
            ca_file=self.ca_file,
            cert_file=self.cert_file,
            key_file=self.key_file,
            keepalive_s=round(self.keepalive_s),
            session_expiry_s=round(self.session_expiry_s),
        )

    def build(
        self,
        bus_id: str,
        devices: Sequence[DeviceSpec],
        clock: Clock,
        *,
        recovered: Mapping[tuple[str, int], str] | None = None,
    ) -> MqttSource:
        """The source. ``recovered``: (topic, packet id) → payload hash of the journal's last messages, oldest first.

        Raises ConfigError: unreadable password, a point that its profile cannot serve, two devices on one topic.
        """
        from edge_gateway.sources.mqtt_source import MqttSource

        return MqttSource(bus_id, self.settings(bus_id), devices, clock, recovered=recovered or {})


def machine() -> str:
    """Eight hex digits that stay with this machine and do not give its machine-id away (machine-id(5) asks for that)."""
    try:
        identity = Path("/etc/machine-id").read_text().strip()
    except OSError:
        identity = ""
    return hashlib.sha256(f"edge-gateway mqtt {identity or socket.gethostname()}".encode()).hexdigest()[:8]
