"""The plant's side of Modbus: answers on TCP and on a serial line, and tells what it answered; knows no register's meaning."""

from __future__ import annotations

import asyncio
import os
import struct
import tty
from collections.abc import Callable

#: Called once an answer was handed to the kernel, with how long its request had waited for it at the most (s).
Written = Callable[[float], None]
#: (unit, request PDU) -> the answer's PDU and whom to tell that it was written; None to stay silent.
Answering = Callable[[int, bytes], tuple[bytes, Written] | None]

#: A frame as it is sent -> as it arrives.
OnTheLine = Callable[[bytes], bytes]

_HEARTBEAT_S = 0.02
#: A character on a serial line at 9600 baud, 10 bits.
_CHARACTER_S = 10 / 9600
_REQUEST_BYTES = 8  # a serial request of functions 1 to 4


class Heartbeat:
    """Knows how long this process may have been asleep: a request found now may have waited for that long."""

    def __init__(self) -> None:
        self._beat_s = 0.0

    async def run(self) -> None:
        """Beat until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            self._beat_s = loop.time()
            await asyncio.sleep(_HEARTBEAT_S)

    def asleep_s(self) -> float:
        """Upper bound of what a request waited before it was seen (s). Sockets are looked at before timers, so it is one."""
        return asyncio.get_running_loop().time() - self._beat_s


class TcpServer:
    """A Modbus TCP server on 127.0.0.1: one PDU handler for all connections."""

    def __init__(self, answer: Answering, heartbeat: Heartbeat) -> None:
        self._answer = answer
        self._heartbeat = heartbeat
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def listen(self, port: int = 0) -> int:
        """Listen; the port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        address: tuple[str, int] = self._server.sockets[0].getsockname()
        return address[1]

    def close(self) -> None:
        """Stop listening and close every connection: whoever asks sees it at once."""
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                header = await reader.readexactly(7)
                transaction, protocol, length, unit = struct.unpack(">HHHB", header)
                if protocol != 0 or not 2 <= length <= 254:
                    return
                pdu = await reader.readexactly(length - 1)
                asleep_s, came_s = self._heartbeat.asleep_s(), asyncio.get_running_loop().time()
                given = self._answer(unit, pdu)
                if given is None or writer.is_closing():
                    continue
                reply, written = given
                writer.write(struct.pack(">HHHB", transaction, 0, len(reply) + 1, unit) + reply)
                await writer.drain()
                written(asleep_s + asyncio.get_running_loop().time() - came_s)
        except (asyncio.IncompleteReadError, ConnectionError):
            return  # the client went away
        finally:
            self._writers.discard(writer)
            writer.close()


class SerialLine:
    """A pseudo terminal whose far end is several RTU units at the pace of 9600 baud. ``path`` is for the gateway."""

    def __init__(self, answer: Answering, heartbeat: Heartbeat, on_the_line: OnTheLine = bytes) -> None:
        self._answer = answer
        self._heartbeat = heartbeat
        self._on_the_line = on_the_line
        self._near, self._far = os.openpty()
        tty.setraw(self._near)
        tty.setraw(self._far)  # kept open: the line stays alive while nobody has it open
        os.set_blocking(self._near, False)
        self.path = os.ttyname(self._far)
        self._buffer = bytearray()
        self._arrived = asyncio.Event()

    async def run(self) -> None:
        """Answer until cancelled."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._near, self._readable)
        try:
            while True:
                await self._arrived.wait()
                self._arrived.clear()
                while len(self._buffer) >= _REQUEST_BYTES:
                    await self._request()
        finally:
            loop.remove_reader(self._near)
            os.close(self._near)
            os.close(self._far)

    def _readable(self) -> None:
        self._buffer += os.read(self._near, 4096)
        self._arrived.set()

    async def _request(self) -> None:
        frame = bytes(self._buffer[:_REQUEST_BYTES])
        if crc16(frame[:-2]) != frame[-2:]:
            del self._buffer[0]  # not at a frame's begin
            return
        del self._buffer[:_REQUEST_BYTES]
        asleep_s, came_s = self._heartbeat.asleep_s(), asyncio.get_running_loop().time()
        given = self._answer(frame[0], frame[1:-2])
        if given is None:
            return
        reply, written = given
        answer = frame[:1] + reply
        answer += crc16(answer)
        await asyncio.sleep((_REQUEST_BYTES + len(answer) + 4) * _CHARACTER_S)
        arriving = self._on_the_line(answer)
        os.write(self._near, arriving)
        if arriving == answer:
            written(asleep_s + asyncio.get_running_loop().time() - came_s)


def crc16(data: bytes) -> bytes:
    """The Modbus CRC, low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return struct.pack("<H", crc)
