"""One violation's record: what is remembered of it, what its entries say, and what a rule's step does to it; knows no other record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_gateway.rules.area import minutes as degree_minutes
from edge_gateway.rules.area import together
from edge_gateway.rules.base import ACTIVE, CANCELLED, NOTICE, RECOVERED, UNKNOWN, VIOLATED, BoundRule, Step
from edge_gateway.violations.asked import Moment, Who
from edge_gateway.violations.assessment import severest
from edge_gateway.violations.deadlines import CORRECT, restart, settle
from edge_gateway.violations.table import CORRECTING, NEW, SUBMITTED

CONDITION_AFTER = {
    NOTICE: ACTIVE, VIOLATED: ACTIVE, ACTIVE: ACTIVE, UNKNOWN: UNKNOWN, RECOVERED: RECOVERED, CANCELLED: RECOVERED,
}  # fmt: skip
#: The rule of what a person found (自查): no pack has it.
FINDING = "self-check"

_FIRST_KEYS = (
    "violation", "rule", "point", "condition", "handling", "first", "peak", "minutes", "limit", "severity", "basis",
    "verified", "decision", "level", "episode", "marked_minutes",
)  # fmt: skip
#: What came with the whole life of a violation: in an entry as far as there is something to say.
_LATER_KEYS = (
    "opened", "whole", "running", "recovered_us", "due", "overdue", "hours", "returns", "submitters", "withdrawal", "follows",
    "into", "holds", "scope", "raised", "title", "opener", "referred",
)  # fmt: skip
#: What an entry holds of a violation, besides the step itself.
ENTRY_KEYS = (*_FIRST_KEYS, *_LATER_KEYS)
#: What is remembered of an open one. ``assessment`` stands in the entries that change it, ``log`` follows from the entries.
RECORD_KEYS = (*ENTRY_KEYS, "by", "reason", "value", "assessment", "log")
#: A person's text in an entry, and in the log; steps that the log keeps.
MOST_REASON, MOST_SAID, MOST_STEPS = 2_000, 300, 30


def fresh(id_: str, rule: str, point: str) -> dict[str, Any]:
    """The record of what has just opened."""
    return {
        "violation": id_, "rule": rule, "point": point, "level": "notice", "condition": ACTIVE, "handling": NEW, "episode": 1,
        "limit": "", "severity": "", "basis": "", "verified": "no",
    }  # fmt: skip


def judged(record: dict[str, Any], step: Step, rule: BoundRule | None, at: Moment) -> dict[str, Any]:
    """A rule's step, and the body of its entry; ``rule`` is None when it was removed."""
    before = record["handling"]
    again = step.step in (NOTICE, VIOLATED) and record["condition"] == RECOVERED and record["level"] == "violation"
    if again:  # before it was closed: the same violation, one episode more
        record["episode"] += 1
    if step.step == VIOLATED:
        record["level"] = "violation"
    if step.step in (NOTICE, VIOLATED):
        record["running"] = "notice" if step.step == NOTICE else "violation"
    first = {"rule_us": step.first.rule_us, "wall_us": step.first.wall_us, "value": step.first.value}
    record |= {
        "condition": CONDITION_AFTER[step.step], "first": first, "peak": step.peak, "minutes": step.minutes,
        "value": step.value, "whole": _whole(record.get("whole"), step, first, again=again),
    }  # fmt: skip
    if step.marked_us or "marked_minutes" in record:
        record["marked_minutes"] = step.marked_minutes
    if rule is not None:
        was = record["severity"] if record["level"] == "violation" else ""
        record |= _of_rule(rule, severest(record.get("raised"), was))  # another edition makes none less grave
    if record["condition"] == RECOVERED:
        record["recovered_us"] = step.rule_us
    else:
        record.pop("recovered_us", None)
    if record["handling"] == SUBMITTED and record["condition"] == ACTIVE and record.get("running", "violation") == "violation":
        record["handling"] = CORRECTING
        restart(record, CORRECT)
    settle(record, at.wall_us if at.trusted else None)
    tidy(record)
    made = body(record, step.step)
    return made | ({"before": before} if before != record["handling"] else {})


def handled(record: dict[str, Any], step: str, who: Who, reason: str, at: Moment, handling: str | None = None) -> dict[str, Any]:
    """A person's step, and the body of its entry; ``handling`` None leaves it as it is."""
    before = record["handling"]
    record |= {"handling": handling or before, "by": who.name, "reason": reason}
    settle(record, at.wall_us if at.trusted else None)
    tidy(record)
    person = {"by": who.name, "proof": who.proof} | ({"user": who.user} if who.user and who.user != who.name else {})
    return body(record, step) | person | {"reason": reason, "before": before}


def tidy(record: dict[str, Any]) -> None:
    """What says nothing stands neither in the record nor in its entries."""
    for key in _LATER_KEYS:
        if key in record and record[key] in (None, "", [], {}):
            del record[key]


def body(record: Mapping[str, Any], step: str) -> dict[str, Any]:
    """An entry of this record as it is now."""
    found = {key: record[key] for key in _FIRST_KEYS if key in record}
    found |= {key: record[key] for key in _LATER_KEYS if key in record}
    if step in CONDITION_AFTER and "value" in record:
        found["value"] = record["value"]
    return found | {"step": step}


def note(record: dict[str, Any], entry: Mapping[str, Any], wall_us: int) -> None:
    """Remember a person's step for whoever looks at this violation: the newest ones, and shortly."""
    said = {key: entry[key] for key in ("step", "by", "proof") if key in entry}
    said |= {"wall_us": wall_us, "reason": str(entry.get("reason", ""))[:MOST_SAID]}
    if entry.get("photos"):
        said["photos"] = [photo["sha256"] for photo in entry["photos"]]
    log = record.get("log", [])
    if said not in log:  # a snapshot may stand between a step and its entry
        record["log"] = [*log, said][-MOST_STEPS:]


def replayed(record: dict[str, Any], entry: Mapping[str, Any]) -> None:
    """What an entry says is what is so: the record as it was when that entry was written."""
    for key in _LATER_KEYS[1:]:  # its identity stays
        record.pop(key, None)
    record |= {key: entry[key] for key in RECORD_KEYS if key in entry}
    if entry["step"] == VIOLATED:
        record["level"] = "violation"
    if "by" in entry:
        note(record, entry, int(entry.get("wall_us", 0)))


def raise_severity(record: dict[str, Any], severity: str) -> None:
    """It is at least as grave as this from here on."""
    record["raised"] = severest(record.get("raised"), severity)
    record["severity"] = severest(record["severity"], severity)


def _of_rule(rule: BoundRule, raised: str | None) -> dict[str, Any]:
    found: dict[str, Any] = {"limit": rule.limit, "basis": rule.basis, "verified": rule.verified, "decision": rule.decision}
    found["severity"] = severest(rule.severity, raised) or rule.severity
    return found | ({"hours": dict(rule.hours)} if rule.hours else {})


def _whole(before: Mapping[str, Any] | None, step: Step, first: Mapping[str, Any], *, again: bool) -> dict[str, Any]:
    """Over all episodes: the first offending reading, the reading furthest beyond the limit, the time beyond it (µs), and both together (exact)."""
    past: dict[str, Any] = {"beyond_us": 0, "area": "0"} if before is None else {key: before.get(key, "0") for key in ("beyond_us", "area")}
    if before is not None and not again:
        past = {"beyond_us": before["past_us"], "area": before.get("past_area", "0")}
    peak, excess = (step.peak, step.excess) if before is None else (before["peak"], before["excess"])
    if peak is None or step.excess > excess:
        peak, excess = step.peak, step.excess
    found = {"first": first if before is None else before["first"], "peak": peak, "excess": excess}
    found |= {"beyond_us": past["beyond_us"] + step.beyond_us, "past_us": past["beyond_us"]}
    area = together(past["area"], step.area or "0")
    if area == "0":
        return found
    return found | {"area": area, "past_area": past["area"], "degree_minutes": degree_minutes(area)}
