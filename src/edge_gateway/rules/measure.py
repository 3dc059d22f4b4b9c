"""Kinds that judge what several readings come to: ``flat`` (a stuck probe) and ``spread`` (probes that disagree); pure.

A measure makes one value of readings, or unknown; the timers of ``track`` judge that value. ``observe`` is told every
reading of every input: these kinds have no quiet band, they cost what they watch.
"""

from __future__ import annotations

from typing import Any

from edge_gateway.rules.base import UNDECIDED, BoundRule, First, Step
from edge_gateway.rules.track import BROKEN, IDLE, NOTICED, Track

_US_PER_S = 1_000_000


class Measured(Track):
    """A rule over readings of its ``inputs``: its own point first, then ``rule.others``."""

    __slots__ = ("doubt", "inputs", "said_doubt")

    def __init__(self, rule: BoundRule, order: int = 0) -> None:
        super().__init__(rule, order)
        self.inputs: tuple[str, ...] = (rule.point, *rule.others)
        #: since when it is undecided
        self.doubt: First | None = None
        self.said_doubt = False

    @property
    def in_doubt(self) -> bool:
        return self.doubt is not None

    def known(self, value: float, rule_us: int, wall_us: int) -> Step | None:
        self.doubt, self.said_doubt = None, False
        return super().known(value, rule_us, wall_us)

    def undecided(self, rule_us: int, wall_us: int) -> Step | None:
        """Too little is known to judge: no verdict; too long is told, once."""
        if self.doubt is None:
            self.doubt = First(rule_us=rule_us, wall_us=wall_us, value=None)
        step = self.no_verdict(rule_us, wall_us)
        if step is not None or self.said_doubt or rule_us - self.doubt.rule_us < self.rule.undecided_after_us:
            return step
        self.said_doubt = True
        return Step(rule=self.rule.id, point=self.rule.point, step=UNDECIDED, rule_us=rule_us, wall_us=wall_us, first=self.doubt)

    def blind(self, rule_us: int, wall_us: int) -> Step | None:
        self.doubt, self.said_doubt = None, False
        return super().blind(rule_us, wall_us)

    def goes_on(self, value: float, rule_us: int) -> bool:
        """Most kinds want to ``observe`` every reading."""
        return False

    def observe(self, at: int, value: float | None, rule_us: int, wall_us: int) -> Step | None:
        """A reading of input ``at``; None: unknown. Readings come in the order of rule time."""
        raise NotImplementedError

    def late(self, at: int, value: float, now: tuple[int, int], own_us: int) -> None:
        """A reading of input ``at`` and wall time ``own_us`` that comes too late to be judged, at rule and wall time ``now``: most kinds take none."""

    def memory(self) -> Any:
        """What the measure remembers of readings, JSON-able; None for nothing."""
        return None

    def recall(self, memory: Any) -> None:
        """Take over what ``memory`` gave."""

    def state(self) -> dict[str, Any] | None:
        memory = self.memory()
        doubt = None if self.doubt is None else [self.doubt.rule_us, self.doubt.wall_us, self.said_doubt]
        more = {key: found for key, found in (("memory", memory), ("doubt", doubt)) if found is not None}
        return {**(super().state() or {}), **more, "kind": self.rule.kind} if more else super().state()

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        if state.get("kind", self.rule.kind) != self.rule.kind:  # another kind under the same name: what that one measured says nothing here
            return
        if state.get("memory") is not None:
            self.recall(state["memory"])
        if "doubt" in state:
            rule_us, wall_us, self.said_doubt = state["doubt"]
            self.doubt = First(rule_us=rule_us, wall_us=wall_us, value=None)


class FlatTrack(Measured):
    """``flat``: known values that stay within ``band`` of each other for longer than ``after_us``.

    The value judged is how long they did, in seconds; ``first`` is the reading that the stretch began with, delays
    count from the end of ``after_us``. Unknown readings end no stretch: a probe that is stuck before and after them was stuck.
    """

    __slots__ = ("band", "began", "least", "most")

    def __init__(self, rule: BoundRule, order: int = 0) -> None:
        super().__init__(rule, order)
        self.high = self.clear_high = rule.after_us / _US_PER_S
        self.offset_us = rule.after_us
        self.band = float(rule.terms["band"])
        self.began: First | None = None
        self.least = self.most = 0.0

    def observe(self, at: int, value: float | None, rule_us: int, wall_us: int) -> Step | None:
        if value is None:
            return self.unknown(rule_us, wall_us)
        least, most = min(self.least, value), max(self.most, value)
        if self.began is None or most - least > self.band:
            self.began = First(rule_us=rule_us, wall_us=wall_us, value=value)
            least = most = value
        self.least, self.most = least, most
        return self.known((rule_us - self.began.rule_us) / _US_PER_S, rule_us, wall_us)

    def begun(self, value: float, rule_us: int, wall_us: int) -> First:
        return self.began or super().begun(value, rule_us, wall_us)

    def blind(self, rule_us: int, wall_us: int) -> Step | None:
        if self.phase < NOTICED:  # what is stuck after it begins to be so then
            self.began = None
        return super().blind(rule_us, wall_us)

    def recalls(self, woke: tuple[int, int], rule_us: int) -> bool:
        return self.rule.semantics > 2 and self.began is not None and self.began.rule_us <= woke[0]

    def memory(self) -> Any:
        if self.began is None:
            return None
        return [self.began.rule_us, self.began.wall_us, self.began.value, self.least, self.most]

    def recall(self, memory: Any) -> None:
        rule_us, wall_us, value, self.least, self.most = memory
        self.began = First(rule_us=rule_us, wall_us=wall_us, value=value)


class Joint(Measured):
    """A rule over readings of several points: each instant of rule time is judged once, when it is over.

    So no reading is held against one that a reading of the same instant is about to replace, and it does not matter
    how the instant's readings came in batches.
    """

    __slots__ = ("heard_us", "instant_us", "values")

    def __init__(self, rule: BoundRule, order: int = 0) -> None:
        super().__init__(rule, order)
        self.values: list[float | None] = [None] * len(self.inputs)
        self.heard_us = [-1] * len(self.inputs)
        #: the instant that is still to be judged
        self.instant_us: int | None = None

    def observe(self, at: int, value: float | None, rule_us: int, wall_us: int) -> Step | None:
        self.values[at], self.heard_us[at], self.instant_us = value, rule_us, rule_us
        return None

    def blind(self, rule_us: int, wall_us: int) -> Step | None:
        self.values, self.instant_us = [None] * len(self.inputs), None
        return super().blind(rule_us, wall_us)

    def judged(self, rule_us: int, wall_us: int) -> list[Step]:
        """The instant ``rule_us`` is over: what comes of it."""
        step = self.over(rule_us, wall_us)
        return [] if step is None else [step]

    def over(self, rule_us: int, wall_us: int) -> Step | None:
        """The instant ``rule_us`` is over: judge it."""
        self.instant_us = None
        value = self.value(rule_us)
        return self.unknown(rule_us, wall_us) if value is None else self.known(value, rule_us, wall_us)

    def value(self, rule_us: int) -> float | None:
        """What the newest readings come to; None: unknown."""
        raise NotImplementedError

    def fresh(self, rule_us: int) -> list[float]:
        """The newest known values of the inputs that still speak."""
        heard = zip(self.values, self.heard_us, strict=True)
        return [value for value, us in heard if value is not None and us >= 0 and rule_us - us <= self.fresh_us]

    def due_us(self) -> int | None:
        """An instant that offends may come to fire before the next reading: somebody must look by then, once it is over."""
        if self.instant_us is None:
            return super().due_us()
        value = self.value(self.instant_us)
        if self.phase == BROKEN or value is None or self.low <= value <= self.high:
            return None
        after_us = self.violation_after_us if self.phase == NOTICED else self.notice_after_us
        begun_us = self.instant_us if self.phase == IDLE else self.first.rule_us
        return None if after_us is None else max(self.instant_us + 1, begun_us + after_us)

    def tick(self, rule_us: int, wall_us: int) -> Step | None:
        return None if self.instant_us is not None else super().tick(rule_us, wall_us)

    def memory(self) -> Any:
        return None if max(self.heard_us) < 0 else [self.values, self.heard_us, self.instant_us]

    def recall(self, memory: Any) -> None:
        values, heard_us, instant_us = memory
        if len(values) == len(self.inputs):  # another set of points begins anew
            self.values, self.heard_us, self.instant_us = list(values), list(heard_us), instant_us


class SpreadTrack(Joint):
    """``spread``: the newest known values of the inputs lie further apart than ``high``.

    Fewer than two that speak say nothing: unknown.
    """

    __slots__ = ()

    def value(self, rule_us: int) -> float | None:
        known = self.fresh(rule_us)
        return None if len(known) < 2 else max(known) - min(known)
