"""CPU time of one reading on its way to InfluxDB: entry bytes → line protocol → request body, without the network.

Run: ``.venv/bin/python bench/line_protocol.py [--json]``. Times are process CPU time, the best of five rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

from edge_gateway.journal.base import Position
from edge_gateway.reading import Batch, Group
from edge_gateway.record import entry
from edge_gateway.sinks.base import Run
from edge_gateway.sinks.influxdb_sink import InfluxSink, Reply
from edge_gateway.sinks.influxdb_v1 import compress
from edge_gateway.wire import line

EPOCH, BOOT, SITE = "00112233445566aa", "b00700000001", "tlf-007"
START_US = 1_772_690_607_000_123
#: (name, devices, points a device)
SHAPES = (("50 devices × 20 points", 50, 20), ("60 devices × 2 points", 60, 2))
GOAL_US = 1.5


class Memory:
    """A record in memory: one configuration and its batches."""

    def __init__(self, devices: int, points: int, rounds: int) -> None:
        choose = random.Random(1)
        names = {f"dev{d}.1": [f"dev{d}-p{p}" for p in range(points)] for d in range(devices)}
        body = {"device": "", "zone": "cold1", "quantity": "temperature", "unit": "Cel"}
        self.resolved: dict[str, Any] = {
            "site": {"id": SITE},
            "points": {point: body for each in names.values() for point in each},
            "groups": {group: {"points": each} for group, each in names.items()},
        }
        groups = [Group(id=group, device="", points=tuple(each)) for group, each in names.items()]
        self.entries: list[bytes] = []
        for number in range(rounds):
            for group in groups:
                at_us = START_US + number * 10_000_000 + len(self.entries)
                values: list[Any] = [round(choose.uniform(-30, 30), 2) for _ in group.points]
                batch = Batch(group=group, mono_us=at_us, wall_us=at_us, values=values, slot_us=at_us)
                self.entries.append(entry.encode_batch(len(self.entries), at_us, BOOT, True, 0, batch))

    def epochs(self) -> list[Any]:
        return []

    async def read(self, start: Position, *, max_entries: int, max_bytes: int) -> list[bytes]:
        return self.entries[start.seq : start.seq + max_entries]

    async def config(self, epoch: str, config_seq: int) -> dict[str, Any]:
        return self.resolved

    async def text(self, sha256: str) -> bytes:
        raise KeyError(sha256)

    async def segments(self) -> list[Any]:
        return []


class Nowhere:
    """A transport that takes everything; with gzip it does the work of compressing."""

    where = "nowhere"

    def __init__(self, gzip: bool) -> None:
        self.gzip, self.sent = gzip, 0

    async def post(self, body: bytes) -> Reply:
        self.sent += len(compress(body) if self.gzip else body)
        return Reply(204)

    async def close(self) -> None:
        pass


class Clock:
    boot, speed = BOOT, 1.0

    def mono_us(self) -> int:
        return START_US

    def wall_us(self) -> int:
        return START_US

    def trusted(self) -> bool:
        return True

    async def sleep_until(self, mono_us: int) -> None:
        pass


async def best_us(work: Callable[[], Awaitable[object]], readings: int) -> float:
    """CPU time in µs a reading, best of five."""
    rounds = []
    for _ in range(5):
        started = time.process_time_ns()
        await work()
        rounds.append((time.process_time_ns() - started) / 1000 / readings)
    return min(rounds)


async def measure(devices: int, points: int) -> dict[str, float]:
    record = Memory(devices, points, max(1, 100_000 // (devices * points)))
    readings = len(record.entries) * points
    table = line.Table(record.resolved)

    async def encode() -> None:
        for data in record.entries:
            body = entry.decode(data)
            line.readings(table.prefixes(body["group"]), body, EPOCH, body["wall_us"])

    async def through_sink(gzip: bool) -> None:
        sink = InfluxSink("bench", Nowhere(gzip), site=SITE, clock=Clock(), hold_us=0)
        at = 0
        while at < len(record.entries):
            run = Run(epoch=EPOCH, first=at, entries=record.entries[at : at + sink.max_entries])
            at += (await sink.deliver(run, record)).accepted

    return {
        "decode and encode": await best_us(encode, readings),
        "sink, plain": await best_us(lambda: through_sink(False), readings),
        "sink, gzip": await best_us(lambda: through_sink(True), readings),
    }


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    results = {name: await measure(devices, points) for name, devices, points in SHAPES}
    if asked.json:
        print(json.dumps({"goal_us": GOAL_US, "us_per_reading": results}))
        return
    for name, row in results.items():
        print(name)
        for what, value in row.items():
            print(f"  {what:<20} {value:6.2f} µs a reading")
    print(f"goal: ≤ {GOAL_US} µs a reading in the sink")


if __name__ == "__main__":
    asyncio.run(main())
