"""Phases of a working day (开工前, 生产中, 收尾), and which begins by itself; pure."""

from edge_gateway.phases.core import (
    ALWAYS_ARMED,
    BEGAN,
    BEYOND,
    BY_ITSELF,
    CLOSED,
    CLOSING,
    CONTACT,
    DONE,
    EXAMPLE,
    NAMES_ZH,
    OPEN,
    ORDER,
    PRE_START,
    PRODUCTION,
    SCHEDULE,
    SIGNED,
    UNKNOWN,
    Finding,
    Item,
    PhaseRefused,
    Phases,
    Signer,
    items_of,
)
from edge_gateway.phases.workday import Workday

__all__ = [
    "ALWAYS_ARMED", "BEGAN", "BEYOND", "BY_ITSELF", "CLOSED", "CLOSING", "CONTACT", "DONE", "EXAMPLE", "NAMES_ZH", "OPEN", "ORDER", "PRE_START",
    "PRODUCTION", "SCHEDULE", "SIGNED", "UNKNOWN", "Finding", "Item", "PhaseRefused", "Phases", "Signer", "Workday", "items_of",
]  # fmt: skip
