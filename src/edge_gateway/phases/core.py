"""Phases of a working day (开工前, 生产中, 收尾), their items and who signed them; pure, knows no engine, no clock and no journal.

An item is automatic (rules say whether it is in order) or a person's to sign. A phase disarms only what a pack lists, and
never a rule of a store or of wastewater; it clears nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_gateway.errors import GatewayError
from edge_gateway.rules.base import BoundRule

#: The phases in their order; ``closed``: nobody works. After it comes the first again.
PRE_START, PRODUCTION, CLOSING, CLOSED = "pre-start", "production", "closing", "closed"
ORDER = (PRE_START, PRODUCTION, CLOSING, CLOSED)
NAMES_ZH = {PRE_START: "开工前", PRODUCTION: "生产中", CLOSING: "收尾", CLOSED: "已收工"}
BEGAN, SIGNED = "began", "signed"
#: What begins a phase besides a person, and whose name stands there then.
SCHEDULE, CONTACT = "schedule", "contact"
BY_ITSELF = "edge-gateway"
#: What is known of an item.
DONE, OPEN, BEYOND, UNKNOWN = "done", "open", "beyond", "unknown"
#: Control points whose rules no phase disarms.
ALWAYS_ARMED = ("storage", "wastewater")
MOST_TEXT = 300
#: Evidence that the entry of a phase holds, of all items together: a thousand points would not fit into it.
MOST_EVIDENCE = 400
_NOTHING: Mapping[str, Any] = {}
#: Of the names in the example those that ask records, not rules.
_RECORDS = ("intakes", "lots")


class PhaseRefused(GatewayError):
    """A step that the items do not permit yet: look at what is open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """Something that must be in order. ``rules``: the ids of those that judge it; with neither rules nor records a person signs it."""

    id: str
    phase: str
    name_zh: str
    name_en: str
    rules: tuple[str, ...] = ()
    #: what it asks of the records of lots (names of ``traceability.asked.CHECKS``)
    records: tuple[str, ...] = ()

    @property
    def automatic(self) -> bool:
        """Whether something says by itself whether it is in order."""
        return bool(self.rules or self.records)


def _items(phase: str, *rows: tuple[str, str, str, tuple[str, ...]]) -> tuple[Item, ...]:
    return tuple(
        Item(id=id_, phase=phase, name_zh=zh, name_en=en, rules=tuple(r for r in asked if r not in _RECORDS), records=tuple(r for r in asked if r in _RECORDS))
        for id_, zh, en, asked in rows
    )


#: An example, used where the configuration names no item: the source says 7, 3 and 4, and does not list them.
EXAMPLE: tuple[Item, ...] = (
    *_items(
        PRE_START,
        ("people-health", "人：健康证有效，已洗手消毒", "people: health certificates valid, hands washed", ()),
        ("machine-steriliser", "机：82 °C 消毒水", "machine: steriliser at 82 °C", ("steriliser-water",)),
        ("machine-tools", "机：刀具、案台完好清洁", "machine: knives and tables sound and clean", ()),
        ("material-certificate", "料：检疫证明与进货查验", "material: quarantine certificate, intake checked", ("intakes", "lots")),
        ("environment-store", "环：冷库温度", "environment: stores cold", ("frozen-store-air", "chilled-store-air")),
        ("environment-room", "环：车间温度", "environment: room temperature", ("cutting-room-air",)),
        ("environment-water", "环：清洗用水余氯与浊度", "environment: chlorine and turbidity of washing water", ("washing-water-chlorine", "washing-water-turbidity")),
    ),
    *_items(
        PRODUCTION,
        ("cross-contamination", "交叉污染：生熟、洁污分区", "cross-contamination: clean and dirty kept apart", ()),
        ("water-failure", "清洗用水异常", "washing water fails", ("washing-water-ph", "washing-water-chlorine")),
        ("temperature-abuse", "产品温度失控", "temperature abuse", ("offal-core", "cutting-room-air")),
    ),
    *_items(
        CLOSING,
        ("equipment-cleaning", "设备清洁", "equipment cleaned", ()),
        ("product-storage", "成品存放", "products stored", ("frozen-store-air", "chilled-store-air")),
        ("waste-removal", "废弃物清运", "waste removed", ()),
        ("drain-check", "排水口检查", "drains and outlet checked", ("outlet-ph",)),
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What rules and records say of an automatic item: a state, and the evidence (``rule``, ``point``, ``state``, ``value``, ``wall_us``; or ``lot`` or ``document``, ``state``, ``lacking``)."""

    state: str
    evidence: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Who takes a step, whether a secret proves it, and why. ``user``: the OS user at the keyboard."""

    name: str
    proven: bool
    reason: str
    #: as an entry names them
    photos: tuple[Mapping[str, Any], ...] = ()
    user: str = ""


def items_of(told: Mapping[str, Mapping[str, Any]]) -> tuple[Item, ...]:
    """The items that the configuration names; the example where it names none."""
    found = []
    for id_, each in told.items():
        names = {key: str(each.get(key) or id_) for key in ("name_zh", "name_en")}
        found.append(Item(id=id_, phase=str(each["phase"]), rules=tuple(each.get("rules", ())), records=tuple(each.get("records", ())), **names))
    return tuple(found) or EXAMPLE


class Phases:
    """The phase that runs, and what was signed in it. None where nobody ever began one: then every rule is armed."""

    def __init__(self) -> None:
        self.phase: str | None = None
        self.since_wall_us = 0
        self.by = self.user = ""
        #: what began it besides a person, and what was open in the phase before
        self.how = ""
        self.left: tuple[str, ...] = ()
        self.signed: dict[str, dict[str, Any]] = {}

    def following(self) -> str:
        """The phase that comes next."""
        return ORDER[0] if self.phase is None else ORDER[(ORDER.index(self.phase) + 1) % len(ORDER)]

    def look(self, items: Iterable[Item], findings: Mapping[str, Finding]) -> list[dict[str, Any]]:
        """The items of the phase that runs: ``state`` with its evidence or signature; in order of the configuration."""
        found = []
        for item in items:
            if item.phase != self.phase:
                continue
            about: dict[str, Any] = {"item": item.id, "name_zh": item.name_zh, "name_en": item.name_en, "automatic": item.automatic}
            finding = findings.get(item.id, Finding(state=UNKNOWN)) if item.automatic else Finding(state=OPEN)
            state, signature = finding.state, self.signed.get(item.id)
            if signature is not None and state in (OPEN, UNKNOWN):
                state = DONE
                about["signed"] = signature
            found.append(about | {"state": state, "evidence": [dict(each) for each in finding.evidence]})
        return found

    def sign(self, look: Sequence[Mapping[str, Any]], item: str, who: Signer, wall_us: int) -> dict[str, Any]:
        """The body of the entry by which somebody signs an item. Raises PhaseRefused."""
        about = next((each for each in look if each["item"] == item), None)
        if about is None:
            raise PhaseRefused(f"no item '{item}' in this phase", hint="`edge-gateway phase show` lists them")
        _said(who)
        if about["state"] == DONE:
            raise PhaseRefused(f"{item} is in order already", hint="nothing needs to be signed")
        if about["state"] == BEYOND:
            raise PhaseRefused(f"rules or records say that {item} is not in order: no signature changes that", hint="correct it, or go on with a reason: `phase next --reason …`")
        if about["state"] == UNKNOWN and (not who.proven or _same(who.name) in {_same(self.by), _same(self.user)} - {""} or not who.reason.strip()):
            why = f"nobody knows whether {item} is in order: a second person signs for it, proven by a secret of their own, with a reason"
            raise PhaseRefused(why, hint="--as NAME; not the one who began the phase, by any of their names")
        signature: dict[str, Any] = {"by": who.name, "proven": who.proven, "reason": who.reason, "wall_us": wall_us}
        signature |= {"photos": list(who.photos)} if who.photos else {}
        signature |= _user(who)
        self.signed[item] = signature
        return {"step": SIGNED, "phase": self.phase, "item": item, **{key: signature[key] for key in signature if key != "wall_us"}}

    def next(self, look: Sequence[Mapping[str, Any]], who: Signer, wall_us: int) -> dict[str, Any]:
        """The body of the entry by which the next phase begins. Raises PhaseRefused."""
        left = [str(each["item"]) for each in look if each["state"] != DONE]
        if left and self.phase == CLOSING:
            raise PhaseRefused(f"the day cannot be closed: {', '.join(left)}", hint="sign what is done, correct what is not")
        if left and not who.reason.strip():
            raise PhaseRefused(f"open: {', '.join(left)}: going on needs a reason", hint='--reason "…", or sign them')
        if len(who.reason) > MOST_TEXT:
            raise PhaseRefused(f"a reason is at most {MOST_TEXT} characters")
        return self._began(self.following(), look, who, wall_us)

    def begin_itself(self, look: Sequence[Mapping[str, Any]], due: Mapping[str, Any], wall_us: int) -> dict[str, Any] | None:
        """The body of the entry by which a phase begins that ``Workday.due`` asks for, or one on the way to it.

        None: 收尾 has open items, and nothing but a person's work ends it. A line that runs again within 收尾 goes on with 生产中.
        """
        again = due["how"] == CONTACT and due["phase"] == PRODUCTION and self.phase == CLOSING
        if self.phase == CLOSING and not again and any(each["state"] != DONE for each in look):
            return None
        told = {key: due[key] for key in ("how", "due_wall_us", "point", "value") if key in due}
        return self._began(PRODUCTION if again else self.following(), look, Signer(name=BY_ITSELF, proven=False, reason=""), wall_us, told)

    def _began(self, after: str, look: Sequence[Mapping[str, Any]], who: Signer, wall_us: int, told: Mapping[str, Any] = _NOTHING) -> dict[str, Any]:
        before, left = self.phase, [str(each["item"]) for each in look if each["state"] != DONE]
        items = {str(each["item"]): _told(each, max(1, MOST_EVIDENCE // len(look))) for each in look}
        body = {
            "step": BEGAN, "phase": after, "before": before, "by": who.name, "proven": who.proven, "reason": who.reason, "open": left, "items": items, **_user(who), **told,
        }  # fmt: skip
        self._begin(body | {"wall_us": wall_us})
        return body

    def refs(self, rules: Iterable[BoundRule], stages: Mapping[str, str]) -> dict[tuple[str, str], str]:
        """Rules that this phase disarms, (rule, point) -> the phase. ``stages``: each point's control point."""
        if self.phase is None:
            return {}
        return {
            (rule.id, rule.point): self.phase
            for rule in rules
            if rule.armed_in and self.phase not in rule.armed_in and stages.get(rule.point) not in ALWAYS_ARMED
        }

    # --- state ----------------------------------------------------------------------------------------------------

    def replay(self, entry: Mapping[str, Any]) -> None:
        """Take over a ``phase`` entry that was journaled after the last snapshot."""
        if entry["step"] == BEGAN:
            self._begin(entry)
            return
        self.signed[str(entry["item"])] = {key: entry[key] for key in ("by", "proven", "reason", "wall_us", "photos", "user") if key in entry}

    def snapshot(self) -> dict[str, Any]:
        """JSON-able."""
        told = {"phase": self.phase, "since_wall_us": self.since_wall_us, "by": self.by, "signed": {key: dict(each) for key, each in self.signed.items()}}
        return told | ({"user": self.user} if self.user else {}) | ({"how": self.how} if self.how else {}) | ({"left": list(self.left)} if self.left else {})

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a snapshot."""
        self.phase, self.since_wall_us = state.get("phase"), int(state.get("since_wall_us", 0))
        self.how, self.left = str(state.get("how", "")), tuple(state.get("left", ()))
        self.user = str(state.get("user", ""))
        self.by, self.signed = str(state.get("by", "")), {key: dict(each) for key, each in state.get("signed", {}).items()}

    def _begin(self, entry: Mapping[str, Any]) -> None:
        self.phase, self.by, self.since_wall_us, self.signed = str(entry["phase"]), str(entry["by"]), int(entry["wall_us"]), {}
        self.user = str(entry.get("user", ""))
        self.how, self.left = str(entry.get("how", "")), tuple(entry.get("open", ()))


def _told(item: Mapping[str, Any], most: int) -> dict[str, Any]:
    """An item as an entry has it: of more evidence than it holds what is not in order comes first, and the rest is counted."""
    told = {key: item[key] for key in ("state", "signed", "evidence") if item.get(key)}
    if len(evidence := told.get("evidence", ())) > most:
        worst = sorted(evidence, key=lambda each: (BEYOND, UNKNOWN, DONE).index(each["state"]))
        told |= {"evidence": worst[:most], "evidence_more": len(evidence) - most}
    return told


def _same(name: str) -> str:
    return name.strip().casefold()


def _user(who: Signer) -> dict[str, str]:
    """The OS user, where it is another than the name."""
    return {"user": who.user} if who.user and who.user != who.name else {}


def _said(who: Signer) -> None:
    if not who.reason.strip() and not who.photos:
        raise PhaseRefused("a reason is missing", hint='--reason "what you saw", or --photo FILE')
    if len(who.reason) > MOST_TEXT:
        raise PhaseRefused(f"a reason is at most {MOST_TEXT} characters")
