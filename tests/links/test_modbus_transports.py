"""The transports beside plain TCP and RTU: TLS on both sides, ASCII, frames through sockets; and devices that are particular."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pymodbus import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from edge_gateway.clock import SystemClock
from edge_gateway.errors import BadFrame, ConfigError, DeviceRefused, LinkDown
from edge_gateway.links.modbus import (
    Line,
    NoAnswer,
    RtuSettings,
    StillOwed,
    TcpSettings,
    TlsFiles,
    open_line,
    request,
)
from edge_gateway.sources.modbus import ModbusRtuConfig, ModbusTcpConfig
from tests.faults.liars import (
    ASK,
    GOOD_TCP,
    RIGHT,
    UNIT,
    WRONG,
    StreamPeer,
    TcpPeer,
    TerminalPeer,
    mbap,
    right,
    rtu,
    server_context,
)
from tests.profiles.devices import device, registers
from tests.servers.certificates import CertificateAuthority
from tests.servers.serial_line import SocatPair
from tests.servers.write_ledger import heard

VALUES = [1000 + n for n in range(125)]
DEVICE = SimDevice(9, [SimData(0, values=VALUES, datatype=DataType.REGISTERS)])


async def opened(settings: TcpSettings | RtuSettings) -> Line:
    line = open_line(settings)
    await line.open()
    return line


async def reads_all(line: Line) -> None:
    for count in (1, 2, 60, 125):
        answer = await line.exchange(9, request(3, 0, count))
        assert [int.from_bytes(answer[i : i + 2], "big") for i in range(2, len(answer), 2)] == VALUES[:count]
    line.close()


# --- foreign peers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("framing", ["rtu", "ascii"])
async def test_serial_frames_through_a_socket_with_pymodbus(framing: Any) -> None:
    server = ModbusTcpServer(DEVICE, framer=FramerType(framing), address=("127.0.0.1", 0), trace_pdu=heard)
    await server.listen()
    assert server.transport is not None
    port = server.transport.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    await reads_all(await opened(TcpSettings(host="127.0.0.1", port=port, framing=framing)))
    await server.shutdown()


async def test_ascii_on_a_terminal_with_pymodbus(serial_pair: SocatPair) -> None:
    server = ModbusSerialServer(DEVICE, framer=FramerType.ASCII, port=str(serial_pair.b), baudrate=19_200, trace_pdu=heard)
    serving = asyncio.create_task(server.serve_forever())
    settings = RtuSettings(
        port=str(serial_pair.a), baud=19_200, framing="ascii", timeout_s=1.0, quiet_s=0.1, late_max_s=0.1
    )
    line = await opened(settings)
    async with asyncio.timeout(20):
        while True:  # until the server has the port
            with suppress(NoAnswer):
                await line.exchange(9, request(3, 0, 1), 0.2)
                break
    await reads_all(line)
    await server.shutdown()
    serving.cancel()
    await asyncio.wait([serving])


# --- TLS -------------------------------------------------------------------------------------------------------------


@pytest.fixture
async def tls_peer(authority: CertificateAuthority) -> AsyncIterator[TcpPeer]:
    peer = TcpPeer()
    await peer.start(server_context(authority.issue("device")))
    yield peer
    await peer.stop()


def client(authority: CertificateAuthority, **more: str) -> TlsFiles:
    ours = authority.issue("gateway")
    files = {"ca_file": ours.ca_file, "cert_file": ours.certificate_file, "key_file": ours.key_file}
    return TlsFiles(**({key: str(path) for key, path in files.items()} | more))


async def test_tls_on_both_sides_in_records_of_any_size(tls_peer: TcpPeer, authority: CertificateAuthority) -> None:
    line = await opened(TcpSettings(host="127.0.0.1", port=tls_peer.port, tls=client(authority)))
    for name in ("whole", "byte by byte", "in two"):
        tls_peer.script = GOOD_TCP[name]
        assert await line.exchange(UNIT, ASK) == RIGHT
    line.close()


async def test_tls_without_our_certificate_is_refused(tls_peer: TcpPeer, authority: CertificateAuthority) -> None:
    tls = TlsFiles(ca_file=client(authority).ca_file)
    line = open_line(TcpSettings(host="127.0.0.1", port=tls_peer.port, tls=tls))
    with suppress(LinkDown):  # at the hand-shake; in TLS 1.3 only the first question tells
        await line.open()
    with pytest.raises(LinkDown):
        await line.exchange(UNIT, ASK)


@pytest.mark.parametrize("wrong", ["authority", "name", "plain"])
async def test_a_peer_that_is_not_the_one_is_refused(
    tls_peer: TcpPeer, authority: CertificateAuthority, tmp_path: Path, wrong: str
) -> None:
    port, tls = tls_peer.port, client(authority)
    plain = await asyncio.start_server(lambda _reader, writer: writer.write(b"no TLS"), "127.0.0.1", 0)
    if wrong == "authority":
        tls = TlsFiles(ca_file=str(CertificateAuthority(tmp_path / "foreign", "foreign").ca_file))
    elif wrong == "name":
        tls = client(authority, server_name="another.example")
    else:
        port = plain.sockets[0].getsockname()[1]
    line = open_line(TcpSettings(host="127.0.0.1", port=port, tls=tls, connect_timeout_s=1.0))
    with pytest.raises(LinkDown) as refused:
        await line.open()
    assert line.counters.open_failures == 1
    if wrong != "plain":
        assert "not trusted" in refused.value.why
        assert "ca_file" in refused.value.hint
    plain.close()


def test_files_that_cannot_be_used_are_a_fault_of_the_configuration(
    tmp_path: Path, authority: CertificateAuthority
) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    ours = authority.issue("gateway")
    for files in (
        {"ca_file": str(broken)},
        {"ca_file": str(tmp_path / "none.pem")},
        {"ca_file": str(ours.ca_file), "cert_file": str(ours.certificate_file)},  # without its key
    ):
        config = ModbusTcpConfig(kind="tcp", host="127.0.0.1", **files)  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match=r"\.pem"):
            config.build("bus", [device(registers(0, 1))], SystemClock(declared=True))


@pytest.mark.parametrize(
    "keys", [{"cert_file": "a"}, {"server_name": "a"}, {"ca_file": "a", "key_file": "b"}, {"framing": "tls"}]
)
def test_half_a_tls_is_no_configuration(keys: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"ca_file|cert_file|framing"):
        ModbusTcpConfig.model_validate({"kind": "tcp", "host": "h"} | keys)
    with pytest.raises(ValueError, match="bytesize"):
        ModbusRtuConfig.model_validate({"kind": "rtu", "port": "p", "bytesize": 7})


# --- devices that are particular -------------------------------------------------------------------------------------


@pytest.fixture
async def tcp_peer() -> AsyncIterator[TcpPeer]:
    peer = TcpPeer()
    await peer.start()
    yield peer
    await peer.stop()


async def test_never_two_sockets_and_a_wait_between_them(tcp_peer: TcpPeer) -> None:
    """Time-outs, rubbish and closes, each followed by a new connection: the device sees one at a time, 0.1 s apart."""
    loop = asyncio.get_running_loop()
    line = open_line(TcpSettings(host="127.0.0.1", port=tcp_peer.port, timeout_s=0.03, reopen_wait_s=0.1))
    for script in ([], [b"rubbish that is long enough"], ["close"], [], []):
        await line.open()
        tcp_peer.script = lambda _, script=script: script  # type: ignore[misc]
        with pytest.raises((NoAnswer, BadFrame, LinkDown)):
            await line.exchange(UNIT, ASK)
        ended_s = loop.time()
        await line.open()
        assert loop.time() - ended_s >= 0.099
        assert await line.exchange(UNIT, ASK) == RIGHT
    assert tcp_peer.open_most == 1
    assert len(tcp_peer.writers) == 10
    line.close()


async def test_a_delay_after_connecting_and_a_spacing_between_questions(tcp_peer: TcpPeer) -> None:
    loop = asyncio.get_running_loop()
    settings = TcpSettings(host="127.0.0.1", port=tcp_peer.port, connect_delay_s=0.1, spacing_s=0.05)
    started_s = loop.time()
    line = await opened(settings)
    await line.exchange(UNIT, ASK)
    assert loop.time() - started_s >= 0.099
    answered_s = loop.time()
    await line.exchange(UNIT, ASK)
    assert loop.time() - answered_s >= 0.049
    line.close()
    peer = TerminalPeer()
    serial = await opened(RtuSettings(port=peer.port, baud=115_200, connect_delay_s=0.1, spacing_s=0.05))
    started_s = loop.time()
    await serial.exchange(UNIT, ASK)
    assert loop.time() - started_s >= 0.09
    answered_s = loop.time()
    await serial.exchange(UNIT, ASK)
    assert loop.time() - answered_s >= 0.049
    serial.close()
    await peer.stop()


@pytest.fixture
async def terminal() -> AsyncIterator[tuple[Line, TerminalPeer]]:
    peer = TerminalPeer()
    line = await opened(RtuSettings(port=peer.port, baud=115_200, timeout_s=0.06, quiet_s=0.02, late_max_s=0.5))
    yield line, peer
    line.close()
    await peer.stop()


async def test_a_late_answer_is_kept_as_evidence_and_frees_its_shape(terminal: tuple[Line, TerminalPeer]) -> None:
    line, peer = terminal
    peer.frames = [0.12, rtu(UNIT, WRONG)]
    with pytest.raises(NoAnswer):
        await line.exchange(UNIT, ASK)
    assert 0.3 < line.wait_s(UNIT, ASK) <= 0.5
    with pytest.raises(StillOwed, match="unit 7"):
        await line.exchange(UNIT, ASK)
    assert len(peer.asked) == 1, "it was not asked"
    assert line.wait_s(UNIT, request(3, 100, 3)) == line.wait_s(UNIT + 1, ASK) == 0
    await asyncio.sleep(0.1)
    assert await line.exchange(UNIT, request(3, 100, 3)) == right(3)
    assert line.wait_s(UNIT, ASK) == 0, "the late one has come"
    assert await line.exchange(UNIT, ASK) == RIGHT
    (late,) = line.late()
    assert (late["unit"], late["pdu"]) == (UNIT, WRONG.hex())
    assert line.counters.late == 1


async def test_a_late_one_may_come_while_another_question_waits(terminal: tuple[Line, TerminalPeer]) -> None:
    line, peer = terminal
    peer.frames = [0.13, rtu(UNIT, WRONG)]
    with pytest.raises(NoAnswer):
        await line.exchange(UNIT, ASK)
    peer.frames = [0.1, rtu(UNIT, right(3))]
    assert await line.exchange(UNIT, request(3, 100, 3), 1.0) == right(3)
    assert line.counters.late == 1


async def test_a_shape_is_free_again_when_the_answer_is_taken_for_lost(terminal: tuple[Line, TerminalPeer]) -> None:
    line, peer = terminal
    peer.frames = []
    with pytest.raises(NoAnswer):
        await line.exchange(UNIT, ASK)
    async with asyncio.timeout(5):
        while line.wait_s(UNIT, ASK):
            await asyncio.sleep(0.02)
    assert await line.exchange(UNIT, ASK) == RIGHT


async def test_a_refusal_that_may_be_an_earlier_questions_is_not_believed(terminal: tuple[Line, TerminalPeer]) -> None:
    """It has no length: only the function tells which question it answers."""
    line, peer = terminal
    peer.frames = []
    with pytest.raises(NoAnswer):
        await line.exchange(UNIT, ASK)
    peer.frames = [rtu(UNIT, b"\x83\x02"), 0.02, rtu(UNIT, right(3))]
    assert await line.exchange(UNIT, request(3, 100, 3)) == right(3)
    assert line.counters.refused == 0
    peer.frames = [rtu(UNIT, b"\x83\x02")]
    with pytest.raises(DeviceRefused):  # nothing of that function is owed any more
        await line.exchange(UNIT, request(3, 100, 4))


async def test_a_damaged_answer_owes_no_other(terminal: tuple[Line, TerminalPeer]) -> None:
    line, peer = terminal
    frame = rtu(UNIT, WRONG)
    peer.frames = [frame[:-1] + bytes((frame[-1] ^ 1,))]
    with pytest.raises(BadFrame, match="checksum"):
        await line.exchange(UNIT, ASK)
    assert line.counters.crc_errors == 1
    assert await line.exchange(UNIT, ASK) == RIGHT, "the same again, within its slot"


async def test_a_line_that_is_never_silent_is_given_up_in_bounded_time() -> None:
    peer = TerminalPeer()
    line = await opened(
        RtuSettings(port=peer.port, baud=115_200, timeout_s=0.06, quiet_s=0.02, late_max_s=0.1, spacing_s=0.1)
    )
    loop = asyncio.get_running_loop()
    babbling = True

    async def babble() -> None:
        while babbling:
            os.write(peer._master, b"\x55\xaa")
            await asyncio.sleep(0.005)

    talker = asyncio.create_task(babble())
    await asyncio.sleep(0.02)
    started_s = loop.time()
    with pytest.raises(BadFrame, match="babbles"):
        await line.exchange(UNIT, ASK)
    assert loop.time() - started_s < 1.0
    assert peer.asked == []
    babbling = False
    await talker
    assert await line.exchange(UNIT, ASK, 1.0) == RIGHT
    line.close()
    await peer.stop()


async def test_through_a_socket_a_late_answer_may_come_on_the_next_connection() -> None:
    """A serial device server hands it to whoever is connected: the ledger outlives the socket."""
    peer = StreamPeer(rtu)
    await peer.start()
    line = await opened(
        TcpSettings(host="127.0.0.1", port=peer.port, framing="rtu", timeout_s=0.05, quiet_s=0.02, late_max_s=2)
    )
    peer.frames = []
    with pytest.raises(NoAnswer):
        await line.exchange(UNIT, ASK)
    await line.open()
    with pytest.raises(StillOwed):
        await line.exchange(UNIT, ASK)
    peer.writers[-1].write(rtu(UNIT, WRONG))
    assert await line.exchange(UNIT, request(3, 100, 3), 1.0) == right(3)
    assert await line.exchange(UNIT, ASK, 1.0) == RIGHT
    assert line.counters.late == 1
    line.close()
    await peer.stop()


async def test_a_peer_that_hangs_up_during_the_delay_is_met_again() -> None:
    """Planted by the peer: it closes at once. The next question must not be asked of nobody for ever."""
    peer = StreamPeer(rtu)
    await peer.start()
    line = open_line(TcpSettings(host="127.0.0.1", port=peer.port, framing="rtu", timeout_s=0.05, connect_delay_s=0.1))
    opening = asyncio.create_task(line.open())
    async with asyncio.timeout(5):
        while not peer.writers:
            await asyncio.sleep(0.005)
    peer.writers[0].close()
    with suppress(LinkDown):
        await opening
    with pytest.raises(LinkDown, match="closed"):
        await line.exchange(UNIT, ASK)
    assert not line.is_open
    await line.open()
    assert await line.exchange(UNIT, request(3, 100, 3), 1.0) == right(3)
    line.close()
    await peer.stop()


def test_liars_frames_are_whole() -> None:
    """The oracle of these tests against the line's own bytes."""
    assert rtu(UNIT, ASK)[:-2] == bytes((UNIT,)) + ASK
    assert mbap(1, UNIT, ASK)[7:] == ASK
