"""Malformed Modbus answers from raw peers, over TCP and a terminal: none may become data, and the next good poll works.

The wrong answers carry WRONG registers, the right ones RIGHT: what was accepted shows by itself. The harness must catch
planted guards that skip a check.
"""

from __future__ import annotations

import asyncio
import os
import random
import struct
import tty
from collections.abc import Callable
from contextlib import suppress

import pytest

from edge_gateway.errors import BadFrame, DeviceRefused, SourceError
from edge_gateway.links import modbus_rtu, modbus_tcp
from edge_gateway.links.modbus import Line, RtuSettings, TcpSettings, open_line, request
from edge_gateway.links.modbus_pdu import crc16
from tests.servers.write_ledger import saw

UNIT, COUNT = 7, 2
ASK = request(3, 100, COUNT)
RIGHT = struct.pack(">BBHH", 3, 4, 0x1234, 0x5678)
WRONG = struct.pack(">BBHH", 3, 4, 0xDEAD, 0xBEEF)
NOISE = random.Random(1)


def mbap(transaction: int, unit: int, pdu: bytes, *, protocol: int = 0, length: int | None = None) -> bytes:
    return struct.pack(">HHHB", transaction & 0xFFFF, protocol, len(pdu) + 1 if length is None else length, unit) + pdu


def registers(count: int, said: int | None = None, function: int = 3) -> bytes:
    return bytes((function, count * 2 if said is None else said)) + b"\xde\xad" * count


# What is sent instead of the answer to transaction t. "close" ends the connection, a number is a pause in seconds.
Script = list[bytes | float | str]
TCP: dict[str, Callable[[int], Script]] = {
    "fewer registers": lambda t: [mbap(t, UNIT, registers(1))],
    "more registers": lambda t: [mbap(t, UNIT, registers(7))],
    "odd byte count": lambda t: [mbap(t, UNIT, b"\x03\x03\xde\xad\xbe")],
    "count says less than there is": lambda t: [mbap(t, UNIT, registers(3, said=4))],
    "count says more than there is": lambda t: [mbap(t, UNIT, registers(2, said=8))],
    "right count, data missing": lambda t: [mbap(t, UNIT, registers(1, said=4))],
    "empty data": lambda t: [mbap(t, UNIT, b"\x03\x00")],
    "function only": lambda t: [mbap(t, UNIT, b"\x03")],
    "wrong transaction": lambda t: [mbap(t + 1, UNIT, WRONG)],
    "previous transaction": lambda t: [mbap(t - 1, UNIT, WRONG)],
    "wrong unit": lambda t: [mbap(t, UNIT + 1, WRONG)],
    "unit 255": lambda t: [mbap(t, 255, WRONG)],
    "wrong function": lambda t: [mbap(t, UNIT, registers(2, function=4))],
    "writing function": lambda t: [mbap(t, UNIT, b"\x10" + ASK[1:])],
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
    "exception 0x77": lambda t: [mbap(t, UNIT, b"\x83\x77")],
    "exception without code": lambda t: [mbap(t, UNIT, b"\x83")],
    "exception with more": lambda t: [mbap(t, UNIT, b"\x83\x02\x00")],
    "exception of another function": lambda t: [mbap(t, UNIT, b"\x84\x02")],
    "late": lambda t: [0.25, mbap(t, UNIT, WRONG)],
    "silent": lambda t: [],
    "closes": lambda t: ["close"],
    "closes within": lambda t: [mbap(t, UNIT, WRONG)[:9], "close"],
    "stale, then silent": lambda t: [mbap(t - 1, UNIT, WRONG), mbap(t - 2, UNIT, WRONG)],
} | {f"stops after {n}": (lambda t, n=n: [mbap(t, UNIT, WRONG)[:n]]) for n in range(1, 13)}  # type: ignore[misc]

GOOD_TCP: dict[str, Callable[[int], Script]] = {
    "whole": lambda t: [mbap(t, UNIT, RIGHT)],
    "byte by byte": lambda t: [part for b in mbap(t, UNIT, RIGHT) for part in (bytes((b,)), 0.002)],
    "in two": lambda t: [mbap(t, UNIT, RIGHT)[:8], 0.02, mbap(t, UNIT, RIGHT)[8:]],
    "after a stale one": lambda t: [mbap(t - 1, UNIT, WRONG) + mbap(t, UNIT, RIGHT)],
    "with a stale one behind": lambda t: [mbap(t, UNIT, RIGHT) + mbap(t - 1, UNIT, WRONG)],
    "doubled": lambda t: [mbap(t, UNIT, RIGHT), mbap(t, UNIT, WRONG)],
}


class TcpPeer:
    """Answers the first question by a script, every later one rightly."""

    def __init__(self) -> None:
        self.script: Callable[[int], Script] | None = None
        self._server: asyncio.Server | None = None
        self.writers: list[asyncio.StreamWriter] = []

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                asked = await reader.readexactly(12)
                saw("guard-tcp", asked[6], asked[7:])
                script, self.script = self.script, None
                transaction = int.from_bytes(asked[:2], "big")
                for step in script(transaction) if script else [mbap(transaction, UNIT, RIGHT)]:
                    if isinstance(step, float):
                        await asyncio.sleep(step)
                    elif isinstance(step, bytes):
                        writer.write(step)
                        await writer.drain()
                    else:
                        writer.close()
                        return

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self.writers:
            writer.close()


def rtu(pdu: bytes, unit: int = UNIT) -> bytes:
    frame = bytes((unit,)) + pdu
    return frame + crc16(frame)


RTU: dict[str, Script] = {
    "fewer registers": [rtu(registers(1))],
    "more registers": [rtu(registers(7))],
    "odd byte count": [rtu(b"\x03\x03\xde\xad\xbe")],
    "count says less than there is": [rtu(registers(3, said=4))],
    "count says more than there is": [rtu(registers(2, said=8))],
    "wrong unit": [rtu(WRONG, UNIT + 1)],
    "wrong function": [rtu(registers(2, function=4))],
    "wrong checksum": [rtu(WRONG)[:-1] + b"\x00"],
    "flipped bit": [bytes((*rtu(WRONG)[:4], rtu(WRONG)[4] ^ 1, *rtu(WRONG)[5:]))],
    "noise before": [b"\x00\xff" + rtu(WRONG)],
    "noise behind": [rtu(WRONG) + b"\x55\x55"],
    "noise only": [NOISE.randbytes(40)],
    "noise that begins well": [rtu(WRONG)[:3] + NOISE.randbytes(60)],
    "flood": [NOISE.randbytes(3000)],
    "merged": [rtu(WRONG) + rtu(RIGHT)],
    "exception 0x77": [rtu(b"\x83\x77")],
    "exception with more": [rtu(b"\x83\x02\x00")],
    "late": [0.2, rtu(WRONG)],
    "very late": [0.35, rtu(WRONG)],
    "late in two": [0.18, rtu(WRONG)[:4], 0.05, rtu(WRONG)[4:]],
    "silent": [],
} | {f"stops after {n}": [rtu(WRONG)[:n]] for n in range(1, 9)}  # fmt: skip
GOOD_RTU: dict[str, Script] = {
    "whole": [rtu(RIGHT)],
    "byte by byte": [part for b in rtu(RIGHT) for part in (bytes((b,)), 0.002)],
}


class RtuPeer:
    """The same on a terminal's far end."""

    def __init__(self) -> None:
        self.script: Script | None = None
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
        while len(self._buffer) >= 8:
            saw("guard-rtu", self._buffer[0], self._buffer[1:6])
            self._buffer = self._buffer[8:]
            script, self.script = self.script, None
            task = asyncio.create_task(self._answer([rtu(RIGHT)] if script is None else script))
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


async def accepts_wrong(line: Line) -> bool:
    """Ask once, then until the next good poll; True if wrong data came out of it. Asserts that the line recovers."""
    wrong = False
    for _ in range(3):
        if not line.is_open:
            await line.open()
        with suppress(SourceError):
            answer = await line.exchange(UNIT, ASK)
            wrong = wrong or answer != RIGHT
            if answer == RIGHT:
                return wrong
    raise AssertionError("the line did not recover")


@pytest.fixture
async def tcp_peer() -> object:
    peer = TcpPeer()
    peer.tcp_port = await peer.start()  # type: ignore[attr-defined]
    yield peer
    await peer.stop()


async def tcp_line(peer: TcpPeer) -> Line:
    line = open_line(TcpSettings(host="127.0.0.1", port=peer.tcp_port, timeout_s=0.15))  # type: ignore[attr-defined]
    await line.open()
    return line


@pytest.mark.parametrize("name", TCP)
async def test_tcp_accepts_none(tcp_peer: TcpPeer, name: str) -> None:
    line = await tcp_line(tcp_peer)
    tcp_peer.script = TCP[name]
    with pytest.raises(SourceError):
        await line.exchange(UNIT, ASK)
    assert not await accepts_wrong(line)
    assert line.counters.answers == 1
    line.close()


@pytest.mark.parametrize("name", GOOD_TCP)
async def test_tcp_accepts_what_is_right_however_it_is_cut(tcp_peer: TcpPeer, name: str) -> None:
    line = await tcp_line(tcp_peer)
    tcp_peer.script = GOOD_TCP[name]
    assert await line.exchange(UNIT, ASK) == RIGHT
    assert not await accepts_wrong(line)
    line.close()


async def test_the_peers_close_is_seen_at_once(tcp_peer: TcpPeer) -> None:
    line = open_line(TcpSettings(host="127.0.0.1", port=tcp_peer.tcp_port, timeout_s=30))  # type: ignore[attr-defined]
    await line.open()
    tcp_peer.script = TCP["closes"]
    async with asyncio.timeout(1):
        with pytest.raises(SourceError, match="closed"):
            await line.exchange(UNIT, ASK)
    assert not line.is_open
    assert line.counters.closed_by_peer == 1


async def test_an_idle_close_and_unasked_bytes_are_seen_without_a_question(tcp_peer: TcpPeer) -> None:
    line = await tcp_line(tcp_peer)
    assert await line.exchange(UNIT, ASK) == RIGHT
    tcp_peer.writers[-1].write(mbap(2, UNIT, WRONG))
    async with asyncio.timeout(5):
        while line.is_open:
            await asyncio.sleep(0.005)
    assert line.counters.strange == 1
    assert not await accepts_wrong(line)
    tcp_peer.writers[-1].close()
    async with asyncio.timeout(5):
        while line.is_open:
            await asyncio.sleep(0.005)


async def test_a_cancelled_question_leaves_no_answer_behind(tcp_peer: TcpPeer) -> None:
    line = await tcp_line(tcp_peer)
    tcp_peer.script = lambda t: [0.05, mbap(t + 1, UNIT, WRONG)]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await line.exchange(UNIT, ASK)
    assert not line.is_open
    assert not await accepts_wrong(line)


@pytest.mark.parametrize("name", RTU)
async def test_rtu_accepts_none(name: str) -> None:
    peer = RtuPeer()
    line = open_line(RtuSettings(port=peer.port, baud=115_200, timeout_s=0.15, quiet_s=0.3))
    await line.open()
    peer.script = RTU[name]
    with pytest.raises(SourceError):
        await line.exchange(UNIT, ASK)
    assert not await accepts_wrong(line)
    assert line.counters.answers == 1
    line.close()
    await peer.stop()


@pytest.mark.parametrize("name", GOOD_RTU)
async def test_rtu_accepts_what_is_right_however_it_is_cut(name: str) -> None:
    peer = RtuPeer()
    line = open_line(RtuSettings(port=peer.port, baud=115_200, timeout_s=0.15, quiet_s=0.3))
    await line.open()
    peer.script = GOOD_RTU[name]
    assert await line.exchange(UNIT, ASK) == RIGHT
    line.close()
    await peer.stop()


async def test_the_quiet_time_is_what_keeps_late_answers_out() -> None:
    """Planted: without a quiet time a late answer of the same shape is taken for the next one."""
    peer = RtuPeer()
    line = open_line(RtuSettings(port=peer.port, baud=115_200, timeout_s=0.05, quiet_s=0.0))
    await line.open()
    peer.script = [0.08, rtu(WRONG)]
    with pytest.raises(SourceError):
        await line.exchange(UNIT, ASK)
    peer.script = [0.2]
    assert await line.exchange(UNIT, ASK, timeout_s=1) == WRONG
    line.close()
    await peer.stop()


@pytest.mark.parametrize("skipped", ["count", "function", "everything"])
async def test_a_guard_that_skips_a_check_is_caught(
    tcp_peer: TcpPeer, monkeypatch: pytest.MonkeyPatch, skipped: str
) -> None:
    def lax(asked: bytes, size: int, reply: bytes) -> BadFrame | DeviceRefused | None:
        if skipped == "count" and reply[:1] != asked[:1]:
            return BadFrame("function")
        if skipped == "function" and reply[1:2] != bytes((size,)):
            return BadFrame("count")
        return None

    monkeypatch.setattr(modbus_tcp, "fault", lax)
    name = "fewer registers" if skipped == "count" else "wrong function"
    line = await tcp_line(tcp_peer)
    tcp_peer.script = TCP[name]
    assert await accepts_wrong(line), "the harness did not see the planted fault"


async def test_a_serial_guard_without_checksum_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    peer = RtuPeer()
    line = open_line(RtuSettings(port=peer.port, baud=115_200, timeout_s=0.15, quiet_s=0.3))
    await line.open()
    script = RTU["flipped bit"]
    assert isinstance(script[0], bytes)
    sent = script[0][-2:]
    monkeypatch.setattr(modbus_rtu, "crc16", lambda data: sent)
    peer.script = script
    assert await line.exchange(UNIT, ASK) != RIGHT, "the harness did not see the planted fault"
    line.close()
    await peer.stop()


@pytest.mark.parametrize(
    "pdu", [b"\x06\x00\x00\x00\x01", b"\x10\x00\x00\x00\x01", b"\x03\x00\x00", b"\x05\x00\x00\xff\x00", b""]
)
async def test_nothing_is_ever_written(tcp_peer: TcpPeer, pdu: bytes) -> None:
    line = await tcp_line(tcp_peer)
    with pytest.raises(ValueError, match="read-only"):
        await line.exchange(UNIT, pdu)
    assert line.counters.requests == 0
    with pytest.raises(ValueError, match="read-only"):
        request(6, 0, 1)
    line.close()
