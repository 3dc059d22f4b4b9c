"""Compares a plant's truth log, the hub's raw entries and what a harness saw acknowledged; pure, and believes no counter of ours.

*Acknowledged* is what the harness itself saw before a fault: a committed seq on the control socket, a PUBACK of ours, a receipt.
An acknowledged entry is lost if the hub does not hold it, and also if what stands in its place was made after the
acknowledgement was seen (the journal forgot it and wrote the number again).
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from edge_gateway.sources.mqtt_ledger import SESSION_BEGAN
from tests.faults.plant import SPREAD, TOPIC
from tests.faults.watching_proxy import Heard, Sent

#: A unit's answers younger than this when the harness last looked may still have been under way (µs).
SETTLED_US = 3_000_000
_EXAMPLES = 8


@dataclass
class Seen:
    """What the harness observed. ``positions``: epoch → (when, committed seq), oldest first; ``kills``: the gateway's ends."""

    positions: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    kills: list[int] = field(default_factory=list)
    ended_us: int = 0

    def position(self, at_us: int, epoch: str, committed: int) -> None:
        """The control socket said this; ``at_us`` is after its answer."""
        known = self.positions.setdefault(epoch, [])
        if not known or committed > known[-1][1]:
            known.append((at_us, committed))

    def killed_between(self, first_us: int, last_us: int) -> bool:
        at = bisect_left(self.kills, first_us)
        return at < len(self.kills) and self.kills[at] <= last_us


@dataclass
class Truth:
    """What the plant gave: per unit the number → when, per topic the numbers, and those the broker acknowledged to it."""

    replies: dict[int, dict[int, int]] = field(default_factory=dict)
    published: dict[int, set[int]] = field(default_factory=dict)
    pubacks: set[Sent] = field(default_factory=set)

    @classmethod
    def read(cls, path: Path) -> Truth:
        """The log; a last line that was cut is left out."""
        truth = cls()
        for text in path.read_text().splitlines(keepends=True):
            if not text.endswith("\n"):
                continue
            line = json.loads(text)
            match line["kind"]:
                case "reply":
                    truth.replies.setdefault(line["who"], {})[line["n"]] = line["mono_us"]
                case "published":
                    truth.published.setdefault(line["who"], set()).add(line["n"])
                case "puback":
                    truth.pubacks.add((line["who"], line["n"]))
        return truth


@dataclass
class Verdict:
    """What a comparison found. All of ``faults`` must be zero."""

    entries: int = 0
    acknowledged: int = 0
    readings: int = 0
    modbus: int = 0
    messages: int = 0
    lost: int = 0
    out_of_order: int = 0
    doubled: int = 0
    altered: int = 0
    unaccounted: int = 0
    redelivered: int = 0
    under_way: int = 0
    broker_lost: int = 0
    examples: list[str] = field(default_factory=list)

    def note(self, sentence: str) -> None:
        if len(self.examples) < _EXAMPLES:
            self.examples.append(sentence)

    @property
    def faults(self) -> dict[str, int]:
        """Everything that fails a campaign."""
        names = ("lost", "out_of_order", "doubled", "altered", "unaccounted")
        return {name: getattr(self, name) for name in names}

    @property
    def sound(self) -> bool:
        return self.acknowledged > 0 and not any(self.faults.values())


#: The hub's entries of an epoch, by their place there: (seq the hub gives them, bytes).
Record = Sequence[tuple[str, Sequence[bytes]]]


def judge(truth: Truth, record: Record, seen: Seen, heard: Heard) -> Verdict:
    """Compare. ``record``: the hub's epochs, oldest first, each with its entries in order."""
    verdict = Verdict()
    entries: list[dict[str, Any]] = []
    for epoch, lines in record:
        parsed = [json.loads(line) for line in lines]
        verdict.entries += len(parsed)
        _numbering(epoch, parsed, verdict)
        _acknowledged(epoch, parsed, seen.positions.get(epoch, []), heard.receipts.get(epoch, 0), verdict)
        entries += parsed
    for epoch in (seen.positions.keys() | heard.receipts.keys()) - {epoch for epoch, _ in record}:
        _acknowledged(epoch, [], seen.positions.get(epoch, []), heard.receipts.get(epoch, 0), verdict)
    _units(truth, entries, seen, verdict)
    _topics(truth, entries, heard, verdict)
    slots(entries, verdict)
    return verdict


def _numbering(epoch: str, entries: Sequence[Mapping[str, Any]], verdict: Verdict) -> None:
    for before, after in pairwise(entries):
        if after["seq"] == before["seq"]:
            verdict.doubled += 1
            verdict.note(f"{epoch}: entry {after['seq']} twice")
        elif after["seq"] < before["seq"] or after["rule_us"] < before["rule_us"]:
            verdict.out_of_order += 1
            verdict.note(f"{epoch}: entry {after['seq']} after {before['seq']}")


def _acknowledged(
    epoch: str, entries: Sequence[Mapping[str, Any]], positions: list[tuple[int, int]], receipt: int, verdict: Verdict
) -> None:
    """Each seq that was seen committed is there, and is older than that sight of it."""
    acknowledged = max(receipt, positions[-1][1] if positions else 0)
    verdict.acknowledged += acknowledged
    held = {entry["seq"]: entry["mono_us"] for entry in entries}
    verdict.readings += sum(len(entry["values"]) for entry in entries if entry["kind"] == "batch" and entry["seq"] < acknowledged)
    missing = [seq for seq in range(acknowledged) if seq not in held]
    verdict.lost += len(missing)
    if missing:
        verdict.note(f"{epoch}: {len(missing)} acknowledged entries are not at the hub, the first is {missing[0]}")
    first = 0
    for seen_us, committed in positions:
        for seq in range(first, committed):
            if seq in held and held[seq] > seen_us:
                verdict.lost += 1
                verdict.note(f"{epoch}: entry {seq} was committed at {seen_us}, what the hub holds was made later")
        first = committed


def _units(truth: Truth, entries: Iterable[Mapping[str, Any]], seen: Seen, verdict: Verdict) -> None:
    """Each unit's numbers, as the hub holds them: in order, none twice, none missing but what was under way at a kill."""
    held: dict[int, list[tuple[int, int]]] = {unit: [] for unit in truth.replies}
    for entry in entries:
        if entry["kind"] != "batch" or "raw" not in entry or entry["values"][0] is None:
            continue
        verdict.modbus += 1
        number, half = entry["values"]
        unit = entry["raw"][0][0]
        if number not in truth.replies.get(unit, {}) or half != number & 0xFFFF or number // SPREAD != unit:
            verdict.altered += 1
            verdict.note(f"unit {unit} never gave {entry['values']}")
        else:
            held[unit].append((number, entry["mono_us"]))
    for unit, numbers in held.items():
        _unit(unit, truth.replies[unit], numbers, seen, verdict)


def _unit(unit: int, given: Mapping[int, int], held: list[tuple[int, int]], seen: Seen, verdict: Verdict) -> None:
    before, before_us = unit * SPREAD, 0
    for number, mono_us in held:
        if number == before:
            verdict.doubled += 1
            verdict.note(f"unit {unit}: {number} twice")
        elif number < before:
            verdict.out_of_order += 1
            verdict.note(f"unit {unit}: {number} after {before}")
        else:
            _missing(unit, number - before - 1, seen.killed_between(before_us, mono_us), f"before {number}", verdict)
        before, before_us = number, mono_us
    owed = sum(1 for number, at_us in given.items() if number > before and at_us < seen.ended_us - SETTLED_US)
    _missing(unit, owed, seen.killed_between(before_us, seen.ended_us), f"after {before}", verdict)


def _missing(unit: int, count: int, killed: bool, where: str, verdict: Verdict) -> None:
    if killed:
        verdict.under_way += count
    elif count:
        verdict.lost += count
        verdict.note(f"unit {unit}: {count} readings missing {where}, with no kill there")


def _topics(truth: Truth, entries: Iterable[Mapping[str, Any]], heard: Heard, verdict: Verdict) -> None:
    """Messages: all that we acknowledged are there, in order, and more than once only as often as sent as new (``Heard``)."""
    held: dict[int, list[int]] = {who: [] for who in truth.published}
    how: dict[tuple[int, int], list[str]] = {}
    sessions = 0
    for entry in entries:
        sessions += entry["kind"] == "event" and entry.get("event") == SESSION_BEGAN
        message = entry.get("message") if entry["kind"] == "batch" else None
        if not message:
            continue
        verdict.messages += 1
        who, number = int(message["topic"].removeprefix(TOPIC)), json.loads(message["payload"])["n"]
        if number not in truth.published.get(who, ()) or entry["values"] != [number]:
            verdict.altered += 1
            verdict.note(f"topic {who} never gave {message}")
            continue
        held[who].append(number)
        how.setdefault((who, number), []).append(f"session {sessions}, packet {message['packet_id']}{', DUP' * bool(message.get('duplicate'))}")
    for who, numbers in held.items():
        for before, after in pairwise(numbers):
            if after < before:
                verdict.out_of_order += 1
                verdict.note(f"topic {who}: {after} after {before}")
        for number, times in Counter(numbers).items():
            allowed = max(1, heard.first_sent[who, number])
            verdict.redelivered += min(times, allowed) - 1
            if times > allowed:
                verdict.doubled += times - allowed
                verdict.note(f"topic {who}: {number} is there {times} times, sent {allowed} times as new: {how[who, number]}")
    there = {(who, number) for who, numbers in held.items() for number in numbers}
    gone = sorted(heard.acknowledged - there)
    verdict.lost += len(gone)
    if gone:
        verdict.note(f"{len(gone)} messages that we acknowledged are not at the hub, the first is {gone[0]}")
    verdict.broker_lost = len(truth.pubacks - there)


def slots(entries: Sequence[Mapping[str, Any]], verdict: Verdict) -> None:
    """No Modbus slot twice, and each between the first and the last has a batch or lies in a gap."""
    slots: dict[str, list[int]] = {}
    opened: dict[str, tuple[list[str], int]] = {}
    gaps: dict[str, list[tuple[int, int]]] = {"*": []}
    intervals: dict[str, int] = {}
    for entry in entries:
        if entry["kind"] == "batch" and "slot_us" in entry:
            slots.setdefault(entry["group"], []).append(entry["slot_us"])
        elif entry["kind"] == "gap" and entry["state"] == "open":
            opened[entry["gap"]] = (entry["groups"], entry["since_slot_us"])
        elif entry["kind"] == "gap" and entry["gap"] in opened:
            groups, since_us = opened.pop(entry["gap"])
            for group in groups:
                gaps.setdefault(group, []).append((since_us, entry["until_slot_us"]))
    for group, times in slots.items():
        for before, after in pairwise(times):
            if after == before:
                verdict.doubled += 1
                verdict.note(f"{group}: slot {after} twice")
            elif after < before:
                verdict.out_of_order += 1
                verdict.note(f"{group}: slot {after} after {before}")
        intervals[group] = min((b - a for a, b in pairwise(times) if b > a), default=0)
        covered = gaps["*"] + gaps.get(group, [])
        for before, after in pairwise(times):
            _between(group, before, after, intervals[group], covered, verdict)


def _between(
    group: str, before: int, after: int, interval: int, covered: Sequence[tuple[int, int]], verdict: Verdict
) -> None:
    for slot in range(before + interval, after, interval):
        if not any(since <= slot < until for since, until in covered):
            verdict.unaccounted += 1
            verdict.note(f"{group}: slot {slot} has neither a batch nor a gap")
