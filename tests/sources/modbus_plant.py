"""A Modbus TCP plant with raw sockets that can misbehave by unit and register, and a recording inbox."""

from __future__ import annotations

import asyncio
import os
import struct
import tty
from collections.abc import Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from edge_gateway.clock import SystemClock
from edge_gateway.links.modbus_pdu import crc16
from edge_gateway.reading import Batch, GapClosed, GapOpened, Item
from edge_gateway.sources.modbus import ModbusTcpConfig
from edge_gateway.sources.modbus_source import ModbusSource
from tests.servers.write_ledger import saw

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from edge_gateway.profiles.spec import DeviceSpec

SILENT = "silent"


class Plant:
    """Registers by (unit, address), the same for functions 3 and 4; absent ones are refused with exception 2."""

    def __init__(self, registers: dict[tuple[int, int], int]) -> None:
        self.registers = registers
        self.asked: list[tuple[int, int, int, int]] = []  # unit, function, start, count
        self.connections = 0
        #: unit -> "silent" or an exception code
        self.trouble: dict[int, str | int] = {}
        #: called before each answer
        self.before: Callable[[int, int], Awaitable[None]] | None = None
        self.exceptions: dict[tuple[int, int], int] = {}  # (unit, register) -> code, whenever it is read
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                transaction, _, _, unit, function, start, count = struct.unpack(
                    ">HHHBBHH", await reader.readexactly(12)
                )
                saw("plant", unit, struct.pack(">BHH", function, start, count))
                self.asked.append((unit, function, start, count))
                if self.before is not None:
                    await self.before(unit, start)
                pdu = self.answer(unit, function, start, count)
                if pdu is not None:
                    writer.write(struct.pack(">HHHB", transaction, 0, len(pdu) + 1, unit) + pdu)
        self._writers.discard(writer)
        writer.close()

    def answer(self, unit: int, function: int, start: int, count: int) -> bytes | None:
        trouble = self.trouble.get(unit)
        if trouble == SILENT:
            return None
        if isinstance(trouble, int):
            return bytes((function | 0x80, trouble))
        for address in range(start, start + count):
            if code := self.exceptions.get((unit, address)):
                return bytes((function | 0x80, code))
            if (unit, address) not in self.registers:
                return bytes((function | 0x80, 2))
        words = [self.registers[(unit, a)] & 0xFFFF for a in range(start, start + count)]
        return struct.pack(f">BB{count}H", function, 2 * count, *words)


class SerialPeer:
    """A unit on a new terminal that ``link`` names: register n holds n."""

    def __init__(self, link: Path) -> None:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        beside = link.with_name(link.name + ".new")
        beside.symlink_to(os.ttyname(self._slave))
        beside.rename(link)
        self._link = link
        asyncio.get_running_loop().add_reader(self._master, self._readable)

    def _readable(self) -> None:
        unit, function, start, count, _ = struct.unpack(">BBHHH", os.read(self._master, 8))
        saw("serial-peer", unit, struct.pack(">BHH", function, start, count))
        answer = struct.pack(f">BBB{count}H", unit, function, 2 * count, *range(start, start + count))
        os.write(self._master, answer + crc16(answer))

    def close(self) -> None:
        """Unplug it."""
        asyncio.get_running_loop().remove_reader(self._master)
        self._link.unlink()
        os.close(self._slave)
        os.close(self._master)


class Recorder:
    """An inbox that keeps everything."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.is_full = False

    async def put(self, item: Item) -> None:
        self.items.append(item)

    def full(self) -> bool:
        return self.is_full

    def batches(self, group: str) -> list[Batch]:
        return [i for i in self.items if isinstance(i, Batch) and i.group.id == group]

    def gaps(self, group: str = "") -> list[GapOpened]:
        return [i for i in self.items if isinstance(i, GapOpened) and (not group or group in i.groups)]

    def account(self, group: str, interval_us: int) -> None:
        """Assert that every slot from the first on is one batch, or lies in exactly one closed (or the last, open) gap."""
        next_us: int | None = None
        gap: GapOpened | None = None
        for item in self.items:
            if isinstance(item, Batch) and item.group.id == group:
                assert gap is None, "a batch inside a gap"
                assert item.slot_us is not None
                assert next_us in (None, item.slot_us), (next_us, item.slot_us)
                next_us = item.slot_us + interval_us
            elif isinstance(item, GapOpened) and group in item.groups:
                assert gap is None, "a gap inside a gap"
                assert next_us in (None, item.since_slot_us), (next_us, item.since_slot_us)
                gap = item
            elif isinstance(item, GapClosed) and gap is not None and item.id == gap.id:
                assert item.slots == (item.until_slot_us - gap.since_slot_us) // interval_us
                assert item.slots > 0
                next_us, gap = item.until_slot_us, None


@asynccontextmanager
async def running(
    plant: Plant, devices: Sequence[DeviceSpec], inbox: Recorder | None = None, **config: float
) -> AsyncIterator[tuple[ModbusSource, Recorder]]:
    """A source polling the plant; always cancelled at the end."""
    settings = {"timeout_s": 0.05, "connect_timeout_s": 0.5, "backoff_first_s": 0.02, "backoff_most_s": 0.2} | config
    bus = ModbusTcpConfig(kind="tcp", host="127.0.0.1", port=plant.port, **settings)
    source = bus.build("bus", devices, SystemClock(declared=True))
    inbox = inbox or Recorder()
    task = asyncio.create_task(source.run(inbox))
    try:
        yield source, inbox
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], object], *, within_s: float = 10.0) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.005)


def words(unit: int, values: Iterable[int], start: int = 0) -> dict[tuple[int, int], int]:
    return {(unit, start + i): value for i, value in enumerate(values)}
