"""Which silences have one cause: a power cut or a dark bus is told once, with its points; knows no journal, and no kind but silence.

The first silence of those that begin together stays, and holds the others from their first entry on. Nothing is lost:
each keeps its own start and minutes, and is told as soon as what holds it is over (``book``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_gateway.rules.base import ACTIVE, NOTICE, STALE, VIOLATED, Step
from edge_gateway.violations.asked import Moment
from edge_gateway.violations.book import Violations, in_order
from edge_gateway.violations.table import MERGED, NEW

#: Stands in a configuration that is judged so (``semantics.causes``); records of earlier releases are judged as they were.
CAUSES = 1
#: How far apart (µs) last readings of one bus may lie besides their intervals: polls wait for each other.
NEAR_US = 60_000_000
#: How far apart (µs) last readings of different buses may lie: what reaches both is the site's power, or its network.
ACROSS_US = 120_000_000
Body = dict[str, Any]


class Silences:
    """What a resolved configuration says of silence: which rules watch it, on which bus a point is, how often it speaks."""

    def __init__(self, resolved: Mapping[str, Any]) -> None:
        told = (resolved.get("semantics") or {}).get("causes") == CAUSES
        self.rules = frozenset(str(rule["id"]) for rule in resolved.get("rules", ()) if told and rule["kind"] == STALE)
        devices, points = resolved.get("devices", {}), resolved.get("points", {})
        self._bus = {id_: str(devices.get(about.get("device"), {}).get("bus", "")) for id_, about in points.items()}
        self._every_us = {
            point: int(group.get("interval_us", 0)) for group in resolved.get("groups", {}).values() for point in group["points"]
        }

    def together(self, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
        """Whether two silences (records) began at one time, as far as readings can tell: neither point spoke when the other was missed."""
        first, second = sorted((one, other), key=lambda each: int(each["first"]["rule_us"]))
        apart_us = int(second["first"]["rule_us"]) - int(first["first"]["rule_us"])
        bus = self._bus.get(first["point"], "")
        if not bus or bus != self._bus.get(second["point"], ""):
            return apart_us <= ACROSS_US
        return apart_us <= self._every_us.get(first["point"], 0) + NEAR_US


def told(book: Violations, silences: Silences, step: Step, made: list[Body], at: Moment) -> list[Body]:
    """The entries of a rule's step, ``made`` by the book, where its silence belongs to another: then they say so."""
    own, before = made[0], str(made[0].get("before", made[0]["handling"]))
    if step.step not in (NOTICE, VIOLATED) or step.rule not in silences.rules or own["handling"] not in (NEW, MERGED):
        return made
    id_, rest = str(own["violation"]), made[1:]
    if own["handling"] == MERGED:
        if any(each["violation"] == own.get("into") and _may_hold(silences, each, own) for each in book.standing()):
            return made
        book.release(id_, at)
    others = [each for each in book.standing() if each["violation"] != id_ and each["rule"] in silences.rules]
    over = [each for each in others if _may_hold(silences, each, own)]
    if over:
        rest += book.hold([id_], min(over, key=in_order)["violation"], at)[1:]  # its own entry says that it is held
    elif below := [each["violation"] for each in sorted(others, key=in_order) if _may_hold(silences, own, each)]:
        rest += book.hold(below, id_, at)
    return [book.entry(id_, step.step, before), *rest]


def _may_hold(silences: Silences, cause: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """A notice hides no violation."""
    graver = cause["level"] == "violation" or other["level"] == "notice"
    return graver and cause["condition"] == other["condition"] == ACTIVE and silences.together(cause, other)
