"""A rule that is not armed at its point (a mark, a phase, a season, an edition, shadow, draft): it judges on in shadow; pure.

While it stands, its *armed* track is told of no readings: what is open there is unknown and cannot recover. A *shadow*, a
second track of the same rule, is told of them instead; that it would have fired is counted, once an excursion. Two things
run on over the borders, so that no excursion is lost between them: a delay that runs when a mark or a phase begins goes on
to its end in the armed track, and a shadow's excursion goes on after the standing's end until it fired or was over.

Why a rule stands is not judged here, and several reasons may hold at once. Decision arithmetic as in ``track``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from edge_gateway.rules.base import CANCELLED, ENDED, FIRED, NOTICE, RECOVERED, VIOLATED, Step
from edge_gateway.rules.conditions import CombinedTrack
from edge_gateway.rules.kinds import StaleTrack, track_for
from edge_gateway.rules.track import BROKEN, IDLE, PENDING, Track

#: Why a rule is not armed.
MARK, PHASE, SEASON, EDITION, SHADOW, DRAFT = "mark", "phase", "season", "edition", "shadow", "draft"
#: Under these a delay that runs already fires. Under the others the rule reports nothing: its shadow takes the delay over.
RUNS_ON = (MARK, PHASE)
#: Ends a shadow's rule id: no id of a rule can.
SHADE = "~"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Why a rule is not armed at a point, and what says so (a mark's or a pack's id, a phase)."""

    why: str
    ref: str


class Stood:
    """One rule at one point while it is not armed, and until its shadow's excursion is over."""

    __slots__ = ("armed", "counted", "own", "reasons", "said", "shadow", "woke")

    def __init__(self, armed: Track) -> None:
        self.armed = armed
        self.shadow = track_for(replace(armed.rule, id=armed.rule.id + SHADE), armed.order + 1)
        #: why -> ref; empty once it is armed again
        self.reasons: dict[str, str] = {}
        #: the last that were not empty
        self.said: dict[str, str] = {}
        #: whether the shadow's excursion is none of the armed track's
        self.own = True
        #: whether the shadow's excursion was counted
        self.counted = False
        #: when it was armed again (rule and wall time), where its shadow remembers readings that may still come to something
        self.woke: tuple[int, int] | None = None
        if isinstance(self.shadow, CombinedTrack):
            self.shadow.shades = True

    # --- borders ------------------------------------------------------------------------------------------------

    def begin(self, seen_us: int, rule_us: int) -> None:
        """The shadow knows what the armed track knows."""
        armed, shadow = self.armed, self.shadow
        if (state := armed.state()) is not None:
            shadow.restore(state)
        self.own = not in_excursion(armed, seen_us, rule_us)
        armed.shadow, armed.stands = shadow, True

    def because(self, reasons: dict[str, str]) -> None:
        """Why it stands now."""
        self.reasons = reasons
        self.said = reasons or self.said
        self.armed.stands = bool(reasons)

    def runs_on(self, seen_us: int, rule_us: int) -> bool:
        """Whether the armed track's delay goes on."""
        if any(why not in RUNS_ON for why in self.reasons):
            return False
        return self.armed.phase != BROKEN and in_excursion(self.armed, seen_us, rule_us)

    def mute(self, seen_us: int, rule_us: int, wall_us: int) -> Step | None:
        """The armed track is told of nothing from here on."""
        armed = self.armed
        self.shadow.overrun(seen_us, rule_us)
        self.shadow.tally_us = 0
        if armed.phase != BROKEN and in_excursion(armed, seen_us, rule_us):
            self.own = True
        if armed.phase == PENDING:
            armed.reset()
        armed.muted = True
        return armed.blind(rule_us, wall_us)

    def wake(self, seen_us: int, rule_us: int, wall_us: int) -> None:
        """The armed track is told of its readings again; what was beyond the limit meanwhile stands beside."""
        armed = self.armed
        over_us = self.shadow.overrun(seen_us, rule_us)
        if armed.phase != IDLE:
            armed.marked_us += over_us
        elif in_excursion(self.shadow, seen_us, rule_us):
            armed.beside_us = self.shadow.told(ENDED, rule_us, wall_us).beyond_us if self.shadow.phase != IDLE else over_us
        armed.muted = False
        armed.awake(self.shadow, rule_us, wall_us)
        self.woke = (rule_us, wall_us) if self.shadow.recalls((rule_us, wall_us), rule_us) else None

    def is_over(self, seen_us: int, rule_us: int) -> bool:
        """Whether nothing is left to do for the shadow of a rule that is armed again."""
        armed = self.armed
        if self.woke is not None and self.shadow.recalls(self.woke, rule_us):
            return False
        if not in_excursion(self.shadow, seen_us, rule_us) or armed.phase == BROKEN or not self.own:
            return True
        return self.counted and armed.phase != IDLE

    # --- what it tells --------------------------------------------------------------------------------------------

    def tell(self, step: Step) -> Step | None:
        """What a step of the shadow means; None: nothing that anybody counts."""
        fires = step.step == VIOLATED or (step.step == NOTICE and self.armed.rule.notices_only)
        if fires and not self.counted and self.armed.phase != BROKEN and (self.own or self.armed.phase == IDLE):
            self.counted = True
            return self._told(FIRED, step)
        if step.step in (RECOVERED, CANCELLED) and self.counted:
            self.counted = False
            return self._told(ENDED, step)
        return None

    def last(self, rule_us: int, wall_us: int) -> Step | None:
        """What is told of a counted excursion that is not followed any further."""
        if not self.counted:
            return None
        self.counted = False
        return self._told(ENDED, self.shadow.told(ENDED, rule_us, wall_us))

    def _told(self, what: str, step: Step) -> Step:
        detail = {"why": sorted(self.said), "refs": [self.said[why] for why in sorted(self.said)]}
        return replace(step, rule=self.armed.rule.id, step=what, detail=detail)

    # --- the state, as it stands in snapshots ---------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """JSON-able."""
        shadow = self.shadow
        counted_us = shadow.counted_us if isinstance(shadow, StaleTrack) else 0
        return {
            "reasons": dict(self.reasons), "said": dict(self.said), "own": self.own, "counted": self.counted,
            "muted": self.armed.muted, "beside_us": self.armed.beside_us, "tally": [shadow.tally_us, counted_us],
            "shadow": shadow.state(), **({"woke": list(self.woke)} if self.woke is not None else {}),
        }  # fmt: skip

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what ``state`` gave, also from an earlier edition of the rule."""
        shadow, armed = self.shadow, self.armed
        if state["shadow"] is not None:
            shadow.restore(state["shadow"])
        shadow.tally_us, counted_us = state["tally"]
        if isinstance(shadow, StaleTrack):
            shadow.counted_us = counted_us
        self.reasons, self.said = dict(state["reasons"]), dict(state["said"])
        self.own, self.counted = state["own"], state["counted"]
        self.woke = (state["woke"][0], state["woke"][1]) if "woke" in state else None
        armed.muted, armed.beside_us = state["muted"], state["beside_us"]
        armed.shadow, armed.stands = shadow, bool(self.reasons)


def in_excursion(track: Track, seen_us: int, rule_us: int) -> bool:
    """Whether something beyond the limit goes on: for a silence also before any notice of it."""
    if track.phase != IDLE or not isinstance(track, StaleTrack):
        return track.phase != IDLE
    return track.since(seen_us) + track.after_us <= rule_us


def is_shade(rule: str) -> bool:
    """Whether a step's rule is a shadow."""
    return rule.endswith(SHADE)


def shade_of(rule: str) -> str:
    """The rule that a shadow judges for."""
    return rule[: -len(SHADE)]
