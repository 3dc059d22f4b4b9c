"""`rules list`: states of packs, and counts out of a real record; without one nothing is counted."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from edge_gateway.cli.main import run
from edge_gateway.journal.reading import Reading
from edge_gateway.journal.segments import segment_path
from edge_gateway.testing import FakeClock
from tests.cli.test_rules import site
from tests.intake.test_loop import RULE, batch, flushed, running, setup_of

__all__ = ["site"]


def listed(capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, dict[str, object]]:
    assert run(["rules", "list", "--json", *more]) == 0
    return {each["pack"]: each for each in json.loads(capsys.readouterr().out)["packs"]}


def test_packs_with_their_states_and_what_judges(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = listed(capsys)
    assert {pack: each["state"] for pack, each in found.items()} == {"cold-chain": "enforced", "plant-rooms": "shadow", "offal-cooling": "enforced"}
    assert (found["offal-cooling"]["rules"], found["offal-cooling"]["judging"]) == (1, 0), "of it only the rule that moved"
    assert found["cold-chain"]["counts"] is None
    assert run(["rules", "list", "--lang", "zh"]) == 0
    assert "影子" in capsys.readouterr().out


async def test_counts_are_those_of_the_record_within_the_days(
    site: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock()
    armed = replace(RULE, id="cold-chain-jump", violation_after_us=0)
    shadow = replace(RULE, id="cutting-room-air", violation_after_us=0, state="shadow")
    async with running(site / "state", clock, setup=setup_of((armed, shadow))) as made:
        for value in (-20.0, -10.0, -20.0, -10.0):
            clock.advance(60_000_000)
            await made.intake.inbox.put(batch(clock, value))
            await flushed(made)
    monkeypatch.setattr("time.time_ns", lambda: clock.wall_us() * 1000)
    found = listed(capsys)
    assert found["cold-chain"]["counts"] == {"violated": 2, "notice": 0, "would-have-fired": 0, "stayed-undecided": 0}
    assert found["plant-rooms"]["counts"] == {"violated": 0, "notice": 0, "would-have-fired": 2, "stayed-undecided": 0}
    clock.advance(2 * 86_400_000_000)
    assert listed(capsys, "--days", "1")["cold-chain"]["counts"] == dict.fromkeys(("violated", "notice", "would-have-fired", "stayed-undecided"), 0)


async def test_what_is_damaged_is_said_and_what_is_older_is_not_opened(
    site: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sealed segment of a day ago is damaged: a month's count says so, an hour's count never opens it."""
    clock = FakeClock()
    armed = replace(RULE, id="cold-chain-jump", violation_after_us=0)
    async with running(site / "state", clock, setup=setup_of((armed,)), segment_entries=8) as made:
        for minute in range(40):
            clock.advance(60_000_000 if minute != 30 else 86_400_000_000)
            await made.intake.inbox.put(batch(clock, -20.0 if minute % 2 else -10.0))
            await flushed(made)
    monkeypatch.setattr("time.time_ns", lambda: clock.wall_us() * 1000)
    whole = listed(capsys)["cold-chain"]["counts"]
    assert whole["violated"] >= 20  # type: ignore[index]
    recent = listed(capsys, "--days", "0.5")["cold-chain"]["counts"]
    assert 0 < recent["violated"] < whole["violated"]  # type: ignore[index]
    with contextlib.closing(Reading(site / "state")) as reading:
        old = next(each for each in reading.sealed() if each.wall_us[1] < clock.wall_us() - 43_200_000_000 and each.first > 0)
    file = segment_path(site / "state", old.epoch, old.first)
    data = bytearray(file.read_bytes())
    data[: len(data) // 2] = bytes(len(data) // 2)
    file.write_bytes(data)
    assert run(["rules", "list", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [each.split(":")[0] for each in said["unread"]] == [f"{old.epoch}/{old.first}"]
    assert run(["rules", "list", "--json", "--days", "0.5"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["unread"] == []
    assert next(each["counts"] for each in said["packs"] if each["pack"] == "cold-chain") == recent
    assert run(["rules", "list", "--lang", "zh"]) == 0
    assert "未计入，无法读取" in capsys.readouterr().err
