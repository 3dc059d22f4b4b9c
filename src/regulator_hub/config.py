"""hub.toml: where the hub listens and stores; knows no part of the hub."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edge_gateway.errors import ConfigError
from edge_gateway.links.loopback import is_loopback

DEFAULT_FILE = Path("/etc/regulator-hub/hub.toml")


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MqttTable(_Table):
    """A broker over which gateways may deliver, besides HTTP."""

    host: str
    port: int = Field(default=1883, ge=1, le=65_535)
    user: str = ""
    password_file: str = ""
    protocol: Literal["5", "3.1.1"] = "5"
    ca_file: str = ""
    client_id: str = Field(default="regulator-hub", min_length=1, max_length=64)


class HubToml(_Table):
    """The whole file. All keys may be left out."""

    name: str = Field(default="regulator-hub", min_length=1, max_length=64)
    listen: str = Field(default="127.0.0.1:8090", pattern=r"^(\[[0-9a-fA-F:]+\]|[^:\s]+):\d{1,5}$")
    state_dir: Path = Path("/var/lib/regulator-hub")
    cert_file: str = ""
    key_file: str = ""
    #: who may open the page and read the API: programs of this machine (a proxy with log-in, say), or anyone
    readers: Literal["loopback", "anyone"] = "loopback"
    language: Literal["zh", "en"] = "zh"
    dark_after_s: float = Field(default=90.0, ge=1, le=86_400)
    mqtt: MqttTable | None = None

    @model_validator(mode="after")
    def _plain_only_on_loopback(self) -> Self:
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError("cert_file and key_file come together")
        if not self.cert_file and not is_loopback(self.listen.rpartition(":")[0]):
            raise ValueError("beyond loopback TLS is needed: set cert_file and key_file, or listen on 127.0.0.1")
        return self


def load(file: Path | None, **given: object) -> HubToml:
    """Read hub.toml; without a file the default one if it exists, else defaults; ``given`` wins. Raises ConfigError."""
    path = file or DEFAULT_FILE
    try:
        content = {} if file is None and not path.exists() else tomllib.loads(path.read_text(encoding="utf-8"))
        return HubToml.model_validate(content | {key: value for key, value in given.items() if value is not None})
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file=str(path), hint="check path and rights") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"is no TOML: {error}", file=str(path)) from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ConfigError(first["msg"], file=str(path), key=key, hint="see docs/reference/hub.md") from None
