"""Phases through intake and the real journal: evidence of automatic items, arming, restarts, and no excursion without a trace."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_gateway.intake.phasing import look, next_phase, sign_item
from edge_gateway.intake.state import Setup
from edge_gateway.phases import PhaseRefused, Signer
from edge_gateway.rules.standing import Stood
from edge_gateway.testing import FakeClock
from tests.intake.test_loop import RULE, Running, running, setup_of
from tests.intake.test_marking import MINUTE_US, _found, read, without_a_trace

LI = Signer(name="li", proven=False, reason="looked")
QUIET = Signer(name="li", proven=False, reason="")


def setup(stage: str = "washing") -> Setup:
    rule = replace(RULE, armed_in=("production",))
    zones = {"hall": {"stage": stage}}
    points = {"cold1-air": {"unit": "Cel", "zone": "hall"}, "cold1-rh": {"unit": "%", "zone": "hall"}}
    items = {"cold": {"phase": "pre-start", "rules": ["frozen-store"]}, "hands": {"phase": "pre-start"}, "tidy": {"phase": "closing"}}
    return setup_of((rule,), zones=zones, points=points, phases=items)


def states(run: Running, clock: FakeClock) -> dict[str, str]:
    return {each["item"]: each["state"] for each in look(run.intake, clock.mono_us(), clock.wall_us())}


async def test_automatic_items_have_their_evidence_also_from_a_rule_that_is_disarmed(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock, setup=setup()) as run:
        await next_phase(run.intake, QUIET)
        assert [(rule.id, reasons[0].ref) for rule, reasons in run.intake.state.engine.standing()] == [("frozen-store", "pre-start")]
        assert states(run, clock) == {"cold": "unknown", "hands": "open"}
        await read(run, clock, -20.0)
        assert states(run, clock) == {"cold": "done", "hands": "open"}
        await read(run, clock, -10.0, 35)
        assert states(run, clock)["cold"] == "beyond"
        assert [e for e in await run.all_entries() if e["kind"] == "violation"] == []
        assert [e["refs"] for e in await run.all_entries() if e.get("event") == "would-have-fired"] == [["pre-start"]]
        await read(run, clock, -20.0, 2)
        assert states(run, clock)["cold"] == "done"
        clock.advance(3_600_000_000)
        assert states(run, clock)["cold"] == "unknown", "the reading is an hour old"
        with pytest.raises(PhaseRefused, match="going on needs a reason"):
            await next_phase(run.intake, QUIET)
        await sign_item(run.intake, "hands", LI)
        body = await next_phase(run.intake, LI)
        assert (body["phase"], body["open"]) == ("production", ["cold"])
        assert run.intake.state.engine.standing() == []


async def test_stores_are_always_armed(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock, setup=setup("storage")) as run:
        await next_phase(run.intake, QUIET)
        assert run.intake.state.engine.standing() == []


async def test_a_delay_that_runs_fires_in_a_phase_that_disarms_and_nothing_is_cleared(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock, setup=setup()) as run:
        await read(run, clock, -10.0, 10)
        await next_phase(run.intake, QUIET)
        await read(run, clock, -10.0, 25)
        await read(run, clock, -25.0, 5)
        steps = [e["step"] for e in await run.all_entries() if e["kind"] == "violation"]
        assert steps == ["notice", "violated", "unknown"]
        before = run.intake.state.snapshot()
    async with running(tmp_path, clock, setup=setup()) as run:
        assert run.found.state.snapshot()["phase"] == before["phase"]
        assert run.intake.state.violations.open()[0]["condition"] == "unknown"
        await next_phase(run.intake, LI)
        await read(run, clock, -25.0)
        assert run.intake.state.violations.open()[0]["condition"] == "recovered"


async def course(folder: Path, seed: int) -> list[dict[str, Any]]:
    """Readings, phases, kills, stops and reloads; every restart finds the state as it was."""
    rng, clock = random.Random(seed), FakeClock()
    entries: list[dict[str, Any]] = []
    for _ in range(3):
        async with running(folder, clock, setup=setup(), segment_entries=64, orderly=rng.random() < 0.5) as run:
            for _ in range(8):
                await read(run, clock, rng.choice([-20.0, -18.2, -10.0, -10.0, -10.0]), rng.choice([1, 5, 20]))
                if rng.random() < 0.5:
                    await _on(run)
                elif rng.random() < 0.3:
                    await run.intake.command(lambda run=run: run.intake.apply(setup(), by="t", reason="reload"))  # type: ignore[misc]
            before, entries = run.intake.state.snapshot(), await run.all_entries()
        again = await _found(folder, clock)
        assert {key: again[key] for key in ("rules", "phase")} == {key: before[key] for key in ("rules", "phase")}, f"seed {seed}"
        clock.advance(rng.choice([0, 3, 70]) * MINUTE_US)
    return entries


async def _on(run: Running) -> None:
    if run.intake.state.phases.phase == "closing" and not run.intake.state.phases.signed:
        await sign_item(run.intake, "tidy", LI)
    await next_phase(run.intake, LI)


@pytest.mark.parametrize("seed", range(6))
async def test_no_phases_restarts_and_reloads_hide_an_excursion(tmp_path: Path, seed: int) -> None:
    """N = 6 courses over the real intake and journal, seeds 0 to 5."""
    assert without_a_trace(await course(tmp_path, seed)) == []


def test_a_shadow_that_tells_nothing_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stood, "tell", lambda self, step: None)
    found = [without_a_trace(asyncio.run(course(tmp_path / str(seed), seed))) for seed in range(4)]
    assert any(found)


async def test_an_item_asks_the_records_and_a_person_signs_only_where_there_are_none(tmp_path: Path) -> None:
    clock = FakeClock()
    items = {"material": {"phase": "pre-start", "records": ["intakes"]}, "both": {"phase": "pre-start", "rules": ["frozen-store"], "records": ["lots"]}}
    asked = setup_of(records={"start_requires": [], "required": [{"pack": "p", "before": "start", "of": ["certificate"], "effective_from": "unknown"}]}, phases=items)

    async def came(run: Running, number: int, **given: str) -> None:
        body = {"record": f"t-R{number}", "type": "intake", "lot": f"L{number}", "product": "tripe", "supplier": "S", "grams": 1000, **given}

        async def act() -> object:
            _, stamp = await run.intake.moment()
            run.intake.state.ledger.replay(body | {"rule_us": stamp.rule_us, "wall_us": stamp.wall_us})
            return await run.intake.add("record", body, stamp=stamp)

        await run.intake.command(act)

    async with running(tmp_path, clock, setup=asked) as run:
        await next_phase(run.intake, QUIET)
        await read(run, clock, -20.0)
        assert states(run, clock) == {"material": "open", "both": "open"}
        assert (await sign_item(run.intake, "material", LI))["item"] == "material", "nothing came in today: one person's word will do"
        await came(run, 1)
        assert states(run, clock) == {"material": "beyond", "both": "beyond"}
        with pytest.raises(PhaseRefused, match="rules or records say that material is not in order"):
            await sign_item(run.intake, "material", Signer(name="wang", proven=True, reason="seen it"))
        body = await next_phase(run.intake, LI)
        assert body["open"] == ["material", "both"]
        assert body["items"]["material"]["evidence"] == [{"lot": "L1", "records": ["t-R1"], "lacking": ["certificate"], "check": "intakes", "state": "beyond"}]
    async with running(tmp_path, clock, setup=asked) as run:
        for _ in range(3):
            await next_phase(run.intake, LI)
        await came(run, 2, certificate="C1")
        assert [each["state"] for each in look(run.intake, clock.mono_us(), clock.wall_us())[0]["evidence"]] == ["beyond", "done"]
