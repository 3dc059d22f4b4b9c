"""Whose turn it is on a line: a pure choice by deadline; reads no clock and asks nobody."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar

#: A failing unit waits behind those that answer for this many of its intervals; then its turn counts like theirs.
PATIENCE = 8
#: Units that answer within this are all alike: most take 5 to 50 ms, and the order must not change from round to round.
QUICK_US = 100_000
#: When nothing is polled: look again after this.
NOTHING_US = 1_000_000


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
    def lag_us(self) -> int:
        """How long its unit lets us wait for answers, as far as known."""
        ...


_W = TypeVar("_W", bound=Waiting)


def order(now_us: int, waiting: Iterable[_W]) -> list[_W]:
    """What is due now, in the order of its turns.

    Earliest deadline first: a slot is to be read within half its interval. Units that fail come after those that answer,
    but not for ever (``PATIENCE``). Of equal deadlines the quicker unit comes first, by powers of two above ``QUICK_US``,
    so that a slow unit delays nobody and the order does not change from round to round; else the order is that of ``waiting``.
    """
    ranked = []
    for number, one in enumerate(waiting):
        due_us = one.due_us
        if due_us > now_us:
            continue
        interval_us = one.interval_us
        last = one.failing and now_us - one.waits_since_us < PATIENCE * interval_us
        slow = (one.lag_us // QUICK_US).bit_length()
        ranked.append((last, due_us + interval_us // 2, slow, number, one))
    ranked.sort(key=lambda item: item[:4])
    return [item[4] for item in ranked]


class Rota(Generic[_W]):
    """The turns of a line: chosen anew when another slot has come due, or one is to be missed, or ranks have changed.

    In between each turn costs nothing: with 250 units behind one endpoint looking at all for each would cost more than polling.
    """

    def __init__(self) -> None:
        self._turns: list[_W] = []
        #: when it has to be chosen anew
        self.look_us = 0

    def disturb(self) -> None:
        """Ranks or slots have changed otherwise than by a turn that went well."""
        self.look_us = 0

    def choose(self, now_us: int, waiting: Iterable[_W]) -> None:
        """See ``order``."""
        due: list[_W] = []
        look_us = 0
        for one in waiting:
            its_us = one.due_us
            if its_us <= now_us:
                due.append(one)
                its_us += one.interval_us
            if not look_us or its_us < look_us:
                look_us = its_us
        self._turns = due if len(due) < 2 else order(now_us, due)[::-1]
        self.look_us = look_us or now_us + NOTHING_US

    @property
    def waits(self) -> bool:
        """Whether somebody's turn is left of the last choice."""
        return bool(self._turns)

    def next(self) -> _W | None:
        """Whose turn it is; None when nobody waits."""
        return self._turns.pop() if self._turns else None
