"""What the record costs: signing it, and checking it.

`python bench/record.py [--segments 20]`. Signing: a record of two years (154,000 segments before the open one), 1,000
entries between checkpoints; a checkpoint is the tree's root, the proof of growth, the question to the real signer over its
socket, its judgement, the synced ledger, the signature; once more with the ledger in memory. Checking: `journal verify` over sealed segments of 50 devices × 20
float32, on one core. One JSON line.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from rig import BIN, Plan, Rig, cpu_s, wait_for
from sizes import files

from edge_gateway.journal.verify import check
from edge_gateway.record.checkpoint import Checkpoint
from edge_gateway.record.note import ED25519, Key
from edge_gateway.signer.base import Ask
from edge_gateway.signer.client import Client
from edge_gateway.signer.tree import Tree

SEED, SEGMENTS_BEFORE, EVERY, TIMES = 1, 154_000, 1_000, 200


def signing(where: str | None = None) -> dict[str, Any]:
    """Milliseconds of one checkpoint, wall and CPU of both processes: median and 99th percentile. ``where``: the ledger's disk."""
    with tempfile.TemporaryDirectory(dir=where) as folder:
        socket = Path(folder) / "sign.sock"
        words = [str(BIN / "edge-gateway"), "signer", "run", "--folder", f"{folder}/signer", "--listen", str(socket)]
        with subprocess.Popen(words, stdout=subprocess.DEVNULL) as signer:
            try:
                wait_for("the signer", socket.exists)
                return asyncio.run(_checkpoints(socket, signer.pid))
            finally:
                signer.terminate()


async def _checkpoints(socket: Path, pid: int) -> dict[str, Any]:
    draw = random.Random(SEED)
    tree = Tree(4096, (draw.randbytes(32) for _ in range(SEGMENTS_BEFORE)))
    client, signed, took = Client(socket), 0, []
    key = Key("example.org/bench/0123456789abcdef", ED25519, await client.public())
    before = (time.process_time(), cpu_s(pid))
    inside = 0.0
    for _ in range(TIMES):
        tree.add([draw.randbytes(400) for _ in range(EVERY)])
        began, cpu = time.perf_counter(), time.process_time()
        head = Checkpoint(key.name, tree.size, tree.root(tree.size))
        path = tree.growth(signed, tree.size)
        signature = await client.sign(Ask(head=head, old=signed, path=path))
        inside += time.process_time() - cpu
        took.append((time.perf_counter() - began) * 1e3)
        if not key.verifies(head.body().encode(), signature):
            raise SystemExit("the signature does not hold")
        signed = tree.size
    signer_ms = (cpu_s(pid) - before[1]) / TIMES * 1e3
    client.close()
    took.sort()
    return {
        "times": TIMES, "segments_before": SEGMENTS_BEFORE, "ms": round(statistics.median(took), 2), "ms_p99": round(took[int(TIMES * 0.99)], 2),
        "cpu_ms": round(inside / TIMES * 1e3, 2), "signer_cpu_ms": round(signer_ms, 2),
    }  # fmt: skip


def checking(segments: int) -> dict[str, Any]:
    """Readings a second that `journal verify` goes through, after a first run that brings the files into the cache."""
    plan = Plan(devices=50, points=20, interval_s=0.1, influx=0, hub=False)
    with Rig(plan) as rig:
        rig.running(plan.devices)
        wait_for("sealing", lambda: len(files(rig.state)) >= segments, 30.0 * segments)
        rig.stop("gateway")
        os.sched_setaffinity(0, {0})
        check(rig.state, None)
        began, cpu = time.perf_counter(), time.process_time()
        check(rig.state, None)
        wall, cpu = time.perf_counter() - began, time.process_time() - cpu
        readings = len(files(rig.state)) * 4096 * plan.points
        return {"readings": readings, "readings_per_s": round(readings / wall), "cpu_s": round(cpu, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--segments", type=int, default=20)
    options = parser.parse_args()
    print(json.dumps({"signing": signing(), "without_disk": signing("/dev/shm"), "checking": checking(options.segments)}), flush=True)


if __name__ == "__main__":
    main()
