"""Reads gateway.toml and what overrides it, merges key by key, and remembers where each value came from; judges no key."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
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


_Placer = Callable[[KeyPath], Origin]


@dataclass(slots=True)
class Merged:
    """All files in one: ``data`` and, for every key in it, where it was last set (a table: where it begins).

    ``texts`` are the files as read; ``faults`` what could not be read.
    """

    data: dict[str, Any] = field(default_factory=dict)
    origins: dict[KeyPath, Origin] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    faults: list[ConfigError] = field(default_factory=list)

    def lines(self) -> tuple[dict[KeyPath, int], list[Origin]]:
        """An index in place of lines, for code that knows one file only: path -> index + 1 into the list.

        The list's first is the main file's first line: where a table stands that is in no file.
        """
        first = Origin(next(iter(self.texts), ""), 1)
        return {path: index + 2 for index, path in enumerate(self.origins)}, [first, *self.origins.values()]

    def origin(self, path: KeyPath) -> Origin | None:
        """Where ``path`` or its nearest ancestor was set."""
        return next((self.origins[path[:n]] for n in range(len(path), 0, -1) if path[:n] in self.origins), None)

    def take(self, data: Mapping[str, Any], place: _Placer) -> None:
        """Lay ``data`` over what is there: tables are merged, everything else is replaced."""
        _merge(self, self.data, data, (), place)


def read_files(main: Path, state_dir: Path | None, environment: Mapping[str, str] | None = None) -> Merged:
    """Merge ``main``, its ``gateway.d/*.toml``, the state folder's ``gateway.d/*.toml`` and the environment.

    What cannot be read or is no TOML is in ``faults``; the rest is merged all the same, so that one look shows all.
    """
    merged = Merged()
    for file in [main, *_folder(main.parent / "gateway.d"), *_folder(state_dir / "gateway.d" if state_dir else None)]:
        try:
            text = _read(file)
            data = parse(text, str(file))
        except ConfigError as fault:
            merged.faults.append(fault)
            continue
        merged.texts[str(file)] = text
        merged.take(data, _in_file(str(file), toml_lines.lines(text)))
    for name, value in sorted((os.environ if environment is None else environment).items()):
        if name.startswith(ENVIRONMENT_PREFIX):
            _take_variable(merged, name, value)
    return merged


def _in_file(file: str, lines: dict[KeyPath, int]) -> _Placer:
    return lambda path: Origin(file, toml_lines.line_of(lines, path))


def _folder(folder: Path | None) -> list[Path]:
    return sorted(folder.glob("*.toml")) if folder is not None and folder.is_dir() else []


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")  # some editors begin a file with a byte order mark
    except FileNotFoundError:
        hint = "`edge-gateway init` writes a commented one"
        raise ConfigError("no such file", file=str(file), code="no-file", hint=hint) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        hint = "save the file as UTF-8"
        raise ConfigError("not UTF-8", file=str(file), line=line, code="syntax", hint=hint) from error
    except OSError as error:
        hint = "it must be a file that the service's user can read"
        why = f"cannot be read: {os.strerror(error.errno or 0)}"
        raise ConfigError(why, file=str(file), code="no-file", hint=hint) from error


def _take_variable(merged: Merged, name: str, value: str) -> None:
    """One variable: ``__`` between keys; an id's ``-`` is written ``_``, as no shell takes it in a name."""
    keys = [key.lower() for key in name[len(ENVIRONMENT_PREFIX) :].split("__")]
    origin = Origin(f"environment {name}", 0)
    if not all(keys):
        hint = f"write {ENVIRONMENT_PREFIX}TABLE__KEY, such as {ENVIRONMENT_PREFIX}PAGE__LISTEN"
        merged.faults.append(ConfigError("names no key", file=origin.file, code="environment", hint=hint))
        return
    table: Any = merged.data
    path: list[str] = []
    for key in keys:
        found = next((k for k in table if k.replace("-", "_") == key), key) if isinstance(table, dict) else key
        table = table.get(found) if isinstance(table, dict) else None
        path.append(found)
    nested: Any = _toml_value(value)
    for key in reversed(path):
        nested = {key: nested}
    merged.take(nested, lambda _path: origin)


def _toml_value(text: str) -> Any:
    """An environment variable's value as TOML would read it; what is no TOML value is a text."""
    try:
        return tomllib.loads(f"v = {text}")["v"]
    except tomllib.TOMLDecodeError:
        return text


def _merge(merged: Merged, into: dict[str, Any], data: Mapping[str, Any], path: KeyPath, place: _Placer) -> None:
    for key, value in data.items():
        here = (*path, key)
        if isinstance(value, dict):
            if not isinstance(into.get(key), dict):
                _forget(merged, here, into)
                into[key] = {}
            merged.origins.setdefault(here, place(here))
            _merge(merged, into[key], value, here, place)
        else:
            _forget(merged, here, into)
            into[key] = value
            merged.origins[here] = place(here)
            _elements(merged, value, here, place)


def _forget(merged: Merged, path: KeyPath, into: Mapping[str, Any]) -> None:
    """Nothing below a replaced value of the table ``into`` has an origin any more."""
    if path[-1] not in into:  # nothing is replaced; looking through all origins each time would take seconds
        return
    for old in [known for known in merged.origins if known[: len(path)] == path]:
        del merged.origins[old]


def _elements(merged: Merged, value: Any, path: KeyPath, place: _Placer) -> None:
    if isinstance(value, list):
        for index, item in enumerate(value):
            merged.origins[(*path, index)] = place((*path, index))
            _elements(merged, item, (*path, index), place)
