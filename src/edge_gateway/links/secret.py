"""Secrets out of files and systemd credentials, never out of the configuration; knows nothing of who needs them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from edge_gateway.errors import ConfigError

_MAX_BYTES = 64 * 1024


def secret_path(name: str) -> Path:
    """Where the secret lies: a name without a slash is a systemd credential when there are any, else a file."""
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    if "/" not in name and credentials and (found := Path(credentials) / name).exists():
        return found
    return Path(name)


def contents(path: Path, most_bytes: int = -1) -> bytes:
    """Up to ``most_bytes`` of a file that a configuration names. Raises OSError, also for a name that no file can have."""
    try:
        with path.open("rb") as file:
            return file.read(most_bytes)
    except ValueError as error:  # a NUL in the name
        raise OSError(errno.EINVAL, str(error)) from error


def read_secret(name: str, *, key: str) -> str:
    """The secret, without the newline at its end. Raises ConfigError naming ``key``; never shows the content."""
    path = secret_path(name)
    try:
        data = contents(path, _MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"cannot read the secret '{name}' ({error.strerror})",
            key=key,
            code="secret-unreadable",
            hint=f"put it into the file {path}, readable by the service, or load it as the systemd credential '{name}'",
        ) from error
    try:
        text = data.decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise ConfigError(f"the secret '{name}' is not UTF-8 text", key=key, code="secret-unreadable") from error
    if not text or len(data) > _MAX_BYTES or not text.isprintable():
        raise ConfigError(
            f"the secret '{name}' is empty, longer than {_MAX_BYTES} bytes, or more than one line",
            key=key,
            code="secret-unreadable",
            hint="the file holds the secret and nothing else",
        )
    return text
