"""Turns what is wrong with a TOML file into sentences with file, line, key and a hint; reads no file.

Used for the configuration, device profiles and rule packs alike. Values are shown shortened, and never those of
keys that look like secrets.
"""

from __future__ import annotations

import difflib
import re
import tomllib
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, Tag, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from edge_gateway.errors import ConfigError
from edge_gateway.toml_lines import Path, line_of

_AT = re.compile(r"^(.*?) \(at (?:line (\d+), column (\d+)|end of document)\)$", re.DOTALL)
_SECRET = re.compile(r"password|token|secret|credential")


def parse(text: str, file: str, *, exact: bool = False) -> dict[str, Any]:
    """The tables of a TOML text. ``exact`` keeps fractions as Decimal. Raises ConfigError with the line."""
    try:
        return tomllib.loads(text, parse_float=Decimal if exact else float)
    except tomllib.TOMLDecodeError as error:
        match = _AT.match(str(error))
        said = match.group(1) if match else str(error)
        line = int(match.group(2)) if match and match.group(2) else text.count("\n") + 1
        why, hint = _syntax(said, text.splitlines()[line - 1] if line <= len(text.splitlines()) else "")
        raise ConfigError(f"not TOML: {why}", file=file, line=line, code="syntax", hint=hint) from error


def _syntax(said: str, line: str) -> tuple[str, str]:
    """What the parser said in words for who wrote the line, and what to do. Nothing of the line itself is shown."""
    if any(quote in line.partition("#")[0] for quote in "“”‘’「」"):
        return "quotation marks that are no quotes", 'write straight quotes: "text"'
    for begins, why, hint in _SYNTAX:
        if said.startswith(begins):
            return why or f"{said[:1].lower()}{said[1:]}", hint
    return (
        f"{said[:1].lower()}{said[1:]}",
        "texts stand in quotes, a table's name in [brackets], one key = value a line",
    )


#: How tomllib begins, our words ("": its own), what to do.
_SYNTAX = (
    ("Expected '=' after a key", "a key without '='", "write key = value"),
    ("Invalid value", "a value that is none", 'a text stands in quotes: "text"; numbers, true and false do not'),
    ("Illegal character '\\n'", "a text that is not closed", "it ends with the quote it began with, on the same line"),
    ("Illegal character '\\r'", "a text that is not closed", "it ends with the quote it began with, on the same line"),
    ("Unterminated string", "a text that is not closed", "it ends with the quote it began with"),
    ("Unclosed array", "a list that is not closed", "it ends with ]"),
    ("Unclosed inline table", "a table that is not closed", "it ends with }"),
    ("Cannot declare", "a table that stands twice", "put the keys of both under one [name]"),
    ("Cannot overwrite", "a key that stands twice", "delete one of the two"),
    ("Duplicate inline table key", "a key that stands twice", "delete one of the two"),
    ("Cannot mutate", "a table that is closed already", "put all its keys in one place"),
    ("Expected ']", "a table's name that is not closed", "write [name] on a line of its own"),
    ("Expected newline", "something behind the value", "one key = value a line; a remark begins with #"),
    ("Unescaped", "a backslash that means nothing", "write it twice, or put the text into 'single quotes'"),
)  # fmt: skip


def explain(
    error: ValidationError, model: Any, lines: Mapping[Path, int], file: str, *, prefix: Path = ()
) -> list[ConfigError]:
    """One ConfigError for each fault that pydantic found, in the order of the file's lines.

    ``model`` is the class (or annotation) that was validated: it tells which keys are known where. ``prefix`` is
    put before each key when only a part of the file was validated.
    """
    found = [_one(detail, model, dict(lines), file, prefix) for detail in error.errors(include_url=False)]
    unique = {(e.line, e.key, e.why): e for e in found}
    return sorted(unique.values(), key=lambda e: (e.line, e.key))


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """``did you mean 'register'?``, or the list of what is known when nothing is near."""
    names = sorted(known)
    near = difflib.get_close_matches(wrong.lower().replace("_", "-"), [n.replace("_", "-") for n in names], 1, 0.6)
    if near:
        return f"did you mean '{next(n for n in names if n.replace('_', '-') == near[0])}'?"
    return f"known here: {', '.join(names)}" if names else "nothing is expected here"


def dotted(path: Path) -> str:
    """A key's place as people write it: ``channels.temperature.scale``, ``sources[0].cite``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


@dataclass(slots=True)
class _Place:
    """Where a pydantic location points to: the key's path in the file, and the keys known beside it."""

    path: Path
    known: tuple[str, ...]
    field: FieldInfo | None = None


def _one(detail: ErrorDetails, model: Any, lines: dict[Path, int], file: str, prefix: Path) -> ConfigError:
    place = _locate(detail["loc"], model)
    path = (*prefix, *place.path, *_meant(detail))
    code, why, hint = _words(detail, place)
    return ConfigError(why, file=file, line=line_of(lines, path) or 1, key=dotted(path), code=code, hint=hint)


def _meant(detail: ErrorDetails) -> Path:
    """The key that a fault of a whole table is about: its ``kind``, or the first of its keys that the reason names."""
    if detail["type"] == "union_tag_invalid":
        return (str(detail.get("ctx", {}).get("discriminator", "kind")).strip("'"),)
    table = detail["input"]
    if detail["type"] != "value_error" or not isinstance(table, Mapping):
        return ()
    for name in re.findall(r"[a-z][a-z0-9_-]*", str(detail.get("ctx", {}).get("error", ""))):
        if name in table and name != "id":  # "two … have the id" is said of others than the table's own
            return (name,)
        if below := [key for key, value in table.items() if isinstance(value, Mapping) and name in value]:
            return (below[0], name)
    return ()


def _locate(loc: Sequence[str | int], model: Any) -> _Place:
    """Follow ``loc`` through the annotations: union members stand in it by name and are no keys."""
    node = _strip(model)
    path: list[str | int] = []
    known: tuple[str, ...] = ()
    field: FieldInfo | None = None
    for part in loc:
        if part == "[key]":
            break
        members = _members(node)
        if members:
            chosen = [m for m in members if _is_tagged(m, str(part))]
            node = _strip(chosen[0]) if chosen else None
            continue
        if node is None and path and not isinstance(part, int):
            break  # inside a value whose parts are no keys
        path.append(part)
        if isinstance(node, type) and issubclass(node, BaseModel):
            fields = {f.alias or name: f for name, f in node.model_fields.items()}
            known = tuple(fields)
            field = fields.get(str(part))
            node = None if field is None else _strip(field.annotation)
        else:
            known, field = (), None
            arguments = get_args(node)
            node = _strip(arguments[1 if _is_mapping(node) else 0]) if arguments else None
    return _Place(tuple(path), known, field)


def _is_mapping(node: Any) -> bool:
    origin = get_origin(node)
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _strip(node: Any) -> Any:
    """Without Annotated and ``| None``."""
    while True:
        if get_origin(node) is Annotated:
            node = get_args(node)[0]
        elif get_origin(node) in (Union, types.UnionType):
            rest = [m for m in get_args(node) if m is not type(None)]
            if len(rest) != 1:
                return node
            node = rest[0]
        else:
            return node


def _members(node: Any) -> tuple[Any, ...]:
    return get_args(node) if get_origin(node) in (Union, types.UnionType) else ()


def _is_tagged(member: Any, tag: str) -> bool:
    """Whether pydantic names this union member ``tag``: by a Tag, a Literal field's value, or the class's name."""
    if get_origin(member) is Annotated:
        if any(isinstance(m, Tag) and m.tag == tag for m in get_args(member)[1:]):
            return True
        member = get_args(member)[0]
    if not (isinstance(member, type) and issubclass(member, BaseModel)):
        return False
    if member.__name__ == tag:
        return True
    fields = member.model_fields
    # Where 'kind' decides, a word that another key may take is no name: it may be another member's.
    deciding = [fields["kind"]] if "kind" in fields else list(fields.values())
    return any(get_origin(f.annotation) is Literal and tag in get_args(f.annotation) for f in deciding)


_TYPES = {
    "string": "a text in quotes",
    "int": "a whole number",
    "float": "a number",
    "decimal": "a number",
    "bool": "true or false",
    "dict": "a table",
    "mapping": "a table",
    "model": "a table",
    "tuple": "a list in [brackets]",
    "list": "a list in [brackets]",
}
_BOUNDS = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "more than"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "less than"),
}


def _words(detail: ErrorDetails, place: _Place) -> tuple[str, str, str]:
    """Code, reason and hint for one pydantic error."""
    kind, context = detail["type"], detail.get("ctx", {})
    name = str(place.path[-1]) if place.path else ""
    shown = _shown(name, detail["input"])
    if kind == "extra_forbidden":
        return "unknown-key", f"unknown key '{name}'", did_you_mean(name, place.known)
    if kind == "missing":
        return _missing(name, place)
    if kind == "value_error":
        return "not-permitted", *_split(str(context.get("error", detail["msg"])))
    if kind in ("literal_error", "union_tag_invalid", "enum"):
        return _choice(detail, name)
    if kind == "union_tag_not_found":
        key = str(context.get("discriminator", "kind")).strip("'")
        return "missing-key", f"key '{key}' is missing", f"add {key} = …"
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        return "out-of-range", f"must be {words} {_number(context[key])}, not {shown}", _range(place)
    if kind == "finite_number":
        return "wrong-type", f"must be a number, not {shown}", _range(place)
    return _text(detail, shown)


def _text(detail: ErrorDetails, shown: str) -> tuple[str, str, str]:
    """Faults of a text's form or length, of a value's type, and what is left."""
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "string_pattern_mismatch":
        return "not-permitted", f"{shown} is not permitted", _pattern_hint(str(context.get("pattern", "")))
    if kind in ("too_short", "string_too_short"):
        return "not-permitted", "must not be empty", "give it a value, or delete this line"
    if kind == "string_too_long":
        return "not-permitted", f"is longer than {context['max_length']} characters", "shorten it"
    for word, meaning in _TYPES.items():
        if kind.startswith(word):
            return "wrong-type", f"must be {meaning}, not {shown}", _type_hint(word, detail["input"])
    message = detail["msg"]
    return "not-permitted", f"{message[:1].lower()}{message[1:]}", "see the key's description: edge-gateway schema"


def _missing(name: str, place: _Place) -> tuple[str, str, str]:
    node = _strip(place.field.annotation) if place.field is not None else None
    if isinstance(node, type) and issubclass(node, BaseModel):
        return "missing-key", f"table [{name}] is missing", f"add a line [{name}] and its keys below it"
    return "missing-key", f"key '{name}' is missing", f"add {name} = …"


def _choice(detail: ErrorDetails, name: str) -> tuple[str, str, str]:
    """A word (or number) that is none of those permitted."""
    context = detail.get("ctx", {})
    expected = str(context.get("expected", context.get("expected_tags", "")))
    known = [text or number for text, number in re.findall(r"'([^']*)'|(\d+)", expected)]
    wrong = str(context.get("tag", detail["input"]))
    near = difflib.get_close_matches(wrong, known, 1)
    hint = f"did you mean '{near[0]}'?" if near else "write one of these"
    shown = _shown(name, context.get("tag", detail["input"]))
    return "not-permitted", f"must be one of {', '.join(known)}, not {shown}", hint


#: What the second half of a reason begins with when it says what to do.
_ADVICE = re.compile(r"^(.*?)(?:; |: (?=(?:give|set|write|add|use|name|make|put)\b))(.*)$", re.DOTALL)


def _split(text: str) -> tuple[str, str]:
    """Reason and advice of a validator's sentence: ``what is wrong; what to do``."""
    match = _ADVICE.match(text)
    return (match[1], match[2]) if match else (text, "change one of the values that it names")


def _number(bound: Any) -> str:
    return str(int(bound)) if bound == int(bound) else str(bound)


def _range(place: _Place) -> str:
    """``between 1 and 247``, from the field's own bounds."""
    bounds = place.field.metadata if place.field is not None else []
    low = next((getattr(b, key) for b in bounds for key in ("ge", "gt") if getattr(b, key, None) is not None), None)
    high = next((getattr(b, key) for b in bounds for key in ("le", "lt") if getattr(b, key, None) is not None), None)
    if low is not None and high is not None:
        return f"between {_number(low)} and {_number(high)}"
    return "write a number that makes sense here"


def _shown(name: str, value: object) -> str:
    if _SECRET.search(name) and not name.endswith("_file"):
        return "what stands there"
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 42 else text[:40] + "…"


def _type_hint(word: str, value: object) -> str:
    if word in ("int", "float", "decimal"):
        if isinstance(value, str):
            return "write the number without quotes and without a unit"
        return "write a whole number" if word == "int" else "write a number"
    if word == "string":
        if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            return f'put it in quotes: "{value}"'
        return 'write one text: "…"'
    if word == "bool":
        return "write true or false, without quotes"
    if word in ("tuple", "list"):
        return 'write ["…", "…"]'
    return "its keys stand below a line [name], or in {…}"


def _pattern_hint(pattern: str) -> str:
    if pattern.startswith("^[a-z0-9]"):
        vendor = "/" in pattern
        return f"{'<vendor>/<model>, each' if vendor else 'an id is'} 1-32 of a-z, 0-9 and '-', not first or last"
    return f"it must match {pattern}"
