"""After the loss of the record or of its end: violations that stand open at the hub are open here again; knows no hub."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edge_gateway import events
from edge_gateway.intake.loop import Intake
from edge_gateway.intake.replaying import ADOPTED
from edge_gateway.violations import RECORD_KEYS

#: Records that one entry holds.
MOST = 100
#: What a record must have, and as what: it comes from outside.
NEEDED = {"violation": str, "rule": str, "point": str, "condition": str, "handling": str, "level": str, "first": dict, "episode": int}
BY = "edge-gateway"


async def adopt(intake: Intake, number: int, records: Sequence[dict[str, Any]], held: Mapping[str, int]) -> None:
    """Runs inside intake. ``number`` is the highest that was ever given there; nothing is taken over twice.

    ``held``: epoch -> entries of it that are here as the hub has them. What a record says ``at`` one of these is known here, and
    what was done since then counts: only what lies beyond is taken.

    What was opened here meanwhile of the same rule at the same point is merged into what stands open already.
    """
    state = intake.state
    here = {record["violation"] for record in state.violations.records()}
    fresh = [
        {key: record[key] for key in RECORD_KEYS if key in record}
        for record in records
        if all(isinstance(record.get(key), kind) for key, kind in NEEDED.items()) and record["violation"] not in here
        and _beyond(record, held, state.violations.number)
    ]
    twice = [(mine, record["violation"]) for record in fresh if (mine := state.violations.at(record["rule"], record["point"]))]
    for mine, into in twice:
        at, stamp = await intake.moment()
        await intake.add_violations([state.violations.merge(mine, into, BY, at)], stamp)
    if not fresh and number <= state.violations.number:
        state.lost, state.violations.floor = False, 0
        return
    for start in range(0, max(len(fresh), 1), MOST):
        body = {"event": ADOPTED, "number": number, "violations": fresh[start : start + MOST]}
        _, stamp = await intake.moment()  # behind the snapshot of a segment that begins here
        await intake.add("event", body, urgent=True, stamp=stamp)
        state.adopt(body, stamp.rule_us)
    if fresh:
        why = f"the record here, or its end, was lost: {len(fresh)} violations and notices stand open at the hub, and go on here"
        intake.tell(events.Alarmed(code=ADOPTED, why=why))


def _beyond(record: Mapping[str, Any], held: Mapping[str, int], number: int) -> bool:
    """Whether the hub's newest entry of it is not here. A hub of an older release does not say where that is: then by the number."""
    at = record.get("at")
    if isinstance(at, dict) and isinstance(at.get("seq"), int):
        return bool(at["seq"] >= held.get(str(at.get("epoch")), 0))
    given = str(record["violation"]).rpartition("-")[2]
    return not (given.isdecimal() and int(given) <= number)
