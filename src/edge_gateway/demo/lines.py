"""Reads InfluxDB line protocol as a database would, independently of the project's encoder; raises ValueError for what is none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Line:
    """One point: floats, integers, booleans and texts as fields."""

    measurement: str
    tags: Mapping[str, str]
    fields: Mapping[str, float | int | bool | str]
    time_us: int

    @property
    def series(self) -> str:
        """Measurement and tags: with the time, what a later line overwrites."""
        return "\x00".join([self.measurement, *(f"{name}={self.tags[name]}" for name in sorted(self.tags))])


def read_lines(path: Path) -> Iterator[Line]:
    """The lines of a file in order; empty ones are left out. Raises ValueError with the line's number."""
    for number, text in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if text:
            try:
                yield parse(text)
            except (ValueError, IndexError) as error:
                raise ValueError(f"{path}:{number}: {error}: {text[:200]}") from error


def parse(text: str) -> Line:
    """One line. Raises ValueError."""
    key, rest = _until(text, " ")
    fields_text, time_text = _until(rest, " ")
    measurement, *tag_texts = _split(key, ",")
    tags = dict(_pair(tag) for tag in tag_texts)
    fields = {name: _field(value) for name, value in map(_pair, _split(fields_text, ","))}
    return Line(_plain(measurement), tags, fields, int(time_text))


def _field(text: str) -> float | int | bool | str:
    if text.startswith('"'):
        if len(text) < 2 or not text.endswith('"'):
            raise ValueError("a text that does not end")
        return text[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    if text in ("true", "t", "T", "false", "f", "F"):
        return text[0] in "tT"
    return int(text[:-1]) if text.endswith("i") else float(text)


def _pair(text: str) -> tuple[str, str]:
    name, value = _until(text, "=")
    return _plain(name), value if value.startswith('"') else _plain(value)


def _plain(text: str) -> str:
    return text.replace("\\,", ",").replace("\\=", "=").replace("\\ ", " ")


def _until(text: str, mark: str) -> tuple[str, str]:
    first, *rest = _split(text, mark, 1)
    if not rest:
        raise ValueError(f"no '{mark}' where one must be")
    return first, rest[0]


def _split(text: str, mark: str, most: int = -1) -> list[str]:
    """Split at marks that are neither escaped nor inside a quoted text."""
    parts: list[str] = []
    start, quoted, at = 0, False, 0
    while at < len(text):
        if text[at] == "\\":
            at += 1
        elif text[at] == '"':
            quoted = not quoted
        elif text[at] == mark and not quoted and len(parts) != most:
            parts.append(text[start:at])
            start = at + 1
        at += 1
    return [*parts, text[start:]]
