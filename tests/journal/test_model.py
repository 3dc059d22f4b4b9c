"""Any order of appends, seals, kills, reopenings, frees and new epochs leaves what a simple model says."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edge_gateway.journal.base import Position
from edge_gateway.journal.core import Core
from edge_gateway.journal.files import DiskFiles
from edge_gateway.journal.reading import Reading
from edge_gateway.journal.retention import JournalSettings
from edge_gateway.journal.work import Append, Move
from edge_gateway.record.entry import decode
from edge_gateway.record.merkle import leaf_hash, tree_root
from tests.journal.entries import run

SEGMENT = 4
SETTINGS = JournalSettings(max_bytes=1 << 30, segment_entries=SEGMENT, hub_name="hub", sinks=("hub", "influx"))


class JournalMachine(RuleBasedStateMachine):
    """The model: entries by epoch, how many of each were freed, where the cursors stand."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="journal-model-"))
        self.ids = itertools.count(1)
        self.lives = itertools.count(1)
        self.folder = self.root / "0"
        self.epochs: dict[str, list[bytes]] = {}
        self.freed: dict[str, int] = {}
        self.cursors: dict[str, Position] = {}

    @initialize()
    def begin(self) -> None:
        self.open()
        self.epochs[self.core.state.epoch.epoch] = []

    def open(self) -> None:
        self.core = Core(
            DiskFiles(),
            self.folder,
            SETTINGS,
            wall_us=lambda: 1_780_000_000_000_000,
            new_id=lambda: f"{next(self.ids):016x}",
        )
        self.core.open()
        assert self.core.damaged == ""

    @property
    def newest(self) -> list[bytes]:
        return self.epochs[self.core.state.epoch.epoch]

    @rule(count=st.integers(1, 9))
    def append(self, count: int) -> None:
        first = len(self.newest)
        entries = run(first, count, SEGMENT)
        assert self.core.commit([Append(first=first, entries=entries)]) == [None]
        self.newest.extend(entries)

    @rule(first=st.integers(0, 40))
    def append_out_of_place(self, first: int) -> None:
        if first != len(self.newest):
            assert self.core.commit([Append(first=first, entries=run(first, 1, SEGMENT))]) != [None]

    @rule()
    def seal(self) -> None:
        due = len(self.newest) - self.core.state.tail_first >= SEGMENT
        assert self.core.seal() == due

    @rule(sink=st.sampled_from(["hub", "influx"]), back=st.integers(0, 6))
    def move(self, sink: str, back: int) -> None:
        to = Position(self.core.state.epoch.epoch, max(0, len(self.newest) - back))
        receipt = {"size": to.seq} if sink == "hub" else None
        assert self.core.commit([Move(sink=sink, to=to, receipt=receipt)]) == [None]
        self.cursors[sink] = to

    @rule(need=st.sampled_from([1, 1 << 20]))
    def free(self, need: int) -> None:
        self.core.state.free_covered(need)
        for segment in self.core.state.held.segments:
            if segment.freed:
                self.freed[segment.epoch] = max(self.freed.get(segment.epoch, 0), segment.end)
        order = self.core.state.order
        for name, end in self.freed.items():
            influx = self.cursors.get("influx")
            assert influx is not None
            assert (order[influx.epoch], influx.seq) >= (order[name], end), "freed before it was served"

    @precondition(lambda self: self.newest)
    @rule()
    def new_epoch(self) -> None:
        closed = self.core.state.epoch.epoch
        self.core.new_epoch("restore")
        assert self.core.previous() == {
            "epoch": closed, "size": len(self.epochs[closed]),
            "root": tree_root(map(leaf_hash, self.epochs[closed])).hex(), "reason": "restore",
        }  # fmt: skip
        self.epochs[self.core.state.epoch.epoch] = []

    @rule()
    def reopen(self) -> None:
        self.core.close()
        self.open()

    @rule()
    def kill(self) -> None:
        """What lies in the folder at this moment is all that the next life has."""
        copy = self.root / str(next(self.lives))
        shutil.copytree(self.folder, copy)
        self.core.close()
        shutil.rmtree(self.folder)
        self.folder = copy
        self.open()

    @invariant()
    def reads_as_written(self) -> None:
        if not self.epochs:
            return
        reading = Reading(self.folder)
        infos = {info.epoch: info for info in reading.epochs()}
        for name, entries in self.epochs.items():
            freed = self.freed.get(name, 0)
            if name not in infos:
                assert freed == len(entries)
                continue
            assert (infos[name].first, infos[name].size) == (freed, len(entries))
            found = reading.read(Position(name, freed), max_entries=1000, max_bytes=1 << 24)
            assert found == entries[freed:]
        reading.close()
        assert self.core.state.held.cursors == self.cursors

    @invariant()
    def recovers_from_the_newest_snapshot(self) -> None:
        written = [entries for entries in self.epochs.values() if entries]
        if not written:
            return
        first = (len(written[-1]) - 1) // SEGMENT * SEGMENT
        recovery = self.core.recover()
        assert recovery.snapshot == decode(written[-1][first])
        assert list(recovery.entries) == written[-1][first + 1 :]

    def teardown(self) -> None:
        if hasattr(self, "core"):
            self.core.close()
        shutil.rmtree(self.root)


TestJournal = JournalMachine.TestCase
TestJournal.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
