"""How long persons have to acknowledge, correct and verify, on trusted wall time, and what is overdue; reads no clock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_gateway.violations.table import ACKNOWLEDGED, CORRECTING, NEW, SUBMITTED

ACKNOWLEDGE, CORRECT, VERIFY = "acknowledge", "correct", "verify"
DEADLINES = (ACKNOWLEDGE, CORRECT, VERIFY)
HOUR_US = 3_600_000_000
#: Hours where a rule says nothing. No source gives them: they are the house's, and a pack may set others.
#: ``recur``: again within so many hours after closing names the old one; ``stable``: so long a minor one must have been within its limit to close by itself.
DEFAULTS: Mapping[str, Mapping[str, float]] = {
    "major": {ACKNOWLEDGE: 1, CORRECT: 24, VERIFY: 72, "recur": 72, "stable": 24},
    "minor": {ACKNOWLEDGE: 8, CORRECT: 72, VERIFY: 168, "recur": 24, "stable": 24},
}
#: A deadline is moved by at most so many hours at once.
MOST_EXTENDED_H = 30 * 24
#: Which deadlines run in a handling.
RUNNING = {NEW: (ACKNOWLEDGE, CORRECT), ACKNOWLEDGED: (CORRECT,), CORRECTING: (CORRECT,), SUBMITTED: (VERIFY,)}


def hours(record: Mapping[str, Any], what: str) -> float:
    """The rule's own hours, or the default of the record's severity."""
    own = record.get("hours") or {}
    return float(own.get(what, DEFAULTS.get(str(record.get("severity")), DEFAULTS["minor"])[what]))


def settle(record: dict[str, Any], wall_us: int | None) -> bool:
    """Begin the deadlines that the handling wants and let go of others; ``wall_us`` None: nobody vouches for the time, they begin later.

    Answers whether anything changed.
    """
    before = record.get("due") or {}
    wanted = RUNNING.get(record["handling"], ()) if record["level"] == "violation" else ()
    due = {what: before.get(what) for what in wanted}
    if wall_us is not None:
        for what in wanted:
            if due[what] is None:
                due[what] = wall_us + int(hours(record, what) * HOUR_US)
    overdue = [what for what in record.get("overdue") or () if what in due]
    changed = due != before or overdue != list(record.get("overdue") or ())
    record |= {"due": due, "overdue": overdue}
    return changed


def restart(record: dict[str, Any], *what: str) -> None:
    """These begin anew, at the next ``settle``."""
    record["due"] = {name: us for name, us in (record.get("due") or {}).items() if name not in what}
    record["overdue"] = [name for name in record.get("overdue") or () if name not in what]


def hasten(record: dict[str, Any], wall_us: int | None) -> None:
    """The severity rose: no deadline that runs lies further ahead than its hours from now."""
    if wall_us is None:
        return
    for what, due_us in (record.get("due") or {}).items():
        if due_us is not None:
            record["due"][what] = min(due_us, wall_us + int(hours(record, what) * HOUR_US))


def passed(record: Mapping[str, Any], wall_us: int) -> list[str]:
    """Deadlines that are over by now and were not told yet. ``wall_us`` is trusted."""
    told = record.get("overdue") or ()
    due = record.get("due") or {}
    return [what for what in DEADLINES if (due_us := due.get(what)) is not None and due_us < wall_us and what not in told]
