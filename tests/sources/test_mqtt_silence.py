"""Slots of message groups: every stretch longer than the interval lies in exactly one gap at each instant."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from edge_gateway.reading import GapClosed, GapOpened, Group
from edge_gateway.sources.mqtt_silence import Silence

GROUP = Group(id="dev.0", device="dev", points=("p",), interval_us=100)


def silence(now_us: int = 0, interval_us: int = 100) -> Silence:
    return Silence(Group(id="dev.0", device="dev", points=("p",), interval_us=interval_us), now_us, "boot")


def test_silence_opens_a_gap_at_the_missed_instant_and_a_message_closes_it() -> None:
    watch = silence()
    assert watch.heard(60, "silent") == []
    assert watch.passed(159, "silent") == []
    assert watch.passed(160, "silent", "why") == [
        GapOpened(id="dev.0/boot-160", groups=("dev.0",), reason="silent", since_slot_us=160, detail="why")
    ]
    assert watch.passed(500, "silent") == []
    assert watch.due_us == 560
    assert watch.heard(510, "silent") == [GapClosed(id="dev.0/boot-160", until_slot_us=510, slots=4)]
    assert watch.due_us == 610


def test_a_new_reason_closes_the_gap_and_opens_another_without_a_hole() -> None:
    watch = silence()
    watch.passed(100, "unreachable")
    assert watch.passed(420, "silent") == [
        GapClosed(id="dev.0/boot-100", until_slot_us=200, slots=1),
        GapOpened(id="dev.0/boot-200", groups=("dev.0",), reason="silent", since_slot_us=200),
    ]


def test_a_late_look_still_tells_the_gap_before_the_message() -> None:
    watch = silence()
    told = watch.heard(250, "silent")
    assert [type(item) for item in told] == [GapOpened, GapClosed]
    assert watch.heard(350, "silent") == []  # exactly in time


def test_a_message_that_waited_here_since_before_the_gap_does_not_close_it() -> None:
    watch = silence()
    watch.heard(10, "silent")
    watch.passed(300, "journal-full")
    assert watch.heard(50, "silent") == []
    assert watch.heard(120, "silent") == [GapClosed(id="dev.0/boot-110", until_slot_us=120, slots=1)]


def test_another_interval_of_the_same_group_starts_where_the_old_one_stood() -> None:
    old = silence()
    old.heard(50, "silent")
    new = silence(120, interval_us=80)
    new.follow(old)
    assert (new.due_us, new.gap) == (130, None)
    old.passed(150, "silent")
    new = silence(160, interval_us=300)
    new.follow(old)
    assert new.gap is not None
    assert new.ended(170) == [GapClosed(id="dev.0/boot-150", until_slot_us=170, slots=1)]


@given(st.lists(st.tuples(st.integers(1, 400), st.sampled_from(["hear", "silent", "unreachable"])), max_size=40))
def test_no_hole_is_left(steps: list[tuple[int, str]]) -> None:
    """Between two batches further apart than the interval, gaps cover everything from the first missed instant on."""
    watch, now_us = silence(), 0
    covered: list[tuple[int, int]] = []
    opened: dict[str, int] = {}
    served = [0]
    for wait_us, what in steps:
        now_us += wait_us
        told = watch.heard(now_us, "silent") if what == "hear" else watch.passed(now_us, what)
        for item in told:
            if isinstance(item, GapOpened):
                assert not opened
                opened[item.id] = item.since_slot_us
            else:
                since_us = opened.pop(item.id)
                assert item.slots == -((since_us - item.until_slot_us) // 100) >= 1
                covered.append((since_us, item.until_slot_us))
        if what == "hear":
            assert not opened
            served.append(now_us)
        assert opened or now_us < watch.due_us
    for before_us, after_us in pairwise(served):
        at_us = before_us + 100
        if after_us - before_us <= 100:
            continue
        for since_us, until_us in covered:
            if since_us == at_us:
                at_us = until_us
        assert at_us == after_us
