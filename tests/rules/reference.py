"""A second, independent engine: docs/reference/rules.md written down as plainly as possible, over the whole history.

It keeps no timers: at each event it looks back at the readings since the excursion began. Slow, and hard to get
wrong in the same way as the real one. An event is (time, what): a number, None (unknown), "skip" or "tick".
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import fsum
from typing import Any

from edge_gateway.rules.base import BoundRule

Event = tuple[int, Any]
Seen = list[tuple[int, dict[int, Any] | str]]
UNDECIDED = "undecided"
GRACE_AFTER_US = 10_000_000


@dataclass(frozen=True)
class Told:
    """A step as the reference sees it: everything that *same outcome* means."""

    at: int
    step: str
    first: int
    peak: float | None
    beyond: int


def reference(rule: BoundRule, events: list[Event]) -> list[Told]:
    """All steps of one rule at one point."""
    events = [event for event in events if event[1] != "skip"]
    if rule.kind == "stale":
        return _stale(rule, events)
    if rule.kind == "flat":
        return _flat(rule, events)
    if rule.kind == "descent":
        return _descent(rule, events)
    if rule.kind == "exposure":
        return _exposure(rule, events)
    if rule.kind == "rate":
        return _limit(rule, _rates(rule, events), None, float(rule.per_s or 0), None, float(rule.per_s or 0))
    low, high = (None if n is None else float(n) for n in (rule.low, rule.high))
    clear_low, clear_high = (None if n is None else float(n) for n in (rule.clear_low, rule.clear_high))
    return _limit(
        rule, events, low, high, low if clear_low is None else clear_low, high if clear_high is None else clear_high
    )


def _over(value: Any, low: float | None, high: float | None) -> float:
    """How far beyond the limit; 0 within."""
    if value == UNDECIDED:
        return 0.0
    if high is not None and value > high:
        return value - high
    return low - value if low is not None and value < low else 0.0


def _limit(  # noqa: C901 -- one page, in the order of the page it was written from
    rule: BoundRule, events: list[Event], low: Any, high: Any, clear_low: Any, clear_high: Any, begins: dict[int, int] | None = None
) -> list[Told]:
    told: list[Told] = []
    trail: list[Event] = []  # readings of this excursion
    said: list[str] = []  # what was told of it
    for at, what in events:
        known = what is not None and what != "tick"
        if not trail and (not known or not _over(what, low, high)):
            continue
        if what != "tick":
            trail.append((at, what))
        first, (last_at, last) = trail[0][0], trail[-1]
        first, delays = (begins[first], begins[first] + rule.after_us) if begins else (first, first)
        fired, noticed = "violated" in said, bool(said)
        step = ""
        ended = False
        if what is None:
            since = next(t for i, (t, _) in enumerate(trail) if all(v is None for _, v in trail[i:]))
            if noticed and at - since >= rule.unknown_after_us and said[-1] != "unknown":
                step = "unknown"
        elif last is None or (what == "tick" and (not _over(last, low, high) or at - last_at > rule.fresh_us)):
            continue
        elif _over(last, low, high):
            if not fired and rule.violation_after_us is not None and at - delays >= rule.violation_after_us:
                step = "violated"
            elif not noticed and at - delays >= rule.notice_after_us:
                step = "notice"
        elif last != UNDECIDED and not _over(last, clear_low, clear_high):
            values = [(t, v) for t, v in trail if v is not None]
            run = next(
                t for i, (t, _) in enumerate(values) if not any(v == UNDECIDED or _over(v, clear_low, clear_high) for _, v in values[i:])
            )
            ended = not fired or at - run >= rule.clear_after_us
            step = ("recovered" if fired else "cancelled" if noticed else "") if ended else ""
        if not step and not ended and known and said and said[-1] == "unknown":
            step = "active"
        if step:
            said.append(step)
            told.append(Told(at, step, first, _peak(trail, low, high), _beyond(trail, at, rule.fresh_us, low, high)))
        if ended:
            trail, said = [], []
    return told


def _peak(trail: list[Event], low: Any, high: Any) -> float:
    beyond = [v for _, v in trail if v is not None and _over(v, low, high)]
    return float(max(beyond, key=lambda v: _over(v, low, high)))  # the first of equal ones


def _beyond(trail: list[Event], now: int, fresh: int, low: Any, high: Any) -> int:
    ends = [*(t for t, _ in trail[1:]), now]
    return sum(
        min(end - t, fresh) for (t, v), end in zip(trail, ends, strict=True) if v is not None and _over(v, low, high)
    )


def _flat(rule: BoundRule, events: list[Event]) -> list[Told]:
    """How long values stayed within the band of each other, in seconds; an excursion begins where the stretch did."""
    out: list[Event] = []
    begins: dict[int, int] = {}
    stretch: list[Event] = []
    for at, what in events:
        if what is None or what == "tick":
            out.append((at, what))
            continue
        stretch.append((at, what))
        if max(v for _, v in stretch) - min(v for _, v in stretch) > float(rule.terms["band"]):
            stretch = [(at, what)]
        out.append((at, (at - stretch[0][0]) / 1e6))
        begins[at] = stretch[0][0]
    most = rule.after_us / 1e6
    return _limit(rule, out, None, most, None, most, begins)


def _undecided_for_long(rule: BoundRule, events: list[Event], told: list[Told]) -> list[Told]:
    """Undecided for ``undecided_after_us`` without a decided value in between, told once, at the first undecided instant
    after that at which nothing else was."""
    extra: list[Told] = []
    since: int | None = None
    said = False
    taken = {(each.at, each.step) for each in told}
    for at, what in events:
        if what == UNDECIDED:
            since = at if since is None else since
            if not said and at - since >= rule.undecided_after_us and (at, "active") not in taken:
                said = True
                extra.append(Told(at, UNDECIDED, since, None, 0))
        elif what is not None and what != "tick":
            since, said = None, False
    return sorted([*told, *extra], key=lambda each: each.at)


def joint(rule: BoundRule, seen: Seen) -> list[Told]:
    """``seen``: per call its time and what each input said, or "tick", or "skip". An instant is judged when it is over."""
    events: list[Event] = []
    newest: dict[int, Event] = {}
    instants: list[tuple[int, dict[int, Event]]] = []  # when, and the newest of each input then
    spoke = False
    for n, (at, said) in enumerate(seen):
        if said == "tick" and not spoke:
            events.append((at, "tick"))
        elif isinstance(said, dict):
            newest |= {which: (at, what) for which, what in said.items()}
            spoke = spoke or bool(said)
        if spoke and n + 1 < len(seen) and seen[n + 1][0] > at:
            instants.append((at, dict(newest)))
            judge = {"spread": _apart, "window": _window, "limit": _guarded}[rule.kind]
            unheard = rule.kind == "window" and rule.terms["fn"] == "share" and rule.semantics >= 4 and at - instants[0][0] < rule.window_us
            if (what := UNDECIDED if unheard else judge(rule, instants)) != "skip":
                events.append((at, what))
            spoke = False
    low, high = (None if n is None else float(n) for n in (rule.low, rule.high))
    clear_low, clear_high = (None if n is None else float(n) for n in (rule.clear_low, rule.clear_high))
    told = _limit(rule, events, low, high, low if clear_low is None else clear_low, high if clear_high is None else clear_high)
    return _undecided_for_long(rule, events, told)


def _guarded(rule: BoundRule, instants: list[tuple[int, dict[int, Event]]]) -> Any:
    """A limit with a guard band, or an excuse: the contact's windows are found again from the whole history."""
    at, newest = instants[-1]
    if newest.get(0, (None, None))[0] != at:
        return "skip"
    value = newest[0][1]
    if value is None:
        return None
    low, high = (None if n is None else float(n) for n in (rule.low, rule.high))
    band = float(rule.terms.get("uncertainty", "0"))
    if high is not None and high - band < value <= high + band:
        return UNDECIDED
    if low is not None and low - band <= value < low + band:
        return UNDECIDED
    holds = [
        when for when, some in instants
        if 1 in some and some[1][1] == 1 and when - some[1][0] <= rule.fresh_us
    ]  # fmt: skip
    if not holds or holds[-1] != at or not _over(value, low, high):
        return value
    began = next(when for n, when in enumerate(holds) if all(b - a <= int(rule.terms["rest_us"]) for a, b in pairwise(holds[n:])))
    peaks = [float(rule.terms[key]) for key in ("peak_low", "peak_high") if key in rule.terms]
    within = all(value <= peak if high is not None else value >= peak for peak in peaks)
    return UNDECIDED if within and at - began <= int(rule.terms["most_us"]) else value


def _descent(rule: BoundRule, events: list[Event]) -> list[Told]:
    """Runs are cut out of the known readings first, then each reading is held against what its run permits."""
    start, to, rise = (float(rule.terms[key]) for key in ("start", "to", "rise"))
    out: list[Event] = []
    run: list[Event] = []
    failed = False
    for at, what in events:
        if what is None or what == "tick":
            out.append((at, what))
            continue
        if not run:
            if what > start:
                run, failed = [(at, what)], False
            out.append((at, UNDECIDED))
            continue
        above = max(what - min(v for _, v in run) - rise, what - to if at - run[0][0] > int(rule.terms["within_us"]) else 0.0, 0.0)
        run.append((at, what))
        failed = failed or above > 0
        ended = what <= to and not above
        out.append((at, above or (0.0 if ended and not failed else UNDECIDED)))
        if ended:
            run = []
    return _limit(rule, out, None, 0.0, None, 0.0)


def _apart(rule: BoundRule, instants: list[tuple[int, dict[int, Event]]]) -> float | None:
    at, newest = instants[-1]
    known = [v for time, v in newest.values() if v is not None and at - time <= rule.fresh_us]
    return max(known) - min(known) if len(known) > 1 else None


def _window(rule: BoundRule, instants: list[tuple[int, dict[int, Event]]]) -> Any:
    """The whole history cut into steps, then what the steps in the window hold."""
    fn, step_us = rule.terms["fn"], int(rule.terms["step_us"])
    steps: list[tuple[int, list[tuple[float, float]]]] = []  # begin, (value, weight)
    for at, newest in instants:
        if newest.get(0, (None, None))[0] != at:
            continue
        steps = [step for step in steps if step[0] + step_us > at - rule.window_us]
        if not steps or at >= steps[-1][0] + step_us:
            steps.append((at, []))
        value = newest[0][1]
        flow_at, flow = newest.get(1, (0, None))
        if fn != "flow-mean" and value is not None:
            steps[-1][1].append((value, 1.0))
        elif value is not None and flow is not None and at - flow_at <= rule.fresh_us:
            steps[-1][1].append((value, flow))
    readings = [each for _, some in steps for each in some]
    due = Fraction(rule.window_us, int(rule.terms["interval_us"]))
    share = min(len(readings) / due, Fraction(1))
    if fn == "share":
        return float(share)
    if not readings or share < Fraction(str(rule.terms.get("valid_share", "0"))):
        return UNDECIDED
    values = sorted(value for value, _ in readings)
    if fn == "percentile":
        wanted = Fraction(str(rule.terms["percentile"])) / 100 * len(values)
        return next(value for n, value in enumerate(values, 1) if n >= wanted)
    if fn in ("minimum", "maximum"):
        return values[0] if fn == "minimum" else values[-1]
    weight = fsum(w for _, w in readings)
    return fsum(v * w for v, w in readings) / weight if weight > 0 else UNDECIDED


def _exposure(rule: BoundRule, events: list[Event]) -> list[Told]:
    """At each reading: the stretches so far, each cut where a step begins, summed in fractions over the window."""
    terms = rule.terms
    low, high = (float(terms[key]) if key in terms else None for key in ("beyond_low", "beyond_high"))
    degrees, unseen = terms["of"] == "degree-minutes", Fraction(str(terms.get("unknown_excess", "1")))
    step_us, most = int(terms["step_us"]), float(rule.high or 0)
    steps: list[list[Any]] = []  # begin, least, what nobody saw
    out: list[Event] = []

    def put(since: int, until: int, which: int, excess: Fraction) -> None:
        since = max(since, until - rule.window_us - step_us)
        while since < until:
            steps[:] = [step for step in steps if step[0] + step_us > since - rule.window_us]
            if not steps or since >= steps[-1][0] + step_us:
                steps.append([since // step_us * step_us if rule.semantics >= 3 else since, Fraction(0), Fraction(0)])
            end = min(until, steps[-1][0] + step_us)
            steps[-1][which] += excess * (end - since) if rule.semantics >= 3 else Fraction(float(excess) * (end - since))
            since = end
        steps[:] = [step for step in steps if step[0] + step_us > until - rule.window_us]

    last: Event | None = None
    for at, what in events:
        if what == "tick":
            out.append((at, "tick"))
            continue
        if last is not None:
            spoke = last[0] if last[1] is None else min(at, last[0] + rule.fresh_us)
            if last[1] is not None:
                excess = Fraction(_over(last[1], low, high))
                put(last[0], spoke, 1, excess if degrees else Fraction(excess > 0))
            put(spoke, at, 2, unseen if degrees else Fraction(1))
        last = (at, what)
        least, beside = (float(sum((step[n] for step in steps), Fraction(0))) / 60_000_000 for n in (1, 2))
        out.append((at, least if least > most or least + beside <= most else UNDECIDED))
    return _undecided_for_long(rule, out, _limit(rule, out, None, most, None, most))


def _rates(rule: BoundRule, events: list[Event]) -> list[Event]:
    """Readings as changes per second against the last one judged; those too near are no readings."""
    out: list[Event] = []
    anchor: Event | None = None
    for at, what in events:
        if what is None or what == "tick":
            out.append((at, what))
        elif anchor is None:
            anchor = (at, what)
        elif at > anchor[0] and at - anchor[0] >= rule.window_us:
            out.append((at, abs(what - anchor[1]) * 1_000_000 / (at - anchor[0])))
            anchor = (at, what)
    return out


def _stale(rule: BoundRule, events: list[Event]) -> list[Told]:  # noqa: C901 -- the same
    told: list[Told] = []
    if not events:
        return told
    heard = [events[0][0]]  # silence counts from the first event where nothing was heard
    grace: dict[int, int] = {}
    said = ""
    began = silent_to = 0
    for at, what in events:
        if what is not None and what != "tick":
            if said and at - began < rule.after_us:
                raise AssertionError("told of a silence that was none")
            if said == "notice":
                told.append(Told(at, "cancelled", began, (at - began) / 1e6, at - began - rule.after_us))
                said = ""
            elif said == "violated":
                silent_to = silent_to or at
                after = [t for t in heard if t >= silent_to] + [at]
                run = next(
                    t for i, t in enumerate(after) if all(b - a <= rule.after_us for a, b in pairwise(after[i:]))
                )
                if at - run >= rule.clear_after_us:
                    holes = sum(b - a - rule.after_us for a, b in pairwise(after) if b - a > rule.after_us)
                    told.append(
                        Told(
                            at, "recovered", began, (silent_to - began) / 1e6, silent_to - began - rule.after_us + holes
                        )
                    )
                    said = ""
            heard.append(at)
        elif what == "tick":
            last, since = heard[-1], heard[-1] + rule.after_us
            if said == "" and at >= since + rule.notice_after_us:
                if at - since - rule.notice_after_us > GRACE_AFTER_US and last not in grace:
                    grace[last] = at + rule.after_us
                if grace.get(last, 0) <= at:
                    began, silent_to = last, 0
                    said = (
                        "violated"
                        if rule.violation_after_us is not None and at >= since + rule.violation_after_us
                        else "notice"
                    )
                    told.append(Told(at, said, began, (at - began) / 1e6, at - since))
            elif said == "notice" and rule.violation_after_us is not None and at >= since + rule.violation_after_us:
                said = "violated"
                told.append(Told(at, said, began, (at - began) / 1e6, at - since))
    return told
