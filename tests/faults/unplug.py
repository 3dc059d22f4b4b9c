"""An adaptor pulled out and put back, under another number each time: every slot is accounted for, and readings return in time.

Usage: python -m tests.faults.unplug [--n 50] [--seed 1] [--interval 0.2]
The stable name is a symbolic link, as udev keeps it; each pull closes the terminal's far end, each return makes another
terminal. Recovery is measured from the return to the first good batch, and must be at most one interval, the longest
back-off (with its 20 % of jitter) and half a second for the machine.
The last line is JSON; exit code 1 if a recovery was late, a slot is not accounted for, or a value is wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from edge_gateway.clock import SystemClock
from edge_gateway.reading import BAD_LINK_DOWN, BAD_NO_ANSWER, Batch, GapOpened
from edge_gateway.sources.modbus import ModbusRtuConfig
from tests.profiles.devices import device, registers
from tests.sources.modbus_plant import Recorder, SerialPeer, until

BACKOFF_MOST_S = 0.5
MACHINE_S = 0.5


@dataclass
class Result:
    """``worst_s``: the longest recovery; ``terminals``: different ones the name stood for; ``slots``: batches."""

    n: int
    seed: int
    interval_s: float
    bound_s: float = 0.0
    pulls: int = 0
    worst_s: float = 0.0
    late: int = 0
    gaps: int = 0
    terminals: int = 0
    slots: int = 0
    wrong: int = 0

    @property
    def passed(self) -> bool:
        return self.pulls == self.n and not self.late and not self.wrong and self.gaps > 0 and self.terminals > 1


async def campaign(folder: Path, n: int, seed: int, interval_s: float) -> Result:
    """Pull it ``n`` times, for 0 to 1 s each. Asserts that every slot is one batch or lies in one gap."""
    result = Result(n, seed, interval_s, bound_s=interval_s + 1.2 * BACKOFF_MOST_S + MACHINE_S)
    rng = random.Random(seed)
    link = folder / "adaptor"
    interval_us = int(interval_s * 1e6)
    config = ModbusRtuConfig(
        kind="rtu", port=str(link), baud=115_200, timeout_s=0.05, quiet_s=0.02,
        backoff_first_s=0.05, backoff_most_s=BACKOFF_MOST_S,
    )  # fmt: skip
    source = config.build("bus", [device(registers(0, 3), interval_us=interval_us)], SystemClock(declared=True))
    inbox = Recorder()
    peer = SerialPeer(link)
    polling = asyncio.create_task(source.run(inbox))
    loop = asyncio.get_running_loop()
    names = set()
    try:
        await until(lambda: _good(inbox, 0))
        for _ in range(n):
            names.add(link.readlink())
            peer.close()
            await asyncio.sleep(rng.uniform(0, 1))
            seen = len(inbox.items)
            taken = os.openpty()  # somebody else has its old number now
            peer = SerialPeer(link)
            for end in taken:
                os.close(end)
            back_s = loop.time()
            await until(lambda seen=seen: _good(inbox, seen), within_s=30)  # type: ignore[misc]
            took_s = loop.time() - back_s
            result.pulls += 1
            result.worst_s = round(max(result.worst_s, took_s), 3)
            result.late += took_s > result.bound_s
    finally:
        polling.cancel()
        with suppress(asyncio.CancelledError):
            await polling
        peer.close()
    inbox.account("d.0", interval_us)
    _judge(inbox, result)
    result.terminals = len(names)
    return result


def _good(inbox: Recorder, since: int) -> bool:
    return any(isinstance(item, Batch) and item.quality is None for item in inbox.items[since:])


def _judge(inbox: Recorder, result: Result) -> None:
    for item in inbox.items:
        result.gaps += isinstance(item, GapOpened)
        if isinstance(item, GapOpened):
            result.wrong += item.reason not in ("unreachable", "backed-off")
        elif isinstance(item, Batch):
            result.slots += 1
            good = item.quality is None and item.values == [0, 1, 2]
            bad = item.quality is not None and set(item.quality) <= {BAD_LINK_DOWN, BAD_NO_ANSWER}
            result.wrong += not (good or (bad and item.values == [None] * 3))


def main() -> int:
    """Run the campaign; print a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--interval", type=float, default=0.2)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = asyncio.run(campaign(Path(folder), wanted.n, wanted.seed, wanted.interval))
    print(json.dumps({"campaign": "unplug", **asdict(result), "passed": result.passed}))
    return 0 if result.passed else 1


if __name__ == "__main__":
    sys.exit(main())
