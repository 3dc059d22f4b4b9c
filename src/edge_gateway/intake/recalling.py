"""Where nothing is left of the record: goes on from the state that the hub holds, as a restart goes on from its own; knows no link.

The hub's entries are judged again here, by the same replay; what was taken is named in the record by its hash. Whatever does
not read is not taken at all: then the record begins with nothing, and only what stands open at the hub comes back.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from typing import Any

import orjson

from edge_gateway import events
from edge_gateway.errors import JournalDamaged
from edge_gateway.intake.loop import Intake
from edge_gateway.intake.recovery import Recovered, recover
from edge_gateway.journal.base import Recovery
from edge_gateway.record import entry
from edge_gateway.sinks.base import Recalled

RECALLED = "state-recalled"


class _Texts:
    """What came with the entries."""

    def __init__(self, texts: Mapping[str, bytes], epoch: str) -> None:
        self._texts, self.epoch = texts, epoch

    async def text(self, sha256: str) -> bytes:
        return self._texts[sha256]


async def recalled(taken: Recalled, gateway: str) -> Recovered:
    """State as it was at the last entry that the hub holds. Raises JournalDamaged for what is no such record of ours."""
    try:
        bodies = [_body(data, taken.first + at) for at, data in enumerate(taken.entries)]
        snapshot = bodies[0]
        if snapshot["kind"] != "snapshot":
            raise JournalDamaged("it does not begin with a snapshot")
        if "state_text" in snapshot:
            snapshot["state"] = orjson.loads(taken.texts[snapshot["state_text"]])
        found = await recover(_Texts(taken.texts, taken.epoch), Recovery(snapshot=snapshot, entries=taken.entries[1:]), gateway)
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
    body = entry.decode(data)
    with suppress(KeyError):
        if body["seq"] == seq:
            return body
    raise JournalDamaged(f"what the hub gave back as entry {seq} is another one")
