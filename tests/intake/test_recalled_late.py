"""The hub is reached only after thousands of own entries and a restart: its state is taken all the same, with everything since replayed behind it.

Planted: own entries that are not replayed. Then a mark that was set here since is forgotten.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge_gateway.app.recalling import Recalling
from edge_gateway.intake import recalling as taking
from edge_gateway.intake.adopting import adopt
from edge_gateway.intake.marking import start_mark
from edge_gateway.journal.base import Position, Recovery
from edge_gateway.marks import MINUTE_US
from edge_gateway.record import entry
from edge_gateway.sinks.base import Recalled
from edge_gateway.testing import FakeClock
from tests.intake.test_loop import Running, batch, flushed, running

#: More than a recall took into account once (8,192).
OWN = 9_000
FLOOR = 1_000
DELAY_US = 30 * MINUTE_US


def asks(run: Running) -> Recalling:
    """As a start makes it."""
    return Recalling(run.journal, Recovery(snapshot=None, entries=[]), "tlf-007", "log", None)


async def beyond(run: Running, clock: FakeClock, count: int, every_us: int) -> None:
    for number in range(count):
        clock.advance(every_us)
        await run.intake.inbox.put(batch(clock, -10.0))
        if every_us >= 1_000_000 or number % 1_000 == 999:
            await flushed(run)
    await flushed(run)


async def lost(folder: Path, clock: FakeClock) -> tuple[Recalled, list[dict[str, Any]], str, int]:
    """What a hub holds of a record that is gone: its state, what stands open, a mark, and when the delay began (rule time)."""
    async with running(folder, clock) as run:
        mark = await start_mark(run.intake, "cleaning", {"points": ["cold1-rh"]}, 240 * MINUTE_US, ("li", "the drain"))
        await beyond(run, clock, 2, 1_000_000)
        entries = await run.all_entries()
        open_ = [record | {"at": {"epoch": run.journal.epoch, "seq": len(entries)}} for record in run.intake.state.violations.records()]
        epoch = run.journal.epoch
    texts = {path.name: path.read_bytes() for path in (folder / "texts").iterdir()}
    taken = Recalled(epoch=epoch, first=0, entries=tuple(entry.canonical(body) for body in entries), texts=texts)
    return taken, open_, str(mark["mark"]), next(e["rule_us"] for e in entries if e["kind"] == "batch")


async def taken_late(folder: Path, clock: FakeClock, own: int) -> tuple[set[str], set[str], int]:
    """Marks that must stand, marks that do, and how long after the delay began the violation came (µs)."""
    taken, open_, mark, began_us = await lost(folder / "lost", clock)
    marks = {mark}
    async with running(folder / "new", clock) as run:
        recall = asks(run)
        recall._since = Position(run.journal.epoch, 0)  # as it is before the first entry
        recall.intake = run.intake
        recall.want()
        await beyond(run, clock, own - 10, 100_000)
    async with running(folder / "new", clock) as run:
        recall = asks(run)
        recall.intake = run.intake
        assert recall.wanted, "the start before could not ask"
        recall.doubt(FLOOR)  # a mark that is set meanwhile takes nobody's number
        marks.add((await start_mark(run.intake, "cleaning", {"points": ["cold1-rh"]}, 20 * MINUTE_US, ("li", "again")))["mark"])
        assert len(marks) == 2
        await run.intake.command(lambda: adopt(run.intake, 1, open_, {}))
        await recall.take(taken, "hub", "")
        stand = {each["mark"] for each in run.intake.state.marks.running()}
        await beyond(run, clock, 200, 10_000_000)
        entries = await run.all_entries()
        assert any(e.get("event") == "state-recalled" and len(e) > 8 for e in entries), [e for e in entries if e.get("event")]
        violated = next(e for e in entries if e["kind"] == "violation" and e["step"] == "violated")
        before = run.intake.state.snapshot()
    async with running(folder / "new", clock) as run:
        assert run.found.state.snapshot()["marks"] == before["marks"], "a replay takes it at its place"
        assert run.found.state.violations.records() == before["violations"]
        assert not asks(run).wanted, "taken once"
    return marks, stand, violated["rule_us"] - began_us


async def test_a_state_that_comes_after_thousands_of_own_entries_is_taken(tmp_path: Path) -> None:
    marks, stand, after_us = await taken_late(tmp_path, FakeClock(), OWN)
    assert stand == marks
    assert DELAY_US <= after_us < DELAY_US + 20_000_000, "its delay ran on"


async def test_own_entries_that_are_not_replayed_are_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(_: Any) -> bool:
        return False

    monkeypatch.setattr(taking._Late, "_next", nothing)
    marks, stand, _ = await taken_late(tmp_path, FakeClock(), 20)
    assert len(marks - stand) == 1


@pytest.mark.parametrize("inline_bytes", [1 << 16, 16], ids=["in the entry", "as a text"])
async def test_a_state_that_was_taken_once_is_not_lost_by_taking_another(inline_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another time in the same run, from a hub that knows less: what was taken before stands among the own entries."""
    monkeypatch.setattr(entry, "MAX_INLINE_STATE_BYTES", inline_bytes)
    clock = FakeClock()
    taken, _, mark, _ = await lost(tmp_path / "lost", clock)
    async with running(tmp_path / "new", clock) as run:
        recall = asks(run)
        recall._since, recall.intake = Position(run.journal.epoch, 0), run.intake
        for told in (taken, Recalled(epoch=taken.epoch, first=0, entries=taken.entries[:3], texts=taken.texts)):
            recall.want()
            await recall.take(told, "hub", "")
            await beyond(run, clock, 3, 1_000_000)
            assert [each["mark"] for each in run.intake.state.marks.running()] == [mark]
        assert sum(e.get("event") == "state-recalled" for e in await run.all_entries()) == 2
