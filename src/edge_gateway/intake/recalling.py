"""Where nothing is left of the record: goes on from the state that the hub holds, as a restart goes on from its own; knows no link.

The hub's entries are judged again here, by the same replay; what was taken is named in the record by its hash. Whatever does
not read is not taken at all: then the record begins with nothing, and only what stands open at the hub comes back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import orjson

from edge_gateway import events
from edge_gateway.errors import JournalDamaged
from edge_gateway.intake.adopting import NEEDED
from edge_gateway.intake.loop import Intake
from edge_gateway.intake.recovery import Recovered, recover
from edge_gateway.intake.state import State
from edge_gateway.journal.base import Recovery
from edge_gateway.record import entry
from edge_gateway.rules.base import BoundRule
from edge_gateway.rules.engine import Engine
from edge_gateway.sinks.base import Recalled

RECALLED = "state-recalled"
#: Times and positions beyond it are none (journal-format.md: such integers are strings there).
_MOST = 2**53 - 1
#: What every entry says of itself.
_ENVELOPE: Mapping[str, type] = {"seq": int, "kind": str, "rule_us": int, "wall_us": int, "mono_us": int, "boot": str, "trusted": bool}
#: What an open gap must say.
_GAP: Mapping[str, type] = {"groups": list, "since_slot_us": int, "reason": str}


class _Texts:
    """What came with the entries."""

    def __init__(self, texts: Mapping[str, bytes], epoch: str) -> None:
        self._texts, self.epoch = texts, epoch

    async def text(self, sha256: str) -> bytes:
        return self._texts[sha256]


async def recalled(taken: Recalled, gateway: str, rules: Sequence[BoundRule] = ()) -> Recovered:
    """State as it was at the last entry that the hub holds, if ``rules`` can go on from it. Raises JournalDamaged for what is no such record of ours."""
    try:
        bodies = [_body(data, taken.first + at) for at, data in enumerate(taken.entries)]
        snapshot = bodies[0]
        if snapshot["kind"] != "snapshot":
            raise JournalDamaged("it does not begin with a snapshot")
        if "state_text" in snapshot:
            snapshot["state"] = orjson.loads(taken.texts[snapshot["state_text"]])
        found = await recover(_Texts(taken.texts, taken.epoch), Recovery(snapshot=snapshot, entries=taken.entries[1:]), gateway)
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
    size = taken.first + len(taken.entries)
    digest = sha256(b"".join(data + b"\n" for data in taken.entries)).hexdigest()
    count = len(intake.state.violations.open())
    body = {"event": RECALLED, "hub": hub, "epoch": taken.epoch, "first": taken.first, "size": size, "sha256": digest, "open": count}
    await intake.add("event", body)
    why = f"the record here was lost: rules, delays and {count} open violations and notices go on from entry {size - 1} of epoch {taken.epoch}, as {hub} holds it"
    intake.tell(events.Alarmed(code=RECALLED, why=why))


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
