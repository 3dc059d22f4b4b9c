"""What tables must know before the entries pass: corrections of clocks, and when violations were; opens only the segments that hold such entries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_gateway.errors import JournalDamaged, JournalError
from edge_gateway.evidence.stretch import Chunk, entries
from edge_gateway.history.record import when
from edge_gateway.journal.files import DiskFiles
from edge_gateway.journal.reading import Reading
from edge_gateway.journal.segments import SegmentFile
from edge_gateway.record.entry import decode
from edge_gateway.record.offsets import Correction

#: What is shown before and behind a violation.
MARGIN_US = 30 * 60 * 1_000_000
#: A correction comes soon after the entries that it corrects: so many chunks behind the period are looked at.
_BEHIND = 64


@dataclass(slots=True)
class Course:
    """One violation as its steps tell: from its first offending reading to its last step; µs. ``over``: it needs no more readings."""

    id: str
    rule: str
    point: str
    begin_us: int
    end_us: int
    over: bool = False
    steps: list[dict[str, Any]] = field(default_factory=list)

    def add(self, entry: dict[str, Any], wall_us: int) -> None:
        """One more step."""
        first = entry.get("first")
        began_us = first.get("wall_us") if isinstance(first, dict) else None
        self.begin_us = min(self.begin_us, wall_us, began_us if isinstance(began_us, int) else wall_us)
        self.end_us = max(self.end_us, wall_us)
        self.over = entry.get("condition") == "recovered" or entry.get("step") in ("cancelled", "closed")
        self.steps.append(entry | {"wall_us": wall_us})


def holding(
    state_dir: Path, reading: Reading, chunks: Iterable[Chunk], kinds: frozenset[str], unread: list[str] | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """``(epoch, entry)`` of these kinds, in order; segments whose footers name none of them, or do not read (``unread``), are passed over."""
    marks = [f'"kind":"{kind}"'.encode() for kind in kinds]
    for chunk in chunks:
        try:
            if chunk.segment is not None:
                file = SegmentFile(DiskFiles(), state_dir, chunk.epoch, chunk.first, chunk.segment.count)
                if not kinds & set(file.footer["kinds"]):
                    continue
            for data in entries(reading, chunk):
                if any(mark in data for mark in marks) and (entry := decode(data))["kind"] in kinds:
                    yield chunk.epoch, entry
        except (JournalDamaged, FileNotFoundError, KeyError) as error:
            if unread is not None:
                unread.append(f"{chunk.epoch}/{chunk.first}: {error}")


def corrections(state_dir: Path, reading: Reading, here: Sequence[Chunk], run: Sequence[Chunk], order: Sequence[str]) -> list[Correction]:
    """The clock's corrections that concern the run."""
    first, last = here.index(run[0]), here.index(run[-1])
    found = holding(state_dir, reading, here[first : last + 1 + _BEHIND], frozenset({"correction"}))
    return [Correction((order.index(epoch), each["seq"]), str(each["boot"]), int(each["offset_us"])) for epoch, each in found]


def courses(found: Iterable[tuple[str, dict[str, Any]]], corrections: Sequence[Correction], order: Sequence[str]) -> dict[str, Course]:
    """Violations by id, out of their entries."""
    known: dict[str, Course] = {}
    for epoch, entry in found:
        wall_us = when(entry, (order.index(epoch), entry["seq"]), corrections)[0]
        id_ = str(entry.get("violation"))
        if id_ not in known:
            known[id_] = Course(id_, str(entry.get("rule")), str(entry.get("point")), wall_us, wall_us)
        known[id_].add(entry, wall_us)
    return known


def family(state_dir: Path, reading: Reading, here: Sequence[Chunk], id_: str) -> list[Course]:
    """One violation, wherever it is recorded, and what ever went on as part of it. Raises JournalError if it is not recorded."""
    kinds = frozenset({"violation"})
    links = {(str(each["violation"]), str(each["into"])) for _, each in holding(state_dir, reading, here, kinds) if each.get("into")}
    wanted = members(id_, links)
    order = list(dict.fromkeys(chunk.epoch for chunk in here))
    found = ((epoch, each) for epoch, each in holding(state_dir, reading, here, kinds) if each.get("violation") in wanted)
    known = courses(found, (), order)
    if id_ not in known:
        raise JournalError(f"no violation {id_} is recorded here", hint="`edge-gateway violations list` shows the open ones")
    return [known[each] for each in wanted if each in known]


def members(id_: str, links: Iterable[tuple[str, str]]) -> list[str]:
    """A violation and all that was part of it, or of that. ``links``: (which, of which)."""
    below: dict[str, set[str]] = {}
    for which, cause in links:
        below.setdefault(cause, set()).add(which)
    found = [id_]
    for each in found:  # it grows
        found += sorted(below.get(each, set()).difference(found))
    return found


def span(found: Sequence[Course]) -> tuple[int, int | None]:
    """From when to when (µs) a violation (the first) and what was part of it were; None: it goes on. What returned by itself counts until then."""
    ends = []
    for each in found:
        returned = each is not found[0] and each.steps[-1].get("handling") != "merged"
        last_us = max((step["wall_us"] for step in each.steps if step.get("into")), default=each.begin_us) if returned else each.end_us
        ends.append(last_us if returned or each.over else None)
    known = [each for each in ends if each is not None]
    return min(each.begin_us for each in found), max(known) if len(known) == len(ends) else None
