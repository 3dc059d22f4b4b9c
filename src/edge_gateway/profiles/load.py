"""Finds and reads device profiles and their cases along the search path; judges only whether a file is one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from edge_gateway import toml_errors, toml_lines
from edge_gateway.errors import ConfigError
from edge_gateway.profiles.cases import Case, Cases
from edge_gateway.profiles.model import Profile, model_for

_PACKAGE = Path(__file__).resolve().parent.parent
#: Where profiles are looked for after the configuration's own folders: the site's, the package's, the repository's.
SEARCH_PATH: tuple[Path, ...] = (
    Path("/etc/edge-gateway/drivers"),
    _PACKAGE / "_data" / "drivers",
    _PACKAGE.parent.parent / "drivers",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A profile with the very text it was read from: the journal keeps that text under its hash."""

    profile: Profile
    text: str
    sha256: str
    file: Path


def load(profile_id: str, folders: Sequence[Path] = ()) -> Loaded:
    """Read ``<vendor>/<model>.toml`` from ``folders``, then from the search path; the first file found wins.

    Raises ConfigError: no such profile (with what is near), or a file that is none (its first fault).
    """
    for folder in (*folders, *SEARCH_PATH):
        file = folder / f"{profile_id}.toml"
        if file.is_file():
            loaded, faults = read(file)
            if loaded is None:
                raise faults[0]
            if loaded.profile.id != profile_id:
                why = f"this file's id is '{loaded.profile.id}', its place says '{profile_id}'"
                line = toml_lines.line_of(toml_lines.lines(loaded.text), ("id",))
                raise ConfigError(why, file=str(file), line=line, key="id", code="not-permitted", hint="make the two agree")
            return loaded
    hint = toml_errors.did_you_mean(profile_id, available(folders))
    raise ConfigError(f"no device profile '{profile_id}'", code="unknown-profile", hint=hint)


def read(file: Path) -> tuple[Loaded | None, list[ConfigError]]:
    """One profile file: the profile, or every fault that it has."""
    try:
        text = file.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        return None, [ConfigError(f"cannot be read: {error}", file=str(file), code="unreadable")]
    profile, faults = parsed(text, file)
    if profile is None:
        return None, faults
    return Loaded(profile=profile, text=text, sha256=hashlib.sha256(text.encode()).hexdigest(), file=file), []


def parsed(text: str, file: Path) -> tuple[Profile | None, list[ConfigError]]:
    """A profile's text, wherever it is from: the profile, or every fault that it has, said of ``file``."""
    try:
        raw = toml_errors.parse(text, str(file), exact=False)
    except ConfigError as error:
        return None, [error]
    model = model_for(raw)
    try:
        profile = model.model_validate(raw)
    except ValidationError as error:
        return None, toml_errors.explain(error, model, toml_lines.lines(text), str(file))
    return profile, []


def read_cases(profile: Path) -> tuple[tuple[Case, ...], list[ConfigError]]:
    """The cases beside a profile file (``<model>.cases.toml``), or every fault that they have; no file is one."""
    file = profile.with_suffix(".cases.toml")
    try:
        text = file.read_bytes().decode()
        raw = toml_errors.parse(text, str(file), exact=False)
    except FileNotFoundError:
        hint = "a case is what the device sends and the readings that must come of it; `edge-gateway drivers new` begins one"
        return (), [ConfigError("a profile without cases: nobody knows whether it is right", file=str(profile), code="no-cases", hint=hint)]
    except (OSError, UnicodeDecodeError) as error:
        return (), [ConfigError(f"cannot be read: {error}", file=str(file), code="unreadable")]
    except ConfigError as error:
        return (), [error]
    try:
        return Cases.model_validate(raw).cases, []
    except ValidationError as error:
        return (), toml_errors.explain(error, Cases, toml_lines.lines(text), str(file))


def available(folders: Sequence[Path] = ()) -> dict[str, Path]:
    """Every profile id along the search path with the file that wins."""
    found: dict[str, Path] = {}
    for folder in (*folders, *SEARCH_PATH):
        for file in _files(folder):
            found.setdefault(file.relative_to(folder).with_suffix("").as_posix(), file)
    return dict(sorted(found.items()))


def readable(folder: Path) -> Iterator[Profile]:
    """Every profile along the search path, a site's first (``folder``/drivers); a faulty file is ``drivers test``'s matter."""
    for name in available([folder / "drivers"]):
        with suppress(ConfigError):
            yield load(name, [folder / "drivers"]).profile


def _files(folder: Path) -> Iterator[Path]:
    for file in sorted(folder.glob("*/*.toml")):
        if not file.name.endswith(".cases.toml"):
            yield file
