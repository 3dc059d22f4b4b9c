"""What a pack may say of each kind of rule; reads no file."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, model_validator

from edge_gateway.rules.model_base import (
    Identifier,
    Limited,
    Names,
    Number,
    RuleBase,
    Seconds,
    Strict,
    check_limits,
    known_unit,
)
from edge_gateway.units import QUANTITIES


class Excuse(Strict):
    """When a value beyond the limit decides nothing: while a contact of the zone says 1 (a defrost, an open door).

    ``most_s``: for how long at most; a window that begins within ``rest_s`` of the last (``most_s`` where it is not given) is
    the same one. ``peak``: beyond it nothing is excused. A contact that is unknown excuses nothing.
    """

    quantity: str
    most_s: Annotated[float, Field(gt=0, le=86_400)]
    rest_s: Seconds | None = None
    peak: Number

    @model_validator(mode="after")
    def _known(self) -> Excuse:
        if self.quantity not in QUANTITIES:
            raise ValueError(f"unknown quantity '{self.quantity}'; known: {', '.join(sorted(QUANTITIES))}")
        return self


class LimitRule(Limited):
    """``limit``: single values. ``guard``: a value within its probe's uncertainty of the limit is undecided (else: simple acceptance)."""

    kind: Literal["limit"]
    guard: bool = False
    excuse: Excuse | None = None

    @model_validator(mode="after")
    def _excused(self) -> LimitRule:
        if self.excuse is None:
            return self
        peak = Decimal(self.excuse.peak)
        if (self.low is None) == (self.high is None):
            raise ValueError("an excuse is for a rule with one limit: give low or high")
        if (self.high is not None and peak <= Decimal(self.high)) or (self.low is not None and peak >= Decimal(self.low)):
            raise ValueError(f"excuse.peak {self.excuse.peak} is within the limit: it must lie beyond it")
        return self


class DescentRule(RuleBase):
    """``descent``: from above ``start`` down to ``to`` within ``within_s``, never more than ``rise`` above the lowest so far."""

    kind: Literal["descent"]
    unit: str
    start: Number
    to: Number
    within_s: Annotated[float, Field(gt=0, le=31 * 86_400)]
    rise: Number = "0"

    @model_validator(mode="after")
    def _numbers(self) -> DescentRule:
        known_unit(self.unit)
        if Decimal(self.to) >= Decimal(self.start):
            raise ValueError(f"to {self.to} is not below start {self.start}")
        if Decimal(self.rise) < 0:
            raise ValueError(f"rise must not be negative: {self.rise}")
        return self


class CycleStep(Strict):
    """One step of a cycle: what must hold, at which quantity of the zone, and for how long without a break."""

    id: Identifier
    quantity: str
    unit: str
    low: Number | None = None
    high: Number | None = None
    least_s: Annotated[float, Field(ge=0, le=86_400)]

    @model_validator(mode="after")
    def _sound(self) -> CycleStep:
        known_unit(self.unit)
        if self.quantity not in QUANTITIES:
            raise ValueError(f"unknown quantity '{self.quantity}'; known: {', '.join(sorted(QUANTITIES))}")
        if self.low is None and self.high is None:
            raise ValueError("what must hold in this step? give low, high or both")
        check_limits(self.low, self.high, None, None)
        return self


class SequenceRule(RuleBase):
    """``sequence``: steps in order, a cleaning cycle: it fails when ``gap_s`` pass between two, or ``within_s`` in all."""

    kind: Literal["sequence"]
    step: tuple[CycleStep, ...] = Field(min_length=2)
    gap_s: Annotated[float, Field(gt=0, le=86_400)]
    within_s: Annotated[float, Field(gt=0, le=31 * 86_400)]


class CombinedRule(RuleBase):
    """``combined``: ``all`` or ``any`` of other rules' conditions hold in one zone, each after its delay; ``!id`` for the opposite."""

    kind: Literal["combined"]
    all: Names = ()
    any: Names = ()

    @model_validator(mode="after")
    def _one(self) -> CombinedRule:
        if bool(self.all) == bool(self.any):
            raise ValueError("give all or any: one of the two")
        return self




#: How a window's readings are taken together.
Taken = Literal["mean", "minimum", "maximum", "percentile", "flow-mean", "share"]


class WindowRule(Limited):
    """``window``: what the readings of ``window_s``, or of each civil ``period`` (Beijing time), come to.

    ``percentile`` wants its number (nearest rank), ``flow-mean`` weighs each reading by the flow of its zone, ``share`` is the
    part of the readings that were due and are known (unit ``1``). With fewer than ``valid_share`` of them known it is
    undecided. Readings that come up to ``late_s`` late by their own time are in it: a period is
    judged so long after its end, a rolling window with its next reading.
    """

    kind: Literal["window"]
    of: Taken
    window_s: Annotated[float, Field(gt=0, le=31 * 86_400)] | None = None
    period: Literal["hour", "day"] | None = None
    percentile: Annotated[float, Field(gt=0, lt=100)] | None = None
    valid_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    late_s: Seconds = 0.0

    @model_validator(mode="after")
    def _window(self) -> WindowRule:
        if (self.window_s is None) == (self.period is None):
            raise ValueError("a window is window_s long, or a period: one of the two")
        if (self.of == "percentile") != (self.percentile is not None):
            raise ValueError("percentile is given for of = 'percentile', and only there")
        if self.of == "flow-mean" and self.window_s is not None and self.late_s > self.window_s:
            raise ValueError("late_s: nothing is waited for longer than the window is")
        if self.of == "share" and self.unit != "1":
            raise ValueError("a share has the unit '1'")
        return self


class ExposureRule(RuleBase):
    """``exposure``: at most ``most_minutes``, or ``most_degree_minutes``, below ``low`` or above ``high`` within ``window_s``.

    Minutes that nobody saw count to the most that it can be, not to the least; for degree-minutes each as
    ``unknown_excess`` beyond the limit. Readings that come up to ``late_s`` late by their own time speak for theirs.
    """

    kind: Literal["exposure"]
    unit: str
    low: Number | None = None
    high: Number | None = None
    most_minutes: Number | None = None
    most_degree_minutes: Number | None = None
    unknown_excess: Number | None = None
    window_s: Annotated[float, Field(gt=0, le=31 * 86_400)]
    late_s: Seconds = 0.0

    @model_validator(mode="after")
    def _numbers(self) -> ExposureRule:
        known_unit(self.unit)
        if self.late_s > self.window_s:
            raise ValueError("late_s: nothing is waited for longer than the window is")
        if self.low is None and self.high is None:
            raise ValueError("beyond what? give low, high or both")
        check_limits(self.low, self.high, None, None)
        if (self.most_minutes is None) == (self.most_degree_minutes is None):
            raise ValueError("give most_minutes or most_degree_minutes: one of the two")
        if Decimal(self.most_minutes or self.most_degree_minutes or "0") <= 0:
            raise ValueError("at most how much? it must be more than 0")
        if (self.most_degree_minutes is None) != (self.unknown_excess is None):
            raise ValueError("unknown_excess is given for degree-minutes, and only there: how far beyond the limit an unseen minute may have been")
        return self


class RateRule(RuleBase):
    """``rate``: a change of more than ``per_s`` (``unit`` a second) between readings at least ``window_s`` apart."""

    kind: Literal["rate"]
    unit: str
    per_s: Number
    window_s: Seconds = 0.0

    @model_validator(mode="after")
    def _numbers(self) -> RateRule:
        known_unit(self.unit)
        if Decimal(self.per_s) <= 0:
            raise ValueError(f"per_s must be more than 0, not {self.per_s}")
        return self


class StaleRule(RuleBase):
    """``stale``: no good reading for ``factor`` of the point's intervals, and at least ``after_s``.

    With ``factor``, a point without an expected interval is not monitored: nobody knows when it is late.
    """

    kind: Literal["stale"]
    after_s: Annotated[float, Field(gt=0, le=31 * 86_400)] | None = None
    factor: Annotated[float, Field(ge=1, le=1000)] | None = None

    @model_validator(mode="after")
    def _numbers(self) -> StaleRule:
        if self.after_s is None and self.factor is None:
            raise ValueError("silence needs after_s, or factor (of the point's interval), or both")
        return self


class FlatRule(RuleBase):
    """``flat``: values that stay within ``band`` of each other for longer than ``after_s``: a stuck probe."""

    kind: Literal["flat"]
    unit: str
    band: Number
    after_s: Annotated[float, Field(gt=0, le=31 * 86_400)]

    @model_validator(mode="after")
    def _numbers(self) -> FlatRule:
        known_unit(self.unit)
        if Decimal(self.band) < 0:
            raise ValueError(f"band must not be negative: {self.band}")
        return self


class SpreadRule(RuleBase):
    """``spread``: the selected points of one zone lie further apart than ``most``: one of its probes is wrong.

    A zone with one such point is not monitored: nothing says whether its probe is right.
    """

    kind: Literal["spread"]
    unit: str
    most: Number
    clear_at: Number | None = None

    @model_validator(mode="after")
    def _numbers(self) -> SpreadRule:
        known_unit(self.unit)
        if Decimal(self.most) <= 0:
            raise ValueError(f"most must be more than 0, not {self.most}")
        check_limits(None, self.most, None, self.clear_at)
        return self


#: Rules that judge readings.
ReadingRule = LimitRule | RateRule | StaleRule | FlatRule | SpreadRule | WindowRule | ExposureRule | DescentRule | SequenceRule
Rule = Annotated[ReadingRule | CombinedRule, Field(discriminator="kind")]
