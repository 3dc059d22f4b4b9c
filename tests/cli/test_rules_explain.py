"""`rules explain` out of a real record: fired, too short, within, unknown, nothing, in shadow; in both languages."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_gateway.cli.main import run
from edge_gateway.testing import FakeClock
from tests.intake.test_loop import RULE, batch, flushed, running, setup_of

#: Violation after 30 min of readings above -18; five-minute readings.
COURSES: dict[str, tuple[list[float | None], str]] = {
    "violated": ([-20.0, *[-10.0] * 8, -20.0], "violated"),
    "short": ([-20.0, *[-10.0] * 3, -20.0, -20.0], "noticed"),
    "within": ([-20.0] * 6, "within"),
    "unknown": ([None] * 6, "unknown"),
    "nothing": ([], "silent"),
}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(autouse=True)
def _english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_GATEWAY_LANG", "en")


async def written(folder: Path, clock: FakeClock, values: list[float | None], *, state: str = "") -> None:
    """A record with a course of readings."""
    rule = replace(RULE, state=state, notice_after_us=60_000_000)
    async with running(folder, clock, setup=setup_of((rule,), not_monitored=["outlet-ph"])) as made:
        for value in values:
            clock.advance(300_000_000)
            await made.intake.inbox.put(batch(clock, value, quality=["bad:no-answer", "good"] if value is None else None))
            await flushed(made)


def asked(folder: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, *more: str) -> int:
    monkeypatch.setattr("time.time_ns", lambda: clock.wall_us() * 1000)
    return run(["rules", "explain", "frozen-store", "--state", str(folder), "--around", "120", *more])


@pytest.mark.parametrize("name", COURSES)
async def test_the_verdict_is_that_of_the_record(
    name: str, tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    values, verdict = COURSES[name]
    await written(tmp_path, clock, values)
    assert asked(tmp_path, clock, monkeypatch, "--json") == 0
    (found,) = json.loads(capsys.readouterr().out)["points"]
    assert found["verdict"] == verdict
    assert found["beyond"] == sum(value is not None and value > -18 for value in values)
    assert found["known"] == sum(value is not None for value in values)
    assert found["beyond_min"] == 5 * found["beyond"] if verdict != "silent" else True
    for lang, word in (("en", "simple acceptance"), ("zh", "判定规则")):
        assert asked(tmp_path, clock, monkeypatch, "--lang", lang) == 0
        assert word in capsys.readouterr().out


async def test_it_shows_stretches_and_steps_in_their_order(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    await written(tmp_path, clock, COURSES["violated"][0])
    assert asked(tmp_path, clock, monkeypatch) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "cold1-air" in line or "**" in line][1:]
    words = [next(w for w in ("within", "BEYOND", "notice", "violated", "recovered") if w in line) for line in lines]
    assert words == ["within", "BEYOND", "notice", "violated", "within", "recovered"]
    assert "8 x  -10  BEYOND" in lines[1]


async def test_in_shadow_it_says_that_it_would_have_fired(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    await written(tmp_path, clock, COURSES["violated"][0], state="shadow")
    assert asked(tmp_path, clock, monkeypatch, "--json") == 0
    (found,) = json.loads(capsys.readouterr().out)["points"]
    assert (found["verdict"], found["not_armed"]) == ("would", ["shadow"])


@pytest.mark.parametrize(
    ("rule", "more", "why"),
    [
        ("frozen-stor", [], "did you mean 'frozen-store'"),
        ("outlet-ph", [], "not monitored, which is not compliance"),
        ("frozen-store", ["--point", "cold2-air"], "does not judge at point 'cold2-air'"),
        ("frozen-store", ["1970-01-01"], "no configuration before that time"),
    ],
)
async def test_what_is_not_there_is_said(
    rule: str, more: list[str], why: str, tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[Any]
) -> None:
    await written(tmp_path, clock, [-20.0])
    monkeypatch.setattr("time.time_ns", lambda: clock.wall_us() * 1000)
    assert run(["rules", "explain", rule, *more, "--state", str(tmp_path)]) != 0
    assert why in capsys.readouterr().err
