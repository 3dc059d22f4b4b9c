"""Replays what the fuzzers found, and a short stretch of mutations; plants a fault in each check, which both must find.

The fuzzers themselves: ``make fuzz``. This is the suite's short form: every file of the corpora, every seed that the
repository holds, and ``N`` mutations a target with ``SEED``.
"""

from __future__ import annotations

import random

import pytest

from tests.fuzz.lines import WrongAccepted
from tests.fuzz.oracle import Asked, crc, frame, lrc, wrong
from tests.fuzz.plant import PLANTED, planted
from tests.fuzz.run import CORPUS, SHARES, mutated
from tests.fuzz.seeds import seeds
from tests.fuzz.targets import HARNESSES, TARGETS

SEED, N = 20261127, 2000
#: Targets whose every execution reads a whole configuration.
SLOW = {"configuration": 60, "profile": 200, "sheet": 200}
MODBUS = ("modbus-tcp", "modbus-rtu", "modbus-ascii")


def test_every_target_has_a_share_and_a_corpus() -> None:
    assert set(SHARES) == set(TARGETS)
    for target in TARGETS:
        assert len(list((CORPUS / target).iterdir())) >= 5, f"make fuzz ARGS='--keep {target}'"


@pytest.mark.parametrize("target", TARGETS)
def test_corpus_and_mutations_hold(target: str) -> None:
    chance = random.Random(SEED)
    files = sorted((CORPUS / target).iterdir())
    known = [file.read_bytes() for file in files]
    for file, data in zip(files, known, strict=True):
        try:
            TARGETS[target](data)
        except Exception as error:
            raise AssertionError(f"{file}: {error!r}") from error
    ours = list(seeds(target))
    if target == "configuration":
        ours = chance.sample(ours, 20)
    for data in ours:
        TARGETS[target](data)
    known += ours
    for _ in range(SLOW.get(target, N)):
        data = mutated(chance, chance.choice(known))
        try:
            TARGETS[target](data)
        except Exception as error:
            raise AssertionError(f"{error!r} on {data.hex()}") from error


@pytest.mark.parametrize("target", MODBUS)
def test_right_answers_are_taken_too(target: str) -> None:
    """A line that refuses everything would accept nothing wrong."""
    counts = HARNESSES[target.removeprefix("modbus-")].counts if target.removeprefix("modbus-") in HARNESSES else {}
    before = dict(counts)
    for data in seeds(target):
        TARGETS[target](data)
    counts = HARNESSES[target.removeprefix("modbus-")].counts
    assert counts["accepted"] - before.get("accepted", 0) >= 20, counts
    assert counts["refused"] - before.get("refused", 0) >= 10, counts


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_guard_without_a_check_is_caught(name: str) -> None:
    target = PLANTED[name]
    chance = random.Random(SEED)
    known = [file.read_bytes() for file in sorted((CORPUS / target).iterdir())] + list(seeds(target))
    tries = (mutated(chance, chance.choice(known)) for _ in range(20_000))
    with planted(name), pytest.raises(WrongAccepted):
        any(TARGETS[target](data) for data in tries)


def test_the_judge_itself_knows_right_from_wrong() -> None:
    """Vectors of others: the Modbus specification's own frames and the checksum that every manual prints."""
    assert crc(bytes.fromhex("010300400002")) == bytes.fromhex("c5df")
    assert lrc(bytes.fromhex("010300000001")) == b"\xfb"
    asked = Asked(1, 3, 0x40, 2)
    right = bytes.fromhex("03043f800000")
    for kind in ("tcp", "rtu", "ascii"):
        whole = frame(kind, asked, right)
        assert wrong(kind, asked, whole, right) == ""
        assert wrong(kind, asked, b"\x00\x07" + whole + b"\xff", right) == ""
        assert wrong(kind, asked, frame(kind, asked, right, unit=2), right).startswith("unit")
        assert wrong(kind, asked, whole[:-1], right).startswith("unit")
        assert wrong(kind, asked, whole, right[:-1]) == "count"
        assert wrong(kind, asked, whole, b"\x04" + right[1:]) == "function"
    assert wrong("tcp", asked, frame("tcp", asked, right, transaction=9), right).startswith("unit")
