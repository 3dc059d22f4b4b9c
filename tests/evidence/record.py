"""Small signed and witnessed records for tests of evidence: two epochs, whole and short segments, an open tail."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_gateway.evidence.make import Made, Order, make
from edge_gateway.journal.core import Core
from edge_gateway.journal.files import DiskFiles
from edge_gateway.journal.reading import Reading
from edge_gateway.journal.retention import JournalSettings
from edge_gateway.journal.tail import Tail
from edge_gateway.journal.work import Append
from edge_gateway.record.checkpoint import Checkpoint, cosignature, cosigned_message
from edge_gateway.record.entry import canonical, encode, text_hash
from edge_gateway.record.merkle import leaf_hash, tree_root
from edge_gateway.record.note import COSIGNATURE, ED25519, Key, Signature, note_bytes
from tests.journal.entries import BEGAN_US, batch, stamp

LOG = "example.org/xj/tlf-007"
SEGMENT = 8
EVER = (-(2**61), 2**61)
CONFIG = canonical(
    {
        "gateway": "tlf-007",
        "site": {"id": "tlf-007", "origin": "example.org/xj", "timezone": "Asia/Shanghai", "name_zh": "示例", "name_en": "Example"},
        "points": {"cold1-air": {"unit": "Cel", "decimals": 1, "name_zh": "一号库", "name_en": "Store 1"}, "cold1-set": {"unit": "Cel"}},
        "groups": {"cold1-th.1": {"device": "cold1", "points": ["cold1-air", "cold1-set"], "interval_us": 1_000_000}},
        "rules": [],
    }
)


@dataclass(frozen=True)
class Party:
    """A private key and what others know of it."""

    key: Key
    private: Ed25519PrivateKey

    @classmethod
    def born(cls, name: str, kind: int, seed: int) -> Party:
        private = Ed25519PrivateKey.from_private_bytes(seed.to_bytes(32, "big"))
        raw = private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return cls(Key(name, kind, raw), private)


GATEWAY, HUB = Party.born(LOG, ED25519, 1), Party.born("hub.example.org", COSIGNATURE, 2)


def note(epoch: str, entries: Sequence[bytes], size: int, time_s: int | None, *, gateway: Party = GATEWAY, hub: Party = HUB) -> bytes:
    """What ``gateway`` signed of the first ``size`` entries, and ``hub`` cosigned at ``time_s`` (None: it did not)."""
    head = Checkpoint(f"{gateway.key.name}/{epoch}", size, tree_root(map(leaf_hash, entries[:size])))
    log = Key(head.origin, ED25519, gateway.key.public)
    lines = [Signature(log.name, log.id, gateway.private.sign(head.body().encode()))]
    if time_s is not None:
        lines.append(cosignature(hub.key, time_s, hub.private.sign(cosigned_message(head.body(), time_s))))
    return note_bytes(head.body(), lines)


def snapshot(seq: int, **body: Any) -> bytes:
    config = {"config_seq": 1, "text": text_hash(CONFIG), "texts": {}} if seq else None
    return encode(seq, "snapshot", stamp(seq), {"config": config, "configs": [], "state": {"at": seq}} | body)


def config(seq: int) -> bytes:
    body = {"text": text_hash(CONFIG), "texts": {}, "software": "0", "by": "test", "reason": "start", "changes": []}
    return encode(seq, "config", stamp(seq), body)


def entries(count: int, *, segment: int = SEGMENT, previous: Mapping[str, Any] | None = None, began: int = 0) -> list[bytes]:
    """``count`` entries of an epoch, one a second; ``began``: seconds after the first epoch's beginning."""
    found = []
    for seq in range(count):
        if seq % segment == 0:
            found.append(snapshot(seq, **({"previous": previous} if previous and not seq else {})))
        else:
            found.append(config(seq) if seq == 1 else batch(seq))
    return [_later(entry, began) for entry in found]


def _later(entry: bytes, seconds: int) -> bytes:
    import orjson

    told = orjson.loads(entry)
    for name in ("wall_us", "mono_us", "rule_us"):
        told[name] += seconds * 1_000_000
    return orjson.dumps(told)


@dataclass
class Epoch:
    """An epoch to write: its entries, and ``(size, cosigned at)`` of its checkpoints."""

    name: str
    entries: list[bytes]
    notes: list[tuple[int, int | None]] = field(default_factory=list)

    def root(self, size: int) -> str:
        return tree_root(map(leaf_hash, self.entries[:size])).hex()


def write(folder: Path, epochs: Iterable[Epoch], *, segment: int = SEGMENT) -> Path:
    """A state folder as the journal itself leaves it."""
    given = list(epochs)
    settings = JournalSettings(max_bytes=1 << 30, segment_entries=segment, hub_name="hub", sinks=("hub",))
    ids = iter(each.name for each in given)
    core = Core(DiskFiles(), folder, settings, wall_us=lambda: BEGAN_US, new_id=lambda: next(ids))
    core.open()
    for number, epoch in enumerate(given):
        if number:
            core.new_epoch("restore")
        assert core.commit([Append(first=0, entries=epoch.entries, texts=[CONFIG])]) == [None]
        while core.seal():
            pass
    core.close()
    tail = Tail(folder / "journal.sqlite")
    with tail.transaction():
        for epoch in given:
            for size, time_s in epoch.notes:
                tail.put_checkpoint(epoch.name, size, note(epoch.name, epoch.entries, size, time_s))
    tail.close()
    return folder


def pack(folder: Path, from_us: int = EVER[0], to_us: int = EVER[1], *, keys: Sequence[Key] = (GATEWAY.key, HUB.key)) -> tuple[bytes, Made]:
    """An evidence pack out of a state folder."""
    reading, file = Reading(folder), io.BytesIO()
    try:
        made = make(folder, reading, file, Order(from_us=from_us, to_us=to_us, made_us=BEGAN_US, keys=tuple(keys)))
    finally:
        reading.close()
    return file.getvalue(), made
