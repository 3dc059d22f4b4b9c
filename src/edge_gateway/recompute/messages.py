"""A broker's message to its values again, by the profile in force; whether it waited at the broker the record alone knows."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Sequence
from typing import Any

from edge_gateway.profiles.payload import Columns, PayloadReader, Unparsed
from edge_gateway.profiles.spec import DeviceSpec
from edge_gateway.reading import BAD_UNPARSED, GOOD, UNCERTAIN_FUTURE, UNCERTAIN_LATE, UNCERTAIN_QUEUED
from edge_gateway.recompute.base import HASH_ONLY, UNREAD, Body, Derived, Unknown, reading_of

#: A message's own time further ahead than this is doubted (µs), where the clock is trusted.
FUTURE_US = 60_000_000


class Messages:
    """One group of an MQTT device; ``device`` has the group's points only."""

    name = "messages"

    def __init__(self, device: DeviceSpec) -> None:
        self._reader = PayloadReader(device)
        self._topic = device.topic
        self._width = len(device.points)
        self._read: Columns | None = None

    def derive(self, body: Body) -> Sequence[Derived]:
        """See ``base.Kind``."""
        self._read = None
        if "message" not in body:
            return [UNREAD] * self._width
        payload = payload_of(body)
        if payload is None:
            return [Unknown(HASH_ONLY)] * self._width
        try:
            self._read = read = self._reader.read(payload)
        except Unparsed:
            return [(None, BAD_UNPARSED)] * self._width
        found = zip(read.values, read.quality or [GOOD] * self._width, strict=True)
        return [_doubted(reading, body, column) for column, reading in enumerate(found)]

    def doubt(self, body: Body, column: int) -> str:
        """A message says what it says."""
        return ""

    def also(self, body: Body) -> tuple[str, Any, Any] | None:
        """The topic is the device's, and the message's own time stands in it."""
        message = body.get("message", {"topic": ""})
        if message["topic"] != self._topic:
            return "message.topic", message["topic"], self._topic
        if self._read is not None and message.get("time_us") != self._read.time_us:
            return "message.time_us", message.get("time_us"), self._read.time_us
        return None


def _doubted(derived: tuple[Any, str], body: Body, column: int) -> Derived:
    """A good reading may have been doubted for its time: without a time of its own, or with one from the future."""
    told = reading_of(body, column)[1]
    time_us = body["message"].get("time_us")
    ahead = time_us is not None and time_us - body["wall_us"] > FUTURE_US
    if told == UNCERTAIN_LATE and time_us is not None and (derived[1] == GOOD or derived[1].startswith("uncertain")):
        return derived[0], told  # whoever judges it again says whether it came late
    if derived[1] == GOOD and ((told == UNCERTAIN_QUEUED and time_us is None) or (told == UNCERTAIN_FUTURE and ahead)):
        return derived[0], told
    return derived


def payload_of(body: Body) -> bytes | None:
    """The message's payload; None where only its hash was kept. Raises KeyError when there is no message."""
    message = body["message"]
    if "payload" in message:
        return str(message["payload"]).encode()
    return b64decode(message["payload_base64"]) if "payload_base64" in message else None
