"""What closing asks beyond the book: a finding is stated to be over at once, a rule that is not armed sees nothing wrong; knows no journal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edge_gateway.rules.base import ACTIVE, RECOVERED
from edge_gateway.violations.asked import Ask, Moment, StepRefused
from edge_gateway.violations.book import Violations
from edge_gateway.violations.record import FINDING
from edge_gateway.violations.table import CLOSE, STATE


def taken(book: Violations, ask: Ask, at: Moment, doubtful: Callable[[str, str], bool]) -> list[dict[str, Any]]:
    """A person's step. Who closes a finding states with the same reason that it is over: two entries, one step. Raises StepRefused.

    ``doubtful``: whether a rule at a point is not armed, and what it sees meanwhile is not within its limit. What recovered before is not closed then.
    """
    record = next((each for each in book.records() if each["violation"] == ask.violation), {})
    if ask.step == CLOSE and record.get("condition") == RECOVERED and doubtful(record["rule"], record["point"]):
        why = f"{ask.violation} recovered, but its rule is not armed now, and readings since are not within the limit"
        raise StepRefused(why, hint="close it after readings within the limit, or once its rule is armed again")
    if ask.step == CLOSE and record.get("rule") == FINDING and record["condition"] == ACTIVE:
        stated = book.take(Ask(STATE, ask.violation, ask.who, ask.reason), at)
        return [*stated, *book.take(ask, at)]
    return book.take(ask, at)
