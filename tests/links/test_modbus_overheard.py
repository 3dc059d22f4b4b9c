"""A foreign master's bytes: frames found by checksum, paired, counted; torn, noisy and misaligned pieces lose no more than they must."""

from __future__ import annotations

import random

import pytest

from edge_gateway.links.modbus_overheard import MOST_KINDS, Heard, Overhearing, Traffic, overheard
from edge_gateway.links.modbus_pdu import crc16


def frame(*values: int) -> bytes:
    body = bytes(values)
    return body + crc16(body)


ASK, ANSWER = frame(5, 3, 0, 16, 0, 2), frame(5, 3, 4, 1, 2, 3, 4)
REFUSAL = frame(5, 0x83, 2)
BITS_ASK, BITS_ANSWER = frame(7, 2, 0, 0, 0, 20), frame(7, 2, 3, 0xAA, 0x55, 0x0F)  # both are eight bytes long
WRITE, WRITTEN = frame(6, 16, 0, 1, 0, 1, 2, 0, 9), frame(6, 16, 0, 1, 0, 1)
PUT = frame(6, 6, 0, 1, 0, 9)
SERVER, SERVER_SAID = frame(8, 17), frame(8, 17, 3, 65, 66, 0xFF)


def test_requests_and_answers_are_paired() -> None:
    found = overheard([(1.0, ASK), (1.05, ANSWER), (2.0, ASK), (2.04, REFUSAL)])
    assert found[0] == Heard(1.0, 5, 3, 16, 2, data=b"\x01\x02\x03\x04", took_s=pytest.approx(0.05))
    assert (found[1].exception, found[1].data, found[1].answered) == (2, None, True)


def test_equal_lengths_are_told_apart_by_what_was_asked() -> None:
    (one,) = overheard([(1.0, BITS_ASK), (1.1, BITS_ANSWER)])
    assert (one.register, one.count, one.data) == (0, 20, b"\xaa\x55\x0f")


def test_writes_of_a_foreign_master_are_seen_and_named() -> None:
    found = overheard([(1.0, WRITE), (1.1, WRITTEN), (2.0, PUT), (2.1, PUT), (3.0, SERVER), (3.1, SERVER_SAID)])
    assert [(h.function, h.writes, h.answered) for h in found] == [(16, True, True), (6, True, True), (17, False, True)]


def test_silence_is_told_when_the_next_question_comes_or_time_is_over() -> None:
    ear = Overhearing()
    assert ear.feed(1.0, ASK) == []
    (silent,) = ear.feed(1.5, frame(9, 3, 0, 0, 0, 1))
    assert (silent.unit, silent.answered) == (5, False)
    (silent,) = ear.feed(9.0, b"")
    assert silent.unit == 9
    assert ear.feed(10.0, ASK) == []
    assert [one.unit for one in ear.end()] == [5]


@pytest.mark.parametrize("seed", range(5))
def test_torn_and_noisy_pieces(seed: int) -> None:
    """Noise never becomes an exchange with data that nobody sent; every exchange after a pause of noise is found."""
    chance = random.Random(seed)
    stream = b""
    for _ in range(200):
        stream += ASK + ANSWER
        stream += bytes(chance.randrange(256) for _ in range(chance.choice((0, 0, 1, 3))))
    pieces = []
    while stream:
        size = chance.randint(1, 12)
        pieces.append((1.0, stream[:size]))
        stream = stream[size:]
    found = overheard(pieces)
    good = [one for one in found if one.data == b"\x01\x02\x03\x04" and one.register == 16]
    assert len(good) >= 195
    assert {(one.unit, one.function) for one in found if one.data is not None} == {(5, 3)}


def test_another_baud_rate_is_noise() -> None:
    ear = Overhearing()
    chance = random.Random(7)
    for _ in range(50):
        assert ear.feed(1.0, bytes(chance.randrange(256) for _ in range(20))) == []
    assert ear.frames == 0
    assert ear.noise > 500


def test_traffic_is_counted_by_question_and_bounded() -> None:
    traffic = Traffic()
    for second in range(11):
        traffic.add(Heard(float(second), 5, 3, 0, 2, data=b"\0\1" if second % 2 else None, took_s=0.02))
    (kind,) = traffic.kinds.values()
    assert (kind.times, kind.answered, kind.every_s) == (11, 5, 1.0)
    for register in range(MOST_KINDS + 5):
        traffic.add(Heard(1.0, 1, 3, register, 1))
    assert (len(traffic.kinds), traffic.more) == (MOST_KINDS, 6)
