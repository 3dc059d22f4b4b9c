"""A plant for campaigns, as a process: Modbus TCP units and MQTT publishers whose every value is unique, and a log of what it gave.

Each answer of a unit carries the unit's next number, each message its topic's next one: a reading that is lost, doubled, altered or
out of order shows by its number alone. One JSON object a line goes to the truth log before the value leaves. SIGUSR1: nothing is
published any more. It knows nothing of gateway and hub.
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
from typing import TextIO

import aiomqtt

from tests.servers.write_ledger import saw

#: Registers of an answer: the number as uint32, and its lower half once more.
REGISTERS = 3
TOPIC = "plant/"
#: Numbers of unit u begin here, so that no unit's value can be taken for another's.
SPREAD = 10_000_000
#: When a publisher tries its broker again.
RETRY_S = (0.1, 3.0)


def now_us() -> int:
    """The clock of an entry's ``mono_us``."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000


class Truth:
    """Append-only; every line is handed to the kernel before ``write`` returns."""

    def __init__(self, path: Path) -> None:
        self._file: TextIO = path.open("a", buffering=1)

    def write(self, kind: str, who: int, number: int) -> None:
        self._file.write(f'{{"kind":"{kind}","mono_us":{now_us()},"who":{who},"n":{number}}}\n')


class Unit(asyncio.Protocol):
    """One connection to the units; function 3 only. An answer takes a while, so that a kill often meets one under way."""

    def __init__(self, truth: Truth, numbers: dict[int, int], takes_s: float) -> None:
        self._truth = truth
        self._numbers = numbers
        self._takes_s = takes_s

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        while len(data) >= 12:
            request, data = data[:12], data[12:]
            asyncio.get_running_loop().call_later(self._takes_s, self._answer, request)

    def _answer(self, request: bytes) -> None:
        if self._transport.is_closing():
            return
        unit, function, first, count = struct.unpack(">BBHH", request[6:])
        saw("campaign-plant", unit, request[7:])
        assert function == 3
        number = self._numbers[unit] = self._numbers.get(unit, unit * SPREAD) + 1
        registers = struct.pack(">IH", number, number & 0xFFFF)[first * 2 : (first + count) * 2]
        self._truth.write("reply", unit, number)
        head = request[:4] + struct.pack(">HBBB", 3 + len(registers), unit, 3, len(registers))
        self._transport.write(head + registers)


class Publishers:
    """One message after the other on each topic, each until its PUBACK: a broker that dies hears the last one again."""

    def __init__(self, truth: Truth, port: int, every_s: float) -> None:
        self._truth = truth
        self._port = port
        self._every_s = every_s
        self.quiet = False

    async def run(self, who: int) -> None:
        number = 1
        while not self.quiet:
            try:
                async with aiomqtt.Client("127.0.0.1", self._port, identifier=f"plant-{who}") as client:
                    while not self.quiet:
                        self._truth.write("published", who, number)
                        await client.publish(f"{TOPIC}{who}", json.dumps({"n": number}), qos=1, timeout=5.0)
                        self._truth.write("puback", who, number)
                        number += 1
                        await asyncio.sleep(self._every_s)
            except aiomqtt.MqttError:
                await asyncio.sleep(random.uniform(*RETRY_S))  # before or after the gateway is subscribed again


async def main(options: argparse.Namespace) -> None:
    """Serve until killed."""
    truth = Truth(options.truth)
    numbers: dict[int, int] = {}
    loop = asyncio.get_running_loop()
    servers = [
        await loop.create_server(lambda: Unit(truth, numbers, options.answer), "127.0.0.1", 0)
        for _ in range(options.servers)
    ]
    publishers = Publishers(truth, options.broker, options.every)
    loop.add_signal_handler(signal.SIGUSR1, lambda: setattr(publishers, "quiet", True))
    ready = options.ports.with_suffix(".new")
    ready.write_text(json.dumps([server.sockets[0].getsockname()[1] for server in servers]))
    ready.rename(options.ports)
    async with asyncio.TaskGroup() as group:
        for who in range(options.topics):
            group.create_task(publishers.run(who))
        await loop.create_future()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("--ports", type=Path, required=True)
    parser.add_argument("--servers", type=int, default=2)
    parser.add_argument("--answer", type=float, default=0.015)
    parser.add_argument("--broker", type=int, default=0)
    parser.add_argument("--topics", type=int, default=0)
    parser.add_argument("--every", type=float, default=0.25)
    asyncio.run(main(parser.parse_args()))
