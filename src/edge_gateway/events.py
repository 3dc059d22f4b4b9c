"""Everything worth telling, one frozen class each; logs and metrics are their consequences. Knows no listener."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Root of all events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed(Event):
    """Entries became durable. ``latency_us`` is how long the commit took."""

    entries: int
    readings: int
    size_bytes: int
    latency_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GapChanged(Event):
    """A gap was opened or closed."""

    gap: str
    groups: tuple[str, ...]
    opened: bool
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ViolationStepped(Event):
    """A violation (or notice) took a step, by a rule or a person."""

    violation: str
    rule: str
    point: str
    step: str
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockTrustChanged(Event):
    """Wall time became, or ceased to be, vouched for."""

    trusted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockStepped(Event):
    """Wall time moved against monotonic time by ``step_us``."""

    step_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalFilled(Event):
    """No room for ordinary batches any more (``full``), or room again."""

    full: bool
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochOpened(Event):
    """A new epoch was born."""

    epoch: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkDelivered(Event):
    """A sink took entries."""

    sink: str
    entries: int
    rejected: int
    latency_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkTroubled(Event):
    """A sink did not take anything: why, and when it is tried again. Told once a state, not once a try.

    Not ``authorised`` is an alarm: no waiting mends it, a person must.
    """

    sink: str
    why: str
    authorised: bool
    retry_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkRecovered(Event):
    """A sink takes entries again after trouble."""

    sink: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkSkipped(Event):
    """A sink will never be served these entries by us."""

    sink: str
    epoch: str
    first: int
    count: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigApplied(Event):
    """A configuration came into force."""

    config_seq: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigRejected(Event):
    """A configuration was refused; the one before goes on."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftFound(Event):
    """A device's parameter is not what its sheet says."""

    device: str
    parameter: str
    value: str
    wanted: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerTroubled(Event):
    """The record is not being signed: why; "" once it is again. ``refused`` is an alarm: the signer knows another record."""

    said: str
    refused: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarmed(Event):
    """Something a person should look at now, that is no violation of a limit."""

    code: str
    why: str


#: Whoever wants to hear.
Tell = Callable[[Event], None]
