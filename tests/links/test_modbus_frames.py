"""Finding the answer among whatever came: against pymodbus' framers, in random noise, and the ledger of owed answers."""

from __future__ import annotations

import random

import pytest
from pymodbus.framer import FramerAscii, FramerRTU
from pymodbus.pdu import DecodePDU

from edge_gateway.links.modbus import request
from edge_gateway.links.modbus_frames import FRAMINGS, Question, blame
from edge_gateway.links.modbus_owed import MOST_OWED, Owed
from edge_gateway.links.modbus_pdu import crc16

UNIT = 7
ASKED = request(3, 100, 2)
ANSWER = b"\x03\x04\x12\x34\x56\x78"


def question(framing: str, pdu: bytes = ASKED, size: int = 4) -> Question:
    return Question(UNIT, pdu, size, FRAMINGS[framing].encode(UNIT, pdu))


@pytest.mark.parametrize(("framing", "theirs"), [("rtu", FramerRTU), ("ascii", FramerAscii)])
def test_frames_are_pymodbus_frames(framing: str, theirs: type) -> None:
    framer = theirs(DecodePDU(False))
    for start, count in ((0, 1), (100, 125), (65535, 1), (0x0400, 2)):
        pdu = request(4, start, count)
        assert FRAMINGS[framing].encode(17, pdu) == framer.encode(pdu, 17, 0)


@pytest.mark.parametrize("framing", FRAMINGS)
def test_an_answer_is_found_at_every_cut_and_in_noise(framing: str) -> None:
    """N = 3,000, seed 5: noise before and behind, and the frame in two."""
    rng = random.Random(5)
    its, asked = FRAMINGS[framing], question(framing)
    frame = its.encode(UNIT, ANSWER)
    for _ in range(3_000):
        before, behind = rng.randbytes(rng.randrange(40)), rng.randbytes(rng.randrange(6))
        cut = rng.randrange(len(frame))
        first = its.look(before + frame[:cut], asked)
        assert not first.reply
        seen = its.look(before + frame + behind, asked, last=True)
        assert seen.reply == ANSWER
        assert not seen.twice


@pytest.mark.parametrize("framing", FRAMINGS)
def test_mutated_frames_are_never_another_answer(framing: str) -> None:
    """N = 20,000, seed 6: whatever is found has the unit, the function, the count and a right checksum."""
    rng = random.Random(6)
    its, asked = FRAMINGS[framing], question(framing)
    for _ in range(20_000):
        data = bytearray(its.encode(rng.choice((UNIT, UNIT, 8)), rng.choice((ANSWER, ANSWER[:4], b"\x83\x02", ASKED))))
        for _ in range(rng.randrange(4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        del data[rng.randrange(len(data) + 1) :]
        data += rng.randbytes(rng.randrange(4))
        seen = its.look(bytes(data), asked, last=True)
        if seen.reply:
            assert its.encode(UNIT, seen.reply) in (bytes(data).upper() if framing == "ascii" else bytes(data))
            assert len(seen.reply) == 6 if seen.reply[0] == 3 else seen.reply[:1] == b"\x83"
        else:
            outcome, words = blame(seen, bytes(data), asked)
            assert outcome
            assert words


def test_an_echo_that_looks_like_the_beginning_of_an_answer() -> None:
    """Asked for 2 registers from 0x04xx, the echo begins as an answer of 4 bytes, and with a zero behind it its checksum is right."""
    pdu = request(3, 0x0400, 2)
    asked = question("rtu", pdu)
    lookalike = asked.frame + b"\x00"
    assert crc16(lookalike[:-2]) == lookalike[-2:]
    seen = FRAMINGS["rtu"].look(lookalike, asked, last=True)
    assert (seen.reply, seen.echoes, seen.noise) == (b"", 1, 1)
    seen = FRAMINGS["rtu"].look(lookalike + FRAMINGS["rtu"].encode(UNIT, ANSWER), asked)
    assert seen.reply == ANSWER


def test_no_beginning_of_any_question_is_its_own_answer() -> None:
    """Every unit, every start: an echo that is cut off is never taken for a short answer (1 register, 1 to 8 bits)."""
    its, taken = FRAMINGS["rtu"], 0
    for unit in range(1, 248):
        for low in range(256):
            for function, start, count, size in ((3, 0x0200 | low, 1, 2), (1, 0x0100 | low, 5, 1)):
                pdu = request(function, start, count)
                asked = Question(unit, pdu, size, its.encode(unit, pdu))
                head = asked.frame[: size + 5]
                taken += crc16(head[:-2]) == head[-2:]
                assert not its.look(head, asked, last=True).reply
    assert taken, "there are questions that begin so"


# --- the ledger ------------------------------------------------------------------------------------------------------


def test_what_is_owed_bars_its_shape_only_and_not_for_ever() -> None:
    owed = Owed(5.0)
    owed.add(7, 3, 4, 100.0)
    assert owed.wait_s(7, 3, 4, 101.0) == 4.0
    assert owed.wait_s(7, 3, 6, 101.0) == owed.wait_s(7, 4, 4, 101.0) == owed.wait_s(8, 3, 4, 101.0) == 0.0
    assert owed.wait_s(7, 3, 4, 105.0) == 0.0
    assert owed.answered(7, 3, 4, 102.0)
    assert owed.wait_s(7, 3, 4, 102.0) == 0.0
    assert not owed.answered(7, 3, 4, 102.0), "it was owed once"


def test_a_refusal_settles_only_what_it_must_belong_to() -> None:
    owed = Owed(5.0)
    owed.add(7, 3, 4, 0.0)
    owed.add(7, 3, 6, 0.0)
    assert owed.ambiguous(7, 3, 1.0)
    assert owed.refused(7, 3, 1.0)
    assert owed.wait_s(7, 3, 4, 1.0)
    assert owed.wait_s(7, 3, 6, 1.0)
    assert owed.answered(7, 3, 6, 1.0)
    assert owed.refused(7, 3, 1.0)
    assert not owed.ambiguous(7, 3, 1.0)
    assert not owed.refused(7, 3, 1.0)


def test_an_answer_does_not_settle_the_second_question_when_the_first_was_given_up() -> None:
    owed = Owed(5.0)
    owed.add(7, 3, 4, 0.0)
    owed.add(7, 3, 4, 6.0)  # asked again after its time was over, and again without an answer
    assert owed.answered(7, 3, 4, 7.0)
    assert owed.wait_s(7, 3, 4, 7.0) == 4.0, "this may have been the first one's"


def test_the_ledger_is_bounded() -> None:
    owed = Owed(1.0)
    for n in range(10 * MOST_OWED):
        owed.add(n % 250, 3, n, float(n))
        owed.quarantine.append(None)  # type: ignore[arg-type]
    assert len(owed._until_s) <= MOST_OWED + 1
    assert len(owed.quarantine) <= 16
