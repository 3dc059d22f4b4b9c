"""A bit of the log that changed at rest, against a real log of SQLite: it is found among those that explain it, and no torn commit is taken for one."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from random import Random

import apsw
import pytest

from edge_gateway.journal.changed_bit import changed_bits, mended

FRAME, SEED = 24 + 4096, 20261128


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Eight commits of two to four frames."""
    path, random = tmp_path_factory.mktemp("log") / "some.sqlite", Random(SEED)
    with closing(apsw.Connection(str(path))) as database:
        database.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB)").fetchall()
        for _ in range(8):
            with database:
                for _ in range(6):
                    database.execute("INSERT INTO t(b) VALUES(?)", (random.randbytes(900),))
        return Path(f"{path}-wal").read_bytes()


def frames_of_last_commits(log: bytes, commits: int) -> int:
    """Where the last so many commits begin."""
    starts = range(32, len(log), FRAME)
    ends = [at for at in starts if log[at + 4 : at + 8] != bytes(4)]
    return ends[-commits - 1] + FRAME


def test_a_sound_log_has_none(log: bytes) -> None:
    assert changed_bits(log) == []
    assert changed_bits(log[:32]) == changed_bits(b"") == []


def test_each_changed_bit_of_the_last_two_commits_is_among_those_that_explain_it(log: bytes) -> None:
    random, alone = Random(SEED), 0
    begin = frames_of_last_commits(log, 2)
    for _ in range(400):
        bit = random.randrange(8 * begin, 8 * len(log))
        found = changed_bits(mended(log, bit))
        assert bit in found
        alone += found == [bit]
    assert alone > 260  # the others lie in the upper bits of a word


def test_each_bit_of_the_logs_header_too(log: bytes) -> None:
    for bit in range(256):
        assert bit in changed_bits(mended(log, bit))


@pytest.mark.parametrize("rest", ["nothing", "zeros", "an older generation's"])
def test_what_a_power_cut_tore_is_no_changed_bit(log: bytes, rest: str) -> None:
    random, begin = Random(SEED), frames_of_last_commits(log, 1)
    older = mended(mended(log, 8 * 20), 8 * 21 + 3)[len(log) - begin :]
    for _ in range(60):
        cut = random.randrange(begin // 512 + 1, len(log) // 512) * 512
        left = {"nothing": b"", "zeros": bytes(len(log) - cut), "an older generation's": older[: len(log) - cut]}[rest]
        assert changed_bits(log[:cut] + left) == []
