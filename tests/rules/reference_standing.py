"""The part of docs/reference/rules.md about rules that are not armed, written down for ``limit`` over the whole history.

Two books of the same readings, the armed rule's and its shadow's. Each looks back at the readings of its excursion; the
time that readings were beyond the limit while the armed book was shut is found again from all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from edge_gateway.rules.base import BoundRule

from .reference import _beyond, _over, _peak

#: (time, a number | None | "tick" | the reasons that hold from here on)
Event = tuple[int, Any]


@dataclass(frozen=True)
class Seen:
    at: int
    step: str
    first: int
    peak: float | None
    beyond: int
    marked: int = 0


@dataclass
class Book:
    rule: BoundRule
    trail: list[tuple[int, Any]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    shut_us: int | None = None
    clear_from: int = 0
    #: minutes that were counted when the book was shut, and those of the shadow beside it
    counted: int = 0
    marked: int = 0

    def bounds(self) -> tuple[Any, Any, Any, Any]:
        low, high = (None if n is None else float(n) for n in (self.rule.low, self.rule.high))
        clear_low, clear_high = (None if n is None else float(n) for n in (self.rule.clear_low, self.rule.clear_high))
        return low, high, low if clear_low is None else clear_low, high if clear_high is None else clear_high

    @property
    def broken(self) -> bool:
        return "violated" in self.said

    @property
    def running(self) -> bool:
        return bool(self.trail) and not self.broken

    def beyond(self, at: int) -> int:
        return _beyond(self.trail, at, self.rule.fresh_us, *self.bounds()[:2])

    def see(self, at: int, what: Any) -> Seen | None:
        low, high, clear_low, clear_high = self.bounds()
        known = what is not None and what != "tick"
        if not self.trail and not (known and _over(what, low, high)):
            return None
        if what != "tick":
            self.trail.append((at, what))
        last_at, last = self.trail[-1]
        first = self.trail[0][0]
        step, over = "", False
        if what is None:
            since = next(t for i, (t, _) in enumerate(self.trail) if all(v is None for _, v in self.trail[i:]))
            if self.said and at - since >= self.rule.unknown_after_us and self.said[-1] != "unknown":
                step = "unknown"
        elif last is None or (what == "tick" and (not _over(last, low, high) or at - last_at > self.rule.fresh_us)):
            return None
        elif _over(last, low, high):
            if not self.broken and self.rule.violation_after_us is not None and at - first >= self.rule.violation_after_us:
                step = "violated"
            elif not self.said and at - first >= self.rule.notice_after_us:
                step = "notice"
        elif not _over(last, clear_low, clear_high):
            values = [(t, v) for t, v in self.trail if v is not None and t >= self.clear_from]
            run = next(t for i, (t, _) in enumerate(values) if not any(_over(v, clear_low, clear_high) for _, v in values[i:]))
            over = not self.broken or at - run >= self.rule.clear_after_us
            step = ("recovered" if self.broken else "cancelled" if self.said else "") if over else ""
        if not step and not over and known and self.said and self.said[-1] == "unknown":
            step = "active"
        told = self.tell(at, step) if step else None
        if over:
            self.trail, self.said, self.marked = [], [], 0
        return told

    def tell(self, at: int, step: str) -> Seen:
        low, high = self.bounds()[:2]
        self.said.append(step)
        return Seen(at, step, self.trail[0][0], _peak(self.trail, low, high), self.beyond(at), self.marked)


def standing(rule: BoundRule, events: list[Event]) -> list[Seen]:  # noqa: C901 -- one page, in the order of the page it was written from
    """Everything told of one ``limit`` rule: its own steps, and what would have fired, and when that would have been over."""
    armed, shadow = Book(rule), None
    reasons: frozenset[str] = frozenset()
    told: list[Seen] = []
    own = counted = False
    readings: list[tuple[int, Any]] = []
    low, high = armed.bounds()[:2]

    def between(since: int, until: int) -> int:
        """Time beyond the limit of all readings, cut to a stretch."""
        ends = [*(t for t, _ in readings[1:]), until]
        spoken = [(t, min(e, t + rule.fresh_us)) for (t, v), e in zip(readings, ends, strict=True) if v is not None and _over(v, low, high)]
        return sum(max(min(e, until) - max(t, since), 0) for t, e in spoken)

    def shut(at: int) -> None:
        nonlocal own
        if armed.running:
            own = True
        if armed.trail and not armed.said:
            armed.trail = []
        armed.shut_us = at
        armed.clear_from = at
        if armed.trail:
            beyond = armed.tell(at, "unknown") if armed.said[-1] != "unknown" else None
            armed.trail.append((at, None))
            told.extend([beyond] if beyond else [])

    def end_shadow(at: int) -> None:
        nonlocal shadow, counted
        assert shadow is not None
        if counted:
            step = shadow.tell(at, "would-have-ended")
            told.append(step)
        shadow, counted = None, False
        if not armed.trail:
            armed.marked = 0

    for at, what in events:
        if isinstance(what, frozenset):
            before, reasons = reasons, what
            if reasons and shadow is None:
                shadow = Book(rule, list(armed.trail), list(armed.said), clear_from=armed.clear_from)
                own, counted = not armed.trail, False
            if before and not reasons and armed.shut_us is not None and shadow is not None:
                if armed.trail:
                    armed.marked += between(armed.shut_us, at)
                    readings.append((at, None))  # what it said meanwhile speaks no longer than that
                elif shadow.trail:
                    armed.marked = shadow.beyond(at)
                armed.shut_us = None
        else:
            ours = armed.see(at, what) if armed.shut_us is None else None
            theirs = shadow.see(at, what) if shadow is not None else None
            if what != "tick":
                readings.append((at, what))
            if ours is not None:
                told.append(ours)
            if theirs is not None:
                fires = theirs.step == "violated" or (theirs.step == "notice" and rule.notices_only)
                if fires and not counted and not armed.broken and (own or not armed.trail):
                    counted = True
                    told.append(Seen(at, "would-have-fired", theirs.first, theirs.peak, theirs.beyond))
                elif theirs.step in ("recovered", "cancelled") and counted:
                    counted = False
                    told.append(Seen(at, "would-have-ended", theirs.first, theirs.peak, theirs.beyond))
        if shadow is None:
            continue
        own = own or not shadow.trail
        if reasons:
            if armed.shut_us is None and not (reasons <= {"mark", "phase"} and armed.running):
                shut(at)
        elif not shadow.trail or armed.broken or not own or (counted and armed.trail):
            end_shadow(at)
    return told
