"""How long the scrub takes for all of a record: every sealed byte is read again within 30 days, of a new record and of one of two years.

Arithmetic on the real waits, and a pass of the real loop in which no time passes. Planted: a file a minute, however many there are.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from edge_gateway.journal import scrub
from edge_gateway.journal.scrub import LONGEST_WAIT_S, Scrub, rest_s

DAY_S = 86_400.0
#: Reading and hashing one segment from a slow card (s): 4,096 entries, 1.5 MB at 5 MB/s and 4,096 hashes on a Raspberry Pi 3.
READ_S = 1.0
#: Segments of: a new record, a day, a site of 200 points over two years (4 batches a second), the largest we say (1,000 readings/s, 25 batches a second).
RECORDS = (0, 1, 85, 62_000, 385_000)


def pass_days(segments: int, rest: float, read_s: float = READ_S) -> float:
    """One whole pass: a rest after each segment, and after the texts."""
    return (segments * read_s + (segments + 1) * rest) / DAY_S


@pytest.mark.parametrize("segments", RECORDS)
def test_a_pass_is_over_within_thirty_days(segments: int) -> None:
    assert pass_days(segments, rest_s(segments)) < 30
    assert rest_s(segments) <= LONGEST_WAIT_S


@pytest.mark.parametrize("segments", RECORDS[:4])
def test_a_gateway_that_is_off_two_thirds_of_the_time_is_read_within_thirty_days_too(segments: int) -> None:
    assert 3 * pass_days(segments, rest_s(segments)) < 30


def test_a_file_a_minute_would_not_do() -> None:
    assert pass_days(62_000, LONGEST_WAIT_S) > 30


class _Record:
    """As many sealed segments as wanted, none of which is read."""

    files = texts = photos = None
    state_dir = Path()

    def __init__(self, segments: int) -> None:
        self.segments = [(1, type("S", (), {"first": at * 4096, "end": (at + 1) * 4096, "lost": True})()) for at in range(segments)]

    def kept(self) -> list[Any]:
        return self.segments

    def noted(self) -> dict[str, int]:
        return {}

    def note(self, numbers: dict[str, int]) -> None:
        pass


@pytest.mark.parametrize("segments", [0, 7, 300])
async def test_the_loop_comes_round_in_the_time_that_the_arithmetic_says(segments: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rested: list[float] = []
    looking = Scrub(_Record(segments), wall_us=lambda: 5 + len(rested), tell=lambda _: None, damaged=None)  # type: ignore[arg-type]

    async def rest(wait_s: float) -> None:
        rested.append(wait_s)
        if looking.status()["whole_us"]:
            raise asyncio.CancelledError

    async def no_texts() -> None:
        pass

    monkeypatch.setattr(scrub.asyncio, "sleep", rest)
    monkeypatch.setattr(looking, "_texts", no_texts)
    with pytest.raises(asyncio.CancelledError):
        await looking.run()
    assert len(rested) == segments + 1
    assert sum(rested) / DAY_S == pytest.approx(pass_days(segments, rest_s(segments), 0.0))
