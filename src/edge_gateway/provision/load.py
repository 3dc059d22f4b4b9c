"""Finds and reads parameter sheets along the search path; judges only whether a file is a sheet."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from edge_gateway import toml_errors, toml_lines
from edge_gateway.errors import ConfigError
from edge_gateway.provision.model import Sheet

_PACKAGE = Path(__file__).resolve().parent.parent
_PLACE = Path("firmware_configs") / "modbus"
#: Where sheets are looked for after the configuration's own folder: the site's, the package's, the repository's.
SEARCH_PATH: tuple[Path, ...] = (
    Path("/etc/edge-gateway") / _PLACE,
    _PACKAGE / "_data" / _PLACE,
    _PACKAGE.parent.parent / _PLACE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedSheet:
    """A sheet with the text it was read from. ``name`` is what people call it: its file."""

    sheet: Sheet
    text: str
    sha256: str
    name: str


def find(profile_id: str, folder: Path) -> Path | None:
    """The sheet of a profile: ``<vendor>-<model>.toml`` beside the configuration, else along the search path."""
    name = f"{profile_id.replace('/', '-')}.toml"
    places = (folder / _PLACE, *SEARCH_PATH)
    return next((place / name for place in places if (place / name).is_file()), None)


def parse(text: str, name: str) -> tuple[LoadedSheet | None, list[ConfigError]]:
    """A sheet's text: the sheet, or every fault that it has."""
    try:
        raw = toml_errors.parse(text, name, exact=False)
    except ConfigError as error:
        return None, [error]
    try:
        sheet = Sheet.model_validate(raw)
    except ValidationError as error:
        return None, toml_errors.explain(error, Sheet, toml_lines.lines(text), name)
    return LoadedSheet(sheet=sheet, text=text, sha256=hashlib.sha256(text.encode()).hexdigest(), name=name), []


def read(file: Path) -> tuple[LoadedSheet | None, list[ConfigError]]:
    """One file: the sheet, or every fault that it has."""
    try:
        text = file.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        return None, [ConfigError(f"cannot be read: {error}", file=str(file), code="unreadable")]
    return parse(text, str(file))


def line_of(loaded: LoadedSheet, path: Sequence[str | int]) -> int:
    """Where a key stands; 0 where nobody knows."""
    return toml_lines.line_of(toml_lines.lines(loaded.text), tuple(path))
