"""A calibration's uncertainty in the guard band: from its entry on, across a restart and a reload, until its day, and judged again alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from edge_gateway.calibration import Calibrations
from edge_gateway.history.explained import explain
from edge_gateway.intake.state import State
from edge_gateway.journal.reading import Reading
from edge_gateway.page.calibrating import _kept, guards
from edge_gateway.page.site import Site
from edge_gateway.recompute.core import Findings, Recompute
from edge_gateway.rules.kinds import SEMANTICS
from edge_gateway.testing import FakeClock
from tests.intake.test_loop import RULE, Running, batch, flushed, running, setup_of

GUARDED = replace(RULE, violation_after_us=0, clear_high="-18", terms={"guard": 1}, semantics=SEMANTICS["limit"][-1])
SETUP = setup_of((GUARDED,), gateway="tlf-007")
#: Beyond -18, and nearer to it than the calibration's uncertainty.
NEAR = -17.5


async def course(run: Running, clock: FakeClock, *values: float) -> None:
    for value in values:
        clock.advance(10_000_000)
        await run.intake.inbox.put(batch(clock, value))
        await flushed(run)


async def calibrate(run: Running, clock: FakeClock, uncertainty: float, due: str = "") -> None:
    body: dict[str, Any] = {
        "step": "as-found", "point": "cold1-air", "mark": "M-1", "reading": -18.0, "unit": "Cel", "reading_wall_us": clock.wall_us(), "reference": -18.0,
        "error": 0.0, "uncertainty": uncertainty, "certificate": "LH-118", "reason": "annual", "by": "t", **({"due": due} if due else {}),
    }  # fmt: skip

    async def step() -> object:
        _, stamp = await run.intake.moment()
        return await _kept(cast("Site", SimpleNamespace(intake=run.intake)), body, stamp)

    await run.intake.command(step)


async def told(run: Running) -> list[tuple[str, str]]:
    return [(entry["step"], entry["decision"]) for entry in await run.all_entries() if entry["kind"] == "violation"]


def judged_again(folder: Path) -> Findings:
    reading = Reading(folder)
    try:
        recompute = Recompute(reading.text)
        for position, entry in reading.entries():
            recompute.take(position, entry)
        recompute.end()
        return recompute.findings
    finally:
        reading.close()


def day(clock: FakeClock, days: int) -> str:
    return str((datetime.fromtimestamp(clock.wall_us() / 1e6, UTC) + timedelta(hours=8, days=days)).date())


@pytest.mark.parametrize("orderly", [True, False])
@pytest.mark.parametrize("segment", [4096, 16])
async def test_from_its_entry_on_nothing_is_decided_so_near_the_limit(tmp_path: Path, orderly: bool, segment: int) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock, setup=SETUP, segment_entries=segment, orderly=orderly) as run:
        await course(run, clock, NEAR, -20.0, -20.0)
        assert guards(run.intake.state.rules(), "cold1-air") == {}
        await calibrate(run, clock, 1.0)
        assert guards(run.intake.state.rules(), "cold1-air") == {"frozen-store": "1"}
        assert guards(run.intake.state.rules(), "cold1-rh") == {}
        await course(run, clock, *[NEAR] * 4)
        assert await told(run) == [("violated", "simple acceptance"), ("recovered", "simple acceptance")], "beyond by half a degree: undecided"
    async with running(tmp_path, clock, setup=SETUP, segment_entries=segment) as run:
        await course(run, clock, *[NEAR] * 9)
        await run.intake.command(lambda: run.intake.apply(SETUP, by="t", reason="reload"))
        await course(run, clock, NEAR, NEAR)
        assert len(await told(run)) == 2, "neither a restart nor a reload forgets it"
        await course(run, clock, -16.5, -16.5, -17.5, -18.5, -19.5, -19.5)
        assert (await told(run))[2:] == [("violated", "guard band ±1 Cel"), ("recovered", "guard band ±1 Cel")]
    found = judged_again(tmp_path)
    assert (found.first, found.judged.undecided) == (None, {})
    assert found.judged.same["limit"] == 4


async def test_once_it_has_lapsed_the_site_s_own_figure_counts(tmp_path: Path) -> None:
    clock = FakeClock()
    own = setup_of((replace(GUARDED, terms={"guard": 1, "uncertainty": "0.2"}),), gateway="tlf-007")
    async with running(tmp_path, clock, setup=own) as run:
        await calibrate(run, clock, 1.0, due=day(clock, 0))
        await course(run, clock, NEAR, NEAR)
        assert await told(run) == []
        clock.advance(86_400_000_000)
        run.intake._ticked_s = 0.0  # its next tick is due
        await run.intake.command(run.intake._tick)
        await course(run, clock, NEAR, NEAR)
        assert await told(run) == [("violated", "guard band ±0.2 Cel")]
    assert judged_again(tmp_path).first is None


async def test_a_replay_that_forgets_calibrations_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock, setup=SETUP) as run:
        await calibrate(run, clock, 1.0)
        await course(run, clock, NEAR, NEAR)

    def forgetful(self: State, body: Mapping[str, Any]) -> None:
        self.calibrations.replay(body)

    monkeypatch.setattr(State, "calibrated", forgetful)
    first = judged_again(tmp_path).first
    assert first is not None
    assert "violated" in str(first.derived)


@pytest.mark.parametrize("segment", [4096, 8])
async def test_explain_says_which_calibration_made_the_band(tmp_path: Path, segment: int) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock, setup=SETUP, segment_entries=segment) as run:
        await course(run, clock, -20.0)
        before_us = clock.wall_us() + 1
        clock.advance(5_000_000)
        await calibrate(run, clock, 1.0, due=day(clock, 30))
        await course(run, clock, *[NEAR] * 12)
        after_us = clock.wall_us() + 1
    reading = Reading(tmp_path)
    try:
        (before,), (after,) = (explain(reading, "frozen-store", "", (0, until)) for until in (before_us, after_us))
    finally:
        reading.close()
    assert (before.rule.decision, before.calibration) == ("simple acceptance", None)
    assert after.calibration is not None
    assert (after.rule.decision, after.calibration["certificate"], after.calibration["due"]) == ("guard band ±1 Cel", "LH-118", day(clock, 30))
    assert Calibrations().valid(("cold1-air",), "Cel", None) is None
