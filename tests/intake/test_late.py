"""What comes late by its own zoned time: marked before it is journaled, remembered over a restart, and judged again the same."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge_gateway.intake.late import OwnTimes
from edge_gateway.journal.reading import Reading
from edge_gateway.reading import Batch, Message
from edge_gateway.recompute.core import Recompute
from edge_gateway.testing import FakeClock
from tests.intake.test_loop import COLD, RULE, batch, flushed, running, setup_of

S = 1_000_000


def message(clock: FakeClock, air: float | None, own_us: int | None, quality: list[str] | None = None) -> Batch:
    found = batch(clock, air, quality=quality)
    found.message = Message(topic="t", payload=b"{}", time_us=own_us)
    return found


async def test_what_is_late_is_stored_and_marked_and_opens_nothing(tmp_path: Path) -> None:
    clock = FakeClock()
    wall = clock.wall_us()
    asked: list[tuple[float | None, int | None, list[str] | None]] = [
        (-20.0, wall, None),
        (-10.0, wall - S, None),  # older than the last judged
        (-20.0, wall, None),  # as old is not older
        (-10.0, wall + 3600 * S, ["uncertain:future", "good"]),  # moves no mark of the air
        (-20.0, wall + S, None),
        (-10.0, wall - 2 * S, ["uncertain:off-span", "bad:range"]),
    ]
    async with running(tmp_path, clock, setup=setup_of(gateway="tlf-007")) as run:
        for air, own, quality in asked:
            await run.intake.inbox.put(message(clock, air, own, quality))
            await flushed(run)
        assert run.intake.state.own.known == {"cold1-air": wall + S, "cold1-rh": wall + 3600 * S}
        before = run.intake.state.snapshot()
    async with running(tmp_path, clock, setup=setup_of(gateway="tlf-007")) as run:
        assert run.found.state.snapshot()["own"] == before["own"], "a restart forgets none"
        await run.intake.inbox.put(message(clock, -10.0, wall))
        await run.intake.inbox.put(batch(clock, -10.0))  # timed by us: never late
        await flushed(run)
        entries = await run.all_entries()
        assert [v["rule"] for v in run.intake.state.violations.open()] == ["frozen-store"]
    words = [e.get("quality") for e in entries if e["kind"] == "batch"]
    assert words == [
        None, ["uncertain:late"] * 2, None, ["uncertain:future", "good"], ["good", "uncertain:late"],
        ["uncertain:late", "bad:range"], ["uncertain:late"] * 2, None,
    ]  # fmt: skip
    (opened,) = [e for e in entries if e["kind"] == "violation"]
    assert opened["seq"] == entries[-2]["seq"] or opened["seq"] > entries[-4]["seq"], "only the reading that was timed here opened it"
    reading = Reading(tmp_path)
    again = Recompute(reading.text)
    for epoch, entry in reading.entries():
        again.take(epoch, entry)
    again.end()
    reading.close()
    assert again.findings.first is None or again.findings.first.point != "cold1-air", again.findings.first
    assert again.findings.judged.differs == 0
    assert again.findings.judged.same == {"limit": 1}


async def test_a_wrong_mark_is_named(tmp_path: Path) -> None:
    """A reading called late that is not would hide an excursion; one that is late, called good, would forge one."""
    clock = FakeClock()
    wall = clock.wall_us()
    rule = replace(RULE, semantics=2)
    async with running(tmp_path, clock, setup=setup_of((rule,), gateway="tlf-007")) as run:
        for air, own in ((-20.0, wall), (-20.0, wall + S), (-20.0, wall - S)):
            await run.intake.inbox.put(message(clock, air, own))
            await flushed(run)
    reading = Reading(tmp_path)
    entries = list(reading.entries())
    for planted, word in ((None, ""), (1, "uncertain:late"), (2, "good")):
        again = Recompute(reading.text)
        batches = 0
        for epoch, entry in copy.deepcopy(entries):
            if entry["kind"] == "batch":
                if batches == planted:
                    entry["quality"] = [word, word]
                batches += 1
            again.take(epoch, entry)
        found = again.findings.differs["lateness"]
        assert found == (0 if planted is None else 2), planted
    reading.close()


async def test_a_clock_that_nobody_vouches_for_moves_no_mark(tmp_path: Path) -> None:
    """Else one message from 2099, before the clock was set, would keep all later ones from being judged."""
    clock = FakeClock()
    clock.trust = False
    async with running(tmp_path, clock) as run:
        await run.intake.inbox.put(message(clock, -20.0, clock.wall_us() + 10**15))
        await flushed(run)
        assert run.intake.state.own.known == {}
    clock.trust = True
    async with running(tmp_path, clock) as run:
        await run.intake.inbox.put(message(clock, -10.0, clock.wall_us()))
        await flushed(run)
        assert run.intake.state.own.known == {point: clock.wall_us() for point in COLD.points}
        assert len(run.intake.state.violations.open()) == 1


def test_what_is_remembered_is_bounded_and_never_goes_back(monkeypatch: Any) -> None:
    from edge_gateway.intake import late

    monkeypatch.setattr(late, "MOST_POINTS", 3)
    own = OwnTimes()
    for at, point in enumerate("abcd"):
        own.judged((point,), None, at)
    assert own.known == {"b": 1, "c": 2, "d": 3}
    own.judged(("b",), None, 0)
    assert own.known["b"] == 1
    assert own.marked(("b", "d"), None, 2) == ["good", "uncertain:late"]
    assert own.marked(("b",), ["bad:range"], 0) == ["bad:range"], "what is bad stays bad"
