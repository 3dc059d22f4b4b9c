"""Intake against the real journal: what is judged is durable, in order, and a restart finds everything again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from edge_gateway.intake.loop import Intake
from edge_gateway.intake.recovery import Recovered, open_run, recover
from edge_gateway.intake.ruletime import resume
from edge_gateway.intake.state import Setup
from edge_gateway.journal.base import Position
from edge_gateway.journal.retention import JournalSettings
from edge_gateway.journal.store import Store, open_journal
from edge_gateway.reading import Batch, GapClosed, GapOpened, Group, Message
from edge_gateway.record import entry
from edge_gateway.rules.base import BoundRule, rules_document
from edge_gateway.telemetry import silent
from edge_gateway.testing import FakeClock

COLD = Group(id="cold1.0", device="cold1", points=("cold1-air", "cold1-rh"), interval_us=10_000_000)
RULE = BoundRule(
    id="frozen-store", pack="t", pack_version="1", edition="1", kind="limit", point="cold1-air", unit="Cel", high="-18",
    clear_high="-18.5", notice_after_us=0, violation_after_us=1_800_000_000, limit="≤ -18 Cel",
)  # fmt: skip


def setup_of(rules: tuple[BoundRule, ...] = (RULE,), **resolved: Any) -> Setup:
    document = {
        "site": {"id": "tlf-007"},
        "points": {"cold1-air": {"unit": "Cel"}, "cold1-rh": {"unit": "%"}},
        "groups": {COLD.id: {"device": "cold1", "points": list(COLD.points), "interval_us": COLD.interval_us}},
        "rules": rules_document(rules),
    }
    return Setup(resolved=document | resolved, groups={COLD.id: COLD}, texts={"rules/t.toml": b"#"}, rules=rules, software="t")


def batch(clock: FakeClock, air: float | None, *, quality: list[str] | None = None, slot_us: int | None = None) -> Batch:
    return Batch(
        group=COLD, mono_us=clock.mono_us(), wall_us=clock.wall_us(), values=[air, 60.0], quality=quality,
        slot_us=clock.mono_us() if slot_us is None else slot_us,
    )  # fmt: skip


class Running:
    """One run of intake, as the application composes it."""

    def __init__(self, journal: Store, intake: Intake, found: Recovered) -> None:
        self.journal, self.intake, self.found = journal, intake, found

    async def all_entries(self, epoch: str | None = None) -> list[dict[str, Any]]:
        info = next(e for e in self.journal.epochs() if epoch in (None, e.epoch))
        entries: list[dict[str, Any]] = []
        while data := await self.journal.read(
            Position(info.epoch, info.first + len(entries)), max_entries=100_000, max_bytes=1 << 26
        ):
            entries += [entry.decode(item) for item in data]
        return entries


@asynccontextmanager
async def running(
    folder: Path, clock: FakeClock, *, setup: Setup | None = None, segment_entries: int = 4096, orderly: bool = True
) -> AsyncIterator[Running]:
    settings = JournalSettings(max_bytes=1 << 30, segment_entries=segment_entries)
    journal = await open_journal(folder, settings=settings, clock=clock)
    recovery = journal.recover()
    found = await recover(journal, recovery, "tlf-007")
    rule_time, carried = resume(
        found.last, mono_us=clock.mono_us(), wall_us=clock.wall_us(), boot=clock.boot, trusted=clock.trusted(),
        base_us=found.base_us,
    )
    intake = Intake(
        journal=journal, state=found.state, rule_time=rule_time, clock=clock, commit_every_us=5_000, tell=silent
    )
    await open_run(intake, found, setup or setup_of(), clock, carried=carried, damaged=recovery.damaged)
    task = asyncio.create_task(intake.run())
    try:
        yield Running(journal, intake, found)
        if orderly:
            await intake.command(lambda: intake.add("event", {"event": "stopped"}))
            intake.inbox.close()
            await task
    finally:
        task.cancel()
        await asyncio.wait([task])
        await journal.close()


async def flushed(run: Running) -> None:
    """Everything handed over so far is durable."""
    async def nothing() -> None:
        return None

    await run.intake.command(nothing)


async def test_a_batch_is_durable_before_anybody_is_told(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock) as run:
        seen: list[int] = []
        item = batch(clock, -19.0)
        item.committed = lambda: seen.append(run.journal.committed_seq)
        await run.intake.inbox.put(item)
        await flushed(run)
        entries = await run.all_entries()
    assert [e["seq"] for e in entries] == list(range(len(entries)))
    (journaled,) = [e for e in entries if e["kind"] == "batch"]
    assert journaled["values"] == [-19.0, 60.0]
    assert journaled["config_seq"] == next(e["seq"] for e in entries if e["kind"] == "config")
    assert seen
    assert seen[0] > journaled["seq"]


async def test_a_violation_is_in_the_same_commit_and_survives_a_restart(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock) as run:
        for _ in range(2):
            await run.intake.inbox.put(batch(clock, -10.0))
            await flushed(run)
            clock.advance(1_800_000_000)
        await run.intake.inbox.put(batch(clock, -10.0))
        await flushed(run)
        steps = [e["step"] for e in await run.all_entries() if e["kind"] == "violation"]
        before = run.intake.state.violations.open()
    assert steps == ["notice", "violated"]
    async with running(tmp_path, clock) as run:
        assert run.intake.state.violations.open() == before
        await run.intake.inbox.put(batch(clock, -20.0))
        await flushed(run)
        steps = [e["step"] for e in await run.all_entries() if e["kind"] == "violation"]
    assert steps == ["notice", "violated", "recovered"]


@pytest.mark.parametrize("orderly", [True, False])
async def test_a_delay_runs_on_through_a_restart_in_the_same_boot(tmp_path: Path, orderly: bool) -> None:
    """Power-cycling the service does not dodge a rule."""
    clock = FakeClock()
    async with running(tmp_path, clock, orderly=orderly) as run:
        await run.intake.inbox.put(batch(clock, -10.0))
        await flushed(run)
    clock.advance(1_900_000_000)
    async with running(tmp_path, clock) as run:
        await run.intake.inbox.put(batch(clock, -10.0))
        await flushed(run)
        entries = await run.all_entries()
    assert [e["step"] for e in entries if e["kind"] == "violation"] == ["notice", "violated"]
    gap = next(e for e in entries if e["kind"] == "gap" and e["state"] == "open")
    assert gap["reason"] == ("stopped" if orderly else "killed")
    assert next(e for e in entries if e["kind"] == "gap" and e["state"] == "closed")["slots"] == 190


async def test_an_untrusted_boot_adds_no_rule_time_and_is_corrected_later(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock) as run:
        await run.intake.inbox.put(batch(clock, -10.0))
        await flushed(run)
    later = FakeClock(wall_us=1_700_000_000_000_000, mono_us=5_000_000, boot="b00200000000")
    later.trust = False
    async with running(tmp_path, later) as run:
        await run.intake.inbox.put(batch(later, -10.0))
        await flushed(run)
        later.trust = True
        later.step_wall(60_000_000_000_000)
        run.intake._clock_looked_s = -1e9  # the clock is looked at once a second of real time
        later.advance(1_000_000)
        await run.intake.inbox.put(batch(later, -10.0))
        await flushed(run)
        await flushed(run)
        entries = await run.all_entries()
    assert [e["step"] for e in entries if e["kind"] == "violation"] == ["notice"]
    assert next(e for e in entries if e.get("event") == "started" and e["boot"] == later.boot)["rule_time"] == "unknown"
    (correction,) = [e for e in entries if e["kind"] == "correction"]
    assert correction["boot"] == later.boot
    assert correction["offset_us"] == later.wall_us() - later.mono_us()
    assert correction["step_us"] == 60_000_000_000_000
    assert [e["trusted"] for e in entries if e["kind"] == "batch"] == [True, False, True]


async def test_each_segment_opens_with_a_snapshot_that_a_restart_can_use(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock, segment_entries=8) as run:
        for n in range(40):
            await run.intake.inbox.put(batch(clock, -10.0 if n > 20 else -20.0))
            clock.advance(10_000_000)
        await run.intake.inbox.put(GapOpened(id="cold1.0/1", groups=("cold1.0",), reason="backed-off", since_slot_us=clock.mono_us()))
        await flushed(run)
        entries = await run.all_entries()
        state = run.intake.state.snapshot()
    assert all((e["kind"] == "snapshot") == (e["seq"] % 8 == 0) for e in entries)
    async with running(tmp_path, clock, segment_entries=8, orderly=False) as run:
        await flushed(run)
        recovered = run.found.state.snapshot()
        gaps = [e for e in await run.all_entries() if e["kind"] == "gap"]
    assert recovered["rules"] == state["rules"]
    assert recovered["violations"] == state["violations"]
    assert recovered["gaps"] == {}
    assert [(g["gap"], g["state"]) for g in gaps][:2] == [("cold1.0/1", "open"), ("cold1.0/1", "closed")]


async def test_gaps_are_entries_with_their_reason(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock) as run:
        await run.intake.inbox.put(GapOpened(id="g/1", groups=("cold1.0",), reason="unreachable", since_slot_us=7, detail="refused"))
        await run.intake.inbox.put(GapClosed(id="g/1", until_slot_us=20_000_007, slots=2))
        await flushed(run)
        gaps = [e for e in await run.all_entries() if e["kind"] == "gap"]
    assert gaps[0]["reason"] == "unreachable"
    assert gaps[0]["detail"] == "refused"
    assert gaps[1] | {"slots": 2, "until_slot_us": 20_000_007} == gaps[1]


async def test_time_passes_on_record_where_nothing_else_happens_and_a_restart_replays_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_gateway.intake.loop.TICK_EVERY_S", 0.2)
    monkeypatch.setattr("edge_gateway.intake.loop.LOOK_S", 0.05)
    clock = FakeClock()
    async with running(tmp_path, clock, setup=setup_of(rules=())) as run:
        for _ in range(6):
            clock.advance(20_000_000)
            await asyncio.sleep(0.2)
        entries = await run.all_entries()
        ticks = [e for e in entries if e["kind"] == "tick"]
        assert 3 <= len(ticks) <= 6
        assert [e["rule_us"] for e in ticks] == sorted({e["rule_us"] for e in ticks}), "rule time moves on with them"
        assert run.intake.committed_s > 0
    async with running(tmp_path, clock, setup=setup_of(rules=())) as run:
        assert (await run.all_entries())[: len(entries)] == entries


async def test_a_new_epoch_names_the_one_before(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock) as run:
        await run.intake.inbox.put(batch(clock, -20.0))
        await flushed(run)
        old = run.journal.epoch
        size = run.journal.committed_seq
        await run.intake.command(lambda: run.intake.open_epoch("roll-back"))
        await run.intake.inbox.put(batch(clock, -20.0))
        await flushed(run)
        first = (await run.all_entries(run.journal.epoch))[0]
    assert first["kind"] == "snapshot"
    assert first["seq"] == 0
    assert first["previous"]["epoch"] == old
    assert first["previous"]["size"] == size
    assert first["previous"]["reason"] == "roll-back"
    assert len(first["previous"]["root"]) == 64


async def test_a_reload_keeps_what_a_rule_knows(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock) as run:
        await run.intake.inbox.put(batch(clock, -10.0))
        await flushed(run)
        clock.advance(1_000_000_000)
        await run.intake.command(lambda: run.intake.apply(setup_of(site={"id": "tlf-007", "name_en": "x"}), by="root", reason="reload"))
        clock.advance(900_000_000)
        await run.intake.inbox.put(batch(clock, -10.0))
        await flushed(run)
        entries = await run.all_entries()
    config = [e for e in entries if e["kind"] == "config"][-1]
    assert config["changes"] == [{"key": "site.name_en", "old": None, "new": "x"}]
    assert [e["step"] for e in entries if e["kind"] == "violation"] == ["notice", "violated"]


async def test_a_message_committed_just_before_a_segment_rolls_is_still_known_after_a_restart(tmp_path: Path) -> None:
    """The broker may send it again with DUP; the snapshot that opens the new segment remembers it."""
    clock = FakeClock()
    message = Message(topic="t", payload=b"21.5", packet_id=7)
    async with running(tmp_path, clock, segment_entries=8, orderly=False) as run:
        item = batch(clock, -20.0)
        item.message = message
        await run.intake.inbox.put(item)
        for _ in range(12):
            await run.intake.inbox.put(batch(clock, -20.0))
        await flushed(run)
    async with running(tmp_path, clock, segment_entries=8, orderly=False) as run:
        assert run.found.state.messages == {("t", 7): sha256(b"21.5").hexdigest()}


async def test_a_batch_read_before_the_clock_was_trusted_is_not_vouched_for(tmp_path: Path) -> None:
    """It waited here while the clock was set: its wall time is the old clock's, and only the correction mends it."""
    clock = FakeClock()
    clock.trust = False
    async with running(tmp_path, clock) as run:
        early = batch(clock, -20.0)
        run.intake._clock_looked_s -= 10.0
        clock.advance(1_000_000)
        clock.step_wall(86_400_000_000)
        clock.trust = True
        await run.intake.inbox.put(early)
        await flushed(run)
        await run.intake.inbox.put(batch(clock, -20.0))
        await flushed(run)
        entries = await run.all_entries()
        assert [e["trusted"] for e in entries if e["kind"] == "batch"] == [False, True]
        (correction,) = [e for e in entries if e["kind"] == "correction"]
        assert correction["seq"] > next(e["seq"] for e in entries if e["kind"] == "batch")


async def test_a_large_change_of_the_configuration_fits_into_its_entry(tmp_path: Path) -> None:
    """5,000 points under one rule: the rule's change would be the whole list, twice."""
    clock = FakeClock()
    many = [{"id": "r", "high": "1", "points": [f"point-with-a-long-name-{n:06d}" for n in range(5_000)]}]
    async with running(tmp_path, clock) as run:
        await run.intake.command(lambda: run.intake.apply(setup_of(many=many), by="t", reason="reload"))
        less = [many[0] | {"high": "2"}]
        wide = {f"key-{n}": "x" * 900 for n in range(180)}
        await run.intake.command(lambda: run.intake.apply(setup_of(many=less, wide=wide), by="t", reason="reload"))
        config = [e for e in await run.all_entries() if e["kind"] == "config"][-1]
        named = {change["key"]: change for change in config["changes"]}
        canonical = entry.canonical(less)
        assert named["many"]["new"] == {"sha256": entry.text_hash(canonical), "bytes": len(canonical)}
        assert len(entry.canonical(config)) < entry.MAX_ENTRY_BYTES
        assert len(config["changes"]) + config.get("more", 0) == 2


async def test_a_command_that_asks_for_too_large_an_entry_is_refused_and_ends_nothing(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock) as run:
        with pytest.raises(ValueError, match="more than"):
            await run.intake.command(lambda: run.intake.add("event", {"event": "x", "detail": "x" * 300_000}))
        await run.intake.inbox.put(batch(clock, -20.0))
        await flushed(run)
        assert (await run.all_entries())[-1]["kind"] == "batch"
