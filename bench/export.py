"""How long an evidence pack of a month takes to make and to verify: 200 points, a reading each in 10 s, with hourly tables.

`python bench/export.py [--days 30] [--interval 10]`. A journal is written by the real code (commit, seal) as 10 devices × 20 float32 would,
signed and cosigned at its end by keys made here; then `evidence.make` and `evidence.check`, each in a process of its own, in one thread.
Prints one JSON line: seconds of the wall and of the processor, bytes, readings a second, the highest memory.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_gateway.evidence import check, make
from edge_gateway.evidence.judge import Asked
from edge_gateway.journal.core import Core
from edge_gateway.journal.files import DiskFiles
from edge_gateway.journal.reading import Reading
from edge_gateway.journal.retention import JournalSettings
from edge_gateway.journal.tail import Tail
from edge_gateway.journal.work import Append
from edge_gateway.reading import Batch, Block, Group
from edge_gateway.record import entry
from edge_gateway.record.checkpoint import Checkpoint, cosignature, cosigned_message
from edge_gateway.record.merkle import Frontier, leaf_hash
from edge_gateway.record.note import COSIGNATURE, ED25519, Key, Signature, note_bytes

DEVICES, POINTS, SEGMENT = 10, 20, 4096
EPOCH, BOOT, BEGAN_US = "00000000000000e1", "0123456789ab", 1_772_294_400_000_000
LOG = "bench.example.org/site"
OWN, HUB = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2))
OWN_KEY = Key(LOG, ED25519, OWN.public_key().public_bytes_raw())
HUB_KEY = Key("hub.example.org", COSIGNATURE, HUB.public_key().public_bytes_raw())


def configuration() -> bytes:
    """As the gateway would write it."""
    names = {d: [f"d{d}-p{p}" for p in range(POINTS)] for d in range(DEVICES)}
    return entry.canonical(
        {
            "gateway": "site", "site": {"id": "site", "origin": "bench.example.org", "timezone": "Asia/Shanghai", "name_zh": "站", "name_en": "Site"},
            "points": {name: {"unit": "Cel", "device": f"d{d}"} for d, each in names.items() for name in each},
            "groups": {f"d{d}.1": {"device": f"d{d}", "points": each, "interval_us": 10_000_000} for d, each in names.items()},
        }
    )  # fmt: skip


def entries(rounds: int, interval_us: int) -> Iterator[bytes]:
    """``rounds`` polls of all devices, a snapshot where a segment begins."""
    rng = random.Random(1)
    text = {"config_seq": 1, "text": entry.text_hash(configuration()), "texts": {}}
    groups = [Group(id=f"d{d}.1", device=f"d{d}", points=tuple(map(str, range(POINTS)))) for d in range(DEVICES)]
    values = [[round(rng.uniform(-22.2, -21.8), 2) for _ in range(POINTS)] for _ in range(997)]
    raw = [struct.pack(f">{POINTS}f", *each) for each in values]
    seq = 0
    for number in range(rounds):
        now_us = number * interval_us
        stamp = entry.Stamp(now_us, BEGAN_US + now_us, now_us, BOOT, True)
        for group in groups:
            if seq % SEGMENT == 0:
                yield entry.encode(seq, "snapshot", stamp, {"config": text if seq else None, "configs": [], "state": {}})
                seq += 1
            if seq == 1:
                body = {key: value for key, value in text.items() if key != "config_seq"} | {"software": "bench", "by": "bench", "reason": "start", "changes": []}
                yield entry.encode(seq, "config", stamp, body)
                seq += 1
            block = Block(unit=1, function=3, start=0, data=raw[seq % 997])
            batch = Batch(group=group, mono_us=now_us, wall_us=BEGAN_US + now_us, values=values[seq % 997], slot_us=now_us, blocks=[block])
            yield entry.encode_batch(seq, now_us, BOOT, True, 1, batch)
            seq += 1


def write(state: Path, days: float, interval_s: float) -> int:
    """The journal, signed and cosigned to its end; how many entries."""
    settings = JournalSettings(max_bytes=1 << 40, segment_entries=SEGMENT, hub_name="hub", sinks=("hub",))
    core = Core(DiskFiles(), state, settings, wall_us=lambda: BEGAN_US, new_id=lambda: EPOCH)
    core.open()
    tree, waiting, size = Frontier(), [], 0
    for each in entries(int(days * 86_400 / interval_s), int(interval_s * 1e6)):
        tree.append(leaf_hash(each))
        waiting.append(each)
        if len(waiting) == SEGMENT:
            size = _commit(core, size, waiting)
    size = _commit(core, size, waiting)
    core.close()
    head = Checkpoint(f"{LOG}/{EPOCH}", size, tree.root())
    log, time_s = Key(head.origin, ED25519, OWN_KEY.public), BEGAN_US // 1_000_000 + int(days * 86_400) + 60
    lines = [Signature(log.name, log.id, OWN.sign(head.body().encode())), cosignature(HUB_KEY, time_s, HUB.sign(cosigned_message(head.body(), time_s)))]
    tail = Tail(state / "journal.sqlite")
    with tail.transaction():
        tail.put_checkpoint(EPOCH, size, note_bytes(head.body(), lines))
    tail.close()
    return size


def _commit(core: Core, size: int, waiting: list[bytes]) -> int:
    refused = core.commit([Append(first=size, entries=list(waiting), texts=[configuration()])])
    assert refused == [None], refused
    while core.seal():
        pass
    size += len(waiting)
    waiting.clear()
    return size


def export(state: Path, file: Path) -> dict[str, Any]:
    """Make the pack."""
    reading = Reading(state)
    order = make.Order(from_us=0, to_us=2**60, made_us=BEGAN_US, keys=(OWN_KEY, HUB_KEY))
    with file.open("wb") as out:
        made = make.make(state, reading, out, order)
    reading.close()
    return {"entries": made.entries, "bytes": made.size_bytes}


def verify(state: Path, file: Path) -> dict[str, Any]:
    """Verify it; the record that it was made of is not looked at."""
    assert state != file
    with file.open("rb") as pack:
        verdict = check.check(pack, Asked(str(OWN_KEY), str(HUB_KEY)))
    assert verdict.outcome == "verified", (verdict.code, verdict.facts, verdict.broken)
    return {"checked": sum(each.checked for each in verdict.epochs)}


def timed(work: Callable[[Path, Path], dict[str, Any]], state: Path, file: Path) -> dict[str, Any]:
    """Its result with seconds and memory, measured in a fresh process."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(_timed, (work, state, file))


def _timed(work: Callable[[Path, Path], dict[str, Any]], state: Path, file: Path) -> dict[str, Any]:
    began, before = time.monotonic(), time.process_time()
    found = work(state, file)
    used = {"wall_s": round(time.monotonic() - began, 1), "cpu_s": round(time.process_time() - before, 1)}
    return found | used | {"peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=float, default=30)
    parser.add_argument("--interval", type=float, default=10.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        state, file = Path(folder) / "state", Path(folder) / "pack.zip"
        size = write(state, options.days, options.interval)
        made, seen = timed(export, state, file), timed(verify, state, file)
    readings = int(options.days * 86_400 / options.interval) * DEVICES * POINTS
    rate = {"readings": readings, "entries": size, "verified_per_cpu_s": round(readings / seen["cpu_s"]), "verified_per_s": round(readings / seen["wall_s"])}
    print(json.dumps({"days": options.days, **rate, "export": made, "verify": seen}))


if __name__ == "__main__":
    sys.exit(main())
