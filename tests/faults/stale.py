"""Reads of the hub that are older than what it gave receipts for; pure: polls, receipts and the record in, a count out.

A read is stale if, `STALE_S` after the hub's receipt for an entry, it holds fewer entries than the receipt covers, or shows a point's newest
reading as older than that entry. A hub that was restored from a backup is behind by nature until it holds again what it gave
receipts for, and one that has just started reads its record first: those spans are excused, and must end.
"""

from __future__ import annotations

import json
import threading
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any, Protocol

from tests.faults.judge import Record
from tests.faults.plant import now_us

STALE_S = 5.0
EVERY_S = 0.15


@dataclass(frozen=True)
class Poll:
    """What the hub said: when the question went out, sizes by epoch, and by point the (epoch, seq) of what it shows."""

    at_us: int
    sizes: Mapping[str, int]
    shown: Mapping[str, tuple[str, int]]


class Hub(Protocol):
    """What is asked."""

    def sizes(self) -> dict[str, int]: ...

    def points(self) -> dict[str, tuple[str, int]]: ...


@dataclass
class Polls:
    """Asks the hub over and over, in a thread of its own. ``excused``: [from, until) on the clock of ``mono_us``."""

    hub: Hub
    seen: list[Poll] = field(default_factory=list)
    excused: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="polls", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join(30.0)

    def _run(self) -> None:
        while not self._ended.wait(EVERY_S):
            at_us = now_us()
            try:
                sizes, shown = self.hub.sizes(), self.hub.points()
            except (OSError, ValueError, HTTPException):
                continue  # it is away: no read, no staleness
            if sizes:
                self.seen.append(Poll(at_us, sizes, shown))


def stale(
    polls: Iterable[Poll], told: Sequence[tuple[int, str, int]], record: Record, excused: Sequence[tuple[int, int]]
) -> tuple[int, list[str]]:
    """How many reads were stale, and examples. ``told``: (when, epoch, size) of each receipt, oldest first."""
    places = {epoch: number for number, (epoch, _) in enumerate(record)}
    batches = _batches(record)
    whens = [when for when, _, _ in told]
    count, examples = 0, []
    for poll in polls:
        if any(since <= poll.at_us < until + STALE_S * 1e6 for since, until in excused):
            continue
        due = told[: bisect_right(whens, poll.at_us - int(STALE_S * 1e6))]
        for epoch, size in {epoch: max(s for _, e, s in due[-200:] if e == epoch) for _, epoch, _ in due[-200:]}.items():
            wrong = _behind(poll, epoch, size, batches, places)
            if wrong:
                count += 1
                examples.append(f"at {poll.at_us}: {wrong}")
    return count, examples[:4]


def told_of(examples: Sequence[str], acts: Sequence[tuple[int, str]]) -> list[str]:
    """Examples with what had happened in the 20 s before."""
    found = []
    for example in examples:
        at_us = int(example.split()[1].rstrip(":"))
        near = [f"{what} {(at_us - when) / 1e6:.1f} s before" for when, what in acts if 0 <= at_us - when < 20_000_000]
        found.append(f"{example} ({', '.join(near)})")
    return found


def _behind(
    poll: Poll, epoch: str, size: int, batches: Mapping[tuple[str, str], list[int]], places: Mapping[str, int]
) -> str:
    if poll.sizes.get(epoch, 0) < size:
        return f"{poll.sizes.get(epoch, 0)} entries of {epoch} where a receipt covered {size}"
    wrong = []
    for (point, of), seqs in batches.items():
        at = bisect_right(seqs, size - 1)
        if of != epoch or not at or point not in poll.shown:
            continue
        shown = poll.shown[point]
        if (places.get(shown[0], -1), shown[1]) < (places[epoch], seqs[at - 1]):
            wrong.append(f"{point} is shown as of {shown}, a receipt covered {seqs[at - 1]}")
    return "; ".join(wrong)


def _batches(record: Record) -> dict[tuple[str, str], list[int]]:
    """(point, epoch) → the seqs of its readings with a value: units answer by ``u<n>-n``, topics by ``t<n>-n``."""
    found: dict[tuple[str, str], list[int]] = {}
    for epoch, lines in record:
        for entry in map(json.loads, lines):
            if entry["kind"] == "batch" and entry["values"][0] is not None:
                found.setdefault((f"{entry['group'].split('.')[0]}-n", epoch), []).append(entry["seq"])
    return found


def shown(points: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, int]]:
    """Of the hub's answer about points: what it shows of each."""
    return {each["point"]: (each["epoch"], each["seq"]) for each in points if each.get("seq") is not None}
