"""What many readings come to: exact sums, ranks, and windows that roll; bounded, JSON-able, and pure.

A sum is kept as partial sums without overlap (Shewchuk 1997), so it is the exact one, rounded once: neither the order
of readings nor where a snapshot fell between them changes a bit of it.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Iterator
from math import fsum
from typing import Any

from edge_gateway.rules.calendar import multiple_of

#: Different values that ranks are kept of; a window with more has no percentile.
MOST_RANKS = 4096
#: Readings that are kept because something late may come between them; beyond them the oldest is taken as it is.
MOST_HELD = 1024
#: Veltkamp's splitter of a double into halves of 26 bits (Dekker 1971).
_SPLITTER = 134_217_729.0


class ExactSum:
    """A sum of floats without rounding. ``value`` rounds once."""

    __slots__ = ("parts",)

    def __init__(self, parts: Iterable[float] = ()) -> None:
        self.parts = list(parts)

    def add(self, x: float) -> None:
        kept = 0
        if not x and len(self.parts) == 1:
            return
        for y in self.parts:
            larger, smaller = (x, y) if abs(x) >= abs(y) else (y, x)
            x = larger + smaller
            lost = smaller - (x - larger)
            if lost:
                self.parts[kept] = lost
                kept += 1
        self.parts[kept:] = [x]

    @property
    def value(self) -> float:
        return fsum(self.parts)


def product(x: float, y: float) -> tuple[float, ...]:
    """``x`` × ``y`` without rounding: its double, and what that lacks (Dekker 1971); for factors below 1e150."""
    whole = x * y
    if not x or x == 1.0 or not -1e150 < x < 1e150:
        return (whole,)
    x_high, y_high = _high(x), _high(y)
    x_low, y_low = x - x_high, y - y_high
    rest = x_low * y_low - (((whole - x_high * y_high) - x_low * y_high) - x_high * y_low)
    return (whole, rest) if rest else (whole,)


def _high(x: float) -> float:
    far = _SPLITTER * x
    return far - (far - x)


class Tally:
    """Readings taken together; ``weight`` is for means that are weighted."""

    __slots__ = ("begin_us", "count", "crowded", "least", "most", "ranks", "total", "weight")

    def __init__(self, begin_us: int = 0) -> None:
        self.begin_us = begin_us
        self.count = 0
        self.total, self.weight = ExactSum(), ExactSum()
        self.least: float | None = None
        self.most: float | None = None
        self.ranks: dict[float, int] = {}
        self.crowded = False

    def add(self, value: float, *, ranked: bool = False) -> None:
        """One more reading."""
        self.count += 1
        self.total.add(value)
        self.least = value if self.least is None else min(self.least, value)
        self.most = value if self.most is None else max(self.most, value)
        if ranked:
            self.ranks[value] = self.ranks.get(value, 0) + 1
            self.crowded = self.crowded or len(self.ranks) > MOST_RANKS
            if self.crowded:
                self.ranks.clear()

    def weigh(self, value: float, weight: float) -> None:
        """One more reading of a mean that is weighted."""
        self.count += 1
        self.total.add(value * weight)
        self.weight.add(weight)

    def state(self) -> list[Any]:
        """JSON-able."""
        ranks = sorted([value, count] for value, count in self.ranks.items())
        return [self.begin_us, self.count, self.total.parts, self.weight.parts, self.least, self.most, ranks, self.crowded]

    @classmethod
    def of(cls, state: list[Any]) -> Tally:
        """What ``state`` gave."""
        made = cls(state[0])
        made.count, total, weight, made.least, made.most, ranks, made.crowded = state[1:]
        made.total, made.weight = ExactSum(total), ExactSum(weight)
        made.ranks = dict(ranks)
        return made


def merged(tallies: Iterable[Tally]) -> Tally:
    """All of them as one."""
    found = Tally()
    for each in tallies:
        found.count += each.count
        for part in each.total.parts:
            found.total.add(part)
        for part in each.weight.parts:
            found.weight.add(part)
        if each.least is not None and each.most is not None:
            found.least = each.least if found.least is None else min(found.least, each.least)
            found.most = each.most if found.most is None else max(found.most, each.most)
        for value, count in each.ranks.items():
            found.ranks[value] = found.ranks.get(value, 0) + count
        found.crowded = found.crowded or each.crowded or len(found.ranks) > MOST_RANKS
    return found


def mean(tally: Tally) -> float | None:
    """The arithmetic mean; None of nothing."""
    return tally.total.value / tally.count if tally.count else None


def weighted_mean(tally: Tally) -> float | None:
    """``total`` holds value × weight: their mean by weight; None without any weight."""
    weight = tally.weight.value
    return tally.total.value / weight if weight > 0 else None


def percentile(tally: Tally, share: float) -> float | None:
    """The least value that at least ``share`` (0 … 1) of the readings do not exceed (nearest rank); None when nobody knows."""
    if tally.crowded or not tally.count:
        return None
    seen = 0
    for value in sorted(tally.ranks):
        seen += tally.ranks[value]
        if seen >= share * tally.count:
            return value
    return tally.most


class Rolling:
    """The last ``window_us`` in steps: a step begins with what comes first after the one before it is over.

    A step leaves as a whole once its beginning is older than the window: the window is between ``window_us`` and one
    step longer than it, never shorter. ``whole``: steps begin at whole multiples of their length, whatever comes first.
    """

    __slots__ = ("step_us", "steps", "whole", "window_us")

    def __init__(self, window_us: int, step_us: int, *, whole: bool = False) -> None:
        self.window_us, self.step_us, self.whole = window_us, step_us, whole
        self.steps: list[Tally] = []

    def at(self, rule_us: int) -> Tally:
        """The step that takes what comes now; steps that are over by then are let go."""
        self.drop(rule_us)
        if not self.steps or rule_us >= self.steps[-1].begin_us + self.step_us:
            self.steps.append(Tally(multiple_of(self.step_us, rule_us) if self.whole else rule_us))
        return self.steps[-1]

    def drop(self, rule_us: int) -> None:
        """Let go of what ended before the window begins."""
        gone = 0
        while gone < len(self.steps) and self.steps[gone].begin_us + self.step_us <= rule_us - self.window_us:
            gone += 1
        del self.steps[:gone]

    def within(self, rule_us: int) -> list[Tally]:
        """The steps that lie in the window which ends at ``rule_us``, at least in part."""
        first = 0
        while first < len(self.steps) and self.steps[first].begin_us + self.step_us <= rule_us - self.window_us:
            first += 1
        return self.steps[first:] if first else self.steps

    def stretches(self, since_us: int, until_us: int) -> Iterator[tuple[Tally, int]]:
        """The stretch from ``since_us`` to ``until_us``, step by step: (step, how long of it lies there)."""
        since_us = max(since_us, until_us - self.window_us - self.step_us)
        while since_us < until_us:
            step = self.at(since_us)
            end_us = min(until_us, step.begin_us + self.step_us)
            yield step, end_us - since_us
            since_us = end_us
        self.drop(until_us)

    def state(self) -> list[Any]:
        """JSON-able."""
        return [each.state() for each in self.steps]

    def restore(self, state: list[Any]) -> None:
        """Take over what ``state`` gave."""
        self.steps = [Tally.of(each) for each in state]


class Pairs:
    """Values, each with the flow that went with it, while a value or a flow may still come late; by time, at most ``MOST_HELD`` of each."""

    __slots__ = ("flows", "values")

    def __init__(self, values: Iterable[list[Any]] = (), flows: Iterable[list[Any]] = ()) -> None:
        #: [rule time, wall time, value], and [rule time, flow]; a flow of None: nobody knows it from then on
        self.values, self.flows = [list(each) for each in values], [list(each) for each in flows]

    def value(self, at_us: int, wall_us: int, value: float) -> None:
        """One more value."""
        insort(self.values, [at_us, wall_us, value])

    def flow(self, at_us: int, flow: float | None) -> None:
        """One more flow; of several at one instant the greatest counts."""
        insort(self.flows, [at_us, flow], key=lambda each: (each[0], each[1] is not None, each[1] or 0.0))
        if len(self.flows) > MOST_HELD:
            del self.flows[0]

    def taken(self, before_us: int, fresh_us: int) -> list[tuple[int, int, float, float]]:
        """What is older than ``before_us`` is given up: (rule time, wall time, value, flow) of those values that had a fresh flow."""
        count = 0
        while count < len(self.values) and (self.values[count][0] < before_us or len(self.values) - count > MOST_HELD):
            count += 1
        found = self._paired(self.values[:count], fresh_us)
        del self.values[:count]
        while len(self.flows) > 1 and self.flows[1][0] < before_us:
            del self.flows[0]
        return found

    def tally(self, fresh_us: int) -> Tally:
        """All that is kept, together."""
        found = Tally()
        for _, _, value, flow in self._paired(self.values, fresh_us):
            found.weigh(value, flow)
        return found

    def _paired(self, values: list[list[Any]], fresh_us: int) -> list[tuple[int, int, float, float]]:
        found, at = [], -1
        for rule_us, wall_us, value in values:
            while at + 1 < len(self.flows) and self.flows[at + 1][0] <= rule_us:
                at += 1
            if at >= 0 and self.flows[at][1] is not None and rule_us - self.flows[at][0] <= fresh_us:
                found.append((rule_us, wall_us, value, self.flows[at][1]))
        return found

    def state(self) -> list[Any]:
        """JSON-able: what the constructor takes."""
        return [[list(each) for each in self.values], [list(each) for each in self.flows]]
