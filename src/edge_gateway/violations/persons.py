"""What a person's step needs besides its place in the table: a condition, a full assessment, a second person; and what it does.

Works on one record that the book hands over; raises StepRefused before anything is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edge_gateway.rules.base import ACTIVE, RECOVERED, UNKNOWN
from edge_gateway.violations import table
from edge_gateway.violations.asked import HUB, Ask, Moment, StepRefused, Who
from edge_gateway.violations.assessment import merged, missing, severest
from edge_gateway.violations.deadlines import CORRECT, DEADLINES, HOUR_US, MOST_EXTENDED_H, hasten, restart
from edge_gateway.violations.record import FINDING, MOST_REASON, handled, note, raise_severity
from edge_gateway.violations.table import Refused

DEPARTMENTS = ("market-regulation", "agriculture", "health", "ecology")
#: What a step's entry calls it.
ENTRY_STEP = {
    table.ACK: "acknowledged", table.CORRECT: "correcting", table.SUBMIT: "submitted", table.RETURN: "returned",
    table.STATE: "recovered", table.CLOSE: "closed", table.ASK_WITHDRAWAL: "withdrawal-asked",
    table.DROP_WITHDRAWAL: "withdrawal-dropped", table.WITHDRAW: "withdrawn", table.EXTEND: "extended", table.REFER: "referred",
}  # fmt: skip
_ACT = Callable[[dict[str, Any], Ask, Moment], dict[str, Any]]


def take(record: dict[str, Any], ask: Ask, at: Moment) -> dict[str, Any]:
    """The step, and the body of its entry. Raises StepRefused, and then nothing has changed."""
    _permitted(record, ask)
    cell = table.TABLE[ask.step][record["handling"]]
    extra = _ACTS[ask.step](record, ask, at) if ask.step in _ACTS else {}
    handling = cell if isinstance(cell, str) else None
    made = handled(record, ENTRY_STEP[ask.step], ask.who, ask.reason, at, handling) | extra
    if ask.photos:
        made["photos"] = [dict(photo) for photo in ask.photos]
    note(record, made, at.wall_us)
    return made


def said(ask: Ask) -> None:
    """Raises StepRefused unless somebody is named and gives a reason, not too long."""
    if not ask.who.name.strip():
        raise StepRefused("who takes this step is not known", hint="the control socket tells the user's name")
    if not ask.reason.strip():
        raise StepRefused("a reason is missing", hint='add --reason "what you saw or did"')
    if len(ask.reason) > MOST_REASON:
        raise StepRefused(f"a reason is at most {MOST_REASON} characters", hint="the essence here, the rest as a photo or document")


def _permitted(record: Mapping[str, Any], ask: Ask) -> None:
    """What every step needs, and the table's word."""
    id_ = record["violation"]
    if ask.step not in table.TABLE:
        raise StepRefused(f"no step '{ask.step}'", hint=", ".join(table.TABLE))
    said(ask)
    if record["handling"] in table.OVER:
        raise refusal(table.OVER[record["handling"]], record)
    if record["level"] == "notice":
        why = f"{id_} is only a notice: it ends by itself, or becomes a violation to acknowledge"
        raise StepRefused(why, hint="look at the device now, before the delay has passed")
    cell = table.TABLE[ask.step][record["handling"]]
    if isinstance(cell, Refused):
        raise refusal(cell, record)


def refusal(cell: Refused, record: Mapping[str, Any]) -> StepRefused:
    """The table's sentence about this record."""
    by = f" (by {record['by']})" if record.get("by") else ""
    words = {"id": record["violation"], "handling": record["handling"], "by": by, "into": record.get("into", "")}
    return StepRefused(cell.why.format(**words), hint=cell.hint.format(**words))


def second(record: Mapping[str, Any], who: Who) -> None:
    """Raises StepRefused unless this is a second person: the hub, or somebody proven who neither submitted nor asked nor found it."""
    if who.proof == HUB:
        return
    if not who.proven:
        why = f"a name alone decides nothing here: '{who.name}' did not prove who they are"
        raise StepRefused(why, hint="a second person with a secret of their own: `--as NAME` (see `edge-gateway people`), or the hub")
    did = {"submitted it": record.get("submitters") or ()}
    did["asked for its withdrawal"] = (record.get("withdrawal") or {}).get("names", ())
    did["found it"] = record.get("opener") or ()
    for what, names in did.items():
        if _same(who.name) in {_same(name) for name in names}:
            raise StepRefused(f"{who.name} {what}: a second person decides", hint="somebody else with a secret of their own, or the hub")


def _same(name: str) -> str:
    return name.strip().casefold()


def names(who: Who) -> list[str]:
    """All that this person may be known as: what was typed, and the OS user at the keyboard."""
    return sorted({name for name in (who.name, who.user) if name})


def _grave(record: Mapping[str, Any]) -> bool:
    return severest(record["severity"]) != "minor" or record["rule"] == FINDING


def _correct(record: dict[str, Any], ask: Ask, at: Moment) -> dict[str, Any]:
    assessment = merged(record.get("assessment") or {}, ask.detail, record["severity"])
    if severest(assessment.get("severity")) not in ("", record["severity"]):
        raise_severity(record, assessment["severity"])
        hasten(record, at.wall_us if at.trusted else None)
    record["assessment"] = assessment
    return {"assessment": assessment}


def _submit(record: dict[str, Any], ask: Ask, _at: Moment) -> dict[str, Any]:
    id_, assessment = record["violation"], merged(record.get("assessment") or {}, ask.detail, record["severity"])
    if record["condition"] == ACTIVE and record["rule"] != FINDING:
        raise StepRefused(f"{id_} is still active: what was done has not helped yet", hint="submit it after readings within the limit")
    if lacking := missing(assessment):
        why = f"the assessment of {id_} is not complete: {', '.join(lacking)} missing"
        raise StepRefused(why, hint=f"`edge-gateway violations correct {id_}` with what is missing")
    if severest(assessment["severity"]) != record["severity"]:
        raise_severity(record, assessment["severity"])
    record["assessment"] = assessment
    record["submitters"] = sorted({*(record.get("submitters") or ()), *names(ask.who)})
    return {"assessment": assessment}


def _return(record: dict[str, Any], ask: Ask, _at: Moment) -> dict[str, Any]:
    if _grave(record):
        second(record, ask.who)
    record["returns"] = record.get("returns", 0) + 1
    restart(record, CORRECT)
    return {}


def _state(record: dict[str, Any], ask: Ask, at: Moment) -> dict[str, Any]:
    id_ = record["violation"]
    if record["rule"] != FINDING:
        why = f"{id_} recovers by readings, not by a statement"
        raise StepRefused(why, hint="wait for readings within the limit; a second person can withdraw what is no violation")
    if record["condition"] == RECOVERED:
        raise StepRefused(f"{id_} was stated to be over already", hint=f"`edge-gateway violations close {id_}`")
    second(record, ask.who)
    record |= {"condition": RECOVERED, "recovered_us": at.rule_us}
    return {"statement": ask.reason}


def _close(record: dict[str, Any], ask: Ask, _at: Moment) -> dict[str, Any]:
    id_ = record["violation"]
    if record["condition"] == ACTIVE and record["rule"] == FINDING:
        raise StepRefused(f"nobody stated that {id_} is over", hint="a second person states it: `violations close` does both")
    if record["condition"] == ACTIVE:
        raise StepRefused(f"{id_} is still active", hint="it can be closed after readings within the limit")
    if record["condition"] == UNKNOWN:
        why = f"the condition of {id_} is unknown: no good reading shows that it recovered"
        raise StepRefused(why, hint="bring the probe back, then wait for readings within the limit")
    if _grave(record):
        second(record, ask.who)
    return {}


def _ask_withdrawal(record: dict[str, Any], ask: Ask, at: Moment) -> dict[str, Any]:
    asked = record.get("withdrawal")
    if asked:
        why = f"the withdrawal of {record['violation']} was asked for already (by {asked['by']})"
        raise StepRefused(why, hint="a second person confirms it: `violations withdraw ID --confirm`, or drops it: `--drop`")
    record["withdrawal"] = {"by": ask.who.name, "names": names(ask.who), "reason": ask.reason, "wall_us": at.wall_us}
    return {}


def _asked(record: Mapping[str, Any]) -> Mapping[str, Any]:
    asked = record.get("withdrawal")
    if not asked:
        why = f"nobody asked for the withdrawal of {record['violation']}"
        raise StepRefused(why, hint='first `edge-gateway violations withdraw ID --reason "why it is none"`')
    return dict(asked)


def _drop_withdrawal(record: dict[str, Any], ask: Ask, _at: Moment) -> dict[str, Any]:
    asked = _asked(record)
    if _same(ask.who.name) not in {_same(name) for name in asked["names"]}:
        second(record, ask.who)
    record["withdrawal"] = None
    return {}


def _withdraw(record: dict[str, Any], ask: Ask, _at: Moment) -> dict[str, Any]:
    _asked(record)
    second(record, ask.who)
    return {}


def _extend(record: dict[str, Any], ask: Ask, at: Moment) -> dict[str, Any]:
    what, to_us = ask.detail.get("what"), ask.detail.get("to_us")
    due = record.get("due") or {}
    if what not in DEADLINES or due.get(str(what)) is None:
        running = ", ".join(name for name, us in due.items() if us is not None) or "none"
        raise StepRefused(f"no deadline '{what}' runs for {record['violation']}", hint=f"running: {running}")
    second(record, ask.who)
    if not at.trusted:
        raise StepRefused("nobody vouches for the clock: deadlines cannot be moved now", hint="wait until the clock is trusted")
    latest_us = max(at.wall_us, due[what]) + MOST_EXTENDED_H * HOUR_US
    if isinstance(to_us, bool) or not isinstance(to_us, int) or not max(at.wall_us, due[what]) < to_us <= latest_us:
        raise StepRefused(f"a deadline is moved to later, by at most {MOST_EXTENDED_H // 24} days", hint="--to TIME")
    old_us = due[what]
    record["due"] = due | {what: to_us}
    record["overdue"] = [name for name in record.get("overdue") or () if name != what]
    return {"deadline": what, "old_us": old_us, "new_us": to_us}


def _refer(record: dict[str, Any], ask: Ask, _at: Moment) -> dict[str, Any]:
    to = ask.detail.get("to")
    if to not in DEPARTMENTS:
        raise StepRefused(f"'{to}' is no department", hint=", ".join(DEPARTMENTS))
    second(record, ask.who)
    record["referred"] = to
    return {}


_ACTS: Mapping[str, _ACT] = {
    table.CORRECT: _correct, table.SUBMIT: _submit, table.RETURN: _return, table.STATE: _state, table.CLOSE: _close,
    table.ASK_WITHDRAWAL: _ask_withdrawal, table.DROP_WITHDRAWAL: _drop_withdrawal, table.WITHDRAW: _withdraw,
    table.EXTEND: _extend, table.REFER: _refer,
}  # fmt: skip
