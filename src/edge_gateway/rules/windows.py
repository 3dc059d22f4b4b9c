"""``window``: what the readings of a stretch of time come to, rolling or by hour and day; pure, knows no other kind.

Where too little is known of the stretch the outcome is *undecided*, which ends and fires nothing.
"""

from __future__ import annotations

from typing import Any

from edge_gateway.rules.aggregate import Pairs, Rolling, Tally, mean, merged, percentile, weighted_mean
from edge_gateway.rules.base import BoundRule, Step
from edge_gateway.rules.calendar import LENGTH_US, period_of
from edge_gateway.rules.measure import Joint
from edge_gateway.rules.track import BROKEN, IDLE, NOTICED, Track


class WindowTrack(Joint):
    """``window``: ``fn`` over the known readings of ``window_us``, or of each civil ``period``, against low and high.

    A rolling window is judged at each instant with a reading, a period once: ``late_us`` after its end, by wall time. Where
    fewer than ``valid_share`` of the readings that were due are known, it is undecided. The second input of ``flow-mean``
    is the flow: the mean of the readings, each weighted by the flow that went with it.
    """

    __slots__ = ("doubtful", "expected", "floor_us", "fn", "late_us", "pairs", "period", "periods", "rolling", "share", "valid_share")

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

    # --- readings -----------------------------------------------------------------------------------------------

    def over(self, rule_us: int, wall_us: int) -> Step | None:
        self.instant_us = None
        if self.pairs is not None:
            self._pair(self.pairs, rule_us, wall_us)
        elif self.heard_us[0] == rule_us and (tally := self._taking(rule_us, wall_us)) is not None:
            self._add(tally, rule_us)
        if not self.period:
            steps = self.rolling.steps if self.pairs is None else [*self.rolling.within(rule_us), self.pairs.tally(self.fresh_us)]
            return self._judge(merged(steps), (rule_us, wall_us))
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

    def blind(self, rule_us: int, wall_us: int) -> Step | None:
        if self.pairs is not None:
            self._settle(self.pairs, rule_us + 1)
            self.pairs = Pairs()
        return super().blind(rule_us, wall_us)

    def awake(self, shadow: Track, rule_us: int, wall_us: int) -> None:
        if self.rule.semantics > 2 and self.late_us:
            self.floor_us = rule_us

    def _taking(self, rule_us: int, wall_us: int) -> Tally | None:
        """Where this instant's reading belongs; None: its period is judged already."""
        if not self.period:
            return self.rolling.at(rule_us)
        begin_us = period_of(wall_us, self.period)[0]
        if begin_us not in self.periods and self.periods and begin_us < min(self.periods):
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
        begin_us = min(self.periods, default=None)
        if begin_us is None or wall_us < begin_us + LENGTH_US[self.period] + self.late_us:
            return None
        if self.pairs is not None:
            self._settle(self.pairs, rule_us - (wall_us - begin_us - LENGTH_US[self.period]))
        tally = self.periods.pop(begin_us)
        if begin_us in self.doubtful:
            self.doubtful.discard(begin_us)
            return self.undecided(rule_us, wall_us)
        return self._judge(tally, (rule_us, begin_us))

    def _judge(self, tally: Tally, now: tuple[int, int]) -> Step | None:
        known = min(tally.count / self.expected, 1.0) if self.expected else 1.0
        value = known if self.fn == "share" else self._value(tally)
        if value is None or (known < self.valid_share and self.fn != "share"):
            return self.undecided(*now)
        return self.known(value, *now)

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
        if (joint := super().memory()) is None:
            return None
        periods = [each.state() for _, each in sorted(self.periods.items())]
        more = [] if self.pairs is None and not self.floor_us else [[] if self.pairs is None else self.pairs.state(), self.floor_us]
        return [joint, self.rolling.state(), periods, sorted(self.doubtful), *more]

    def recall(self, memory: Any) -> None:
        joint, steps, periods, doubtful, *more = memory
        super().recall(joint)
        self.rolling.restore(steps)
        self.periods = {each[0]: Tally.of(each) for each in periods}
        self.doubtful = set(doubtful)
        if more:
            held, self.floor_us = more
            self.pairs = Pairs(*held) if self.pairs is not None else None
