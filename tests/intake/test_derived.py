"""Derived points in the record: right behind their cause, judged, in its gaps, and as they were after a restart at any entry."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from edge_gateway.intake.state import Setup, State
from edge_gateway.reading import BAD_NO_ANSWER, BAD_STALE, Batch, GapClosed, GapOpened, Group, Note
from edge_gateway.testing import FakeClock
from tests.intake.test_loop import COLD, RULE, batch, flushed, running, setup_of
from tests.recompute.site import Site

HEAT = Group(id="heat.derived", device="derived", points=("heat",), interval_us=COLD.interval_us)
APART = Group(id="apart.derived", device="derived", points=("apart",), interval_us=COLD.interval_us)
AGES = [3 * COLD.interval_us]


def setup() -> Setup:
    """Degree-minutes of the store above -18 °C, and the difference of its two columns, with a rule on that."""
    rule = replace(RULE, id="apart-limit", point="apart", unit="K", high="-75", clear_high="-75", violation_after_us=0)
    plain = setup_of((RULE, rule))
    about = {"kind": "degree-minutes", "of": ["cold1-air"], "limit_cel": -18.0, "side": "above", "reset_after_us": 10**9}
    points: dict[str, Any] = plain.resolved["points"] | {
        "heat": {"unit": "K.min", "derived": about | {"max_age_us": AGES}},
        "apart": {"unit": "K", "derived": {"kind": "difference", "of": ["cold1-air", "cold1-rh"], "max_age_us": AGES * 2}},
    }
    groups: dict[str, Any] = plain.resolved["groups"] | {
        group.id: {"device": group.device, "points": list(group.points), "interval_us": group.interval_us}
        for group in (HEAT, APART)
    }
    return replace(
        plain,
        resolved=plain.resolved | {"points": points, "groups": groups},
        groups={**plain.groups, HEAT.id: HEAT, APART.id: APART},
    )


async def test_they_stand_behind_their_cause_in_its_slot_and_are_judged(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock, setup=setup()) as run:
        await run.intake.inbox.put(batch(clock, -10.0))
        await flushed(run)
        entries = [e for e in await run.all_entries() if e["kind"] in ("batch", "violation")]
        assert run.intake.latest[APART.id].values == [-70.0]
        assert run.intake.state.slots[HEAT.id] == run.intake.state.slots[COLD.id]
    cause = entries[0]
    derived = [e for e in entries if e["kind"] == "batch" and e["group"] != COLD.id]
    assert [(e["group"], e["values"]) for e in derived] == [(HEAT.id, [0.0]), (APART.id, [-70.0])]
    same = ("slot_us", "mono_us", "wall_us", "rule_us", "config_seq")
    assert all(e[key] == cause[key] for e in derived for key in same)
    judged = [(e["rule"], e["step"], e["seq"] > derived[1]["seq"]) for e in entries if e["kind"] == "violation"]
    assert ("apart-limit", "violated", True) in judged


async def test_a_gap_of_the_cause_is_theirs_too(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock, setup=setup()) as run:
        since = clock.mono_us()
        await run.intake.inbox.put(GapOpened(id="g", groups=(COLD.id,), reason="backed-off", since_slot_us=since))
        await run.intake.inbox.put(GapClosed(id="g", until_slot_us=since + 30_000_000, slots=3))
        await flushed(run)
        opened = next(e for e in await run.all_entries() if e["kind"] == "gap" and e["gap"] == "g")
        assert set(opened["groups"]) == {COLD.id, HEAT.id, APART.id}
        assert {run.intake.state.slots[group] for group in opened["groups"]} == {30_000_000}


async def forgotten(folder: Path) -> int:
    """N = 12 kills at random entries, seed 6, over segments of 16 entries: how often a restart found another state."""
    random, clock = Random(6), FakeClock()
    sums: dict[str, Any] = {}
    kept: dict[str, Any] = {}
    wrong = 0
    for number in range(12):
        async with running(folder, clock, setup=setup(), segment_entries=16, orderly=False) as run:
            found = run.found.state
            wrong += bool(number) and (found.derivation.snapshot(), found.kept) != (sums, kept)
            for _ in range(random.randrange(1, 9)):
                clock.advance(10_000_000)
                quality = [BAD_NO_ANSWER, "good"] if random.random() < 0.2 else None
                item: Batch = batch(clock, None if quality else random.uniform(-20, -10), quality=quality)
                item.keep = {"pulses": random.randrange(10**6)}
                await run.intake.inbox.put(item)
            if number % 4 == 0:  # then not again for longer than a segment
                note = Note(event="instrument-identified", detail={"device": "d", "identity": {"serial": str(number)}})
                await run.intake.inbox.put(note)
            await flushed(run)
            sums, kept = run.intake.state.derivation.snapshot(), dict(run.intake.state.kept)
            assert kept["cold1"] == item.keep
            if not wrong:
                assert kept["d"] == {"identity": {"serial": str(number // 4 * 4)}}
    assert sums["heat"]["sum"] > 0
    return wrong


async def test_a_restart_after_any_entry_finds_the_state_as_it_was(tmp_path: Path) -> None:
    assert await forgotten(tmp_path) == 0


@pytest.mark.parametrize("part", ["kept", "sums"])
async def test_a_snapshot_that_forgets_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    whole = State.snapshot
    monkeypatch.setattr(State, "snapshot", lambda state: whole(state) | {part: {}})
    assert await forgotten(tmp_path) > 0


async def test_an_input_from_before_a_power_cut_is_not_fresh(tmp_path: Path) -> None:
    """Another boot's monotonic clock begins at zero: by it alone the old reading would seem to come from the future."""
    clock = FakeClock(mono_us=10**12)
    site = Site(tmp_path / "site", clock)
    async with running(tmp_path / "state", clock, setup=site.setup(), orderly=False) as run:
        for item in site.round():
            await run.intake.inbox.put(item)
        await flushed(run)
        assert run.intake.latest["flow2.derived"].quality is None
    after = FakeClock(wall_us=clock.wall_us(), mono_us=10_000_000, boot="b00200000000")
    site.clock = after
    async with running(tmp_path / "state", after, setup=site.setup()) as run:
        while (meter := site.registers("meter")).values[1] is None:
            pass
        await run.intake.inbox.put(meter)
        await flushed(run)
        assert run.intake.latest["both.derived"].quality == [BAD_STALE]
