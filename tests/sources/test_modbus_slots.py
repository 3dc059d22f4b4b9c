"""Slots: whatever happens, in whatever order, each slot is one batch or lies in one gap."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_gateway.reading import Batch, GapClosed, Group
from edge_gateway.sources.modbus_slots import Slots, aligned_after
from tests.sources.modbus_plant import Recorder

INTERVAL = 1000
GROUP = Group(id="d.0", device="d", points=("p",), interval_us=INTERVAL)


def batch() -> Batch:
    return Batch(group=GROUP, mono_us=0, wall_us=0, values=[1])


def test_slots_are_whole_intervals_after_the_start() -> None:
    assert [aligned_after(at, 1000) for at in (0, 999, 1000, 1001)] == [1000, 1000, 2000, 2000]
    slots = Slots.starting(GROUP, 12_345)
    assert slots.due_us == slots.next_us == 13_000


def test_a_gap_counts_its_slots() -> None:
    slots = Slots.starting(GROUP, 0)
    slots.filled(batch())
    (opened,) = slots.skipped("backed-off", 4500, "x", "no answer")
    assert slots.due_us == 5000
    assert slots.skipped("backed-off", 7000, "y") == []
    closed, filled = slots.filled(batch())
    assert isinstance(closed, GapClosed)
    assert (closed.id, closed.until_slot_us, closed.slots) == ("d.0/x", 7000, 5)
    assert isinstance(filled, Batch)
    assert filled.slot_us == 7000
    assert opened.id == closed.id  # type: ignore[union-attr]


def test_a_group_that_goes_leaves_the_slots_to_come_to_its_successor() -> None:
    slots = Slots.starting(GROUP, 0)
    slots.filled(batch())
    slots.skipped("unreachable", 9000, "x")
    (closed,) = slots.last(0, 4500, "y")
    assert isinstance(closed, GapClosed)
    assert (closed.until_slot_us, closed.slots) == (5000, 3)


def test_a_group_that_goes_accounts_for_what_was_due() -> None:
    slots = Slots.starting(GROUP, 0)
    opened, closed = slots.last(0, 2500, "y")
    assert isinstance(closed, GapClosed)
    assert (closed.until_slot_us, closed.slots) == (3000, 2)
    assert opened.since_slot_us == 1000  # type: ignore[union-attr]


def test_late_answers_the_newest_slot_only_when_one_was_missed() -> None:
    slots = Slots.starting(GROUP, 0)
    assert slots.late(1000) == 0
    assert slots.late(1999) == 0
    assert slots.late(2000) == 2000
    assert slots.late(5999) == 5000


@given(
    st.lists(st.tuples(st.sampled_from(["fill", "skip", "late"]), st.integers(0, 5000)), max_size=60),
    st.integers(0, 10**9),
)
def test_every_slot_is_accounted_for_once(steps: list[tuple[str, int]], start: int) -> None:
    slots = Slots.starting(GROUP, start)
    inbox = Recorder()
    for number, (step, ahead) in enumerate(steps):
        if step == "fill":
            inbox.items += slots.filled(batch())
        elif step == "skip":
            inbox.items += slots.skipped("backed-off", slots.due_us + ahead, str(number))
        elif latest := slots.late(slots.due_us + ahead):
            inbox.items += slots.skipped("busy", latest, str(number))
        assert slots.due_us % INTERVAL == 0
    inbox.items += slots.filled(batch())
    inbox.account("d.0", INTERVAL)
    covered = sum(i.slots if isinstance(i, GapClosed) else isinstance(i, Batch) for i in inbox.items)
    assert covered * INTERVAL == slots.due_us - aligned_after(start, INTERVAL)
