"""A step whose entry cannot be made has not been taken: marks, phases, violations and hub commands are as they were, and go on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_gateway.intake import marking
from edge_gateway.intake.loop import Intake
from edge_gateway.intake.marking import end_mark, extend_mark, start_mark
from edge_gateway.intake.phasing import next_phase, sign_item
from edge_gateway.page.persons import Persons
from edge_gateway.phases import Signer
from edge_gateway.record import entry
from edge_gateway.testing import FakeClock
from tests.intake.test_loop import RULE, Running, running, setup_of
from tests.intake.test_marking import MINUTE_US, POINT, WHO, read
from tests.intake.test_obeying import command, heard, obey, submitted
from tests.violations.acts import FULL

LI = Signer(name="li", proven=False, reason="looked")
SETUP = setup_of((replace(RULE, severity="major"),), phases={"hands": {"phase": "pre-start"}, "tidy": {"phase": "production"}})
Step = Callable[[Running], Awaitable[object]]


async def _violation(run: Running, verb: str, **asked: Any) -> object:
    persons = Persons(run.intake, run.journal, None)
    if verb == "open":
        return await persons.find({"reason": "seen", "severity": "minor", **asked}, "li")
    return await persons.step(verb, "tlf-007-1", {"reason": "because", **asked}, "li")


STEPS: dict[str, Step] = {
    "mark start": lambda run: start_mark(run.intake, "calibration", POINT, 30 * MINUTE_US, WHO),
    "mark extend": lambda run: extend_mark(run.intake, "M-1", 50 * MINUTE_US, WHO),
    "mark end": lambda run: end_mark(run.intake, "M-1", WHO),
    "phase next": lambda run: next_phase(run.intake, LI),
    "phase sign": lambda run: sign_item(run.intake, "hands", LI),
    "violations ack": lambda run: _violation(run, "ack"),
    "violations correct": lambda run: _violation(run, "correct", **FULL),
    "violations submit": lambda run: _violation(run, "submit"),
    "violations open": lambda run: _violation(run, "open", title="water on the floor"),
}


def failing(monkeypatch: pytest.MonkeyPatch, on: list[bool]) -> None:
    """While ``on``, no entry of a person's step can be made."""
    real = entry.encode

    def encode(seq: int, kind: str, stamp: entry.Stamp, body: dict[str, Any]) -> bytes:
        if on[0] and kind in ("mark", "phase", "violation"):
            raise ValueError("planted: it would be too large")
        return real(seq, kind, stamp, body)

    monkeypatch.setattr(entry, "encode", encode)


async def each_fails_then_goes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step fails first, must leave nothing, and is taken then; a restart finds what was."""
    on, clock = [False], FakeClock()
    failing(monkeypatch, on)
    async with running(folder, clock, setup=SETUP) as run:
        await read(run, clock, -10.0, 35)
        await read(run, clock, -20.0, 1)
        for name, step in STEPS.items():
            before, count = run.intake.state.snapshot(), len(await run.all_entries())
            on[0] = True
            with pytest.raises(ValueError, match="planted"):
                await step(run)
            on[0] = False
            assert run.intake.state.snapshot() == before, name
            assert len(await run.all_entries()) == count, name
            await step(run)
            assert len(await run.all_entries()) > count, name
        after = run.intake.state.snapshot()
    async with running(folder, clock, setup=SETUP) as run:
        found = run.found.state.snapshot()
        assert {key: found[key] for key in ("marks", "phase", "violations")} == {key: after[key] for key in ("marks", "phase", "violations")}


async def test_no_step_moves_anything_unless_its_entry_can_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await each_fails_then_goes(tmp_path, monkeypatch)


@pytest.mark.parametrize("where", ["edge_gateway.intake.marking", "edge_gateway.intake.phasing", "edge_gateway.page.persons"])
async def test_a_step_that_moves_before_it_is_written_is_found(where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{where}.unmoved", nullcontext)
    with pytest.raises(AssertionError, match=r"mark start|phase next|violations ack"):
        await each_fails_then_goes(tmp_path, monkeypatch)
    assert marking.start_mark is start_mark


async def test_a_hub_command_whose_step_cannot_be_written_is_refused_and_moves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock, setup=SETUP) as run:
        await submitted(run, clock)
        before, by, fits = run.intake.state.violations.snapshot(), obey(run), Intake.fits

        def planted(self: Intake, kind: str, bodies: Sequence[Mapping[str, Any]], stamp: entry.Stamp) -> None:
            raise ValueError("planted: it would be too large")

        monkeypatch.setattr(Intake, "fits", planted)
        (told,) = await heard(run, by, command(run, clock))
        assert (told["outcome"], told["why"], told["said"]) == ("refused", "not-permitted", "planted: it would be too large")
        assert run.intake.state.violations.snapshot() == before
        monkeypatch.setattr(Intake, "fits", fits)
        assert [each["kind"] for each in await heard(run, by, command(run, clock, number=2))] == ["command", "violation"]


async def test_a_thousand_points_evidence_fits_into_the_entry_of_a_phase(tmp_path: Path) -> None:
    """What is not in order comes first, the rest is counted."""
    names = [f"cold{number}-air" for number in range(1_500)]
    rules = tuple(replace(RULE, id=rule, point=name) for rule in ("one", "two") for name in names)
    items = {"cold": {"phase": "pre-start", "rules": ["one", "two"]}, "hands": {"phase": "pre-start"}}
    clock = FakeClock()
    async with running(tmp_path, clock, setup=setup_of((*rules, RULE), phases=items | {"air": {"phase": "pre-start", "rules": ["frozen-store"]}})) as run:
        await next_phase(run.intake, LI)
        await read(run, clock, -10.0, 35)
        await next_phase(run.intake, LI)
        assert run.intake.state.phases.phase == "production"
        began = [each for each in await run.all_entries() if each["kind"] == "phase"][-1]["items"]
        assert (len(began["cold"]["evidence"]), began["cold"]["evidence_more"]) == (133, 2_867)
        assert began["air"] == {"state": "beyond", "evidence": [began["air"]["evidence"][0]]}
