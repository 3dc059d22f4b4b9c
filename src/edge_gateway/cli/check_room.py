"""What ``check`` says of the record that is there already: whether the room suffices for the keep time, and which keep time is in force."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from edge_gateway.errors import ConfigError, GatewayError

if TYPE_CHECKING:
    from edge_gateway.config.load import Loaded
    from edge_gateway.journal.segments import Segment


def room_warnings(loaded: Loaded, state_dir: Path) -> list[ConfigError]:
    """Reads the state folder only; nothing where there is no journal yet, or none that this user may read."""
    if not (state_dir / "journal.sqlite").exists():
        return []
    from edge_gateway.journal.keeping import DAY_US
    from edge_gateway.journal.reading import Reading

    try:
        reading = Reading(state_dir)
        try:
            kept, keep_days = reading.kept(), reading.keeping().keep_us // DAY_US
        finally:
            reading.close()
        return [*_shortened(loaded, keep_days), *_room(loaded, state_dir, kept, max(keep_days, loaded.config.journal.keep_days))]
    except (GatewayError, OSError):
        return []


def _shortened(loaded: Loaded, keep_days: int) -> Iterator[ConfigError]:
    asked = loaded.config.journal.keep_days
    if asked < keep_days:
        why = f"the record is kept for {keep_days} days until a person shortens it to {asked}"
        yield _at(loaded, "keep_days", why, "keep-time", f"`edge-gateway journal shorten {asked} --reason …`")


def _room(loaded: Loaded, state_dir: Path, kept: list[Segment], keep_days: int) -> Iterator[ConfigError]:
    from edge_gateway.journal.retention import JournalSettings
    from edge_gateway.journal.view import pace

    segments = sum(segment.size_bytes for segment in kept)
    photos = sum(path.stat().st_size for path in (state_dir / "photos").glob("*"))
    per_day = (pace(kept) or 0) * (1 + photos / segments) if segments else 0
    settings = JournalSettings(max_bytes=loaded.config.journal.bytes_on(state_dir))
    there = segments + photos + shutil.disk_usage(state_dir).free
    room = min(settings.max_bytes - settings.reserve_bytes, there)
    if per_day and per_day * keep_days > room:
        need, has = per_day * keep_days / 1e9, room / 1e9
        why = f"at the measured {per_day / 1e6:.1f} MB a day {keep_days} days take {need:.2f} GB, and there is room for {has:.2f} GB: {room / per_day:.0f} days"
        hint = "a larger disk, a higher journal.max_bytes, or longer intervals; the oldest goes early otherwise"
        yield _at(loaded, "max_bytes", why, "short-room", hint)


def _at(loaded: Loaded, key: str, why: str, code: str, hint: str) -> ConfigError:
    from edge_gateway.config.load import Locator

    return Locator(loaded.merged)(("journal", key), why, code=code, hint=hint)
