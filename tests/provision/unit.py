"""A simulated unit that really changes: its address moves, its rate moves, and it can be as unreliable as devices are.

Over TCP, or on a pseudo terminal whose far end looks at the rate that the client set: at another rate than its own it hears
rubbish and says nothing.
"""

from __future__ import annotations

import asyncio
import os
import struct
import termios
import threading
import tty
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

from edge_gateway.links.modbus_pdu import crc16
from tests.servers.write_ledger import saw

_SPEEDS = {2400: termios.B2400, 4800: termios.B4800, 9600: termios.B9600, 19200: termios.B19200}


@dataclass
class SimulatedUnit:
    """Holding and input registers, and coils, by address. ``address_at`` and ``baud_at`` are the registers that move it.

    ``fault``: ``""``; ``ignores`` (repeats the write, keeps the old value); ``forgets`` (has the new value until it is
    powered off); ``refuses`` (exception 3); ``deaf`` (takes it, and never answers again); ``mute`` (takes it, but does not
    say so); ``garbles`` (takes it, and its answer has a wrong checksum or transaction).
    """

    holding: dict[int, int] = field(default_factory=dict)
    input: dict[int, int] = field(default_factory=dict)
    coils: dict[int, int] = field(default_factory=dict)
    unit: int = 1
    baud: int = 9600
    address_at: int | None = None
    baud_at: int | None = None
    bauds: dict[int, int] = field(default_factory=lambda: {0: 2400, 1: 4800, 2: 9600})
    later: bool = False
    fault: str = ""
    writes: list[bytes] = field(default_factory=list)
    asked: list[tuple[int, bytes]] = field(default_factory=list)
    #: units besides ours that answer reads: somebody else on the line
    others: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._stored = dict(self.holding)

    def power_cycle(self) -> None:
        """Off and on: what was not stored is gone, and what waits for it takes effect."""
        self.holding = dict(self._stored)
        self._move()
        if self.fault == "deaf":
            self.fault = ""

    def _move(self) -> None:
        if self.address_at is not None:
            self.unit = self.holding[self.address_at]
        if self.baud_at is not None:
            self.baud = self.bauds[self.holding[self.baud_at]]

    def answer(self, unit: int, pdu: bytes) -> bytes | None:
        """The answer's PDU; None for silence."""
        saw("provision-unit", unit, pdu)
        self.asked.append((unit, pdu))
        if self.fault == "deaf" and self.writes:
            return None
        if unit not in self.others and unit != self.unit:
            return None
        if pdu[0] in (1, 3, 4):
            return self._read(pdu)
        self.writes.append(pdu)
        if self.fault == "refuses":
            return bytes((pdu[0] | 0x80, 3))
        if self.fault != "ignores":
            self._write(pdu)
        return None if self.fault in ("mute", "deaf") else pdu[:5]

    def _read(self, pdu: bytes) -> bytes:
        function, start, count = struct.unpack(">BHH", pdu)
        table = {1: self.coils, 3: self.holding, 4: self.input}[function]
        if any(address not in table for address in range(start, start + count)):
            return bytes((function | 0x80, 2))
        words = [table[address] & 0xFFFF for address in range(start, start + count)]
        if function == 1:
            return bytes((1, 1, words[0]))
        return struct.pack(f">BB{count}H", function, 2 * count, *words)

    def _write(self, pdu: bytes) -> None:
        function, start, value = struct.unpack_from(">BHH", pdu)
        if function == 5:
            self.coils[start] = int(value == 0xFF00)
            return
        words = [value] if function == 6 else struct.unpack(f">{value}H", pdu[6:])
        for at, word in enumerate(words):
            self.holding[start + at] = word
            if self.fault != "forgets":
                self._stored[start + at] = word
        if not self.later:
            self._move()


class _Threaded:
    """An event loop in a thread of its own: the gateway may be another process, or this one."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def _run(self, act: Callable[[], None]) -> None:
        async def run() -> None:
            act()

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


class TcpUnits(_Threaded):
    """Units behind one TCP port; ``port`` is for the gateway."""

    def __init__(self, *units: SimulatedUnit) -> None:
        super().__init__()
        self.units = units
        self.port = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                transaction, _, length, unit = struct.unpack(">HHHB", await reader.readexactly(7))
                pdu = await reader.readexactly(length - 1)
                answers = [(each, each.answer(unit, pdu)) for each in self.units]
                for each, reply in answers:
                    if reply is not None:
                        garbled = each.fault == "garbles" and reply[0] not in (1, 3, 4)
                        header = struct.pack(">HHHB", transaction + garbled, 0, len(reply) + 1, unit)
                        writer.write(header + reply)
        writer.close()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._server.close)
        self._end()


class SerialUnits(_Threaded):
    """Units on a pseudo terminal; ``path`` is for the gateway."""

    def __init__(self, *units: SimulatedUnit) -> None:
        super().__init__()
        self.units = units
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path = os.ttyname(self._slave)
        self._buffer = b""

    def _readable(self) -> None:
        with suppress(BlockingIOError):
            self._buffer += os.read(self._master, 512)
        speed = termios.tcgetattr(self._master)[5]
        while len(self._buffer) >= 8:
            whole = 9 + self._buffer[6] if self._buffer[1] == 16 else 8
            if len(self._buffer) < whole:
                return
            frame, self._buffer = self._buffer[:whole], self._buffer[whole:]
            assert crc16(frame[:-2]) == frame[-2:]
            for each in self.units:
                if _SPEEDS[each.baud] != speed:
                    continue  # it hears rubbish
                reply = each.answer(frame[0], frame[1:-2])
                if reply is not None:
                    data = frame[:1] + reply
                    garbled = each.fault == "garbles" and reply[0] not in (1, 3, 4)
                    check = bytes(2) if garbled else crc16(data)
                    os.write(self._master, data + check)

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(lambda: self._loop.add_reader(self._master, self._readable))
        return self

    def __exit__(self, *_: object) -> None:
        self._run(lambda: self._loop.remove_reader(self._master) and None)
        self._end()
        os.close(self._slave)
        os.close(self._master)
