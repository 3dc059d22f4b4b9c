"""When a commit is due: at a round's end, seldom for ordinary entries, at once for what cannot wait."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from edge_gateway.intake.pace import (
    EARLY,
    MAX_PENDING_ENTRIES,
    MESSAGE_AGE_US,
    MESSAGES_UNACKNOWLEDGED,
    QUIET_US,
    URGENT_SPACING_US,
    Pace,
)

SECOND = 1_000_000


def run(pace: Pace, arrivals: Iterator[int] | list[int], until_us: int) -> list[int]:
    """Commit times when ordinary entries come at ``arrivals``."""
    commits: list[int] = []
    for at_us in [*arrivals, until_us]:
        while (due_us := pace.due_us()) is not None and due_us <= at_us:
            commits.append(due_us)
            pace.committed(due_us)
        if at_us < until_us:
            pace.added(at_us, 500)
    return commits


def test_nothing_pending_is_never_due() -> None:
    pace = Pace(commit_every_us=SECOND)
    assert pace.due_us() is None
    pace.added(5, 1)
    pace.committed(6)
    assert pace.due_us() is None


def test_a_round_is_committed_when_it_ends_and_in_one_piece() -> None:
    rounds = [n * SECOND + answer * 3_000 for n in range(1, 61) for answer in range(50)]
    commits = run(Pace(commit_every_us=SECOND), rounds, 62 * SECOND)
    assert commits == [n * SECOND + 49 * 3_000 + QUIET_US for n in range(1, 61)]


def test_one_late_round_does_not_delay_all_later_ones() -> None:
    late = [n * SECOND + (400_000 if n == 10 else 0) for n in range(1, 61)]
    commits = run(Pace(commit_every_us=SECOND), late, 62 * SECOND)
    assert len(commits) == 60
    assert commits[-1] == 60 * SECOND + QUIET_US


def test_entries_without_a_pause_are_committed_once_an_interval() -> None:
    commits = run(Pace(commit_every_us=SECOND), list(range(SECOND, 61 * SECOND, 1_000)), 61 * SECOND)
    assert 59 <= len(commits) <= 61


def test_ordinary_commits_are_never_closer_than_the_interval_less_its_slack() -> None:
    uneven = sorted({(n * n * 7_919) % (60 * SECOND) + SECOND for n in range(5_000)})
    commits = run(Pace(commit_every_us=SECOND), uneven, 63 * SECOND)
    assert min(b - a for a, b in itertools.pairwise(commits)) >= SECOND - SECOND // EARLY


def test_a_violation_does_not_wait_for_an_ordinary_commit_before_it() -> None:
    pace = Pace(commit_every_us=SECOND)
    pace.added(0, 500)
    pace.committed(20_000)
    pace.added(30_000, 500, urgent=True)
    assert pace.due_us() == 30_000


def test_violations_are_committed_at_most_five_times_a_second() -> None:
    pace = Pace(commit_every_us=SECOND)
    pace.added(0, 500, urgent=True)
    assert pace.due_us() == 0
    pace.committed(0)
    pace.added(1_000, 500, urgent=True)
    assert pace.due_us() == URGENT_SPACING_US


def test_messages_wait_a_moment_for_company() -> None:
    pace = Pace(commit_every_us=SECOND)
    pace.added(0, 500)
    pace.committed(QUIET_US)
    pace.added(SECOND // 2, 500, message=True)
    assert pace.due_us() == SECOND // 2 + MESSAGE_AGE_US
    for _ in range(MESSAGES_UNACKNOWLEDGED):
        pace.added(SECOND // 2 + 10, 500, message=True)
    assert pace.due_us() == SECOND // 2


def test_what_may_wait_in_memory_is_bounded() -> None:
    pace = Pace(commit_every_us=SECOND)
    pace.committed(SECOND)
    for _ in range(MAX_PENDING_ENTRIES):
        pace.added(SECOND + 1, 1)
    assert pace.due_us() == SECOND + 1
