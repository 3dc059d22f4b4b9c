"""Entries of an untrusted boot: held, corrected, or tagged; and nobody behind them is lost."""

from __future__ import annotations

from edge_gateway.errors import SinkError
from edge_gateway.sinks import influxdb_time
from edge_gateway.sinks.base import Outcome
from edge_gateway.sinks.influxdb_sink import InfluxSink, Reply
from tests.sinks.influx_record import BOOT, SITE, START_US, Record, StillClock

HOLD_US = 86_400_000_000
WRONG_US = 1_000_000_000_000  # January 1970: a Pi without a clock


class Kept:
    """A transport that keeps the lines."""

    where = "memory"

    def __init__(self) -> None:
        self.lines: list[str] = []

    async def post(self, body: bytes) -> Reply:
        self.lines += body.decode().split("\n")
        return Reply(204)

    async def close(self) -> None:
        pass


def begin(clock: StillClock) -> tuple[InfluxSink, Kept, Record]:
    kept = Kept()
    record = Record(wall_us=WRONG_US, trusted=False)
    record.configs[record.epoch, 0] = {}
    record.trusted = True
    record.configure(["p0"])
    record.batch([1.0])
    record.trusted = False
    record.tick()
    record.batch([2.0])
    record.tick()
    record.batch([3.0])
    return InfluxSink("influx", kept, site=SITE, clock=clock, hold_us=HOLD_US), kept, record


def readings(kept: Kept) -> list[tuple[float, int, bool]]:
    """(value, time, tagged) of the readings."""
    rows = [line for line in kept.lines if line.startswith("reading")]
    return [
        (float(row.partition("value=")[2].partition(",")[0]), int(row.rpartition(" ")[2]), "clock=untrusted" in row)
        for row in rows
    ]


async def deliver(it: InfluxSink, record: Record, first: int) -> Outcome:
    try:
        return await it.deliver(record.run(first), record)
    except SinkError as error:
        raise AssertionError(str(error)) from error


async def test_held_until_the_correction_then_with_the_right_time() -> None:
    clock = StillClock(mono=5_030_000_000)
    it, kept, record = begin(clock)
    outcome = await deliver(it, record, 0)
    assert outcome.accepted == 2
    assert "waiting for its correction, at most 24 h 0 min more" in outcome.held
    assert it.status()["link"] == "held"
    again = await deliver(it, record, 2)
    assert (again.accepted, bool(again.held)) == (0, True)
    record.trusted = True
    record.add("correction", offset_us=START_US, step_us=0)
    record.wall_us = START_US + record.mono_us
    record.batch([4.0])
    assert (await deliver(it, record, 2)).accepted == 4
    base = 5_000_000_000
    assert readings(kept) == [
        (1.0, WRONG_US, False),
        (2.0, START_US + base + 10_000_000, False),
        (3.0, START_US + base + 20_000_000, False),
        (4.0, START_US + base + 20_000_000, False),
    ]


async def test_at_most_hold_then_tagged() -> None:
    clock = StillClock(mono=5_010_000_000 + HOLD_US - 1)
    it, kept, record = begin(clock)
    assert (await deliver(it, record, 0)).accepted == 2
    clock.mono += 1
    outcome = await deliver(it, record, 2)
    assert outcome.accepted == 1
    assert outcome.held
    clock.mono += 10_000_000
    assert (await deliver(it, record, 3)).accepted == 1
    assert readings(kept)[1:] == [(2.0, WRONG_US + 10_000_000, True), (3.0, WRONG_US + 20_000_000, True)]


async def test_a_boot_that_is_over_is_not_waited_for() -> None:
    it, kept, record = begin(StillClock(boot="another00000"))
    assert (await deliver(it, record, 0)).accepted == 4
    assert [tagged for _, _, tagged in readings(kept)] == [False, True, True]


async def test_a_boot_that_is_over_is_corrected_if_the_record_knows() -> None:
    it, kept, record = begin(StillClock(boot="another00000"))
    record.add("correction", offset_us=START_US, step_us=0)
    assert (await deliver(it, record, 0)).accepted == 5
    assert [tagged for _, _, tagged in readings(kept)] == [False, False, False]


async def test_the_correction_may_lie_in_the_next_epoch_and_be_another_boots() -> None:
    it, kept, record = begin(StillClock())
    first = record.run()
    record.open_epoch("ffff000011112222")
    record.boot = "another00000"
    record.add("correction", offset_us=7, step_us=0)
    assert (await it.deliver(first, record)).accepted == 2
    record.boot = BOOT
    record.add("correction", offset_us=START_US, step_us=0)
    assert (await it.deliver(first, record)).accepted == 4
    assert readings(kept)[-1][1] == START_US + 5_020_000_000


async def test_the_first_correction_after_the_entry_counts() -> None:
    it, kept, record = begin(StillClock())
    record.add("correction", offset_us=100, step_us=0)
    record.trusted = False
    record.tick()
    record.batch([9.0])
    record.add("correction", offset_us=200, step_us=0)
    assert (await deliver(it, record, 0)).accepted == len(record.entries)
    assert [time - mono for (_, time, _), mono in zip(readings(kept)[1:], (10, 20, 30), strict=True)] == [
        5_000_000_000 + 100 + 10_000_000 - 10,
        5_000_000_000 + 100 + 20_000_000 - 20,
        5_000_000_000 + 200 + 30_000_000 - 30,
    ]


async def test_looking_ahead_is_done_in_steps() -> None:
    clock = StillClock(boot="another00000")
    it, kept, record = begin(clock)
    for _ in range(3000):
        record.batch([0.0])
    record.add("correction", offset_us=START_US, step_us=0)
    most, influxdb_time.MAX_SCAN = influxdb_time.MAX_SCAN, 1
    try:
        outcome = await it.deliver(record.run(0, 10), record)
        assert "looking ahead" in outcome.held
        at = outcome.accepted
        for _ in range(4):
            at += (await it.deliver(record.run(at, 10), record)).accepted
    finally:
        influxdb_time.MAX_SCAN = most
    assert at > 10
    assert not any(tagged for _, _, tagged in readings(kept))
