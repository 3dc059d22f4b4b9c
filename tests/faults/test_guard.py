"""Malformed Modbus answers from raw peers, over every transport: none may become data, and the next good poll works.

49 classes over TCP and TLS, 43 on a terminal, through a socket and through TLS (RTU), 53 as ASCII. The harness must catch planted guards
that skip a check.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from edge_gateway.errors import BadFrame, DeviceRefused, SourceError
from edge_gateway.links import modbus_frames, modbus_tcp
from edge_gateway.links.modbus import Line, RtuSettings, TcpSettings, TlsFiles, open_line, request
from edge_gateway.links.modbus_pdu import least
from tests.faults.liars import (
    ASK,
    GOOD_TCP,
    RIGHT,
    TCP,
    UNIT,
    WRONG,
    StreamPeer,
    TcpPeer,
    TerminalPeer,
    ascii_,
    good_frames,
    mbap,
    right,
    rtu,
    server_context,
    wrong_frames,
)
from tests.servers.certificates import CertificateAuthority

ENCODE = {"rtu": rtu, "ascii": ascii_}


@contextmanager
def no_loop_errors() -> Iterator[None]:
    """Whatever a callback lets escape ends up in the loop's handler: there must be nothing."""
    loop = asyncio.get_running_loop()
    escaped: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: escaped.append(context))
    yield
    loop.set_exception_handler(None)
    assert not escaped, escaped


async def wrong_is_accepted(line: Line) -> bool:
    """Ask ASK once, then until the next good poll; True if wrong data came of it. Asserts that the line recovers.

    The later questions have shapes of their own, as those of a poll have after a time-out (``profiles.shapes``).
    """
    wrong = False
    with suppress(SourceError):
        wrong = await line.exchange(UNIT, ASK) != RIGHT
    for count in (3, 4, 5):
        if not line.is_open:
            await line.open()
        with suppress(SourceError):
            answer = await line.exchange(UNIT, request(3, 100, count))
            wrong = wrong or answer != right(count)
            if answer == right(count):
                return wrong
    raise AssertionError("the line did not recover")


# --- Modbus TCP --------------------------------------------------------------------------------------------------


@pytest.fixture
async def tcp_peer() -> AsyncIterator[TcpPeer]:
    peer = TcpPeer()
    await peer.start()
    yield peer
    await peer.stop()


async def tcp_line(peer: TcpPeer, **more: Any) -> Line:
    line = open_line(TcpSettings(host="127.0.0.1", port=peer.port, **({"timeout_s": 0.05} | more)))
    await line.open()
    return line


@pytest.mark.parametrize("name", TCP)
async def test_tcp_accepts_none(tcp_peer: TcpPeer, name: str) -> None:
    line = await tcp_line(tcp_peer)
    tcp_peer.script = TCP[name]
    with no_loop_errors():
        assert not await wrong_is_accepted(line)
    assert line.counters.answers == 1
    line.close()


@pytest.mark.parametrize("name", GOOD_TCP)
async def test_tcp_accepts_what_is_right_however_it_is_cut(tcp_peer: TcpPeer, name: str) -> None:
    line = await tcp_line(tcp_peer)
    tcp_peer.script = GOOD_TCP[name]
    assert await line.exchange(UNIT, ASK, 1.0) == RIGHT
    assert not await wrong_is_accepted(line)
    line.close()


async def test_the_peers_close_is_seen_at_once(tcp_peer: TcpPeer) -> None:
    line = await tcp_line(tcp_peer, timeout_s=30)
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
    assert not await wrong_is_accepted(line)
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
    assert not await wrong_is_accepted(line)


# --- Frames without a number: on a terminal, through a socket, through TLS -------------------------------------------


@pytest.fixture
async def terminal(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Line, TerminalPeer]]:
    """A line on a terminal in the framing that the test's parameter ``framing`` names."""
    framing = request.node.callspec.params.get("framing", "rtu") if hasattr(request.node, "callspec") else "rtu"
    peer = TerminalPeer(ENCODE[framing])
    line = open_line(RtuSettings(port=peer.port, baud=115_200, framing=framing, timeout_s=0.05, quiet_s=0.08))
    await line.open()
    yield line, peer
    line.close()
    await peer.stop()


BROKEN = [(framing, name) for framing, encode in ENCODE.items() for name in wrong_frames(encode)]
WHOLE = [(framing, name) for framing, encode in ENCODE.items() for name in good_frames(encode)]
Terminal = tuple[Line, TerminalPeer]


@pytest.mark.parametrize(("framing", "name"), BROKEN)
async def test_a_terminal_accepts_none(terminal: Terminal, framing: str, name: str) -> None:
    line, peer = terminal
    peer.frames = wrong_frames(ENCODE[framing])[name]
    with no_loop_errors():
        assert not await wrong_is_accepted(line)
    assert line.counters.answers == 1


@pytest.mark.parametrize(("framing", "name"), WHOLE)
async def test_a_terminal_accepts_what_is_right_whatever_lies_around_it(
    terminal: Terminal, framing: str, name: str
) -> None:
    line, peer = terminal
    peer.frames = good_frames(ENCODE[framing])[name]
    assert await line.exchange(UNIT, ASK, 1.0) == RIGHT
    assert not await wrong_is_accepted(line)


@pytest.fixture
async def stream_peer() -> AsyncIterator[StreamPeer]:
    peer = StreamPeer(rtu)
    await peer.start()
    yield peer
    await peer.stop()


@pytest.mark.parametrize("name", wrong_frames(rtu))
async def test_rtu_through_a_socket_accepts_none(stream_peer: StreamPeer, name: str) -> None:
    line = await tcp_line(stream_peer, framing="rtu", quiet_s=0.08)
    stream_peer.frames = wrong_frames(rtu)[name]
    with no_loop_errors():
        assert not await wrong_is_accepted(line)
    assert line.counters.answers == 1
    line.close()


@pytest.mark.parametrize("framing", ["mbap", "rtu"])
async def test_through_tls_none_is_accepted(authority: CertificateAuthority, framing: Any) -> None:
    """Every class (of RTU every other one) through one listener; a new connection for each, with certificates on both sides."""
    ours, theirs = authority.issue("gateway"), authority.issue("device")
    context = server_context(theirs)
    peer = TcpPeer() if framing == "mbap" else StreamPeer(rtu)
    await peer.start(context)
    tls = TlsFiles(ca_file=str(ours.ca_file), cert_file=str(ours.certificate_file), key_file=str(ours.key_file))
    names = list(TCP) if framing == "mbap" else list(wrong_frames(rtu))[::2]
    for name in names:
        line = await tcp_line(peer, framing=framing, quiet_s=0.08, tls=tls)
        if isinstance(peer, StreamPeer):
            peer.frames = wrong_frames(rtu)[name]
        else:
            peer.script = TCP[name]
        with no_loop_errors():
            assert not await wrong_is_accepted(line), name
        line.close()
    await peer.stop()


# --- planted faults --------------------------------------------------------------------------------------------------


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
    line = await tcp_line(tcp_peer)
    tcp_peer.script = TCP["fewer registers" if skipped == "count" else "wrong function"]
    assert await wrong_is_accepted(line), "the harness did not see the planted fault"
    line.close()


async def test_a_serial_guard_without_checksum_is_caught(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    line, peer = terminal
    script = wrong_frames(rtu)["flipped bit"]
    assert isinstance(script[0], bytes)
    sent = script[0][-2:]
    real = modbus_frames.crc16
    monkeypatch.setattr(modbus_frames, "crc16", lambda data: sent if data[1:3] == b"\x03\x04" else real(data))
    peer.frames = script
    assert await line.exchange(UNIT, ASK) != RIGHT, "the harness did not see the planted fault"


async def test_a_serial_guard_without_the_count_check_is_caught(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    line, peer = terminal

    def lax(asked: bytes, size: int, head: bytes) -> int:
        return 2 + head[1] if len(head) > 1 and head[0] == asked[0] else least(asked, size, head)

    monkeypatch.setattr(modbus_frames, "least", lax)
    monkeypatch.setattr("edge_gateway.links.modbus_rtu.fault", lambda *_: None)
    peer.frames = wrong_frames(rtu)["fewer registers"]
    assert await wrong_is_accepted(line), "the harness did not see the planted fault"


@pytest.mark.parametrize(
    "pdu", [b"\x06\x00\x00\x00\x01", b"\x10\x00\x00\x00\x01", b"\x03\x00\x00", b"\x05\x00\x00\xff\x00", b""]
)
async def test_nothing_is_ever_written(tcp_peer: TcpPeer, terminal: Terminal, pdu: bytes) -> None:
    for line in (await tcp_line(tcp_peer), terminal[0]):
        with pytest.raises(ValueError, match="read-only"):
            await line.exchange(UNIT, pdu)
        assert line.counters.requests == 0
        line.close()
    with pytest.raises(ValueError, match="read-only"):
        request(6, 0, 1)
