"""One dead, one slow and one babbling unit among many on a paced serial line: the others miss no slot, and wait for one poll at most.

A slot is missed if it is not read within half its interval. A few rounds in which all are well say when each unit is read then;
later rounds may add one poll of a unit that fails: the time-out and the quiet time after the last byte of its rubbish.
The babbler answers with rubbish, goes on after an answer, and now and then talks when nobody asked it: into others' exchanges.

Usage: python -m tests.faults.isolation [--rounds 100] [--units 32] [--interval 5] [--timeout 0.5] [--baud 19200] [--seed 1]
The last line is JSON; exit code 1 if a slot was missed, a value was wrong, a reading waited for more than one poll, or a bad unit was never tried.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import struct
import sys
import tempfile
import tty
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from edge_gateway.clock import SystemClock
from edge_gateway.links.modbus_pdu import crc16
from edge_gateway.profiles.plan import plan
from edge_gateway.reading import Batch, Item
from edge_gateway.sources.modbus import ModbusRtuConfig
from tests.profiles.devices import device, registers
from tests.servers.serial_line import PacedLine
from tests.servers.write_ledger import saw

TURNAROUND_S = 0.005
#: The babbler's longest rubbish.
RUBBISH_BYTES = 200
#: Rounds in which all are well.
WELL = 3


@dataclass
class Result:
    """What a campaign found. ``worst_ms``: the latest reading of a good unit, after its slot; ``worst_delay_ms``: after its time when all were well."""

    n: int
    units: int
    slots: int = 0
    missed: int = 0
    wrong: int = 0
    dead_asked: int = 0
    slow_read: int = 0
    babbler_asked: int = 0
    interjections: int = 0
    worst_ms: float = 0.0
    worst_delay_ms: float = 0.0
    one_poll_ms: float = 0.0

    @property
    def passed(self) -> bool:
        tried = self.slots > 0 and self.dead_asked > 0 and self.slow_read > 0 and self.babbler_asked > 0
        return not self.missed and not self.wrong and tried and self.worst_delay_ms <= self.one_poll_ms


@dataclass(frozen=True)
class Bad:
    """Which units are bad, and how slow the slow one is."""

    dead: int = 7
    slow: int = 3
    babbling: int = 5
    slow_s: float = 0.4

    def __contains__(self, unit: int) -> bool:
        return unit in (self.dead, self.slow, self.babbling)


class Slaves:
    """Units 1 … n on a terminal, two registers each. ``troubled``: those that are as bad as they can be by now."""

    def __init__(self, terminal: Path, bad: Bad, result: Result, random_: random.Random) -> None:
        self._fd = os.open(terminal, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(self._fd)
        self._buffer = b""
        self._bad, self._result, self._random = bad, result, random_
        self.troubled: set[int] = set()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._fd, self._readable)

    def _readable(self) -> None:
        self._buffer += os.read(self._fd, 512)
        while len(self._buffer) >= 8:
            frame, self._buffer = self._buffer[:8], self._buffer[8:]
            assert crc16(frame[:6]) == frame[6:], "the request was garbled"
            saw("isolation", frame[0], frame[1:6])
            unit, function, start, count = struct.unpack(">BBHH", frame[:6])
            values = (unit * 100 + start + i for i in range(count))
            pdu = struct.pack(f">BBB{count}H", unit, function, 2 * count, *values)
            self._answer(unit, pdu + crc16(pdu))

    def _answer(self, unit: int, answer: bytes) -> None:
        after_s = TURNAROUND_S
        if unit == self._bad.dead and unit in self.troubled:
            self._result.dead_asked += 1
            return
        if unit == self._bad.slow and unit in self.troubled:
            after_s = self._bad.slow_s
        if unit == self._bad.babbling and unit in self.troubled:
            self._result.babbler_asked += 1
            answer = self._babble(answer)
        self._loop.call_later(after_s, self._send, answer)

    def _babble(self, answer: bytes) -> bytes:
        rubbish = self._random.randbytes(self._random.randint(1, RUBBISH_BYTES))
        return self._random.choice((rubbish, answer + rubbish, rubbish + answer, answer[:-3], bytes((1,)) + answer[1:]))

    def interject(self) -> None:
        """The babbler talks unasked, whoever has the line."""
        self._result.interjections += 1
        self._send(self._random.randbytes(self._random.randint(1, 8)))

    def _send(self, data: bytes) -> None:
        with suppress(OSError):  # closed meanwhile
            os.write(self._fd, data)

    def close(self) -> None:
        self._loop.remove_reader(self._fd)
        os.close(self._fd)


class Judge:
    """An inbox that judges each batch as it comes."""

    def __init__(self, result: Result, bad: Bad, interval_us: int, rounds: int) -> None:
        self._result, self._bad, self._rounds = result, bad, rounds
        self._interval_us = interval_us
        self._seen: dict[int, int] = {}
        self._usual: dict[int, int] = {}
        self._counts: dict[int, int] = {}
        self.troubled = False
        self.well = asyncio.Event()
        self.done = asyncio.Event()

    async def put(self, item: Item) -> None:
        if not isinstance(item, Batch):
            return
        assert item.slot_us is not None
        unit, result = int(item.group.id[1:-2]), self._result
        late_us = item.mono_us - item.slot_us
        result.wrong += item.quality is None and item.values != [unit * 100, unit * 100 + 1]
        if not self.troubled:
            self._usual[unit] = max(self._usual.get(unit, 0), late_us)
            self._counts[unit] = self._counts.get(unit, 0) + 1
            if len(self._counts) == result.units and min(self._counts.values()) >= WELL:
                self.well.set()
        elif unit in self._bad:
            result.slow_read += unit == self._bad.slow and item.quality is None
        else:
            self._judge(unit, item, item.slot_us, late_us)

    def _judge(self, unit: int, batch: Batch, slot_us: int, late_us: int) -> None:
        result = self._result
        result.slots += 1
        expected_us = self._seen.get(unit, slot_us - self._interval_us) + self._interval_us
        result.missed += (slot_us - expected_us) // self._interval_us  # slots without a batch
        result.missed += batch.quality is not None or late_us > self._interval_us / 2
        result.worst_ms = max(result.worst_ms, late_us / 1000)
        result.worst_delay_ms = max(result.worst_delay_ms, (late_us - self._usual[unit]) / 1000)
        self._seen[unit] = slot_us
        good = result.units - 3
        if len(self._seen) == good and result.slots >= good * self._rounds:
            self.done.set()

    def full(self) -> bool:
        return False


async def campaign(
    folder: Path, *, rounds: int, units: int, interval_s: float, timeout_s: float, baud: int, seed: int = 1
) -> Result:
    """Run it: all are well at first, then the bad ones are bad for ``rounds``."""
    result, bad, random_ = Result(rounds, units), Bad(slow_s=0.8 * timeout_s), random.Random(seed)
    interval_us = int(interval_s * 1e6)
    with PacedLine(folder, baud=baud) as line:
        slaves = Slaves(line.b, bad, result, random_)
        devices = [device(registers(0, 2), id=f"u{n}", unit=n, interval_us=interval_us) for n in range(1, units + 1)]
        config = ModbusRtuConfig(
            kind="rtu",
            port=str(line.a),
            baud=baud,
            timeout_s=timeout_s,
            quiet_s=timeout_s,
            backoff_first_s=min(1.0, interval_s / 2),
            backoff_most_s=interval_s,  # the bad ones are asked in nearly every round
        )
        time = config.time()
        result.one_poll_ms = (time.failing_s(plan(devices[0])[0]) + RUBBISH_BYTES * time.character_s) * 1000
        judge = Judge(result, bad, interval_us, rounds)
        source = asyncio.create_task(config.build("line", devices, SystemClock(declared=True)).run(judge))
        try:
            async with asyncio.timeout((WELL + rounds + 6) * interval_s + 5):
                await judge.well.wait()
                judge.troubled = True
                for unit in (bad.slow, bad.dead, bad.babbling):  # nothing breaks at the same moment
                    slaves.troubled.add(unit)
                    await asyncio.sleep(interval_s)
                while not judge.done.is_set():
                    with suppress(TimeoutError):
                        await asyncio.wait_for(judge.done.wait(), interval_s * random_.uniform(0.7, 1.3))
                    slaves.interject()
        except TimeoutError:
            result.missed += 1
        source.cancel()
        with suppress(asyncio.CancelledError):
            await source
        slaves.close()
    return result


def main() -> int:
    """Run the campaign at full length."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", "--n", type=int, default=100)
    parser.add_argument("--units", type=int, default=32)
    parser.add_argument("--interval", type=float, default=5.0)
    parser.add_argument("--timeout", type=float, default=0.5)
    parser.add_argument("--baud", type=int, default=19_200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = asyncio.run(
            campaign(
                Path(folder),
                rounds=arguments.rounds,
                units=arguments.units,
                interval_s=arguments.interval,
                timeout_s=arguments.timeout,
                baud=arguments.baud,
                seed=arguments.seed,
            )
        )
    print(json.dumps({"campaign": "isolation", "seed": arguments.seed, **asdict(result)}))
    return 0 if result.passed else 1


if __name__ == "__main__":
    sys.exit(main())
