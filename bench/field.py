"""A field for benchmarks: many Modbus TCP units in one process, as quick as Python can answer; values move each second.

`python bench/field.py --devices 50 --registers 40 --port-file F`: writes one port a line, then serves until killed.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import struct
import time
from pathlib import Path


class Unit(asyncio.Protocol):
    """One device: answers FC3 and FC4 with a block made once a second."""

    block = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._write = transport.write  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        while len(data) >= 12:
            request, data = data[:12], data[12:]
            first, count = struct.unpack(">HH", request[8:12])
            body = Unit.block[first * 2 : (first + count) * 2]
            head = request[:4] + struct.pack(">HBBB", 3 + len(body), request[6], request[7], len(body))
            self._write(head + body)


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
    parser.add_argument("--port-file", type=Path, required=True)
    options = parser.parse_args()
    rng = random.Random(1)
    Unit.block = block(options.registers, options.kind, rng)
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(Unit, "127.0.0.1", 0) for _ in range(options.devices)]
    ports = [server.sockets[0].getsockname()[1] for server in servers]
    options.port_file.write_text("\n".join(map(str, ports)))
    while True:
        await asyncio.sleep(1.0 - time.time() % 1.0)
        Unit.block = block(options.registers, options.kind, rng)


if __name__ == "__main__":
    asyncio.run(main())
