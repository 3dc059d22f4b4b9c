"""The database with all cosigned checkpoints is lost, real gateway, signer and hub: they come back from the hub, and the new epoch names the newest.

Planted: a hub that gives back a checkpoint of another root under its own right cosignature. It is not kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from typing import Any
from urllib.request import urlopen

import apsw
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_gateway.record.checkpoint import Checkpoint
from edge_gateway.record.note import ED25519, Key, Note, Signature, note_bytes
from regulator_hub.cosigner import Cosigner
from tests.shipping import test_standing_end as end
from tests.shipping import test_witnessed as site
from tests.shipping.test_witnessed import ID, Parts, register

pytestmark = pytest.mark.usefixtures("small")
small, plant, make = end.small, site.plant, site.make


def lose_the_database(parts: Parts) -> None:
    parts.gateway.kill()
    for path in parts.gateway.state.glob("journal.sqlite*"):
        path.unlink()
    parts.signer.start()


def kept(parts: Parts) -> dict[str, list[tuple[int, bytes]]]:
    """Checkpoints in the database, by epoch."""
    found: dict[str, list[tuple[int, bytes]]] = {}
    with closing(apsw.Connection(str(parts.gateway.state / "journal.sqlite"), flags=apsw.SQLITE_OPEN_READONLY)) as database:
        for epoch, size, note in database.execute("SELECT epoch, size, note FROM checkpoints ORDER BY size"):
            found.setdefault(epoch, []).append((size, note))
    return found


def witnessed(parts: Parts) -> None:
    """More than a segment is witnessed, and all that was signed is cosigned and lies in sealed segments: those alone outlive the database."""
    parts.gateway.wait(lambda: parts.size() > 40, "more than one segment is witnessed", 60)
    parts.signer.kill()  # nothing more is signed while the rest is sealed
    parts.gateway.wait(lambda: parts.gateway.status()["signing"]["trouble"] != "", "the gateway asks it in vain: what it signed last is known", 60)
    signed = parts.gateway.status()["signing"]["newest"]["size"]
    parts.gateway.wait(lambda: newest_at_hub(parts).size == signed, "all that was signed is cosigned", 60)
    parts.gateway.wait(lambda: end.sealed(parts.gateway) * end.SEGMENT >= signed, "all that was signed is sealed", 60)


def cosigned(parts: Parts, epoch: str) -> list[int]:
    """Sizes of kept checkpoints with a witness's line."""
    return [size for size, note in kept(parts).get(epoch, []) if len(Note.parse(note).signatures) > 1]


def newest_at_hub(parts: Parts) -> Checkpoint:
    """The newest checkpoint that the hub cosigned, while it runs."""
    with urlopen(f"{parts.hub.url}/api/v1/gateways/{ID}/checkpoint", timeout=10) as answer:
        return Checkpoint.parse(Note.parse(answer.read()).text)


def at_hub(parts: Parts, epoch: str) -> bool:
    """Whether the hub has entries of an epoch."""
    (row,) = parts.api("/gateways")["gateways"]
    return epoch in {each["epoch"] for each in row["epochs"]} and bool(parts.entries(epoch))


def first_of(parts: Parts, epoch: str) -> dict[str, Any]:
    return dict(json.loads(parts.entries(epoch)[0]))


def test_cosigned_checkpoints_come_back_and_the_new_epoch_names_the_newest(make: Callable[..., Parts]) -> None:
    parts = make()
    register(parts)
    with parts.hub:
        with parts.gateway:
            witnessed(parts)
            (old,) = kept(parts)
            lose_the_database(parts)
        size = newest_at_hub(parts).size
        with parts.gateway:
            parts.gateway.wait(lambda: size in cosigned(parts, old), "the checkpoint that the hub cosigned last", 20)
            new = str(parts.gateway.status()["journal"]["epoch"])
            parts.gateway.wait(lambda: at_hub(parts, new), "the hub has the new epoch", 20)
            named = first_of(parts, new)["previous"]["cosigned"]
        assert (named["epoch"], named["size"]) == (old, size)


def test_they_come_back_where_the_hub_was_away_at_that_start(make: Callable[..., Parts]) -> None:
    parts = make()
    register(parts)
    with parts.gateway, parts.hub:
        witnessed(parts)
        (old,) = kept(parts)
        lose_the_database(parts)
        size = newest_at_hub(parts).size
    with parts.gateway:
        parts.gateway.wait(lambda: bool(parts.gateway.status().get("rows")), "it reads")
        assert cosigned(parts, old) == []
        with parts.hub:
            parts.gateway.wait(lambda: size in cosigned(parts, old), "the checkpoint that the hub cosigned last", 40)


def test_a_checkpoint_that_our_own_entries_do_not_give_is_not_kept(make: Callable[..., Parts]) -> None:
    parts = make()
    register(parts)
    with parts.hub, parts.gateway:
        witnessed(parts)
        (old,) = kept(parts)
        lose_the_database(parts)
    forge(parts, old)
    with parts.hub:
        assert newest_at_hub(parts).root == bytes(32)
        with parts.gateway:
            parts.gateway.wait(lambda: bool(parts.gateway.status().get("rows")), "it reads")
            parts.gateway.settle(5.0)
        assert all(Checkpoint.parse(Note.parse(note).text).root != bytes(32) for _, note in kept(parts).get(old, []))


def forge(parts: Parts, epoch: str) -> None:
    """The hub's newest note of the epoch says another root, rightly signed by both keys."""
    seed = bytes.fromhex((parts.signer.folder / "signer.key").read_text())
    with closing(apsw.Connection(str(parts.hub.state_dir / "hub.sqlite"))) as database:
        ((rowid, size, note),) = database.execute("SELECT c.epoch, c.size, c.note FROM cosigned c JOIN epochs e ON e.id=c.epoch WHERE e.epoch=?", (epoch,)).fetchall()
        head = Checkpoint(Checkpoint.parse(Note.parse(note).text).origin, size, bytes(32))
        private = Ed25519PrivateKey.from_private_bytes(seed)
        own = Key(head.origin, ED25519, private.public_key().public_bytes_raw())
        whole = note_bytes(head.body(), [Signature(own.name, own.id, private.sign(head.body().encode()))])
        line = Cosigner(parts.hub.state_dir / "witness", "regulator-hub", born=False).cosign(head.body(), 1_800_000_000)
        whole = note_bytes(head.body(), [*Note.parse(whole).signatures, line])
        database.execute("UPDATE cosigned SET note=? WHERE epoch=?", (whole, rowid))
