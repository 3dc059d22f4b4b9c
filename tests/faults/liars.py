"""Modbus peers that answer their first question by a script and every later one rightly, and the wrong answers they know.

Wrong answers carry WRONG registers (0xDEAD), right ones RIGHT (0x1234): what was accepted shows by itself.
"""

from __future__ import annotations

import asyncio
import os
import random
import ssl
import struct
import tty
from collections.abc import Callable
from contextlib import suppress

from edge_gateway.links.modbus import request
from edge_gateway.links.modbus_pdu import crc16
from tests.servers.certificates import TlsFiles
from tests.servers.write_ledger import saw

UNIT, COUNT = 7, 2
ASK = request(3, 100, COUNT)
RIGHT = struct.pack(">BBHH", 3, 4, 0x1234, 0x5678)
WRONG = struct.pack(">BBHH", 3, 4, 0xDEAD, 0xBEEF)
NOISE = random.Random(1)

# What is sent instead of the answer. "close" ends the connection, a number is a pause in seconds.
Script = list[bytes | float | str]


def right(count: int) -> bytes:
    """The right answer to a question for ``count`` registers."""
    return RIGHT if count == COUNT else bytes((3, 2 * count)) + b"\x12\x34" * count


def registers(count: int, said: int | None = None, function: int = 3) -> bytes:
    return bytes((function, count * 2 if said is None else said)) + b"\xde\xad" * count


def mbap(transaction: int, unit: int, pdu: bytes, *, protocol: int = 0, length: int | None = None) -> bytes:
    return struct.pack(">HHHB", transaction & 0xFFFF, protocol, len(pdu) + 1 if length is None else length, unit) + pdu


def rtu(unit: int, pdu: bytes) -> bytes:
    frame = bytes((unit,)) + pdu
    return frame + crc16(frame)


def ascii_(unit: int, pdu: bytes) -> bytes:
    frame = bytes((unit,)) + pdu
    return b":" + (frame + bytes((-sum(frame) & 0xFF,))).hex().upper().encode() + b"\r\n"


Encode = Callable[[int, bytes], bytes]

#: Whole frames with right checksums that are no answer to ASK: unit and PDU.
PDUS: dict[str, tuple[int, bytes]] = {
    "fewer registers": (UNIT, registers(1)),
    "more registers": (UNIT, registers(7)),
    "odd byte count": (UNIT, b"\x03\x03\xde\xad\xbe"),
    "count says less than there is": (UNIT, registers(3, said=4)),
    "count says more than there is": (UNIT, registers(2, said=8)),
    "right count, data missing": (UNIT, registers(1, said=4)),
    "empty data": (UNIT, b"\x03\x00"),
    "function only": (UNIT, b"\x03"),
    "wrong unit": (UNIT + 1, WRONG),
    "unit 0": (0, WRONG),
    "unit 255": (255, WRONG),
    "wrong function": (UNIT, registers(2, function=4)),
    "writing function": (UNIT, b"\x10" + ASK[1:]),
    "exception 0x77": (UNIT, b"\x83\x77"),
    "exception without code": (UNIT, b"\x83"),
    "exception with more": (UNIT, b"\x83\x02\x00"),
    "exception of another function": (UNIT, b"\x84\x02"),
    "the longest answer": (UNIT, registers(125)),
    "longer than a frame may be": (UNIT, registers(125) + b"\xde\xad" * 20),
}

#: The same over Modbus TCP, and what only its header can get wrong. Called with the question's transaction.
TCP: dict[str, Callable[[int], Script]] = (
    {
        name: (lambda t, unit=unit, pdu=pdu: [mbap(t, unit, pdu)])  # type: ignore[misc]
        for name, (unit, pdu) in PDUS.items()
    }
    | {
        "wrong transaction": lambda t: [mbap(t + 1, UNIT, WRONG)],
        "previous transaction": lambda t: [mbap(t - 1, UNIT, WRONG)],
        "wrong protocol": lambda t: [mbap(t, UNIT, WRONG, protocol=1)],
        "length zero": lambda t: [mbap(t, UNIT, WRONG, length=0)],
        "length one": lambda t: [mbap(t, UNIT, WRONG, length=1)],
        "length short": lambda t: [mbap(t, UNIT, WRONG, length=5)],
        "length long": lambda t: [mbap(t, UNIT, WRONG, length=17)],
        "length huge": lambda t: [mbap(t, UNIT, WRONG, length=0xFFFF)],
        "noise before": lambda t: [b"\xff\x00\x11" + mbap(t, UNIT, WRONG)],
        "noise only": lambda t: [NOISE.randbytes(40)],
        "flood of noise": lambda t: [NOISE.randbytes(200_000)],
        "flood of other answers": lambda t: [mbap(t + 9, UNIT, WRONG) * 15_000],
        "zeros": lambda t: [bytes(64)],
        "late": lambda t: [0.08, mbap(t, UNIT, WRONG)],
        "silent": lambda t: [],
        "closes": lambda t: ["close"],
        "closes within": lambda t: [mbap(t, UNIT, WRONG)[:9], "close"],
        "stale, then silent": lambda t: [mbap(t - 1, UNIT, WRONG), mbap(t - 2, UNIT, WRONG)],
    }
    | {f"stops after {n}": (lambda t, n=n: [mbap(t, UNIT, WRONG)[:n]]) for n in range(1, 13)}
)  # type: ignore[misc]

GOOD_TCP: dict[str, Callable[[int], Script]] = {
    "whole": lambda t: [mbap(t, UNIT, RIGHT)],
    "byte by byte": lambda t: [part for b in mbap(t, UNIT, RIGHT) for part in (bytes((b,)), 0.002)],
    "in two": lambda t: [mbap(t, UNIT, RIGHT)[:8], 0.02, mbap(t, UNIT, RIGHT)[8:]],
    "after a stale one": lambda t: [mbap(t - 1, UNIT, WRONG) + mbap(t, UNIT, RIGHT)],
    "with a stale one behind": lambda t: [mbap(t, UNIT, RIGHT) + mbap(t - 1, UNIT, WRONG)],
    "doubled": lambda t: [mbap(t, UNIT, RIGHT), mbap(t, UNIT, WRONG)],
}


def wrong_frames(encode: Encode) -> dict[str, Script]:
    """Wrong answers of a line whose frames have no number: those of PDUS, and broken bytes."""
    frame, asked = encode(UNIT, WRONG), encode(UNIT, ASK)
    return {name: [encode(unit, pdu)] for name, (unit, pdu) in PDUS.items()} | {
        "wrong checksum": [_replaced(frame, -3, frame[-3] ^ 1)],
        "flipped bit": [_replaced(frame, 4, frame[4] ^ 1)],
        "one byte missing": [frame[:5] + frame[6:]],
        "one byte too many": [frame[:5] + frame[4:]],
        "noise only": [NOISE.randbytes(40)],
        "noise that begins well": [frame[:3] + NOISE.randbytes(60)],
        "flood": [NOISE.randbytes(3000)],
        "two answers": [frame + encode(UNIT, RIGHT)],
        "halves of two": [frame[:6] + encode(UNIT, RIGHT)[:-6]],
        "echo": [asked],
        "echo twice": [asked + asked],
        "echo, then a broken answer": [asked, 0.01, _replaced(frame, 4, 0)],
        "another master's question": [encode(UNIT, request(3, 0x0400, 1))],
        "zeros": [bytes(64)],
        "late": [0.08, frame],
        "late in two": [0.07, frame[:4], 0.02, frame[4:]],
        "silent": [],
    } | {f"stops after {n}": [frame[:n]] for n in range(1, len(encode(UNIT, WRONG)) - 1)}  # fmt: skip


def good_frames(encode: Encode) -> dict[str, Script]:
    """Right answers, however they are cut and whatever lies around them."""
    frame, asked = encode(UNIT, RIGHT), encode(UNIT, ASK)
    return {
        "whole": [frame],
        "byte by byte": [part for b in frame for part in (bytes((b,)), 0.002)],
        "in two": [frame[:5], 0.02, frame[5:]],
        "noise before": [b"\x00\xff" + frame],
        "noise long before": [b"\x00\xff\x07", 0.03, frame],
        "half a frame before": [encode(UNIT, WRONG)[:5] + frame],
        "noise behind": [frame + b"\x55\x55"],
        "after its echo": [asked + frame],
        "after its echo in pieces": [asked[:3], 0.01, asked[3:], 0.01, frame],
        "after echo and noise": [asked + b"\x00" + frame],
        "behind another unit's": [encode(UNIT + 1, WRONG) + frame],
        "behind one of another length": [encode(UNIT, registers(7)) + frame],
        "behind one of another function": [encode(UNIT, registers(2, function=4)), 0.02, frame],
        "behind a broken one": [_replaced(encode(UNIT, WRONG), 4, 0) + frame],
    }


def _replaced(frame: bytes, at: int, value: int) -> bytes:
    changed = bytearray(frame)
    changed[at] = value
    return bytes(changed)


def server_context(files: TlsFiles) -> ssl.SSLContext:
    """TLS for a device that wants our certificate too (mutual)."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(files.ca_file))
    context.load_cert_chain(files.certificate_file, files.key_file)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


class TcpPeer:
    """Modbus TCP."""

    def __init__(self) -> None:
        self.script: Callable[[int], Script] | None = None
        self._server: asyncio.Server | None = None
        self.writers: list[asyncio.StreamWriter] = []
        self.open_now = self.open_most = 0
        self.port = 0

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        self.open_now += 1
        self.open_most = max(self.open_most, self.open_now)
        with suppress(OSError, asyncio.IncompleteReadError):
            await self._answer(reader, writer)
        self.open_now -= 1
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            asked = await reader.readexactly(12)
            saw("guard-tcp", asked[6], asked[7:])
            script, self.script = self.script, None
            transaction = int.from_bytes(asked[:2], "big")
            answer = mbap(transaction, asked[6], right(asked[11]))
            if await _play(script(transaction) if script else [answer], writer):
                return

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self.writers:
            writer.close()


def _counted(asked: bytes) -> int:
    """Registers that a frame asks for; the write ledger sees it."""
    body = asked if asked[:1] != b":" else bytes.fromhex(asked[1:-4].decode())
    saw("guard-serial", body[0], body[1:6])
    return body[5]


async def _play(script: Script, writer: asyncio.StreamWriter) -> bool:
    """True when the connection is to be closed."""
    for step in script:
        if isinstance(step, float):
            await asyncio.sleep(step)
        elif isinstance(step, bytes):
            writer.write(step)
            await writer.drain()
        else:
            return True
    return False


class StreamPeer(TcpPeer):
    """Frames of a serial line through a socket. The script is the bytes themselves."""

    def __init__(self, encode: Encode) -> None:
        super().__init__()
        self.frames: Script | None = None
        self._encode = encode
        self._length = len(encode(UNIT, ASK))

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            count = _counted(await reader.readexactly(self._length))
            script, self.frames = self.frames, None
            if await _play([self._encode(UNIT, right(count))] if script is None else script, writer):
                return


class TerminalPeer:
    """The same on a terminal's far end."""

    def __init__(self, encode: Encode = rtu) -> None:
        self.frames: Script | None = None
        self.asked: list[bytes] = []
        self._encode = encode
        self._length = len(encode(UNIT, ASK))
        self._master, slave = os.openpty()
        tty.setraw(slave)
        os.set_blocking(self._master, False)
        self.port = os.ttyname(slave)
        self._slave = slave
        self._buffer = b""
        self._tasks: set[asyncio.Task[None]] = set()
        asyncio.get_running_loop().add_reader(self._master, self._readable)

    def _readable(self) -> None:
        self._buffer += os.read(self._master, 512)
        while len(self._buffer) >= self._length:
            asked, self._buffer = self._buffer[: self._length], self._buffer[self._length :]
            self.asked.append(asked)
            count = _counted(asked)
            script, self.frames = self.frames, None
            task = asyncio.create_task(self._answer([self._encode(UNIT, right(count))] if script is None else script))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer(self, script: Script) -> None:
        for step in script:
            if isinstance(step, float):
                await asyncio.sleep(step)
            elif isinstance(step, bytes):
                os.write(self._master, step)

    async def stop(self) -> None:
        asyncio.get_running_loop().remove_reader(self._master)
        for task in self._tasks:
            task.cancel()
        os.close(self._master)
        os.close(self._slave)
