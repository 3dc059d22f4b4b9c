"""Register bytes of a batch to its values again, by the profile in force and without the plan that asked for them.

The record holds each answer's bytes with its function and first register, not which request meant which point. A point's
value stands in an answer that covers all its registers. Where several do (a request widened over registers that another
asks for), it is the one that begins last, of those the shortest: a difference that another of them explains is undecided.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

from edge_gateway.profiles.decode import Columns, decoder
from edge_gateway.profiles.model import RegisterChannel
from edge_gateway.profiles.plan import Field, PlannedBlock
from edge_gateway.reading import (
    BAD_BUSY,
    BAD_FRAME,
    BAD_GATEWAY,
    BAD_LINK_DOWN,
    BAD_NO_ANSWER,
    BAD_REFUSED,
    GOOD,
)
from edge_gateway.recompute.base import OVERLAP, UNREAD, Body, Derived, reading_of

#: Qualities of a reading for which no bytes came.
NO_BYTES = frozenset({BAD_NO_ANSWER, BAD_LINK_DOWN, BAD_FRAME, BAD_REFUSED, BAD_BUSY, BAD_GATEWAY})
#: Shapes of answers that are remembered.
_MOST_SHAPES = 256

#: For each answer that is used: its place in ``raw``, which columns it gives, and how.
_Shape = list[tuple[int, tuple[int, ...], Callable[[bytes], Columns]]]


class Registers:
    """One poll group of a Modbus device. ``channels``: of its points, in the order of the columns."""

    name = "registers"

    def __init__(self, unit: int, channels: Sequence[RegisterChannel]) -> None:
        self._unit = unit
        self._channels = tuple(channels)
        self._shapes: dict[tuple[Any, ...], _Shape] = {}

    def derive(self, body: Body) -> Sequence[Derived]:
        """See ``base.Kind``."""
        raw = body.get("raw", ())
        key = tuple(chain.from_iterable((block[0], block[1], block[2], len(block[3])) for block in raw))
        shape = self._shapes.get(key)
        if shape is None:
            if len(self._shapes) >= _MOST_SHAPES:
                self._shapes.clear()
            shape = self._shapes[key] = self._shape(raw)
        found: list[Derived] = [UNREAD] * len(self._channels)
        for index, columns, decode in shape:
            values, quality = decode(bytes.fromhex(raw[index][3]))
            for column, value, mark in zip(columns, values, quality or [GOOD] * len(values), strict=True):
                found[column] = value, mark
        return found

    def _shape(self, raw: Sequence[Sequence[Any]]) -> _Shape:
        wanted: dict[int, list[int]] = {}
        for column in range(len(self._channels)):
            if holding := self._holding(raw, column):
                wanted.setdefault(holding[0], []).append(column)
        return [(index, tuple(columns), self._decoder(raw[index], columns)) for index, columns in wanted.items()]

    def _holding(self, raw: Sequence[Sequence[Any]], column: int) -> list[int]:
        """Which answers hold all of a column, the likeliest first."""
        channel = self._channels[column]
        first, end = channel.register_, channel.register_ + channel.width
        found = []
        for index, (unit, function, start, data, *_) in enumerate(raw):
            length = len(data) * 4 if function <= 2 else len(data) // 4  # two hex digits a byte: 8 bits, or half a register
            if (unit, function) == (self._unit, channel.function) and start <= first and end <= start + length:
                found.append((-start, length, index))
        return [index for _, _, index in sorted(found)]

    def _decoder(self, block: Sequence[Any], columns: Sequence[int]) -> Callable[[bytes], Columns]:
        unit, function, start, data = block[:4]
        count = len(data) * 4 if function <= 2 else len(data) // 4
        fields = tuple(Field(column, self._channels[column].register_ - start, self._channels[column]) for column in columns)
        return decoder(PlannedBlock(unit, function, start, count, fields))

    def doubt(self, body: Body, column: int) -> str:
        """Another answer's bytes give what was journaled; or none was meant for it, and one reaches over it at its edge."""
        raw, told = body.get("raw", ()), reading_of(body, column)
        for index in self._holding(raw, column)[1:]:
            values, quality = self._decoder(raw[index], [column])(bytes.fromhex(raw[index][3]))
            if (values[0], quality[0] if quality else GOOD) == told:
                return OVERLAP
        return OVERLAP if told[0] is None and told[1] in NO_BYTES and self._reached_over(body, column) else ""

    def _reached_over(self, body: Body, column: int) -> bool:
        """Does the answer reach to this column from others, all on one side? A request is widened at its ends only."""
        raw = body["raw"]
        index = self._holding(raw, column)[0]
        mine = self._channels[column]
        others = [
            channel
            for other, channel in enumerate(self._channels)
            if other != column and self._holding(raw, other)[:1] == [index] and reading_of(body, other)[1] not in NO_BYTES
        ]
        first, end = mine.register_, mine.register_ + mine.width
        before = all(end <= channel.register_ for channel in others)
        return bool(others) and (before or all(channel.register_ + channel.width <= first for channel in others))

    def also(self, body: Body) -> tuple[str, Any, Any] | None:
        """Nothing else is derived."""
        return None

