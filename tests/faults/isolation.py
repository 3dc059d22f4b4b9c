"""One dead unit among many on a paced serial line: the others miss no slot (a slot is missed if not read within half its interval).

Usage: python -m tests.faults.isolation [--rounds 100] [--units 32] [--interval 5] [--timeout 0.5] [--baud 19200]
The last line is JSON; exit code 1 if a slot was missed, a value was wrong, or the dead unit was never tried.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import struct
import sys
import tempfile
import tty
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from edge_gateway.clock import SystemClock
from edge_gateway.links.modbus_pdu import crc16
from edge_gateway.reading import Batch, Item
from edge_gateway.sources.modbus import ModbusRtuConfig
from tests.profiles.devices import device, registers
from tests.servers.serial_line import PacedLine
from tests.servers.write_ledger import saw

TURNAROUND_S = 0.005


@dataclass
class Result:
    """What a campaign found. ``worst_ms``: the latest reading of a live unit, after its slot."""

    n: int
    units: int
    slots: int = 0
    missed: int = 0
    wrong: int = 0
    dead_asked: int = 0
    worst_ms: float = 0.0

    @property
    def passed(self) -> bool:
        return not self.missed and not self.wrong and self.slots > 0 and self.dead_asked > 0


class Slaves:
    """Units 1 … n on a terminal, two registers each; the dead one keeps silent."""

    def __init__(self, terminal: Path, dead: int) -> None:
        self._fd = os.open(terminal, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(self._fd)
        self._buffer = b""
        self._dead = dead
        self.dead_asked = 0
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._fd, self._readable)

    def _readable(self) -> None:
        self._buffer += os.read(self._fd, 512)
        while len(self._buffer) >= 8:
            frame, self._buffer = self._buffer[:8], self._buffer[8:]
            assert crc16(frame[:6]) == frame[6:], "the request was garbled"
            unit, function, start, count = struct.unpack(">BBHH", frame[:6])
            saw("isolation", unit, frame[1:6])
            if unit == self._dead:
                self.dead_asked += 1
                continue
            pdu = struct.pack(
                f">BBB{count}H", unit, function, 2 * count, *(unit * 100 + start + i for i in range(count))
            )
            self._loop.call_later(TURNAROUND_S, os.write, self._fd, pdu + crc16(pdu))

    def close(self) -> None:
        self._loop.remove_reader(self._fd)
        os.close(self._fd)


class Judge:
    """An inbox that judges each batch as it comes."""

    def __init__(self, result: Result, dead: int, interval_us: int, rounds: int) -> None:
        self._result = result
        self._dead = f"u{dead}.0"
        self._interval_us = interval_us
        self._end_us: int | None = None
        self._rounds = rounds
        self._seen: dict[str, int] = {}
        self.done = asyncio.Event()

    async def put(self, item: Item) -> None:
        if not isinstance(item, Batch) or item.group.id == self._dead:
            return
        assert item.slot_us is not None
        result = self._result
        result.slots += 1
        late_us = item.mono_us - item.slot_us
        expected_us = self._seen.get(item.group.id, item.slot_us - self._interval_us) + self._interval_us
        result.missed += (item.slot_us - expected_us) // self._interval_us  # slots without a batch
        result.missed += item.quality is not None or late_us > self._interval_us / 2
        unit = int(item.group.id[1:-2])
        result.wrong += item.quality is None and item.values != [unit * 100, unit * 100 + 1]
        result.worst_ms = max(result.worst_ms, late_us / 1000)
        self._seen[item.group.id] = item.slot_us
        if len(self._seen) == result.units - 1 and result.slots >= (result.units - 1) * self._rounds:
            self.done.set()

    def full(self) -> bool:
        return False


async def campaign(
    folder: Path, *, rounds: int, units: int, interval_s: float, timeout_s: float, baud: int, dead: int = 7
) -> Result:
    """Run it; ``dead`` is the unit that never answers (0: none)."""
    result = Result(rounds, units)
    interval_us = int(interval_s * 1e6)
    with PacedLine(folder, baud=baud) as line:
        slaves = Slaves(line.b, dead)
        devices = [device(registers(0, 2), id=f"u{n}", unit=n, interval_us=interval_us) for n in range(1, units + 1)]
        config = ModbusRtuConfig(kind="rtu", port=str(line.a), baud=baud, timeout_s=timeout_s, quiet_s=timeout_s)
        judge = Judge(result, dead, interval_us, rounds)
        source = asyncio.create_task(config.build("line", devices, SystemClock(declared=True)).run(judge))
        try:
            async with asyncio.timeout((rounds + 3) * interval_s + 5):
                await judge.done.wait()
        except TimeoutError:
            result.missed += 1
        source.cancel()
        with suppress(asyncio.CancelledError):
            await source
        slaves.close()
        result.dead_asked = slaves.dead_asked
    return result


def main() -> int:
    """Run the campaign at full length."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", "--n", type=int, default=100)
    parser.add_argument("--units", type=int, default=32)
    parser.add_argument("--interval", type=float, default=5.0)
    parser.add_argument("--timeout", type=float, default=0.5)
    parser.add_argument("--baud", type=int, default=19_200)
    parser.add_argument("--seed", type=int, default=1, help="nothing here is random; accepted like in other campaigns")
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
            )
        )
    print(json.dumps({"campaign": "isolation", "seed": arguments.seed, **asdict(result)}))
    return 0 if result.passed else 1


if __name__ == "__main__":
    sys.exit(main())
