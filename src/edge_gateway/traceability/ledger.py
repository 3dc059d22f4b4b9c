"""The records in force, bounded: takes new ones and corrections, gives back what a snapshot keeps; pure.

What is over for a while leaves this memory, never the record: `record trace` reads the journal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from edge_gateway.traceability import lots as lots_of
from edge_gateway.traceability.lots import Lots, lacking, refused
from edge_gateway.traceability.model import DISPATCH, DOCUMENT, LOT, RecordRefused, days_left, said

#: Records kept in force; beyond, those of lots that are over go, the oldest first; then nothing more begins.
MAX_RECORDS = 1_000
#: What is kept of an entry.
_KEPT = (
    "record", "type", "lot", "product", "supplier", "receiver", "grams", "certificate", "slip", "vehicle", "disposal", "zone", "from", "expires",
    "temperature", "photos", "document", "number", "holder", "note", "by", "reason", "lacking", "corrects", "rule_us", "wall_us",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Requires:
    """What starting on a lot, and dispatching one, requires: names of ``model.REQUIRABLE``."""

    start: Sequence[str] = ()
    dispatch: Sequence[str] = ()


class LotLedger:
    """All records in force of one gateway, in their order."""

    def __init__(self, gateway: str) -> None:
        self._gateway = gateway
        self.number = 0  # the last one given
        #: no number up to it is given: while what was given before is not known
        self.floor = 0
        self._records: dict[str, dict[str, Any]] = {}
        self._lots: Lots = {}

    # --- taking ---------------------------------------------------------------------------------------------------

    def draft(self, kind: str, given: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
        """The body of a new record, its id included; ``more``: temperature, photos, by, reason. Raises RecordRefused."""
        body = said(kind, given) | {key: value for key, value in more.items() if value}
        if len(self._records) >= MAX_RECORDS and not self._over():
            raise RecordRefused(f"{MAX_RECORDS} records are in force", hint="dispatch lots that are gone, or void what is wrong")
        return {"record": self._next(), **body}

    def check(self, body: Mapping[str, Any], stamp: tuple[int, int], requires: Requires, *, starts: bool, today: str) -> list[str]:
        """What a record leaves open that its reason excuses. ``stamp``: rule and wall time; ``starts``: its zone is where work begins.

        Raises RecordRefused: it cannot be, or it needs a reason, or something that no reason replaces.
        """
        lots = self._lots
        made = lots_of.fold([*self._records.values(), {**body, "rule_us": stamp[0], "wall_us": stamp[1]}])
        name = str(body.get("lot", ""))
        open_: list[str] = []
        if body["type"] == DISPATCH and not body.get("disposal"):
            if missing := lacking(lots, name, requires.dispatch, body):
                raise refused(name, "dispatched", missing)
            left = days_left(made[name].expires, today)
            open_ = ["unexpired"] if left is not None and left < 0 else []
        elif body["type"] == LOT and (starts or body.get("from")):
            open_ = sorted({each for one in (body.get("from") or [name]) for each in lacking(lots, one, requires.start)})
        if (open_ or body.get("disposal")) and not body.get("reason"):
            what = f"missing {', '.join(open_)}" if open_ else "what is disposed of needs a reason"
            raise RecordRefused(f"lot {name}: {what}", hint='record it, or add --reason "why it goes on without"')
        return open_

    def corrected(self, old: str, body: Mapping[str, Any], requires: Requires = Requires()) -> dict[str, Any]:
        """``body`` as what replaces ``old``: at its place and time, with its temperature, and its photos if none are new. Raises RecordRefused."""
        before = self._records.get(old)
        if before is None:
            raise RecordRefused(f"no record {old} is in force", hint="`edge-gateway record list` shows them; what was replaced is replaced")
        if before["type"] != body["type"]:
            raise RecordRefused(f"{old} is of type {before['type']}", hint="void it, and record the right one")
        if not body.get("reason"):
            raise RecordRefused("a correction needs a reason", hint='add --reason "what was wrong"')
        body = {**{key: before[key] for key in ("temperature", "photos") if key in before and not body.get("void")}, **body}
        judged = body["type"] == DISPATCH and not (body.get("disposal") or body.get("void"))
        if judged and (missing := lacking(self._lots, str(body["lot"]), requires.dispatch, body)):
            raise refused(str(body["lot"]), "dispatched", missing)
        lots_of.fold(self._with(old, {**body, "rule_us": before["rule_us"], "wall_us": before["wall_us"]}))
        return {**body, "corrects": old}

    def voided(self, old: str, by: str, reason: str) -> dict[str, Any]:
        """The body that takes a record out of force. Raises RecordRefused."""
        kind = self._records.get(old, {}).get("type", DOCUMENT)
        body = self.corrected(old, {"type": kind, "void": True, "by": by, "reason": reason})
        return {"record": self._next(), **body}

    def replay(self, entry: Mapping[str, Any]) -> None:
        """A ``record`` entry that is in the journal. One that does not fit is kept out of force: the entry stays."""
        self._count(str(entry["record"]))
        kept = {key: entry[key] for key in _KEPT if key in entry}
        old = str(entry.get("corrects", ""))
        if old:
            before = self._records.get(old)
            if before is not None:
                kept |= {"rule_us": before["rule_us"], "wall_us": before["wall_us"]}
                self._use(self._with(old, None if entry.get("void") else kept))
            return
        with suppress(RecordRefused):
            lots_of.apply(self._lots, kept)
            self._records[kept["record"]] = kept
        self._tidy()

    def _use(self, records: Iterable[dict[str, Any]]) -> None:
        found: dict[str, dict[str, Any]] = {}
        lots: Lots = {}
        for record in records:
            try:
                lots_of.apply(lots, record)
            except RecordRefused:
                continue
            found[record["record"]] = record
        self._records, self._lots = found, lots

    def _with(self, old: str, body: Mapping[str, Any] | None) -> list[dict[str, Any]]:
        """The records in force with one replaced, or (``void``, None) left out."""
        gone = body is None or bool(body.get("void"))
        placed = {} if body is None else {"record": self._next(), **body}
        return [placed if name == old else record for name, record in self._records.items() if not (gone and name == old)]

    def _next(self) -> str:
        return f"{self._gateway}-R{max(self.number, self.floor) + 1}"

    def _count(self, name: str) -> None:
        number = name.rpartition("-R")[2]
        if number.isdecimal():
            self.number = max(self.number, int(number))

    def _tidy(self) -> None:
        while len(self._records) > MAX_RECORDS and (gone := self._over()):
            self._use(record for name, record in self._records.items() if name not in gone)

    def _over(self) -> set[str]:
        """Records of the oldest lots that are over and of which no lot that is here was made; of a family all at once."""
        for lot in self._lots.values():
            family = {lot.id}
            while more := {other for one in family if one in self._lots for other in (*self._lots[one].parents, *self._lots[one].children)} - family:
                family |= more
            if all(self._lots[one].over for one in family if one in self._lots):
                gone = {name for one in family if one in self._lots for name in self._lots[one].records}
                return gone | {name for name, each in self._records.items() if each["type"] == DOCUMENT and each.get("lot") in family}
        return set()

    # --- questions ------------------------------------------------------------------------------------------------

    @property
    def lots(self) -> Mapping[str, Any]:
        """Lots by id, in the order in which they began."""
        return self._lots

    def records(self) -> list[dict[str, Any]]:
        """The records in force, in order: copies."""
        return [dict(record) for record in self._records.values()]

    def record(self, name: str) -> dict[str, Any] | None:
        """One of them."""
        found = self._records.get(name)
        return None if found is None else dict(found)

    def scope(self, zones: Iterable[str], from_rule_us: int, until_rule_us: int | None) -> list[str]:
        """See ``lots.scope``: what a violation in these zones and that period met."""
        return lots_of.scope(self._lots, zones, from_rule_us, until_rule_us)

    def expiring(self, today: str, within_days: int) -> list[dict[str, Any]]:
        """Lots that are here and documents that expire within so many days, or did: the soonest first."""
        found: list[dict[str, Any]] = [{"lot": lot.id, "expires": lot.expires} for lot in self._lots.values() if lot.expires and not lot.over]
        dated = (record for record in self._records.values() if record["type"] == DOCUMENT and record.get("expires"))
        found += [{key: record[key] for key in ("record", "document", "number", "lot", "expires") if key in record} for record in dated]
        counted = [item | {"days_left": days_left(str(item["expires"]), today)} for item in found]
        return sorted((item for item in counted if item["days_left"] <= within_days), key=lambda item: str(item["expires"]))

    # --- state ----------------------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """JSON-able."""
        return {"number": self.number, "records": self.records()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a snapshot."""
        self.number = int(state.get("number", 0))
        self._use([dict(record) for record in state.get("records", [])])
