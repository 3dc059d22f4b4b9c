"""What intake carries from entry to entry: rules, violations, gaps, slots, configuration; it survives in snapshots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_gateway.calibration import Calibrations
from edge_gateway.commands import Ledger
from edge_gateway.derived.core import Derivation
from edge_gateway.intake.armed import Armed
from edge_gateway.intake.late import OwnTimes
from edge_gateway.marks import Marks
from edge_gateway.phases import Phases, Workday
from edge_gateway.reading import INSTRUMENT_EVENTS, Group
from edge_gateway.record.entry import canonical, text_hash
from edge_gateway.rules import permits
from edge_gateway.rules.base import FIRED, RECOVERED, BoundRule, Step
from edge_gateway.rules.engine import Engine
from edge_gateway.rules.guard import GUARD, guarded
from edge_gateway.rules.kinds import can_judge
from edge_gateway.rules.resume import resumed
from edge_gateway.rules.standing import MARK, PHASE
from edge_gateway.traceability.ledger import LotLedger
from edge_gateway.violations import WITHDRAWN, Violations
from edge_gateway.violations.causes import Causes

#: Messages remembered over all brokers: more than their send windows together.
MAX_MESSAGES = 512
PACK_STATE_CHANGED = "pack-state-changed"
#: Devices whose sources kept something: more than one gateway has at work.
MAX_KEPT = 2_000
#: Of a state that comes back late: not what belongs to devices and their slots, which goes on here.
TAKEN_OVER = ("rules", "violations", "ended", "numbers", "records", "marks", "phase", "calibrations", "commands")
#: What a ``config`` entry tells of changes: so many, so large each (larger values by hash), so large together (bytes).
MAX_CHANGES, MAX_VALUE_BYTES, MAX_CHANGES_BYTES = 200, 2_048, 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """A configuration ready to come into force.

    ``resolved`` is the resolved configuration of docs/reference/journal-format.md section 4; ``texts`` the texts
    of profiles, packs and permits by name.
    """

    resolved: dict[str, Any]
    groups: Mapping[str, Group]
    texts: Mapping[str, bytes]
    rules: Sequence[BoundRule]
    software: str


class State:
    """Everything a restart must find again. Only intake changes it."""

    def __init__(self, gateway: str) -> None:
        self.engine = Engine([])
        self.violations = Violations(gateway)
        self.derivation = Derivation()
        self.commands = Ledger()
        self.ledger = LotLedger(gateway)
        self.marks = Marks()
        self.phases = Phases()
        self.workday = Workday()
        self.calibrations = Calibrations()
        self.gaps: dict[str, dict[str, Any]] = {}
        self.slots: dict[str, int] = {}
        self.own = OwnTimes()
        self.corrections: dict[str, int] = {}
        #: (topic, packet id) -> payload hash of the newest messages: a broker may send them again, oldest first
        self.messages: dict[tuple[str, int], str] = {}
        #: device -> what its source must find again after a restart, newest last
        self.kept: dict[str, dict[str, Any]] = {}
        #: outlet -> what was told of its permit last: its last day, and which event
        self.permits: dict[str, list[str]] = {}
        #: who may prove themselves: name -> role, and what changes when the secret does
        self.people: dict[str, list[str]] = {}
        #: packs that were enforced and judge nothing now, but were not taken back by a second person either
        self.left_packs: set[str] = set()
        #: nothing was left of an earlier record, or there is none: a hub may know what is open
        self.lost = False
        self.config: dict[str, Any] | None = None
        self.resolved: dict[str, Any] = {}
        self._causes = self.resolved, Causes({})
        self.armed = Armed()
        self._rules: dict[tuple[str, str], BoundRule] = {}
        #: the rules as they are configured: without what calibrations say of their probes
        self._written: Sequence[BoundRule] = ()
        self._seq_of: dict[Group, int] = {}

    @property
    def config_seq(self) -> int:
        """The config entry in force. Batches exist only once there is one."""
        if self.config is None:
            raise RuntimeError("no configuration is in force")
        return int(self.config["config_seq"])

    def config_seq_of(self, group: Group) -> int:
        """The configuration that decodes a batch of this group: a batch may have been on its way at a reload."""
        return self._seq_of.get(group) or self.config_seq

    @property
    def causes(self) -> Causes:
        """What the configuration in force says of causes and consequences."""
        if self._causes[0] is not self.resolved:
            self._causes = self.resolved, Causes(self.resolved)
        return self._causes[1]

    def rule(self, rule: str, point: str) -> BoundRule | None:
        """The rule as bound to the point now; None once it was removed."""
        return self._rules.get((rule, point))

    def doubtful(self, rule: str, point: str) -> bool:
        """Whether a rule at a point is not armed, and what it sees meanwhile is not within its limit."""
        return self.engine.stands(rule, point) and self.engine.condition(rule, point) is not True

    def rules(self) -> Iterable[BoundRule]:
        """All bound rules in force."""
        return self._rules.values()

    def apply(self, setup: Setup, config: dict[str, Any]) -> None:
        """The rules of ``setup`` judge from here on; what they knew of (rule, point) stays."""
        self.use_rules(setup.rules)
        newest = max(self._seq_of.values(), default=0)
        self._seq_of = {group: seq for group, seq in self._seq_of.items() if seq == newest}  # one generation back
        self._seq_of |= dict.fromkeys(setup.groups.values(), int(config["config_seq"]))
        self.config = config
        self.resolved = setup.resolved
        self.derivation.use(setup.resolved)
        self.workday.use(setup.resolved)
        self.marks.use(setup.resolved)

    def enforced(self) -> set[str]:
        """The packs that are enforced here, and stay so until a second person takes them back."""
        return self.left_packs | {rule.pack for rule in self.rules() if not rule.state}

    def use_rules(self, rules: Sequence[BoundRule], known: dict[str, Any] | None = None) -> None:
        """Exchange the rules, keep their state (or take ``known``); what a newer release judges otherwise than this one can is not judged: unknown."""
        self.left_packs = self.enforced() - {rule.pack for rule in rules if not rule.state}
        self._written = rules
        known = self.engine.snapshot() if known is None else known
        rules = [self._guarded(rule) for rule in rules if can_judge(rule)]
        self.engine = Engine(rules)
        self.engine.restore(known)
        self._rules = {(rule.id, rule.point): rule for rule in rules}
        self.armed.again()

    def _guarded(self, rule: BoundRule) -> BoundRule:
        names = (rule.point, rule.renamed_from)
        return guarded(rule, self.calibrations.uncertainty(names, rule.unit, self.armed.day) if GUARD in rule.terms else None)

    def calibrated(self, body: Mapping[str, Any]) -> None:
        """A ``calibration`` entry: what is known of the probe counts in its rules' guard bands."""
        self.calibrations.replay(body)
        self._regard()

    def _regard(self) -> None:
        """What is known of a probe may have changed, or lapsed: where a guard band does with it, rules are exchanged as at a reload."""
        wanted = [self._guarded(rule) for rule in self._written if GUARD in rule.terms and can_judge(rule)]
        if any(self._rules[rule.id, rule.point] != rule for rule in wanted):
            self.use_rules(self._written)

    def arm(self, now: tuple[int, int], *, trusted: bool) -> tuple[list[Step], dict[str, list[str]] | None]:
        """At a ``config`` or ``tick`` entry, live and in a replay: what ``Armed.at`` answers; a calibration may have lapsed with the day."""
        before = self.armed.day
        answer = self.armed.at(now, self.engine, self._rules.values(), trusted=trusted)
        if self.armed.day != before:
            self._regard()
        return answer

    def restand(self, rule_us: int, wall_us: int) -> list[Step]:
        """Which rules are armed now: asked after each entry that may change it, live and in a replay. The steps that this makes."""
        steps = self.engine.stand(rule_us, wall_us, MARK, self.marks.refs(self._rules.values()))
        return steps + self.engine.stand(rule_us, wall_us, PHASE, self.phases.refs(self._rules.values(), self._stages()))

    def _stages(self) -> dict[str, str]:
        """The control point of each point that lies in a zone."""
        zones = self.resolved.get("zones", {})
        return {id_: str(zones.get(about.get("zone"), {}).get("stage", "")) for id_, about in self.resolved.get("points", {}).items()}

    def due_us(self) -> int | None:
        """Next rule time at which the passing of time changes something."""
        dues = [due_us for due_us in (self.engine.due_us(), self.marks.due_us(), self.workday.due_us()) if due_us is not None]
        return min(dues, default=None)

    def pass_workday(self, now: tuple[int, int], *, trusted: bool) -> None:
        """At a ``tick`` entry, live and in a replay: which phase is to begin by itself."""
        if self.workday.by_itself():
            marked = frozenset(point for mark in self.marks.running() for point in mark["points"])
            self.workday.passing(now, self.phases, trusted=trusted, marked=marked)

    def changes(self, setup: Setup) -> list[dict[str, Any]]:
        """What differs from the configuration in force: ``{"key", "old", "new"}``, keys dotted, in order."""
        return list(_differences("", self.resolved, setup.resolved)) if self.resolved else []

    def remember(self, topic: str, packet_id: int, digest: str) -> None:
        """A QoS 1 message is in the record; only the newest can still be unacknowledged at a broker."""
        self.messages.pop((topic, packet_id), None)
        self.messages[topic, packet_id] = digest
        if len(self.messages) > MAX_MESSAGES:
            del self.messages[next(iter(self.messages))]

    def account(self, groups: Iterable[str], until_us: int) -> None:
        """All slots of these groups (``*``: of all) before ``until_us`` (monotonic) lie in a gap that was closed, or were not expected."""
        known = self.resolved.get("groups", {})
        if list(groups) == ["*"]:
            self.slots = {}
            groups = known
        for group in groups:
            if group in known and (interval_us := int(known[group].get("interval_us", 0))):
                self.slots[group] = (until_us - 1) // interval_us * interval_us

    def keep(self, device: str, what: dict[str, Any]) -> None:
        """A device's source will want this after a restart. A device that goes is remembered for long: it may come back."""
        self.kept.pop(device, None)
        self.kept[device] = what
        if len(self.kept) > MAX_KEPT:
            del self.kept[next(iter(self.kept))]

    def adopt(self, body: Mapping[str, Any], rule_us: int) -> None:
        """A ``violations-adopted`` event: what stands open at the hub is open here again, and its rules go on with it."""
        self.lost, self.violations.floor = False, 0
        known = self.engine.snapshot()
        for record in body["violations"]:
            self.violations.adopt(record)
            rule, key = self.rule(record["rule"], record["point"]), f"{record['rule']}/{record['point']}"
            if rule is not None and record["condition"] != RECOVERED and key not in known["rules"]:
                known["rules"][key] = resumed(rule, record, rule_us)
        self.violations.number_at_least(int(body["number"]))
        self.use_rules(self._written, known)

    def taken_over(self) -> dict[str, Any]:
        """Of the state object, what ``take_over`` takes."""
        whole = self.snapshot()
        return {key: whole[key] for key in TAKEN_OVER if key in whole}

    def take_over(self, state: Mapping[str, Any]) -> None:
        """A ``state-recalled`` event with a state: what the hub held of a record lost here, and what was written since, are known."""
        self.lost, self.violations.floor = False, 0
        number = (state.get("numbers") or {}).get("violation", 0)
        self.violations.restore({"open": state.get("violations") or [], "number": number, "ended": state.get("ended")})
        self.commands.restore(state.get("commands") or [])
        self.marks.restore(state.get("marks") or {})
        self.phases.restore(state.get("phase") or {})
        self.calibrations.restore(state.get("calibrations") or {})
        self.ledger.restore(state.get("records") or {})
        self.engine.restore(state.get("rules") or {})
        self.use_rules(self._written)

    def stepped(self, body: Mapping[str, Any]) -> None:
        """A ``violation`` entry was written: after a withdrawal the rule is armed anew."""
        if body["step"] == WITHDRAWN:
            self.engine.rearm(str(body["rule"]), str(body["point"]))

    def hear(self, body: Mapping[str, Any]) -> None:
        """An event entry: who answers at a device, and who may prove themselves, is remembered; what would have fired is counted."""
        if body.get("event") == "people-changed":
            self.people = {name: list(what) for name, what in body["new"].items()}
        if body.get("event") == PACK_STATE_CHANGED and body["new"] != "enforced":
            self.left_packs.discard(str(body["pack"]))
        if body.get("event") == FIRED:
            self.marks.count(body)
        if body.get("event") in permits.EVENTS:
            self.permits[str(body["outlet"])] = [str(body["permit_until"]), str(body["event"])]
        if body.get("event") in INSTRUMENT_EVENTS:
            device = str(body["device"])
            self.keep(device, {**self.kept.get(device, {}), "identity": dict(body["identity"])})

    def snapshot(self) -> dict[str, Any]:
        """JSON-able; see journal-format.md, the state object."""
        return {
            "rules": self.engine.snapshot(),
            "violations": self.violations.records(),
            **({"ended": ended} if (ended := self.violations.ended()) else {}),
            "numbers": {"violation": self.violations.number},
            "gaps": self.gaps,
            "slots": self.slots,
            "corrections": self.corrections,
            "kept": self.kept,
            "sums": self.derivation.snapshot(),
            "records": self.ledger.snapshot(),
            "marks": self.marks.snapshot(),
            "phase": self.phases.snapshot(),
            **({"workday": workday} if (workday := self.workday.snapshot()) else {}),
            "calibrations": self.calibrations.snapshot(),
            "messages": [[topic, number, digest] for (topic, number), digest in self.messages.items()],
            "commands": self.commands.snapshot(),
            **({"permits": self.permits} if self.permits else {}),
            **({"people": self.people} if self.people else {}),
            **({"left_packs": sorted(self.left_packs)} if self.left_packs else {}),
            **({"lost": True} if self.lost else {}),
            **({"own": dict(self.own.known)} if self.own.known else {}),
            **({"day": self.armed.day} if self.armed.day else {}),
        }

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Take over a snapshot entry's state (already resolved if it was a text) and configuration reference."""
        state = snapshot.get("state") or {}
        self.engine.restore(state.get("rules") or {})
        number = (state.get("numbers") or {}).get("violation", 0)
        self.violations.restore({"open": state.get("violations") or [], "number": number, "ended": state.get("ended")})
        self.gaps = dict(state.get("gaps") or {})
        self.slots = dict(state.get("slots") or {})
        self.corrections = dict(state.get("corrections") or {})
        self.messages = {(topic, number): digest for topic, number, digest in state.get("messages") or []}
        self.kept = dict(state.get("kept") or {})
        self.commands.restore(state.get("commands") or [])
        self.people = dict(state.get("people") or {})
        self.permits = dict(state.get("permits") or {})
        self.marks.restore(state.get("marks") or {})
        self.phases.restore(state.get("phase") or {})
        self.workday.restore(state.get("workday") or {})
        self.calibrations.restore(state.get("calibrations") or {})
        self.left_packs = set(state.get("left_packs", ()))
        self.lost = bool(state.get("lost"))
        self.own = OwnTimes(state.get("own"))
        self.ledger.restore(state.get("records") or {})
        self.armed = Armed(state.get("day"))
        self.derivation.restore(state.get("sums") or {})
        self.config = snapshot.get("config")


def fitting(changes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first of these changes that fit into an entry; the texts before and after say everything in any case."""
    told: list[dict[str, Any]] = []
    size = 0
    for change in changes[:MAX_CHANGES]:
        short = {"key": change["key"], "old": _short(change["old"]), "new": _short(change["new"])}
        size += len(canonical(short))
        if size > MAX_CHANGES_BYTES:
            break
        told.append(short)
    return told


def _short(value: Any) -> Any:
    data = canonical(value)
    return value if len(data) <= MAX_VALUE_BYTES else {"sha256": text_hash(data), "bytes": len(data)}


def _differences(prefix: str, old: Any, new: Any) -> Iterable[dict[str, Any]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from _differences(f"{prefix}.{key}" if prefix else key, old.get(key), new.get(key))
    elif old != new:
        yield {"key": prefix, "old": old, "new": new}
