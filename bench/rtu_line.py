"""How much of a serial line's arithmetic limit we use: polls/s of 10 and 100 registers at 9,600, 19,200 and 115,200 baud.

Usage: python bench/rtu_line.py [--seconds 5]. The limit of one poll: (8 + 5 + 2N) characters of 11 bits (8N2), twice the silence of
3.5 characters (1.75 ms above 19,200 baud), 5 ms turnaround. The unit (tests/servers/paced_unit.py) is a process on a terminal's
far end that paces every byte and discards a request that begins within the silence; more than 100 % is a fault of the measure.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from edge_gateway.links.modbus import RtuSettings, open_line, request
from tests.servers.paced_unit import BITS, TURNAROUND_S, UNIT, PacedUnit, limit_per_s

GOALS = {9_600: 0.95, 19_200: 0.95, 115_200: 0.90}


async def measure(unit: PacedUnit, baud: int, registers: int, seconds: float) -> dict[str, float | int]:
    """Polls/s against the limit, CPU µs a poll, and requests that the unit discarded as too early. Any failed poll raises."""
    line = open_line(RtuSettings(port=unit.port, baud=baud, stopbits=2))
    await line.open()
    pdu = request(3, 0, registers)
    await asyncio.sleep(0.05)  # the silence after the last answer at the pace before
    unit.tell(baud)
    await line.exchange(UNIT, pdu)
    early_before, _ = unit.counted()
    await line.exchange(UNIT, pdu)
    started, cpu, polls = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - started < seconds:
        await line.exchange(UNIT, pdu)
        polls += 1
    took, cpu = time.perf_counter() - started, time.process_time() - cpu
    unit.tell()
    await line.exchange(UNIT, pdu)
    early, _ = unit.counted()
    line.close()
    limit = limit_per_s(baud, registers)
    return {
        "baud": baud, "registers": registers, "per_s": round(polls / took, 2), "limit_per_s": round(limit, 2),
        "use": round(polls / took / limit, 4), "goal": GOALS[baud], "early": early - early_before,
        "cpu_us": round(cpu / polls * 1e6),
    }  # fmt: skip


def main() -> int:
    """Print a line a case and a JSON line; exit 1 if a goal is missed, or a figure is impossible."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    seconds = parser.parse_args().seconds
    unit = PacedUnit(9600)
    rows = []
    for baud in GOALS:
        for registers in (10, 100):
            rows.append(asyncio.run(measure(unit, baud, registers, seconds)))
            print(
                "{baud:>7} baud {registers:>4} registers {per_s:>7} of {limit_per_s:>7} polls/s  use {use:.3f}  discarded {early}".format(
                    **rows[-1]
                )
            )
    unit.stop()
    print(json.dumps({"bench": "rtu-line", "bits": BITS, "turnaround_s": TURNAROUND_S, "rows": rows}))
    return 0 if all(row["goal"] <= row["use"] <= 1.0 and not row["early"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
