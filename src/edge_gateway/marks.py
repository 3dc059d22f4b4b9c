"""Marks (标记): who says of which points, for how long and why, that their readings judge nothing; pure, knows no engine and no journal.

A mark never touches data. It has an end from its beginning on, by rule time and by a trusted wall clock, whichever comes
first; marks of a point less than ``APART_US`` apart count as one, for the longest time as for the week's quota.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from edge_gateway.errors import GatewayError
from edge_gateway.rules.base import SEQUENCE, SPREAD, WINDOW, BoundRule

MINUTE_US, HOUR_US = 60_000_000, 3_600_000_000
WEEK_US = 7 * 24 * HOUR_US
#: Marks of a point nearer than this are one.
APART_US = 30 * MINUTE_US
#: Running at once, points of one, ended ones that are remembered, and how long a text may be.
MOST_RUNNING, MOST_POINTS, MOST_REMEMBERED, MOST_TEXT = 50, 256, 400, 300
STARTED, EXTENDED, ENDED = "started", "extended", "ended"
#: Who ends a mark whose time is over.
BY_ITSELF = "edge-gateway"
#: Kinds that are judged by several points' readings alike: one of them marked is all of them.
_TOGETHER = (SPREAD, WINDOW, SEQUENCE)
_KEYS = (
    "mark", "type", "scope", "points", "by", "reason", "from_rule_us", "from_wall_us", "until_rule_us", "until_wall_us",
    "chain_rule_us", "after", "extended", "fired",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkType:
    """How long one may last, and all of a week together at one point (µs). The operator's values: no source gives any."""

    longest_us: int
    weekly_us: int
    zh: str


TYPES: Mapping[str, MarkType] = {
    "calibration": MarkType(longest_us=2 * HOUR_US, weekly_us=8 * HOUR_US, zh="校准"),
    "probe-swap": MarkType(longest_us=2 * HOUR_US, weekly_us=8 * HOUR_US, zh="更换探头"),
    "defrost": MarkType(longest_us=HOUR_US, weekly_us=28 * HOUR_US, zh="除霜"),
    "cleaning": MarkType(longest_us=4 * HOUR_US, weekly_us=28 * HOUR_US, zh="清洗"),
    "power-test": MarkType(longest_us=HOUR_US, weekly_us=4 * HOUR_US, zh="断电试验"),
    "sensor-fault": MarkType(longest_us=24 * HOUR_US, weekly_us=48 * HOUR_US, zh="传感器故障"),
    "door-loading": MarkType(longest_us=HOUR_US, weekly_us=14 * HOUR_US, zh="开门装卸"),
}


def bounded(told: Mapping[str, Mapping[str, Any]]) -> dict[str, MarkType]:
    """The types as a site bounds them (``longest_s``, ``weekly_s``): only ever less than ours, whatever stands there."""
    found = dict(TYPES)
    for name, own in told.items():
        if (known := TYPES.get(name)) is not None:
            longest_us, weekly_us = (round(float(own[key]) * 1e6) if own.get(key) else most for key, most in (("longest_s", known.longest_us), ("weekly_s", known.weekly_us)))
            found[name] = replace(known, longest_us=min(longest_us, known.longest_us), weekly_us=min(weekly_us, known.weekly_us))
    return found


class MarkRefused(GatewayError):
    """A mark that may not be: mend what is asked, or leave the rules armed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """This instant (µs), and who says so: the OS user that the control socket tells, and a reason."""

    rule_us: int
    wall_us: int
    by: str
    reason: str


class Marks:
    """All marks that run, and those of the last week."""

    def __init__(self) -> None:
        self._number = 0
        #: no number up to it is given: while what was given before is not known
        self.floor = 0
        self._running: dict[str, dict[str, Any]] = {}
        #: ended ones, oldest first: what quota and chains look at
        self._ended: list[dict[str, Any]] = []
        #: how long each type may last here
        self.types: Mapping[str, MarkType] = TYPES

    def use(self, resolved: Mapping[str, Any]) -> None:
        """A configuration comes into force: marks begun or extended from now on stay within its bounds; those that run go on."""
        self.types = bounded(resolved.get("marks") or {})

    # --- steps of persons -----------------------------------------------------------------------------------------

    def start(self, type_: str, scope: Mapping[str, Sequence[str]], points: Sequence[str], for_us: int, now: Now) -> dict[str, Any]:
        """The body of the entry by which a mark begins. ``points``: those that ``scope`` comes to. Raises MarkRefused."""
        if type_ not in TYPES:
            raise MarkRefused(f"no type of mark '{type_}'", hint=", ".join(TYPES))
        _said(now)
        if not points:
            raise MarkRefused("no point lies in the mark's scope", hint="name points, devices or zones that exist")
        if len(points) > MOST_POINTS or len(self._running) >= MOST_RUNNING:
            raise MarkRefused(f"at most {MOST_POINTS} points a mark, and {MOST_RUNNING} marks at once", hint="end one, or mark less")
        if len(self._of_week(now.rule_us)) + len(self._running) >= MOST_REMEMBERED:  # else the oldest would be in no quota any more
            raise MarkRefused(f"{MOST_REMEMBERED} marks were begun within a week", hint="fewer and longer ones, or leave the rules armed")
        if for_us <= 0:
            raise MarkRefused("a mark needs an end", hint="add --for 45m")
        chain_us = self._chain(points, now.rule_us)
        self._bound(type_, points, (chain_us, now.rule_us, now.rule_us + for_us))
        self._number = max(self._number, self.floor) + 1
        mark: dict[str, Any] = {
            "mark": f"M-{self._number}", "type": type_, "scope": {key: sorted(names) for key, names in scope.items() if names},
            "points": sorted(points), "by": now.by, "reason": now.reason, "from_rule_us": now.rule_us, "from_wall_us": now.wall_us,
            "until_rule_us": now.rule_us + for_us, "until_wall_us": now.wall_us + for_us, "chain_rule_us": chain_us,
            "extended": 0, "fired": 0,
        }  # fmt: skip
        self._running[mark["mark"]] = mark
        return dict(mark) | {"step": STARTED}

    def extend(self, id_: str, for_us: int, now: Now) -> dict[str, Any]:
        """The body of the entry by which a mark lasts ``for_us`` from now on. Raises MarkRefused."""
        mark = self._one(id_)
        _said(now)
        until_us = now.rule_us + for_us
        if until_us <= mark["until_rule_us"]:
            raise MarkRefused(f"{id_} lasts longer than that already", hint=f"end it with `edge-gateway mark end {id_}`")
        self._bound(mark["type"], mark["points"], (mark["chain_rule_us"], now.rule_us, until_us))
        mark |= {"until_rule_us": until_us, "until_wall_us": now.wall_us + for_us, "extended": mark["extended"] + 1}
        return dict(mark) | {"step": EXTENDED, "by": now.by, "reason": now.reason}

    def end(self, id_: str, now: Now) -> dict[str, Any]:
        """The body of the entry by which a person ends a mark. Raises MarkRefused."""
        mark = self._one(id_)
        _said(now)
        return self._end(mark, now)

    # --- time -----------------------------------------------------------------------------------------------------

    def due_us(self) -> int | None:
        """Rule time at which the next mark ends by itself."""
        return min((mark["until_rule_us"] for mark in self._running.values()), default=None)

    def ripe(self, rule_us: int, wall_us: int, *, trusted: bool) -> list[str]:
        """Marks whose time is over: by rule time, or by a wall clock that somebody vouches for."""
        over = (m for m in self._running.values() if m["until_rule_us"] <= rule_us or (trusted and m["until_wall_us"] <= wall_us))
        return [str(mark["mark"]) for mark in over]

    def end_itself(self, id_: str, rule_us: int, wall_us: int) -> dict[str, Any]:
        """The body of the entry by which a mark's time is over."""
        return self._end(self._running[id_], Now(rule_us=rule_us, wall_us=wall_us, by=BY_ITSELF, reason="its time is over"))

    # --- what they mean -------------------------------------------------------------------------------------------

    def running(self) -> list[dict[str, Any]]:
        """Marks that run, in the order of their beginning: copies."""
        return [dict(mark) for mark in self._running.values()]

    def recent(self) -> list[dict[str, Any]]:
        """Marks that ended within the last week or so, oldest first: copies."""
        return [dict(mark) for mark in self._ended]

    def refs(self, rules: Iterable[BoundRule]) -> dict[tuple[str, str], str]:
        """Rules that are not armed, (rule, point) -> the marks that say so. What excuses a rule is not what it judges."""
        if not self._running:
            return {}
        by_point: dict[str, list[str]] = {}
        for mark in self._running.values():
            for point in mark["points"]:
                by_point.setdefault(point, []).append(mark["mark"])
        found = {}
        for rule in rules:
            inputs = (rule.point, *rule.others) if rule.kind in _TOGETHER else (rule.point,)
            marks = {id_ for name in inputs for id_ in by_point.get(name, ())}
            if marks:
                found[rule.id, rule.point] = ",".join(sorted(marks, key=_number))
        return found

    def count(self, event: Mapping[str, Any]) -> None:
        """A ``would-have-fired`` event: counted by the marks that it names."""
        refs = dict(zip(event.get("why", ()), event.get("refs", ()), strict=False))
        for id_ in str(refs.get("mark", "")).split(","):
            for mark in (self._running.get(id_), *(each for each in self._ended if each["mark"] == id_)):
                if mark is not None:
                    mark["fired"] += 1

    def used_us(self, point: str, rule_us: int, *, besides: tuple[int, int] | None = None) -> int:
        """How much of the week before ``rule_us`` marks of a point took, those less than ``APART_US`` apart as one."""
        all_ = [*self._ended, *self._running.values()]
        spans = [(m["from_rule_us"], m.get("ended_rule_us", m["until_rule_us"])) for m in all_ if point in m["points"]]
        total_us = 0
        last: tuple[int, int] | None = None
        for since_us, until_us in sorted([*spans, *([besides] if besides else [])]):
            since_us = max(since_us, rule_us - WEEK_US)
            if until_us <= since_us:
                continue
            if last is not None and since_us - last[1] < APART_US:
                total_us += max(until_us - last[1], 0)
                last = last[0], max(last[1], until_us)
            else:
                total_us += until_us - since_us
                last = since_us, until_us
        return total_us

    # --- state ----------------------------------------------------------------------------------------------------

    def replay(self, entry: Mapping[str, Any]) -> None:
        """Take over a ``mark`` entry that was journaled after the last snapshot."""
        id_ = str(entry["mark"])
        self._number = max(self._number, _number(id_))
        if entry["step"] == ENDED:
            mark = self._running.pop(id_, None)
            if mark is not None:
                self._remember(mark | {"ended_rule_us": int(entry["rule_us"])}, int(entry["rule_us"]))
            return
        before = self._running.get(id_, {})
        told = {key: entry[key] for key in _KEYS if key in entry}
        if before:  # who began it, and why, stays
            told |= {key: before[key] for key in ("by", "reason", "fired", "after") if key in before}
        self._running[id_] = told

    def snapshot(self) -> dict[str, Any]:
        """JSON-able."""
        return {"number": self._number, "running": self.running(), "ended": self.recent()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a snapshot."""
        self._number = int(state.get("number", 0))
        self._running = {str(mark["mark"]): dict(mark) for mark in state.get("running", ())}
        self._ended = [dict(mark) for mark in state.get("ended", ())]

    def note_after(self, id_: str, after: Sequence[Mapping[str, Any]]) -> None:
        """What was beyond its limit already when a mark began: it is flagged."""
        if after:
            self._running[id_]["after"] = [dict(each) for each in after]

    # --- inside ---------------------------------------------------------------------------------------------------

    def _one(self, id_: str) -> dict[str, Any]:
        mark = self._running.get(id_)
        if mark is None:
            raise MarkRefused(f"no mark '{id_}' runs", hint="`edge-gateway mark list` shows those that do")
        return mark

    def _end(self, mark: dict[str, Any], now: Now) -> dict[str, Any]:
        del self._running[mark["mark"]]
        self._remember(mark | {"ended_rule_us": now.rule_us}, now.rule_us)
        return dict(mark) | {"step": ENDED, "by": now.by, "reason": now.reason}

    def _remember(self, mark: dict[str, Any], rule_us: int) -> None:
        self._ended = [*self._of_week(rule_us), mark][-MOST_REMEMBERED:]

    def _of_week(self, rule_us: int) -> list[dict[str, Any]]:
        return [each for each in self._ended if each["ended_rule_us"] > rule_us - WEEK_US - HOUR_US]

    def _chain(self, points: Sequence[str], rule_us: int) -> int:
        """When the marks began that one of these points now would go on with."""
        wanted = set(points)
        running = [(mark, rule_us) for mark in self._running.values()]
        near = [*running, *((mark, mark["ended_rule_us"]) for mark in self._ended)]
        begun = [int(mark["chain_rule_us"]) for mark, until_us in near if rule_us - until_us < APART_US and wanted & set(mark["points"])]
        return min([rule_us, *begun])

    def _bound(self, type_: str, points: Sequence[str], times: tuple[int, int, int]) -> None:
        """Not longer than its type permits, those before it included, and within the week's quota. Raises MarkRefused."""
        known = self.types[type_]
        chain_us, now_us, until_us = times
        if until_us - chain_us > known.longest_us:
            left = max(chain_us + known.longest_us - now_us, 0) // MINUTE_US
            why = f"a mark of type {type_} lasts at most {known.longest_us // MINUTE_US} min"
            why += f"; with those less than {APART_US // MINUTE_US} min before it {left} min are left" if chain_us < now_us else ""
            raise MarkRefused(why, hint="a shorter time, or leave the rules armed")
        for point in points:
            used_us = self.used_us(point, now_us, besides=(now_us, until_us))
            if used_us > known.weekly_us:
                had = self.used_us(point, now_us) // MINUTE_US
                why = f"the week's quota of {known.weekly_us // HOUR_US} h for {type_} is passed at {point}: {had} min were marked"
                raise MarkRefused(why, hint="a shorter time; what is out of order for longer is a violation")


def _said(now: Now) -> None:
    if not now.by.strip():
        raise MarkRefused("who marks is not known", hint="the control socket tells the user's name")
    if not now.reason.strip():
        raise MarkRefused("a reason is missing", hint='add --reason "annual, certificate LH-2026-118"')
    if len(now.reason) > MOST_TEXT:
        raise MarkRefused(f"a reason is at most {MOST_TEXT} characters", hint="the rest belongs into the certificate")


def _number(id_: str) -> int:
    number = id_.rpartition("-")[2]
    return int(number) if number.isdecimal() else 0
