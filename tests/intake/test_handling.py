"""Violations' handling in the real intake and journal: told once, over restarts too; minor ones close by themselves; a withdrawal arms anew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from edge_gateway.intake.marking import start_mark
from edge_gateway.testing import FakeClock
from edge_gateway.violations import HUB, Ask, StepRefused, Who, taken
from tests.intake.test_loop import RULE, Running, batch, flushed, running, setup_of
from tests.violations.acts import FULL

S, HOUR = 1_000_000, 3_600_000_000
NOW = replace(RULE, violation_after_us=0, severity="major")
MINOR = replace(NOW, severity="minor")


@pytest.fixture(autouse=True)
def _ticks() -> Iterator[None]:
    """A tick whenever intake looks up."""
    with mock.patch("edge_gateway.intake.loop.TICK_EVERY_S", 0.0), mock.patch("edge_gateway.intake.pace.URGENT_SPACING_US", 1000):
        yield


async def feed(run: Running, clock: FakeClock, *values: float) -> None:
    for value in values:
        clock.advance(10 * S)
        await run.intake.inbox.put(batch(clock, value))
        await flushed(run)


async def looked(run: Running) -> None:
    """Time passed, and intake has seen it."""
    await flushed(run)
    await flushed(run)


async def take(run: Running, step: str, id_: str = "tlf-007-1", **detail: Any) -> None:
    async def act() -> object:
        at, stamp = await run.intake.moment()
        ask = Ask(step, id_, Who("hub.key", HUB), "because", detail)
        return await run.intake.add_violations(run.intake.state.violations.take(ask, at), stamp)

    await run.intake.command(act)


async def steps(run: Running) -> list[str]:
    return [entry["step"] for entry in await run.all_entries() if entry["kind"] == "violation"]


async def test_what_is_overdue_is_journaled_once_over_restarts_and_kills(tmp_path: Path) -> None:
    clock = FakeClock()
    setup = setup_of((NOW,))
    async with running(tmp_path, clock, setup=setup, orderly=False) as run:
        await feed(run, clock, -10.0)
        clock.advance(HOUR + S)
        await looked(run)
        assert await steps(run) == ["violated", "overdue"]
    for orderly in (True, False):
        async with running(tmp_path, clock, setup=setup, orderly=orderly) as run:
            clock.advance(60 * S)
            await looked(run)
            assert await steps(run) == ["violated", "overdue"]
            assert run.intake.state.violations.open()[0]["overdue"] == ["acknowledge"]


async def test_no_deadline_is_over_while_nobody_vouches_for_the_clock(tmp_path: Path) -> None:
    clock = FakeClock()
    clock.trust = False
    async with running(tmp_path, clock, setup=setup_of((NOW,))) as run:
        await feed(run, clock, -10.0)
        clock.advance(100 * HOUR)
        await looked(run)
        assert await steps(run) == ["violated"]
        clock.trust = True
        with mock.patch("edge_gateway.intake.loop.LOOK_S", 0.0):
            await feed(run, clock, -10.0, -10.0)
            await looked(run)
        assert await steps(run) == ["violated", "timed"]
        assert run.intake.state.violations.open()[0]["due"]["acknowledge"] > clock.wall_us()


async def submitted(run: Running, clock: FakeClock) -> None:
    await feed(run, clock, -10.0, -20.0)
    await take(run, "ack")
    await take(run, "correct", **FULL | {"severity": run.intake.state.violations.open()[0]["severity"]})
    await take(run, "submit")


async def test_a_minor_one_closes_by_itself_while_readings_come_and_not_in_silence(tmp_path: Path) -> None:
    clock = FakeClock()
    setup = setup_of((MINOR,))
    async with running(tmp_path, clock, setup=setup) as run:
        await submitted(run, clock)
        clock.advance(25 * HOUR)
        await looked(run)
        assert "closed" not in await steps(run), "nobody knows what it is like there now"
        await feed(run, clock, -20.0)
        await looked(run)
        (closed,) = [entry for entry in await run.all_entries() if entry.get("step") == "closed"]
        assert (closed["by"], closed["proof"], closed["handling"]) == ("edge-gateway", "automatic", "closed")
    async with running(tmp_path, clock, setup=setup) as run:
        assert run.intake.state.violations.open() == []
        await feed(run, clock, -10.0)
        (again,) = run.intake.state.violations.open()
        assert (again["follows"]["violation"], again["follows"]["how"]) == ("tlf-007-1", "closed")


async def test_a_minor_one_does_not_close_by_itself_while_its_rule_is_not_armed(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock, setup=setup_of((MINOR,))) as run:
        await submitted(run, clock)
        clock.advance(24 * HOUR - 60 * S)
        await start_mark(run.intake, "cleaning", {"points": ["cold1-air"]}, 60 * 60 * S, ("li", "washing"))
        clock.advance(60 * S)
        await feed(run, clock, -10.0, -10.0)
        await looked(run)
        assert "closed" not in await steps(run), "its readings are beyond the limit, in shadow"
        await feed(run, clock, -20.0, -20.0)
        await looked(run)
        assert "closed" not in await steps(run), "nobody judges them"
        clock.advance(HOUR)
        await feed(run, clock, -20.0, -20.0)
        await looked(run)
        assert "closed" in await steps(run)


async def test_nobody_closes_what_recovered_while_its_rule_stands_and_sees_it_beyond_the_limit(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock, setup=setup_of((NOW,))) as run:
        await submitted(run, clock)
        await start_mark(run.intake, "cleaning", {"points": ["cold1-air"]}, 60 * 60 * S, ("li", "washing"))

        async def close() -> object:
            at, stamp = await run.intake.moment()
            state = run.intake.state
            bodies = taken(state.violations, Ask("close", "tlf-007-1", Who("hub.key", HUB), "seen"), at, state.doubtful)
            return await run.intake.add_violations(bodies, stamp)

        await feed(run, clock, -10.0, -10.0)
        with pytest.raises(StepRefused, match="not armed now"):
            await run.intake.command(close)
        await feed(run, clock, -20.0, -20.0)
        await run.intake.command(close)  # within the limit, as far as anybody sees
        assert (await steps(run))[-1] == "closed"


async def test_a_major_one_waits_for_a_second_person_however_long(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock, setup=setup_of((NOW,))) as run:
        await submitted(run, clock)
        clock.advance(1000 * HOUR)
        await feed(run, clock, -20.0)
        await looked(run)
        assert (await steps(run))[-1] == "overdue"


@pytest.mark.parametrize("segment", [8, 4096])
async def test_after_a_withdrawal_the_rule_is_armed_anew_also_after_a_kill(tmp_path: Path, segment: int) -> None:
    clock = FakeClock()
    setup = setup_of((replace(NOW, violation_after_us=60 * S),))
    async with running(tmp_path, clock, setup=setup, segment_entries=segment, orderly=False) as run:
        await feed(run, clock, *[-10.0] * 8)
        await take(run, "ask-withdrawal")
        await take(run, "withdraw")
        await flushed(run)
    async with running(tmp_path, clock, setup=setup, segment_entries=segment, orderly=False) as run:
        assert run.found.state.violations.open() == []
        assert run.found.state.engine.excursion("frozen-store", "cold1-air") is None
        begun = clock.wall_us() + 10 * S
        await feed(run, clock, *[-10.0] * 8)
        (again,) = run.intake.state.violations.open()
        assert (again["violation"], again["follows"]["violation"], again["level"]) == ("tlf-007-2", "tlf-007-1", "violation")
        assert again["first"]["wall_us"] == begun, "its own start"
