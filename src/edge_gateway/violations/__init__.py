"""Violations on two axes, condition x handling: rules' steps and persons' steps become entries; pure, and knows no journal."""

from edge_gateway.violations.asked import CLAIMED, HUB, SECRET, Ask, Moment, StepRefused, Who
from edge_gateway.violations.book import Violations
from edge_gateway.violations.finding import taken
from edge_gateway.violations.record import ENTRY_KEYS, FINDING, RECORD_KEYS
from edge_gateway.violations.table import (
    ACKNOWLEDGED,
    CLOSED,
    CORRECTING,
    ENDED,
    HANDLINGS,
    MERGED,
    NEW,
    SUBMITTED,
    TABLE,
    WITHDRAWN,
)

__all__ = [
    "ACKNOWLEDGED", "CLAIMED", "CLOSED", "CORRECTING", "ENDED", "ENTRY_KEYS", "FINDING", "HANDLINGS", "HUB", "MERGED",
    "NEW", "RECORD_KEYS", "SECRET", "SUBMITTED", "TABLE", "WITHDRAWN", "Ask", "Moment", "StepRefused",
    "Violations", "Who", "taken",
]  # fmt: skip
