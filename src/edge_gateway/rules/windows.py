"""Kinds over a stretch of time: ``window`` (what readings come to, rolling or by hour and day) and ``exposure`` (time beyond a limit); pure.

Where too little is known of the stretch the outcome is *undecided*, which ends and fires nothing.
"""

from __future__ import annotations

from typing import Any

from edge_gateway.rules.aggregate import Rolling, Tally, mean, merged, percentile, weighted_mean
from edge_gateway.rules.base import BoundRule, Step
from edge_gateway.rules.calendar import LENGTH_US, period_of
from edge_gateway.rules.measure import Joint, Measured
from edge_gateway.rules.track import BROKEN, GREATEST, IDLE, NOTICED, Track

_US_PER_MINUTE = 60_000_000


class WindowTrack(Joint):
    """``window``: ``fn`` over the known readings of ``window_us``, or of each civil ``period``, against low and high.

    A rolling window is judged at each instant with a reading, a period once: ``late_us`` after its end, by wall time. Where
    fewer than ``valid_share`` of the readings that were due are known, it is undecided. The second input of ``flow-mean``
    is the flow: the mean of the readings, each weighted by the flow that went with it.
    """

    __slots__ = ("doubtful", "expected", "fn", "late_us", "period", "periods", "rolling", "share", "valid_share")

    def __init__(self, rule: BoundRule, order: int = 0) -> None:
        super().__init__(rule, order)
        terms = rule.terms
        self.fn, self.period = str(terms["fn"]), str(terms.get("period", ""))
        self.share = float(terms.get("percentile", "0")) / 100
        self.valid_share, self.late_us = float(terms.get("valid_share", "0")), int(terms.get("late_us", 0))
        length_us = LENGTH_US.get(self.period, rule.window_us)
        #: readings that are due in the whole of it; 0 when nobody knows
        self.expected = length_us / int(terms["interval_us"]) if "interval_us" in terms else 0.0
        self.rolling = Rolling(rule.window_us, int(terms.get("step_us", 1)))
        #: periods that are not judged yet, by their beginning (wall time)
        self.periods: dict[int, Tally] = {}
        #: beginnings of those in which the clock was not vouched for
        self.doubtful: set[int] = set()

    # --- readings -----------------------------------------------------------------------------------------------

    def over(self, rule_us: int, wall_us: int) -> Step | None:
        self.instant_us = None
        if self.heard_us[0] == rule_us and (tally := self._taking(rule_us, wall_us)) is not None:
            self._add(tally, rule_us)
        if not self.period:
            return self._judge(merged(self.rolling.steps), (rule_us, wall_us))
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
            tally.count += 1
            tally.total.add(value * flow)
            tally.weight.add(flow)

    def late(self, at: int, value: float, now: tuple[int, int], own_us: int) -> None:
        """A reading of wall time ``own_us`` that comes ``now``: into the step or period where it belongs, if that is waited for still.

        The order in which late ones come changes nothing: no step begins with one. A flow-weighted mean takes none: which flow
        went with it is not known.
        """
        rule_us, wall_us = now
        if at or self.fn == "flow-mean":
            return
        if self.period:
            begin_us = period_of(own_us, self.period)[0]
            if wall_us < begin_us + LENGTH_US[self.period] + self.late_us:
                self.periods.setdefault(begin_us, Tally(begin_us)).add(value, ranked=self.fn == "percentile")
            return
        late_us = wall_us - own_us
        steps = [step for step in self.rolling.steps if step.begin_us <= rule_us - late_us]
        if steps and late_us <= self.late_us:
            steps[-1].add(value, ranked=self.fn == "percentile")

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
        return [joint, self.rolling.state(), periods, sorted(self.doubtful)]

    def recall(self, memory: Any) -> None:
        joint, steps, periods, doubtful = memory
        super().recall(joint)
        self.rolling.restore(steps)
        self.periods = {each[0]: Tally.of(each) for each in periods}
        self.doubtful = set(doubtful)


class ExposureTrack(Measured):
    """``exposure``: minutes, or degree-minutes, beyond a limit within the last ``window_us``.

    What readings say is the least that it can be, what nobody saw is added to the most: violated when the least passes,
    undecided while only the most does. Readings judge, time alone does not. ``unknown_excess`` is how far beyond the limit an unseen minute is taken to have been.
    """

    __slots__ = ("beyond_high", "beyond_low", "degrees", "rolling", "said", "unknown_excess", "until_us")

    def __init__(self, rule: BoundRule, order: int = 0) -> None:
        super().__init__(rule, order)
        terms = rule.terms
        self.beyond_low = float(terms["beyond_low"]) if "beyond_low" in terms else -GREATEST
        self.beyond_high = float(terms["beyond_high"]) if "beyond_high" in terms else GREATEST
        self.degrees = terms["of"] == "degree-minutes"
        self.unknown_excess = float(terms.get("unknown_excess", "1"))
        #: ``total``: the least; ``weight``: what nobody saw. Both in µs, or unit × µs
        self.rolling = Rolling(rule.window_us, int(terms["step_us"]))
        self.said: tuple[int, float | None] | None = None  # the last reading
        self.until_us = 0  # accounted for until then

    def observe(self, at: int, value: float | None, rule_us: int, wall_us: int) -> Step | None:
        self._account(rule_us)
        self.said, self.until_us = (rule_us, value), rule_us
        least, most = self.between()
        if least > self.high or most <= self.high:
            return self.known(least, rule_us, wall_us)
        return self.undecided(rule_us, wall_us)

    def blind(self, rule_us: int, wall_us: int) -> Step | None:
        self._account(rule_us)
        self.said = None if self.said is None else (rule_us, None)
        return super().blind(rule_us, wall_us)

    def between(self) -> tuple[float, float]:
        """The least and the most that it can be, in minutes or degree-minutes."""
        found = merged(self.rolling.steps)
        least = found.total.value / _US_PER_MINUTE
        return least, least + found.weight.value / _US_PER_MINUTE

    def _account(self, rule_us: int) -> None:
        """Until now: the last reading spoke while it was fresh, nobody saw the rest."""
        if self.said is None:
            return
        said_us, value = self.said
        spoke_us = self.until_us
        if value is not None:
            spoke_us = max(self.until_us, min(rule_us, said_us + self.fresh_us))
            excess = self._excess(value)
            for step, length_us in self.rolling.stretches(self.until_us, spoke_us):
                step.total.add((excess if self.degrees else 1.0 if excess > 0 else 0.0) * length_us)
        for step, length_us in self.rolling.stretches(spoke_us, rule_us):
            step.weight.add((self.unknown_excess if self.degrees else 1.0) * length_us)
        self.until_us = rule_us

    def _excess(self, value: float) -> float:
        return max(value - self.beyond_high, self.beyond_low - value, 0.0)

    # --- the state ----------------------------------------------------------------------------------------------

    def memory(self) -> Any:
        return None if self.said is None else [self.rolling.state(), self.said, self.until_us]

    def recall(self, memory: Any) -> None:
        steps, said, self.until_us = memory
        self.rolling.restore(steps)
        self.said = said[0], said[1]
