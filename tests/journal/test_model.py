"""Any order of appends, seals, kills, reopenings, frees and new epochs leaves what a simple model says."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edge_gateway.journal.base import Position
from edge_gateway.journal.core import Core
from edge_gateway.journal.files import DiskFiles
from edge_gateway.journal.reading import Reading
from edge_gateway.journal.retention import JournalSettings
from edge_gateway.journal.work import Append, Move, Signed
from edge_gateway.record.entry import decode
from edge_gateway.record.merkle import leaf_hash, tree_root
from tests.journal.entries import run
from tests.journal.witness import cosigned, hub_key, signed

SEGMENT = 4
SETTINGS = JournalSettings(
    max_bytes=1 << 30, segment_entries=SEGMENT, hub_name="hub", hub_vkey=str(hub_key()), sinks=("hub", "influx")
)


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
        self.held: dict[str, int] = {}
        self.witnessed: dict[str, int] = {}

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
        if sink == "hub":
            self.held[to.epoch] = to.seq

    @rule(back=st.integers(0, 6), kind=st.sampled_from(["hub", "another", "none"]))
    def checkpoint(self, back: int, kind: str) -> None:
        """Signed, and cosigned by the hub, by another key, by nobody."""
        epoch, size = self.core.state.epoch.epoch, max(0, len(self.newest) - back)
        note = signed(epoch, size) if kind == "none" else cosigned(epoch, size, 1 if kind == "hub" else 2)
        assert self.core.commit([Signed(epoch=epoch, size=size, note=note)]) == [None]
        if kind == "hub":
            self.witnessed[epoch] = max(size, self.witnessed.get(epoch, 0))
            self.held[epoch] = max(size, self.held.get(epoch, 0))

    @rule(need=st.sampled_from([1, 1 << 20]))
    def free(self, need: int) -> None:
        was = dict(self.freed)
        self.core.state.free_covered(need)
        for segment in self.core.state.held.segments:
            if segment.freed:
                self.freed[segment.epoch] = max(self.freed.get(segment.epoch, 0), segment.end)
        order = self.core.state.order
        for name, end in self.freed.items():
            influx = self.cursors.get("influx")
            assert influx is not None
            assert (order[influx.epoch], influx.seq) >= (order[name], end), "freed before it was served"
            assert end <= self.witnessed.get(name, 0), "freed before it was witnessed"
            assert was.get(name) == end or end <= self.held.get(name, 0), "freed though the hub says that it lost it"

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


class ByReceipt(JournalMachine):
    """Planted: retention by the plain receipt, as it once was."""

    def open(self) -> None:
        super().open()
        owed = self.core.state.owed
        owed.limits = lambda order, receipts: {e: receipts.get(("hub", e), 0) for e in order}  # type: ignore[method-assign]


@pytest.mark.parametrize("machine", [ByReceipt, JournalMachine])
def test_retention_by_receipt_is_caught(machine: type[JournalMachine]) -> None:
    """Served, held by the hub, cosigned by another key only: the model finds the planted fault, and nothing in the right one."""
    model = machine()
    try:
        model.begin()
        model.append(9)
        assert model.core.seal()
        assert model.core.seal()
        for sink in ("influx", "hub"):
            model.move(sink, 0)
        model.checkpoint(0, "another")
        if machine is ByReceipt:
            with pytest.raises(AssertionError, match="freed before it was witnessed"):
                model.free(1 << 20)
        else:
            model.free(1 << 20)
            assert model.freed == {}
            model.checkpoint(0, "hub")
            model.free(1 << 20)
            assert list(model.freed.values()) == [8]
    finally:
        model.teardown()


TestJournal = JournalMachine.TestCase
TestJournal.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
