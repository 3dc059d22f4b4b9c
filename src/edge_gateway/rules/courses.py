"""Kinds that follow a course: ``descent`` (a chilling curve) and ``sequence`` (the steps of a cleaning cycle); pure.

A course that fails breaks the rule at once; only a next one that is complete and passes recovers it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from edge_gateway.rules.base import PASSED, BoundRule, First, Step
from edge_gateway.rules.measure import Joint, Measured
from edge_gateway.rules.track import GREATEST, IDLE


class DescentTrack(Measured):
    """``descent``: from above ``start`` down to ``to`` within ``within_us``, never rising more than ``rise`` above the lowest so far.

    A run begins with a reading above ``start`` and ends with one at or below ``to``. The value judged is how far above what
    is permitted a reading is.
    """

    __slots__ = ("began_us", "failed", "lowest", "rise", "start", "to", "within_us")

    def __init__(self, rule: BoundRule, order: int = 0) -> None:
        super().__init__(rule, order)
        terms = rule.terms
        self.high = self.clear_high = 0.0
        self.start, self.to, self.rise = float(terms["start"]), float(terms["to"]), float(terms["rise"])
        self.within_us = int(terms["within_us"])
        self.began_us: int | None = None
        self.lowest = 0.0
        self.failed = False

    def observe(self, at: int, value: float | None, rule_us: int, wall_us: int) -> Step | None:
        if value is None:
            return self.unknown(rule_us, wall_us)
        if self.began_us is None:
            if value > self.start:
                self.began_us, self.lowest, self.failed = rule_us, value, False
            return self.no_verdict(rule_us, wall_us) if self.phase != IDLE else None
        late = value - self.to if rule_us - self.began_us > self.within_us else 0.0
        over = max(value - self.lowest - self.rise, late, 0.0)
        self.lowest = min(self.lowest, value)
        if over > 0:
            self.failed = True
            return self.known(over, rule_us, wall_us)
        if value > self.to:
            return self.no_verdict(rule_us, wall_us) if self.phase != IDLE else None
        self.began_us = None
        return self.no_verdict(rule_us, wall_us) if self.failed and self.phase != IDLE else self.known(0.0, rule_us, wall_us)

    def blind(self, rule_us: int, wall_us: int) -> Step | None:
        self.began_us = None  # how it goes on is not seen: the next run begins with the next reading above ``start``
        return super().blind(rule_us, wall_us)

    def recalls(self, woke: tuple[int, int], rule_us: int) -> bool:
        return self.rule.semantics > 2 and self.began_us is not None and self.began_us <= woke[0]

    def memory(self) -> Any:
        return None if self.began_us is None else [self.began_us, self.lowest, self.failed]

    def recall(self, memory: Any) -> None:
        self.began_us, self.lowest, self.failed = memory


class SequenceTrack(Joint):
    """``sequence``: steps in order, each holding without a break for its least time; then a certificate.

    A step holds while its input's newest value lies between its limits; unknown neither breaks it nor completes it. The
    cycle fails when more than ``gap_us`` pass without its next step holding, or more than ``within_us`` in all. The value
    judged is the number of the step that failed.
    """

    __slots__ = ("began_us", "done", "done_us", "gap_us", "plan", "since_us", "wall_us", "within_us")

    def __init__(self, rule: BoundRule, order: int = 0) -> None:
        super().__init__(rule, order)
        self.high = self.clear_high = 0.0
        self.plan: list[Mapping[str, Any]] = orjson.loads(str(rule.terms["steps"]))
        self.gap_us, self.within_us = int(rule.terms["gap_us"]), int(rule.terms["within_us"])
        self._idle()

    def _idle(self) -> None:
        self.began_us: int | None = None
        self.wall_us = 0
        self.since_us: int | None = None  # since when the present step holds
        self.done_us = 0  # when the step before it was complete, or broke
        self.done: list[list[Any]] = []  # [step, since, until]: what is complete

    def judged(self, rule_us: int, wall_us: int) -> list[Step]:
        passed: list[list[Any]] = []
        step = self._follow(rule_us, wall_us, passed)
        steps = [step] if step is not None else []
        if passed:
            first = First(rule_us=passed[0][1], wall_us=wall_us - rule_us + passed[0][1], value=None)
            detail = {"steps": passed}
            steps.append(Step(rule=self.rule.id, point=self.rule.point, step=PASSED, rule_us=rule_us, wall_us=wall_us, first=first, detail=detail))
        return steps

    def _follow(self, rule_us: int, wall_us: int, passed: list[list[Any]]) -> Step | None:
        """One instant further; a cycle that is complete goes to ``passed``."""
        self.instant_us = None
        number = len(self.done)
        holds = self._holds(number, rule_us)
        if self.began_us is None:
            if not holds:
                return None
            self.began_us, self.wall_us, self.since_us, self.done_us = rule_us, wall_us, rule_us, rule_us
        elif holds is False:
            self.done_us = rule_us if self.since_us is not None else self.done_us
            self.since_us = None
        elif holds and self.since_us is None:
            self.since_us = rule_us
        if holds and self.since_us is not None and rule_us - self.since_us >= int(self.plan[number]["least_us"]):
            self.done.append([self.plan[number]["id"], self.since_us, rule_us])
            self.since_us, self.done_us = None, rule_us
            if len(self.done) == len(self.plan):
                passed += self.done
                self._idle()
                return self.known(0.0, rule_us, wall_us)
        if rule_us - self.began_us > self.within_us or (self.since_us is None and rule_us - self.done_us > self.gap_us):
            failed = float(len(self.done) + 1)
            self._idle()
            return self.known(failed, rule_us, wall_us)
        return self.no_verdict(rule_us, wall_us) if self.phase != IDLE else None

    def _holds(self, number: int, rule_us: int) -> bool | None:
        """Whether a step's condition holds; None: unknown."""
        step = self.plan[number]
        at = int(step["input"])
        value = self.values[at]
        if value is None or rule_us - self.heard_us[at] > self.fresh_us:
            return None
        low, high = float(step.get("low", -GREATEST)), float(step.get("high", GREATEST))
        return low <= value <= high

    def due_us(self) -> int | None:
        """Readings carry a cycle on; time alone does not."""
        return None

    def blind(self, rule_us: int, wall_us: int) -> Step | None:
        self._idle()  # how it goes on is not seen
        return super().blind(rule_us, wall_us)

    def recalls(self, woke: tuple[int, int], rule_us: int) -> bool:
        return self.rule.semantics > 2 and self.began_us is not None and self.began_us <= woke[0]

    def memory(self) -> Any:
        joint = super().memory()
        done = [list(each) for each in self.done]  # a shadow begins with it, and goes its own way
        return None if joint is None else [joint, self.began_us, self.wall_us, self.since_us, self.done_us, done]

    def recall(self, memory: Any) -> None:
        joint, self.began_us, self.wall_us, self.since_us, self.done_us, done = memory
        self.done = [list(each) for each in done]
        super().recall(joint)
        if len(self.done) >= len(self.plan):  # of an edition with more steps
            self._idle()
