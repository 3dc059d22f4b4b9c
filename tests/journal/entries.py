"""Entries for journal tests: short, valid, numbered."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from edge_gateway.record.entry import Stamp, encode

BOOT = "0123456789ab"
#: Wall time of entry 0.
BEGAN_US = 1_780_000_000_000_000


def stamp(seq: int) -> Stamp:
    """One entry a second."""
    return Stamp(
        rule_us=seq * 1_000_000, wall_us=BEGAN_US + seq * 1_000_000, mono_us=seq * 1_000_000, boot=BOOT, trusted=True
    )


def snapshot(seq: int, **body: Any) -> bytes:
    return encode(seq, "snapshot", stamp(seq), {"config": None, "configs": [], "state": {"at": seq}} | body)


def batch(seq: int, *, size: int = 0, group: str = "cold1-th.1", salt: str = "") -> bytes:
    """A batch entry, padded by ``size`` bytes of text that does not compress to nothing."""
    values = [seq % 50 / 10, -18.0 - seq % 7]
    body: dict[str, Any] = {"config_seq": 1, "group": group, "values": values}
    if size or salt:
        body["message"] = {"topic": salt, "payload": _noise(seq, size)}
    return encode(seq, "batch", stamp(seq), body)


def _noise(seq: int, size: int) -> str:
    return "".join(sha256(b"%d.%d" % (seq, at)).hexdigest() for at in range(size // 64 + 1))[:size]


def run(first: int, count: int, segment_entries: int, **options: Any) -> list[bytes]:
    """``count`` entries from ``first`` on, with snapshots where segments open."""
    return [
        snapshot(seq) if seq % segment_entries == 0 else batch(seq, **options) for seq in range(first, first + count)
    ]
