"""Reads gateway.toml and what overrides it, merges key by key, and remembers where each value came from."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_gateway import toml_lines
from edge_gateway.errors import ConfigError
from edge_gateway.toml_errors import parse

KeyPath = tuple[str | int, ...]
#: Environment variables with this prefix override keys: EDGE_GATEWAY__PAGE__LISTEN=127.0.0.1:9000
ENVIRONMENT_PREFIX = "EDGE_GATEWAY__"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value stands: a file and line, or an environment variable (line 0)."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(slots=True)
class Merged:
    """All files in one: ``data`` and, for every key in it, where it was last set. ``texts`` are the files as read."""

    data: dict[str, Any] = field(default_factory=dict)
    origins: dict[KeyPath, Origin] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    def lines(self) -> tuple[dict[KeyPath, int], list[Origin]]:
        """An index in place of lines, for code that knows one file only: path -> index + 1 into the list."""
        origins = list(self.origins.values())
        return {path: index + 1 for index, path in enumerate(self.origins)}, origins


def read_files(main: Path, state_dir: Path | None, environment: Mapping[str, str] | None = None) -> Merged:
    """Merge ``main``, its ``gateway.d/*.toml``, the state folder's ``gateway.d/*.toml`` and the environment.

    Raises ConfigError for a file that cannot be read or is no TOML.
    """
    merged = Merged()
    for file in [main, *_folder(main.parent / "gateway.d"), *_folder(state_dir / "gateway.d" if state_dir else None)]:
        text = _read(file)
        merged.texts[str(file)] = text
        data = parse(text, str(file))
        found = toml_lines.lines(text)
        _merge(merged, merged.data, data, (), lambda path, f=file, l=found: Origin(str(f), toml_lines.line_of(l, path)))
    for name, value in sorted((os.environ if environment is None else environment).items()):
        if name.startswith(ENVIRONMENT_PREFIX):
            keys = [key.lower() for key in name[len(ENVIRONMENT_PREFIX) :].split("__")]
            nested: Any = _toml_value(value)
            for key in reversed(keys):
                nested = {key: nested}
            _merge(merged, merged.data, nested, (), lambda path, n=name: Origin(f"environment {n}", 0))
    return merged


def _folder(folder: Path | None) -> list[Path]:
    return sorted(folder.glob("*.toml")) if folder is not None and folder.is_dir() else []


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(
            "no such file", file=str(file), code="no-file", hint="`edge-gateway init` writes a commented one"
        ) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError(
            "not UTF-8", file=str(file), line=line, code="syntax", hint="save the file as UTF-8"
        ) from error
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file=str(file), code="no-file") from error


def _toml_value(text: str) -> Any:
    """An environment variable's value as TOML would read it; a plain word is a text."""
    try:
        return tomllib.loads(f"v = {text}")["v"]
    except tomllib.TOMLDecodeError:
        return text


def _merge(merged: Merged, into: dict[str, Any], data: Mapping[str, Any], path: KeyPath, origin: Any) -> None:
    for key, value in data.items():
        here = (*path, key)
        merged.origins.setdefault(here, origin(here))
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(merged, into[key], value, here, origin)
        elif isinstance(value, dict):
            into[key] = {}
            _merge(merged, into[key], value, here, origin)
        else:
            into[key] = value
            merged.origins[here] = origin(here)
            _elements(merged, value, here, origin)


def _elements(merged: Merged, value: Any, path: KeyPath, origin: Any) -> None:
    if isinstance(value, list):
        for index, item in enumerate(value):
            merged.origins[(*path, index)] = origin((*path, index))
            _elements(merged, item, (*path, index), origin)
