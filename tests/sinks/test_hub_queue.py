"""What waits for the live lane: newest wins per point, violations are never displaced, memory does not grow."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from edge_gateway.sinks import hub_queue
from edge_gateway.sinks.hub_queue import Copy, LiveQueue
from tests.regulator_hub import record

E = "e" * 16


def batch(seq: int, group: str, values: list[float | None], quality: list[str] | None = None) -> bytes:
    more = {"quality": quality} if quality else {}
    return record.entry(seq, "batch", config_seq=1, group=group, values=values, **more)


def test_the_newest_batch_of_a_group_wins() -> None:
    queue = LiveQueue()
    assert not queue.offer(E, 5, [batch(5 + i, f"g.{i % 2}", [float(i)]) for i in range(100)])
    assert [copy.seq for copy in queue.take(10, 10**6)] == [103, 104]
    assert queue.displaced == 98
    assert queue.take(10, 10**6) == []


def test_newest_wins_for_each_point_not_for_each_message() -> None:
    """A message without a point does not displace the one that had it."""
    queue, missing = LiveQueue(), "bad:missing"
    queue.offer(E, 0, [batch(0, "g.1", [1.0, 2.0], ["good", "good"])])
    queue.offer(E, 1, [batch(1, "g.1", [3.0, None], ["good", missing])])
    queue.offer(E, 2, [batch(2, "g.1", [4.0, None], ["good", missing])])
    assert [copy.seq for copy in queue.take(10, 10**6)] == [0, 2]
    queue.offer(E, 3, [batch(3, "g.1", [None, 5.0], [missing, "good"])])
    queue.offer(E, 4, [batch(4, "g.1", [None, None], [missing, missing])])
    queue.offer(E, 5, [batch(5, "g.1", [6.0, None], ["good", missing])])
    assert [copy.seq for copy in queue.take(10, 10**6)] == [3, 5]


def test_violations_wait_as_places_and_go_first() -> None:
    queue = LiveQueue()
    assert queue.offer(E, 0, [batch(0, "g.1", [1.0]), record.violation(1, "violated"), record.entry(2, "tick")])
    for seq in range(3, 50_000):
        queue.offer(E, seq, [b'{"v":1,"seq":1,"kind":"batch","group":"g.1","values":[1]}'])
    taken = queue.take(2, 10**6)
    assert (taken[0], taken[1].seq) == (Copy(E, 1, b""), 49_999)
    queue.put_back(taken)
    queue.offer(E, 60_000, [batch(60_000, "g.1", [2.0])])
    assert [copy.seq for copy in queue.take(9, 10**6)] == [1, 2, 60_000]


def test_what_was_put_back_does_not_displace_what_is_newer() -> None:
    queue = LiveQueue()
    queue.offer(E, 0, [batch(0, "g.1", [1.0]), record.entry(1, "tick")])
    taken = queue.take(9, 10**6)
    queue.offer(E, 2, [batch(2, "g.1", [2.0]), record.entry(3, "tick")])
    queue.put_back(taken)
    assert sorted(copy.seq for copy in queue.take(9, 10**6)) == [2, 3]
    queue.put_back(taken)
    assert sorted(copy.seq for copy in queue.take(9, 10**6)) == [0, 1]


def test_what_the_ordered_lane_brought_is_forgotten() -> None:
    queue = LiveQueue()
    queue.offer(E, 0, [batch(0, "g.1", [1.0]), record.violation(1, "notice"), batch(2, "g.2", [1.0])])
    queue.drop_served(lambda _epoch, seq: seq < 2)
    assert [copy.seq for copy in queue.take(9, 10**6)] == [2]


def test_violations_beyond_the_bound_wait_for_the_ordered_lane() -> None:
    queue, most = LiveQueue(), hub_queue.MAX_VIOLATIONS
    for seq in range(most + 5):
        queue.add_violation(E, seq)
    assert queue.not_queued == 5
    assert [copy.seq for copy in queue.take(3, 1)] == [0, 1, 2]


@example([("a", [False, False, True]), ("a", [False, True, False]), ("a", [True, False, False]), ("a", [False] * 3)])
@given(st.lists(st.tuples(st.sampled_from("ab"), st.lists(st.booleans(), min_size=3, max_size=3)), max_size=30))
def test_every_points_newest_reading_is_sent(batches: list[tuple[str, list[bool]]]) -> None:
    queue = LiveQueue()
    newest: dict[tuple[str, int], int] = {}
    for seq, (group, has) in enumerate(batches):
        values = [float(seq) if there else None for there in has]
        quality = ["good" if there else "bad:missing" for there in has]
        queue.offer(E, seq, [batch(seq, group, values, quality)])
        newest |= {(group, i): seq for i, there in enumerate(has) if there}
    assert len(queue._slots) <= 2
    # One a point, and the newest batch even where it has no point's newest reading.
    assert all(len(copies) <= 3 + 1 for copies in queue._slots.values())
    sent = {copy.seq for copy in queue.take(100, 10**6)}
    assert set(newest.values()) <= sent
