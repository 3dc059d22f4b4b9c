"""Readings out of a record at rest, in order and with their right times; writes nothing, knows no file format of exports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from edge_gateway.errors import JournalDamaged
from edge_gateway.journal.base import EpochInfo, Position, SegmentInfo
from edge_gateway.reading import UNCERTAIN_FUTURE
from edge_gateway.record.entry import decode
from edge_gateway.record.offsets import Correction, Place, corrected

_CHUNK_ENTRIES = 256
_CHUNK_BYTES = 4 << 20
_CORRECTION = b'"kind":"correction"'
_CALIBRATION = b'"kind":"calibration"'
_BATCH = b'"kind":"batch"'
_UNTRUSTED = b'"trusted":false'
_MESSAGE = b'"message":'
_WALL = b'"wall_us":'


class AtRest(Protocol):
    """What of a record is asked here; ``journal.reading.Reading`` is one. May raise JournalDamaged for a segment."""

    def epochs(self) -> Sequence[EpochInfo]: ...

    def segments(self) -> Sequence[SegmentInfo]: ...

    def read(self, start: Position, *, max_entries: int, max_bytes: int) -> list[bytes]: ...

    def config(self, epoch: str, config_seq: int) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Row:
    """One reading. ``clock``: "trusted", "corrected" (wall time learned later), or "untrusted" (nobody vouches for it)."""

    time_us: int
    point: str
    value: Any
    unit: str
    quality: str
    epoch: str
    seq: int
    clock: str
    #: by which a later entry puts it right: the right value is ``value`` + this; None: nothing says that it was off
    correction: float | None = None


def when(entry: Mapping[str, Any], place: Place, corrections: Sequence[Correction]) -> tuple[int, str]:
    """µs, and "trusted", "corrected" or "untrusted": the message's own time if it has one, else wall time, corrected as ``corrected`` says."""
    own_us = (entry.get("message") or {}).get("time_us")
    if own_us is not None and UNCERTAIN_FUTURE not in (entry.get("quality") or ()):
        return int(own_us), "trusted"
    if entry["trusted"]:
        return int(entry["wall_us"]), "trusted"
    offset_us = corrected(str(entry["boot"]), place, corrections)
    return (int(entry["wall_us"]), "untrusted") if offset_us is None else (int(entry["mono_us"]) + offset_us, "corrected")


@dataclass(slots=True)
class Lookback:
    """Reads a record from its beginning. ``damaged`` and ``undecodable`` tell afterwards what could not be read."""

    record: AtRest
    damaged: list[str] = field(default_factory=list)
    undecodable: int = 0
    points_seen: set[str] = field(default_factory=set)
    _order: dict[str, int] = field(default_factory=dict)
    #: point -> (from or None, until, offset) of calibrations that say so, the newest last
    _offsets: dict[str, list[tuple[int | None, int, float]]] = field(default_factory=dict)

    def rows(self, low_us: int, high_us: int, points: frozenset[str] | None = None) -> Iterator[Row]:
        """Readings with low_us ≤ time < high_us, of ``points`` or all, in the record's order."""
        corrections = self.corrections()
        self.damaged.clear()
        for position, data in self.entries():
            if _BATCH not in data or _surely_outside(data, low_us, high_us):
                continue
            try:
                entry = decode(data)
                if entry["kind"] == "batch":
                    yield from self._batch(entry, position, corrections, (low_us, high_us), points)
            except (KeyError, TypeError, ValueError):
                self.undecodable += 1

    def _batch(
        self,
        entry: Mapping[str, Any],
        position: Position,
        corrections: Sequence[Correction],
        period: tuple[int, int],
        points: frozenset[str] | None,
    ) -> list[Row]:
        time_us, clock = when(entry, self._place(position), corrections)
        config = self.record.config(position.epoch, entry["config_seq"])
        names: Sequence[str] = config["groups"][entry["group"]]["points"]
        values: Sequence[Any] = entry["values"]
        quality: Sequence[str] = entry.get("quality") or ["good"] * len(values)
        self.points_seen.update(names)
        if not period[0] <= time_us < period[1]:
            return []
        return [
            Row(
                time_us,
                name,
                value,
                str(config["points"][name].get("unit") or ""),
                why,
                position.epoch,
                position.seq,
                clock,
                self._correction(name, time_us) if self._offsets else None,
            )
            for name, value, why in zip(names, values, quality, strict=True)
            if points is None or name in points
        ]

    def _correction(self, point: str, time_us: int) -> float | None:
        """The newest correction of a calibration counts, where its period holds the reading."""
        fitting = (offset for begin, end, offset in reversed(self._offsets.get(point, ())) if (begin is None or begin <= time_us) and time_us <= end)
        return next(fitting, None)

    def corrections_of_points(self) -> dict[str, list[tuple[int | None, int, float]]]:
        """Corrections by calibrations, as ``rows`` found them on its way: by point, the newest last."""
        return {point: list(found) for point, found in self._offsets.items()}

    def _place(self, position: Position) -> Place:
        return self._order.get(position.epoch, -1), position.seq

    def corrections(self) -> list[Correction]:
        """Every correction of wall time in the record, in order; those of calibrations are remembered on the way."""
        self._order = {info.epoch: number for number, info in enumerate(self.record.epochs())}
        found = []
        self._offsets.clear()
        for position, data in self.entries():
            if _CALIBRATION in data and (entry := decode(data))["kind"] == "calibration" and entry.get("step") == "corrected":
                self._offsets.setdefault(str(entry["point"]), []).append((entry["from_wall_us"], int(entry["until_wall_us"]), float(entry["offset"])))
            if _CORRECTION in data and (entry := decode(data))["kind"] == "correction":
                found.append(Correction(self._place(position), str(entry["boot"]), int(entry["offset_us"])))
        return found

    def entries(self) -> Iterator[tuple[Position, bytes]]:
        """Every entry that can be read; a damaged segment is noted and passed over."""
        for info in self.record.epochs():
            seq = info.first
            while seq < info.size:
                start = Position(info.epoch, seq)
                try:
                    chunk = self.record.read(start, max_entries=_CHUNK_ENTRIES, max_bytes=_CHUNK_BYTES)
                except (JournalDamaged, KeyError) as error:
                    self.damaged.append(f"{info.epoch}/{seq}: {error}")
                    seq = self._after_segment(info, seq)
                    continue
                if not chunk:
                    break
                for number, data in enumerate(chunk):
                    if seq + number < info.size:
                        yield Position(info.epoch, seq + number), data
                seq += len(chunk)

    def _after_segment(self, info: EpochInfo, seq: int) -> int:
        for segment in self.record.segments():
            if segment.epoch == info.epoch and segment.first <= seq < segment.first + segment.count:
                return segment.first + segment.count
        return info.size


def newest_config(record: AtRest) -> dict[str, Any] | None:
    """The configuration that the record names last; None before the first. Raises JournalDamaged."""
    for info in reversed(record.epochs()):
        end = info.size
        while end > info.first:
            start = max(info.first, end - _CHUNK_ENTRIES)
            chunk = record.read(Position(info.epoch, start), max_entries=end - start, max_bytes=_CHUNK_BYTES)
            for data in reversed(chunk):
                config_seq = _config_seq(decode(data))
                if config_seq is not None:
                    return record.config(info.epoch, config_seq)
            end = start
    return None


def _config_seq(entry: Mapping[str, Any]) -> int | None:
    match entry["kind"]:
        case "config":
            return int(entry["seq"])
        case "batch":
            return int(entry["config_seq"])
        case "snapshot" if entry.get("config"):
            return int(entry["config"]["config_seq"])
    return None


def _surely_outside(data: bytes, low_us: int, high_us: int) -> bool:
    """Whether a batch's bytes alone tell that it is outside the period: most are, and decoding them costs the most.

    Entries are compact JSON, and quotes inside its strings are escaped: the first ``"wall_us":`` is the key.
    """
    if _UNTRUSTED in data or _MESSAGE in data:
        return False
    at = data.find(_WALL) + len(_WALL)
    end = at
    while data[end : end + 1].isdigit():
        end += 1
    return end > at >= len(_WALL) and not low_us <= int(data[at:end]) < high_us
