"""Finds the line of every key in a TOML text; knows no schema and judges nothing (tomllib has already accepted it)."""

from __future__ import annotations

import tomllib
from bisect import bisect_right

#: A key's place: table and key names, and indexes within arrays.
Path = tuple[str | int, ...]

_SPACE = " \t"
_BLANK = " \t\r\n"
_SCALAR_ENDS = ",]}#\r\n"


def lines(text: str) -> dict[Path, int]:
    """Line (from 1) of each table, key, array element and inline key of ``text``.

    ``text`` must be valid TOML; for other text the answer is meaningless. A table that only exists through its
    sub-tables has the line of the first of them.
    """
    return _Scanner(text).scan()


def line_of(found: dict[Path, int], path: Path) -> int:
    """Line of ``path`` or of its nearest known ancestor; 0 if there is none."""
    for end in range(len(path), 0, -1):
        if (line := found.get(path[:end])) is not None:
            return line
    return 0


class _Scanner:
    """One pass over the text; each method leaves ``_at`` behind what it read."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._starts = [0, *(i + 1 for i, c in enumerate(text) if c == "\n")]
        self._found: dict[Path, int] = {}
        self._tables: dict[Path, int] = {}  # arrays of tables: path -> elements so far

    def scan(self) -> dict[Path, int]:
        table: Path = ()
        while self._skip_blank():
            if self._peek() == "[":
                table = self._header()
            else:
                self._pair(table)
        return self._found

    def _peek(self, width: int = 1) -> str:
        return self._text[self._at : self._at + width]

    def _line(self, at: int) -> int:
        return bisect_right(self._starts, at)

    def _skip(self, what: str) -> None:
        while self._at < len(self._text) and self._text[self._at] in what:
            self._at += 1

    def _skip_blank(self) -> bool:
        """Over white space, line ends and comments; False at the end of the text."""
        while True:
            self._skip(_BLANK)
            if self._peek() != "#":
                return self._at < len(self._text)
            end = self._text.find("\n", self._at)
            self._at = len(self._text) if end < 0 else end

    def _note(self, path: Path, line: int) -> None:
        for end in range(1, len(path) + 1):
            self._found.setdefault(path[:end], line)

    def _header(self) -> Path:
        line = self._line(self._at)
        array = self._peek(2) == "[["
        self._at += 2 if array else 1
        parts = self._key()
        path = self._enter(parts[:-1])
        path = (*path, parts[-1])
        if array:
            number = self._tables.get(path, 0)
            self._tables[path] = number + 1
            self._note(path, line)
            path = (*path, number)
        self._note(path, line)
        self._found[path] = line
        self._skip(_SPACE)
        self._at += 2 if array else 1
        return path

    def _enter(self, parts: Path) -> Path:
        """A header's leading names: through an array of tables they mean its last element."""
        path: Path = ()
        for part in parts:
            path = (*path, part)
            if path in self._tables:
                path = (*path, self._tables[path] - 1)
        return path

    def _pair(self, table: Path) -> None:
        line = self._line(self._at)
        path = (*table, *self._key())
        self._note(path, line)
        self._found[path] = line
        self._skip(_SPACE)
        self._at += 1  # the equals sign
        self._skip(_SPACE)
        self._value(path)

    def _key(self) -> Path:
        parts: list[str | int] = []
        while True:
            self._skip(_SPACE)
            start = self._at
            if self._peek() in ('"', "'"):
                self._string()
                parts.append(str(tomllib.loads("k = " + self._text[start : self._at])["k"]))
            else:
                while self._at < len(self._text) and self._text[self._at] not in " \t.=]":
                    self._at += 1
                parts.append(self._text[start : self._at])
            self._skip(_SPACE)
            if self._peek() != ".":
                return tuple(parts)
            self._at += 1

    def _value(self, path: Path) -> None:
        match self._peek():
            case '"' | "'":
                self._string()
            case "[":
                self._array(path)
            case "{":
                self._inline(path)
            case _:
                while self._at < len(self._text) and self._text[self._at] not in _SCALAR_ENDS:
                    self._at += 1

    def _string(self) -> None:
        quote = self._peek()
        triple = self._peek(3) == quote * 3
        self._at += 3 if triple else 1
        while self._at < len(self._text):
            if self._peek() == "\\" and quote == '"':
                self._at += 2
            elif triple and self._peek(3) == quote * 3:
                self._at += 3
                self._skip(quote)  # up to two quotes may stand before the closing three
                return
            elif not triple and self._peek() == quote:
                self._at += 1
                return
            else:
                self._at += 1

    def _array(self, path: Path) -> None:
        self._at += 1
        number = 0
        while self._skip_blank() and self._peek() != "]":
            element = (*path, number)
            self._found[element] = self._line(self._at)
            self._value(element)
            number += 1
            self._skip_blank()
            if self._peek() == ",":
                self._at += 1
        self._at += 1

    def _inline(self, path: Path) -> None:
        self._at += 1
        while self._skip_blank() and self._peek() != "}":
            self._pair(path)
            self._skip_blank()
            if self._peek() == ",":
                self._at += 1
        self._at += 1
