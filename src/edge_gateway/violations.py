"""Violations on two axes, condition x handling: turns rules' steps and persons' commands into entries; pure.

Knows no rule engine, no journal and no person: it says which step is permitted, what the entry holds, and what is
open. Condition follows readings, handling follows persons; nothing closes by itself, and neither what is active nor
what is unknown can be closed. The full life (correction, evidence, a second person's verification) uses the same axes.

Handling in this release::

    new ──acknowledge──▶ acknowledged ──close, only while recovered──▶ closed

A notice is no violation yet: it ends by itself (``cancelled``) or becomes one (``violated``), under the same id.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_gateway.errors import GatewayError
from edge_gateway.rules.base import ACTIVE, CANCELLED, NOTICE, RECOVERED, UNKNOWN, VIOLATED, BoundRule, Step

HANDLINGS = ("new", "acknowledged", "correcting", "submitted", "closed", "withdrawn", "merged")
#: Steps of persons; those of rules are in ``rules.base``.
ACKNOWLEDGED, CLOSED = "acknowledged", "closed"
#: Not a person's: what was opened anew is found to stand open already.
MERGED = "merged"
#: Handlings in which a violation is over.
ENDED = ("closed", "withdrawn", "merged")

_CONDITION_AFTER = {
    NOTICE: ACTIVE,
    VIOLATED: ACTIVE,
    ACTIVE: ACTIVE,
    UNKNOWN: UNKNOWN,
    RECOVERED: RECOVERED,
    CANCELLED: RECOVERED,
}
#: What an entry holds of a violation, besides the step itself.
_ENTRY_KEYS = (
    "violation", "rule", "point", "condition", "handling", "first", "peak", "minutes", "limit", "severity", "basis",
    "verified", "decision", "level", "episode", "marked_minutes",
)  # fmt: skip


#: What is remembered of an open one.
RECORD_KEYS = (*_ENTRY_KEYS, "by", "reason", "value")


class StepRefused(GatewayError):
    """A person's step that the present state does not permit: look at the state, take another step."""


class Violations:
    """All open notices and violations of one gateway."""

    def __init__(self, gateway_id: str) -> None:
        self._gateway = gateway_id
        self._number = 0
        #: no number up to it is given: while what was given before is not known
        self.floor = 0
        self._open: dict[str, dict[str, Any]] = {}
        self._by_rule: dict[tuple[str, str], str] = {}

    # --- steps of rules -------------------------------------------------------------------------------------------

    def apply(self, step: Step, rule: BoundRule | None) -> dict[str, Any]:
        """The body of the ``violation`` entry for a rule's step; ``rule`` is None when it was removed."""
        record = self._record(step, rule)
        again = step.step in (NOTICE, VIOLATED) and record["condition"] == RECOVERED
        if again and record["level"] == "violation":  # before it was closed: the same violation, one episode more
            record["episode"] += 1
        if step.step == VIOLATED:
            record["level"] = "violation"
        record |= {
            "condition": _CONDITION_AFTER[step.step],
            "first": {"rule_us": step.first.rule_us, "wall_us": step.first.wall_us, "value": step.first.value},
            "peak": step.peak,
            "minutes": _minutes(step.beyond_us),
            "value": step.value,
        }
        if step.marked_us or "marked_minutes" in record:
            record["marked_minutes"] = step.marked_minutes
        if rule is not None:
            record |= _of_rule(rule)
        body = self._body(record, step.step)
        if step.step == CANCELLED and record["level"] == "notice":
            self._forget(record)
        return body

    def _record(self, step: Step, rule: BoundRule | None) -> dict[str, Any]:
        """The open record of a rule at a point, or a new one under the next number."""
        id_ = self._by_rule.get((step.rule, step.point))
        if id_ is None and rule is not None and rule.renamed_from:
            id_ = self._by_rule.pop((step.rule, rule.renamed_from), None)
            if id_ is not None:
                self._by_rule[step.rule, step.point] = id_
                self._open[id_]["point"] = step.point
        if id_ is not None:
            return self._open[id_]
        self._number = max(self._number, self.floor) + 1
        record: dict[str, Any] = {
            "violation": f"{self._gateway}-{self._number}",
            "rule": step.rule,
            "point": step.point,
            "level": "notice",
            "condition": ACTIVE,
            "handling": "new",
            "episode": 1,
            "limit": "",
            "severity": "",
            "basis": "",
            "verified": "no",
        }
        self._keep(record)
        return record

    # --- steps of persons -----------------------------------------------------------------------------------------

    def acknowledge(self, id_: str, by: str, reason: str) -> dict[str, Any]:
        """Someone has seen it; permitted while active. Raises StepRefused with the reason."""
        record = self._for_person(id_, by, reason)
        if record["level"] == "notice":
            why = f"{id_} is only a notice: it ends by itself, or becomes a violation to acknowledge"
            raise StepRefused(why, hint="look at the device now, before the delay has passed")
        if record["handling"] != "new":
            raise StepRefused(
                f"{id_} is {record['handling']} already{_by(record)}", hint="correct the cause, then close it"
            )
        return self._handle(record, ACKNOWLEDGED, "acknowledged", by, reason)

    def close(self, id_: str, by: str, reason: str) -> dict[str, Any]:
        """It is over: acknowledged before, and recovered by good readings. Raises StepRefused with the reason."""
        record = self._for_person(id_, by, reason)
        if record["level"] == "notice":
            raise StepRefused(f"{id_} is only a notice: it ends by itself", hint="nothing needs to be closed")
        if record["handling"] == "new":
            raise StepRefused(f"{id_} was not acknowledged", hint=f"first `edge-gateway violations ack {id_}`")
        if record["handling"] != "acknowledged":
            raise StepRefused(f"{id_} is {record['handling']}: this release closes what is acknowledged")
        if record["condition"] == ACTIVE:
            raise StepRefused(f"{id_} is still active", hint="it can be closed after readings within the limit")
        if record["condition"] == UNKNOWN:
            why = f"the condition of {id_} is unknown: no good reading shows that it recovered"
            raise StepRefused(why, hint="bring the probe back, then wait for readings within the limit")
        body = self._handle(record, CLOSED, "closed", by, reason)
        self._forget(record)
        return body

    def _for_person(self, id_: str, by: str, reason: str) -> dict[str, Any]:
        record = self._open.get(id_)
        if record is None:
            raise StepRefused(f"no open violation '{id_}'", hint="`edge-gateway violations list` shows the open ones")
        if not by.strip():
            raise StepRefused("who takes this step is not known", hint="the control socket tells the user's name")
        if not reason.strip():
            raise StepRefused("a reason is missing", hint='add --reason "what you saw or did"')
        return record

    def _handle(self, record: dict[str, Any], step: str, handling: str, by: str, reason: str) -> dict[str, Any]:
        before = record["handling"]
        record |= {"handling": handling, "by": by, "reason": reason}
        return self._body(record, step) | {"by": by, "reason": reason, "before": before}

    # --- state ----------------------------------------------------------------------------------------------------

    @property
    def number(self) -> int:
        """The last number given."""
        return self._number

    def open(self) -> list[dict[str, Any]]:
        """What is open, in the order of opening: copies; ``level`` is ``notice`` or ``violation``."""
        return [dict(record) for record in sorted(self._open.values(), key=self._order)]

    def number_at_least(self, number: int) -> None:
        """No number up to this one is given (again)."""
        self._number = max(self._number, number)

    def adopt(self, record: Mapping[str, Any]) -> None:
        """Go on with one that stands open elsewhere."""
        self._keep({key: record[key] for key in RECORD_KEYS if key in record})

    def at(self, rule: str, point: str) -> str | None:
        """The id of what is open of a rule at a point."""
        return self._by_rule.get((rule, point))

    def merge(self, id_: str, into: str, by: str) -> dict[str, Any]:
        """The body of the step by which an open one ends because it goes on as another. Raises KeyError."""
        record = self._open[id_]
        body = self._handle(record, MERGED, "merged", by, f"goes on as {into}")
        self._forget(record)
        return body

    def replay(self, entry: Mapping[str, Any]) -> None:
        """Take over a ``violation`` entry that was journaled after the last snapshot."""
        id_ = str(entry["violation"])
        record = self._open.get(id_)
        if record is None:
            record = {"level": "notice", "handling": "new", "episode": 1}
        step = entry["step"]
        record |= {key: entry[key] for key in (*_ENTRY_KEYS, "by", "reason", "value") if key in entry}
        if step == VIOLATED:
            record["level"] = "violation"
        number = id_.removeprefix(f"{self._gateway}-")
        if number.isdecimal():
            self._number = max(self._number, int(number))
        self._keep(record)
        if record["handling"] in ENDED or (step == CANCELLED and record["level"] == "notice"):
            self._forget(record)

    def snapshot(self) -> dict[str, Any]:
        """JSON-able: the open records and the last number given."""
        return {"number": self._number, "open": self.open()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a snapshot."""
        self._number = int(state.get("number", 0))
        self._open, self._by_rule = {}, {}
        for record in state.get("open", []):
            self._keep(dict(record))

    def _keep(self, record: dict[str, Any]) -> None:
        for key, id_ in list(self._by_rule.items()):
            if id_ == record["violation"] and key != (record["rule"], record["point"]):
                del self._by_rule[key]  # the point was renamed
        self._open[record["violation"]] = record
        self._by_rule[record["rule"], record["point"]] = record["violation"]

    def _forget(self, record: dict[str, Any]) -> None:
        self._open.pop(record["violation"], None)
        self._by_rule.pop((record["rule"], record["point"]), None)

    def _order(self, record: Mapping[str, Any]) -> tuple[int, str]:
        number = str(record["violation"]).rpartition("-")[2]
        return (int(number) if number.isdecimal() else 0, str(record["violation"]))

    @staticmethod
    def _body(record: Mapping[str, Any], step: str) -> dict[str, Any]:
        body = {key: record[key] for key in _ENTRY_KEYS if key in record}
        if step in _CONDITION_AFTER:
            body["value"] = record["value"]
        return body | {"step": step}


def _of_rule(rule: BoundRule) -> dict[str, Any]:
    return {"limit": rule.limit, "severity": rule.severity, "basis": rule.basis, "verified": rule.verified, "decision": rule.decision}


def _minutes(beyond_us: int) -> float:
    """Minutes with one decimal, rounded down: never more than is known."""
    return beyond_us // 6_000_000 / 10


def _by(record: Mapping[str, Any]) -> str:
    return f" (by {record['by']})" if record.get("by") else ""
