"""Who goes on as part of whom: causes above, consequences below, to any depth; knows no rule, writes no entry.

Works on the records that the book keeps. A record that names a cause which is not there stands alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edge_gateway.rules.base import ACTIVE, RECOVERED
from edge_gateway.violations.assessment import severest
from edge_gateway.violations.record import raise_severity
from edge_gateway.violations.table import CLOSED, MERGED, WITHDRAWN

#: Points (and zones) that the record of a cause names; further points are counted.
MOST_NAMED = 200
Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of causes and places by whoever puts one under another.

    ``stays``: whether this one, which what is moved holds, stays under it; ``zone_of``: the zone of a point, "" for none.
    """

    stays: Callable[[Mapping[str, Any]], bool]
    zone_of: Callable[[str], str]


class Holding:
    """``records``: the open ones by id, as the book keeps them."""

    def __init__(self, records: dict[str, Body]) -> None:
        self._open = records

    def record(self, id_: str) -> Body:
        """An open one. Raises KeyError."""
        return self._open[id_]

    def below(self, id_: str) -> list[Body]:
        """What goes on as part of this one itself, in the order of opening."""
        return sorted((each for each in self._open.values() if each["handling"] == MERGED and each.get("into") == id_), key=in_order)

    def all_below(self, id_: str, seen: frozenset[str] = frozenset()) -> list[Body]:
        """What goes on as part of this one, and of that: each behind its cause. What came from elsewhere may name itself: once is enough."""
        found: list[Body] = []
        seen |= {id_}
        for each in self.below(id_):
            if each["violation"] not in seen:
                found += [each, *(self.all_below(str(each["violation"]), seen) if each.get("holds") else ())]
        return found

    def above(self, record: Mapping[str, Any]) -> list[Body]:
        """Its cause, the cause of that, and so on: each once."""
        found: list[Body] = []
        names = {record["violation"]}
        while record["handling"] == MERGED and (cause := self._open.get(str(record.get("into")))) is not None:
            if cause["violation"] in names:
                break
            names.add(cause["violation"])
            found.append(cause)
            record = cause
        return found

    def top(self, record: Mapping[str, Any]) -> Mapping[str, Any]:
        """Itself, or the one that people see in its place."""
        above = self.above(record)
        return above[-1] if above else record

    def hides(self, record: Mapping[str, Any]) -> bool:
        """Whether the cause that this one is part of still hides it."""
        cause = self._open.get(str(record.get("into")))
        return cause is not None and cause["condition"] == ACTIVE and cause["handling"] not in (CLOSED, WITHDRAWN)

    def active(self) -> Iterator[Body]:
        """What is active, part of another or not."""
        return (each for each in self._open.values() if each["condition"] == ACTIVE)

    def parted(self, id_: str, seen: frozenset[str] = frozenset()) -> tuple[list[Body], list[Body]]:
        """When this one ends: what is left of what it holds, and what is over with it."""
        left: list[Body] = []
        over: list[Body] = []
        seen |= {id_}
        for each in [each for each in self.below(id_) if each["violation"] not in seen]:
            if each["condition"] != RECOVERED:
                left.append(each)
                continue
            further = self.parted(str(each["violation"]), seen)
            left, over = [*left, *further[0]], [*over, each, *further[1]]
        return left, over


def widen(cause: Body, held: Mapping[str, Any], zone_of: Callable[[str], str], *, counted: bool = False) -> bool:
    """The cause takes severity and scope of one more. Answers whether it became graver. ``counted``: its points came with what holds it."""
    scope, its = dict(cause.get("scope") or {}), {} if counted else held.get("scope") or {}
    points = sorted({*scope.get("points", ()), *its.get("points", ()), *(() if counted else (held["point"],))})
    zones = {*scope.get("zones", ()), *its.get("zones", ()), zone_of(cause["point"]), zone_of(held["point"])} - {""}
    scope["points"] = points[:MOST_NAMED]
    if zones:
        scope["zones"] = sorted(zones)[:MOST_NAMED]
    if more := scope.get("more", 0) + its.get("more", 0) + len(points[MOST_NAMED:]):
        scope["more"] = more
    cause |= {"scope": scope, "holds": cause.get("holds", 0) + 1}
    return graver(cause, held)


def graver(cause: Body, held: Mapping[str, Any]) -> bool:
    """A cause is as grave as what it holds. Answers whether it became graver by that."""
    if severest(cause["severity"], held["severity"]) == cause["severity"]:
        return False
    raise_severity(cause, held["severity"])
    return True


def shed(record: Body) -> None:
    """What it held goes on under another: its scope is its own point again."""
    scope = {key: value for key, value in (record.get("scope") or {}).items() if key not in ("points", "zones", "more")}
    record |= {"scope": scope, "holds": None}


def nowhere(_point: str) -> str:
    """The zone of a point, where nobody knows it."""
    return ""


def in_order(record: Mapping[str, Any]) -> tuple[int, str]:
    """To sort records by: the order of opening."""
    number = str(record["violation"]).rpartition("-")[2]
    return (int(number) if number.isdecimal() else 0, str(record["violation"]))


def names(records: Iterable[Mapping[str, Any]]) -> set[str]:
    """Their ids."""
    return {str(each["violation"]) for each in records}
