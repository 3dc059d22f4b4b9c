"""Late answers on a serial line: none may be taken for the answer to a later question, within ``late_max_s``.

Usage: python -m tests.faults.late [--n 10000] [--seed 1] [--timeout 0.008]
Two units on a terminal, polled by the source's own turns as fast as they go. Every other answer is delayed by 0.5 to 20 times
the time-out, log-uniformly. Unit 1 has two blocks of equal function and count and nothing that may be read along (half of
the late answers are its); unit 2 has readable gaps, so that it can be asked otherwise. Each answer carries the number of its
question and the address of each register: a value that is not the answer to the question of its own turn shows by itself.
The last line is JSON; exit code 1 if a value was misattributed, or too little came through.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import random
import struct
import sys
import tty
from dataclasses import asdict, dataclass

from edge_gateway.backoff import Backoff
from edge_gateway.clock import SystemClock
from edge_gateway.links.modbus import RtuSettings, open_line
from edge_gateway.links.modbus_pdu import crc16
from edge_gateway.reading import Batch
from edge_gateway.sources.modbus import ModbusRtuConfig
from edge_gateway.sources.modbus_source import ModbusSource
from edge_gateway.sources.modbus_turn import Turn
from tests.profiles.devices import device
from tests.servers.write_ledger import saw

LEAST, MOST = 0.5, 20.0
#: Beyond the longest delay; a loaded machine answers later than it means to.
LATE_MAX = 30.0
#: ``check`` of the short form: the retries and other shapes must bring this share of the turns through.
LEAST_GOOD = 0.2


@dataclass
class Result:
    """``late``: answers that were delayed; ``quarantined``: those the line saw as late; ``otherwise``: answers in another shape."""

    n: int
    seed: int
    late: int = 0
    equal: int = 0
    after_timeout: int = 0
    turns: int = 0
    good: int = 0
    requests: int = 0
    otherwise: int = 0
    quarantined: int = 0
    misattributed: int = 0

    @property
    def passed(self) -> bool:
        return (
            not self.misattributed
            and self.late >= self.n
            and self.good >= LEAST_GOOD * self.turns
            and self.otherwise > 0
        )


class Slave:
    """Answers with the question's number and each register's address; every other time late."""

    def __init__(self, rng: random.Random, timeout_s: float, result: Result) -> None:
        self._rng, self._timeout_s, self._result = rng, timeout_s, result
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.port = os.ttyname(self._slave)
        self.asked: list[tuple[int, int, int]] = []  # unit, start, count; the index is the question's number
        self.late_of = {1: 0, 2: 0}
        self._buffer = b""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._master, self._readable)

    def _readable(self) -> None:
        self._buffer += os.read(self._master, 512)
        while len(self._buffer) >= 8:
            frame, self._buffer = self._buffer[:8], self._buffer[8:]
            unit, _, start, count = struct.unpack(">BBHH", frame[:6])
            saw("late", unit, frame[1:6])
            number = len(self.asked)
            self.asked.append((unit, start, count))
            words = [number & 0xFFFF if (start + i) % 2 == 0 else start + i for i in range(count)]
            answer = struct.pack(f">BBB{count}H", unit, 3, 2 * count, *words)
            delay_s = 0.0
            if self._rng.random() < 0.5 and (unit == 1 or self.late_of[2] <= self.late_of[1]):
                delay_s = self._timeout_s * math.exp(self._rng.uniform(math.log(LEAST), math.log(MOST)))
                self.late_of[unit] += 1
                self._result.after_timeout += delay_s > self._timeout_s
            self._loop.call_later(delay_s, os.write, self._master, answer + crc16(answer))

    def close(self) -> None:
        self._loop.remove_reader(self._master)
        os.close(self._master)
        os.close(self._slave)


def _source(port: str, timeout_s: float) -> ModbusSource:
    far = {f"r{at}": {"function": 3, "register": at, "type": "uint32"} for at in (0, 100)}
    near = {f"r{at}": {"function": 3, "register": at, "type": "uint32"} for at in (0, 2, 6, 200)}
    devices = [
        device(far, id="equal", unit=1),
        device(near, id="other", unit=2, gap_readable=True, max_gap=40),
    ]
    config = ModbusRtuConfig(kind="rtu", port=port)
    settings = RtuSettings(
        port=port, baud=1_000_000, timeout_s=timeout_s, quiet_s=timeout_s, late_max_s=LATE_MAX * timeout_s
    )
    return ModbusSource("bus", open_line(settings), devices, SystemClock(declared=True), kind="rtu", time=config.time())


def _judge(turn: Turn, slave: Slave, first: int, result: Result) -> None:
    """Every block's bytes belong to a question of this turn for these very registers; every good value to its channel."""
    result.turns += 1
    for batch in turn.batches:
        result.good += batch.quality is None
        for block in batch.blocks:
            words = struct.unpack(f">{len(block.data) // 2}H", block.data)
            numbers = {word for i, word in enumerate(words) if (block.start + i) % 2 == 0}
            odd = [word for i, word in enumerate(words) if (block.start + i) % 2]
            right = [block.start + i for i in range(len(words)) if (block.start + i) % 2]
            mine = {n & 0xFFFF for n, (unit, *_) in enumerate(slave.asked[first:], first) if unit == block.unit}
            result.misattributed += not (numbers <= mine and len(numbers) == 1 and odd == right)
        result.misattributed += _wrong_values(batch, slave, first)


def _wrong_values(batch: Batch, slave: Slave, first: int) -> int:
    mine = {n & 0xFFFF for n in range(first, len(slave.asked))}
    expected = [int(point.rpartition("-r")[2]) + 1 for point in batch.group.points]
    quality = batch.quality or ["good"] * len(expected)
    return sum(
        value is None or int(value) >> 16 not in mine or int(value) & 0xFFFF != low
        for value, low, mark in zip(batch.values, expected, quality, strict=True)
        if mark == "good"
    )


async def campaign(n: int, seed: int, timeout_s: float) -> Result:
    """Turns until ``n`` answers were delayed, half of them of the unit whose requests are all of one shape."""
    result = Result(n, seed)
    slave = Slave(random.Random(seed), timeout_s, result)
    source = _source(slave.port, timeout_s)
    turns = source.turns
    turns.backoff = Backoff(0.01, 0.01)
    planned = {(block.start, block.count) for poll in source.bus.polls for block in poll.planned.blocks}
    while result.late < n or slave.late_of[1] < n // 2:
        for poll in source.bus.polls:
            poll.unit.alive = True  # it is asked again within the slot
            for ask in poll.asks:
                ask.rest_until_us = 0
            first = len(slave.asked)
            _judge(await turns.take(poll, source._clock.mono_us()), slave, first, result)
            if len(slave.asked) == first:
                await asyncio.sleep(timeout_s / 2)  # nothing may be asked yet
        result.late = sum(slave.late_of.values())
    result.equal = slave.late_of[1]
    result.requests = len(slave.asked)
    result.otherwise = sum((start, count) not in planned for _, start, count in slave.asked)
    result.quarantined = turns.line.counters.late
    source.close()
    slave.close()
    return result


def main() -> int:
    """Run the campaign; print a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--timeout", type=float, default=0.008)
    wanted = parser.parse_args()
    result = asyncio.run(campaign(wanted.n, wanted.seed, wanted.timeout))
    print(json.dumps({"campaign": "late", **asdict(result), "passed": result.passed}))
    return 0 if result.passed else 1


if __name__ == "__main__":
    sys.exit(main())
