"""A pack in shadow, and an edition that begins, in the running intake: what is journaled, and the same after any restart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_gateway.rules.base import BoundRule
from edge_gateway.testing import FakeClock
from tests.intake.test_loop import RULE, Running, batch, flushed, running, setup_of

HASTY = replace(RULE, violation_after_us=0)
SHADOW = replace(HASTY, state="shadow")


async def told(run: Running) -> list[tuple[str, Any]]:
    return [
        (entry.get("event") or entry["step"], entry.get("rules") or entry.get("why") or entry.get("condition"))
        for entry in await run.all_entries()
        if entry["kind"] == "violation" or entry.get("event") in ("rules-not-armed", "would-have-fired", "would-have-ended")
    ]


async def course(run: Running, clock: FakeClock, *values: float) -> None:
    for value in values:
        clock.advance(10_000_000)
        await run.intake.inbox.put(batch(clock, value))
        await flushed(run)


@pytest.mark.parametrize("orderly", [True, False])
async def test_shadow_counts_and_a_restart_changes_nothing(tmp_path: Path, orderly: bool) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock, setup=setup_of((SHADOW,)), orderly=orderly) as run:
        await course(run, clock, -20.0, -10.0)
        await flushed(run)
        before = run.intake.state.snapshot()
    async with running(tmp_path, clock, setup=setup_of((SHADOW,))) as run:
        assert run.found.state.snapshot()["rules"]["stood"] == before["rules"]["stood"]
        assert run.found.state.armed.day == before["day"]
        await course(run, clock, -20.0)
        assert run.intake.state.violations.open() == []
        assert await told(run) == [
            ("rules-not-armed", {"shadow": ["frozen-store"]}), ("would-have-fired", ["shadow"]), ("would-have-ended", ["shadow"]),
        ]  # fmt: skip


async def test_back_into_shadow_keeps_what_is_open_unknown_and_enforced_again_goes_on(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock, setup=setup_of((HASTY,)), orderly=False) as run:
        await course(run, clock, -10.0)
        await run.intake.command(lambda: run.intake.apply(setup_of((SHADOW,)), by="a", reason="r"))
        await course(run, clock, -20.0)
        assert [v["condition"] for v in run.intake.state.violations.open()] == ["unknown"]
    async with running(tmp_path, clock, setup=setup_of((SHADOW,))) as run:
        assert [v["condition"] for v in run.intake.state.violations.open()] == ["unknown"]
        await run.intake.command(lambda: run.intake.apply(setup_of((HASTY,)), by="a", reason="r"))
        await course(run, clock, -10.0, -20.0)
        steps = [each for each, _ in await told(run) if each not in ("rules-not-armed", "would-have-ended")]
        assert steps == ["violated", "unknown", "active", "recovered"]


async def test_an_edition_begins_at_midnight_in_beijing_with_a_tick(tmp_path: Path) -> None:
    clock = FakeClock()
    tomorrow = clock.wall_us() + 86_400_000_000
    new = replace(HASTY, id="new", effective_from=_day(tomorrow))
    old = replace(HASTY, id="old", effective_to=_day(clock.wall_us()))
    setup = setup_of((new, old))
    async with running(tmp_path, clock, setup=setup) as run:
        assert run.intake.state.armed.day == _day(clock.wall_us())
        await course(run, clock, -10.0)
        clock.advance(86_400_000_000)
    async with running(tmp_path, clock, setup=setup) as run:
        await course(run, clock, -9.0)
        steps = [(e["rule"], e["step"]) for e in await run.all_entries() if e["kind"] == "violation"]
        assert steps == [("old", "violated"), ("old", "unknown"), ("new", "violated")]


def _day(wall_us: int) -> str:
    from edge_gateway.rules.calendar import day_of

    return day_of(wall_us)


def test_a_bound_rule_keeps_its_state_in_the_configuration_s_text() -> None:
    assert BoundRule.from_config(SHADOW.as_config()) == SHADOW
