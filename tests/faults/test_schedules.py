"""The short form of `make schedules`, with its planted faults; and what makes a read stale."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tests.faults.schedules import COUNTED, KINDS, campaign, schedule, trusts_its_cursor
from tests.faults.stale import STALE_S, Poll, stale
from tests.faults.watching_proxy import Requests

EPOCH, OTHER = "0123456789abcdef", "fedcba9876543210"
SECOND = 1_000_000


@pytest.mark.campaign
def test_two_schedules_lose_double_and_invent_nothing_and_planted_faults_are_found(tmp_path: Path) -> None:
    result = campaign(tmp_path, n=2, seed=7, budget_s=60.0)
    assert result["passed"], result
    assert result["planted"] == dict.fromkeys(COUNTED, True)
    assert min(result["attempted"], result["acknowledged"]) > 0


@pytest.mark.campaign
def test_a_gateway_that_trusts_its_cursor_is_found(tmp_path: Path) -> None:
    assert trusts_its_cursor(tmp_path, 1)


def test_a_seed_is_a_schedule_and_every_kind_comes() -> None:
    assert schedule(random.Random(3)) == schedule(random.Random(3))
    assert {fault.kind for seed in range(200) for fault in schedule(random.Random(seed))} == set(KINDS)


def _record(count: int = 40) -> list[tuple[str, list[bytes]]]:
    entries = [{"kind": "batch", "seq": seq, "group": "u1.0", "values": [seq]} for seq in range(count)]
    return [(EPOCH, [json.dumps(entry).encode() for entry in entries])]


@pytest.mark.parametrize(
    ("poll", "wrong"),
    [
        (Poll(10 * SECOND, {EPOCH: 30}, {"u1-n": (EPOCH, 29)}), 0),
        (Poll(10 * SECOND, {EPOCH: 29}, {"u1-n": (EPOCH, 29)}), 1),
        (Poll(10 * SECOND, {EPOCH: 30}, {"u1-n": (EPOCH, 28)}), 1),
        (Poll(10 * SECOND, {EPOCH: 30}, {"u1-n": (OTHER, 29)}), 1),
        (Poll(10 * SECOND - int(STALE_S * SECOND), {EPOCH: 0}, {}), 0),
    ],
    ids=["fresh", "fewer entries", "an older value", "of no epoch", "too soon to be owed"],
)
def test_what_a_receipt_covered_is_read_five_seconds_later(poll: Poll, wrong: int) -> None:
    told = [(SECOND, EPOCH, 10), (10 * SECOND - int(STALE_S * SECOND), EPOCH, 30), (10 * SECOND, EPOCH, 40)]
    told[1] = (10 * SECOND - int(STALE_S * SECOND), EPOCH, 30)
    if poll.at_us < 10 * SECOND:
        told = told[1:]
    assert stale([poll], told, _record(), [])[0] == wrong
    assert stale([poll], told, _record(), [(0, 6 * SECOND)])[0] == 0


def test_whole_requests_are_told_in_whatever_pieces_they_come() -> None:
    request = b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
    for size in (1, 7, 500):
        requests, data = Requests(), request * 3
        found = [whole for at in range(0, len(data), size) for whole in requests.feed(data[at : at + size])]
        assert found == [request] * 3
    assert list(Requests().feed(b"\x10\x20\x00\x04MQTT")) == []
