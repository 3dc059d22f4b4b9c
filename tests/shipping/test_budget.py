"""A sink's bytes of a day: counted over restarts, given out once a day, whatever the clock does; and what still goes out then."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from edge_gateway.clock import SystemClock
from edge_gateway.journal.base import Position, Reader
from edge_gateway.journal.retention import JournalSettings
from edge_gateway.journal.store import Store, open_journal
from edge_gateway.record.entry import encode
from edge_gateway.shipping.budget import Budget
from edge_gateway.shipping.delivery import Asks, Delivery
from edge_gateway.sinks.base import Outcome, Run
from edge_gateway.sinks.hub_queue import LiveQueue
from tests.journal.entries import run, stamp

ZONE = ZoneInfo("Asia/Shanghai")
NOON_US = int(datetime(2026, 11, 28, 12, tzinfo=ZONE).timestamp()) * 1_000_000
HOUR_US, DAY_US = 3_600_000_000, 86_400_000_000


class Box:
    """A machine whose clock a test moves; what is kept outlives ``restart``."""

    boot, speed = "0123456789ab", 1.0

    def __init__(self, limit: int = 1000) -> None:
        self.limit = limit
        self.mono, self.off, self.right = 0, NOON_US, True
        self.kept: dict[str, Any] | None = None
        self.restart()

    def restart(self) -> None:
        self.sent = 0
        self.budget = Budget(self.limit, clock=self, zone=ZONE, kept=self.kept, keep=self.keep)

    def keep(self, value: dict[str, Any]) -> None:
        self.kept = value

    def send(self, more: int) -> None:
        self.sent += more
        self.budget.book(self.sent)

    def mono_us(self) -> int:
        return self.mono

    def wall_us(self) -> int:
        return self.mono + self.off

    def trusted(self) -> bool:
        return self.right

    async def sleep_until(self, mono_us: int) -> None:
        raise NotImplementedError


def test_it_lasts_until_midnight_of_the_site_and_over_restarts() -> None:
    box = Box()
    box.send(600)
    assert box.budget.left == 400
    box.restart()
    box.send(500)
    status = box.budget.status()
    assert (box.budget.left, status["until_us"]) == (-100, NOON_US + 12 * HOUR_US)
    assert "2026-11-29 00:00+08:00" in box.budget.why()
    box.mono += 12 * HOUR_US - 1_000_000
    assert box.budget.left == -100
    box.mono += 1_000_000
    assert (box.budget.left, box.budget.status()["until_us"]) == (1000, None)


def test_a_clock_that_steps_back_gives_nothing_and_one_that_nobody_vouches_for_begins_no_day() -> None:
    box = Box()
    box.send(1000)
    box.off -= 400 * DAY_US
    assert box.budget.left == 0
    box.off += 400 * DAY_US
    box.right, box.off = False, 0  # a start without network: 1970, then the next year
    box.restart()
    assert box.budget.left == 0
    box.off = NOON_US + 365 * DAY_US
    assert box.budget.left == 0
    box.right, box.off = True, NOON_US - box.mono  # synchronised: it is still the same day
    assert box.budget.left == 0
    box.mono += DAY_US
    assert box.budget.left == 1000


def test_while_nobody_vouches_for_the_clock_a_day_is_24_hours_of_running() -> None:
    box = Box()
    box.right = False
    box.restart()
    box.send(1000)
    box.mono += DAY_US - 1
    assert (box.budget.left, box.budget.until_us() - box.wall_us()) == (0, 1)
    box.mono += 1
    assert box.budget.left == 1000


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("send"), st.integers(0, 400)),
            st.tuples(st.just("wait"), st.integers(0, 30 * HOUR_US)),
            st.tuples(st.just("restart"), st.just(0)),
            st.tuples(st.just("back"), st.integers(0, 400 * DAY_US)),
        ),
        max_size=40,
    )
)
def test_no_day_of_a_right_clock_sees_more_than_one_budget(steps: list[tuple[str, int]]) -> None:
    """Sending while there is left, waiting, restarts, steps back by a clock that is put right before the next send."""
    box, by_day = Box(), dict[object, int]()
    for what, much in steps:
        if what == "send" and box.budget.left > 0:
            box.send(much)
            day = datetime.fromtimestamp(box.wall_us() / 1e6, ZONE).date()
            by_day[day] = by_day.get(day, 0) + much
        elif what == "wait":
            box.mono += much
        elif what == "restart":
            box.restart()
        elif what == "back":
            box.off -= much
            assert box.budget.left <= box.limit
            box.off += much
    assert all(total < box.limit + 400 for total in by_day.values()), "one message beyond it at most"


# --- a sink that has one ----------------------------------------------------------------------------------------


class Sink:
    """Takes everything, and counts it as sent."""

    name, max_entries, max_bytes = "far", 100, 1 << 20

    def __init__(self) -> None:
        self.sent_bytes = 0
        self.took: list[int] = []
        self.spared: list[bool] = []

    def spare(self, spare: bool) -> None:
        self.spared.append(spare)

    async def deliver(self, run: Run, _reader: Reader) -> Outcome:
        self.sent_bytes += sum(map(len, run.entries))
        self.took += range(run.first, run.first + len(run.entries))
        return Outcome(accepted=len(run.entries))

    def status(self) -> dict[str, Any]:
        return {}

    async def close(self) -> None:
        pass


async def nobody(*_: object) -> object:
    raise AssertionError("nothing is asked of the record")


def delivery(sink: Sink, store: Store, limit: int) -> Delivery:
    made = Delivery(
        sink=sink, journal=store, tell=lambda _: None, wall_us=lambda: NOON_US, asks=Asks(reopen=nobody, record=nobody)
    )  # fmt: skip
    made.budget = Budget(
        limit, clock=SystemClock(declared=True), zone=ZONE, kept=store.remembered("spent far"),
        keep=lambda value: store.remember("spent far", value),
    )  # fmt: skip
    return made


async def held(made: Delivery) -> None:
    async with asyncio.timeout(10):
        while made.progress.state != "held":
            await asyncio.sleep(0.02)


async def test_at_the_bound_the_cursor_stays_and_a_restart_spends_no_more(tmp_path: Path) -> None:
    settings = JournalSettings(max_bytes=1 << 30, segment_entries=16, sinks=("far",), commit_every_us=20_000)
    clock = SystemClock(declared=True)
    store = await open_journal(tmp_path / "journal", settings=settings, clock=clock)
    await store.append(run(0, 200, 16, size=500))
    first, limit = Sink(), 20_000
    made = delivery(first, store, limit)
    task = asyncio.create_task(made.run())
    await held(made)
    assert first.took == list(range(len(first.took))), "in order, none twice"
    assert limit <= first.sent_bytes < limit + 8192
    assert store.cursor("far") == Position(store.epoch, len(first.took))
    assert "MB of this day are spent" in made.progress.why
    assert first.spared[-1]
    made.stop()
    await asyncio.wait_for(task, 5)
    await store.close()
    store = await open_journal(tmp_path / "journal", settings=settings, clock=clock)
    second = Sink()  # a new process: its own count begins at nothing
    made = delivery(second, store, limit)
    task = asyncio.create_task(made.run())
    await held(made)
    assert second.took == []
    made.budget = None  # a configuration without a bound
    async with asyncio.timeout(20):
        while len(first.took) + len(second.took) < 200:
            await asyncio.sleep(0.05)
    assert [*first.took, *second.took] == list(range(200))
    made.stop()
    await asyncio.wait_for(task, 5)
    await store.close()


def entries(kinds: Sequence[str]) -> list[bytes]:
    bodies: dict[str, dict[str, Any]] = {
        "batch": {"config_seq": 1, "group": "a.1", "values": [1.0]},
        "tick": {},
        "violation": {"violation": "x-1", "rule": "r", "point": "p", "step": "violated"},
    }
    return [encode(seq, kind, stamp(seq), bodies[kind]) for seq, kind in enumerate(kinds)]


def test_what_the_live_lane_sends_then_is_violations_and_the_newest_tick() -> None:
    queue = LiveQueue()
    queue.offer("e", 0, entries(["batch", "tick", "violation", "batch", "tick", "batch"]))
    assert (queue.due(spare=True), queue.due(spare=False)) == (2, 3)
    assert [copy.seq for copy in queue.take(100, 1 << 20, spare=True)] == [2, 4]
    assert queue.due(spare=True) == 0
    assert [copy.seq for copy in queue.take(100, 1 << 20)] == [5], "the batches wait for the day"
