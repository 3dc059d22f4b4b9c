"""Errors of the disk at every operation of a scripted run: nothing is acknowledged that a power cut then takes away."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_gateway.errors import JournalError
from edge_gateway.journal.base import Position
from edge_gateway.journal.core import Core
from edge_gateway.journal.retention import JournalSettings
from edge_gateway.journal.segments import SegmentFile
from edge_gateway.journal.work import Append, Move, Work
from edge_gateway.record.entry import text_hash
from tests.faults.simdisk import SimDisk, SimFiles, forget
from tests.journal.entries import batch, snapshot

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

SEGMENT = 4
STATE = Path("/state")
SETTINGS = JournalSettings(max_bytes=1 << 30, segment_entries=SEGMENT, hub_name="hub", sinks=("hub",))


class Script:
    """Open, ten commits with texts, cursors and seals; then five more with a sound disk, a power cut, a look."""

    def __init__(self, code: int, first: int, last: int) -> None:
        self.disk = SimDisk(1)
        self.files = SimFiles(self.disk)
        self.code, self.first, self.last = code, first, last
        self.seen = 0
        self.failed = 0
        self.where = ""
        self.acknowledged: list[bytes] = []
        self.disk.fail = self._fail

    def _fail(self, kind: str, path: str) -> None:
        self.seen += 1
        if self.first <= self.seen <= self.last:
            self.failed += 1
            self.where += f" {kind} {path}"
            raise OSError(self.code, f"{kind} {path}")

    def _open(self) -> Core:
        core = Core(self.files, STATE, SETTINGS, wall_us=lambda: 1, new_id=lambda: "0123456789abcdef")
        core.open()
        return core

    def _commit(self, core: Core) -> bool:
        seq = core.state.size
        assert seq == len(self.acknowledged), "what was not acknowledged counts"
        text = b'{"n":%d}' % seq
        entries = [snapshot(seq, state_text=text_hash(text)) if seq % SEGMENT == 0 else batch(seq)]
        works: list[Work] = [
            Append(first=seq, entries=entries, texts=[text] if seq % SEGMENT == 0 else ()),
            Move(sink="hub", to=Position(core.state.epoch.epoch, seq), receipt={}),
        ]
        refused = core.commit(works)
        if refused[0] is None:
            self.acknowledged += entries
        else:
            assert isinstance(refused[0], JournalError)
        if seq % 3 == 0:
            try:
                core.seal()
            except JournalError:
                return False
        return refused == [None, None]

    def play(self) -> None:
        try:
            core = self._open()
        except JournalError:
            self.disk.fail = None
            core = self._open()
        for _ in range(10):
            self._commit(core)
        self.disk.fail = None
        for _ in range(5):
            assert self._commit(core), "it did not recover by itself"
        assert core.damaged == ""
        self.disk.dead = True
        core.close()
        self.disk.restart(lose_all=True)
        core = self._open()
        assert core.damaged == ""
        found = [
            entry
            for segment in core.state.kept
            for entry in SegmentFile(self.files, STATE, segment.epoch, segment.first).entries()
        ] + list(core.state.tail.entries(core.state.tail_first, core.state.size))
        assert found == self.acknowledged
        for entry in found[::SEGMENT]:
            assert core.state.texts.get(text_hash(b'{"n":%d}' % found.index(entry)))
        core.close()

    def run(self) -> None:
        try:
            self.play()
        finally:
            forget(self.files)


def operations() -> int:
    """How many operations a run without errors has while errors may come."""
    script = Script(errno.EIO, 1 << 60, 1 << 60)
    script.run()
    return script.seen


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC], ids=["EIO", "ENOSPC"])
@pytest.mark.parametrize("times", [1, 3, 40])
def test_an_error_at_each_operation_makes_no_false_acknowledgement(code: int, times: int) -> None:
    total = operations()
    assert total > 150
    for first in range(1, total + 1, 1 if times == 1 else 3):
        script = Script(code, first, first + times - 1)
        script.run()
        assert script.failed, f"operation {first} did not happen"


def retrying(sync: Callable[..., None]) -> Callable[..., None]:
    """Planted: an fsync that failed is tried again, and the second word is believed."""

    def twice(*arguments: object) -> None:
        try:
            sync(*arguments)
        except OSError:
            sync(*arguments)

    return twice


def test_a_retried_fsync_is_noticed() -> None:
    noticed = 0
    for first in range(1, operations() + 1):
        script = Script(errno.EIO, first, first)
        script.disk.sync = retrying(script.disk.sync)  # type: ignore[method-assign]
        try:
            script.run()
        except AssertionError:
            noticed += 1
        except JournalError:  # the damage is seen at the opening
            noticed += 1
    assert noticed > 3
