"""How long verify.html takes to open a pack of 100 MB in Chromium, without crypto.subtle, BigInt and DecompressionStream; and how long the page stands still.

`python bench/verify_html.py [--mb 100]`. The pack is made here: batches of 20 points with their raw bytes, in segments of 4,096 entries as the gateway
seals them, one cosigned checkpoint over all. Time is from the click on *Verify* to the verdict. The longest stand-still is the largest gap
between two timer ticks of 10 ms. On a machine that does other work besides, CPU time says more than the clock.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, BinaryIO

import orjson
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from edge_gateway.evidence.zipped import Writer
from edge_gateway.journal.segments import MEMBER_ENTRIES, build
from edge_gateway.record.merkle import Frontier, leaf_hash
from tests.evidence.javascript_answers import LACKING, PAGE
from tests.servers.chromium import chromium
from tests.vectors.oracle import Signer, head

POINTS, SEGMENT = 20, 4096
BEGAN_US = 1_770_000_000_000_000
EPOCH = "0123456789abcdef"
GATEWAY, HUB = Signer(b"g" * 32, "example.org/xj/tlf-007", 1), Signer(b"h" * 32, "hub.example.org", 4)
_TICK = """
    window.still = 0; let last = performance.now();
    setInterval(() => { const now = performance.now(); window.still = Math.max(window.still, now - last); last = now; }, 10);
"""


def entries(first: int, dice: random.Random, walk: list[int]) -> list[bytes]:
    """One segment's: a snapshot, then polls of ten groups in turn, each value wandering by tenths, with the registers that it came from."""
    told = []
    for seq in range(first, first + SEGMENT):
        at_us = BEGAN_US + seq * 100_000
        body: dict[str, Any] = {"v": 1, "seq": seq, "kind": "batch", "rule_us": at_us, "wall_us": at_us, "mono_us": seq * 100_000, "boot": "0123456789ab", "trusted": True}
        if seq == first:
            body |= {"kind": "snapshot", "config": None, "configs": [], "state": {"at": seq}}
        else:
            group = seq % 10
            for n in range(POINTS):
                walk[group * POINTS + n] += dice.choice((-1, 0, 0, 0, 1))
            raw = walk[group * POINTS : (group + 1) * POINTS]
            shown = b"".join((value & 0xFFFF).to_bytes(2, "big") for value in raw).hex()
            body |= {"config_seq": 1, "group": f"d{group}.1", "values": [value / 10 for value in raw], "slot_us": seq * 100_000, "raw": [[group + 1, 3, 0, shown]]}
        told.append(orjson.dumps(body))
    return told


def pack(file: BinaryIO, size: int) -> int:
    """Write a good one of about ``size`` bytes; how many entries it has."""
    dice, walk, tree, seq = random.Random(1), [-180] * (10 * POINTS), Frontier(), 0
    writer = Writer(file, BEGAN_US)
    while writer.size < size:
        told = entries(seq, dice, walk)
        chunks, _ = build(EPOCH, seq, told, MEMBER_ENTRIES)
        writer.add(f"segments/{EPOCH}/{seq:012d}.ndjson.gz", b"".join(chunks))
        for entry in told:
            tree.append(leaf_hash(entry))
        seq += SEGMENT
    end_us = BEGAN_US + (seq - 1) * 100_000
    log = GATEWAY.named(f"{GATEWAY.name}/{EPOCH}")
    text = head(log.name, seq, tree.root())
    note = f"{text}\n{log.line(text)}{HUB.line(text, end_us // 10**6 + 1)}"
    writer.add(f"checkpoints/{EPOCH}/{seq:012d}.checkpoint", note.encode())
    claim = {"from_us": BEGAN_US, "to_us": end_us, "points": None, "violation": None}
    epochs = [{"epoch": EPOCH, "size": seq, "given": []}]
    told = {"format": "edge-gateway/evidence-pack/1", "gateway": "tlf-007", "origin": GATEWAY.name, "claim": claim, "epochs": epochs}
    writer.add("manifest.json", json.dumps(told).encode())
    writer.close()
    return seq


def cpu_s() -> float:
    """Of Chromium, all its processes: what a machine with nothing else to do needs at most."""
    total = 0.0
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = child.cpu_times()
            total += times.user + times.system
    return total


async def opened(file: Path, *, lacking: bool) -> dict[str, Any]:
    """One page load."""
    async with chromium() as browser:
        page = await browser.new_page(locale="en-US")
        if lacking:
            await page.add_init_script(LACKING)
        await page.goto(PAGE.as_uri())
        await page.evaluate(_TICK)
        await page.set_input_files("#pack", file)
        await page.fill("#gateway", GATEWAY.vkey)
        await page.fill("#witness", HUB.vkey)
        began, used_s = time.monotonic(), cpu_s()
        await page.click("#verify")
        await page.wait_for_selector(".verdict", timeout=600_000)
        seconds, used_s = time.monotonic() - began, cpu_s() - used_s
        verdict = await page.inner_text(".verdict strong")
        assert "Verified" in verdict, verdict
        heap = await page.evaluate("performance.memory ? performance.memory.usedJSHeapSize : 0")
        return {"without": lacking, "seconds": round(seconds, 1), "cpu_s": round(used_s, 1), "still_ms": round(await page.evaluate("still")), "heap_mb": round(heap / 1e6)}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--mb", type=float, default=100)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pack.zip"
        with file.open("wb") as out:
            count = pack(out, int(asked.mb * 1e6))
        size = file.stat().st_size
        print(f"{size / 1e6:.1f} MB, {count} entries, {count * POINTS} readings")
        for lacking in (True, False):
            found = asyncio.run(opened(file, lacking=lacking))
            print(json.dumps(found | {"mb_s": round(size / 1e6 / found["seconds"], 2)}))


if __name__ == "__main__":
    main()
