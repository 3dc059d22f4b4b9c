"""Message bytes to values and qualities, by a profile's paths; pure: knows no broker, reads no clock.

A path is keys joined by dots: ``temperature``, ``sensor.t``, ``Values.0`` (index of a list). A key may end in ``*``
(any key that begins so) with a filter behind it: ``DS18B20*[Id={select}].Temperature``. ``{select}`` is the point's own
``select``; a point without one leaves the filter out. Whatever does not lead to exactly one field is ``bad:missing``:
with a second probe on the line nobody can tell any more which one a point without ``select`` meant.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import orjson

from edge_gateway.errors import ConfigError
from edge_gateway.profiles.model import PayloadChannel, PayloadProfile
from edge_gateway.profiles.spec import DeviceSpec, PointSpec
from edge_gateway.reading import (
    BAD_MISSING,
    BAD_NOT_A_NUMBER,
    BAD_RANGE,
    BAD_SENTINEL,
    BAD_UNPARSED,
    GOOD,
    Group,
    Value,
)

_SELECT = "{select}"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
#: Integers beyond ±(2^53 − 1) become the nearest double: no sensor has more digits.
_MAX_INTEGER = 2**53 - 1
_ABSENT = object()


class Unparsed(ValueError):
    """The payload as a whole is not what the profile says; the text says why."""


@dataclass(frozen=True, slots=True)
class Columns:
    """What a payload says: one value a point; ``quality`` is None when all are good; ``time_us`` its own zoned time."""

    values: list[Value]
    quality: list[str] | None
    time_us: int | None


class PayloadReader:
    """Reads the messages of one device. Raises ConfigError for points that the profile cannot serve."""

    def __init__(self, device: DeviceSpec) -> None:
        profile = device.profile
        if not isinstance(profile, PayloadProfile):
            raise ConfigError(
                f"profile '{profile.id}' reads registers, but the device's bus is a broker",
                key=f"devices.{device.id}.profile",
                hint="take a profile with a [payload] table",
            )
        self._traits = profile.payload
        self._time = _path(self._traits.time_path) if self._traits.time_path else None
        self._unit = _path(self._traits.temperature_unit_path) if self._traits.temperature_unit_path else None
        self._fields = [_Field(point, profile) for point in device.points]
        #: A device's messages are one group; it has slots only where silence is to be seen.
        self.group = Group(
            id=f"{device.id}.0",
            device=device.id,
            points=tuple(point.id for point in device.points),
            interval_us=device.expect_every_us,
        )

    def read(self, payload: bytes) -> Columns:
        """One message. Raises Unparsed; what concerns one field only is that field's quality."""
        if self._traits.format == "plain":
            content: Any = _plain(payload)
            fahrenheit: bool | None = False
            time_us = None
        else:
            content = _json(payload)
            fahrenheit = self._fahrenheit(content)
            time_us = None if self._time is None else _time_us(self._time(content), self._traits.time_format)
        values: list[Value] = []
        quality: list[str] = []
        for field in self._fields:
            value, mark = field.read(content, fahrenheit)
            values.append(value)
            quality.append(mark)
        return Columns(values, quality if any(mark != GOOD for mark in quality) else None, time_us)

    def _fahrenheit(self, content: Any) -> bool | None:
        """Whether temperatures are in °F; None when the field says something that nobody knows."""
        unit = self._unit(content) if self._unit is not None else _ABSENT
        if unit is _ABSENT or unit in ("C", "c", "°C"):
            return False
        return True if unit in ("F", "f", "°F") else None


class _Field:
    """One point's way into the content, and from there to a value."""

    __slots__ = (
        "_channel",
        "_find",
        "_high",
        "_low",
        "_offset",
        "_plain_number",
        "_scale",
        "_sentinels",
        "_temperature",
    )

    def __init__(self, point: PointSpec, profile: PayloadProfile) -> None:
        channel = profile.channels.get(point.channel)
        if channel is None:
            known = ", ".join(sorted(profile.channels))
            raise ConfigError(
                f"profile '{profile.id}' has no channel '{point.channel}'",
                key=f"points.{point.id}.channel",
                hint=f"it has {known}",
            )
        self._find = _point_path(point, channel) if channel.path else None
        self._channel = channel
        self._scale, self._offset = Fraction(channel.scale), Fraction(channel.offset)
        self._plain_number = channel.scale == 1 and channel.offset == 0
        self._sentinels = frozenset(channel.sentinels)
        self._low = -math.inf if channel.range_low is None else channel.range_low
        self._high = math.inf if channel.range_high is None else channel.range_high
        self._temperature = channel.unit == "Cel"

    def read(self, content: Any, fahrenheit: bool | None) -> tuple[Value, str]:
        """The value, or None with the reason."""
        raw = content if self._find is None else self._find(content)
        if raw is _ABSENT or raw is None:
            return None, BAD_MISSING
        number = _number(raw, self._channel.texts)
        if number is None or (self._temperature and fahrenheit is None):
            return None, BAD_UNPARSED
        if not math.isfinite(number):
            return None, BAD_NOT_A_NUMBER
        if number in self._sentinels:
            return None, BAD_SENTINEL
        try:
            value = self._scaled(number, self._temperature and bool(fahrenheit))
        except OverflowError:
            return None, BAD_RANGE
        return (value, GOOD) if self._low <= value <= self._high else (None, BAD_RANGE)

    def _scaled(self, number: float, fahrenheit: bool) -> float | int:
        """The double nearest to raw × scale + offset, in °C."""
        if self._plain_number and not fahrenheit:
            return number
        exact = Fraction(repr(number)) * self._scale + self._offset
        return float((exact - 32) * 5 / 9 if fahrenheit else exact)


# --- bytes to content ---------------------------------------------------------------------------------------------


def _json(payload: bytes) -> Any:
    try:
        content = orjson.loads(payload)
    except orjson.JSONDecodeError:
        content = _loose_json(payload)
    if not isinstance(content, dict | list):
        raise Unparsed(f"a JSON object is expected, not {type(content).__name__}")
    return content


def _loose_json(payload: bytes) -> Any:
    """NaN, Infinity and 1e999 are no JSON, yet some devices send them: one such field shall not cost the others."""
    try:
        return json.loads(payload.decode())
    except (ValueError, RecursionError) as error:
        raise Unparsed(f"no JSON: {error}") from error


def _plain(payload: bytes) -> str:
    try:
        text = payload.decode().strip()
    except UnicodeDecodeError as error:
        raise Unparsed(f"no text: {error}") from error
    if not text:
        raise Unparsed("an empty message")
    return text


def _number(raw: object, texts: Mapping[str, float]) -> float | int | None:
    """A field's number: itself, true and false as 1 and 0, a word of ``texts``, a number in quotes; None for the rest."""
    if isinstance(raw, bool):
        return int(raw)
    if isinstance(raw, int):
        return raw if abs(raw) <= _MAX_INTEGER else _double(raw)
    if isinstance(raw, float):
        return raw
    if not isinstance(raw, str):
        return None
    if raw in texts:
        return texts[raw]
    text = raw.strip()
    if not text.isascii() or "_" in text:  # float() takes digits of every script, and 1_000
        return None
    try:
        return float(text)
    except ValueError:
        return None


def _double(number: int) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf


def _time_us(raw: object, form: str) -> int | None:
    """A zoned time in µs UTC. Without a zone, or unreadable, the message has no time of its own."""
    if form == "iso8601":
        if not isinstance(raw, str):
            return None
        try:
            when = datetime.fromisoformat(raw)
            return None if when.tzinfo is None else _sound((when - _EPOCH) // _MICROSECOND)
        except (ValueError, OverflowError):
            return None
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not 0 < raw <= _MAX_INTEGER:
        return None
    return _sound(round(Fraction(repr(raw)) * (1_000_000 if form == "unix-s" else 1000)))


def _sound(time_us: int) -> int | None:
    return time_us if 0 < time_us <= _MAX_INTEGER else None


# --- paths --------------------------------------------------------------------------------------------------------


def _point_path(point: PointSpec, channel: PayloadChannel) -> Callable[[Any], Any]:
    path = channel.path
    key = f"points.{point.id}.select"
    if point.select and _SELECT not in path:
        raise ConfigError(f"channel '{point.channel}' has nothing to select", key=key, hint="take 'select' out")
    if any(character in point.select for character in "[]{}=.*"):
        raise ConfigError(
            f"'{point.select}' cannot be selected", key=key, hint="give the probe's Id as the message has it"
        )
    if not point.select and _SELECT in path.replace(f"={_SELECT}]", ""):
        raise ConfigError(f"channel '{point.channel}' needs 'select'", key=key, hint="name the probe, by its Id")
    return _path(path, point.select)


def _path(path: str, select: str = "") -> Callable[[Any], Any]:
    """A function from content to the field, or ``_ABSENT``. Raises ConfigError for a path that is none."""
    steps = [_step(part, path, select) for part in _parts(path)]

    def find(content: Any) -> Any:
        for step in steps:
            content = step(content)
            if content is _ABSENT:
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


def _step(part: str, path: str, select: str) -> Callable[[Any], Any]:
    name, bracket, condition = part.partition("[")
    begins, star, rest = name.partition("*")
    field, equals, wanted = condition.removesuffix("]").partition("=")
    if (bracket and not (equals and field and condition.endswith("]"))) or rest or not (name or bracket):
        raise ConfigError(
            f"'{path}' is no path", hint="keys joined by dots, such as a.b or DS18B20*[Id={select}].Temperature"
        )
    if not star and not bracket:
        return _by_key(name.replace(_SELECT, select))
    return _by_pattern(
        begins, bool(star), field if select or wanted != _SELECT else "", wanted.replace(_SELECT, select)
    )


def _by_key(name: str) -> Callable[[Any], Any]:
    index = int(name) if name.isascii() and name.isdigit() else None

    def step(content: Any) -> Any:
        if isinstance(content, dict):
            return content.get(name, _ABSENT)
        if index is not None and isinstance(content, list) and index < len(content):
            return content[index]
        return _ABSENT

    return step


def _by_pattern(begins: str, star: bool, field: str, wanted: str) -> Callable[[Any], Any]:
    """The only child whose key fits and whose ``field`` is ``wanted`` (any, if ``field`` is empty)."""
    wanted = wanted.casefold()

    def fits(key: str, child: Any) -> bool:
        if not (key.startswith(begins) if star else key == begins):
            return False
        return not field or (isinstance(child, dict) and str(child.get(field, "")).casefold() == wanted)

    def step(content: Any) -> Any:
        if not isinstance(content, dict):
            return _ABSENT
        found = [child for key, child in content.items() if fits(key, child)]
        return found[0] if len(found) == 1 else _ABSENT

    return step
