"""Which message profiles a payload fits: how many of a profile's channels it tells well; pure, asks nobody.

``score`` is the share of the profile's channels that are in the payload and within range. A plain number fits every plain
profile alike: it is no evidence, and its score stays below what is taken for a name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from edge_gateway.errors import ConfigError
from edge_gateway.profiles.match import Shown
from edge_gateway.profiles.model import PayloadProfile
from edge_gateway.profiles.payload import PayloadReader, Unparsed
from edge_gateway.profiles.spec import DeviceSpec, PointSpec
from edge_gateway.reading import GOOD

#: A plain number's score, and how many probes' names are looked for in one payload.
PLAIN_SCORE, MOST_SELECTS = 0.2, 16
MOST_MATCHES = 5


@dataclass(frozen=True, slots=True)
class MessageMatch:
    """A profile that fits. ``select``: the probe that was found, where the profile tells several apart."""

    profile: str
    name_zh: str
    name_en: str
    score: float
    select: str
    values: tuple[Shown, ...]


def matches(profiles: Iterable[PayloadProfile], payload: bytes) -> list[MessageMatch]:
    """What fits, the best first; of equal ones that with more channels."""
    selects = list(_texts(payload))
    found = [match for profile in profiles for match in _best(profile, payload, selects)]
    return sorted(found, key=lambda match: (-match.score, -len(match.values), match.profile))[:MOST_MATCHES]


def _best(profile: PayloadProfile, payload: bytes, selects: list[str]) -> Iterator[MessageMatch]:
    needs = any("{select}" in channel.path for channel in profile.channels.values())
    tried = [_match(profile, payload, select) for select in (["", *selects] if needs else [""])]
    fitting = [match for match in tried if match is not None]
    if fitting:
        yield max(fitting, key=lambda match: match.score)


def _match(profile: PayloadProfile, payload: bytes, select: str) -> MessageMatch | None:
    points = tuple(
        PointSpec(id=name, channel=name, select=select if "{select}" in channel.path else "")
        for name, channel in profile.channels.items()
    )
    try:
        read = PayloadReader(DeviceSpec(id="look", profile=profile, points=points, topic="look")).read(payload)
    except (Unparsed, ConfigError):
        return None
    marks = read.quality or [GOOD] * len(read.values)
    shown = [
        Shown(name, value, mark, c.quantity, c.unit, c.decimals, c.name_zh, c.name_en)
        for (name, c), value, mark in zip(profile.channels.items(), read.values, marks, strict=True)
        if mark == GOOD and value is not None
    ]
    if not shown:
        return None
    score = PLAIN_SCORE if profile.payload.format == "plain" else len(shown) / len(profile.channels)
    return MessageMatch(profile.id, profile.name_zh, profile.name_en, score, select, tuple(shown))


def _texts(payload: bytes) -> Iterator[str]:
    """Texts in a JSON payload that could name a probe, at most ``MOST_SELECTS``."""
    try:
        content = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return
    left, waiting = MOST_SELECTS, [content]
    while waiting and left:
        one: Any = waiting.pop()
        if isinstance(one, dict):
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one[:MOST_SELECTS]
        elif isinstance(one, str) and 0 < len(one) <= 64:
            left -= 1
            yield one
