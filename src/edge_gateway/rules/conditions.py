"""Rules that depend on more than their own value: a limit with a guard band or an excuse, and ``combined`` over other rules; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from edge_gateway.rules.base import BoundRule, Step
from edge_gateway.rules.measure import Joint
from edge_gateway.rules.track import BROKEN, NOTICED, Track


class GuardedTrack(Joint):
    """``limit`` at a probe whose uncertainty counts, or with an excuse (defrost, door): both name when a value decides nothing.

    Guard band: within ``uncertainty`` of the limit, on either side, a value is undecided. Excuse: while the second input
    says 1, for at most ``most_us`` since it first did, a value beyond the limit and not beyond ``peak`` is undecided. What
    the second input says counts only while it is fresh; a window that begins within ``rest_us`` of the last is the same one.
    """

    __slots__ = ("began_us", "most_us", "peak_high", "peak_low", "rest_us", "until_us", "uncertainty")

    def __init__(self, rule: BoundRule, order: int = 0) -> None:
        super().__init__(rule, order)
        terms = rule.terms
        self.uncertainty = float(terms.get("uncertainty", "0"))
        self.most_us, self.rest_us = int(terms.get("most_us", 0)), int(terms.get("rest_us", 0))
        self.peak_low = float(terms["peak_low"]) if "peak_low" in terms else self.low
        self.peak_high = float(terms["peak_high"]) if "peak_high" in terms else self.high
        self.began_us: int | None = None  # of the excuse's window
        self.until_us = 0  # when it last held

    def over(self, rule_us: int, wall_us: int) -> Step | None:
        self.instant_us = None
        excused = self._excused(rule_us)
        if self.heard_us[0] != rule_us:  # only the condition spoke
            return None
        value = self.values[0]
        if value is None:
            return self.unknown(rule_us, wall_us)
        if self._doubtful(value) or (excused and self.peak_low <= value <= self.peak_high and not self.low <= value <= self.high):
            return self.undecided(rule_us, wall_us)
        return self.known(value, rule_us, wall_us)

    def _doubtful(self, value: float) -> bool:
        """Whether the limit lies within the probe's uncertainty of the value."""
        band = self.uncertainty
        return band > 0 and (self.low - band <= value < self.low + band or self.high - band < value <= self.high + band)

    def _excused(self, rule_us: int) -> bool:
        """Follow the condition: whether it holds now, and not for too long."""
        if len(self.inputs) < 2 or self.values[1] != 1 or rule_us - self.heard_us[1] > self.fresh_us:
            return False
        if self.began_us is None or rule_us - self.until_us > self.rest_us:
            self.began_us = rule_us
        self.until_us = rule_us
        return rule_us - self.began_us <= self.most_us

    def value(self, rule_us: int) -> float | None:
        """What the instant's reading will be judged as, if it decides anything."""
        value = self.values[0]
        return None if value is None or self.heard_us[0] != rule_us or self._doubtful(value) else value

    def due_us(self) -> int | None:
        """Where only the condition spoke, the last reading's delays run on."""
        if self.instant_us is None or self.heard_us[0] == self.instant_us:
            return super().due_us()
        due_us = Track.due_us(self)
        return None if due_us is None else max(due_us, self.instant_us + 1)

    def awake(self, shadow: Track, rule_us: int, wall_us: int) -> None:
        """What excuses was not marked: its window went on."""
        if isinstance(shadow, GuardedTrack):
            self.began_us, self.until_us = shadow.began_us, shadow.until_us
            self.values[1:], self.heard_us[1:] = shadow.values[1:], shadow.heard_us[1:]

    def memory(self) -> Any:
        joint = super().memory()
        return None if joint is None else [joint, self.began_us, self.until_us]

    def recall(self, memory: Any) -> None:
        joint, self.began_us, self.until_us = memory
        super().recall(joint)


class CombinedTrack(Joint):
    """``combined``: ``all`` or ``any`` of other rules' conditions (or their opposites) hold, each after its own delay.

    Three-valued (Kleene): what is unknown or undecided leaves the whole unknown where it could decide it. The value is
    1 (it holds) or 0.
    """

    __slots__ = ("shades", "terms", "whole")

    def __init__(self, rule: BoundRule, order: int = 0) -> None:
        super().__init__(rule, order)
        self.inputs = ()  # it takes no readings of its own
        self.high = self.clear_high = 0.5
        self.whole = str(rule.terms["of"])
        #: (opposite?, the rule's tracks here): a rule holds where it holds at any of its points
        self.terms: list[tuple[bool, list[Track]]] = []
        #: it is a shadow, and looks at the shadows of rules that are not armed
        self.shades = False

    def link(self, tracks: Mapping[str, Track]) -> None:
        """Take the other rules' tracks, by ``<rule>/<point>``; what is not there any more is unknown."""
        wanted: Sequence[Any] = orjson.loads(str(self.rule.terms["rules"]))
        self.terms = [(bool(opposite), [tracks[key] for key in keys if key in tracks]) for opposite, keys in wanted]

    def concern(self, rule_us: int) -> None:
        """Another rule took a step at this instant."""
        self.instant_us = rule_us

    def value(self, rule_us: int) -> float | None:
        conditions = [_either((_holds(track, self.shades) for track in tracks), opposite) for opposite, tracks in self.terms]
        decides = self.whole == "any"
        if decides in conditions:
            return 1.0 if decides else 0.0
        if None in conditions:
            return None
        return 0.0 if decides else 1.0

    def memory(self) -> Any:
        return self.instant_us

    def recall(self, memory: Any) -> None:
        self.instant_us = memory


def _holds(track: Track, shades: bool) -> bool | None:
    """A rule's condition at a point, after its delay; None: unknown, as that of a rule which is not armed."""
    if track.stands and track.shadow is not None:
        if not shades:
            return None
        track = track.shadow
    if track.said_unknown or track.in_doubt:
        return None
    return track.phase == BROKEN or (track.phase == NOTICED and track.rule.notices_only)


def _either(conditions: Any, opposite: bool) -> bool | None:
    found = list(conditions)
    if True in found:
        return not opposite
    return None if None in found or not found else opposite
