"""Which violations are consequences of which: a power cut, a dark bus or a compressor is told once, with what follows from it; knows no journal.

Two things say so: that silences begin together, and what rules declare as their ``consequences``. What is held loses nothing:
it keeps its own start and minutes, and is told as soon as what holds it is over (``book``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edge_gateway.rules.base import ACTIVE, NOTICE, STALE, VIOLATED, Step
from edge_gateway.violations.asked import Moment
from edge_gateway.violations.book import Violations
from edge_gateway.violations.holding import Holding, Known, in_order
from edge_gateway.violations.table import MERGED, NEW

#: Stands in a configuration that is judged so (``semantics.causes``); records of earlier releases are judged as they were.
CAUSES = 1
#: How far apart (µs) readings may lie besides their points' intervals and still be of one time: polls wait for each other.
NEAR_US = 60_000_000
#: How far apart (µs) last readings of different buses may lie: what reaches both is the site's power, or its network.
ACROSS_US = 120_000_000
Body = dict[str, Any]
Record = Mapping[str, Any]
_NOTHING: tuple[frozenset[str], str] = frozenset(), ""


class Silences:
    """What a resolved configuration says of silence: which rules watch it, on which bus a point is, how often it speaks."""

    def __init__(self, resolved: Mapping[str, Any]) -> None:
        self.rules = frozenset(str(rule["id"]) for rule in resolved.get("rules", ()) if _judged(resolved) and rule["kind"] == STALE)
        devices, points = resolved.get("devices", {}), resolved.get("points", {})
        self._bus = {id_: str(devices.get(about.get("device"), {}).get("bus", "")) for id_, about in points.items()}
        self._every_us = intervals(resolved)

    def together(self, one: Record, other: Record) -> bool:
        """Whether two silences (records) began at one time, as far as readings can tell: neither point spoke when the other was missed."""
        first, second = sorted((one, other), key=_began_us)
        apart_us = _began_us(second) - _began_us(first)
        bus = self._bus.get(first["point"], "")
        if not bus or bus != self._bus.get(second["point"], ""):
            return apart_us <= ACROSS_US
        return apart_us <= self._every_us.get(first["point"], 0) + NEAR_US


class Declared:
    """What rules say of their consequences (``consequences``), and where: at the same point, its device, its zone, or anywhere at the site."""

    def __init__(self, resolved: Mapping[str, Any]) -> None:
        told = [rule for rule in resolved.get("rules", ()) if _judged(resolved) and rule.get("consequences")]
        self._of = {str(rule["id"]): (frozenset(rule["consequences"]), str(rule.get("consequences_over", ""))) for rule in told}
        self.rules = frozenset(self._of).union(*(named for named, _ in self._of.values()))
        self._points = resolved.get("points", {})
        self._every_us = intervals(resolved)

    def follows(self, cause: Record, other: Record) -> bool:
        """Whether ``cause``'s rule says that the other (a record) is its consequence: there, and not begun before it, as far as readings can tell.

        A rule that names itself says it of what begins together with it at other points.
        """
        named, over = self._of.get(cause["rule"], _NOTHING)
        if other["rule"] not in named or not self._there(over, cause["point"], other["point"]):
            return False
        near_us = sum(self._every_us.get(each["point"], 0) for each in (cause, other)) + NEAR_US
        later_us = _began_us(other) - _began_us(cause)
        return later_us >= -near_us and (cause["rule"] != other["rule"] or later_us <= near_us)

    def zone_of(self, point: str) -> str:
        """The zone in which a point lies; "" for none."""
        return str(self._points.get(point, {}).get("zone") or "")

    def _there(self, over: str, point: str, other: str) -> bool:
        if over in ("device", "zone"):
            places = [str(self._points.get(each, {}).get(over) or "") for each in (point, other)]
            return places[0] == places[1] != ""
        return over == "site" or point == other


class Causes:
    """All that a resolved configuration says of causes."""

    def __init__(self, resolved: Mapping[str, Any]) -> None:
        self.silences, self.declared = Silences(resolved), Declared(resolved)

    def concern(self, rule: str) -> bool:
        """Whether this rule may be a cause or a consequence."""
        return rule in self.silences.rules or rule in self.declared.rules

    def explains(self, cause: Record, other: Record) -> bool:
        """Whether one (a record) is the cause of the other."""
        both = cause["handling"] != MERGED and cause["rule"] in self.silences.rules and other["rule"] in self.silences.rules
        return (both and self.silences.together(cause, other)) or self.declared.follows(cause, other)


def told(book: Violations, causes: Causes, step: Step, made: list[Body], at: Moment) -> list[Body]:
    """The entries of a rule's step, ``made`` by the book, where it belongs to a cause or is one: then they say so."""
    if step.step not in (NOTICE, VIOLATED) or not causes.concern(step.rule):
        return made
    id_, before, rest = str(made[0]["violation"]), str(made[0].get("before", made[0]["handling"])), made[1:]
    holding = book.holding
    mine = holding.record(id_)
    if mine["handling"] == MERGED and not any(_may_hold(causes, holding, each, mine) for each in holding.above(mine)[:1]):
        book.release(id_, at)
    if mine["handling"] == NEW and (cause := _cause(causes, holding, mine)) is not None:
        rest += book.hold([id_], cause["violation"], at, _known(causes, holding, cause))[1:]  # its own entry says that it is held
    if below := [each["violation"] for each in _consequences(causes, holding, mine)]:
        rest += book.hold(below, id_, at, _known(causes, holding, mine))
    return [book.entry(id_, step.step, before), *rest]


def _cause(causes: Causes, holding: Holding, mine: Record) -> Record | None:
    """What holds it: what is told itself before what is part of that, the one that opened first of several."""
    mine_too = {each["violation"] for each in (mine, *(holding.all_below(mine["violation"]) if mine.get("holds") else ()))}
    fit = [each for each in holding.active() if each["violation"] not in mine_too and _may_hold(causes, holding, each, mine)]
    return min(fit, key=lambda each: (each["handling"] == MERGED, in_order(each)), default=None)


def _consequences(causes: Causes, holding: Holding, mine: Record) -> Iterator[Record]:
    """What was told before its cause, and nobody has acknowledged yet."""
    top = holding.top(mine)
    found = [each for each in holding.active() if each["handling"] == NEW and each is not top and _may_hold(causes, holding, mine, each)]
    return iter(sorted(found, key=in_order))


def _may_hold(causes: Causes, holding: Holding, cause: Record, other: Record) -> bool:
    """A notice hides no violation, and what is not active itself hides nothing; what people see of a cause decides."""
    if not (cause["condition"] == other["condition"] == ACTIVE and causes.explains(cause, other)):
        return False
    top = holding.top(cause)
    return bool(top["condition"] == ACTIVE and top["handling"] != MERGED and (top["level"] == "violation" or other["level"] == "notice"))


def _known(causes: Causes, holding: Holding, cause: Record) -> Known:
    """What a held one holds itself comes under the cause too, unless it follows from that one only."""

    def stays(each: Record) -> bool:
        own = holding.above(each)[0]
        return causes.declared.follows(own, each) and not causes.explains(cause, each)

    return Known(stays, causes.declared.zone_of)


def _judged(resolved: Mapping[str, Any]) -> bool:
    return (resolved.get("semantics") or {}).get("causes") == CAUSES


def _began_us(record: Record) -> int:
    return int(record["first"]["rule_us"])


def intervals(resolved: Mapping[str, Any]) -> dict[str, int]:
    """How often each point speaks, in µs; 0: nobody knows."""
    return {point: int(group.get("interval_us", 0)) for group in resolved.get("groups", {}).values() for point in group["points"]}
