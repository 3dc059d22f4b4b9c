"""CPU per Modbus TCP request of 40 registers: our line, pymodbus' client, and the whole source with decoding.

Usage: python bench/modbus_framing.py [--requests 20000]. The peer is a process of its own; figures are this process's CPU time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import random
import struct
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from edge_gateway.clock import SystemClock
from edge_gateway.links.modbus import TcpSettings, open_line, request
from edge_gateway.profiles.model import ModbusProfile
from edge_gateway.profiles.spec import DeviceSpec, PointSpec
from edge_gateway.reading import Batch, Item
from edge_gateway.sources.modbus import ModbusTcpConfig

CONNECTIONS, FLOATS = 50, 20


class _Peer(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.data = struct.pack(f">{FLOATS}f", *(round(random.uniform(-20, 90), 2) for _ in range(FLOATS)))

    def data_received(self, data: bytes) -> None:
        for at in range(0, len(data) - 11, 12):
            head, count = data[at : at + 2], data[at + 11] * 2
            answer = struct.pack(">HHBBB", 0, count + 3, data[at + 6], data[at + 7], count) + self.data[:count]
            self.transport.write(head + answer)


def _serve(pipe: Connection) -> None:
    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(_Peer, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


async def _ours(port: int, requests: int) -> None:
    line = open_line(TcpSettings(host="127.0.0.1", port=port))
    await line.open()
    pdu = request(3, 0, FLOATS * 2)
    for _ in range(requests):
        await line.exchange(1, pdu)
    line.close()


async def _pymodbus(port: int, requests: int) -> None:
    from pymodbus.client import AsyncModbusTcpClient

    client = AsyncModbusTcpClient("127.0.0.1", port=port, retries=0, reconnect_delay=0)
    await client.connect()
    for _ in range(requests):
        await client.read_holding_registers(0, count=FLOATS * 2, device_id=1)
    client.close()


class _Sink:
    def __init__(self, wanted: int) -> None:
        self.batches = 0
        self.bad = 0
        self.wanted = wanted
        self.done = asyncio.Event()

    async def put(self, item: Item) -> None:
        self.batches += isinstance(item, Batch)
        self.bad += not isinstance(item, Batch) or item.quality is not None
        if self.batches >= self.wanted:
            self.done.set()

    def full(self) -> bool:
        return False


def _profile() -> ModbusProfile:
    channel = {"function": 3, "type": "float32", "quantity": "temperature", "unit": "Cel"}
    return ModbusProfile.model_validate(
        {
            "id": "bench/floats", "vendor": "", "model": "", "name_zh": "", "name_en": "", "verified": "no",
            "sources": [{"cite": "a benchmark", "verified": "no"}], "modbus": {},
            "channels": {f"c{i}": channel | {"register": 2 * i} for i in range(FLOATS)},
        }
    )  # fmt: skip


async def _source(port: int, requests: int) -> int:
    """Fifty sources of one device each, slots of 10 ms; returns the slots that were no good batches."""
    clock, profile, sink = SystemClock(declared=True), _profile(), _Sink(requests)
    tasks = []
    for n in range(CONNECTIONS):
        points = tuple(PointSpec(id=f"d{n}-{name}", channel=name) for name in profile.channels)
        spec = DeviceSpec(id=f"d{n}", profile=profile, points=points, interval_us=10_000, unit=1)
        source = ModbusTcpConfig(kind="tcp", host="127.0.0.1", port=port).build(f"b{n}", [spec], clock)
        tasks.append(asyncio.create_task(source.run(sink)))
    await sink.done.wait()
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError):
            await task
    return sink.bad


def main() -> None:
    """Measure and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000)
    requests = parser.parse_args().requests
    ours, theirs = multiprocessing.Pipe()
    peer = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs,), daemon=True)
    peer.start()
    port = ours.recv()
    result: dict[str, Any] = {"requests": requests, "registers": FLOATS * 2}

    async def many(one: Any) -> None:
        await asyncio.gather(*(one(port, requests // CONNECTIONS) for _ in range(CONNECTIONS)))

    for name, run in (
        ("ours_1_connection", lambda: _ours(port, requests)),
        ("ours_50_connections", lambda: many(_ours)),
        ("pymodbus_1_connection", lambda: _pymodbus(port, requests)),
        ("pymodbus_50_connections", lambda: many(_pymodbus)),
        ("source_50_connections_10_ms", lambda: _source(port, requests)),
    ):
        cpu, wall = time.process_time(), time.perf_counter()
        bad = asyncio.run(run())
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        result[name] = {"cpu_us": round(cpu / requests * 1e6, 1), "per_s": round(requests / wall)}
        if bad is not None:
            result[name] |= {"bad_slots": bad, "cpu_s_per_1000_readings": round(cpu / requests / FLOATS * 1000, 5)}
    peer.terminate()
    print(json.dumps(result))


if __name__ == "__main__":
    main()
