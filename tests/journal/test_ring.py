"""The newest entries in memory: bounded three ways, and never with a hole."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_gateway.journal.ring import Ring


def some(first: int, count: int) -> list[bytes]:
    return [b"%d" % seq for seq in range(first, first + count)]


def test_the_oldest_give_way_to_number_and_bytes() -> None:
    ring = Ring(10, 1_000_000)
    ring.add(some(0, 25))
    assert (ring.first, ring.end) == (15, 25)
    ring = Ring(1_000, 10)
    ring.add(some(100, 25))
    assert ring.size_bytes <= 10


def test_entries_leave_with_age_and_not_before() -> None:
    ring = Ring(1_000, 1_000_000, 10.0)
    ring.add(some(0, 5), 100.0)
    ring.add(some(5, 5), 105.0)
    ring.add(some(10, 5), 110.0)
    assert ring.first == 0
    ring.add(some(15, 5), 110.5)
    assert ring.first == 5
    ring.add(some(20, 5), 1_000.0)
    assert (ring.first, ring.end) == (20, 25)
    assert ring.read(20, 100, 1_000) == some(20, 5)
    assert ring.size_bytes == sum(map(len, some(20, 5)))


def test_after_clearing_nothing_old_counts() -> None:
    ring = Ring(1_000, 1_000_000, 10.0)
    ring.add(some(0, 5), 100.0)
    ring.clear(2)
    ring.add(some(2, 1), 200.0)
    assert ring.read(2, 10, 100) == some(2, 1)


@given(st.lists(st.tuples(st.integers(1, 7), st.floats(0, 6)), max_size=30), st.integers(1, 12), st.integers(1, 40))
def test_what_is_there_is_what_came_last(added: list[tuple[int, float]], most: int, most_bytes: int) -> None:
    ring, now_s, end = Ring(most, most_bytes, 10.0), 0.0, 0
    for count, later_s in added:
        now_s += later_s
        ring.add(some(end, count), now_s)
        end += count
        assert ring.end == end
        held = ring.read(ring.first, 1_000, 1_000_000)
        assert held == some(ring.first, end - ring.first)
        assert len(held) <= most
        assert ring.size_bytes == sum(map(len, held)) <= most_bytes
