"""A field for benchmarks: many Modbus TCP units in one process, as quick as Python can answer; values move.

`python bench/field.py --devices 50 --registers 40 --port-file F`: writes one port a line, then serves until SIGTERM.
With `--changer LOG` one more port comes last: a unit whose two float32 change with every answer (a temperature that is
within its limit and beyond it in turn, and the answer's number); LOG gets the monotonic time (ns) of each answer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import struct
import time
from pathlib import Path
from typing import ClassVar


class Unit(asyncio.Protocol):
    """One device: answers FC3 and FC4 with its block, which is made anew every now and then."""

    def __init__(self, blocks: list[bytes], number: int) -> None:
        self._blocks, self._number = blocks, number

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._write = transport.write  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        while len(data) >= 12:
            request, data = data[:12], data[12:]
            first, count = struct.unpack(">HH", request[8:12])
            body = self._blocks[self._number][first * 2 : (first + count) * 2]
            self._write(head(request, body) + body)


class Changer(asyncio.Protocol):
    """Changes with every answer, and remembers when."""

    log: ClassVar[list[int]] = []
    beyond = -10.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._write = transport.write  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        number = len(self.log) + 1
        body = struct.pack(">ff", self.beyond if number % 2 else -22.0, number)
        self._write(head(data[:12], body) + body)
        self.log.append(time.monotonic_ns())


def head(request: bytes, body: bytes) -> bytes:
    """Everything of an answer before its registers."""
    return request[:4] + struct.pack(">HBBB", 3 + len(body), request[6], request[7], len(body))


def block(registers: int, kind: str, rng: random.Random) -> bytes:
    """Register bytes of a calm cold store: float32 on a 0.01 grid, or int16 of a tenth, wandering by a few counts."""
    if kind == "float32":
        values = [round(rng.uniform(-22.2, -21.8), 2) for _ in range(registers // 2)]
        return struct.pack(f">{len(values)}f", *values)
    return struct.pack(f">{registers}h", *(rng.randint(-222, -218) for _ in range(registers)))


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--devices", type=int, default=50)
    parser.add_argument("--registers", type=int, default=40)
    parser.add_argument("--kind", choices=["float32", "int16"], default="float32")
    parser.add_argument("--every", type=float, default=1.0, help="seconds between new values")
    parser.add_argument("--port-file", type=Path, required=True)
    parser.add_argument("--changer", type=Path)
    parser.add_argument("--calm", action="store_true", help="the changing unit stays within its limit")
    options = parser.parse_args()
    Changer.beyond = -22.0 if options.calm else -10.0
    rng = random.Random(1)
    blocks = [block(options.registers, options.kind, rng) for _ in range(options.devices)]
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    makers = [lambda number=number: Unit(blocks, number) for number in range(options.devices)]
    makers += [Changer] if options.changer else []
    servers = [await loop.create_server(maker, "127.0.0.1", 0) for maker in makers]
    ports = [server.sockets[0].getsockname()[1] for server in servers]
    options.port_file.write_text("".join(f"{port}\n" for port in ports))
    while not stop.is_set():
        try:
            await asyncio.wait_for(stop.wait(), options.every - time.time() % options.every)
        except TimeoutError:
            blocks[:] = [block(options.registers, options.kind, rng) for _ in range(options.devices)]
    if options.changer:
        options.changer.write_text(json.dumps(Changer.log))


if __name__ == "__main__":
    asyncio.run(main())
