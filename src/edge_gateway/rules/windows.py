"""``window``: what the readings of a stretch of time come to, rolling or by hour and day; pure, knows no other kind.

Where too little is known of the stretch the outcome is *undecided*, which ends and fires nothing.
"""

from __future__ import annotations

from typing import Any

from edge_gateway.rules.aggregate import Pairs, Rolling, Tally, mean, merged, percentile, weighted_mean
from edge_gateway.rules.base import BoundRule, First, Step
from edge_gateway.rules.calendar import LENGTH_US, period_of
from edge_gateway.rules.measure import Joint
from edge_gateway.rules.track import BROKEN, IDLE, NOTICED, Track

#: Since this version a period in which nothing was heard is judged like any other, and one that is undecided is told.
LISTENS = 4


class WindowTrack(Joint):
    """``window``: ``fn`` over the known readings of ``window_us``, or of each civil ``period``, against low and high.

    A rolling window is judged at each instant with a reading, a period once: ``late_us`` after its end, by wall time. Where
    fewer than ``valid_share`` of the readings that were due are known, it is undecided. The second input of ``flow-mean``
    is the flow: the mean of the readings, each weighted by the flow that went with it.
    """

    __slots__ = (
        "doubtful", "expected", "floor_us", "fn", "late_us", "next_us", "pairs", "period", "periods", "rolling", "share", "valid_share",
        "whole_us",
    )  # fmt: skip

    def __init__(self, rule: BoundRule, order: int = 0) -> None:
        super().__init__(rule, order)
        terms = rule.terms
        self.fn, self.period = str(terms["fn"]), str(terms.get("period", ""))
        self.share = float(terms.get("percentile", "0")) / 100
        self.valid_share, self.late_us = float(terms.get("valid_share", "0")), int(terms.get("late_us", 0))
        length_us = LENGTH_US.get(self.period, rule.window_us)
        #: readings that are due in the whole of it; 0 when nobody knows
        self.expected = length_us / int(terms["interval_us"]) if "interval_us" in terms else 0.0
        #: values and flows of the last ``late_us``; None where none is waited for
        self.pairs = Pairs() if self.fn == "flow-mean" and self.late_us and rule.semantics > 2 else None
        self.rolling = Rolling(rule.window_us, int(terms.get("step_us", 1)), whole=self.pairs is not None)
        #: what is late and of before then is in none: it was not armed
        self.floor_us = 0
        #: periods that are not judged yet, by their beginning (wall time)
        self.periods: dict[int, Tally] = {}
        #: beginnings of those in which the clock was not vouched for
        self.doubtful: set[int] = set()
        #: since version 4: the period that is judged next, whatever was heard in it, and since when (rule time) readings were listened for
        self.next_us: int | None = None
        self.whole_us = -1

    # --- readings -----------------------------------------------------------------------------------------------

    def over(self, rule_us: int, wall_us: int) -> Step | None:
        self.instant_us = None
        if self.whole_us < 0:
            self._listen(rule_us, wall_us)
        if self.pairs is not None:
            self._pair(self.pairs, rule_us, wall_us)
        elif self.heard_us[0] == rule_us and (tally := self._taking(rule_us, wall_us)) is not None:
            self._add(tally, rule_us)
        if not self.period:
            steps = self.rolling.steps if self.pairs is None else [*self.rolling.within(rule_us), self.pairs.tally(self.fresh_us)]
            verdict = None if self._too_short(rule_us) else self._verdict(merged(steps))
            return self.undecided(rule_us, wall_us) if verdict is None else self.known(verdict, rule_us, wall_us)
        vouched = period_of(wall_us, self.period)[0] not in self.doubtful
        return self.passed(rule_us, wall_us) if vouched else None

    def _add(self, tally: Tally, rule_us: int) -> None:
        value = self.values[0]
        if value is None:
            return
        if self.fn != "flow-mean":
            tally.add(value, ranked=self.fn == "percentile")
            return
        flow = self.values[1]
        if flow is not None and rule_us - self.heard_us[1] <= self.fresh_us:
            tally.weigh(value, flow)

    def _pair(self, pairs: Pairs, rule_us: int, wall_us: int) -> None:
        """Keep this instant's value and flow; what nothing late can come between any more goes where it belongs."""
        if self.heard_us[1] == rule_us:
            pairs.flow(rule_us, self.values[1])
        value = self.values[0]
        if self.heard_us[0] == rule_us and value is not None and (not self.period or self._taking(rule_us, wall_us) is not None):
            pairs.value(rule_us, wall_us, value)
        self._settle(pairs, rule_us - self.late_us)

    def _settle(self, pairs: Pairs, before_us: int) -> None:
        for at_us, wall_us, value, flow in pairs.taken(before_us, self.fresh_us):
            tally = self.periods.get(period_of(wall_us, self.period)[0]) if self.period else self.rolling.at(at_us)
            if tally is not None:
                tally.weigh(value, flow)

    def late(self, at: int, value: float, now: tuple[int, int], own_us: int) -> None:
        """A reading of wall time ``own_us`` that comes ``now``: into the step or period where it belongs, if that is waited for still.

        The order in which late ones come changes nothing: no step begins with one. A flow-weighted mean of version 2 takes none,
        since which flow went with it is not known; of version 3 it takes values and flows that are no later than ``late_us``.
        """
        rule_us, wall_us = now
        late_us = wall_us - own_us
        at_us = min(rule_us - late_us, rule_us)
        if at_us < self.floor_us or (self.fn == "flow-mean" and (self.pairs is None or late_us > self.late_us)) or (at and self.pairs is None):
            return
        if at and self.pairs is not None:
            self.pairs.flow(at_us, value)
            return
        if self.period:
            begin_us = period_of(own_us, self.period)[0]
            if wall_us >= begin_us + LENGTH_US[self.period] + self.late_us:
                return
            tally = self.periods.setdefault(begin_us, Tally(begin_us))
            if self.pairs is None:
                tally.add(value, ranked=self.fn == "percentile")
        if self.pairs is not None:
            self.pairs.value(at_us, own_us, value)
        elif not self.period:
            steps = [step for step in self.rolling.steps if step.begin_us <= rule_us - late_us]
            if steps and late_us <= self.late_us:
                steps[-1].add(value, ranked=self.fn == "percentile")

    def _listen(self, rule_us: int, wall_us: int) -> None:
        """From here on what is not heard is missing. Before version 4 it was from the beginning of time."""
        if self.rule.semantics < LISTENS:
            self.whole_us = 0
            return
        self.whole_us = rule_us
        if self.period:
            self.next_us = period_of(wall_us, self.period)[0]
            if self.expected and (wall_us - self.next_us) * self.expected > LENGTH_US[self.period]:  # a reading was due before
                self._cut(wall_us)

    def _too_short(self, rule_us: int) -> bool:
        """Whether it did not listen long enough yet to say what share of its readings was heard."""
        return self.fn == "share" and self.rule.semantics >= LISTENS and rule_us - self.whole_us < self.rolling.window_us

    def _cut(self, wall_us: int) -> None:
        """Of this period a part was not listened for: what share of it was heard cannot be said."""
        if self.period and self.fn == "share" and self.rule.semantics >= LISTENS:
            self.distrust(wall_us)

    # --- not armed (``standing``) -----------------------------------------------------------------------------------

    def blind(self, rule_us: int, wall_us: int) -> Step | None:
        if self.pairs is not None:
            self._settle(self.pairs, rule_us + 1)
            self.pairs = Pairs()
        self._cut(wall_us)
        return super().blind(rule_us, wall_us)

    def awake(self, shadow: Track, rule_us: int, wall_us: int) -> None:
        if self.rule.semantics > 2 and self.late_us:
            self.floor_us = rule_us
        self._listen(rule_us, wall_us)

    def recalls(self, woke: tuple[int, int], rule_us: int) -> bool:
        if self.rule.semantics < LISTENS:
            return False
        if self.period:
            begin_us = self._oldest()
            return begin_us is not None and begin_us <= woke[1]
        return rule_us <= woke[0] + self.rolling.window_us + self.rolling.step_us + self.late_us

    # --- where a reading belongs ------------------------------------------------------------------------------------

    def _taking(self, rule_us: int, wall_us: int) -> Tally | None:
        """Where this instant's reading belongs; None: its period is judged already."""
        if not self.period:
            return self.rolling.at(rule_us)
        begin_us = period_of(wall_us, self.period)[0]
        if begin_us not in self.periods and (oldest_us := self._oldest()) is not None and begin_us < oldest_us:
            return None
        return self.periods.setdefault(begin_us, Tally(begin_us))

    def distrust(self, wall_us: int) -> None:
        """The clock is not vouched for: what is read now may belong into another period."""
        self.doubtful.add(period_of(wall_us, self.period)[0])

    # --- judging ------------------------------------------------------------------------------------------------

    def passed(self, rule_us: int, wall_us: int) -> Step | None:
        """Time passed: judge the oldest period whose late readings are not waited for any more."""
        for ahead_us in [each for each in self.doubtful if each > wall_us]:  # a wrong clock's: it will not come to be
            self.doubtful.discard(ahead_us)
            self.periods.pop(ahead_us, None)
        begin_us = self._oldest()
        if begin_us is None or wall_us < begin_us + LENGTH_US[self.period] + self.late_us:
            return None
        if self.pairs is not None:
            self._settle(self.pairs, rule_us - (wall_us - begin_us - LENGTH_US[self.period]))
        tally, at_us, verdict = self._closed(begin_us, wall_us), begin_us, None
        if begin_us in self.doubtful:
            self.doubtful.discard(begin_us)
            self.next_us, at_us = period_of(wall_us - self.late_us, self.period)[0], wall_us
        else:
            verdict = self._verdict(tally)
        if verdict is not None:
            return self.known(verdict, rule_us, at_us)
        if self.doubt is None and self.rule.semantics >= LISTENS:  # from its beginning on: it is told where it was long enough
            self.doubt = First(rule_us=max(rule_us - (wall_us - begin_us), 0), wall_us=begin_us, value=None)
        return self.undecided(rule_us, at_us)

    def _oldest(self) -> int | None:
        """The beginning of the period that is judged next."""
        first_us = min(self.periods, default=None)
        if self.next_us is None or self.rule.semantics < LISTENS:
            return first_us
        return self.next_us if first_us is None else min(first_us, self.next_us)

    def _closed(self, begin_us: int, wall_us: int) -> Tally:
        """What was heard in a period that is over. Where that is nothing, all until the next one with a reading are one."""
        if begin_us in self.periods:
            self.next_us = begin_us + LENGTH_US[self.period]
            return self.periods.pop(begin_us)
        self.next_us = min([*self.periods, period_of(wall_us - self.late_us, self.period)[0]])
        return Tally(begin_us)

    def _verdict(self, tally: Tally) -> float | None:
        """What these readings come to; None: they are too few."""
        known = min(tally.count / self.expected, 1.0) if self.expected else 1.0
        if self.fn == "share":
            return known
        return None if known < self.valid_share else self._value(tally)

    def _value(self, tally: Tally) -> float | None:
        match self.fn:
            case "mean":
                return mean(tally)
            case "minimum":
                return tally.least
            case "maximum":
                return tally.most
            case "percentile":
                return percentile(tally, self.share)
            case _:
                return weighted_mean(tally)

    def due_us(self) -> int | None:
        """An instant that is not judged yet may begin a delay, or be in one: somebody must look when that ends."""
        if self.instant_us is None:
            return Track.due_us(self)
        if self.phase == BROKEN:
            return None
        delays = [each for each in (self.notice_after_us, self.violation_after_us) if each]
        if self.phase == IDLE:
            return self.instant_us + min(delays) if delays else None
        after_us = self.violation_after_us if self.phase == NOTICED else self.notice_after_us
        return None if after_us is None else max(self.instant_us + 1, self.first.rule_us + after_us)

    # --- the state ----------------------------------------------------------------------------------------------

    def memory(self) -> Any:
        joint = super().memory()
        if joint is None and (self.rule.semantics < LISTENS or self.whole_us < 0):  # since when it listens counts before anything is heard
            return None
        periods = [each.state() for _, each in sorted(self.periods.items())]
        more: list[Any] = [] if self.pairs is None and not self.floor_us else [[] if self.pairs is None else self.pairs.state(), self.floor_us]
        if self.rule.semantics >= LISTENS:
            more = [*(more or [[], 0]), self.next_us, self.whole_us]
        return [joint, self.rolling.state(), periods, sorted(self.doubtful), *more]

    def recall(self, memory: Any) -> None:
        joint, steps, periods, doubtful, *more = memory
        if joint is not None:
            super().recall(joint)
        self.rolling.restore(steps)
        self.periods = {each[0]: Tally.of(each) for each in periods}
        self.doubtful = set(doubtful)
        self.next_us, self.whole_us = more[2:] if len(more) > 2 else (min(self.periods, default=None), 0)
        if more:
            held, self.floor_us = more[:2]
            self.pairs = Pairs(*held) if self.pairs is not None else None
