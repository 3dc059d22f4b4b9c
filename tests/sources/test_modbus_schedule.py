"""Whose turn it is: by deadline, failing units last but not never; and no burst after a stall."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_gateway.reading import Batch
from edge_gateway.sources import modbus_source
from edge_gateway.sources.modbus_schedule import PATIENCE, Rota, order
from tests.profiles.devices import device, registers
from tests.sources.modbus_plant import Plant, running, until, words

S = 1_000_000


@dataclass
class One:
    """Something that waits."""

    name: str
    due_us: int = 0
    interval_us: int = S
    failing: bool = False
    waits_since_us: int = 0
    lag_us: int = 20_000


def chosen(now_us: int, *waiting: One) -> str | None:
    return next((one.name for one in order(now_us, waiting)), None)


def test_nothing_is_due() -> None:
    assert chosen(S - 1, One("a", S), One("b", 2 * S)) is None
    assert chosen(S, One("a", S)) == "a"
    assert order(0, []) == []


def test_the_earliest_deadline_first() -> None:
    """At 60 s everything is due: the group of 1 s has half a second, that of 60 s half a minute."""
    slow, fast = One("slow", 60 * S, 60 * S), One("fast", 60 * S, S)
    assert chosen(60 * S, slow, fast) == "fast"
    waited = replace(slow, due_us=20 * S)
    assert chosen(60 * S, waited, fast) == "slow", "its deadline has come"


def test_failing_units_come_last_but_not_never() -> None:
    failing = One("failing", failing=True, waits_since_us=0)
    assert chosen(PATIENCE * S - 1, failing, One("well", PATIENCE * S - 1)) == "well"
    assert chosen(PATIENCE * S, failing, One("well", PATIENCE * S)) == "failing"
    assert chosen(S, failing) == "failing"


def test_of_equal_deadlines_the_quicker_turn_first_and_the_order_stays() -> None:
    slow, a, b = One("slow", lag_us=400_000), One("a", lag_us=30_000), One("b", lag_us=3_000)
    assert chosen(0, slow, a, b) == "a", "30 ms and 3 ms are one class"
    assert chosen(0, slow, b, a) == "b"


ones = st.builds(
    One,
    name=st.text(max_size=3),
    due_us=st.integers(0, 100 * S),
    interval_us=st.sampled_from([S // 10, S, 10 * S]),
    failing=st.booleans(),
    waits_since_us=st.integers(0, 100 * S),
    lag_us=st.integers(0, S),
)


@given(st.integers(0, 100 * S), st.lists(ones, max_size=8))
def test_who_answers_and_is_due_never_waits_for_one_with_a_later_deadline(now_us: int, waiting: list[One]) -> None:
    chosen = order(now_us, waiting)
    due = [other for other in waiting if other.due_us <= now_us]
    assert sorted(map(id, chosen)) == sorted(map(id, due)), "each once, and nobody else"
    for one in chosen[:1]:
        assert one.due_us <= now_us
        for other in due:
            if not other.failing:
                patient = one.failing and now_us - one.waits_since_us < PATIENCE * one.interval_us
                assert not patient, "a failing unit before one that answers"
                assert one.due_us + one.interval_us // 2 <= other.due_us + other.interval_us // 2


def test_a_rota_is_made_anew_when_another_slot_comes_due() -> None:
    fast, slow = One("fast", S, S), One("slow", S, 60 * S)
    rota: Rota[One] = Rota()
    rota.choose(S, [slow, fast])
    assert rota.look_us == 2 * S, "when fast's slot is to be missed"
    assert rota.next() is fast
    fast.due_us = 2 * S
    assert rota.next() is slow
    slow.due_us = 61 * S
    assert rota.next() is None
    rota.choose(2 * S, [slow, fast])
    assert rota.next() is fast
    assert rota.look_us == 3 * S
    rota.disturb()
    assert rota.look_us <= 2 * S
    rota.choose(5 * S, [])
    assert rota.next() is None
    assert rota.look_us > 5 * S


@pytest.mark.timing
async def test_a_stall_makes_gaps_and_no_burst() -> None:
    """The whole process stands still for 12 slots: each group is read once afterwards, and goes on in its rhythm."""
    tick = 100_000
    plant = Plant(words(1, [1]) | words(2, [2]) | words(3, [3]))
    await plant.start()
    devices = [device(registers(0, 1), id=f"d{n}", unit=n, interval_us=tick) for n in (1, 2, 3)]
    async with running(plant, devices, timeout_s=5) as (_, inbox):
        await until(lambda: len(inbox.items) >= 6)
        asked = len(plant.asked)
        began_s = time.monotonic()
        time.sleep(1.23)
        stalled_s = time.monotonic() - began_s
        await until(lambda: all(len(inbox.batches(f"d{n}.0")) >= 12 for n in (1, 2, 3)))
    after = Counter(unit for unit, *_ in plant.asked[asked:])
    for n in (1, 2, 3):
        group = f"d{n}.0"
        inbox.account(group, tick)
        (gap,) = inbox.gaps(group)
        assert gap.reason == "busy"
        slots = [batch.slot_us or 0 for batch in inbox.batches(group)]
        missed = max(b - a for a, b in pairwise(slots)) // tick - 1
        assert missed in range(int(stalled_s * 10) - 2, int(stalled_s * 10) + 1)
        assert after[n] <= sum(slot > gap.since_slot_us for slot in slots) + 2, "polls were made up for"
        late = [batch.mono_us - (batch.slot_us or 0) for batch in inbox.batches(group)]
        assert max(late) < 2 * tick, "no slot is filled with a reading of a later one"
    await plant.stop()


@pytest.mark.timing
async def test_a_source_that_makes_up_for_missed_polls_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: missed slots are not missed."""
    monkeypatch.setattr(modbus_source.ModbusSource, "_miss", lambda self, mono_us: None)
    with pytest.raises((AssertionError, ValueError)):
        await test_a_stall_makes_gaps_and_no_burst()


@pytest.mark.timing
async def test_a_line_that_was_lent_is_no_burst_either() -> None:
    tick = 100_000
    plant = Plant(words(1, [1]))
    await plant.start()
    async with running(plant, [device(registers(0, 1), interval_us=tick)]) as (source, inbox):
        await until(lambda: len(inbox.items) >= 2)
        async with source.lent():
            await asyncio.sleep(8.5 * tick / 1e6)
        await until(lambda: len(inbox.batches("d.0")) >= 6)
    inbox.account("d.0", tick)
    assert [gap.reason for gap in inbox.gaps()] == ["busy"]
    late = [item.mono_us - (item.slot_us or 0) for item in inbox.items if isinstance(item, Batch)]
    assert max(late) < 2 * tick
    await plant.stop()
