"""Readings as they travel: batches with columns, and gaps; knows nothing of buses, rules or disks.

A reading is one element of a batch's columns, never an object of its own: at 100,000 readings a second an
object each would cost more than everything else together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

#: Value of a point: a number, or None when there is none. Contacts and flags are 0 and 1.
Value = float | int | None

GOOD = "good"
# Reasons are short, stable identifiers; pages and messages translate them. The list is closed on purpose.
BAD_NO_ANSWER = "bad:no-answer"  # time-out: the device said nothing
BAD_LINK_DOWN = "bad:link-down"  # the line or connection itself is gone
BAD_FRAME = "bad:frame"  # something arrived that is no answer
BAD_REFUSED = "bad:refused"  # the device answered with an exception (2, 3, 4 …)
BAD_BUSY = "bad:busy"  # exception 6, also after the retry
BAD_GATEWAY = "bad:gateway"  # exceptions 10, 11: a gateway could not reach the unit behind it
BAD_SENTINEL = "bad:sentinel"  # the register holds the maker's "no sensor" or "error" value
BAD_NOT_A_NUMBER = "bad:nan"  # NaN or infinity
BAD_RANGE = "bad:range"  # outside what the probe can measure
BAD_MISSING = "bad:missing"  # the message came without this point
BAD_UNPARSED = "bad:unparsed"  # the message came, this field could not be read
BAD_POWER_ON = "bad:power-on"  # the probe's value before its first conversion (DS18B20: 85 °C)
BAD_FAULT_LOW = "bad:fault-current-low"  # 4-20 mA: at or below 3.6 mA, broken loop or a transmitter that says so
BAD_FAULT_HIGH = "bad:fault-current-high"  # 4-20 mA: at or above 21 mA
BAD_STALE = "bad:stale"  # derived: an input was not read lately enough
UNCERTAIN_QUEUED = "uncertain:queued"  # waited at the broker while we were away; no own time
UNCERTAIN_FUTURE = "uncertain:future"  # its own time lies more than 60 s ahead of ours
UNCERTAIN_LATE = "uncertain:late"  # its own time is older than that of the last reading judged
UNCERTAIN_OFF_SPAN = "uncertain:off-span"  # 4-20 mA: between the measuring range and a fault current
UNCERTAIN_RESET = "uncertain:counter-reset"  # the counter began anew: pulses just before may be missing
UNCERTAIN_INCOMPLETE = "uncertain:incomplete"  # derived: inputs were missing for a while, the sum is a lower bound

#: What a source says of who answers (``Note.event``); each carries the whole ``identity`` as known from then on.
INSTRUMENT_EVENTS = frozenset({"instrument-identified", "instrument-replaced", "instrument-fingerprint-changed"})

#: How many of its intervals a reading speaks for its point; older is stale (docs/reference/rules.md).
FRESH_INTERVALS = 3

QUALITIES = frozenset(
    {
        GOOD, BAD_NO_ANSWER, BAD_LINK_DOWN, BAD_FRAME, BAD_REFUSED, BAD_BUSY, BAD_GATEWAY, BAD_SENTINEL,
        BAD_NOT_A_NUMBER, BAD_RANGE, BAD_MISSING, BAD_UNPARSED, BAD_POWER_ON, BAD_FAULT_LOW, BAD_FAULT_HIGH, BAD_STALE,
        UNCERTAIN_QUEUED, UNCERTAIN_FUTURE, UNCERTAIN_LATE, UNCERTAIN_OFF_SPAN, UNCERTAIN_RESET, UNCERTAIN_INCOMPLETE,
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A poll group: what of one device is read together, at one interval.

    ``id`` is ``<device>.<n>``, or ``<device>.<point>`` where messages tell one point at a time; ``points`` gives the order of every batch's columns; ``interval_us`` is 0 for
    message groups without ``expect_every_s`` (they have no slots).
    """

    id: str
    device: str
    points: tuple[str, ...]
    interval_us: int = 0
    #: True when a value may exceed 2**53 - 1 (64-bit integers): such values are written as strings.
    wide: bool = False

    def __hash__(self) -> int:
        return hash(self.id)  # a group is looked up for each batch: not over all its points


@dataclass(slots=True, kw_only=True)
class Block:
    """Register bytes exactly as they came: the evidence under a batch's values. Never altered."""

    unit: int
    function: int
    start: int
    data: bytes  # register bytes only (without byte count); for functions 1 and 2 the packed bits
    offset_us: int = 0  # when this block's reply arrived, relative to the batch's mono_us (≤ 0)


@dataclass(slots=True, kw_only=True)
class Message:
    """One MQTT message as it came, or what a file of the kernel said (``topic`` is then its path below the bus' folder).

    ``payload`` in full; the journal keeps up to 4 KiB, beyond that its hash.
    """

    topic: str
    payload: bytes
    packet_id: int = 0
    duplicate: bool = False
    #: the message's own zoned time, if it has one (µs UTC)
    time_us: int | None = None


@dataclass(slots=True, kw_only=True)
class Batch:
    """One poll of a group, or one message: columns, and the raw bytes they came from.

    ``values[i]`` belongs to ``group.points[i]``; ``quality`` is None when all are good. ``mono_us`` and
    ``wall_us`` are when the (last) answer arrived. ``slot_us`` is the expected instant on the monotonic clock,
    None where the group has no slots. ``committed`` is called once, after the entry is durable (MQTT: the
    acknowledgement to the broker).
    """

    group: Group
    mono_us: int
    wall_us: int
    values: list[Value]
    quality: list[str] | None = None
    slot_us: int | None = None
    blocks: list[Block] = field(default_factory=list)
    message: Message | None = None
    #: what the source must find again after a restart (JSON-able, small): kept by intake under the device's id
    keep: dict[str, Any] | None = None
    committed: Callable[[], None] | None = None


@dataclass(slots=True, kw_only=True)
class GapOpened:
    """From ``since_slot_us`` (monotonic) on, slots of these groups pass without batches, for ``reason``.

    Reasons: ``backed-off`` (the unit is rested after failures), ``unreachable`` (the line or broker is gone),
    ``busy`` (we could not keep the pace), ``silent`` (a message group's expected message did not come),
    ``journal-full``, ``stopped``, ``killed``, ``power-off``, ``reconfigured``.
    """

    id: str  # unique within the epoch, e.g. "<group>/<n>"
    groups: tuple[str, ...]
    reason: str
    since_slot_us: int
    detail: str = ""


@dataclass(slots=True, kw_only=True)
class GapClosed:
    """The gap ``id`` ended before ``until_slot_us``: the first slot that is a batch again. ``slots`` were missed."""

    id: str
    until_slot_us: int
    slots: int


@dataclass(slots=True, kw_only=True)
class Note:
    """Something a source wants in the record: ``event`` is a past-tense identifier, ``detail`` JSON-able."""

    event: str
    detail: dict[str, object] = field(default_factory=dict)
    committed: Callable[[], None] | None = None


#: What a source hands to intake.
Item = Batch | GapOpened | GapClosed | Note
