"""The state table: which step of a person is permitted in which handling, where it leads, and why not; data, no state.

What else a step needs (a condition, an assessment, a second person) stands in ``persons``.
docs/reference/violations.md shows the same table; a test compares them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

NEW, ACKNOWLEDGED, CORRECTING, SUBMITTED = "new", "acknowledged", "correcting", "submitted"
CLOSED, WITHDRAWN, MERGED = "closed", "withdrawn", "merged"
HANDLINGS = (NEW, ACKNOWLEDGED, CORRECTING, SUBMITTED, CLOSED, WITHDRAWN, MERGED)
#: Handlings in which a violation is over, or goes on as part of another.
ENDED = (CLOSED, WITHDRAWN, MERGED)
#: Handlings in which persons may take steps.
OPEN = (NEW, ACKNOWLEDGED, CORRECTING, SUBMITTED)

#: Steps of persons, as asked.
ACK, CORRECT, SUBMIT, RETURN, CLOSE, STATE = "ack", "correct", "submit", "return", "close", "state"
ASK_WITHDRAWAL, DROP_WITHDRAWAL, WITHDRAW = "ask-withdrawal", "drop-withdrawal", "withdraw"
EXTEND, REFER = "extend", "refer"


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a step is not permitted in a handling. ``{id}`` and ``{by}`` (who put it there) are filled in."""

    why: str
    hint: str = ""


#: What becomes of the handling, or why not. ``None``: it stays.
Cell = str | Refused | None

_ALREADY = "{id} is {handling} already{by}"
_FIRST_ACK = Refused("{id} was not acknowledged", "first `edge-gateway violations ack {id}`")
_NOT_ASSESSED = Refused(
    "{id} was not assessed: cause, severity, scope and what became of the product are missing",
    "first `edge-gateway violations correct {id}`",
)
_NOT_SUBMITTED = Refused("{id} is {handling}: nothing was submitted yet", "first `edge-gateway violations submit {id}`")


def _in_all(cell: Cell) -> dict[str, Cell]:
    return dict.fromkeys(OPEN, cell)


#: step -> handling -> cell. In closed, withdrawn and merged every step of a person is refused: see ``over``.
TABLE: Mapping[str, Mapping[str, Cell]] = {
    ACK: _in_all(Refused(_ALREADY, "correct the cause: `edge-gateway violations correct {id}`")) | {NEW: ACKNOWLEDGED},
    CORRECT: {
        NEW: _FIRST_ACK,
        ACKNOWLEDGED: CORRECTING,
        CORRECTING: CORRECTING,
        SUBMITTED: Refused(_ALREADY, "who verifies it can return it: `edge-gateway violations return {id}`"),
    },
    SUBMIT: {
        NEW: _FIRST_ACK,
        ACKNOWLEDGED: _NOT_ASSESSED,
        CORRECTING: SUBMITTED,
        SUBMITTED: Refused(_ALREADY, "somebody else verifies it now"),
    },
    RETURN: _in_all(_NOT_SUBMITTED) | {SUBMITTED: CORRECTING},
    STATE: _in_all(_NOT_SUBMITTED) | {SUBMITTED: None},
    CLOSE: {NEW: _FIRST_ACK, ACKNOWLEDGED: _NOT_ASSESSED, CORRECTING: _NOT_SUBMITTED, SUBMITTED: CLOSED},
    ASK_WITHDRAWAL: _in_all(None),
    DROP_WITHDRAWAL: _in_all(None),
    WITHDRAW: _in_all(WITHDRAWN),
    EXTEND: _in_all(None),
    REFER: _in_all(None),
}

#: Why nothing can be done to what is over.
OVER: Mapping[str, Refused] = {
    CLOSED: Refused("{id} is closed", "if the limit is broken again, a new violation opens by itself"),
    WITHDRAWN: Refused("{id} was withdrawn", "if the limit is still broken, a new violation opens by itself"),
    MERGED: Refused("{id} goes on as part of {into}", "take the step on {into}"),
}
