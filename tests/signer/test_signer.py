"""The signing process over its real socket: it signs what extends the last, forgets nothing over a kill, and shows nobody its key."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from unittest import mock

import orjson
import pytest

from edge_gateway.errors import SignerAway, SignerError, SignerRefused
from edge_gateway.record.checkpoint import Checkpoint
from edge_gateway.record.merkle import leaf_hash, tree_root
from edge_gateway.record.note import ED25519, Key
from edge_gateway.record.proof import consistency
from edge_gateway.signer import ledger as ledgers
from edge_gateway.signer.base import Ask
from edge_gateway.signer.client import Client
from edge_gateway.signer.ledger import MOST_BORN, Ledger
from edge_gateway.signer.service import Service
from tests.signer.process import SignerProcess

LOG = "example.org/xj/tlf-007"
EPOCH = f"{LOG}/0123456789abcdef"
LEAVES = [leaf_hash(b"%d" % n) for n in range(200)]
FORKED = [*LEAVES[:20], leaf_hash(b"forged"), *LEAVES[21:]]


def ask(new: int, old: int = 0, *, origin: str = EPOCH, leaves: list[bytes] = LEAVES) -> Ask:
    def subtree(start: int, width: int) -> bytes:
        return tree_root(leaves[start : start + width])

    head = Checkpoint(origin, new, tree_root(leaves[:new]))
    return Ask(head=head, old=old, path=consistency(old, new, subtree) if old <= new else [])


# --- the judgement ------------------------------------------------------------------------------------------------


def test_what_grows_is_signed_and_what_does_not_is_not() -> None:
    ledger = Ledger()
    for old, new in ((0, 10), (10, 10), (10, 64), (64, 200)):
        ledger.judge(ask(new, old), 0)
        ledger = ledger.signed(ask(new, old), 0)
    for wrong, why in (
        (ask(100, 200), "a roll-back"),
        (ask(200, leaves=FORKED), "proof from 200 entries on is wanted"),
        (Ask(head=Checkpoint(EPOCH, 200, bytes(32)), old=200, path=[]), "does not grow"),
        (ask(64, 10), "a roll-back"),
    ):
        with pytest.raises(SignerRefused, match=why) as refused:
            ledger.judge(wrong, 0)
        assert (refused.value.size, refused.value.root) == (200, tree_root(LEAVES))
    half = Ledger().signed(ask(64), 0)
    with pytest.raises(SignerRefused, match="does not grow"):
        half.judge(ask(200, 64, leaves=FORKED), 0)
    with pytest.raises(SignerRefused, match="proof from 64"):
        half.judge(ask(200, 10), 0)


def test_one_gateways_logs_and_no_others() -> None:
    ledger = Ledger().signed(ask(10), 0)
    ledger.judge(ask(5, origin=f"{LOG}/fedcba9876543210"), 0)
    for origin in ("example.org/xj/other/0123456789abcdef", f"{LOG}/x/0123456789abcdef", LOG, "0123456789abcdef", f"{LOG}/0123"):
        with pytest.raises(SignerRefused):
            ledger.judge(ask(5, origin=origin), 0)
    with pytest.raises(SignerRefused, match="nothing of"):
        ledger.judge(ask(10, 5, origin=f"{LOG}/fedcba9876543210"), 0)


def test_epochs_are_counted_by_the_day() -> None:
    ledger = Ledger()
    for n in range(MOST_BORN):
        birth = ask(1, origin=f"{LOG}/{n:016x}")
        ledger.judge(birth, 1000 + n)
        ledger = ledger.signed(birth, 1000 + n)
    late = ask(1, origin=f"{LOG}/{99:016x}")
    for now_s in (1000 + MOST_BORN, 1000 + 86_399, 10):  # also with a clock that was set back
        with pytest.raises(SignerRefused, match="born within a day"):
            ledger.judge(late, now_s)
    ledger.judge(late, 1000 + 86_400)
    ledger.judge(ask(2, 1, origin=f"{LOG}/{0:016x}"), 1000)  # a log that is known goes on


def _written(path: Path, sizes: Iterable[int]) -> list[Ledger]:
    """One log and then another that goes on through ``sizes``: the ledger after each; the file holds the last."""
    file, ledger, kept = ledgers.File(path), Ledger().signed(ask(64), 7), []
    file.write(ledger)
    for size in sizes:
        ledger = ledger.signed(ask(size, origin=f"{LOG}/fedcba9876543210"), 8)
        file.write(ledger)
        kept.append(ledger)
        assert ledgers.read(path) == ledger
    return kept


@pytest.mark.parametrize("sizes", [[3], [3, 4], [3, 4, 5], [3, 4, 5, 6]])
def test_every_flipped_bit_of_the_ledger_is_found_or_changes_nothing(tmp_path: Path, sizes: list[int]) -> None:
    """Every bit of what is written, and every hundredth of the filling."""
    path = tmp_path / "ledger.json"
    ledger = _written(path, sizes)[-1]
    data = path.read_bytes()
    found = 0
    for at in range(len(data) * 8):
        if data[at >> 3] == 32 and at % 100:
            continue
        flipped = bytearray(data)
        flipped[at >> 3] ^= 1 << (at & 7)
        try:
            assert Ledger.parse(bytes(flipped)) == ledger, at  # white space, or one of the two copies
        except SignerError:
            found += 1
    assert found > 3_000
    path.write_bytes(b"")
    with pytest.raises(SignerError, match="cannot be believed"):
        Service(tmp_path)


@pytest.mark.parametrize("sizes", [[3, 4], [3, 4, 5], [3, 4, 5, 6]])
def test_a_cut_while_the_ledger_is_written_in_place_leaves_what_was_signed_before(tmp_path: Path, sizes: list[int]) -> None:
    """N = 400 cuts of one write, sector by sector: nothing, all, or any part of it arrives, or rubbish."""
    path, draw, seen = tmp_path / "ledger.json", random.Random(1), set()
    before, after = _written(path, sizes)[-2:]
    _written(path, sizes[:-1])
    old = path.read_bytes()
    _written(path, sizes)
    new = path.read_bytes()
    assert len(old) == len(new)
    assert old != new
    for _ in range(400):
        torn = bytearray(old)
        for at in range(0, len(new), 512):
            if old[at : at + 512] != new[at : at + 512]:
                torn[at : at + 512] = draw.choice([old[at : at + 512], new[at : at + 512], draw.randbytes(512)])
        read = Ledger.parse(bytes(torn))
        assert read in (before, after)
        seen.add(read.logs[read.last][0])
    assert seen == {sizes[-2], sizes[-1]}


def test_a_ledger_whose_slots_are_both_gone_signs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ledger.json"
    _written(path, [3, 4, 5])
    data = bytearray(path.read_bytes())
    for slot in range(1, 5):
        data[slot * ledgers.BLOCK + 90] ^= 1
    path.write_bytes(data)
    with pytest.raises(SignerError, match="neither of its slots"):
        Service(tmp_path)
    path.write_bytes(data[: ledgers.BLOCK])
    with pytest.raises(SignerError, match="length"):
        Service(tmp_path)


def test_a_ledger_of_an_earlier_release_goes_on(tmp_path: Path) -> None:
    """As release 0.1 wrote it: one line."""
    body = orjson.dumps({"v": 1, "name": LOG, "logs": {EPOCH: [64, ask(64).head.root.hex()]}, "born": [7], "key": "", "last": EPOCH}, option=orjson.OPT_SORT_KEYS)
    (tmp_path / "ledger.json").write_bytes(b'{"sha256":"%s","ledger":%s}\n' % (sha256(body).hexdigest().encode(), body))
    (tmp_path / "signer.key").touch(0o600)
    (tmp_path / "signer.key").write_text(f"{'07' * 32}\n")
    Service(tmp_path).sign(ask(70, 64))
    assert Service(tmp_path)._ledger.logs == {EPOCH: (70, ask(70).head.root)}
    with pytest.raises(SignerRefused, match="roll-back"):
        Service(tmp_path).sign(ask(66, 64))


def test_what_failed_to_be_written_in_place_is_written_whole(tmp_path: Path) -> None:
    service = Service(tmp_path)
    for new, old in ((10, 0), (20, 10)):
        service.sign(ask(new, old))
    with mock.patch.object(ledgers, "overwrite_synced", side_effect=OSError(5, "Input/output error")), pytest.raises(SignerRefused, match="cannot be written"):
        service.sign(ask(30, 20))
    with mock.patch.object(ledgers, "overwrite_synced", side_effect=AssertionError):
        service.sign(ask(30, 20))
    assert Service(tmp_path)._ledger.logs == {EPOCH: (30, ask(30).head.root)}


# --- the process --------------------------------------------------------------------------------------------------


@pytest.fixture
def signer(tmp_path: Path) -> Iterator[SignerProcess]:
    running = SignerProcess(tmp_path)
    yield running
    running.kill()


@pytest.fixture
async def client(signer: SignerProcess) -> AsyncIterator[Client]:
    made = Client(signer.socket, timeout_s=5)
    yield made
    made.close()


async def test_signatures_are_the_keys(signer: SignerProcess, client: Client) -> None:
    key = Key(EPOCH, ED25519, await client.public())
    for old, new in ((0, 10), (10, 10), (10, 200)):
        asked = ask(new, old)
        assert key.verifies(asked.head.body().encode(), await client.sign(asked))
    with pytest.raises(SignerRefused, match="roll-back"):
        await client.sign(ask(100, 200))
    assert signer.folder.stat().st_mode & 0o777 == 0o700
    assert (signer.folder / "signer.key").stat().st_mode & 0o777 == 0o600
    assert signer.socket.stat().st_mode & 0o777 == 0o660


async def test_a_kill_forgets_nothing_and_the_client_finds_the_next_one(signer: SignerProcess, client: Client) -> None:
    random_ = random.Random(1)
    public, size = await client.public(), 0
    for _ in range(6):
        larger = size + random_.randrange(1, 10)
        asked = ask(larger, size)
        await client.sign(asked)
        size = larger
        signer.kill()
        with pytest.raises(SignerAway):
            await client.sign(ask(larger, size))
        signer.start()
        with pytest.raises(SignerRefused, match=r"does not grow|proof from"):
            await client.sign(ask(200, size, leaves=[leaf_hash(b"forged"), *LEAVES[1:]]))
        assert await client.public() == public
        await client.sign(ask(size, size))  # the answer may have been lost: the same again is signed again


async def test_strange_lines_are_answered_and_the_next_one_works(signer: SignerProcess, client: Client) -> None:
    random_ = random.Random(2)
    lines = [b"\n", b"{}\n", b"[]\n", b'{"ask":"key"}\n', b'{"ask":"sign"}\n', b'{"ask":"sign","origin":"a b","size":1,"root":"00","old":0,"path":[]}\n']
    lines += [bytes(random_.choices(range(1, 256), k=40)).replace(b"\n", b"x") + b"\n" for _ in range(200)]
    reader, writer = await asyncio.open_unix_connection(signer.socket)
    for line in lines:
        writer.write(line)
        assert b'"refused"' in await asyncio.wait_for(reader.readline(), 5), line
    writer.write(b"x" * 100_000)
    assert await asyncio.wait_for(reader.read(), 5) == b""  # a line without end: the connection is ended
    writer.close()
    assert len(await client.public()) == 32


async def test_a_key_that_others_may_read_and_a_lost_one_are_refused(signer: SignerProcess, client: Client) -> None:
    await client.sign(ask(10))
    signer.process.send_signal(signal.SIGTERM)
    assert signer.process.wait(5) == 0
    assert not signer.socket.exists()
    key = signer.folder / "signer.key"
    key.chmod(0o640)
    with pytest.raises(SignerError, match="may be read by others"):
        Service(signer.folder)
    key.chmod(0o600)
    saved = key.read_text()
    key.write_text("nonsense\n")
    with pytest.raises(SignerError, match="is no key"):
        Service(signer.folder)
    key.unlink()
    with pytest.raises(SignerError, match="gone, though it has signed"):
        Service(signer.folder)
    key.write_text(saved)
    key.chmod(0o600)
    assert Service(signer.folder).public


def test_a_key_whose_ledger_is_gone_signs_no_second_history(tmp_path: Path) -> None:
    """Planted: the ledger removed, so that another record may be signed from its first entry on."""
    service = Service(tmp_path)
    service.sign(ask(10))
    (tmp_path / "ledger.json").unlink()
    with pytest.raises(SignerError, match="is gone: what this key signed"):
        Service(tmp_path)
    (tmp_path / "signer.key").rename(tmp_path / "aside")
    assert Service(tmp_path).public != service.public, "only under another key"
    (tmp_path / "signer.key").unlink()  # killed between the ledger and the key
    assert Service(tmp_path).sign(ask(10))


@pytest.mark.skipif(os.geteuid() != 0, reason="another user's eyes need root")
async def test_another_user_can_neither_read_the_key_nor_ask(signer: SignerProcess) -> None:
    for path in (signer.folder / "signer.key", signer.folder / "ledger.json"):
        done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "cat", str(path)], capture_output=True, check=False)
        assert done.returncode != 0
        assert b"denied" in done.stderr
    program = f"import socket; s=socket.socket(socket.AF_UNIX); s.connect({str(signer.socket)!r})"
    done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-c", program], capture_output=True, check=False)
    assert b"PermissionError" in done.stderr


async def test_nothing_listens_is_said(tmp_path: Path) -> None:
    with pytest.raises(SignerAway, match="is away"):
        await Client(tmp_path / "none.sock").public()


async def test_an_answer_that_was_lost_is_not_taken_for_the_next(tmp_path: Path) -> None:
    """A signer that answers late: the connection goes with the question."""
    answers = iter((b"", b'{"public":"%s"}\n' % (b"11" * 32)))

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        answer = next(answers)
        if not answer:
            await asyncio.sleep(0.3)
            answer = b'{"public":"%s"}\n' % (b"22" * 32)
        writer.write(answer)
        writer.close()

    server = await asyncio.start_unix_server(slow, tmp_path / "s.sock")
    client = Client(tmp_path / "s.sock", timeout_s=0.1)
    with pytest.raises(SignerAway, match="in time"):
        await client.public()
    began = time.monotonic()
    assert (await client.public()).hex() == "11" * 32
    assert time.monotonic() - began < 0.2
    server.close()
