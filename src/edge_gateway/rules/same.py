"""When the outcome of two runs is the same: one hash over what rules made of readings; knows no entry's envelope and no person.

It is taken from entries of steps as docs/reference/journal-format.md describes them (section 10), so two records can
be compared, a record with its replay, and a record with one replayed by another release, machine or Python.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import orjson

#: Events that are outcomes of rules.
OUTCOME_EVENTS = frozenset({"stayed-undecided", "cycle-passed", "would-have-fired", "would-have-ended"})
#: Steps of violations that rules take; those of persons, and of what merges, name somebody in ``by``.
RULE_STEPS = frozenset({"notice", "violated", "recovered", "unknown", "active", "cancelled"})


class Same:
    """``add`` each outcome in the order of the record; ``hexdigest`` is the hash of all of them."""

    def __init__(self) -> None:
        self._hash = sha256()
        self._numbers: dict[str, int] = {}
        self.count = 0

    def add(self, body: Mapping[str, Any], rule_us: int) -> None:
        """``body``: of a rule's step or event; ``rule_us``: its rule time (µs), where the body does not say its own."""
        self.count += 1
        at_us = int(body.get("at_rule_us", rule_us))
        number, first = 0, body.get("first") or {"rule_us": None, "value": None}
        if "violation" in body:
            number = self._numbers.setdefault(str(body["violation"]), len(self._numbers) + 1)
        told = [number, body["rule"], body["point"], body.get("step", body.get("event")), at_us]
        told += [first["rule_us"], first["value"], body.get("peak"), body.get("minutes")]
        self._hash.update(orjson.dumps(told) + b"\n")

    def hexdigest(self) -> str:
        """SHA-256 (hex) over all that was added."""
        return self._hash.hexdigest()


def is_outcome(entry: Mapping[str, Any]) -> bool:
    """Whether an entry tells what a rule made of readings or of time, and not what a person did."""
    if entry["kind"] == "violation":
        return entry["step"] in RULE_STEPS and "by" not in entry
    return entry["kind"] == "event" and entry.get("event") in OUTCOME_EVENTS
