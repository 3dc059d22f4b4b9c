"""A unit on a serial line at true baud, as a process of its own: bytes take their time both ways, and silences are insisted on.

A request's bytes are on the wire from the moment they are written, one character after the other. The unit answers the line's
silence and its turnaround after the last of them, and hands its answer over in groups of up to 16 characters, each when its
last bit would be there (the FIFO of a UART). A request that begins earlier than the silence after the last byte on the
wire is discarded and counted. It sleeps, and spins only for the last part of each wait.
"""

from __future__ import annotations

import multiprocessing
import os
import struct
import time
import tty
from dataclasses import dataclass
from multiprocessing.connection import Connection

from edge_gateway.links.modbus_pdu import crc16
from tests.servers.write_ledger import saw

#: Bits of a character in 8N2; what the unit takes before it answers; its address.
BITS, TURNAROUND_S, UNIT = 11, 0.005, 1
_GROUP = 16
_SPIN_S = 0.001


def silence_s(baud: int) -> float:
    """3.5 characters, 1.75 ms above 19,200 baud ("MODBUS over serial line" V1.02, 2.5.1.1)."""
    return 3.5 * BITS / baud if baud <= 19_200 else 0.00175


def limit_per_s(baud: int, registers: int) -> float:
    """Polls/s that the line itself allows: request, silence, turnaround, answer, silence."""
    return 1 / ((13 + 2 * registers) * BITS / baud + 2 * silence_s(baud) + TURNAROUND_S)


@dataclass
class Pump:
    """The unit's side of the terminal. ``baud`` may change between requests."""

    master: int
    baud: int = 9600
    early: int = 0
    answered: int = 0
    _busy_until_s: float = 0.0

    def serve(self) -> None:
        """One request, or what came instead."""
        asked = os.read(self.master, 64)
        arrived_s = time.perf_counter()
        if arrived_s < self._busy_until_s + silence_s(self.baud):
            self.early += 1
            self._busy_until_s = max(arrived_s, self._busy_until_s) + len(asked) * BITS / self.baud
            return
        saw("paced-unit", asked[0], asked[1:-2])
        unit, function, _, count, _ = struct.unpack(">BBHHH", asked)
        answer = struct.pack(f">BBB{count}H", unit, function, 2 * count, *range(count))
        answer += crc16(answer)
        begin_s = arrived_s + len(asked) * BITS / self.baud + silence_s(self.baud) + TURNAROUND_S
        for at in range(0, len(answer), _GROUP):
            group = answer[at : at + _GROUP]
            _until(begin_s + (at + len(group)) * BITS / self.baud)
            os.write(self.master, group)
        self._busy_until_s = begin_s + len(answer) * BITS / self.baud
        self.answered += 1


def _until(due_s: float) -> None:
    if (left_s := due_s - time.perf_counter() - _SPIN_S) > 0:
        time.sleep(left_s)
    while time.perf_counter() < due_s:
        pass


def _run(pipe: Connection) -> None:
    master, slave = os.openpty()
    tty.setraw(slave)
    pump = Pump(master)
    pipe.send(os.ttyname(slave))
    pump.baud = pipe.recv()
    while True:
        pump.serve()
        while pipe.poll():
            baud = pipe.recv()
            if baud:
                pump.baud = baud
            pipe.send((pump.early, pump.answered))


class PacedUnit:
    """The process, and what it has counted. ``port`` is the terminal to open."""

    def __init__(self, baud: int) -> None:
        self._pipe, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("spawn").Process(target=_run, args=(theirs,), daemon=True)
        self._process.start()
        self.port: str = self._pipe.recv()
        self._pipe.send(baud)

    def tell(self, baud: int = 0) -> None:
        """Count, and change to ``baud`` (0: stay): with the next request, whose answer is the last one at the old pace."""
        self._pipe.send(baud)

    def counted(self) -> tuple[int, int]:
        """(requests discarded as too early, requests answered) as of the last ``tell``."""
        early, answered = self._pipe.recv()
        return early, answered

    def stop(self) -> None:
        self._process.terminate()
        self._process.join()
