"""The regulator's hub as gateway.toml may name it; knows no protocol. docs/reference/hub-protocol.md, ``hub_sink``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from edge_gateway.errors import ConfigError
from edge_gateway.links.loopback import is_loopback
from edge_gateway.links.secret import contents, read_secret
from edge_gateway.record.note import COSIGNATURE, Key
from edge_gateway.wire.command import command_key

if TYPE_CHECKING:
    from edge_gateway.links.mqtt import MqttSettings
    from edge_gateway.sinks.hub_session import Carrier
    from edge_gateway.sinks.hub_sink import HubSink


class HubConfig(BaseModel):
    """``[sinks.X]`` of kind ``hub``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["hub"]
    via: Literal["http", "mqtt"] = "http"
    url: str = ""
    token_file: str = Field(min_length=1)
    ca_file: str = ""
    bus: str | None = None
    vkey: str = Field(default="", max_length=512, description="the hub's key, from a person: what it cosigns counts by it")
    command_vkey: str = Field(
        default="", max_length=512, description="the key of the hub's commands, from a person: what it signs is carried out; never the cosigning key"
    )
    bytes_per_day: int | None = Field(
        default=None, ge=100_000, description="at most this many a day, from midnight to midnight; then only what is urgent goes out; none by default"
    )
    photo_bytes_per_day: int = Field(
        default=50_000_000, ge=100_000, description="at most this many of photos a day, from midnight to midnight; they go after everything else"
    )
    timeout_s: float = Field(default=10.0, ge=1.0, le=60.0, description="for one message and its answer")

    @model_validator(mode="after")
    def _way(self) -> HubConfig:
        if self.via == "mqtt":
            if not self.bus or self.url:
                raise ValueError('via = "mqtt" needs bus = a broker of [buses], and no url')
            return self
        if self.bus:
            raise ValueError('bus belongs to via = "mqtt"; over HTTP the hub is found by its url')
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("url is no address; write https://host or https://host:port")
        if parts.username is not None or parts.password is not None:
            raise ValueError("a user or password in url would end up in logs; the token stands in token_file")
        if parts.scheme == "http" and not is_loopback(parts.hostname):
            raise ValueError(
                "url is plain http, which is for this machine only; write https://, with ca_file for an authority of your own"
            )
        return self

    @field_validator("command_vkey")
    @classmethod
    def _command_key(cls, vkey: str) -> str:
        if "+" in vkey:
            command_key(vkey)
        return vkey

    @field_validator("vkey")
    @classmethod
    def _key(cls, vkey: str) -> str:
        if "+" in vkey:
            witness_key(vkey)
        return vkey

    def build(self, name: str, gateway_id: str, *, broker: MqttSettings | None = None) -> HubSink:
        """The sink. ``broker``: how the broker that ``bus`` names is reached. Raises ConfigError for a missing secret or broker."""
        from edge_gateway.sinks.hub_http import HttpCarrier
        from edge_gateway.sinks.hub_mqtt import MqttCarrier
        from edge_gateway.sinks.hub_sink import HubSink

        key = f"sinks.{name}"
        token = read_secret(self.token_file, key=f"{key}.token_file")
        carrier: Carrier
        if self.via == "http":
            carrier = HttpCarrier(
                url=self.url, gateway=gateway_id, token=token, ca_file=self.ca_file, timeout_s=self.timeout_s
            )
        elif broker is None:
            raise ConfigError(f"bus '{self.bus}' is no MQTT broker", key=f"{key}.bus", hint='name a bus of kind "mqtt"')
        else:
            carrier = MqttCarrier(broker, gateway=gateway_id, token=token, timeout_s=self.timeout_s)
        return HubSink(name, gateway_id, carrier, self.witness(name), self.commands(name))

    def witness(self, name: str) -> Key | None:
        """The hub's key: as it stands, or out of the file that is named; None if no person gave it. Raises ConfigError."""
        if not self.vkey:
            return None
        return _key(self.vkey, witness_key, f"sinks.{name}.vkey", "regulator-hub key")

    def commands(self, name: str) -> Key | None:
        """The key of the hub's commands, as ``witness``. Raises ConfigError; also where it is the cosigning key under another type."""
        if not self.command_vkey:
            return None
        key = f"sinks.{name}.command_vkey"
        found, cosigns = _key(self.command_vkey, command_key, key, "regulator-hub command-key"), self.witness(name)
        if cosigns is not None and cosigns.public == found.public:
            hint = "the hub makes a key of its own for commands: `regulator-hub command-key` prints it"
            raise ConfigError("the key that cosigns may not command", key=key, hint=hint)
        return found


def _key(told: str, read: Callable[[str], Key], key: str, prints: str) -> Key:
    """As it stands, or out of the file that is named. Raises ConfigError."""
    try:
        return read(told if "+" in told else contents(Path(told), 4096).decode())
    except OSError as error:
        why = f"the hub's key '{told}' cannot be read ({error.strerror})"
        raise ConfigError(why, key=key, hint=f"write the line that `{prints}` prints, or a file with it") from None
    except ValueError as error:
        raise ConfigError(str(error), key=key, hint=f"copy the whole line that `{prints}` prints") from None


def witness_key(text: str) -> Key:
    """A hub's cosigning key. Raises ValueError."""
    key = Key.parse(text)
    if key.kind != COSIGNATURE:
        raise ValueError("this is no cosigning key (type 4): the gateway's own key stands there?")
    return key
