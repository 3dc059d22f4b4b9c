"""What the event loop may know of the writer's state, copied after each group of work; decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edge_gateway.journal.base import EpochInfo, Position, SegmentInfo
from edge_gateway.journal.core import Core
from edge_gateway.journal.keeping import Due, Keeping
from edge_gateway.journal.reading import infos
from edge_gateway.journal.retention import JournalSettings, SkippedRange
from edge_gateway.journal.segments import Segment

#: From how many of the newest segments the pace is taken.
RECENT_SEGMENTS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What the loop knows of the writer's state: a copy, made after each group of work."""

    epoch: str
    size: int
    epochs: tuple[EpochInfo, ...]
    known: tuple[EpochInfo, ...]
    sizes: dict[str, int]
    order: dict[str, int]
    cursors: dict[str, Position]
    kept: list[Segment]
    segments: list[Segment]
    missing: tuple[Segment, ...]
    skipped_due: tuple[SkippedRange, ...]
    untold: tuple[SegmentInfo, ...]
    keeping: Keeping
    limits: dict[str, int]
    dues: list[tuple[Due, dict[str, int]]]
    receipts: dict[tuple[str, str], int]
    freed_early: int
    previous: dict[str, Any] | None
    full: bool
    used_bytes: int
    damaged: str
    troubled: str
    disk_errors: int
    disk_error: str
    renewals: int
    commits: int


def look(core: Core) -> View:
    """Copy it, on the writer's thread."""
    state = core.state
    return View(
        epoch=state.epoch.epoch, size=state.size, epochs=tuple(infos(state.held.epochs, state.size)),
        known=tuple(infos(state.held.epochs, state.size, freed=True)),
        sizes={e.epoch: state.size if e.size is None else e.size for e in state.held.epochs},
        order=state.order, cursors=dict(state.held.cursors), kept=state.kept, segments=state.held.segments,
        missing=tuple(s for s in state.kept if (s.epoch, s.first) in state.missing) if state.missing else (),
        skipped_due=state.skipped_due, untold=tuple(segment.info() for segment in state.untold),
        keeping=state.owed.keeping, limits=state.limits(), receipts=dict(state.held.receipts),
        dues=state.owed.by_due(state.order, state.held.receipts),
        freed_early=state.held.counters.get("freed_early", 0),
        previous=core.previous(), full=state.room.full or bool(core.troubled),
        used_bytes=state.used, damaged=core.damaged, troubled=core.troubled,
        disk_errors=core.disk_errors, disk_error=core.disk_error, renewals=core.renewals, commits=core.commits,
    )  # fmt: skip


def status(view: View, settings: JournalSettings, appended_bytes: int, open_us: int) -> dict[str, Any]:
    """The writer's part of ``Store.status``; ``appended_bytes`` came in ``open_us`` since the start."""
    per_day = _bytes_per_day(view, appended_bytes, open_us)
    room = max(0, settings.max_bytes - settings.reserve_bytes - view.used_bytes)
    return {
        "epoch": view.epoch, "epochs": len(view.epochs), "segments": len(view.kept),
        "freed_segments": len(view.segments) - len(view.kept), "size_bytes": view.used_bytes,
        "max_bytes": settings.max_bytes, "reserve_bytes": settings.reserve_bytes, "bytes_per_day": per_day,
        "autonomy_hours": round(room / per_day * 24, 1) if per_day else None, "full": view.full,
        "missing_segments": len(view.missing), "lost_segments": sum(s.lost for s in view.kept),
        "damaged": view.damaged, "troubled": view.troubled, "disk_errors": view.disk_errors, "commits": view.commits,
        "keeping": _keeping(view, settings),
    }  # fmt: skip


def _waiting(info: EpochInfo, due: Due, limit: int) -> int:
    """Entries of an epoch that are here and stay for this hub."""
    end = due.until.seq if due.until is not None and due.until.epoch == info.epoch else info.size
    return max(0, min(end, info.size) - max(info.first, limit))


def _keeping(view: View, settings: JournalSettings) -> dict[str, Any]:
    """``epochs``: those of which something here is not witnessed; ``keep_us`` is in force, ``asked_us`` configured."""
    hub = settings.hub_name
    waiting = [
        {
            "epoch": info.epoch, "first": info.first, "size": info.size, "closed": info.closed, "limit": min(info.size, view.limits[info.epoch]),
            "held": min(info.size, max((size for (sink, epoch), size in view.receipts.items() if epoch == info.epoch and sink == hub), default=0)),
        }
        for info in view.epochs
        if view.limits.get(info.epoch, 0) < info.size
    ]  # fmt: skip
    dues = [
        {
            "hub": due.hub, "configured": due.until is None, "epoch": due.until and due.until.epoch,
            "seq": due.until and due.until.seq, "waiting": sum(_waiting(info, due, limits[info.epoch]) for info in view.epochs),
        }
        for due, limits in view.dues
    ]  # fmt: skip
    return {
        "keep_us": view.keeping.keep_us, "asked_us": settings.keep_us, "hub": hub, "vkey": bool(settings.hub_vkey), "epochs": waiting,
        "dues": dues, "released": sorted(view.keeping.released), "freed_early": view.freed_early + len(view.untold),
        "oldest_us": view.kept[0].wall_us[0] if view.kept else None,
    }  # fmt: skip


def pace(kept: Sequence[Segment]) -> int | None:
    """Bytes a day that the newest of these segments took; None before there are two, or without a right clock."""
    recent = kept[-RECENT_SEGMENTS:]
    span_us = recent[-1].wall_us[1] - recent[0].wall_us[0] if len(recent) > 1 else 0
    return round(sum(segment.size_bytes for segment in recent) * 86_400e6 / span_us) if span_us > 0 else None


def _bytes_per_day(view: View, appended_bytes: int, open_us: int) -> int | None:
    """From the newest segments; before there are two, from what was appended, packed four to one."""
    if (measured := pace(view.kept)) is not None:
        return measured
    return round(appended_bytes / 4 * 86_400e6 / open_us) if open_us > 60e6 and appended_bytes else None
