"""How much of a serial line's arithmetic limit we use: polls/s of 10 and 100 registers at 9,600, 19,200 and 115,200 baud.

Usage: python bench/rtu_line.py [--seconds 5]. The limit of one poll: (8 + 5 + 2N) characters of 11 bits (8N2), twice the silence of
3.5 characters (1.75 ms above 19,200 baud), 5 ms turnaround. The unit is a process on a terminal's far end that spins until the
very instant at which a UART would have handed over the answer's last byte; what is lost beyond it is ours and the kernel's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import struct
import sys
import time
import tty
from multiprocessing.connection import Connection

from edge_gateway.links.modbus import RtuSettings, open_line, request
from edge_gateway.links.modbus_pdu import crc16

BITS, TURNAROUND_S, UNIT = 11, 0.005, 1
GOALS = {9_600: 0.95, 19_200: 0.95, 115_200: 0.90}


def _silence_s(baud: int) -> float:
    return 3.5 * BITS / baud if baud <= 19_200 else 0.00175


def limit_per_s(baud: int, registers: int) -> float:
    """Polls/s that the line itself allows."""
    return 1 / ((13 + 2 * registers) * BITS / baud + 2 * _silence_s(baud) + TURNAROUND_S)


def _unit(pipe: Connection) -> None:
    master, slave = os.openpty()
    tty.setraw(slave)
    pipe.send(os.ttyname(slave))
    baud = pipe.recv()
    while True:
        asked = os.read(master, 64)
        arrived = time.perf_counter()
        if pipe.poll():
            baud = pipe.recv()
        _, function, _, count, _ = struct.unpack(">BBHHH", asked)
        answer = struct.pack(f">BBB{count}H", UNIT, function, 2 * count, *range(count))
        answer += crc16(answer)
        due = arrived + (len(asked) + len(answer)) * BITS / baud + _silence_s(baud) + TURNAROUND_S
        if (left := due - time.perf_counter() - 0.001) > 0:
            time.sleep(left)
        while time.perf_counter() < due:
            pass
        os.write(master, answer)


async def _measure(port: str, baud: int, registers: int, seconds: float) -> tuple[float, float]:
    """Polls/s, and CPU µs a poll."""
    line = open_line(RtuSettings(port=port, baud=baud, stopbits=2))
    await line.open()
    pdu = request(3, 0, registers)
    await line.exchange(UNIT, pdu)
    started, cpu, polls = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - started < seconds:
        await line.exchange(UNIT, pdu)
        polls += 1
    took, cpu = time.perf_counter() - started, time.process_time() - cpu
    line.close()
    return polls / took, cpu / polls * 1e6


def main() -> int:
    """Print a line a case and a JSON line; exit 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    seconds = parser.parse_args().seconds
    ours, theirs = multiprocessing.Pipe()
    unit = multiprocessing.get_context("spawn").Process(target=_unit, args=(theirs,), daemon=True)
    unit.start()
    port = ours.recv()
    rows = []
    for baud, goal in GOALS.items():
        ours.send(baud)
        for registers in (10, 100):
            per_s, cpu_us = asyncio.run(_measure(port, baud, registers, seconds))
            limit = limit_per_s(baud, registers)
            row = {"baud": baud, "registers": registers, "per_s": round(per_s, 2), "limit_per_s": round(limit, 2)}
            rows.append(row | {"use": round(per_s / limit, 4), "goal": goal, "cpu_us": round(cpu_us)})
            print(
                "{baud:>7} baud {registers:>4} registers {per_s:>7} of {limit_per_s:>7} polls/s  use {use:.3f}".format(
                    **rows[-1]
                )
            )
    unit.terminate()
    print(json.dumps({"bench": "rtu-line", "bits": BITS, "turnaround_s": TURNAROUND_S, "rows": rows}))
    return 0 if all(float(row["use"]) >= float(row["goal"]) for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
