"""What goes by age: judged by the time that somebody vouched for, paced by what is sealed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge_gateway.journal.core import Core
from edge_gateway.journal.files import DiskFiles
from edge_gateway.journal.keeping import DAY_US
from edge_gateway.journal.retention import JournalSettings
from edge_gateway.journal.work import Append
from edge_gateway.record.entry import Stamp, encode

SEGMENT = 4
NOW_US = 1_800_000_000_000_000
KEEP_DAYS = 10
SETTINGS = JournalSettings(max_bytes=1 << 30, segment_entries=SEGMENT, keep_us=KEEP_DAYS * DAY_US)


class Box:
    """A journal whose entries come from days that a test names."""

    def __init__(self, folder: Path) -> None:
        self.trusted = True
        self.now_us = NOW_US
        self.core = Core(DiskFiles(), folder / "state", SETTINGS, wall_us=lambda: self.now_us, trusted=lambda: self.trusted)
        self.core.open()
        self.seq = 0

    def entry(self, wall_us: int, trusted: bool) -> bytes:
        kind = "snapshot" if self.seq % SEGMENT == 0 else "tick"
        body: dict[str, Any] = {"config": None, "state": {}} if kind == "snapshot" else {}
        stamp = Stamp(rule_us=self.seq, wall_us=wall_us, mono_us=self.seq, boot="0123456789ab", trusted=trusted)
        self.seq += 1
        return encode(self.seq - 1, kind, stamp, body)

    def segment(self, days_ago: float, *, trusted: bool = True, wall_us: int | None = None) -> None:
        at_us = self.now_us - int(days_ago * DAY_US) if wall_us is None else wall_us
        first = self.seq
        assert self.core.commit([Append(first=first, entries=[self.entry(at_us, trusted) for _ in range(SEGMENT)])]) == [None]
        assert self.core.seal()

    def append(self) -> None:
        """One entry: what may go, goes."""
        first = self.seq
        assert self.core.commit([Append(first=first, entries=[self.entry(self.now_us, self.trusted)])]) == [None]

    def kept(self) -> list[int]:
        return [segment.first // SEGMENT for segment in self.core.state.kept]


def test_what_is_older_than_the_keep_time_goes_and_nothing_younger(tmp_path: Path) -> None:
    box = Box(tmp_path)
    for days in (30, 12, 9, 1):
        box.segment(days)
    box.append()
    assert box.kept() == [2, 3]
    assert box.core.state.untold == ()


def test_two_go_for_each_that_was_sealed(tmp_path: Path) -> None:
    """Planted: the clock, trusted, jumps ten years ahead; the record does not go at once."""
    box = Box(tmp_path)
    for _ in range(10):
        box.segment(0)
    for _ in range(3):
        box.append()  # nothing is old: what was saved up is spent
    box.now_us += 3_650 * DAY_US
    for _ in range(5):
        box.append()
    assert box.kept() == [*range(10)]
    box.core.close()
    box = Box(tmp_path)  # nor does a restart give more
    box.seq, box.now_us = 10 * SEGMENT + 8, NOW_US + 3_650 * DAY_US
    box.append()
    assert box.kept() == [*range(10)]


def test_while_nobody_vouches_for_the_clock_nothing_goes_by_age(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.trusted = False
    for days in (30, 29, 1):
        box.segment(days)
    box.append()
    assert box.kept() == [0, 1, 2]
    box.trusted = True
    box.append()
    assert box.kept() == [2]


def test_a_segment_written_by_a_wrong_clock_is_as_old_as_the_next_that_is_right(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.segment(0, trusted=False, wall_us=60_000_000)  # 1970: the first start, no network yet
    box.segment(5, trusted=False, wall_us=NOW_US - 400 * DAY_US)  # last year
    box.segment(4)
    box.append()
    assert box.kept() == [0, 1, 2], "not one of them is ten days old"
    box.now_us += 7 * DAY_US
    box.segment(0)
    box.append()
    assert box.kept() == [2, 3]
    box.append()
    assert box.kept() == [2, 3], "two for the one that was sealed"


def test_a_segment_whose_time_nobody_knows_stays(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.segment(0, trusted=False, wall_us=60_000_000)
    box.segment(0, trusted=False, wall_us=70_000_000)
    box.append()
    assert box.kept() == [0, 1]
