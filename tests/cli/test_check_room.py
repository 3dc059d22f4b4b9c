"""``check`` beside a record: what it measures there, and what it says of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_gateway.cli.check_room import room_warnings
from edge_gateway.config.load import load
from edge_gateway.journal.core import Core
from edge_gateway.journal.files import DiskFiles
from edge_gateway.journal.keeping import DAY_US
from edge_gateway.journal.retention import JournalSettings
from edge_gateway.journal.work import Append
from tests.cli.site import PACK, config_text
from tests.journal.entries import BEGAN_US, run

SEGMENT = 64


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "gateway.toml").write_text(config_text(502), encoding="utf-8")
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "house.toml").write_text(PACK, encoding="utf-8")
    return tmp_path


def recorded(folder: Path, *, size: int, keep_days: int = 730) -> float:
    """Four segments of an entry a second; bytes a day."""
    settings = JournalSettings(max_bytes=1 << 30, segment_entries=SEGMENT, keep_us=keep_days * DAY_US)
    core = Core(DiskFiles(), folder / "state", settings, wall_us=lambda: BEGAN_US)
    core.open()
    assert core.commit([Append(first=0, entries=run(0, 4 * SEGMENT, SEGMENT, size=size))]) == [None]
    while core.seal():
        pass
    total = sum(segment.size_bytes for segment in core.state.kept)
    core.close()
    return total * 86_400 / (4 * SEGMENT - 1)


def said(folder: Path) -> dict[str, str]:
    return {item.code: item.why for item in room_warnings(load(folder / "gateway.toml", running=False), folder / "state")}


def test_without_a_record_there_is_nothing_to_measure(folder: Path) -> None:
    assert said(folder) == {}


def test_a_pace_that_does_not_fit_is_said_with_how_far_it_reaches(folder: Path) -> None:
    per_day = recorded(folder, size=400)
    days = int((200e6 - 200e6 / 20) / per_day)  # 200 MB in the configuration, less the reserve
    assert 2 < days < 700
    found = said(folder)
    assert set(found) == {"short-room"}
    assert f"{per_day / 1e6:.1f} MB a day 730 days" in found["short-room"]
    assert found["short-room"].endswith((f": {days} days", f": {days + 1} days"))


def test_a_pace_that_fits_says_nothing_and_a_pending_keep_time_is_said(folder: Path) -> None:
    recorded(folder, size=0, keep_days=1000)
    text = (folder / "gateway.toml").read_text().replace('max_bytes = "200MB"', 'max_bytes = "900GB"\nkeep_days = 900')
    (folder / "gateway.toml").write_text(text)
    found = said(folder)
    assert found.pop("keep-time") == "the record is kept for 1000 days until a person shortens it to 900"
    assert set(found) <= {"short-room"}, "this machine's own disk may be small"


def test_photos_count_as_much_as_they_take(folder: Path) -> None:
    per_day = recorded(folder, size=400)
    without = per_day * (4 * SEGMENT - 1) / 86_400
    (folder / "state" / "photos" / ("ab" * 32)).write_bytes(bytes(int(without)))  # as much again
    found = said(folder)["short-room"]
    assert f"{2 * per_day / 1e6:.1f} MB a day 730 days" in found
