"""Where all or the end of the record is gone: goes on from the state that the hub holds, as a restart goes on from its own; knows no link.

The hub's entries are judged again here, by the same replay, and behind them what reads here and the hub has not; what was taken
is named in the record by its hash. Whatever does not read is not taken at all: then the record goes on with what is here, and only
what stands open at the hub comes back. Taken later than at the start, the state is in the record itself: a replay takes it there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import orjson

from edge_gateway import events
from edge_gateway.errors import JournalDamaged
from edge_gateway.intake.adopting import NEEDED
from edge_gateway.intake.loop import Intake
from edge_gateway.intake.recovery import Recovered, Texts, recover
from edge_gateway.intake.replaying import RECALLED, Misfit, Replaying
from edge_gateway.intake.ruletime import resume
from edge_gateway.intake.state import State
from edge_gateway.journal.base import Journal, Position, Recovery
from edge_gateway.record import entry
from edge_gateway.rules.base import BoundRule
from edge_gateway.rules.engine import Engine
from edge_gateway.sinks.base import Recalled

NOT_RECALLED, STALE = "state-not-recalled", "state-recalled-old"
#: Own entries that are replayed behind the hub's at a start, before anything is read.
MOST_OWN = 8_192
#: Of those that are replayed later, so many in one go: a hundredth of a second, on a Pi a tenth.
AT_ONCE = 256
_READ_BYTES = 4 << 20
#: Times and positions beyond it are none (journal-format.md: such integers are strings there).
_MOST = 2**53 - 1
#: What every entry says of itself.
_ENVELOPE: Mapping[str, type] = {"seq": int, "kind": str, "rule_us": int, "wall_us": int, "mono_us": int, "boot": str, "trusted": bool}
#: What an open gap must say.
_GAP: Mapping[str, type] = {"groups": list, "since_slot_us": int, "reason": str}


class _Texts:
    """What came with the entries; what did not, out of what is here."""

    def __init__(self, texts: Mapping[str, bytes], epoch: str, here: Texts | None) -> None:
        self._texts, self.epoch, self._here = texts, epoch, here

    async def text(self, sha256: str) -> bytes:
        if sha256 in self._texts or self._here is None:
            return self._texts[sha256]
        return await self._here.text(sha256)


async def recalled(
    taken: Recalled, gateway: str, rules: Sequence[BoundRule] = (), behind: Sequence[bytes] = (), here: Texts | None = None
) -> Recovered:
    """State as it was at the last entry that the hub holds, or of those ``behind`` it that it has not, if ``rules`` can go on from it.

    Raises JournalDamaged for what is no such record of ours.
    """
    try:
        entries = (*taken.entries, *behind)
        bodies = [_body(data, taken.first + at) for at, data in enumerate(entries)]
        snapshot = bodies[0]
        if snapshot["kind"] != "snapshot":
            raise JournalDamaged("it does not begin with a snapshot")
        if "state_text" in snapshot:
            snapshot["state"] = orjson.loads(taken.texts[snapshot["state_text"]])
        found = await recover(_Texts(taken.texts, taken.epoch, here), Recovery(snapshot=snapshot, entries=entries[1:]), gateway)
        last = found.last or snapshot
        rehearsed = Engine(rules)
        rehearsed.restore(found.state.engine.snapshot())
        rehearsed.tick(last["rule_us"], last["wall_us"], trusted=False)
        _check(found.state)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as wrong:  # it comes from outside
        raise JournalDamaged(f"what the hub gave back does not read: {wrong!r}"[:300]) from None
    if found.damaged:
        raise JournalDamaged(found.damaged)
    state = found.state
    state.lost = True  # the hub may know more than its ordered entries say: it is still asked what stands open
    state.config = None  # an entry of another record: the first one here brings its own
    found.uncorrected = None
    return found


async def tell_recalled(intake: Intake, taken: Recalled, hub: str) -> None:
    """Name in the record what was taken over, and tell whoever looks. Runs before intake does."""
    body = _named(taken, hub, len(intake.state.violations.open()))
    await intake.add("event", body)
    _alarm(intake, body)


def _named(taken: Recalled, hub: str, count: int) -> dict[str, Any]:
    size = taken.first + len(taken.entries)
    digest = sha256(b"".join(data + b"\n" for data in taken.entries)).hexdigest()
    return {"event": RECALLED, "hub": hub, "epoch": taken.epoch, "first": taken.first, "size": size, "sha256": digest, "open": count}


def _alarm(intake: Intake, body: Mapping[str, Any]) -> None:
    why = f"the record here, or its end, was lost: rules, delays, marks, the phase and {body['open']} open violations and notices go on from entry {body['size'] - 1} of epoch {body['epoch']}, as {body['hub']} holds it"
    intake.tell(events.Alarmed(code=RECALLED, why=why))


async def tell_not_recalled(intake: Intake, hub: str, why: str) -> None:
    """The hub did not give the state back: say so in the record, and tell whoever looks."""
    await intake.add("event", {"event": NOT_RECALLED, "hub": hub, "why": why[:300]})
    said = f"the record here, or its end, was lost, and its state does not come back from {hub}: {why}. Delays, marks and the phase go on from what is here: look at them by hand"
    intake.tell(events.Alarmed(code=NOT_RECALLED, why=said))


async def tell_stale(intake: Intake, why: str) -> None:
    """The state that the hub gave back is used, and is not the newest that there was."""
    await intake.add("event", {"event": STALE, "why": why[:300]})
    intake.tell(events.Alarmed(code=STALE, why=why))


# --- later than at the start ----------------------------------------------------------------------------------------


async def take_late(intake: Intake, told: tuple[Recalled, str, str], journal: Journal, since: Position) -> None:
    """The hub's state, and what was written here ``since`` replayed behind it, take the place of the state here. Not inside intake.

    ``told``: what was had back, from which hub, and whose it is. Counters' totals, sums, slots and gaps stay as they are here. Raises JournalDamaged, and then nothing has changed.
    """
    taken, hub, gateway = told
    late = _Late(await recalled(taken, gateway, list(intake.state.rules())), journal, since)
    await late.catch_up()
    await intake.command(lambda: late.take(intake, taken, hub))


class _Late:
    """Own entries behind the hub's state, however many: replayed beside intake until next to none is left, and the last of them inside it."""

    def __init__(self, found: Recovered, journal: Journal, since: Position) -> None:
        self._found, self._journal, self._at = found, journal, since
        self._replaying = Replaying(found.state, since.epoch)
        self._ahead_us: int | None = None

    async def catch_up(self) -> None:
        """Rests as long as it works: readings and rules go on beside it. Raises JournalDamaged."""
        began_s = time.monotonic()
        while await self._next():
            await asyncio.sleep(time.monotonic() - began_s)
            began_s = time.monotonic()

    async def take(self, intake: Intake, taken: Recalled, hub: str) -> None:
        """The rest, and then the state here. Runs inside intake. Raises JournalDamaged."""
        await intake.settled()
        while await self._next():
            pass
        kept: dict[str, Any] = orjson.loads(entry.canonical(self._found.state.taken_over()))  # as a replay will read it
        intake.advance(self._ahead_us or 0)
        _, stamp = await intake.moment()  # behind the snapshot of a segment that begins here
        body = _named(taken, hub, len(self._found.state.violations.open()))
        await intake.add("event", body | intake.large("state", kept), urgent=True, stamp=stamp)
        intake.state.take_over(kept)
        await intake.took_over(stamp)
        _alarm(intake, body)

    async def _next(self) -> bool:
        """Replay the next few; False where none is left. Raises JournalDamaged where they do not read, or do not fit."""
        try:
            part = await self._journal.read(self._at, max_entries=AT_ONCE, max_bytes=_READ_BYTES)
        except KeyError:
            raise JournalDamaged("entries written since were freed") from None
        for data in part:
            await self._one(entry.decode(data))
        if part:
            self._at = Position(self._at.epoch, self._at.seq + len(part))
            return True
        known = [info.epoch for info in self._journal.known_epochs()]
        following = known[known.index(self._at.epoch) + 1 :]
        if following:
            self._at, self._replaying.epoch = Position(following[0], 0), following[0]
        return bool(following)

    async def _one(self, body: dict[str, Any]) -> None:
        if self._ahead_us is None:
            self._ahead_us = _ahead_us(self._found, body)
        body["rule_us"] = int(body["rule_us"]) + self._ahead_us
        if body.get("event") == RECALLED and "state_text" in body:  # taken over once before
            body["state"] = await self._text(str(body["state_text"]))
        if body["kind"] == "config":
            self._replaying.config(body, await self._text(str(body["text"])))
        elif body["kind"] != "snapshot":
            try:
                self._replaying.take(body)
            except Misfit as misfit:
                raise JournalDamaged(f"an entry since does not fit its configuration: {misfit}") from None

    async def _text(self, name: str) -> dict[str, Any]:
        try:
            content: dict[str, Any] = orjson.loads(await self._journal.text(name))
        except KeyError:
            raise JournalDamaged(f"the text {name} that an entry since names is missing") from None
        return content


def _ahead_us(found: Recovered, first: Mapping[str, Any]) -> int:
    """How far rule time would be ahead of what it is here, had the run that began with ``first`` gone on from the hub's last entry (µs; never negative)."""
    mono_us, wall_us, boot, trusted = int(first["mono_us"]), int(first["wall_us"]), str(first["boot"]), bool(first["trusted"])
    carried, _ = resume(found.last, mono_us=mono_us, wall_us=wall_us, boot=boot, trusted=trusted, base_us=found.base_us)
    return max(0, carried.at(mono_us) - int(first["rule_us"]))


def _body(data: bytes, seq: int) -> dict[str, Any]:
    body: Any = entry.decode(data)
    if not isinstance(body, dict) or body.get("seq") != seq:
        raise JournalDamaged(f"what the hub gave back as entry {seq} is another one")
    _fits(body, _ENVELOPE, f"entry {seq}")
    return body


def _check(state: State) -> None:
    """Whatever the first entries of a run will read of it is there: a start must not fail by what came from outside. Raises JournalDamaged."""
    for id_, gap in state.gaps.items():
        _fits(gap, _GAP, f"the gap {id_}")
    for what, table in (("slot", state.slots), ("correction", state.corrections)):
        for name, at_us in table.items():
            _fits({what: at_us}, {what: int}, f"the {what} of {name}")
    if state.armed.day is not None and type(state.armed.day) is not str:
        raise JournalDamaged(f"the day of arming is {state.armed.day!r}"[:300])
    for record in state.violations.records():
        _fits(record, NEEDED, "a violation")
    for device, kept in state.kept.items():
        _fits({"kept": kept}, {"kept": dict}, f"what {device} keeps")
    entry.canonical(state.snapshot())


def _fits(body: Mapping[str, Any], wanted: Mapping[str, type], what: str) -> None:
    for key, kind in wanted.items():
        value = body.get(key)
        if type(value) is not kind or (isinstance(value, int) and abs(value) > _MOST):
            raise JournalDamaged(f"{what} has {key} = {value!r}"[:300])
