"""Points and poll groups as the hot path needs them: quiet bands side by side; decides nothing itself.

A reading in its point's quiet band asks for nothing: no rule of the point is in an excursion, and the value is within
all limits. Rate rules are quiet while the value stays near the last one judged. For them a plan keeps the last judged
batch instead of every track its last judged reading, as long as all its rate rules are *in step* (the same window,
and the same batch judged last); a batch with an unknown reading puts them out of step until all were judged together.

Silence is watched the same way: while whole batches keep coming, one due time stands for all of a plan's points.
"""

from __future__ import annotations

from typing import Any, cast

from edge_gateway.reading import Value
from edge_gateway.rules.exposure import ExposureTrack
from edge_gateway.rules.kinds import RateTrack, StaleTrack
from edge_gateway.rules.measure import Measured
from edge_gateway.rules.track import GREATEST, IDLE, NEVER_US, Track

#: A quiet change is a little smaller than the permitted one: no rounding may hide what would offend.
_SAFE = 0.999


class Point:
    """A point's tracks, its quiet band, and when it last said something known (itself or through its plan)."""

    __slots__ = ("busy", "column", "high", "low", "measured", "plan", "rates", "seen_us", "seen_wall_us", "silences", "tracks")

    def __init__(self) -> None:
        self.tracks: list[Track] = []  # limit and rate, in the order of their ids
        self.rates: list[RateTrack] = []  # those of them that are rates
        self.silences: list[StaleTrack] = []
        self.measured: list[tuple[Measured, int]] = []  # what takes its readings for one of its inputs, and which
        #: its only track, while that is a ``limit``'s and all that goes on here
        self.busy: Track | None = None
        self.plan: Plan | None = None
        self.column = 0
        self.seen_us = -1
        self.seen_wall_us = 0
        self.low, self.high = -GREATEST, GREATEST

    def add(self, track: Track) -> None:
        """One more rule that judges single readings of this point."""
        if isinstance(track, StaleTrack):
            self.silences.append(track)
            return
        self.tracks.append(track)
        if isinstance(track, RateTrack):
            self.rates.append(track)

    def seen(self) -> tuple[int, int]:
        """Rule and wall time of the last known reading; (-1, 0) if there was none yet."""
        if self.plan is not None and self.plan.seen_us > self.seen_us:
            return self.plan.seen_us, self.plan.seen_wall_us
        return self.seen_us, self.seen_wall_us

    def settle(self) -> None:
        """The quiet band for the phases as they are now; empty while anything is going on."""
        self.low, self.high, self.busy = -GREATEST, GREATEST, None
        for track in self.tracks:
            if track.phase != IDLE:
                self.low, self.high = GREATEST, -GREATEST
                if type(track) is Track and len(self.tracks) == 1:
                    self.busy, track.calm_us = track, track.calm_until()
                break
            if not isinstance(track, RateTrack):
                self.low, self.high = max(self.low, track.low), min(self.high, track.high)
        for silence in self.silences:
            if silence.phase != IDLE:
                self.low, self.high, self.busy = GREATEST, -GREATEST, None
        if self.plan is not None:
            self.plan.lows[self.column], self.plan.highs[self.column] = self.low, self.high

    def catch_up(self) -> None:
        """Give this point's rate tracks the last judged reading that their plan kept for them."""
        plan = self.plan
        if plan is not None and plan.in_step:
            for track in self.rates:
                track.anchor_us, track.anchor_value = plan.anchor_us, plan.anchor_values[self.column]


class Plan:
    """The columns of one poll group."""

    __slots__ = (
        "anchor_us", "anchor_values", "bands", "calm", "calm_us", "columns", "exposures", "fresh_us", "highs", "in_step", "least_us", "lows", "measured", "queued_us", "rate_columns",
        "seen_us", "seen_wall_us", "silences", "silent_us", "steps", "wanting", "window_us",
    )  # fmt: skip

    def __init__(self, columns: list[Point | None]) -> None:
        self.columns = columns
        self.lows = [-GREATEST if point is None else point.low for point in columns]
        self.highs = [GREATEST if point is None else point.high for point in columns]
        #: the last batch of which all readings were known
        self.seen_us = -1
        self.seen_wall_us = 0
        self.rate_columns = [column for column, point in enumerate(columns) if point is not None and point.rates]
        windows = {track.window_us for point in columns if point is not None for track in point.rates}
        #: the common window; 0 when there is none, and then the rates are never in step
        self.window_us = windows.pop() if len(windows) == 1 else 0
        #: how far a value may be from the anchor's and be quiet
        self.steps = [GREATEST if point is None else self._step(point) for point in columns]
        #: (column, rule, which of its inputs), in the order of the rules
        self.measured = sorted(
            ((column, track, at) for column, point in enumerate(columns) if point is not None for track, at in point.measured),
            key=lambda each: (each[1].order, each[2]),
        )
        #: those of them that need not be told of a batch while all of them are calm, the others, and between what each column's values are nothing to the former
        self.exposures = [(column, track) for column, track, _ in self.measured if isinstance(track, ExposureTrack) and not track.late_us]
        self.wanting = [each for each in self.measured if (each[0], each[1]) not in self.exposures]
        self.bands = [self._band(column) for column in range(len(columns))]
        self.fresh_us = min((track.fresh_us for _, track in self.exposures), default=0)
        #: until when they are calm, 0: one of them is not; and the last batch that they were not told of
        self.calm_us, self.calm = 0, (0, cast("list[float]", []))
        self.in_step = False
        self.anchor_us = 0
        self.anchor_values: list[float] = []
        self.silences = [silence for point in columns if point is not None for silence in point.silences]
        #: no silence of this plan is due earlier than this after a batch of which all was known
        self.least_us = min((each.after_us + each.notice_after_us for each in self.silences), default=0)
        #: no silence is longer than its rule allows while whole batches are no further apart than this: an idle one need not be told that it ended
        self.silent_us = min((each.after_us for each in self.silences), default=NEVER_US)
        #: the due time that stands in the engine's queue for all idle silences; None: each stands there itself
        self.queued_us: int | None = None
        for column, point in enumerate(columns):
            if point is not None:
                point.plan, point.column = self, column

    def _step(self, point: Point) -> float:
        step = GREATEST
        for track in point.rates:
            step = min(step, track.high * self.window_us / 1_000_000 * _SAFE)
        return step

    def _band(self, column: int) -> tuple[float, float]:
        its = [track for at, track in self.exposures if at == column]
        return max((each.beyond_low for each in its), default=-GREATEST), min((each.beyond_high for each in its), default=GREATEST)

    def passes(self, rule_us: int, values: list[Value]) -> bool:
        """Whether a batch of which all is known is nothing to any exposure of the plan: then none of them is told of it, until ``wake``."""
        numbers = cast("list[float]", values)
        if rule_us < self.calm_us and rule_us - self.calm[0] <= self.fresh_us:
            for value, (low, high) in zip(numbers, self.bands, strict=True):
                if not low <= value <= high:
                    break
            else:
                self.calm = rule_us, numbers
                return True
        self.wake()
        return False

    def wake(self) -> None:
        """Tell the exposures of the last batch that they were not told of."""
        if self.calm_us:
            self.calm_us = 0
            for column, track in self.exposures:
                track.newest = self.calm[0], self.calm[1][column]

    def rest(self, rule_us: int, values: list[Value]) -> None:
        """All were told of this batch: from here on they need not be, if all of them are calm."""
        self.calm_us, self.calm = min((track.calm_us for _, track in self.exposures), default=0), (rule_us, cast("list[float]", values))

    def loud(self, values: list[Value]) -> list[int] | None:
        """Columns that a rule must look at; None if one of the values is no number."""
        loud: list[int] = []
        column = 0
        numbers = cast("list[float]", values)
        try:
            if self.in_step:
                for value, low, high, anchor, step in zip(
                    numbers, self.lows, self.highs, self.anchor_values, self.steps, strict=True
                ):
                    if not (low <= value <= high and -step <= value - anchor <= step):
                        loud.append(column)
                    column += 1
            else:
                for value, low, high in zip(numbers, self.lows, self.highs, strict=True):
                    if not low <= value <= high:
                        loud.append(column)
                    column += 1
                if self.rate_columns:
                    loud = sorted({*loud, *self.rate_columns})
        except TypeError:  # None, among values that are said to be good
            return None
        for column in loud:
            if not -GREATEST <= numbers[column] <= GREATEST:
                return None
        return loud

    def judged(self, rule_us: int, wall_us: int, values: list[Value]) -> None:
        """All readings of a batch were known, and the loud ones have been judged."""
        self.seen_us, self.seen_wall_us = rule_us, wall_us
        if not self.window_us:
            return
        if self.in_step:
            if rule_us - self.anchor_us >= self.window_us:
                self.anchor_us, self.anchor_values = rule_us, cast("list[float]", values)
            return
        for column in self.rate_columns:
            for track in cast("Any", self.columns[column]).rates:
                if track.anchor_us != rule_us:
                    return
        self.in_step, self.anchor_us, self.anchor_values = True, rule_us, cast("list[float]", values)

    def fall_out(self) -> None:
        """Not all readings of a batch are known: from here each track keeps its own last judged reading."""
        self.wake()
        if self.in_step:
            for column in self.rate_columns:
                cast("Any", self.columns[column]).catch_up()
            self.in_step = False

    def give_up(self) -> None:
        """One of the points moves to another group: each keeps what it knows for itself."""
        self.fall_out()
        for point in self.columns:
            if point is not None and point.plan is self:
                point.seen_us, point.seen_wall_us = point.seen()
                point.plan = None


def is_number(value: Value) -> bool:
    """A finite number."""
    return value is not None and -GREATEST <= value <= GREATEST
