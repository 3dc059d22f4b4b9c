"""What a restart must survive: a batch on its way at a reload, a damaged text, a correction that was never written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge_gateway.intake.state import Setup
from edge_gateway.reading import Batch, Group
from edge_gateway.testing import FakeClock
from tests.intake.test_loop import COLD, batch, flushed, running, setup_of

GONE = Group(id="gone.0", device="gone", points=("gone-air",), interval_us=10_000_000)


def setup_with_gone() -> Setup:
    setup = setup_of()
    groups: dict[str, Any] = setup.resolved["groups"] | {GONE.id: {"points": list(GONE.points), "interval_us": 10_000_000}}
    return Setup(
        resolved=setup.resolved | {"groups": groups}, groups={**setup.groups, GONE.id: GONE}, texts=setup.texts,
        rules=setup.rules, software="t",
    )  # fmt: skip


async def test_a_batch_that_was_on_its_way_when_its_device_was_removed_is_replayed_by_its_own_configuration(
    tmp_path: Path,
) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock, setup=setup_with_gone()) as run:
        await run.intake.inbox.put(batch(clock, -10.0))
        await run.intake.command(lambda: run.intake.apply(setup_of(), by="t", reason="reload"))
        for quality in (None, ["bad:no-answer"]):
            late = Batch(group=GONE, mono_us=clock.mono_us(), wall_us=clock.wall_us(), values=[1.0], quality=quality)
            await run.intake.inbox.put(late)
        clock.advance(5_000_000)
        await run.intake.inbox.put(batch(clock, -10.0))
        await flushed(run)
        before = run.intake.state.snapshot()
    async with running(tmp_path, clock) as run:
        assert run.found.state.snapshot()["rules"] == before["rules"]
        assert COLD.id in run.found.state.slots


async def test_a_damaged_configuration_text_does_not_keep_the_gateway_from_starting(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock) as run:
        await run.intake.inbox.put(batch(clock, -10.0))
        await flushed(run)
        assert run.intake.state.config is not None
        text = tmp_path / "texts" / run.intake.state.config["text"]
    text.write_bytes(b"?" + text.read_bytes()[1:])
    async with running(tmp_path, clock) as run:
        await flushed(run)
        started = [e for e in await run.all_entries() if e.get("event") == "started"][-1]
        assert "text" in started["damaged"]
        assert [v["condition"] for v in run.intake.state.violations.open()] == ["active"], "its steps are in the record"
        assert await run.journal.text(text.name), "written anew: the configuration is the same"
    async with running(tmp_path, clock) as run:
        assert run.found.damaged == ""


async def test_trust_that_came_while_we_were_not_running_corrects_what_we_wrote_before(tmp_path: Path) -> None:
    clock = FakeClock()
    clock.trust = False
    async with running(tmp_path, clock, orderly=False) as run:
        await run.intake.inbox.put(batch(clock, -20.0))
        await flushed(run)
    clock.step_wall(86_400_000_000)
    clock.trust = True
    async with running(tmp_path, clock) as run:
        await flushed(run)
        (correction,) = [e for e in await run.all_entries() if e["kind"] == "correction"]
        assert correction["offset_us"] == clock.wall_us() - clock.mono_us()
        assert correction["step_us"] == 86_400_000_000
        assert correction["boot"] == clock.boot
        assert run.intake.state.corrections == {clock.boot: correction["offset_us"]}
    async with running(tmp_path, clock) as run:
        await flushed(run)
        assert len([e for e in await run.all_entries() if e["kind"] == "correction"]) == 1, "once is enough"


async def test_a_message_that_waited_for_an_hour_makes_no_delay_run_faster_after_a_kill(tmp_path: Path) -> None:
    """Its monotonic time is an hour old, its rule time is now: the difference of the two is not the clock's."""
    clock = FakeClock(mono_us=10_000_000_000)
    async with running(tmp_path, clock, orderly=False) as run:
        late = batch(clock, -20.0)
        clock.advance(3_600_000_000)
        await run.intake.command(lambda: run.intake.add("event", {"event": "x"}))
        await run.intake.inbox.put(late)
        await flushed(run)
        assert (await run.all_entries())[-1]["kind"] == "batch"
        rule_us = run.intake._rule_time.at(clock.mono_us())
    clock.advance(1_000_000)
    async with running(tmp_path, clock) as run:
        await flushed(run)
        assert run.intake._rule_time.at(clock.mono_us()) == rule_us + 1_000_000
