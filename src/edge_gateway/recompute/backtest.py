"""What other rules would have made of a record's readings, beside what the rules in force made of them; writes nothing, knows no file.

The rules in force are judged again as ``outcomes`` does it: unless they give the journaled outcomes one for one, nothing
that is said beside them counts. Both begin with what the rules in force remembered where the record begins.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import orjson

from edge_gateway.errors import JournalDamaged
from edge_gateway.intake.replaying import Misfit, Replaying
from edge_gateway.intake.state import State
from edge_gateway.recompute.base import NO_TEXT, NOT_TOLD, Body
from edge_gateway.recompute.configured import Text
from edge_gateway.recompute.core import Difference
from edge_gateway.recompute.outcomes import Outcomes
from edge_gateway.rules.base import (
    CANCELLED,
    RECOVERED,
    UNDECIDED,
    VIOLATED,
    BoundRule,
    Step,
    each_rule,
    rules_document,
)
from edge_gateway.rules.same import is_outcome

#: Other rules in place of those that were in force.
Change = Callable[[Sequence[BoundRule]], Sequence[BoundRule]]
#: A rule at a point of which the record holds no reading.
NO_READING = "no-reading"


@dataclass(slots=True)
class Excursion:
    """One violation, or one further episode of it: rule times and wall time in µs; ``until_us`` None: it goes on where the record ends."""

    rule: str
    point: str
    from_us: int
    from_wall_us: int
    violated_us: int
    minutes: float
    peak: float | None
    until_us: int | None = None

    def meets(self, other: Excursion) -> bool:
        """Whether both went on at some same instant."""
        return (self.until_us is None or other.from_us <= self.until_us) and (other.until_us is None or self.from_us <= other.until_us)


@dataclass(slots=True)
class Side:
    """What one set of rules made of the record: its violations in order of beginning, and what it left undecided."""

    violations: list[Excursion] = field(default_factory=list)
    undecided: Counter[str] = field(default_factory=Counter)
    _open: dict[tuple[str, str], Excursion] = field(default_factory=dict)

    def note(self, step: Step) -> None:
        """The next step."""
        key = step.rule, step.point
        if step.step == UNDECIDED:
            self.undecided[step.rule] += 1
        elif step.step == VIOLATED:
            first = step.first
            found = Excursion(step.rule, step.point, first.rule_us, first.wall_us, step.rule_us, step.minutes, step.peak)
            self._open[key] = found
            self.violations.append(found)
        elif (going := self._open.get(key)) is not None:
            going.minutes, going.peak = step.minutes, step.peak
            if step.step in (RECOVERED, CANCELLED):
                self._open.pop(key).until_us = step.rule_us

    def end(self, remembered: Mapping[str, Any]) -> None:
        """The record ends: what goes on has come to this much."""
        for (rule, point), going in self._open.items():
            if (state := remembered.get(f"{rule}/{point}")) and state.get("phase"):
                going.minutes, going.peak = state["beyond_us"] // 6_000_000 / 10, state["peak"]

    def cut(self, remembered: Mapping[str, Any], at_us: int) -> None:
        """A further epoch begins: what its first snapshot does not remember as going on was followed until ``at_us`` only."""
        for key in [key for key in self._open if not (remembered.get("/".join(key)) or {}).get("phase")]:
            self._open.pop(key).until_us = at_us

    def minutes(self) -> float:
        """All of them, in minutes."""
        return sum(round(each.minutes * 10) for each in self.violations) / 10


class Backtest:
    """``take`` each entry in order, then ``end``. ``first``: where the rules in force did not give what is journaled; None: nowhere."""

    def __init__(self, read: Text, change: Change) -> None:
        self.before, self.after = Side(), Side()
        self.first: Difference | None = None
        self.not_decidable: dict[tuple[str, str], str] = {}
        self.entries = 0
        self._read, self._change = read, change
        self._outcomes = Outcomes(self._differs, self.before.note)
        self._replaying: Replaying | None = None
        self._epoch, self._last_us = "", 0
        self._wanted: set[tuple[str, str, tuple[str, ...]]] = set()
        self._heard: set[str] = set()

    @property
    def hashes(self) -> tuple[str, str]:
        """Of the journaled outcomes, and of what the rules in force give."""
        judged = self._outcomes.judged
        return judged.journaled.hexdigest(), judged.derived.hexdigest()

    @property
    def undecided(self) -> Mapping[str, int]:
        """Journaled outcomes that could not be judged again, by reason."""
        return self._outcomes.judged.undecided

    def take(self, epoch: str, entry: Body) -> None:
        """The next entry, decoded."""
        self.entries += 1
        if epoch != self._epoch:
            if self._replaying is not None:
                self.before.end(self._outcomes.remembered())
                self.after.end(self._replaying.state.engine.snapshot()["rules"])
            self._epoch = epoch
            self._outcomes.begins(epoch)
        match entry["kind"]:
            case "snapshot":
                self._snapshot(entry)
            case "config":
                resolved = self._resolved(str(entry["text"]))
                self._outcomes.config(entry, resolved, NO_TEXT)
                if self._replaying is not None:
                    self._note(self._replaying.config(entry, self._changed(resolved)))
            case _:
                if "state_text" in entry and (state := self._resolved(str(entry["state_text"]))) is not None:
                    entry = {**entry, "state": state}
                self._outcomes.take(entry)
                self._other(entry)
        self._last_us = int(entry.get("rule_us", self._last_us))

    def end(self) -> None:
        """That was the last entry."""
        self._outcomes.end()
        self.before.end(self._outcomes.remembered())
        if self._replaying is not None:
            self.after.end(self._replaying.state.engine.snapshot()["rules"])
        for rule, point, inputs in self._wanted:
            if not self._heard.intersection(inputs):
                self.not_decidable[rule, point] = NO_READING

    def new(self) -> list[Excursion]:
        """Violations of the other rules that meet none of the rules in force, of the same rule at the same point."""
        return _alone(self.after.violations, self.before.violations)

    def lost(self) -> list[Excursion]:
        """Violations of the rules in force that meet none of the other rules."""
        return _alone(self.before.violations, self.after.violations)

    # --- the other rules -------------------------------------------------------------------------------------------------

    def _snapshot(self, entry: Body) -> None:
        named, state = entry.get("config"), entry.get("state")
        if "state_text" in entry:
            state = self._resolved(str(entry["state_text"]))
        resolved = self._resolved(str(named["text"])) if named else None
        self._outcomes.snapshot(entry, state or ({} if "state_text" not in entry else None), resolved)
        if self._replaying is not None and entry["seq"] != 0:
            return
        further = self._replaying is not None
        self._replaying = Replaying(State(str((resolved or {}).get("gateway", ""))), self._epoch)
        self._replaying.state.restore(dict(entry) | {"state": state or {}})
        if further:
            self.before.cut(self._outcomes.remembered(), self._last_us)
            self.after.cut(self._replaying.state.engine.snapshot()["rules"], self._last_us)
        if named:
            self._replaying.use(int(named["config_seq"]), self._changed(resolved))

    def _other(self, entry: Body) -> None:
        if self._replaying is None or is_outcome(entry):
            return
        if entry["kind"] == "batch" and (known := self._replaying.groups.get(int(entry["config_seq"]))):
            self._heard.update(known.get(entry["group"], {}).get("points", ()))
        with suppress(Misfit):  # the rules in force have named it
            self._note(self._replaying.take(entry))

    def _note(self, steps: Sequence[Step]) -> None:
        for step in steps:
            self.after.note(step)

    def _changed(self, resolved: dict[str, Any] | None) -> dict[str, Any] | None:
        if resolved is None:
            return None
        try:
            rules = self._change([BoundRule.from_config(rule) for rule in each_rule(resolved.get("rules", []))])
        except (KeyError, TypeError, ValueError):
            self.not_decidable["*", "*"] = NOT_TOLD
            return None
        self._wanted |= {(rule.id, rule.point, (rule.point, *rule.others)) for rule in rules if rule.point}
        return resolved | {"rules": rules_document(rules)}

    def _resolved(self, text: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = orjson.loads(self._read(text))
        except (KeyError, ValueError, JournalDamaged):
            return None
        return found

    def _differs(self, entry: Body, what: str, journaled: Any, derived: Any, _: str) -> None:
        self.first = self.first or Difference(self._epoch, int(entry["seq"]), what, journaled, derived)


def _alone(these: Sequence[Excursion], those: Sequence[Excursion]) -> list[Excursion]:
    at: dict[tuple[str, str], list[Excursion]] = {}
    for each in those:
        at.setdefault((each.rule, each.point), []).append(each)
    return [each for each in these if not any(each.meets(other) for other in at.get((each.rule, each.point), ()))]
