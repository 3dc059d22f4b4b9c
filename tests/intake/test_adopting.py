"""What a hub says stands open, taken over by a record that began with nothing: also what is no record, and again out of the record itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge_gateway.intake.adopting import adopt
from edge_gateway.record import entry
from edge_gateway.rules.base import LIMIT, BoundRule
from edge_gateway.rules.engine import Engine
from edge_gateway.rules.resume import resumed
from edge_gateway.testing import FakeClock
from tests.intake.test_loop import RULE as FROZEN
from tests.intake.test_loop import flushed, running, setup_of

RULE = BoundRule(id="warm", pack="p", pack_version="1", edition="1", kind=LIMIT, point="air", high="-18", violation_after_us=60_000_000)
RECORD: dict[str, Any] = {
    "violation": "gw-7", "rule": "warm", "point": "air", "condition": "active", "handling": "acknowledged", "level": "violation",
    "episode": 2, "first": {"rule_us": 9, "wall_us": 1_700_000_000_000_000, "value": -12.5}, "peak": -3.0, "minutes": 31.5,
}  # fmt: skip


def judged(state: dict[str, Any] | None, values: list[float]) -> list[Any]:
    """Steps of readings a second apart, by an engine that resumed."""
    engine = Engine([RULE])
    engine.restore({"rules": {"warm/air": state}} if state else {})
    steps = []
    for at, value in enumerate(values):
        steps += engine.judge(1_000_000_000 + at * 1_000_000, at, ("air",), [value], None)
    return steps


def test_a_resumed_rule_sees_it_end_with_its_first_reading_and_peak() -> None:
    (step,) = judged(resumed(RULE, RECORD, 1_000_000_000), [-20.0])
    assert (step.step, step.first.wall_us, step.first.value, step.peak) == ("recovered", 1_700_000_000_000_000, -12.5, -3.0)
    assert step.beyond_us == 31.5 * 60e6
    assert judged(resumed(RULE, RECORD, 1_000_000_000), [-10.0]) == []  # it goes on: no second beginning
    assert judged(resumed(RULE, RECORD, 1_000_000_000), [-1.0, -20.0])[-1].peak == -1.0
    assert judged(None, [-20.0]) == []


def test_a_notice_goes_on_as_a_notice_and_what_was_unknown_is_said_to_be_active_again() -> None:
    (ended,) = judged(resumed(RULE, RECORD | {"level": "notice"}, 1_000_000_000), [-20.0])
    assert ended.step == "cancelled"
    assert [s.step for s in judged(resumed(RULE, RECORD | {"condition": "unknown"}, 1_000_000_000), [-10.0])] == ["active"]


@pytest.mark.parametrize("lacks", ["first", "peak", "minutes", "level"])
@pytest.mark.parametrize("value", [None, "x", [], float("nan"), "gone"])
def test_what_a_record_lacks_is_not_known_and_ends_nothing(lacks: str, value: object) -> None:
    record = {key: each for key, each in RECORD.items() if key != lacks} | ({} if value == "gone" else {lacks: value})
    if lacks == "first":  # always a table: what is none is not taken over
        record["first"] = {"wall_us": value, "value": value}
    state = resumed(RULE, record, 1_000_000_000)
    entry.canonical(state)
    assert judged(state, [-20.0])[0].step in ("recovered", "cancelled")


async def test_what_is_adopted_where_a_segment_begins_stands_behind_its_snapshot_in_rule_time_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted: making the snapshot takes a microsecond."""
    clock = FakeClock()
    async with running(tmp_path, clock, segment_entries=8) as run:
        intake = run.intake
        await flushed(run)
        body = intake._snapshot_body

        async def slow() -> dict[str, Any]:
            clock.advance(1)
            return await body()

        monkeypatch.setattr(intake, "_snapshot_body", slow)

        async def act() -> None:
            while intake._next_seq() % 8:
                await intake.add("event", {"event": "x"})
            await adopt(intake, 7, [RECORD | {"violation": "tlf-007-7"}], {})

        await intake.command(act)
        entries = await run.all_entries()
    at = next(n for n, each in enumerate(entries) if each.get("event") == "violations-adopted")
    assert (entries[at]["seq"], entries[at - 1]["kind"]) == (at, "snapshot")
    assert [each["rule_us"] for each in entries] == sorted(each["rule_us"] for each in entries)


async def test_what_is_known_here_is_not_taken_over_again(tmp_path: Path) -> None:
    """The end of the record is lost: what lies beyond is taken; what was ended here, and the hub has not heard of, is not. By number from an older hub."""
    clock = FakeClock()
    async with running(tmp_path, clock, setup=setup_of((FROZEN,))) as run:
        state = run.intake.state
        state.lost = True
        state.violations.number_at_least(4)
        said = [
            RECORD | {"violation": "gw-1", "rule": "a", "at": {"epoch": "e", "seq": 9}},  # here, and ended since
            RECORD | {"violation": "gw-2", "rule": "b", "at": {"epoch": "e", "seq": 10}},  # beyond
            RECORD | {"violation": "gw-3", "rule": "c", "at": {"epoch": "other", "seq": 0}},  # of an epoch that is not here
            RECORD | {"violation": "gw-4", "rule": "d"},
            RECORD | {"violation": "gw-5", "rule": "e"},
            RECORD | {"violation": "gw-6", "rule": "f", "at": "x"},
        ]
        await run.intake.command(lambda: adopt(run.intake, 7, said, {"e": 10}))
        assert [each["violation"] for each in state.violations.records()] == ["gw-2", "gw-3", "gw-5", "gw-6"]
        assert (state.lost, state.violations.number) == (False, 7)
