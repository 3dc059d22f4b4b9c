"""Finds and reads rule packs along the search path; judges only whether a file is a pack."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from edge_gateway import toml_errors, toml_lines
from edge_gateway.errors import ConfigError
from edge_gateway.rules.model import RulePack
from edge_gateway.rules.model_kinds import Rule

_PACKAGE = Path(__file__).resolve().parent.parent
#: Where packs are looked for after the configuration's own folders: the site's, the package's, the repository's.
SEARCH_PATH: tuple[Path, ...] = (
    Path("/etc/edge-gateway/rules"),
    _PACKAGE / "_data" / "rules",
    _PACKAGE.parent.parent / "rules",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedPack:
    """A pack with the very text it was read from: the journal keeps that text under its hash."""

    pack: RulePack
    text: str
    sha256: str
    file: Path
    lines: Mapping[toml_lines.Path, int] = field(default_factory=dict)
    #: at this site: "" enforced, ``shadow``, ``draft``
    state: str = ""
    #: of its rules only these; None: all of them
    only: frozenset[str] | None = None
    #: rule -> which of its numbers are this site's own
    own: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def starts(self) -> dict[str, int]:
        """The line at which each rule begins."""
        lines = dict(self.lines)
        return {rule.id: toml_lines.line_of(lines, ("rule", at)) for at, rule in enumerate(self.pack.rule)}

    @property
    def seal(self) -> Path:
        """Where its signed note would stand."""
        return self.file.with_name(f"{self.file.name}.sig")

    def rules(self) -> Iterator[tuple[int, Rule]]:
        """The rules that it brings, each with its place in the file."""
        return ((at, rule) for at, rule in enumerate(self.pack.rule) if self.only is None or rule.id in self.only)


def load_pack(name: str, folders: Sequence[Path] = ()) -> LoadedPack:
    """Read ``<name>.toml`` from ``folders``, then from the search path; the first file found wins.

    Raises ConfigError: no such pack (code ``no-pack``, with what is near), or a file that is none (its first fault).
    """
    for folder in (*folders, *SEARCH_PATH):
        file = folder / f"{name}.toml"
        if file.is_file():
            loaded, faults = read_pack(file)
            if loaded is None:
                raise faults[0]
            return loaded
    hint = toml_errors.did_you_mean(name, available(folders))
    raise ConfigError(f"no rule pack '{name}'", code="no-pack", hint=hint)


def read_pack(file: Path) -> tuple[LoadedPack | None, list[ConfigError]]:
    """One pack file: the pack, or every fault that it has, with file, line and key."""
    try:
        text = file.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        return None, [ConfigError(f"cannot be read: {error}", file=str(file), code="unreadable")]
    try:
        raw = toml_errors.parse(text, str(file), exact=True)
    except ConfigError as error:
        return None, [error]
    lines = toml_lines.lines(text)
    try:
        pack = RulePack.model_validate(raw)
    except ValidationError as error:
        return None, toml_errors.explain(error, RulePack, lines, str(file))
    if pack.id != file.stem:
        why = f"this file's id is '{pack.id}', its name says '{file.stem}'"
        line = toml_lines.line_of(lines, ("id",))
        return None, [ConfigError(why, file=str(file), line=line, key="id", code="not-permitted", hint="make the two agree")]
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    return LoadedPack(pack=pack, text=text, sha256=sha256, file=file, lines=lines), []


def available(folders: Sequence[Path] = ()) -> dict[str, Path]:
    """Every pack along the search path with the file that wins."""
    found: dict[str, Path] = {}
    for folder in (*folders, *SEARCH_PATH):
        for file in sorted(folder.glob("*.toml")):
            if not file.name.endswith(".cases.toml"):
                found.setdefault(file.stem, file)
    return dict(sorted(found.items()))
