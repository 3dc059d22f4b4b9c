"""Message bytes to values and qualities, by a profile's paths; pure: knows no broker, reads no clock.

A message without a field is a bad reading of it (``bad:missing``), unless the profile says that its messages are partial:
then it is no reading at all.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import orjson

from edge_gateway.errors import ConfigError
from edge_gateway.profiles import message_bytes
from edge_gateway.profiles.model import PayloadChannel, PayloadProfile
from edge_gateway.profiles.paths import ABSENT, SELECT, Find, compile_path, needs_select
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

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
#: Integers beyond ±(2^53 − 1) become the nearest double: no sensor has more digits.
_MAX_INTEGER = 2**53 - 1
#: A message's own time before 2015 is that of a clock that was not set yet: it counts from 1970, or from its start.
_EARLIEST_US = 1_420_070_400_000_000
#: Not a quality: this message does not speak of the point.
_UNTOLD = ""


class Unparsed(ValueError):
    """The payload as a whole is not what the profile says; the text says why."""


@dataclass(frozen=True, slots=True)
class Columns:
    """What a payload says: one value a point; ``quality`` is None when all are good; ``time_us`` its own zoned time.

    ``untold`` are the columns of which a partial message says nothing: they are no readings.
    """

    values: list[Value]
    quality: list[str] | None
    time_us: int | None
    untold: frozenset[int] = frozenset()


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
        self._time = compile_path(self._traits.time_path) if self._traits.time_path else None
        self._unit = compile_path(self._traits.temperature_unit_path) if self._traits.temperature_unit_path else None
        self._bytes = compile_path(self._traits.bytes.path) if self._traits.bytes else None
        self._fields = [_Field(point, profile) for point in device.points]
        #: A device's messages are one group, partial ones a group a point. Groups have slots only where silence is to be seen.
        self.groups = tuple(_groups(device, self._traits.partial))

    def read(self, payload: bytes) -> Columns:
        """One message. Raises Unparsed; what concerns one field only is that field's quality."""
        if self._traits.format == "plain":
            content: Any = _plain(payload)
            data, time_us = b"", None
            fahrenheit: bool | None = False
        else:
            content = _json(payload)
            data, fahrenheit = self._data(content), self._fahrenheit(content)
            time_us = None if self._time is None else _time_us(self._time(content), self._traits.time_format)
        values: list[Value] = []
        quality: list[str] = []
        for field in self._fields:
            value, mark = field.read(content, data, fahrenheit)
            values.append(value)
            quality.append(mark)
        untold: frozenset[int] = frozenset()
        if _UNTOLD in quality:
            if self._traits.partial:
                untold = frozenset(index for index, mark in enumerate(quality) if mark == _UNTOLD)
            else:
                quality = [mark or BAD_MISSING for mark in quality]
        return Columns(values, quality if any(mark != GOOD for mark in quality) else None, time_us, untold)

    def parts(self, columns: Columns) -> Iterator[tuple[Group, Columns]]:
        """What was read, by group; nothing of points that a partial message does not tell."""
        if not self._traits.partial:
            yield self.groups[0], columns
            return
        for index, group in enumerate(self.groups):
            if index not in columns.untold:
                marks = columns.quality
                quality = None if marks is None or marks[index] == GOOD else [marks[index]]
                yield group, Columns([columns.values[index]], quality, columns.time_us)

    def _data(self, content: Any) -> bytes:
        if self._bytes is None or self._traits.bytes is None:
            return b""
        try:
            return message_bytes.unwrapped(self._bytes(content), self._traits.bytes)
        except ValueError as error:
            raise Unparsed(str(error)) from error

    def _fahrenheit(self, content: Any) -> bool | None:
        """Whether temperatures are in °F; None when the field says something that nobody knows."""
        unit = self._unit(content) if self._unit is not None else ABSENT
        if unit is ABSENT or unit in ("C", "c", "°C"):
            return False
        return True if unit in ("F", "f", "°F") else None


def _groups(device: DeviceSpec, partial: bool) -> Iterator[Group]:
    """One for the device; of partial messages one a point, named after it: it is the same when other points come or go."""
    named = {point.id: (point.id,) for point in device.points} if partial else {"0": tuple(p.id for p in device.points)}
    for name, points in named.items():
        yield Group(id=f"{device.id}.{name}", device=device.id, points=points, interval_us=device.expect_every_us)


class _Field:
    """One point's way into the content, and from there to a value."""

    __slots__ = (
        "_channel",
        "_find",
        "_from_bytes",
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
        self._find = _point_path(point, channel) if channel.path or point.select else None
        self._from_bytes = message_bytes.number(channel) if channel.at is not None else None
        self._channel = channel
        self._scale, self._offset = Fraction(channel.scale), Fraction(channel.offset)
        self._plain_number = channel.scale == 1 and channel.offset == 0
        self._sentinels = frozenset(channel.sentinels)
        self._low = -math.inf if channel.range_low is None else channel.range_low
        self._high = math.inf if channel.range_high is None else channel.range_high
        self._temperature = channel.unit == "Cel"

    def read(self, content: Any, data: bytes, fahrenheit: bool | None) -> tuple[Value, str]:
        """The value, or None with the reason: "" when the message does not have the field."""
        if self._from_bytes is not None:
            number: float | int | None = self._from_bytes(data)
        else:
            raw = content if self._find is None else self._find(content)
            if raw is ABSENT:
                return None, _UNTOLD
            if raw is None:
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
    if isinstance(raw, str):  # some gateways put it in quotes
        raw = _number(raw, {})
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not 0 < raw <= _MAX_INTEGER:
        return None
    return _sound(round(Fraction(repr(raw)) * (1_000_000 if form == "unix-s" else 1000)))


def _sound(time_us: int) -> int | None:
    return time_us if _EARLIEST_US <= time_us <= _MAX_INTEGER else None


def _point_path(point: PointSpec, channel: PayloadChannel) -> Find:
    path = channel.path
    key = f"points.{point.id}.select"
    if point.select and SELECT not in path:
        raise ConfigError(f"channel '{point.channel}' has nothing to select", key=key, hint="take 'select' out")
    if any(character in point.select for character in "[]{}=.*"):
        raise ConfigError(
            f"'{point.select}' cannot be selected", key=key, hint="give the probe's Id as the message has it"
        )
    if not point.select and needs_select(path):
        raise ConfigError(f"channel '{point.channel}' needs 'select'", key=key, hint="name the probe, by its Id")
    return compile_path(path, point.select)
