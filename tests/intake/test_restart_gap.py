"""No slot is silent across a restart: a poll that was under way when the last run ended lies in the gap of that end."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_gateway.intake.state import Setup
from edge_gateway.reading import Batch, GapOpened
from edge_gateway.testing import FakeClock
from tests.intake.test_loop import COLD, batch, flushed, running, setup_of

OTHER = "hall.0"
INTERVAL_US = COLD.interval_us


def setup_with_other() -> Setup:
    groups = {
        group: {"device": group[:-2], "points": list(COLD.points), "interval_us": INTERVAL_US}
        for group in (COLD.id, OTHER)
    }
    return setup_of(groups=groups)


def other(clock: FakeClock) -> Batch:
    made = batch(clock, -19.0)
    made.group = type(COLD)(id=OTHER, device="hall", points=COLD.points, interval_us=INTERVAL_US)
    return made


@pytest.mark.parametrize("orderly", [True, False])
async def test_a_poll_that_was_under_way_at_the_end_lies_in_the_gap(tmp_path: Path, orderly: bool) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock, setup=setup_with_other(), orderly=orderly) as run:
        for _ in range(2):
            await run.intake.inbox.put(batch(clock, -19.0))
            await run.intake.inbox.put(other(clock))
            slot_us = clock.mono_us()
            clock.advance(INTERVAL_US)
        clock.advance(300_000)  # the cold store answered its third poll, the hall is still being asked
        await run.intake.inbox.put(batch(clock, -19.0, slot_us=slot_us + INTERVAL_US))
        await flushed(run)
    clock.advance(5 * INTERVAL_US)
    async with running(tmp_path, clock, setup=setup_with_other()) as run:
        await flushed(run)
        opened = next(e for e in await run.all_entries() if e["kind"] == "gap")
    assert opened["since_slot_us"] <= slot_us + INTERVAL_US
    assert opened["since_slot_us"] > slot_us


async def test_a_group_in_a_gap_is_accounted_for_up_to_the_last_entry(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock, setup=setup_with_other(), orderly=False) as run:
        await run.intake.inbox.put(other(clock))
        clock.advance(INTERVAL_US)
        gap = GapOpened(id="hall.0/1", groups=(OTHER,), reason="backed-off", since_slot_us=clock.mono_us())
        await run.intake.inbox.put(gap)
        clock.advance(7 * INTERVAL_US)
        await run.intake.inbox.put(batch(clock, -19.0))
        await flushed(run)
        last_us = clock.mono_us()
    clock.advance(INTERVAL_US)
    async with running(tmp_path, clock, setup=setup_with_other()) as run:
        await flushed(run)
        gaps = [e for e in await run.all_entries() if e["kind"] == "gap"]
    assert [(g["state"], g.get("until_slot_us")) for g in gaps[:2]] == [("open", None), ("closed", last_us)]
    assert gaps[2]["since_slot_us"] == last_us
