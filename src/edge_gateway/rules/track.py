"""One rule at one point: timers, hysteresis, and what is known; refuses to know clocks, files and other points.

Three-valued: a reading is beyond the limit, within it, or unknown. Unknown neither clears, fires nor resets.
Decision arithmetic is + - x / and comparison only (a test holds it), so that every machine decides the same.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from edge_gateway.rules.area import MOST_NANOS, NOTHING, PER_UNIT, grown, joined, nanos, text
from edge_gateway.rules.base import (
    ACTIVE,
    CANCELLED,
    LIMIT,
    NOTICE,
    RECOVERED,
    UNKNOWN,
    VIOLATED,
    BoundRule,
    First,
    Step,
)

#: Phases of an excursion.
IDLE, PENDING, NOTICED, BROKEN = 0, 1, 2, 3
#: Later than any rule time (µs).
NEVER_US = 4_000_000_000_000_000_000
#: Beyond every finite double on either side nothing is a value: NaN and infinities fail the comparison.
GREATEST = 1.7976931348623157e308


class Track:
    """State of a ``limit`` rule at its point. Methods answer the step taken, or None."""

    __slots__ = (
        "area", "beside_us", "beyond_us", "calm_us", "clear_after_us", "clear_high", "clear_low", "clear_us", "excess", "first", "fresh_us",
        "held_us", "high", "high_nano", "last_us", "last_value", "low", "low_nano", "marked_us", "muted", "nano", "near_us", "notice_after_us",
        "offends", "offset_us", "order", "peak",
        "phase", "queued_us", "rule", "said_unknown", "shadow", "spent", "stands", "tally_us", "unknown_after_us", "unknown_us",
        "violation_after_us",
    )  # fmt: skip

    def __init__(self, rule: BoundRule, order: int = 0) -> None:
        self.rule = rule
        self.order = order
        self.low = -GREATEST if rule.low is None else float(rule.low)
        self.high = GREATEST if rule.high is None else float(rule.high)
        self.clear_low = self.low if rule.clear_low is None else float(rule.clear_low)
        self.clear_high = self.high if rule.clear_high is None else float(rule.clear_high)
        #: the limits for ``goes_on``, in ``area.PER_UNIT``
        self.low_nano, self.high_nano = nanos(rule.low), nanos(rule.high)
        #: until when a further reading beyond the limit only goes on with what goes on
        self.calm_us = 0
        self.notice_after_us = rule.notice_after_us
        self.violation_after_us = rule.violation_after_us
        self.clear_after_us = rule.clear_after_us
        self.unknown_after_us = rule.unknown_after_us
        self.fresh_us = rule.fresh_us
        #: how long after ``first`` the delays begin to count
        self.offset_us = 0
        #: the due time that the engine's queue holds for this track
        self.queued_us: int | None = None
        #: how far ahead of its due time the engine looks it up again
        self.near_us = float(GREATEST)
        self.last_us = 0
        self.last_value: float | None = None
        #: until when the last reading's time beyond the limit is counted
        self.held_us = 0
        #: not armed; told of no readings; what judges on meanwhile (``standing``)
        self.stands = self.muted = False
        self.shadow: Track | None = None
        #: marked time that goes beside an excursion which begins now; all time beyond since somebody began to count it
        self.beside_us = self.tally_us = 0
        self.reset()

    def reset(self) -> None:
        """Nothing is wrong, or nothing is known yet."""
        self.phase = IDLE
        self.first = First(rule_us=0, wall_us=0, value=None)
        self.peak: float | None = None
        self.excess = 0.0
        self.beyond_us = 0
        #: value x time beyond the limit is ``area`` and ``nano`` of ``area.PER_UNIT`` together
        self.area, self.nano = NOTHING, 0
        self.marked_us = 0
        self.offends = False
        self.spent = False
        self.clear_us: int | None = None
        self.unknown_us: int | None = None
        self.said_unknown = False

    @property
    def in_doubt(self) -> bool:
        """Whether too little is known just now to judge."""
        return False

    # --- readings -----------------------------------------------------------------------------------------------

    def known(self, value: float, rule_us: int, wall_us: int) -> Step | None:
        """A reading that can be judged."""
        within = self.low <= value <= self.high
        if self.phase == IDLE:
            if within:
                return None
            self.phase = PENDING
            self.first = self.begun(value, rule_us, wall_us)
            self.marked_us = self.beside_us
        else:
            self._hold(rule_us)
        was_unknown, self.said_unknown, self.unknown_us = self.said_unknown, False, None
        self.last_us, self.last_value, self.held_us = rule_us, value, rule_us
        self.offends = not within
        self.spent = False
        if within:
            step = self._within(value, rule_us, wall_us)
        else:
            self.clear_us = None
            self._reach(value)
            step = self._advance(rule_us, wall_us)
        if step is None and was_unknown:
            return self._step(ACTIVE, rule_us, wall_us)
        return step

    def goes_on(self, value: float, rule_us: int) -> bool:
        """Take in one more reading beyond the limit, as ``known`` would, while nothing can come of it; False: ``known`` must see it.

        The way of a busy point: one call, whole numbers, no object a reading.
        """
        since_us, last = self.last_us, self.last_value
        if rule_us >= self.calm_us or not self.offends or self.low <= value <= self.high or rule_us - since_us > self.fresh_us or last is None:
            return False
        above = last > self.high
        limit, nano = (self.high_nano if above else self.low_nano), last * PER_UNIT
        if limit is None or not -MOST_NANOS < nano < MOST_NANOS:
            return False
        whole = int(nano + 0.5) if nano > 0 else int(nano - 0.5)
        if whole / PER_UNIT != last:  # it has more digits
            return False
        spoke_us = rule_us - self.held_us
        self.nano += (whole - limit if above else limit - whole) * spoke_us
        self.beyond_us += spoke_us
        self.tally_us += spoke_us
        self.last_us = self.held_us = rule_us
        self.last_value = value
        excess = value - self.high if value > self.high else self.low - value
        if excess > self.excess:
            self.peak, self.excess = value, excess
        return True

    def calm_until(self) -> int:
        """What ``calm_us`` is now: nothing fires before it, and nobody need be told by then when something will."""
        if not self.offends or self.spent or self.peak is None:
            return 0
        delays = [each for each in (self.notice_after_us if self.phase == PENDING else None, self.violation_after_us) if each is not None]
        if self.phase == BROKEN or not delays:
            return NEVER_US
        due_us = self.first.rule_us + self.offset_us + min(delays)
        return due_us if self.queued_us == due_us else due_us - self.fresh_us

    def begun(self, value: float, rule_us: int, wall_us: int) -> First:
        """What an excursion that this value begins counts from."""
        return First(rule_us=rule_us, wall_us=wall_us, value=value)

    def unknown(self, rule_us: int, wall_us: int) -> Step | None:
        """A reading that says nothing: every timer runs on, nothing fires, nothing clears."""
        if self.phase == IDLE:
            return None
        self._hold(rule_us)
        self.last_us, self.last_value = rule_us, None
        self.offends = False
        if self.unknown_us is None:
            self.unknown_us = rule_us
        if self.phase == PENDING or self.said_unknown or rule_us - self.unknown_us < self.unknown_after_us:
            return None
        self.said_unknown = True
        return self._step(UNKNOWN, rule_us, wall_us)

    def no_verdict(self, rule_us: int, wall_us: int) -> Step | None:
        """A reading that decides nothing: every timer of a delay runs on, nothing fires, ends or recovers."""
        if self.phase == IDLE:
            return None
        self._hold(rule_us)
        was_unknown, self.said_unknown, self.unknown_us = self.said_unknown, False, None
        self.last_us, self.last_value, self.offends, self.clear_us = rule_us, None, False, None
        return self._step(ACTIVE, rule_us, wall_us) if was_unknown else None

    def _within(self, value: float, rule_us: int, wall_us: int) -> Step | None:
        """Within the limit. Between limit and ``clear_at`` nothing ends and nothing fires."""
        if not self.clear_low <= value <= self.clear_high:
            self.clear_us = None
            return None
        if self.phase == BROKEN:
            if self.clear_us is None:
                self.clear_us = rule_us
            if rule_us - self.clear_us < self.clear_after_us:
                return None
            step = self._step(RECOVERED, rule_us, wall_us)
        elif self.phase == NOTICED:
            step = self._step(CANCELLED, rule_us, wall_us)
        else:
            step = None
        self.reset()
        return step

    def _reach(self, value: float) -> None:
        """Keep the reading furthest beyond the limit; of equal ones the first."""
        excess = value - self.high if value > self.high else self.low - value
        if self.peak is None or excess > self.excess:
            self.peak, self.excess = value, excess

    def _hold(self, rule_us: int) -> None:
        """The last reading spoke until now, but no longer than it was fresh."""
        if self.offends:
            spoke_us = max(min(rule_us, self.last_us + self.fresh_us) - self.held_us, 0)
            self.beyond_us += spoke_us
            self.area = self._area(spoke_us)
            self.tally_us += spoke_us
            self.held_us = rule_us

    def _area(self, span_us: int) -> Decimal:
        """How far beyond the limit for how long, with so much more of the last reading; only a ``limit``'s value is its point's own."""
        value, rule = self.last_value, self.rule
        if value is None or span_us == 0 or rule.kind != LIMIT:
            return self.area
        limit = rule.high if value > self.high else rule.low
        return self.area if limit is None else grown(self.area, value, limit, span_us)

    def _advance(self, rule_us: int, wall_us: int) -> Step | None:
        """A reading offends: fire what its delay, counted from the first offending one, has come to."""
        elapsed_us = rule_us - self.first.rule_us - self.offset_us
        if self.phase != BROKEN and self.violation_after_us is not None and elapsed_us >= self.violation_after_us:
            self.phase = BROKEN
            return self._step(VIOLATED, rule_us, wall_us)
        if self.phase == PENDING and elapsed_us >= self.notice_after_us:
            self.phase = NOTICED
            return self._step(NOTICE, rule_us, wall_us)
        return None

    def _step(self, step: str, rule_us: int, wall_us: int) -> Step:
        beyond_us, area = self.beyond_us, joined(self.area, self.nano)
        if self.offends:  # a tick: the last reading still speaks
            spoke_us = max(min(rule_us, self.last_us + self.fresh_us) - self.held_us, 0)
            beyond_us, area = beyond_us + spoke_us, joined(self._area(spoke_us), self.nano)
        return Step(
            rule=self.rule.id, point=self.rule.point, step=step, rule_us=rule_us, wall_us=wall_us, first=self.first,
            value=self.last_value, peak=self.peak, beyond_us=beyond_us, marked_us=self.marked_us, excess=self.excess,
            area=text(area) if area else "",
        )  # fmt: skip

    # --- not armed (``standing``) -----------------------------------------------------------------------------------

    def told(self, step: str, rule_us: int, wall_us: int) -> Step:
        """A step that somebody else says is taken."""
        return self._step(step, rule_us, wall_us)

    def blind(self, rule_us: int, wall_us: int) -> Step | None:
        """From now on its readings say nothing to it: what is open is unknown, and the count of a recovery begins again."""
        self._hold(rule_us)
        self.last_us, self.last_value, self.offends, self.clear_us = rule_us, None, False, None
        if self.phase < NOTICED:
            return None
        self.unknown_us = rule_us if self.unknown_us is None else self.unknown_us
        if self.said_unknown:
            return None
        self.said_unknown = True
        return self._step(UNKNOWN, rule_us, wall_us)

    def awake(self, shadow: Track, rule_us: int, wall_us: int) -> None:
        """It is told of its readings again; ``shadow`` was told of them meanwhile."""

    def recalls(self, woke: tuple[int, int], rule_us: int) -> bool:
        """As a shadow whose rule was armed again at ``woke`` (rule and wall time): whether readings of before, which the rule was not told of, may still come to something."""
        return False

    def overrun(self, seen_us: int, rule_us: int) -> int:
        """How long readings were beyond the limit since ``tally_us`` was 0; ``seen_us``: the point's last known reading."""
        self._hold(rule_us)
        return self.tally_us

    # --- time ---------------------------------------------------------------------------------------------------

    def tick(self, rule_us: int, wall_us: int) -> Step | None:
        """Time passed. Only a last reading that offends, and still speaks for its point, may fire."""
        if not self.offends or self.spent:
            return None
        if rule_us - self.last_us > self.fresh_us:
            self.spent = True  # stale: from here on only a reading decides
            return None
        return self._advance(rule_us, wall_us)

    def due_us(self) -> int | None:
        """Rule time at which ``tick`` could fire; None if only a reading can."""
        if not self.offends or self.spent:
            return None
        if self.phase == PENDING:
            due_us = self.first.rule_us + self.offset_us + self.notice_after_us
        elif self.phase == NOTICED and self.violation_after_us is not None:
            due_us = self.first.rule_us + self.offset_us + self.violation_after_us
        else:
            return None
        return due_us if due_us - self.last_us <= self.fresh_us else None

    # --- the state, as it stands in snapshots ---------------------------------------------------------------------

    def state(self) -> dict[str, Any] | None:
        """JSON-able; None when there is nothing to remember."""
        if self.phase == IDLE:
            return None
        return {
            "phase": self.phase,
            "first": [self.first.rule_us, self.first.wall_us, self.first.value],
            "peak": self.peak,
            "excess": self.excess,
            "beyond_us": self.beyond_us,
            "last": [self.last_us, self.last_value],
            "offends": self.offends,
            "spent": self.spent,
            "clear_us": self.clear_us,
            "unknown_us": self.unknown_us,
            "said_unknown": self.said_unknown,
            **({"held_us": self.held_us} if self.offends and self.held_us != self.last_us else {}),
            **({"marked_us": self.marked_us} if self.marked_us else {}),
            **({"area": text(area)} if (area := joined(self.area, self.nano)) else {}),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what ``state`` gave, also from an earlier edition of the rule; of another kind only what was told already."""
        if not state.get("phase") or (state["phase"] == PENDING and state.get("kind", self.rule.kind) != self.rule.kind):
            return
        self.phase = state["phase"]
        rule_us, wall_us, value = state["first"]
        self.first = First(rule_us=rule_us, wall_us=wall_us, value=value)
        self.peak, self.excess, self.beyond_us = state["peak"], state["excess"], state["beyond_us"]
        self.last_us, self.last_value = state["last"]
        self.area, self.nano = Decimal(state.get("area", "0")), 0
        self.held_us, self.marked_us = state.get("held_us", self.last_us), state.get("marked_us", 0)
        self.offends, self.spent = state["offends"], state["spent"]
        self.clear_us, self.unknown_us = state["clear_us"], state["unknown_us"]
        self.said_unknown = state["said_unknown"]
