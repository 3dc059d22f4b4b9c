"""Phases that begin by themselves through intake and the real journal: entries, what waits, kills and reloads."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from edge_gateway.intake.phasing import next_phase, sign_item
from edge_gateway.intake.state import Setup, State
from edge_gateway.phases import Signer
from edge_gateway.testing import FakeClock
from tests.intake.test_loop import RULE, Running, batch, flushed, running, setup_of
from tests.intake.test_marking import MINUTE_US, _found, without_a_trace

LI = Signer(name="li", proven=False, reason="looked")
MORNING_US = round(datetime(2026, 11, 28, 7, 0, tzinfo=ZoneInfo("Asia/Shanghai")).timestamp()) * 1_000_000
DAY = {"pre-start": "07:30", "production": "08:00", "closing": "17:30", "closed": "19:00"}


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commits do not wait for one another in real time."""
    monkeypatch.setattr("edge_gateway.intake.pace.URGENT_SPACING_US", 1000)


def setup(*, contact: str = "", begin: dict[str, str] | None = None) -> Setup:
    """``cold1-rh`` tells whether the line runs: 60 while it does."""
    rule = replace(RULE, armed_in=("production",))
    points = {"cold1-air": {"unit": "Cel", "zone": "hall"}, "cold1-rh": {"unit": "%", "zone": "hall"}}
    items = {"cold": {"phase": "pre-start", "rules": ["frozen-store"]}, "hands": {"phase": "pre-start"}, "tidy": {"phase": "closing"}}
    day = {"begin": DAY if begin is None else begin, "contact": contact, "running": 60.0, "running_for_s": 60.0, "standing_for_s": 600.0}
    return setup_of((rule,), zones={"hall": {"stage": "washing"}}, points=points, phases=items, workday=day)


async def until(run: Running, clock: FakeClock, minutes: int, air: float = -20.0, runs: float | None = 60.0) -> None:
    """A reading a minute, and a tick with each."""
    for _ in range(minutes):
        clock.advance(MINUTE_US)
        item = batch(clock, air)
        item.values = [air, runs]
        await run.intake.inbox.put(item)
        await flushed(run)
        await ticked(run)


async def ticked(run: Running) -> None:
    run.intake._ticked_s = -1e9  # a tick is due every 15 s of real time
    await flushed(run)
    await flushed(run)


async def began(run: Running) -> list[dict[str, Any]]:
    return [e for e in await run.all_entries() if e["kind"] == "phase" and e["step"] == "began"]


async def test_a_day_by_the_clock_that_waits_for_what_is_open(tmp_path: Path) -> None:
    clock = FakeClock(wall_us=MORNING_US)
    async with running(tmp_path, clock, setup=setup()) as run:
        await until(run, clock, 31)
        await until(run, clock, 35)
        first, second = await began(run)
        assert (first["phase"], first["how"], first["by"], first["open"]) == ("pre-start", "schedule", "edge-gateway", [])
        assert (first["due_wall_us"] - MORNING_US, first["wall_us"] - first["due_wall_us"]) == (30 * MINUTE_US, 0)
        assert (second["phase"], second["open"], second["items"]["cold"]["state"]) == ("production", ["hands"], "done")
        assert run.intake.state.engine.standing() == [], "armed as if a person had begun it"
        clock.advance(12 * 60 * MINUTE_US)
        await ticked(run)
        assert [(e["phase"], e["open"]) for e in (await began(run))[2:]] == [("closing", [])]
        assert run.intake.state.workday.due(run.intake.state.phases) == {"phase": "closed", "how": "schedule", "due_wall_us": MORNING_US + 720 * MINUTE_US}
        clock.advance(11 * 60 * MINUTE_US)
        await ticked(run)
        assert len(await began(run)) == 3, "nothing but work ends closing, also on the next morning"
        await sign_item(run.intake, "tidy", LI)
        await ticked(run)
        assert [e["phase"] for e in (await began(run))[3:]] == ["closed"], "06:00: the day of yesterday is over, nothing else is due"
        assert all(e["kind"] != "violation" for e in await run.all_entries())


async def test_phases_on_the_way_are_begun_one_after_the_other(tmp_path: Path) -> None:
    clock = FakeClock(wall_us=MORNING_US)
    async with running(tmp_path, clock, setup=setup()) as run:
        await until(run, clock, 1)
    clock.advance(120 * MINUTE_US)
    async with running(tmp_path, clock, setup=setup()) as run:
        await ticked(run)
        assert [(e["phase"], e["before"], e["open"]) for e in await began(run)] == [("pre-start", None, []), ("production", "pre-start", ["cold", "hands"])]


async def test_an_untrusted_clock_waits(tmp_path: Path) -> None:
    clock = FakeClock(wall_us=MORNING_US)
    async with running(tmp_path, clock, setup=setup()) as run:
        await until(run, clock, 1)
        clock.trust = False
        run.intake._clock_looked_s = -1e9
        await until(run, clock, 45)
        assert await began(run) == []
        clock.trust = True
        run.intake._clock_looked_s = -1e9
        await until(run, clock, 1)
        assert [(e["phase"], e["trusted"]) for e in await began(run)] == [("pre-start", True)]


async def test_the_line_begins_production_and_closing_also_through_a_kill(tmp_path: Path) -> None:
    clock, line = FakeClock(), setup(contact="cold1-rh", begin={})
    async with running(tmp_path, clock, setup=line, orderly=False) as run:
        await next_phase(run.intake, LI)
        await until(run, clock, 1, runs=60.0)
    async with running(tmp_path, clock, setup=line, orderly=False) as run:
        await until(run, clock, 1, runs=60.0)
        (_, made) = await began(run)
        assert (made["phase"], made["how"], made["point"], made["value"]) == ("production", "contact", "cold1-rh", 60.0)
        assert made["wall_us"] - made["due_wall_us"] == MINUTE_US
        await until(run, clock, 5, runs=0.0)
    clock.advance(4 * MINUTE_US)
    async with running(tmp_path, clock, setup=line) as run:
        await until(run, clock, 3, runs=None)
        assert len(await began(run)) == 2, "unknown: nothing begins"
        await until(run, clock, 1, runs=0.0)
        assert [e["phase"] for e in (await began(run))[2:]] == ["closing"]
        await until(run, clock, 2, runs=60.0)
        assert [(e["phase"], e["open"]) for e in (await began(run))[3:]] == [("production", ["tidy"])], "it runs again: the day goes on"


@pytest.mark.parametrize("seed", range(6))
async def test_kills_stops_and_reloads_change_nothing(tmp_path: Path, seed: int) -> None:
    """N = 6 courses of three runs, seeds 0 to 5: each restart finds the state as it was, no time counts twice, and no excursion is hidden."""
    rng, clock = random.Random(seed), FakeClock(wall_us=MORNING_US)
    both = setup(contact="cold1-rh")
    entries: list[dict[str, Any]] = []
    for _ in range(3):
        async with running(tmp_path, clock, setup=both, segment_entries=64, orderly=rng.random() < 0.5) as run:
            for _ in range(6):
                clock.advance(rng.choice([0, 30, 200]) * MINUTE_US)
                await until(run, clock, rng.choice([1, 2, 11, 35]), air=rng.choice([-20.0, -10.0, -10.0]), runs=rng.choice([0.0, 60.0, None]))
                if rng.random() < 0.3:
                    await run.intake.command(lambda run=run: run.intake.apply(both, by="t", reason="reload"))  # type: ignore[misc]
                if run.intake.state.phases.phase == "closing" and rng.random() < 0.5 and not run.intake.state.phases.signed:
                    await sign_item(run.intake, "tidy", LI)
            before, entries = run.intake.state.snapshot(), await run.all_entries()
        again = await _found(tmp_path, clock)
        assert {key: again.get(key) for key in ("workday", "phase")} == {key: before.get(key) for key in ("workday", "phase")}, f"seed {seed}"
        clock.advance(rng.choice([0, 3, 70]) * MINUTE_US)
    steps = [e for e in entries if e["kind"] == "phase" and e["step"] == "began"]
    assert steps
    assert all(e["before"] != "closing" or not e["open"] or e["phase"] == "production" for e in steps)
    assert without_a_trace(entries) == []
    assert all(one["phase"] == other["before"] for one, other in pairwise(steps))


async def test_a_course_that_forgets_what_is_due_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: what the contact said is not replayed."""
    monkeypatch.setattr("edge_gateway.intake.replaying.Replaying._batch", lambda self, body: [])
    clock, line = FakeClock(), setup(contact="cold1-rh", begin={})
    async with running(tmp_path, clock, setup=line, orderly=False) as run:
        await until(run, clock, 1, runs=60.0)
        before = run.intake.state.snapshot()
    assert (await _found(tmp_path, clock)).get("workday") != before["workday"]


def test_a_gateway_where_nothing_begins_by_itself_keeps_nothing_of_it() -> None:
    state = State("t")
    state.workday.use({})
    state.pass_workday((1, 1), trusted=True)
    assert "workday" not in state.snapshot()
