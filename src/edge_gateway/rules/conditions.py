"""Rules that depend on more than their own value: a limit with a guard band or an excuse, and ``combined`` over other rules; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import orjson

from edge_gateway.rules.base import FLAT, LIMIT, RATE, BoundRule, Step
from edge_gateway.rules.measure import Joint, SpreadTrack
from edge_gateway.rules.track import BROKEN, NOTICED, Track

#: How often rules over other rules look whether those still speak (rule time).
LOOK_US = 60_000_000


class Speaker(Protocol):
    """Whose last known reading counts."""

    def seen(self) -> tuple[int, int]:
        """Its rule and wall time; (-1, 0) if there was none yet."""
        ...


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
    1 (it holds) or 0. From its third semantics on a rule whose probe is silent is unknown too, not one that does not hold.
    """

    __slots__ = ("look_us", "shades", "silent", "terms", "whole")

    def __init__(self, rule: BoundRule, order: int = 0) -> None:
        super().__init__(rule, order)
        self.inputs = ()  # it takes no readings of its own
        self.high = self.clear_high = 0.5
        self.whole = str(rule.terms["of"])
        #: (opposite?, the rule's tracks here with their points): a rule holds where it holds at any of its points
        self.terms: list[tuple[bool, list[tuple[Track, Speaker]]]] = []
        #: it is a shadow, and looks at the shadows of rules that are not armed
        self.shades = False
        #: when to look next whether the others still speak, and which of them did not at the last look
        self.look_us, self.silent = 0, list[int]()

    def link(self, tracks: Mapping[str, Track], points: Mapping[str, Speaker]) -> None:
        """Take the other rules' tracks, by ``<rule>/<point>``; what is not there any more is unknown."""
        wanted: Sequence[Any] = orjson.loads(str(self.rule.terms["rules"]))
        there = {key: (track, points[track.rule.point]) for key, track in tracks.items()}
        self.terms = [(bool(opposite), [there[key] for key in keys if key in there]) for opposite, keys in wanted]

    @property
    def watched(self) -> set[str]:
        """The points whose silence counts here."""
        return {track.rule.point for _, found in self.terms for track, _ in found} if self.rule.semantics > 2 else set()

    def concern(self, rule_us: int) -> None:
        """Another rule took a step at this instant."""
        self.instant_us = rule_us

    def looks(self, rule_us: int) -> bool:
        """Whether others fell silent or speak again since the last look, or it is unknown and nobody was told."""
        if self.rule.semantics < 3 or rule_us < self.look_us:
            return False
        every = [each for _, found in self.terms for each in found]
        silent = [at for at, (track, point) in enumerate(every) if not _speaks(self._judging(track), point, rule_us)]
        moved = silent != self.silent or (self.unknown_us is not None and not self.said_unknown)
        self.look_us, self.silent = rule_us + LOOK_US, silent
        return moved

    def value(self, rule_us: int) -> float | None:
        conditions = [_either((self._holds(*each, rule_us) for each in found), opposite) for opposite, found in self.terms]
        decides = self.whole == "any"
        if decides in conditions:
            return 1.0 if decides else 0.0
        if None in conditions:
            return None
        return 0.0 if decides else 1.0

    def _judging(self, track: Track) -> Track:
        return track.shadow if self.shades and track.stands and track.shadow is not None else track

    def _holds(self, track: Track, point: Speaker, rule_us: int) -> bool | None:
        """A rule's condition at a point, after its delay; None: unknown, as that of a rule which is not armed."""
        judging = self._judging(track)
        if (judging is track and track.stands and track.shadow is not None) or judging.said_unknown or judging.in_doubt:
            return None
        if judging.phase == BROKEN or (judging.phase == NOTICED and judging.rule.notices_only):
            return True
        return None if self.rule.semantics > 2 and not _speaks(judging, point, rule_us) else False

    def due_us(self) -> int | None:
        due_us = super().due_us()
        if self.rule.semantics < 3:
            return due_us
        return self.look_us if due_us is None else min(due_us, self.look_us)

    def memory(self) -> Any:
        return self.instant_us if self.rule.semantics < 3 else [self.instant_us, self.look_us, self.silent]

    def recall(self, memory: Any) -> None:
        if isinstance(memory, list):
            self.instant_us, self.look_us, self.silent = memory
        else:
            self.instant_us = memory


def _speaks(track: Track, point: Speaker, rule_us: int) -> bool:
    """Whether readings are fresh enough for a rule to say that it does not hold.

    Silence is what ``stale`` judges; kinds that look back over a time say themselves when they saw too little of it.
    """
    if isinstance(track, SpreadTrack):
        return len(track.fresh(rule_us)) > 1
    if track.rule.kind not in (LIMIT, RATE, FLAT):
        return True
    seen_us = point.seen()[0]
    return seen_us >= 0 and rule_us - seen_us <= track.fresh_us


def _either(conditions: Any, opposite: bool) -> bool | None:
    found = list(conditions)
    if True in found:
        return not opposite
    return None if None in found or not found else opposite
