"""What a pack says of itself, as bytes and back: bounded and checked for form; believes nothing of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from edge_gateway.evidence.zipped import Malformed
from edge_gateway.record.entry import MAX_INTEGER, has_only_integers

FORMAT = "edge-gateway/evidence-pack/1"
MAX_MANIFEST_BYTES = 16 * 1024 * 1024
#: More than an epoch of 2⁵³ entries with some checkpoints needs for what is left out.
MAX_GIVEN, MAX_EPOCHS = 200_000, 10_000
_EPOCH = re.compile(r"[0-9a-f]{16}\Z")
_ROOT = re.compile(r"[0-9a-f]{64}\Z")


class NewerFormat(Exception):
    """Made by a later release, in a form that this one does not know."""


@dataclass(frozen=True, slots=True)
class Given:
    """A subtree whose entries are not in the pack: ``count`` (a power of two) leaves from ``first`` on, and its root.

    ``root`` None: the maker does not know it any more; then ``count`` is any number, and no root behind it is known.
    """

    first: int
    count: int
    root: bytes | None


@dataclass(frozen=True, slots=True)
class Part:
    """An epoch as far as the pack goes: its tree has ``size`` entries, ``given`` stands for those that are not here."""

    epoch: str
    size: int
    given: tuple[Given, ...]


@dataclass(frozen=True, slots=True)
class Claim:
    """For which wall times (µs, end excluded) the pack says it is complete; ``points`` and ``violation`` only choose tables."""

    from_us: int
    to_us: int
    points: tuple[str, ...] | None = None
    violation: str | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """``about`` holds what no verification needs: site, time of making, what it does not prove."""

    gateway: str
    origin: str
    claim: Claim | None
    epochs: tuple[Part, ...]
    about: Mapping[str, Any]

    def __bytes__(self) -> bytes:
        claim = self.claim and {
            "from_us": self.claim.from_us,
            "to_us": self.claim.to_us,
            "points": self.claim.points,
            "violation": self.claim.violation,
        }
        epochs = [
            {"epoch": each.epoch, "size": each.size, "given": [[g.first, g.count, g.root and g.root.hex()] for g in each.given]}
            for each in self.epochs
        ]
        head = {"format": FORMAT, "gateway": self.gateway, "origin": self.origin, "claim": claim, "epochs": epochs}
        return orjson.dumps(head | dict(self.about), option=orjson.OPT_INDENT_2) + b"\n"

    @classmethod
    def parse(cls, data: bytes) -> Manifest:
        """Raises Malformed, NewerFormat."""
        try:
            body = orjson.loads(data)
            form = body["format"]
            if form != FORMAT and isinstance(form, str):
                raise NewerFormat(form)
            if form != FORMAT:
                raise ValueError("no format")
            if not has_only_integers(body):
                raise ValueError("a number that is no integer")
            claim = None if body["claim"] is None else _claim(body["claim"])
            epochs = tuple(_part(each) for each in _several(body["epochs"], MAX_EPOCHS))
            if len({each.epoch for each in epochs}) != len(epochs):
                raise ValueError("an epoch stands there twice")
            return cls(_text(body["gateway"]), _text(body["origin"]), claim, epochs, body)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Malformed(f"manifest.json cannot be read: {error}") from error


def _part(body: Any) -> Part:
    if not _EPOCH.match(_text(body["epoch"])):
        raise ValueError("no epoch's name")
    given = tuple(_given(*each) for each in _several(body["given"], MAX_GIVEN))
    return Part(body["epoch"], _integer(body["size"], 0), given)


def _given(first: Any, count: Any, root: Any) -> Given:
    first, count = _integer(first, 0), _integer(count, 1)
    if root is None:
        return Given(first, count, None)
    if count & (count - 1) or first % count or not _ROOT.match(_text(root)):
        raise ValueError(f"{first}, {count} is no subtree with a root")
    return Given(first, count, bytes.fromhex(root))


def _claim(body: Any) -> Claim:
    points, violation = body.get("points"), body.get("violation")
    shown = None if points is None else tuple(_text(each) for each in _several(points, MAX_EPOCHS))
    return Claim(_integer(body["from_us"]), _integer(body["to_us"]), shown, None if violation is None else _text(violation))


def _integer(value: Any, least: int = -MAX_INTEGER) -> int:
    if type(value) is not int or not least <= value <= MAX_INTEGER:
        raise ValueError(f"{value!r} is no such number")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _several(value: Any, most: int) -> Sequence[Any]:
    if not isinstance(value, list) or len(value) > most:
        raise ValueError("a list is missing or too long")
    return value
