"""Slots and availability of a record at rest: the entries with their right times, for ``record.slots``; writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import orjson

from edge_gateway.errors import JournalDamaged
from edge_gateway.history.record import AtRest, Lookback
from edge_gateway.record.availability import Availability, Stretch
from edge_gateway.record.offsets import corrected
from edge_gateway.record.slots import Accounts


class Kept(AtRest, Protocol):
    """What of a record is asked here; ``journal.reading.Reading`` is one."""

    def text(self, sha256: str) -> bytes: ...

    def entries(self) -> Iterator[tuple[str, dict[str, Any]]]: ...


@dataclass(frozen=True, slots=True)
class Accounted:
    """``untrusted``: entries whose time nobody ever vouched for; ``pending``: slots that were due when the record ended."""

    availability: Availability
    pending: int
    untrusted: int
    entries: int
    #: where the record does not read any further, "" where all of it does
    damaged: str = ""


def account(record: Kept, zone: ZoneInfo, *, told: Callable[[Stretch], None] = lambda _: None, period: tuple[int, int] = (-(2**62), 2**62)) -> Accounted:
    """Go through the whole record once (and once before for its corrections), as far as it reads."""
    corrections = Lookback(record).corrections()
    order = {info.epoch: number for number, info in enumerate(record.epochs())}
    untrusted = entries = 0

    def offset(epoch: str, entry: Mapping[str, Any]) -> int:
        nonlocal untrusted
        if not entry["trusted"]:
            known_us = corrected(str(entry["boot"]), (order[epoch], int(entry["seq"])), corrections)
            if known_us is not None:
                return known_us
            untrusted += 1
        return int(entry["wall_us"]) - int(entry["mono_us"])

    availability = Availability(zone, told, period)
    accounts = Accounts(availability, offset, lambda text: orjson.loads(record.text(text)))
    damaged = ""
    try:
        for epoch, entry in record.entries():
            entries += 1
            if entries == 1 and "state_text" in entry:
                entry["state"] = orjson.loads(record.text(str(entry["state_text"])))
            accounts.take(epoch, entry)
    except (JournalDamaged, KeyError) as damage:
        damaged = str(damage)
    accounts.finish()
    return Accounted(availability, accounts.pending, untrusted, entries, damaged)
