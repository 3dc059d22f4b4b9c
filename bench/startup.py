"""How long from the program's start to the first committed reading, with 52 million readings in the journal.

`python bench/startup.py [--readings 52e6] [--starts 5]`. A gateway of 50 devices × 20 float32 at 1 s runs for a moment;
then entries are written behind its own by the real journal (append, commit, seal), 20 readings a batch, so many that the
open tail is nearly a whole segment: the most that a start replays. Then it is started, again and again, and ended by
SIGKILL and SIGTERM in turn. An InfluxDB sink is on and served up to the end; the hub is not, as it would first be given
all of it. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import statistics
import struct
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from rig import Plan, Rig, wait_for

from edge_gateway.clock import SystemClock
from edge_gateway.journal.base import Position
from edge_gateway.journal.store import JournalSettings, Store, open_journal
from edge_gateway.reading import Batch, Block, Group
from edge_gateway.record import entry

SEGMENT, TAIL = 4096, 4000
#: Sealed segments that may be outstanding while entries are written.
BEHIND = 3


class Writer:
    """Continues a journal with batches like its last ones, 20 µs apart."""

    def __init__(
        self, journal: Store, last: dict[str, Any], snapshot: dict[str, Any], groups: list[str], points: int
    ) -> None:
        self._journal, self._last = journal, last
        self._snapshot = {key: value for key, value in snapshot.items() if key in ("config", "state", "state_text")}
        self._groups = [Group(id=id_, device="", points=tuple(map(str, range(points)))) for id_ in groups]
        rng = random.Random(1)
        self._values = [[round(rng.uniform(-22.2, -21.8), 2) for _ in range(points)] for _ in range(997)]
        self._raw = [struct.pack(f">{points}f", *values) for values in self._values]

    def entries(self, first: int, count: int) -> list[bytes]:
        """``count`` entries from ``first`` on; a snapshot where a segment begins."""
        last, made = self._last, []
        start = last["seq"]
        for seq in range(first, first + count):
            later_us = (seq - start) * 20
            rule_us, wall_us, mono_us = (last[key] + later_us for key in ("rule_us", "wall_us", "mono_us"))
            if seq % SEGMENT == 0:
                made.append(
                    entry.encode(
                        seq, "snapshot", entry.Stamp(rule_us, wall_us, mono_us, last["boot"], True), self._snapshot
                    )
                )
                continue
            raw = Block(unit=1, function=3, start=0, data=self._raw[seq % 997])
            batch = Batch(
                group=self._groups[seq % len(self._groups)], mono_us=mono_us, wall_us=wall_us,
                values=self._values[seq % 997], slot_us=mono_us, blocks=[raw],
            )  # fmt: skip
            made.append(entry.encode_batch(seq, rule_us, last["boot"], True, last["config_seq"], batch))
        return made

    async def fill(self, until: int) -> None:
        """Append up to ``until`` entries, never far ahead of sealing."""
        while (first := self._journal.next_seq) < until:
            await self._journal.append(self.entries(first, min(1024, until - first)))
            await self._sealed(BEHIND)
        await self._sealed(0)

    async def _sealed(self, behind: int) -> None:
        while self._journal.committed_seq // SEGMENT - len(await self._journal.segments()) > behind:
            await asyncio.sleep(0.002)


async def preload(state: Path, readings: int, points: int, *, served: str = "influx", hub: str | None = None) -> dict[str, int]:
    """Fill the journal in ``state``, which a gateway has begun; the cursor of the sink ``served`` goes to the end, that of ``hub`` stays."""
    settings = JournalSettings(max_bytes=40_000_000_000, hub_name=hub, sinks=tuple(filter(None, (served, hub))))
    journal = await open_journal(state, settings=settings, clock=SystemClock(declared=True))
    try:
        size, epoch = journal.committed_seq, journal.epoch
        held = [
            entry.decode(data) for data in await journal.read(Position(epoch, 0), max_entries=size, max_bytes=1 << 26)
        ]
        batches = [each for each in held if each["kind"] == "batch"]
        groups = sorted({each["group"] for each in batches if len(each["values"]) == points})
        last = held[-1] | {"config_seq": batches[-1]["config_seq"]}
        until = readings // points // SEGMENT * SEGMENT + TAIL
        await Writer(journal, last, held[0] | {"config": _config(held)}, groups, points).fill(until)
        if served:
            await journal.move_cursor(served, Position(epoch, until))
        return {"entries": until, "segments": len(await journal.segments())}
    finally:
        await journal.close()


def _config(held: list[dict[str, Any]]) -> dict[str, Any]:
    """The configuration in force as snapshots name it."""
    made = next(each for each in reversed(held) if each["kind"] == "config")
    return {"config_seq": made["seq"], "text": made["text"], "texts": made["texts"]}


def start(rig: Rig, number: int) -> float:
    """Seconds from exec to the first batch committed; ends the gateway again, hard or softly."""
    watch = rig.folder / "seen.json"
    started_ns = rig.start_gateway() * 1e9
    wait_for("the first reading", watch.exists, 120.0)
    first_ns = json.loads(watch.read_text())["batch"][0]
    watch.unlink()
    if number % 2:
        rig.processes["gateway"].send_signal(signal.SIGKILL)
    rig.stop("gateway")
    return float(first_ns - started_ns) / 1e9


def measure(readings: int, starts: int) -> dict[str, Any]:
    """Preload once, start often."""
    plan = Plan(hub=False)
    with Rig(plan) as rig:
        rig.running(plan.devices)
        time.sleep(2.0)
        rig.stop("gateway")
        began = time.monotonic()
        filled = asyncio.run(preload(rig.state, readings, plan.points))
        took = time.monotonic() - began
        plan.launch = ("--first", str(rig.folder / "seen.json"))
        times = sorted(start(rig, number) for number in range(starts))
        size = sum(file.stat().st_size for file in rig.state.rglob("*") if file.is_file())
    return {
        "readings": filled["entries"] * plan.points, **filled, "journal_mb": round(size / 1e6), "preload_s": round(took),
        "starts": starts, "first_reading_s": [round(each, 2) for each in (statistics.median(times), times[0], times[-1])],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--readings", type=float, default=52e6)
    parser.add_argument("--starts", type=int, default=5)
    options = parser.parse_args()
    print(json.dumps(measure(int(options.readings), options.starts)))


if __name__ == "__main__":
    main()
