"""What rules made of a record's readings, judged again entry by entry and compared one for one; knows no raw bytes and no file.

Readings, ticks and persons' steps are taken as they are journaled; each outcome must stand right behind the entry that
it follows from, with the numbers that the rules of its time give. The rules' own memory in each snapshot is compared too.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import orjson

from edge_gateway.intake.outcome import outcome
from edge_gateway.intake.replaying import RECALLED, Misfit, Replaying
from edge_gateway.intake.state import State
from edge_gateway.reading import GOOD, UNCERTAIN_LATE
from edge_gateway.recompute.base import BEFORE, NEWER, NOT_TOLD, Body
from edge_gateway.record.entry import canonical
from edge_gateway.rules.base import COMBINED, BoundRule, Step, each_rule
from edge_gateway.rules.kinds import can_judge
from edge_gateway.rules.same import Same, is_outcome
from edge_gateway.violations import Moment

#: Tells a difference: (entry, what, journaled, derived, counted under).
Differs = Callable[[Body, str, Any, Any, str], None]
#: Under which name outcomes are counted.
OUTCOMES, SNAPSHOTS, LATENESS = "outcomes", "snapshots", "lateness"
#: Events that may stand between the outcomes of one cause, and say nothing to rules.
BETWEEN = frozenset({"rules-not-armed"})
#: Steps of violations that follow from a rule's step of another.
FOLLOWING = frozenset({"merged", "holding", "unmerged"})
#: What an outcome says of causes: not to be judged where one of the rules cannot be.
OF_CAUSES = frozenset({"handling", "before", "into", "holds", "scope", "severity", "raised", "due", "overdue", "withdrawal"})


@dataclass(slots=True)
class Judged:
    """``same``: outcomes by the kind of their rule; ``undecided``: by reason; ``journaled`` and ``derived``: hashes over them."""

    same: Counter[str] = field(default_factory=Counter)
    differs: int = 0
    undecided: Counter[str] = field(default_factory=Counter)
    journaled: Same = field(default_factory=Same)
    derived: Same = field(default_factory=Same)


class Outcomes:
    """``snapshot``, ``config`` and ``take``: every entry of a record, in order."""

    def __init__(self, differs: Differs, told: Callable[[Step], None] = lambda _: None) -> None:
        self.judged = Judged()
        self._differs, self._told = differs, told
        self._replaying = Replaying(State(""), "")
        self._epoch = ""
        #: why nothing can be judged until the next snapshot; "" while it can
        self._unsure = BEFORE
        self._waiting: deque[Step] = deque()
        #: entries of the last one of them that must still come
        self._bodies: deque[tuple[str, dict[str, Any]]] = deque()
        self._cause: Body = {}
        #: the record begins here: outcomes that follow from an entry before it are not known
        self._midway = False
        #: after a loss numbers go on from the minute (since 1970) of the start, or of the roll-back that began the epoch
        self._floor = 0
        #: ids of rules that this release does not know how to judge
        self._beyond_us: set[str] = set()

    # --- where judging begins, and with what ---------------------------------------------------------------------------

    def begins(self, epoch: str) -> None:
        """Entries of another epoch follow."""
        self._epoch = epoch

    def snapshot(self, entry: Body, state: Mapping[str, Any] | None, resolved: dict[str, Any] | None) -> None:
        """A snapshot, with its state and the configuration in force; None: not to be had."""
        named = entry.get("config")
        if entry["seq"] == 0:
            self._floor = int(entry["wall_us"]) // 60_000_000
        if not self._unsure and entry["seq"] != 0:
            if state is not None and not self._beyond_us:
                self._compare(entry, state.get("rules") or {})
            return
        self._waiting.clear()
        if state is None or (named and resolved is None):
            self._unsure = BEFORE
            return
        self._bodies.clear()
        self._replaying = Replaying(State(str((resolved or {}).get("gateway", ""))), self._epoch)
        self._replaying.state.restore(dict(entry) | {"state": state})
        self._unsure, self._midway = "", entry["seq"] != 0
        if named and resolved is not None:
            self._use(lambda: self._replaying.use(int(named["config_seq"]), resolved), resolved)

    def config(self, entry: Body, resolved: dict[str, Any] | None, why: str = BEFORE) -> None:
        """A configuration comes into force."""
        self._none_waits(entry)
        if resolved is None:
            self._unsure = why
        elif not self._unsure:
            if self._replaying.state.config is None:
                self._named(str(resolved.get("gateway", "")))
            self._cause = entry
            self._use(lambda: self._replaying.config(entry, resolved), resolved)

    def _use(self, use: Callable[[], list[Step] | None], resolved: Mapping[str, Any]) -> None:
        try:
            rules = [BoundRule.from_config(rule) for rule in each_rule(resolved.get("rules", []))]
            self._waiting.extend(use() or ())
        except (KeyError, TypeError, ValueError):
            self._unsure = NOT_TOLD
            return
        self._beyond_us |= {rule.id for rule in rules if not can_judge(rule)}  # also once it is removed
        if self._beyond_us:
            self._beyond_us |= {rule.id for rule in rules if rule.kind == COMBINED}

    def _named(self, gateway: str) -> None:
        """The first configuration of a record says whose it is."""
        state = State(gateway)
        state.restore({"state": orjson.loads(canonical(self._replaying.state.snapshot()))})
        self._replaying = Replaying(state, self._epoch)

    def _compare(self, entry: Body, told: Mapping[str, Any]) -> None:
        """What the rules remember, against what the snapshot says that they do."""
        own = orjson.loads(canonical(self._replaying.state.engine.snapshot()))
        for part in own.keys() | told.keys():
            mine, theirs = _as_told(own.get(part), told.get(part)), told.get(part)
            if mine == theirs:
                continue
            if isinstance(mine, dict) and isinstance(theirs, dict):
                key = min(key for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key))
                mine, theirs, part = mine.get(key), theirs.get(key), f"{part} {key}"
            self._differs(entry, f"state {part}", theirs, mine, SNAPSHOTS)
            return

    # --- entries ---------------------------------------------------------------------------------------------------------

    def take(self, entry: Body) -> None:
        """Any entry but a snapshot or a configuration."""
        if is_outcome(entry) or (self._bodies and entry["kind"] == self._bodies[0][0]):
            self._outcome(entry)
            return
        if entry["kind"] == "event" and entry.get("event") in BETWEEN:
            return
        if (self._midway or self._beyond_us) and entry["kind"] == "violation" and entry["step"] in FOLLOWING:
            self._replaying.take(entry)
            return
        self._none_waits(entry)
        self._midway = False
        taken_over = entry["kind"] == "event" and entry.get("event") == RECALLED
        if entry["kind"] in ("batch", "tick") or taken_over:
            self._cause = entry
        if taken_over and "state_text" in entry and "state" not in entry:
            self._unsure = BEFORE
        if entry["kind"] == "event" and entry.get("event") == "started":
            self._floor = int(entry["wall_us"]) // 60_000_000
            if "damaged" in entry:
                self._unsure = BEFORE  # the gateway itself did not know what its rules had known
        if self._unsure:
            return
        if entry["kind"] == "batch" and "time_us" in (entry.get("message") or {}):
            self._look_at_lateness(entry)
        with suppress(Misfit):  # whoever derives its values has named it
            self._waiting.extend(step for step in self._replaying.take(entry) if step.rule not in self._beyond_us)

    def _look_at_lateness(self, entry: Body) -> None:
        """What is marked late must be late, and where rules are of a version that knows it, what is late must be marked."""
        state, told = self._replaying.state, entry.get("quality")
        group = self._replaying.groups.get(int(entry["config_seq"]), {}).get(entry["group"])
        if group is None or len(group["points"]) != len(entry["values"]):
            return
        plain = None if told is None else [GOOD if word == UNCERTAIN_LATE else word for word in told]
        wanted = state.own.marked(group["points"], plain, int(entry["message"]["time_us"]))
        knows = any(rule.semantics > 1 for rule in state.rules())
        for column, point in enumerate(group["points"]):
            late = told is not None and told[column] == UNCERTAIN_LATE
            should = wanted is not None and wanted[column] == UNCERTAIN_LATE
            if late > should or (should > late and knows):
                self._differs(entry, str(point), UNCERTAIN_LATE if late else "", UNCERTAIN_LATE if should else "", LATENESS)

    def _outcome(self, entry: Body) -> None:
        """An outcome as journaled: it must be the next one that waits."""
        judged = self.judged
        if is_outcome(entry):
            judged.journaled.add(entry, int(self._cause.get("rule_us", entry["rule_us"])))
        if self._unsure or self._midway or entry["rule"] in self._beyond_us:
            judged.undecided[self._unsure or (BEFORE if self._midway else NEWER)] += 1
            if entry["kind"] == "violation":
                self._replaying.state.violations.replay(entry, self._epoch)
            return
        if not self._waiting and not self._bodies:
            judged.differs += 1
            self._differs(entry, _name(entry), _shown(entry), None, OUTCOMES)
            return
        kind, body = self._next(entry)
        older = "at_rule_us" in body and "at_rule_us" not in entry  # an earlier release did not say so much
        unsure = OF_CAUSES if self._beyond_us else frozenset()
        wrong = [key for key in body if key not in unsure and entry.get(key, _Absent) != body[key] and not (older and key not in entry)]
        if self._beyond_us and entry["kind"] == "violation":
            self._replaying.state.violations.replay(entry, self._epoch)
        if not wrong and entry["kind"] == kind:
            judged.same[self._kind_of(entry)] += is_outcome(entry)
            return
        judged.differs += 1
        self._differs(entry, _name(entry), {key: entry.get(key) for key in wrong}, {key: body[key] for key in wrong}, OUTCOMES)

    def _next(self, entry: Body) -> tuple[str, dict[str, Any]]:
        """The next outcome that waits, as the entry that should stand at the place of this one."""
        if self._bodies:
            return self._bodies.popleft()
        step, state = self._waiting.popleft(), self._replaying.state
        if entry["kind"] == "violation" and state.lost and state.violations.at(step.rule, step.point) is None:
            number = str(entry["violation"]).rpartition("-")[2]
            if number.isdecimal() and state.violations.number < int(number) - 1 <= self._floor <= int(number):
                state.violations.number_at_least(int(number) - 1)
        at = Moment(int(entry["rule_us"]), int(entry["wall_us"]), bool(entry["trusted"]), self._epoch, int(entry["seq"]))
        kind, made = outcome(state, step, at)
        self._bodies.extend((kind, orjson.loads(canonical(body))) for body in (made[:1] if self._beyond_us else made))
        self.judged.derived.add(self._bodies[0][1], step.rule_us)
        self._told(step)
        return self._bodies.popleft()

    def _none_waits(self, entry: Body) -> None:
        """Another entry than an outcome comes: whatever waits still was left out of the record."""
        while self._waiting or self._bodies:
            _, body = self._next(entry)
            self.judged.differs += 1
            self._differs(entry, _name(body), None, _shown(body), OUTCOMES)

    def remembered(self) -> dict[str, Any]:
        """What the rules remember now, by ``<rule>/<point>``."""
        rules: dict[str, Any] = self._replaying.state.engine.snapshot()["rules"]
        return rules

    def end(self) -> None:
        """The record ends here."""
        if self._waiting or self._bodies:
            self._none_waits(self._cause)

    def _kind_of(self, entry: Body) -> str:
        rule = self._replaying.state.rule(entry["rule"], entry["point"])
        return "removed" if rule is None else rule.kind


def _as_told(mine: Any, theirs: Any) -> Any:
    """Without the ``kind`` of what a rule remembers, where an earlier release did not say it."""
    if not isinstance(mine, dict) or not isinstance(theirs, dict):
        return mine
    return {key: _as_told(each, theirs.get(key)) for key, each in mine.items() if key != "kind" or key in theirs}


class _Absent:
    """No value of an entry."""


def _name(body: Body) -> str:
    return f"{body['rule']}/{body['point']}"


def _shown(body: Body) -> dict[str, Any]:
    return {key: body[key] for key in ("event", "violation", "step", "first", "peak", "minutes") if key in body}
