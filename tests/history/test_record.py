"""Looking back through a record, in memory and through the real journal's files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from edge_gateway.errors import JournalDamaged
from edge_gateway.history.record import Lookback, Row, newest_config
from edge_gateway.journal.base import EpochInfo, Position, SegmentInfo
from edge_gateway.journal.reading import Reading
from edge_gateway.journal.retention import JournalSettings
from edge_gateway.journal.store import open_journal
from edge_gateway.reading import Message
from edge_gateway.record import entry
from tests.sinks.influx_record import EPOCH, START_US, Record, StillClock, resolved

ALL = (-(2**62), 2**62)


@dataclass
class AtRest:
    """The same record, asked without a loop; entries of ``damaged`` segments of four raise."""

    record: Record
    damaged: frozenset[int] = frozenset()

    def epochs(self) -> Sequence[EpochInfo]:
        return self.record.epochs()

    def segments(self) -> Sequence[SegmentInfo]:
        return [
            SegmentInfo(epoch=info.epoch, first=first, count=4, root="", size_bytes=0, freed=False)
            for info in self.record.epochs()
            for first in range(0, info.size, 4)
        ]

    def read(self, start: Position, *, max_entries: int, max_bytes: int) -> list[bytes]:
        if start.seq // 4 in self.damaged:
            raise JournalDamaged("torn")
        rows = dict([*self.record.closed, (self.record.epoch, self.record.entries)])[start.epoch]
        return rows[start.seq : (start.seq // 4 + 1) * 4][:max_entries]

    def config(self, epoch: str, config_seq: int) -> dict[str, Any]:
        return self.record.configs[epoch, config_seq]


def rows(
    record: Record, low_us: int = ALL[0], high_us: int = ALL[1], points: frozenset[str] | None = None
) -> list[Row]:
    return list(Lookback(AtRest(record)).rows(low_us, high_us, points))


def filled(batches: int = 10) -> Record:
    record = Record()
    record.configure(["a", "b"])
    for number in range(batches):
        record.tick()
        record.batch([float(number), None], ["good", "bad:no-answer"])
    return record


def test_rows_carry_everything() -> None:
    first, second = rows(filled(1))
    assert first == Row(START_US + 10_000_000, "a", 0.0, "Cel", "good", EPOCH, 1, "trusted")
    assert second == Row(START_US + 10_000_000, "b", None, "Cel", "bad:no-answer", EPOCH, 1, "trusted")


def test_period_and_points_select() -> None:
    found = rows(filled(), START_US + 30_000_000, START_US + 50_000_000, frozenset({"a"}))
    assert [(row.point, row.value) for row in found] == [("a", 2.0), ("a", 3.0)]


def test_corrections_move_readings_into_the_period() -> None:
    record = filled(2)
    record.trusted, record.wall_us = False, 1_000_000
    record.tick()
    record.batch([7.0, 8.0])
    assert [row.clock for row in rows(record)][-2:] == ["untrusted", "untrusted"]
    record.trusted = True
    record.open_epoch("ffff000011112222")
    record.add("correction", offset_us=START_US, step_us=0)
    found = rows(record, START_US)
    assert [(row.value, row.clock) for row in found][-2:] == [(7.0, "corrected"), (8.0, "corrected")]
    assert found[-1].time_us == START_US + record.mono_us


def test_readings_that_a_calibration_put_right_say_by_how_much_and_stay() -> None:
    record = filled(4)  # readings of a at 10, 20, 30 and 40 s
    at = [START_US + n * 10_000_000 for n in range(1, 5)]
    record.add("calibration", step="as-found", point="a", error=0.6)
    record.add("calibration", step="corrected", point="a", from_wall_us=None, until_wall_us=at[2], offset=-0.6)
    record.add("calibration", step="corrected", point="a", from_wall_us=at[1], until_wall_us=at[1], offset=-0.5)
    found = [row for row in rows(record) if row.point == "a"]
    assert [(row.value, row.correction) for row in found] == [(0.0, -0.6), (1.0, -0.5), (2.0, -0.6), (3.0, None)], "the newest counts; both ends included"
    assert {row.correction for row in rows(record) if row.point == "b"} == {None}


def test_a_messages_own_time_counts_unless_it_lies_ahead() -> None:
    record = Record()
    record.configure(["a"])
    record.batch([1.0], message=Message(topic="t", payload=b"{}", time_us=START_US - 5))
    record.batch([2.0], ["uncertain:future"], Message(topic="t", payload=b"{}", time_us=START_US + 10**12))
    assert [row.time_us for row in rows(record)] == [START_US - 5, START_US]
    assert len(rows(record, START_US - 5, START_US)) == 1


def test_damage_is_passed_over_and_told() -> None:
    lookback = Lookback(AtRest(filled(14), frozenset({1})))
    seqs = [row.seq for row in lookback.rows(*ALL) if row.point == "a"]
    assert seqs == [1, 2, 3, 8, 9, 10, 11, 12, 13, 14]
    assert lookback.damaged == [f"{EPOCH}/4: torn"]


def test_what_cannot_be_decoded_is_counted() -> None:
    record = filled(3)
    record.entries[2] = record.entries[2].replace(b'"group":"dev.1"', b'"group":"gone"')
    lookback = Lookback(AtRest(record))
    assert len(list(lookback.rows(*ALL))) == 4
    assert lookback.undecodable == 1
    assert lookback.points_seen == {"a", "b"}


@pytest.mark.parametrize("batches", [0, 1, 700])
def test_the_newest_configuration(batches: int) -> None:
    record = filled(batches)
    config = newest_config(AtRest(record))
    assert config is not None
    assert config["site"]["timezone"] == "Asia/Shanghai"
    assert newest_config(AtRest(Record())) is None


async def test_through_the_real_journals_files(tmp_path: Path) -> None:
    text = entry.canonical(resolved(["a", "b"]))
    record = Record()
    journal = await open_journal(
        tmp_path, settings=JournalSettings(max_bytes=1 << 30, segment_entries=16), clock=StillClock()
    )
    wanted = []
    for seq in range(100):
        record.tick()
        if seq == 1:
            record.add("config", text=entry.text_hash(text), texts={}, software="0", by="t", reason="", changes=[])
            record.config_seq = 1
            record.group = type(record.group)(id="dev.1", device="dev", points=("a", "b"))
        elif seq % 16 == 0:
            named = {"config_seq": 1, "text": entry.text_hash(text), "texts": {}} if seq else None
            record.add("snapshot", config=named, state={})
        else:
            record.batch([float(seq), 1])
            wanted.append((seq, float(seq), record.wall_us))
    for at in range(0, 100, 10):
        await journal.append(record.entries[at : at + 10], [text] if at == 0 else [])
    for beside in (True, False):  # beside the open journal, then after it was closed
        if not beside:
            await journal.close()
        reading = Reading(tmp_path)
        found = [(row.seq, row.value, row.time_us) for row in Lookback(reading).rows(*ALL) if row.point == "a"]
        assert found == wanted
        assert newest_config(reading) == orjson.loads(text)
        reading.close()
