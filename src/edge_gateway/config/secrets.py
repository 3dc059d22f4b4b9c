"""Files that the configuration names: found beside it or as systemd credentials, looked into, never shown; pure but for that look."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edge_gateway.config.files import KeyPath
from edge_gateway.config.model import GatewayConfig
from edge_gateway.config.references import Locate
from edge_gateway.errors import ConfigError
from edge_gateway.links.secret import contents, read_secret, secret_path

#: Keys whose file holds a secret; the other ``*_file`` keys name certificates and private keys.
SECRETS = frozenset({"password_file", "token_file"})
_OTHERS_MAY_READ = 0o004


def with_absolute_files(data: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """A copy to validate: ``*_file`` of buses and sinks relative to ``folder``, but for credentials; lists as tuples."""
    copy: dict[str, Any] = {key: _tuples(value) for key, value in data.items()}
    for table in ("buses", "sinks"):
        if isinstance(entries := copy.get(table), dict):
            copy[table] = {id_: _absolute(entry, folder) for id_, entry in entries.items()}
    return copy


def _tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _absolute(entry: Any, folder: Path) -> Any:
    if not isinstance(entry, dict):
        return entry
    return {key: _place(value, folder) if key.endswith("_file") else value for key, value in entry.items()}


def _place(name: Any, folder: Path) -> Any:
    if not isinstance(name, str) or not name or secret_path(name) != Path(name):
        return name
    return str(folder.absolute() / name)


def check_files(
    config: GatewayConfig, data: Mapping[str, Any], locate: Locate, *, running: bool
) -> tuple[list[ConfigError], list[ConfigError]]:
    """Faults and warnings of all ``*_file`` keys.

    ``running``: the gateway itself asks, so that what it cannot read is a fault. ``check`` may be run by somebody
    who may not read secrets, and does not see the service's credentials: that is a warning.
    """
    faults: list[ConfigError] = []
    warnings: list[ConfigError] = []
    for path, name in _named(config):
        written = str(data[path[0]][path[1]][path[2]])
        try:
            if path[2] in SECRETS:
                read_secret(name, key="")
                warnings += _open_to_all(path, name, locate)
            else:
                _read_pem(name, private=path[2] == "key_file")
        except ConfigError as error:
            fault, lenient = _explain(path, name, written, error, locate)
            (warnings if lenient and not running else faults).append(fault)
    return faults, warnings


def _named(config: GatewayConfig) -> Iterator[tuple[tuple[str, str, str], str]]:
    for table, entries in (("buses", config.buses), ("sinks", config.sinks)):
        for id_, entry in entries.items():
            for key in type(entry).model_fields:
                if key.endswith("_file") and (name := getattr(entry, key)):
                    yield (table, id_, key), name


def _read_pem(name: str, *, private: bool) -> None:
    """Raises ConfigError unless the file can be read and holds what PEM files begin with."""
    try:
        data = contents(Path(name))
    except OSError as error:
        raise ConfigError(f"cannot read '{name}'") from error
    if (b"PRIVATE KEY-----" if private else b"-----BEGIN CERTIFICATE-----") not in data:
        raise ConfigError(f"'{name}' holds no {'private key' if private else 'certificate'} in PEM form")


def _explain(path: KeyPath, name: str, written: str, error: ConfigError, locate: Locate) -> tuple[ConfigError, bool]:
    """The fault, and whether somebody else than the service may be mistaken about it."""
    cause = error.__cause__
    place = secret_path(name)
    if isinstance(cause, FileNotFoundError):
        why, hint = f"there is no file {place}", "name a PEM file that the service can read"
        if path[2] in SECRETS:
            hint = "put the secret alone into it, readable by the service only"
            hint += f"; or load it as the systemd credential '{written}'" if "/" not in written else ""
        return locate(path, why, code="no-file", hint=hint), "/" not in written
    if isinstance(cause, PermissionError):
        hint = "run as the service's user, or give that user the right to read it"
        return locate(path, f"{place} may not be read by this user", code="no-file", hint=hint), True
    if isinstance(cause, OSError):
        why = f"{place} cannot be read: {cause.strerror}"
        return locate(path, why, code="no-file", hint="name a file"), False
    if path[2] in SECRETS:
        why = f"{place} is empty, longer than 64 KiB, or more than one line of text"
        return locate(path, why, code="bad-secret", hint="the file holds the secret and nothing else"), False
    return locate(path, error.why, code="bad-certificate", hint="it must be a PEM file"), False


def _open_to_all(path: KeyPath, name: str, locate: Locate) -> Iterator[ConfigError]:
    place = secret_path(name)
    if place.stat().st_mode & _OTHERS_MAY_READ:
        yield locate(path, f"everybody on this machine may read {place}", code="open-secret", hint=f"chmod 640 {place}")
