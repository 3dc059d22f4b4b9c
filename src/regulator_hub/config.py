"""hub.toml: where the hub listens and stores; knows no part of the hub."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from edge_gateway import toml_errors, toml_lines
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
    state_dir: Path = Path("/var/lib/regulator-hub")
    cert_file: str = ""
    key_file: str = Field(default="", validate_default=True)
    #: after the certificate, which decides what it may be
    listen: str = Field(default="127.0.0.1:8090", pattern=r"^(\[[0-9a-fA-F:]+\]|[^:\s]+):\d{1,5}$")
    #: who may open the page and read the API: programs of this machine (a proxy with log-in, say), or anyone
    readers: Literal["loopback", "anyone"] = "loopback"
    language: Literal["zh", "en"] = "zh"
    dark_after_s: float = Field(default=90.0, ge=1, le=86_400)
    #: cosigning key and memory of what was cosigned; in no backup of the store. "": the folder witness in state_dir
    witness_dir: str = ""
    mqtt: MqttTable | None = None

    @property
    def witness_folder(self) -> Path:
        """Where the cosigning key and the memory of what was cosigned lie."""
        return Path(self.witness_dir) if self.witness_dir else self.state_dir / "witness"

    @field_validator("key_file")
    @classmethod
    def _both(cls, key_file: str, known: ValidationInfo) -> str:
        if bool(known.data.get("cert_file")) != bool(key_file):
            raise ValueError("cert_file and key_file come together")
        return key_file

    @field_validator("listen")
    @classmethod
    def _plain_only_on_loopback(cls, listen: str, known: ValidationInfo) -> str:
        if known.data.get("cert_file") == "" and not is_loopback(listen.rpartition(":")[0]):
            raise ValueError("beyond loopback TLS is needed: set cert_file and key_file, or listen on 127.0.0.1")
        return listen


class HubRefused(ConfigError):
    """A hub.toml with faults; ``faults`` has all of them, in the order of the file."""

    def __init__(self, faults: Sequence[ConfigError]) -> None:
        first = faults[0]
        super().__init__(first.why, file=first.file, line=first.line, key=first.key, code=first.code, hint=first.hint)
        self.faults = list(faults)


def load(file: Path | None, **given: object) -> HubToml:
    """Read hub.toml; without a file the default one if it exists, else defaults; ``given`` wins. Raises HubRefused."""
    path = file or DEFAULT_FILE
    try:
        text = "" if file is None and not path.exists() else path.read_bytes().decode()
    except OSError as error:
        fault = ConfigError(f"cannot be read: {error.strerror}", file=str(path), hint="check path and rights")
        raise HubRefused([fault]) from None
    except UnicodeDecodeError as error:
        hint = "save it as UTF-8"
        raise HubRefused([ConfigError(f"is no UTF-8: {error.reason}", file=str(path), hint=hint)]) from None
    asked = {key: value for key, value in given.items() if value is not None}
    try:
        return HubToml.model_validate(toml_errors.parse(text, str(path)) | asked)
    except ValidationError as error:
        found = toml_errors.explain(error, HubToml, toml_lines.lines(text), str(path))
        raise HubRefused([_hinted(fault, asked) for fault in found]) from None
    except ConfigError as error:
        raise HubRefused([error]) from None


def _hinted(fault: ConfigError, asked: dict[str, object]) -> ConfigError:
    """What came from the command line is not looked for in the file; every fault says where to read on."""
    if fault.key in asked:
        fault.file, fault.line = "command line", 0
    fault.hint = fault.hint or "see docs/reference/hub.md"
    return fault
