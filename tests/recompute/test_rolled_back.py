"""An epoch that begins while the gateway runs, because the hub knew more: numbers of violations go on from that minute, also when judged again."""

from __future__ import annotations

from pathlib import Path

from edge_gateway.journal.reading import Reading
from edge_gateway.reading import Batch, Group
from edge_gateway.recompute.core import Findings, Recompute
from edge_gateway.testing import FakeClock
from tests.intake.test_loop import Running, flushed, running
from tests.recompute.judged_site import ALONE, PAIR, setup
from tests.rules.test_late import COMMON
from tests.rules.traces import BoundRule, S

RULES = [BoundRule(id="l", kind="limit", high="10", violation_after_us=0, **{**COMMON, "point": point}) for point in "abc"]


async def _said(run: Running, clock: FakeClock, group: Group, *values: float) -> None:
    clock.advance(10 * S)
    await run.intake.inbox.put(Batch(group=group, mono_us=clock.mono_us(), wall_us=clock.wall_us(), values=list(values), slot_us=clock.mono_us()))
    await flushed(run)


async def _record(folder: Path, ahead: int) -> tuple[Findings, list[str]]:
    """``ahead``: minutes by which the numbers that the gateway goes on from are wrong."""
    clock = FakeClock()
    async with running(folder, clock, setup=setup(RULES)) as run:
        await _said(run, clock, ALONE, 11.0)
        clock.advance(3600 * S)
        state = run.intake.state

        async def reopen() -> None:
            state.lost, state.violations.floor = True, clock.wall_us() // 60_000_000 + ahead
            await run.intake.open_epoch("roll-back", [])

        await run.intake.command(reopen)
        for values in ((11.0, 5.0), (11.0, 11.0)):
            await _said(run, clock, PAIR, *values)
    reading = Reading(folder)
    try:
        again, numbers = Recompute(reading.text), list[str]()
        for epoch, entry in reading.entries():
            again.take(epoch, entry)
            numbers += [entry["violation"]] if entry.get("step") == "violated" else []
        again.end()
        return again.findings, numbers
    finally:
        reading.close()


async def test_a_roll_back_while_running_is_no_difference(tmp_path: Path) -> None:
    found, numbers = await _record(tmp_path, 0)
    assert len(numbers) == 3
    assert int(numbers[1].rpartition("-")[2]) > 20_000_000
    assert found.judged.differs == 0, found.first


async def test_numbers_that_go_on_from_another_minute_are_named(tmp_path: Path) -> None:
    found, _ = await _record(tmp_path, 50)
    assert found.judged.differs > 0
