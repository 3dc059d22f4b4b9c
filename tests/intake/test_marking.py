"""Marks through intake and the real journal: entries, their end by itself, restarts, and no excursion without a trace."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from edge_gateway.intake import marking
from edge_gateway.intake.marking import end_mark, extend_mark, scoped, start_mark
from edge_gateway.intake.recovery import recover
from edge_gateway.intake.state import State
from edge_gateway.journal.retention import JournalSettings
from edge_gateway.journal.store import open_journal
from edge_gateway.marks import MINUTE_US, MarkRefused
from edge_gateway.rules.standing import Stood
from edge_gateway.testing import FakeClock
from tests.intake.test_loop import Running, batch, flushed, running, setup_of

POINT = {"points": ["cold1-air"]}
WHO = ("li", "annual, certificate LH-2026-118")
DELAY_MIN = 30
LIMIT = -18.0


async def read(run: Running, clock: FakeClock, air: float, minutes: int = 1) -> None:
    """A reading a minute."""
    for _ in range(minutes):
        clock.advance(MINUTE_US)
        await run.intake.inbox.put(batch(clock, air))
    await flushed(run)


async def told(run: Running) -> list[dict[str, Any]]:
    return [e for e in await run.all_entries() if e["kind"] in ("mark", "violation") or str(e.get("event", "")).startswith("would-have")]


async def test_a_calibration_is_no_violation_and_on_record(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock) as run:
        await read(run, clock, -20.0)
        made = await start_mark(run.intake, "calibration", POINT, 45 * MINUTE_US, WHO)
        await read(run, clock, 0.0, 35)
        await end_mark(run.intake, made["mark"], ("li", "probe is back"))
        await read(run, clock, -20.0, 3)
        entries = await told(run)
    assert [(e["kind"], e.get("step") or e.get("event")) for e in entries] == [
        ("mark", "started"), ("event", "would-have-fired"), ("mark", "ended"), ("event", "would-have-ended"),
    ]  # fmt: skip
    fired, ended = entries[1], entries[2]
    assert (fired["why"], fired["refs"], fired["minutes"], fired["peak"]) == (["mark"], ["M-1"], 30.0, 0.0)
    assert (ended["by"], ended["fired"]) == ("li", 1)
    assert entries[3]["minutes"] == 35.0, "from the first marked reading to the first after it"


async def test_a_mark_ends_by_itself_also_while_the_gateway_was_off(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock) as run:
        await read(run, clock, -20.0)
        await start_mark(run.intake, "defrost", POINT, 20 * MINUTE_US, WHO)
        await extend_mark(run.intake, "M-1", 30 * MINUTE_US, ("wang", "ice is thick"))
        await read(run, clock, -10.0, 31)
        await flushed(run)
        steps = [e for e in await told(run) if e["kind"] == "mark"]
        assert [e["step"] for e in steps] == ["started", "extended", "ended"]
        assert (steps[-1]["by"], steps[-1]["until_rule_us"]) == ("edge-gateway", steps[1]["until_rule_us"])
        await read(run, clock, -20.0, 40)
        await start_mark(run.intake, "defrost", POINT, 20 * MINUTE_US, WHO)
        await flushed(run)
    clock.advance(3_600_000_000)
    async with running(tmp_path, clock) as run:
        await flushed(run)
        await flushed(run)
        assert run.intake.state.marks.running() == []
        assert run.intake.state.engine.standing() == []
        assert [e["step"] for e in await told(run) if e["kind"] == "mark"][-1] == "ended"


async def test_a_mark_that_begins_after_an_excursion_is_flagged_and_the_violation_comes(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock) as run:
        await read(run, clock, -10.0, 10)
        made = await start_mark(run.intake, "door-loading", POINT, 60 * MINUTE_US, WHO)
        assert [(each["rule"], each["point"]) for each in made["after"]] == [("frozen-store", "cold1-air")]
        await read(run, clock, -10.0, 25)
        violations = [e for e in await told(run) if e["kind"] == "violation"]
        assert [e["step"] for e in violations] == ["notice", "violated", "unknown"]
        assert run.intake.state.violations.open()[0]["condition"] == "unknown"
        await read(run, clock, -25.0, 5)
        assert run.intake.state.violations.open()[0]["condition"] == "unknown", "nothing recovers under a mark"
        await end_mark(run.intake, made["mark"], WHO)
        await read(run, clock, -25.0, 2)
        last = [e for e in await told(run) if e["kind"] == "violation"][-1]
        assert last["step"] == "recovered"
        assert last["marked_minutes"] == 5.0, "what was beyond the limit after it fired, under the mark"


async def test_scopes() -> None:
    points = {
        "a": {"device": "d", "zone": "z"}, "b": {"device": "d", "zone": "y"}, "c": {"device": "e", "zone": "y"},
        "sum": {"zone": "x", "derived": {"of": ["a", "c"]}}, "twice": {"zone": "x", "derived": {"of": ["sum"]}},
    }  # fmt: skip
    assert scoped(points, {"points": ["b"]}) == ["b"]
    assert scoped(points, {"devices": ["d"]}) == ["a", "b", "sum", "twice"]
    assert scoped(points, {"zones": ["y"]}) == ["b", "c", "sum", "twice"]
    for scope, why in (({"points": ["q"]}, "no point 'q'"), ({"zones": ["q"]}, "zone 'q'"), ({"devices": ["q"]}, "device 'q'")):
        with pytest.raises(MarkRefused, match=why):
            scoped(points, scope)


async def test_what_is_refused_leaves_no_entry(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock) as run:
        with pytest.raises(MarkRefused):
            await start_mark(run.intake, "calibration", POINT, 500 * MINUTE_US, WHO)
        assert await told(run) == []


# --- no excursion is without a trace ----------------------------------------------------------------------------------


async def course(folder: Path, seed: int) -> list[dict[str, Any]]:
    """Minutes with readings, marks, kills, stops and reloads; every restart finds the state as it was."""
    rng, clock = random.Random(seed), FakeClock()
    air = -20.0
    entries: list[dict[str, Any]] = []
    for _ in range(rng.randint(3, 5)):
        async with running(folder, clock, segment_entries=64, orderly=rng.random() < 0.5) as run:
            for _ in range(rng.randint(3, 12)):
                if rng.random() < 0.4:
                    air = rng.choice([-20.0, -20.0, -18.2, -15.0, -10.0, -10.0])
                await read(run, clock, air, rng.choice([1, 5, 12]))
                await _disturb(run, rng)
            await flushed(run)
            before = run.intake.state.snapshot()
            entries = await run.all_entries()
        again = await _found(folder, clock)
        keys = ("rules", "marks", "violations")
        assert {key: again[key] for key in keys} == {key: before[key] for key in keys}, f"seed {seed}"
        if rng.random() < 0.5:
            clock.advance(rng.choice([1, 3, 70]) * MINUTE_US)
    return entries


async def _found(folder: Path, clock: FakeClock) -> dict[str, Any]:
    journal = await open_journal(folder, settings=JournalSettings(max_bytes=1 << 30, segment_entries=64), clock=clock)
    try:
        return (await recover(journal, journal.recover(), "tlf-007")).state.snapshot()
    finally:
        await journal.close()


async def _disturb(run: Running, rng: random.Random) -> None:
    marks = [mark["mark"] for mark in run.intake.state.marks.running()]
    try:
        what = rng.choice(["start", "start", "end", "extend", "reload", ""])
        if what == "start":
            await start_mark(run.intake, rng.choice(["cleaning", "sensor-fault", "defrost"]), POINT, rng.choice([5, 20, 60]) * MINUTE_US, WHO)
        elif what == "extend" and marks:
            await extend_mark(run.intake, rng.choice(marks), 60 * MINUTE_US, WHO)
        elif what == "end" and marks:
            await end_mark(run.intake, rng.choice(marks), WHO)
        elif what == "reload":
            await run.intake.command(lambda: run.intake.apply(setup_of(), by="t", reason="reload"))
    except MarkRefused:
        pass


def without_a_trace(entries: list[dict[str, Any]]) -> list[str]:
    """Excursions by the journaled readings alone, and what was told of them."""
    lost: list[str] = []
    began: int | None = None
    open_ = {"violated": False, "would-have-fired": False}
    traces: list[int] = []
    late: tuple[int, int] | None = None  # what was due at the last reading: told right behind it
    for body in entries:
        what = str(body.get("step") or body.get("event") or "")
        if body["kind"] == "violation" and what == "violated":
            traces.append(int(body["first"]["rule_us"]))
            open_["violated"] = True
        elif what == "would-have-fired":
            traces.append(int(body["rule_us"]))
            open_[what] = True
        elif body["kind"] == "violation" and what == "recovered":
            open_["violated"] = False
        elif what == "would-have-ended":
            open_["would-have-fired"] = False
        if body["kind"] != "batch" or body.get("quality"):
            continue
        if late is not None and not any(open_.values()) and not any(t >= late[0] for t in traces):
            lost.append(f"beyond from {late[0]} to {late[1]}")
        value, late = float(body["values"][0]), None
        if value <= LIMIT:
            began = began if value > -18.5 else None
            continue
        began = int(body["rule_us"]) if began is None else began
        if int(body["rule_us"]) - began > DELAY_MIN * MINUTE_US:
            late = began, int(body["rule_us"])
    return lost


@pytest.mark.parametrize("seed", range(10))
async def test_no_marks_restarts_and_reloads_hide_an_excursion(tmp_path: Path, seed: int) -> None:
    """N = 10 courses over the real intake and journal, seeds 0 to 9."""
    assert without_a_trace(await course(tmp_path, seed)) == []


async def test_a_shadow_that_ends_with_its_mark_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stood, "tell", lambda self, step: None)
    found = [without_a_trace(await course(tmp_path / str(seed), seed)) for seed in range(6)]
    assert any(found)


async def test_a_replay_that_forgets_marks_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_gateway.marks.Marks.replay", lambda self, body: None)
    with pytest.raises(AssertionError):
        await _courses(tmp_path, 6)


async def _courses(folder: Path, seeds: int) -> None:
    for seed in range(seeds):
        await course(folder / str(seed), seed)


def test_bounds_are_stated() -> None:
    assert marking.MOST_NAMED == 50
    assert State("x").marks.running() == []
