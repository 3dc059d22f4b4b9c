"""All violations of one gateway: which are open, which go on as part of another, what follows what; decides no single step.

A notice is no violation yet: it ends by itself (``cancelled``) or becomes one (``violated``), under the same id. Whoever
asks is told nothing twice and changes nothing by a step that is refused. The bodies of entries come back in order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edge_gateway.rules.base import ACTIVE, CANCELLED, RECOVERED, UNKNOWN, VIOLATED, BoundRule, Step
from edge_gateway.violations import persons, table
from edge_gateway.violations.asked import AUTOMATIC, Ask, Moment, StepRefused, Who
from edge_gateway.violations.assessment import severest
from edge_gateway.violations.deadlines import HOUR_US, hasten, hours, passed, settle
from edge_gateway.violations.holding import Holding, Known, graver, in_order, names, nowhere, shed, widen
from edge_gateway.violations.record import (
    FINDING,
    RECORD_KEYS,
    body,
    fresh,
    handled,
    judged,
    note,
    replayed,
    tidy,
)
from edge_gateway.violations.table import CLOSED, MERGED, NEW, SUBMITTED, WITHDRAWN

#: Who closes a minor one whose record is complete.
HOUSE = "edge-gateway"
#: How long (µs of rule time) what a cause held has to be over too, after the cause was: the house's choice.
AWAITED_US = 600_000_000
Body = dict[str, Any]


class Violations:
    """All open notices and violations of one gateway, and what has ended so lately that a new one must name it."""

    def __init__(self, gateway_id: str) -> None:
        self._gateway = gateway_id
        self._number = 0
        #: no number up to it is given: while what was given before is not known
        self.floor = 0
        self._open: dict[str, Body] = {}
        self.holding = Holding(self._open)
        self._by_rule: dict[tuple[str, str], str] = {}
        #: (rule, point) -> the newest one that ended, while a new one there would have to name it
        self._ended: dict[tuple[str, str], Body] = {}

    # --- steps of rules -------------------------------------------------------------------------------------------

    def apply(self, step: Step, rule: BoundRule | None, at: Moment) -> list[Body]:
        """Bodies of the ``violation`` entries for a rule's step; ``rule`` is None when it was removed."""
        record = self._record(step, rule, at)
        made = [judged(record, step, rule, at)]
        if record["handling"] == MERGED and record["condition"] == ACTIVE and not self.holding.hides(record):
            made[0] = self._return(record, step.step, at)
        made += self._as_grave(record, at)
        if step.step == CANCELLED and record["level"] == "notice":
            self._forget(record)
        if record["condition"] == RECOVERED:
            self._await(record, at.rule_us)
        return made + (self._let_go(record, at, over=False) if record["condition"] == UNKNOWN else [])

    def _record(self, step: Step, rule: BoundRule | None, at: Moment) -> Body:
        """The open record of a rule at a point, or a new one under the next number."""
        id_ = self._by_rule.get((step.rule, step.point))
        if id_ is None and rule is not None and rule.renamed_from:
            id_ = self._by_rule.pop((step.rule, rule.renamed_from), None)
            if id_ is not None:
                self._by_rule[step.rule, step.point] = id_
                self._open[id_]["point"] = step.point
        if id_ is not None:
            return self._open[id_]
        record = self._fresh(step.rule, step.point)
        record["opened"] = {"epoch": at.epoch, "seq": at.seq}
        if follows := self._follows(step.rule, step.point, at.rule_us):
            record["follows"] = follows
        self._keep(record)
        return record

    def _fresh(self, rule: str, point: str) -> Body:
        self._number = max(self._number, self.floor) + 1
        return fresh(f"{self._gateway}-{self._number}", rule, point)

    def _follows(self, rule: str, point: str, rule_us: int) -> Body | None:
        """What a new one names: the one closed within its ``recur_h``, or the one withdrawn while its excursion goes on."""
        ended = self._ended.get((rule, point))
        if ended is None:
            return None
        if ended["until_us"] is not None and rule_us > ended["until_us"]:
            return None
        if ended["how"] == WITHDRAWN:
            del self._ended[rule, point]
        return {key: ended[key] for key in ("violation", "opened", "how") if ended.get(key)}

    # --- steps of persons -----------------------------------------------------------------------------------------

    def take(self, ask: Ask, at: Moment) -> list[Body]:
        """A person's step. Raises StepRefused with the reason, and then nothing has changed."""
        record = self._open.get(ask.violation)
        if record is None:
            raise self._gone(ask.violation)
        if record["handling"] == MERGED and ask.step in table.TABLE:
            persons.said(ask)
            raise persons.refusal(table.OVER[MERGED], record | {"into": self.holding.top(record)["violation"]})
        made = [persons.take(record, ask, at)]
        if record["handling"] in (CLOSED, WITHDRAWN):
            made += self._let_go(record, at)
            self._end(record, at.rule_us)
        return made

    def _gone(self, id_: str) -> StepRefused:
        for ended in self._ended.values():
            if ended["violation"] == id_:
                return persons.refusal(table.OVER[ended["how"]], ended | {"handling": ended["how"]})
        return StepRefused(f"no open violation '{id_}'", hint="`edge-gateway violations list` shows the open ones")

    def find(self, ask: Ask, at: Moment) -> list[Body]:
        """自查: a person found something no rule watches. ``detail``: title, severity, and the zone or point. Raises StepRefused."""
        who, reason, found = ask.who, ask.reason, ask.detail
        if not who.name.strip() or not reason.strip():
            raise StepRefused("who found it, and what, is missing", hint='add --reason "what you saw"')
        persons.said(ask)
        if severest(found.get("severity")) == "":
            raise StepRefused("how severe it is, is missing", hint="--severity minor or major")
        record = self._fresh(FINDING, str(found.get("point") or ""))
        first = {"rule_us": at.rule_us, "wall_us": at.wall_us, "value": None}
        record |= {
            "level": "violation", "first": first, "peak": None, "minutes": 0.0, "value": None, "severity": found["severity"],
            "title": str(found.get("title") or reason)[:200], "basis": str(found.get("basis") or "")[:200],
            "opened": {"epoch": at.epoch, "seq": at.seq}, "opener": persons.names(who),
        }  # fmt: skip
        if found.get("zone"):
            record["scope"] = {"zone": str(found["zone"])[:64]}
        self._keep(record)
        made = handled(record, VIOLATED, who, reason, at)
        if ask.photos:
            made["photos"] = [dict(photo) for photo in ask.photos]
        note(record, made, at.wall_us)
        return [made]

    # --- one cause, many consequences -----------------------------------------------------------------------------

    def hold(self, ids: Sequence[str], under: str, at: Moment, known: Known | None = None) -> list[Body]:
        """These go on as part of their cause: it takes the highest severity and the scope of all it holds. Raises StepRefused.

        Without ``known`` they bring all that they hold themselves directly under the cause, which is part of no other.
        """
        cause = self._open.get(under)
        held = [self._open[id_] for id_ in ids if id_ in self._open and self._open[id_]["handling"] != MERGED]
        above = [] if cause is None else self.holding.above(cause)
        if cause is None or cause["condition"] != ACTIVE or (cause["handling"] == MERGED and not (known and above)) or {under, *names(above)} & set(ids):
            raise StepRefused(f"'{under}' is no active violation that could hold others")
        if not held:
            return []
        moved, kept = self._moved(held, known)
        direct = set(map(id, held))
        for each in (cause, *above):
            became = [widen(each, record, known.zone_of if known else nowhere, counted=id(record) not in direct) for record in (*moved, *kept)]
            if any(became):
                hasten(each, at.wall_us if at.trusted else None)
            tidy(each)
        return self._put(moved, under) + [body(each, "holding") for each in (cause, *above)]

    def _moved(self, held: Sequence[Body], known: Known | None) -> tuple[list[Body], list[Body]]:
        """What goes directly under another cause, and what stays under what it was part of."""
        moved: list[Body] = []
        kept: list[Body] = []
        for one in held:
            moved.append(one)
            for each in self.holding.all_below(one["violation"]) if one.get("holds") else ():
                (kept if known is not None and known.stays(each) else moved).append(each)
        return moved, kept

    def _put(self, moved: Sequence[Body], under: str) -> list[Body]:
        before = [record["handling"] for record in moved]
        for record in moved:
            record |= {"handling": MERGED, "into": under, "withdrawal": None}
        for record in moved:
            record.pop("awaited_us", None)
            if record.get("holds") and not self.holding.below(record["violation"]):
                shed(record)
            settle(record, None)
            tidy(record)
        return [body(record, MERGED) | {"before": was} for record, was in zip(moved, before, strict=True)]

    def _as_grave(self, record: Body, at: Moment) -> list[Body]:
        """A held one may be graver by new numbers of its rule: then so are its causes."""
        made = []
        for cause in self.holding.above(record):
            if graver(cause, record):
                hasten(cause, at.wall_us if at.trusted else None)
                made.append(body(cause, "holding"))
        return made

    def release(self, id_: str, at: Moment) -> None:
        """One that its cause does not explain any more is new: by the entry that its rule's step makes. Raises KeyError."""
        self._return(self._open[id_], "unmerged", at)

    def entry(self, id_: str, step: str, before: str) -> Body:
        """An open one's entry as it is now, after a step; ``before``: its handling before that. Raises KeyError."""
        record = self._open[id_]
        return body(record, step) | ({"before": before} if before != record["handling"] else {})

    def _let_go(self, cause: Mapping[str, Any], at: Moment, *, over: bool = True) -> list[Body]:
        """The cause hides nothing any more: what it held and what has not recovered returns as new, with its own start.

        ``over``: it ends, and with it what has recovered: what that held returns too.
        """
        id_ = str(cause["violation"])
        still = self.holding.parted(id_)[0] if over else [each for each in self.holding.below(id_) if each["condition"] != RECOVERED]
        return [self._return(record, "unmerged", at) for record in still]

    def _await(self, cause: Mapping[str, Any], rule_us: int) -> None:
        """The cause is over by itself: what it held has some time to be over too."""
        for each in self.holding.below(cause["violation"]) if cause.get("holds") else ():
            each["awaited_us"] = rule_us + AWAITED_US

    def _outlived(self, record: Mapping[str, Any], at: Moment) -> bool:
        """Whether it still holds, so long after its cause."""
        if record["handling"] != MERGED or record["condition"] == RECOVERED or self.holding.hides(record):
            return False
        return at.rule_us >= int(record.get("awaited_us", 0))

    def _return(self, record: Body, step: str, at: Moment) -> Body:
        record |= {"handling": NEW, "into": None, "due": {}, "overdue": []}
        record.pop("awaited_us", None)
        settle(record, at.wall_us if at.trusted else None)
        tidy(record)
        return body(record, step) | {"before": MERGED}

    # --- time -----------------------------------------------------------------------------------------------------

    def passing(self, at: Moment, silent: Callable[[str, str], bool] = lambda _rule, _point: False) -> list[Body]:
        """What time alone does: what outlived its cause returns, deadlines that begin, those that are over (each told once), minor ones that close by themselves.

        ``silent``: whether nothing is known now of what this rule watches at this point; then nothing closes by itself.
        """
        outlived = [each for each in self._open.values() if self._outlived(each, at)]
        made = [self._return(record, "unmerged", at) for record in sorted(outlived, key=in_order)]
        for record in [each for each in self._open.values() if each["handling"] in table.OPEN and each["level"] == "violation"]:
            if self._closes(record, at, silent):
                made += self._close(record, at)
                continue
            if at.trusted and None in (record.get("due") or {}).values() and settle(record, at.wall_us):
                made.append(body(record, "timed"))
            if at.trusted and (over := passed(record, at.wall_us)):
                record["overdue"] = [*record.get("overdue", ()), *over]
                made.append(body(record, "overdue") | {"deadlines": over})
        return made

    @staticmethod
    def _closes(record: Mapping[str, Any], at: Moment, silent: Callable[[str, str], bool]) -> bool:
        """Minor, its record complete (nothing else is submitted), and within its limit for long enough: by readings that still come."""
        if (record["severity"], record["handling"], record["condition"]) != ("minor", SUBMITTED, RECOVERED):
            return False
        if record["rule"] == FINDING or record.get("withdrawal") or "recovered_us" not in record:
            return False
        stable = at.rule_us - record["recovered_us"] >= hours(record, "stable") * HOUR_US
        return stable and not silent(record["rule"], record["point"])

    def _close(self, record: Body, at: Moment) -> list[Body]:
        reason = f"within its limit for {hours(record, 'stable'):g} h, and its record is complete"
        made = [handled(record, CLOSED, Who(HOUSE, AUTOMATIC), reason, at, CLOSED)]
        note(record, made[0], at.wall_us)
        made += self._let_go(record, at)
        self._end(record, at.rule_us)
        return made

    # --- state ----------------------------------------------------------------------------------------------------

    @property
    def number(self) -> int:
        """The last number given."""
        return self._number

    def any_open(self) -> bool:
        """Whether time could do anything here."""
        return bool(self._open)

    def open(self) -> list[Body]:
        """What is open, in the order of opening, without what goes on as part of another: copies."""
        return [record for record in self.records() if record["handling"] != MERGED]

    def records(self) -> list[Body]:
        """What is open, what is part of another included: copies; ``level`` is ``notice`` or ``violation``."""
        return [dict(record) for record in sorted(self._open.values(), key=in_order)]

    def held(self, under: str) -> list[Body]:
        """What goes on as part of this one, and of that: copies, each behind its cause."""
        return [dict(record) for record in self.holding.all_below(under)]

    def at(self, rule: str, point: str) -> str | None:
        """The id of what is open of a rule at a point."""
        return self._by_rule.get((rule, point))

    def number_at_least(self, number: int) -> None:
        """No number up to this one is given (again)."""
        self._number = max(self._number, number)

    def adopt(self, record: Mapping[str, Any]) -> None:
        """Go on with one that stands open elsewhere. It comes from outside: what it does not say of its rule is empty."""
        unsaid = {"limit": "", "severity": "", "basis": "", "verified": "no"}
        self._keep(unsaid | {key: record[key] for key in RECORD_KEYS if key in record})

    def merge(self, id_: str, into: str, by: str, at: Moment) -> Body:
        """The step by which an open one ends because it is the same as another that stands open already. Raises KeyError."""
        record = self._open[id_]
        made = handled(record, MERGED, Who(by, AUTOMATIC), f"goes on as {into}", at, MERGED)
        self._forget(record)
        return made

    def replay(self, entry: Mapping[str, Any], epoch: str = "") -> None:
        """Take over a ``violation`` entry of this epoch that was journaled after the last snapshot."""
        id_ = str(entry["violation"])
        record = self._open.get(id_)
        if record is None:
            record = {"level": "notice", "handling": NEW, "episode": 1}
            if entry.get("follows", {}).get("how") == WITHDRAWN:
                self._ended.pop((entry["rule"], entry["point"]), None)
            if "seq" in entry and epoch:
                record["opened"] = {"epoch": epoch, "seq": int(entry["seq"])}
        into = record.get("into")
        replayed(record, entry)
        if record.get("into") != into:
            record.pop("awaited_us", None)
        if entry["step"] in (RECOVERED, CANCELLED) and "by" not in entry:
            self._await(record, int(entry.get("rule_us", 0)))
        number = id_.removeprefix(f"{self._gateway}-")
        if number.isdecimal():
            self._number = max(self._number, int(number))
        self._keep(record)
        if record["handling"] in (CLOSED, WITHDRAWN):
            self._end(record, int(entry.get("rule_us", 0)))
        elif (record["handling"] == MERGED and "into" not in record) or (
            entry["step"] == CANCELLED and record["level"] == "notice"
        ):
            self._forget(record)

    def snapshot(self) -> dict[str, Any]:
        """JSON-able: the open records, the last number given, and what has ended so lately that a new one must name it."""
        return {"number": self._number, "open": self.records(), "ended": self.ended()}

    def ended(self) -> list[Body]:
        """What has ended so lately that a new one at its place must name it."""
        return [dict(each) for each in self._ended.values()]

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a snapshot."""
        self._number = int(state.get("number", 0))
        self._open.clear()
        self._by_rule = {}
        self._ended = {(each["rule"], each["point"]): dict(each) for each in state.get("ended") or []}
        for record in state.get("open", []):
            self._keep(dict(record))

    def _keep(self, record: Body) -> None:
        for key, id_ in list(self._by_rule.items()):
            if id_ == record["violation"] and key != (record["rule"], record["point"]):
                del self._by_rule[key]  # the point was renamed
        self._open[record["violation"]] = record
        if record["rule"] != FINDING:
            self._by_rule[record["rule"], record["point"]] = record["violation"]

    def _end(self, record: Body, rule_us: int) -> None:
        """It is over; what opens next at its place names it, for a while; a withdrawn one is named once."""
        self._forget(record)
        for held in self.holding.parted(record["violation"])[1]:  # the others return, by entries of their own
            self._forget(held)
        if record["rule"] == FINDING:
            return
        kept = {"how": record["handling"], "until_us": rule_us + int(hours(record, "recur") * HOUR_US)}
        kept |= {key: record[key] for key in ("violation", "rule", "point", "opened") if key in record}
        self._ended[record["rule"], record["point"]] = kept
        for key, each in list(self._ended.items()):
            if each["until_us"] is not None and each["until_us"] < rule_us:
                del self._ended[key]

    def _forget(self, record: Body) -> None:
        self._open.pop(record["violation"], None)
        if self._by_rule.get((record["rule"], record["point"])) == record["violation"]:
            del self._by_rule[record["rule"], record["point"]]
