"""``exposure``: minutes, or degree-minutes, beyond a limit within the last so many hours; pure, knows no other kind.

Where too little was seen to decide the outcome is *undecided*, which ends and fires nothing.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator
from itertools import pairwise
from math import fsum
from typing import Any

from edge_gateway.rules.aggregate import MOST_HELD, ExactSum, Rolling, merged, product
from edge_gateway.rules.base import BoundRule, Step
from edge_gateway.rules.measure import Measured
from edge_gateway.rules.track import GREATEST, IDLE, Track

_US_PER_MINUTE = 60_000_000


class ExposureTrack(Measured):
    """``exposure``: minutes, or degree-minutes, beyond a limit within the last ``window_us``.

    What readings say is the least that it can be, what nobody saw is added to the most: violated when the least passes,
    undecided while only the most does. Readings judge, time alone does not. ``unknown_excess`` is how far beyond the limit an unseen minute is taken to have been.

    The last ``late_us`` are not accounted for yet: a reading that comes late by its own time goes where it belongs there.
    """

    __slots__ = ("beyond_high", "beyond_low", "calm_us", "degrees", "held", "late_us", "newest", "rolling", "sums", "sums_from", "unknown_excess", "until_us")

    def __init__(self, rule: BoundRule, order: int = 0) -> None:
        super().__init__(rule, order)
        terms = rule.terms
        self.beyond_low = float(terms["beyond_low"]) if "beyond_low" in terms else -GREATEST
        self.beyond_high = float(terms["beyond_high"]) if "beyond_high" in terms else GREATEST
        self.degrees = terms["of"] == "degree-minutes"
        self.unknown_excess = float(terms.get("unknown_excess", "1"))
        self.late_us = int(terms.get("late_us", 0))
        #: ``total``: the least; ``weight``: what nobody saw. Both in µs, or unit × µs
        self.rolling = Rolling(rule.window_us, int(terms["step_us"]), whole=rule.semantics > 2)
        #: readings by time; the first of them speaks at ``until_us``, up to which all is accounted for
        self.held: list[tuple[int, float | None]] = []
        self.until_us = 0
        #: ``total`` and ``weight`` of all steps that lie in the window, and the first of these
        self.sums, self.sums_from = (ExactSum(), ExactSum()), -1
        #: all that is held, and the newest that ``goes_on`` took since, is within the limit and fresh one after the other; nothing goes on
        #: until when that lasts at most; 0: something goes on
        self.calm_us, self.newest = 0, (0, 0.0)

    # --- readings -----------------------------------------------------------------------------------------------

    def goes_on(self, value: float, rule_us: int) -> bool:
        """While all is calm a reading within the limit is worth nothing: such readings are settled together, once a step."""
        since_us = rule_us - self.newest[0]
        if rule_us >= self.calm_us or since_us > self.fresh_us or not self.beyond_low <= value <= self.beyond_high:
            return False
        if self.late_us:
            if since_us == 0 or len(self.held) >= MOST_HELD:
                return False
            self.held.append((rule_us, value))
        self.newest = rule_us, value
        return True

    def _catch_up(self) -> None:
        """What ``goes_on`` took goes where ``observe`` would have brought it."""
        if not self.calm_us:
            return
        self.calm_us = 0
        if not self.late_us:
            self.held.append(self.newest)
        until_us = self.newest[0] - self.late_us
        if until_us >= self.until_us:
            for step, _ in self.rolling.stretches(self.until_us, until_us):
                step.total.add(0.0)
            self.rolling.drop(max((at_us for at_us, _ in self.held[:-1]), default=0))
            self.until_us = until_us
            self._prune()

    def _is_calm(self) -> bool:
        if self.phase != IDLE or self.doubt is not None or any(value is None or self._excess(value) > 0 for _, value in self.held):
            return False
        return all(later[0] - each[0] <= self.fresh_us for each, later in pairwise(self.held))

    def observe(self, at: int, value: float | None, rule_us: int, wall_us: int) -> Step | None:
        self._catch_up()
        if self.held:
            self._settle(rule_us - self.late_us)
        else:
            self.until_us = rule_us
        self._put(rule_us, value)
        least, most = self.between()
        if least > self.high or most <= self.high:
            step = self.known(least, rule_us, wall_us)
            if most <= self.high and value is not None and self._is_calm():
                self.calm_us, self.newest = self.until_us + self.late_us + self.rolling.step_us, (rule_us, value)
            return step
        return self.undecided(rule_us, wall_us)

    def late(self, at: int, value: float, now: tuple[int, int], own_us: int) -> None:
        """A reading of wall time ``own_us`` that comes ``now``: it speaks from then to the next one, if that time is not accounted for yet."""
        self._catch_up()
        rule_us, late_us = now[0], now[1] - own_us
        at_us = min(rule_us - late_us, rule_us)
        if self.held and late_us <= self.late_us and at_us >= self.until_us and at_us >= self.held[0][0]:
            self._put(at_us, value)

    def _put(self, at_us: int, value: float | None) -> None:
        """One more reading; of several at one instant the one furthest beyond speaks, and none that is unknown."""
        if self.late_us:
            insort(self.held, (at_us, value), key=self._rank)
        else:
            self.held.append((at_us, value))
        if len(self.held) > MOST_HELD:
            self._settle(self.held[1][0])
        self._prune()

    def _rank(self, reading: tuple[int, float | None]) -> tuple[int, float, float]:
        at_us, value = reading
        return (at_us, -1.0, 0.0) if value is None else (at_us, self._excess(value), value)

    def blind(self, rule_us: int, wall_us: int) -> Step | None:
        self._unseen_from(rule_us)
        return super().blind(rule_us, wall_us)

    def awake(self, shadow: Track, rule_us: int, wall_us: int) -> None:
        if self.late_us:  # what comes late of the time before is in none
            self._unseen_from(rule_us)

    def recalls(self, woke: tuple[int, int], rule_us: int) -> bool:
        return self.rule.semantics > 3 and rule_us <= woke[0] + self.rolling.window_us + self.rolling.step_us

    def _unseen_from(self, rule_us: int) -> None:
        self._catch_up()
        if self.held:
            self._settle(rule_us)
            self.held = [(rule_us, None)]

    # --- what it comes to ---------------------------------------------------------------------------------------

    def between(self) -> tuple[float, float]:
        """The least and the most that it can be, in minutes or degree-minutes."""
        now_us = self.held[-1][0] if self.held else self.until_us
        steps = self.rolling.within(now_us)
        begins = steps[0].begin_us if steps else -1
        if begins != self.sums_from:
            whole = merged(steps)
            self.sums, self.sums_from = (whole.total, whole.weight), begins
        least, unseen = ([*each.parts] for each in self.sums)
        if now_us > self.until_us:
            for since_us, until_us, value in self._stretches(now_us):
                (unseen if value is None else least).extend(self._worth(value, until_us - since_us))
        least_min = fsum(least) / _US_PER_MINUTE
        return least_min, least_min + fsum(unseen) / _US_PER_MINUTE

    def _settle(self, until_us: int) -> None:
        """Nothing that comes later changes the time before ``until_us``: into the steps."""
        if until_us < self.until_us:
            return
        for since_us, end_us, value in self._stretches(until_us):
            for step, length_us in self.rolling.stretches(since_us, end_us):
                for part in self._worth(value, length_us):
                    (step.weight if value is None else step.total).add(part)
                    if part and step.begin_us >= self.sums_from >= 0:
                        self.sums[value is None].add(part)
        self.until_us = until_us
        self._prune()

    def _prune(self) -> None:
        while len(self.held) > 1 and self.held[1][0] <= self.until_us:
            del self.held[0]

    def _stretches(self, until_us: int) -> Iterator[tuple[int, int, float | None]]:
        """From ``self.until_us`` on: each reading speaks until the next, and no longer than it is fresh; nobody saw the rest: None."""
        for n, (at_us, value) in enumerate(self.held):
            begin_us = max(at_us, self.until_us)
            end_us = min(until_us, self.held[n + 1][0]) if n + 1 < len(self.held) else until_us
            spoke_us = begin_us
            if value is not None:
                spoke_us = max(begin_us, min(end_us, at_us + self.fresh_us))
                yield begin_us, spoke_us, value
            yield spoke_us, end_us, None

    def _worth(self, value: float | None, length_us: int) -> tuple[float, ...]:
        """A stretch's share; since version 3 without rounding, so that it does not matter how time is cut."""
        if value is None:
            worth = self.unknown_excess if self.degrees else 1.0
        else:
            excess = self._excess(value)
            worth = excess if self.degrees else 1.0 if excess > 0 else 0.0
        return (worth * length_us,) if self.rule.semantics < 3 else product(worth, length_us)

    def _excess(self, value: float) -> float:
        return max(value - self.beyond_high, self.beyond_low - value, 0.0)

    # --- the state ----------------------------------------------------------------------------------------------

    def memory(self) -> Any:
        """Steps, the newest reading, until when is accounted for; and the readings before the newest where something late is waited for."""
        self._catch_up()
        if not self.held:
            return None
        held = [list(each) for each in self.held]
        return [self.rolling.state(), held[-1], self.until_us, *([held[:-1]] if len(held) > 1 and self.late_us else [])]

    def recall(self, memory: Any) -> None:
        steps, said, self.until_us, *more = memory
        self.rolling.restore(steps)
        self.held = [(at_us, value) for at_us, value in [*(more[0] if more else []), said]]
        self.sums_from, self.calm_us = -1, 0
