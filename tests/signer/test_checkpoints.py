"""The gateway's checkpoints end to end: real gateway, real signer, a plant over TCP; kills, a roll-back, a forgery."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_gateway.journal.reading import Reading
from edge_gateway.record.checkpoint import opened
from edge_gateway.record.merkle import leaf_hash, tree_root
from edge_gateway.record.note import ED25519, Key
from edge_gateway.signer.tree import Missing, Tree
from tests.cli.site import THAWED, Gateway, Plant, config_text
from tests.signer.process import SignerProcess


@pytest.fixture
def plant() -> Iterator[Plant]:
    with Plant() as running:
        yield running


@pytest.fixture
def signer(tmp_path: Path) -> Iterator[SignerProcess]:
    running = SignerProcess(tmp_path)
    yield running
    running.kill()


def site(folder: Path, plant: Plant, signer: SignerProcess) -> Gateway:
    return Gateway(folder, config_text(plant.port, more=f'\n[signer]\nsocket = "{signer.socket}"\n'))


def verified(gateway: Gateway, key: str, *options: str) -> dict[str, object]:
    done = gateway.verb("journal", "verify", "--key", key, "--json", *options)
    assert done.stdout, done.stderr
    return dict(json.loads(done.stdout)) | {"exit": done.returncode}


def test_the_record_is_signed_to_its_last_entry(plant: Plant, signer: SignerProcess, tmp_path: Path) -> None:
    with site(tmp_path, plant, signer) as gateway:
        key = gateway.verb("signer", "key").stdout.strip()
        assert key.startswith("example.org/xj/tlf-007+")
        gateway.wait(lambda: gateway.status()["signing"]["made"] >= 1, "the first checkpoint")
        before = gateway.status()["signing"]["newest"]["size"]
        plant.set(1, THAWED)  # a violation is signed at once, long before 30 s or 1,000 entries
        began = time.monotonic()
        gateway.wait(lambda: gateway.status()["violations"] != [], "the violation")
        gateway.wait(lambda: gateway.status()["signing"]["newest"]["size"] > before, "its checkpoint")
        assert time.monotonic() - began < 10
        status = gateway.verb("status")
        assert "signed" in status.stdout
        assert "not signed yet" in status.stdout
        while_running = verified(gateway, key)
        assert while_running["outcome"] == "verified", while_running
    said = verified(gateway, key)  # stopped in order: the last entry is signed too
    assert (said["outcome"], said["exit"]) == ("verified", 0)
    assert said["checkpoint"]["size"] == said["epochs"][-1]["size"]  # type: ignore[index]
    reading = Reading(gateway.state)
    epoch, size, note = reading.checkpoints()[-1]
    entries = [each for at in range(0, size, 100) for each in reading.read(_at(epoch, at), max_entries=min(100, size - at), max_bytes=1 << 22)]
    reading.close()
    head, _ = opened(note, Key(f"example.org/xj/tlf-007/{epoch}", ED25519, Key.parse(key).public))
    assert head.root == tree_root(map(leaf_hash, entries))


def _at(epoch: str, seq: int):  # type: ignore[no-untyped-def]
    from edge_gateway.journal.base import Position

    return Position(epoch, seq)


def test_kills_of_both_leave_a_record_that_verifies(plant: Plant, signer: SignerProcess, tmp_path: Path) -> None:
    """N = 4 kills at random moments (seed 1): the signer's and the gateway's, in turn."""
    random_ = random.Random(1)
    gateway = site(tmp_path, plant, signer)
    key, largest = "", 0
    for n in range(4):
        gateway.start()
        key = key or gateway.verb("signer", "key").stdout.strip()
        gateway.wait(lambda: gateway.status()["signing"]["made"] >= 1, "a checkpoint")
        if not n:  # kept with the next commit: before that there is none to verify by
            gateway.wait(lambda key=key: verified(gateway, key)["outcome"] == "verified", "a checkpoint on the disk")
        if n % 2:
            signer.kill()
            plant.set(1 + n % 3, random_.choice([THAWED, -200]))
            time.sleep(random_.uniform(0.2, 1.0))
            signer.start()
        else:
            time.sleep(random_.uniform(0.0, 0.7))
        gateway.kill()
        said = verified(gateway, key)
        assert said["outcome"] == "verified", said
        assert said["checkpoint"]["size"] >= largest  # type: ignore[index]
        largest = said["checkpoint"]["size"]  # type: ignore[index]


def test_a_record_that_was_set_back_is_refused_and_told(plant: Plant, signer: SignerProcess, tmp_path: Path) -> None:
    gateway = site(tmp_path, plant, signer)
    with gateway:
        gateway.wait(lambda: gateway.status()["signing"]["made"] >= 1, "a checkpoint")
    shutil.copytree(gateway.state, tmp_path / "older")
    with gateway:
        gateway.wait(lambda: gateway.status()["signing"]["newest"]["size"] > 10, "more checkpoints")
        plant.set(2, THAWED)
        gateway.wait(lambda: gateway.status()["violations"] != [], "a violation, to be made undone")
    shutil.rmtree(gateway.state)
    shutil.copytree(tmp_path / "older", gateway.state)
    plant.set(2, -200)
    with gateway:
        gateway.wait(lambda: "roll-back" in gateway.status()["signing"]["trouble"] or "grow" in gateway.status()["signing"]["trouble"], "the refusal")
        assert any(problem.startswith("signer: ") for problem in gateway.status()["problems"])


def test_without_a_signer_the_gateway_goes_on_and_says_so(plant: Plant, signer: SignerProcess, tmp_path: Path) -> None:
    signer.kill()
    with site(tmp_path, plant, signer) as gateway:
        gateway.wait(lambda: "is away" in gateway.status()["signing"]["trouble"], "the trouble")
        gateway.wait(lambda: gateway.status()["journal"]["committed_seq"] > 20, "readings go on")
        signer.start()
        gateway.wait(lambda: gateway.status()["signing"]["made"] >= 1, "a checkpoint")
        gateway.wait(lambda: gateway.status()["signing"]["trouble"] == "", "the trouble is over")


@pytest.mark.parametrize("notes_too", [False, True])
def test_the_end_of_an_epoch_is_signed_though_the_gateway_died_there(notes_too: bool, plant: Plant, signer: SignerProcess, tmp_path: Path) -> None:
    """Planted: one bad row of the tail after a kill; then also every kept note is gone."""
    gateway = site(tmp_path, plant, signer)
    gateway.start()
    gateway.wait(lambda: gateway.status()["signing"]["made"] >= 1, "a checkpoint")
    gateway.wait(lambda: gateway.status()["signing"]["unsigned"] > 10, "entries that no checkpoint covers")
    gateway.kill()
    database = sqlite3.connect(gateway.state / "journal.sqlite")
    with database:
        database.execute("UPDATE tail SET crc = crc + 1 WHERE seq = (SELECT max(seq) FROM tail)")
        if notes_too:
            database.execute("DELETE FROM checkpoints")
    database.close()
    with gateway:
        gateway.wait(lambda: gateway.status()["signing"]["made"] >= 2, "the new epoch is signed, and the end of the old one")
        assert gateway.status()["signing"]["trouble"] == ""
    reading = Reading(gateway.state)
    old, _ = reading.epochs()
    assert max(size for epoch, size, _ in reading.checkpoints() if epoch == old.epoch) == old.size
    reading.close()


# --- the tree -----------------------------------------------------------------------------------------------------


def test_the_tree_answers_as_the_whole_would_and_asks_for_what_it_forgot() -> None:
    entries = [b"%d" % n for n in range(70)]
    leaves = [leaf_hash(entry) for entry in entries]
    tree = Tree(8)
    for at in range(0, 70, 7):
        tree.add(entries[at : at + 7])
    later = Tree(8, [tree_root(leaves[at : at + 8]) for at in range(0, 64, 8)])
    later.add(entries[64:])
    for each in (tree, later):
        assert each.size == 70
        for size in range(71):
            assert _asked(each, leaves, size) == tree_root(leaves[:size])
        with pytest.raises(ValueError, match="70 are here"):
            each.root(71)


def _asked(tree: Tree, leaves: list[bytes], size: int) -> bytes:
    while True:
        try:
            return tree.root(size)
        except Missing as missing:
            tree.learn(missing.first, leaves[missing.first : missing.first + 8])
