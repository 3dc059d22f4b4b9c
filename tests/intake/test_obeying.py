"""Hub commands at the gateway: answered once, in the record before their effect, whatever comes how often; a forgetful gateway is found."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random
from typing import Any

import pytest

from edge_gateway.commands import MAX_KNOWN, Ledger
from edge_gateway.intake import obeying
from edge_gateway.intake.obeying import MAX_STRANGE, Obeying
from edge_gateway.intake.state import Setup
from edge_gateway.record.note import Key
from edge_gateway.rules.base import BoundRule
from edge_gateway.testing import FakeClock
from edge_gateway.violations import Ask, Who
from edge_gateway.wire.command import HubCommand, said
from tests.intake.test_loop import RULE, Running, batch, flushed, running, setup_of
from tests.vectors.make_hub_commands import GOOD, HUB, OTHER, note, text
from tests.violations.acts import FULL

MAJOR = BoundRule(**{**{k: getattr(RULE, k) for k in RULE.__dataclass_fields__}, "severity": "major"})
ID = "tlf-007-1"
HOUR_US = 3_600_000_000


def setup() -> Setup:
    return setup_of((MAJOR,))


def obey(run: Running, key: Key | None = None) -> Obeying:
    return Obeying(run.intake, "tlf-007", key or Key.parse(HUB.vkey))


async def submitted(run: Running, clock: FakeClock) -> None:
    """A violation that was opened, corrected, submitted."""
    for value in (-10.0, -10.0, -20.0):
        await run.intake.inbox.put(batch(clock, value))
        await flushed(run)
        clock.advance(1_900_000_000)
    for step, detail in (("ack", {}), ("correct", FULL), ("submit", {})):
        await taken(run, step, detail)


async def taken(run: Running, step: str, detail: dict[str, Any]) -> None:
    async def act() -> object:
        at, stamp = await run.intake.moment()
        return await run.intake.add_violations(run.intake.state.violations.take(Ask(step, ID, Who("Wang"), "because", detail), at), stamp)

    await run.intake.command(act)


def command(run: Running, clock: FakeClock, verb: str = "return", number: int = 1, **more: str) -> bytes:
    """A command about the violation as it stands, signed by the hub."""
    record = next(iter(run.intake.state.violations.records()))
    state = f"{record['condition']} {record['handling']} {record['episode']} {record.get('returns', 0)}"
    lines = GOOD | {
        "id": f"{number:032x}", "epoch": record["opened"]["epoch"], "opened": str(record["opened"]["seq"]), "violation": ID, "verb": verb,
        "expected": state, "issued": said(clock.wall_us()), "expires": said(clock.wall_us() + HOUR_US),
    }  # fmt: skip
    body = text(lines | more)
    HubCommand.parse(body)
    return note(body)


async def heard(run: Running, by: Obeying, *notes: bytes) -> list[dict[str, Any]]:
    """The entries that these notes leave."""
    before = len(await run.all_entries())
    by.hear(notes)
    await flushed(run)
    return [e for e in (await run.all_entries())[before:] if e["kind"] in ("command", "violation")]


async def test_a_command_stands_in_the_record_before_its_step_and_says_who_old_new_why(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock, setup=setup()) as run:
        await submitted(run, clock)
        signed = command(run, clock)
        answer, step = await heard(run, obey(run), signed)
        assert (answer["kind"], answer["outcome"], step["kind"], step["step"]) == ("command", "executed", "violation", "returned")
        assert step["seq"] == answer["seq"] + 1
        assert (answer["by"], answer["reason"], answer["verb"], answer["hub"]) == ("李华", GOOD["reason"], "return", HUB.name)
        assert [answer[key]["handling"] for key in ("old", "new")] == ["submitted", "correcting"]
        assert (step["by"], step["proof"], step["handling"], step["returns"], step["command"]) == ("李华", "hub", "correcting", 1, answer["id"])
        assert answer["note"].encode() == signed
        assert answer["opened"] == run.intake.state.violations.records()[0]["opened"]


async def test_each_verb_reaches_its_step(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock, setup=setup()) as run:
        await submitted(run, clock)
        by = obey(run)
        due_us = run.intake.state.violations.records()[0]["due"]["verify"]
        until = said(due_us + HOUR_US)
        for number, (verb, more) in enumerate((("refer", {"to": "ecology"}), ("extend", {"deadline": "verify", "until": until}), ("verify", {}))):
            answer, step = await heard(run, by, command(run, clock, verb, number, **more))
            assert (answer["outcome"], step["step"]) == ("executed", {"refer": "referred", "extend": "extended", "verify": "closed"}[verb])
        assert run.intake.state.violations.open() == []
        assert answer["new"]["handling"] == "closed"
        assert [e.get("referred") for e in await run.all_entries() if e["kind"] == "violation"][-1] == "ecology"
        assert [e["new_us"] // 1_000_000 for e in await run.all_entries() if e.get("step") == "extended"] == [(due_us + HOUR_US) // 1_000_000]


async def test_the_same_command_again_changes_nothing_and_adds_no_entry(tmp_path: Path) -> None:
    """`refer` leaves the state as it is: only the ledger keeps it from being executed twice. Again at once, later, after a stop, after a kill."""
    clock = FakeClock()
    async with running(tmp_path, clock, setup=setup(), segment_entries=8) as run:
        await submitted(run, clock)
        signed, by = command(run, clock, "refer", to="ecology"), obey(run)
        assert len(await heard(run, by, signed, signed)) == 2
        assert await heard(run, by, signed) == []
        assert await heard(run, obey(run), signed) == []
    for orderly in (False, True):
        async with running(tmp_path, clock, setup=setup(), segment_entries=8, orderly=orderly) as run:
            assert await heard(run, obey(run), signed) == []
            for _ in range(20):  # beyond the next snapshot
                await run.intake.inbox.put(batch(clock, -20.0))
                clock.advance(10_000_000)
            await run.intake.command(lambda: run.intake.open_epoch("damage"))
            assert await heard(run, obey(run), signed) == []


async def referred(folder: Path, clock: FakeClock, hears: int) -> int:
    """How often a command was executed that came so often, in two runs."""
    async with running(folder, clock, setup=setup(), segment_entries=8) as run:
        await submitted(run, clock)
        signed = command(run, clock, "refer", to="ecology")
        await heard(run, obey(run), signed)
        for _ in range(10):
            await run.intake.inbox.put(batch(clock, -20.0))
            clock.advance(10_000_000)
    async with running(folder, clock, setup=setup(), segment_entries=8) as run:
        for _ in range(hears):
            await heard(run, obey(run), signed)
        return len([e for e in await run.all_entries() if e.get("step") == "referred"])


@pytest.mark.parametrize("forgets", ["note", "replay and snapshot"])
async def test_a_gateway_that_forgets_executed_ids_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forgets: str) -> None:
    assert await referred(tmp_path / "sound", FakeClock(), 3) == 1
    if forgets == "note":
        monkeypatch.setattr(Ledger, "note", lambda *_: None)
    else:
        monkeypatch.setattr(Ledger, "replay", lambda *_: None)
        monkeypatch.setattr(Ledger, "snapshot", lambda _: [])
    assert await referred(tmp_path / "forgetful", FakeClock(), 3) > 1


async def test_a_kill_before_the_commit_leaves_neither_answer_nor_step_and_it_is_executed_when_it_comes_again(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock, setup=setup()) as run:
        await submitted(run, clock)
    async with running(tmp_path, clock, setup=setup(), orderly=False) as run:
        await flushed(run)
        signed, by = command(run, clock, "refer", to="health"), obey(run)
        before = len(await run.all_entries())
        run.intake._commit = _never  # type: ignore[method-assign]
        by.hear([signed])
        await asyncio.sleep(0.05)
        assert len(await run.all_entries()) == before
        assert run.intake.state.commands.outcome(f"{1:032x}") == "executed"  # in memory
    async with running(tmp_path, clock, setup=setup()) as run:
        assert run.intake.state.violations.records()[0].get("referred") is None
        assert [e["kind"] for e in await heard(run, obey(run), signed)] == ["command", "violation"]


async def _never() -> None:
    return None


async def test_a_stale_one_is_refused_with_the_present_state_and_for_good(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock, setup=setup()) as run:
        await submitted(run, clock)
        verify, by = command(run, clock, "verify", 2), obey(run)
        await heard(run, by, command(run, clock, "return", 1))
        (refused,) = await heard(run, by, verify)
        assert (refused["outcome"], refused["why"]) == ("refused", "stale")
        assert refused["old"] == {"condition": "recovered", "handling": "correcting", "episode": 1, "returns": 1}
        await taken(run, "submit", {})
        assert await heard(run, by, verify) == []
        again = command(run, clock, "verify", 3, expected="recovered submitted 1 0")  # what was returned is not what was submitted anew
        assert [e["why"] for e in await heard(run, by, again)] == ["stale"]


async def test_what_the_table_of_steps_forbids_is_refused_with_its_sentence(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock, setup=setup()) as run:
        await submitted(run, clock)
        await heard(run, obey(run), command(run, clock, "return", 1))
        for number, verb in enumerate(("return", "verify"), 2):
            (refused,) = await heard(run, obey(run), command(run, clock, verb, number))
            assert (refused["why"], "nothing was submitted" in refused["said"]) == ("not-permitted", True)
        late = said(clock.wall_us() + 400 * 24 * HOUR_US)
        for number, more in enumerate(({"deadline": "verify", "until": late}, {"deadline": "correct", "until": late}), 4):
            (refused,) = await heard(run, obey(run), command(run, clock, "extend", number, **more))
            assert refused["why"] == "not-permitted"
        (refused,) = await heard(run, obey(run), command(run, clock, "refer", 6, to="生态环境"))
        assert refused["why"] == "not-permitted"
        assert run.intake.state.violations.records()[0]["handling"] == "correcting"


async def test_what_is_no_command_of_our_hub_moves_nothing_and_is_said_once(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock, setup=setup()) as run:
        await submitted(run, clock)
        good = command(run, clock, "refer", to="ecology")
        body = good.decode().partition("\n\n")[0] + "\n"
        strange = {
            "foreign-key": note(body, OTHER), "malformed": b"\xff" + good, "other-gateway": command(run, clock, "refer", 5, to="ecology", gateway="tlf-008"),
            "no-violation": command(run, clock, "refer", 6, to="ecology", violation="tlf-007-9"),
            "other-violation": command(run, clock, "refer", 7, to="ecology", opened="1"),
            "expired": command(run, clock, "refer", 8, to="ecology", issued=said(clock.wall_us() - 2 * HOUR_US), expires=said(clock.wall_us() - 62_000_000)),
            "ahead": command(run, clock, "refer", 9, to="ecology", issued=said(clock.wall_us() + 62_000_000)),
        }  # fmt: skip
        before, by = run.intake.state.violations.records(), obey(run)
        for why, each in strange.items():
            (answer,) = await heard(run, by, each)
            assert (answer["outcome"], answer["why"], bool(answer["said"])) == ("refused", why, True)
            assert await heard(run, by, each) == []
        changed = good.replace(b"ecology", b"health")
        assert [e["why"] for e in await heard(run, by, changed)] == ["foreign-key"]
        assert [e["why"] for e in await heard(run, Obeying(run.intake, "tlf-007", None), good)] == ["no-key"]
        assert run.intake.state.violations.records() == before
        assert [e["outcome"] for e in (await heard(run, by, good))[:1]] == ["executed"]  # none of them spent the good one's id


async def test_strange_notes_fill_no_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, rng = FakeClock(), Random(1)
    async with running(tmp_path, clock, setup=setup()) as run:
        by = obey(run)
        for _ in range(3 * MAX_STRANGE):
            await heard(run, by, rng.randbytes(30))
        assert len([e for e in await run.all_entries() if e["kind"] == "command"]) == MAX_STRANGE
        monkeypatch.setattr(obeying, "STRANGE_S", 0.0)
        assert len(await heard(run, by, b"x")) == 1


async def test_while_nobody_vouches_for_the_clock_it_is_deferred_once_and_executed_when_somebody_does(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock, setup=setup()) as run:
        await submitted(run, clock)
        signed = command(run, clock)
    clock.trust = False
    async with running(tmp_path, clock, setup=setup()) as run:
        (deferred,) = await heard(run, obey(run), signed)
        assert (deferred["outcome"], deferred["why"], deferred["trusted"]) == ("deferred", "clock-untrusted", False)
        assert await heard(run, obey(run), signed) == []
    async with running(tmp_path, clock, setup=setup()) as run:
        assert await heard(run, obey(run), signed) == []
        assert run.intake.state.violations.records()[0]["handling"] == "submitted"
    clock.trust = True
    async with running(tmp_path, clock, setup=setup()) as run:
        assert [e["kind"] for e in await heard(run, obey(run), signed)] == ["command", "violation"]
        assert await heard(run, obey(run), signed) == []


async def test_no_further_command_is_taken_while_so_many_could_come_again(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock, setup=setup()) as run:
        await submitted(run, clock)
        state = run.intake.state.commands
        for number in range(100, 100 + MAX_KNOWN):
            state.note(f"{number:032x}", "executed", clock.wall_us() + HOUR_US, clock.wall_us())
        signed, by = command(run, clock, "refer", to="ecology"), obey(run)
        (refused,) = await heard(run, by, signed)
        assert (refused["why"], "id" in refused) == ("too-many", False)
        assert await heard(run, by, signed) == []
        clock.advance(2 * HOUR_US)
        fresh = command(run, clock, "refer", 2, to="ecology")
        assert [e["kind"] for e in await heard(run, by, fresh)] == ["command", "violation"]


async def test_who_verifies_a_persons_finding_states_that_it_is_over(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock, setup=setup()) as run:

        async def found() -> object:
            at, stamp = await run.intake.moment()
            detail = {"severity": "minor", "title": "a cracked tile", "zone": "cold1"}
            return await run.intake.add_violations(run.intake.state.violations.find(Ask("open", "", Who("Wang"), "seen", detail), at), stamp)

        await run.intake.command(found)
        (refused,) = await heard(run, obey(run), command(run, clock, "verify", 1))
        assert refused["why"] == "not-permitted"
        assert run.intake.state.violations.records()[0]["condition"] == "active"
        for step, detail in (("ack", {}), ("correct", FULL | {"severity": "minor"}), ("submit", {})):
            await taken(run, step, detail)
        answer, stated, closed = await heard(run, obey(run), command(run, clock, "verify", 2))
        assert (answer["outcome"], answer["new"]["handling"], stated["statement"]) == ("executed", "closed", GOOD["reason"])
        assert (stated["step"], closed["step"], stated["command"], closed["command"]) == ("recovered", "closed", answer["id"], answer["id"])
