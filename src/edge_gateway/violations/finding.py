"""A person's own finding at its end: who verifies it states at once that it is over; knows no journal."""

from __future__ import annotations

from typing import Any

from edge_gateway.rules.base import ACTIVE
from edge_gateway.violations.asked import Ask, Moment
from edge_gateway.violations.book import Violations
from edge_gateway.violations.record import FINDING
from edge_gateway.violations.table import CLOSE, STATE


def taken(book: Violations, ask: Ask, at: Moment) -> list[dict[str, Any]]:
    """A person's step. Who closes a finding states with the same reason that it is over: two entries, one step. Raises StepRefused."""
    record = next((each for each in book.records() if each["violation"] == ask.violation), {})
    if ask.step == CLOSE and record.get("rule") == FINDING and record["condition"] == ACTIVE:
        stated = book.take(Ask(STATE, ask.violation, ask.who, ask.reason), at)
        return [*stated, *book.take(ask, at)]
    return book.take(ask, at)
