"""Whose turn it is on a line: a pure choice by deadline; reads no clock and asks nobody."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

#: A failing unit waits behind those that answer for this many of its intervals; then its turn counts like theirs.
PATIENCE = 8
#: Turns shorter than this are all alike.
QUICK_US = 20_000


class Waiting(Protocol):
    """What has slots to fill: times are monotonic µs."""

    @property
    def due_us(self) -> int:
        """Its next slot."""
        ...

    @property
    def interval_us(self) -> int: ...

    @property
    def failing(self) -> bool:
        """Its unit did not answer when asked last: a turn may cost the whole time-out."""
        ...

    @property
    def waits_since_us(self) -> int:
        """The end of its last turn, or of its unit's rest."""
        ...

    @property
    def took_us(self) -> int:
        """What its turn takes, as far as known."""
        ...


_W = TypeVar("_W", bound=Waiting)


def choose(now_us: int, waiting: Iterable[_W]) -> _W | None:
    """The turn to take now, None when nothing is due.

    Earliest deadline first: a slot is to be read within half its interval. Units that fail come after those that answer,
    but not for ever (``PATIENCE``). Of equal deadlines the quicker turn comes first, by powers of two above ``QUICK_US``, so that a slow unit
    delays nobody and the order does not change from round to round; else the order is that of ``waiting``.
    """
    best: _W | None = None
    rank = (True, 0, 0)
    for one in waiting:
        due_us = one.due_us
        if due_us > now_us:
            continue
        interval_us = one.interval_us
        last = one.failing and now_us - one.waits_since_us < PATIENCE * interval_us
        its_rank = (last, due_us + interval_us // 2, (one.took_us // QUICK_US).bit_length())
        if best is None or its_rank < rank:
            best, rank = one, its_rank
    return best
