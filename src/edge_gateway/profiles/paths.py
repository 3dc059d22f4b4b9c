"""Paths into a JSON message, compiled to functions; pure: knows no profile and no device.

A path is keys joined by dots: ``temperature``, ``sensor.t``, ``Values.0`` (index of a list). A key may end in ``*``
(any key that begins so) with a filter behind it: ``DS18B20*[Id={select}].Temperature``. ``{select}`` is the point's own
``select``; a point without one leaves the filter out. Whatever does not lead to exactly one field leads to ``ABSENT``:
with a second probe on the line nobody can tell any more which one a point without ``select`` meant.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edge_gateway.errors import ConfigError

SELECT = "{select}"
#: Where a path leads that leads to no field.
ABSENT = object()

Find = Callable[[Any], Any]


def needs_select(path: str) -> bool:
    """Whether a point must say ``select``. In a filter it may be left out: a single probe may have no Id to name."""
    return SELECT in path.replace(f"={SELECT}]", "")


def compile_path(path: str, select: str = "") -> Find:
    """A function from content to the field, or ``ABSENT``. Raises ConfigError for a path that is none."""
    steps = [_step(part, path, select) for part in _parts(path)]

    def find(content: Any) -> Any:
        for step in steps:
            content = step(content)
            if content is ABSENT:
                break
        return content

    return find


def _parts(path: str) -> list[str]:
    """Split at dots outside of brackets."""
    parts, depth, part = [], 0, ""
    for character in path:
        depth += (character == "[") - (character == "]")
        if character == "." and depth == 0:
            parts.append(part)
            part = ""
        else:
            part += character
    return [*parts, part]


def _step(part: str, path: str, select: str) -> Find:
    name, bracket, condition = part.partition("[")
    begins, star, rest = name.partition("*")
    field, equals, wanted = condition.removesuffix("]").partition("=")
    if (bracket and not (equals and field and condition.endswith("]"))) or rest or not (name or bracket):
        raise ConfigError(
            f"'{path}' is no path", hint="keys joined by dots, such as a.b or DS18B20*[Id={select}].Temperature"
        )
    if not star and not bracket:
        return _by_key(name.replace(SELECT, select))
    return _by_pattern(
        begins, bool(star), field if select or wanted != SELECT else "", wanted.replace(SELECT, select)
    )


def _by_key(name: str) -> Find:
    index = int(name) if name.isascii() and name.isdigit() else None

    def step(content: Any) -> Any:
        if isinstance(content, dict):
            return content.get(name, ABSENT)
        if index is not None and isinstance(content, list) and index < len(content):
            return content[index]
        return ABSENT

    return step


def _by_pattern(begins: str, star: bool, field: str, wanted: str) -> Find:
    """The only child whose key fits and whose ``field`` is ``wanted`` (any, if ``field`` is empty)."""
    wanted = wanted.casefold()

    def fits(key: str, child: Any) -> bool:
        if not (key.startswith(begins) if star else key == begins):
            return False
        return not field or (isinstance(child, dict) and str(child.get(field, "")).casefold() == wanted)

    def step(content: Any) -> Any:
        if not isinstance(content, dict):
            return ABSENT
        found = [child for key, child in content.items() if fits(key, child)]
        return found[0] if len(found) == 1 else ABSENT

    return step
