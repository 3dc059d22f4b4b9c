"""The kinds beside ``limit``: ``rate`` (a change too fast) and ``stale`` (silence); refuses to know clocks and files.

Decision arithmetic is + - x / and comparison only, as in ``track``.
"""

from __future__ import annotations

from typing import Any

from edge_gateway.rules.base import (
    ACTIVE,
    CANCELLED,
    COMBINED,
    DESCENT,
    EXPOSURE,
    FLAT,
    LIMIT,
    NOTICE,
    RATE,
    RECOVERED,
    SEQUENCE,
    SPREAD,
    STALE,
    UNKNOWN,
    VIOLATED,
    WINDOW,
    BoundRule,
    First,
    Step,
)
from edge_gateway.rules.conditions import CombinedTrack, GuardedTrack
from edge_gateway.rules.courses import DescentTrack, SequenceTrack
from edge_gateway.rules.exposure import ExposureTrack
from edge_gateway.rules.measure import FlatTrack, SpreadTrack
from edge_gateway.rules.track import BROKEN, GREATEST, IDLE, NOTICED, Track
from edge_gateway.rules.windows import WindowTrack

#: A tick that comes later than this after a silence was due shows that nobody was listening (power cut, restart).
UNWATCHED_US = 10_000_000
_US_PER_S = 1_000_000


class RateTrack(Track):
    """``rate``: |change| per second between a reading and the last one judged, at least ``window_us`` before it.

    The change per second is the value that is compared with ``per_s``; timers are those of ``limit``. Unknown
    readings in between change nothing: the mean over a gap is judged like any other.
    """

    __slots__ = ("anchor_us", "anchor_value", "window_us")

    def __init__(self, rule: BoundRule, order: int = 0) -> None:
        super().__init__(rule, order)
        self.low = self.clear_low = -GREATEST
        self.high = GREATEST if rule.per_s is None else float(rule.per_s)
        self.clear_high = self.high if rule.clear_high is None else float(rule.clear_high)
        self.window_us = rule.window_us
        self.anchor_us: int | None = None
        self.anchor_value = 0.0

    def known(self, value: float, rule_us: int, wall_us: int) -> Step | None:
        """A reading: judged if it is far enough from the last one judged."""
        if self.anchor_us is None:
            self.anchor_us, self.anchor_value = rule_us, value
            return None
        elapsed_us = rule_us - self.anchor_us
        if elapsed_us <= 0 or elapsed_us < self.window_us:
            return None
        change = value - self.anchor_value if value > self.anchor_value else self.anchor_value - value
        self.anchor_us, self.anchor_value = rule_us, value
        return super().known(change * _US_PER_S / elapsed_us, rule_us, wall_us)

    def state(self) -> dict[str, Any] | None:
        if self.anchor_us is None:
            return super().state()
        return {**(super().state() or {}), "anchor": [self.anchor_us, self.anchor_value]}

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        if "anchor" in state:
            self.anchor_us, self.anchor_value = state["anchor"]


class StaleTrack(Track):
    """``stale``: no known reading for longer than ``after_us``. A bad reading is silence too.

    ``first`` is the last known reading (value None), delays count from the end of ``after_us``. The only kind that
    time alone may step, since silence has no readings.

    Silence nobody could have heard is no notice yet: when a tick finds it due more than ``UNWATCHED_US`` ago, the
    point gets ``after_us`` once to speak. Once, until it has spoken: power-cycling does not dodge the notice.
    """

    __slots__ = ("after_us", "counted_us", "floor", "grace_for_us", "grace_until_us", "skipped_us")

    def __init__(self, rule: BoundRule, order: int = 0) -> None:
        super().__init__(rule, order)
        self.after_us = rule.after_us
        self.near_us = rule.after_us / 2
        self.grace_for_us = -1
        self.grace_until_us = 0
        #: silence counts from here at the earliest: when the rule was armed again
        self.floor: First | None = None
        #: how much of the present silence it was not armed; until when silence is counted apart (``overrun``)
        self.skipped_us = self.counted_us = 0

    def reset(self) -> None:
        super().reset()
        self.skipped_us = 0

    # --- readings -----------------------------------------------------------------------------------------------

    def heard(self, seen_us: int, rule_us: int, wall_us: int) -> Step | None:
        """A known reading at ``rule_us``, the one before it at ``seen_us``."""
        self.tally_us += max(rule_us - max(seen_us + self.after_us, self.counted_us), 0)
        self.counted_us = rule_us
        if self.phase == IDLE:
            return None
        seen_us = self.since(seen_us)
        if self.phase == NOTICED:
            step = self._silence(CANCELLED, rule_us, wall_us, rule_us)
            self.reset()
            return step
        if self.clear_us is None:
            self.beyond_us = rule_us - self.first.rule_us - self.after_us - self.skipped_us
            self.clear_us = rule_us
        elif rule_us - seen_us > self.after_us:  # silent again while recovering
            self.beyond_us += rule_us - seen_us - self.after_us
            self.clear_us = rule_us
        if self.peak is None:  # seconds of the silence that broke the rule
            self.peak = (rule_us - self.first.rule_us) / _US_PER_S
        if rule_us - self.clear_us < self.clear_after_us:
            return self._heard_again(rule_us, wall_us)
        step = self._silence(RECOVERED, rule_us, wall_us, rule_us)
        self.reset()
        return step

    def _heard_again(self, rule_us: int, wall_us: int) -> Step | None:
        """It was unknown because it was not armed."""
        if not self.said_unknown:
            return None
        self.said_unknown, self.unknown_us = False, None
        return self._silence(ACTIVE, rule_us, wall_us, rule_us)

    def since(self, seen_us: int) -> int:
        """What silence counts from."""
        return seen_us if self.floor is None else max(seen_us, self.floor.rule_us)

    def unknown(self, rule_us: int, wall_us: int) -> Step | None:
        """A bad reading is silence, which only time judges."""
        return None

    # --- time ---------------------------------------------------------------------------------------------------

    def silence_due_us(self, seen_us: int) -> int | None:
        """Rule time at which silence since ``seen_us`` steps this rule; None if it cannot any more."""
        if self.muted:
            return None
        seen_us = self.since(seen_us)
        since_us = seen_us + self.after_us
        if self.phase == IDLE:
            due_us = since_us + self.notice_after_us
            return max(due_us, self.grace_until_us) if self.grace_for_us == seen_us else due_us
        if self.phase == NOTICED and self.violation_after_us is not None:
            return since_us + self.violation_after_us
        return None

    def silent(self, seen_us: int, seen_wall_us: int, rule_us: int, wall_us: int) -> Step | None:
        """Time passed without a known reading since ``seen_us``."""
        due_us = self.silence_due_us(seen_us)
        if due_us is None or rule_us < due_us:
            return None
        if self.floor is not None and self.floor.rule_us > seen_us:
            seen_us, seen_wall_us = self.floor.rule_us, self.floor.wall_us
        if self.phase == IDLE:
            if rule_us - due_us > UNWATCHED_US and self.grace_for_us != seen_us:
                self.grace_for_us, self.grace_until_us = seen_us, rule_us + self.after_us
                return None
            self.first = First(rule_us=seen_us, wall_us=seen_wall_us, value=None)
            self.marked_us = self.beside_us
        since_us = seen_us + self.after_us
        if self.violation_after_us is not None and rule_us - since_us >= self.violation_after_us:
            self.phase = BROKEN
            return self._silence(VIOLATED, rule_us, wall_us, rule_us)
        self.phase = NOTICED
        return self._silence(NOTICE, rule_us, wall_us, rule_us)

    def _silence(self, step: str, rule_us: int, wall_us: int, until_us: int) -> Step:
        """A step whose value is how long it was silent, in seconds."""
        silent_us = until_us - self.first.rule_us
        return Step(
            rule=self.rule.id, point=self.rule.point, step=step, rule_us=rule_us, wall_us=wall_us, first=self.first,
            peak=silent_us / _US_PER_S if self.peak is None else self.peak,
            beyond_us=silent_us - self.after_us - self.skipped_us if self.clear_us is None else self.beyond_us,
            marked_us=self.marked_us, excess=silent_us / _US_PER_S,
        )  # fmt: skip

    # --- not armed (``standing``) -----------------------------------------------------------------------------------

    def told(self, step: str, rule_us: int, wall_us: int) -> Step:
        return self._silence(step, rule_us, wall_us, rule_us)

    def blind(self, rule_us: int, wall_us: int) -> Step | None:
        if self.phase < NOTICED or self.said_unknown:
            return None
        self.said_unknown, self.unknown_us = True, rule_us
        return self._silence(UNKNOWN, rule_us, wall_us, rule_us)

    def awake(self, shadow: Track, rule_us: int, wall_us: int) -> None:
        self.floor = First(rule_us=rule_us, wall_us=wall_us, value=None)
        if self.clear_us is not None:
            self.clear_us = rule_us
        elif self.phase != IDLE:  # an excursion that begins later has missed nothing
            self.skipped_us += shadow.tally_us

    def overrun(self, seen_us: int, rule_us: int) -> int:
        self.tally_us += max(rule_us - max(seen_us + self.after_us, self.counted_us), 0)
        self.counted_us = rule_us
        return self.tally_us

    def state(self) -> dict[str, Any] | None:
        more: dict[str, Any] = {"grace": [self.grace_for_us, self.grace_until_us]} if self.grace_for_us >= 0 else {}
        if self.floor is not None:
            more["floor"] = [self.floor.rule_us, self.floor.wall_us]
        if self.skipped_us:
            more["skipped_us"] = self.skipped_us
        return {**(super().state() or {}), **more} if more else super().state()

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        if "grace" in state:
            self.grace_for_us, self.grace_until_us = state["grace"]
        if "floor" in state:
            self.floor = First(rule_us=state["floor"][0], wall_us=state["floor"][1], value=None)
        self.skipped_us = state.get("skipped_us", 0)


KINDS: dict[str, type[Track]] = {
    RATE: RateTrack, STALE: StaleTrack, FLAT: FlatTrack, SPREAD: SpreadTrack, WINDOW: WindowTrack, EXPOSURE: ExposureTrack,
    DESCENT: DescentTrack, SEQUENCE: SequenceTrack, COMBINED: CombinedTrack,
}  # fmt: skip


#: 2: ``uncertain:late`` is not judged, and goes into windows; records of 1 have none, so what judges 2 judges 1 as it was judged.
#: The versions of each kind's semantics that this release judges, newest last: a rule is journaled with its own, and judged by it.
#: 3 (``window``, ``exposure``): a flow-weighted mean and an exposure take what is late too, and an exposure's sums are exact.
#: 3 (``limit``): a guard band takes the uncertainty of its point's newest calibration too (``guard``).
#: 3 (``combined``): a rule whose probe is silent is unknown to it, not one that does not hold.
#: 4 (``window``): a period in which nothing was heard is judged, and told where it is undecided.
#: 4 (``window``, ``exposure``), 3 (``flat``, ``descent``, ``sequence``): a shadow goes on while it remembers what its rule was not told of.
SEMANTICS: dict[str, tuple[int, ...]] = {
    **dict.fromkeys((LIMIT, *KINDS), (1, 2)),
    **dict.fromkeys((LIMIT, COMBINED, FLAT, DESCENT, SEQUENCE), (1, 2, 3)),
    **dict.fromkeys((WINDOW, EXPOSURE), (1, 2, 3, 4)),
}


def can_judge(rule: BoundRule) -> bool:
    """Whether this release knows how the rule was judged when it was journaled."""
    return rule.semantics in SEMANTICS.get(rule.kind, ())


def track_for(rule: BoundRule, order: int) -> Track:
    """The track of a rule's kind."""
    plain = GuardedTrack if rule.others or "uncertainty" in rule.terms else Track
    return KINDS.get(rule.kind, plain)(rule, order)
