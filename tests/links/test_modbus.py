"""Lines against peers that we did not write: libmodbus, pymodbus and modbus-tk, over TCP and on terminals."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.framer import FramerRTU
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from edge_gateway.errors import DeviceRefused, LinkDown, SourceError
from edge_gateway.links.modbus import Line, NoAnswer, RtuSettings, TcpSettings, open_line, request
from edge_gateway.links.modbus_pdu import Counters, crc16, data_bytes, fault
from tests.servers import libmodbus
from tests.servers.libmodbus import LibmodbusRtu, LibmodbusTcp
from tests.servers.modbus_tk_slave import ModbusTkSlave
from tests.servers.serial_line import PacedLine, SocatPair
from tests.servers.write_ledger import heard

VALUES = [1000 + n for n in range(125)]


def registers(reply: bytes) -> list[int]:
    return list(struct.unpack(f">{(len(reply) - 2) // 2}H", reply[2:]))


async def opened(settings: TcpSettings | RtuSettings) -> Line:
    line = open_line(settings)
    await line.open()
    return line


@pytest.fixture
async def pymodbus_tcp() -> AsyncIterator[int]:
    devices = [SimDevice(unit, [SimData(0, values=VALUES, datatype=DataType.REGISTERS)]) for unit in (1, 2)]
    server = ModbusTcpServer(devices, address=("127.0.0.1", 0), trace_pdu=heard)
    await server.listen()
    assert server.transport is not None
    yield server.transport.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    await server.shutdown()


async def test_pymodbus_tcp(pymodbus_tcp: int) -> None:
    line = await opened(TcpSettings(host="127.0.0.1", port=pymodbus_tcp))
    for unit in (1, 2):
        for function in (3, 4):
            assert registers(await line.exchange(unit, request(function, 0, 125))) == VALUES
            assert registers(await line.exchange(unit, request(function, 17, 1))) == [1017]
    with pytest.raises(DeviceRefused) as refused:
        await line.exchange(1, request(3, 200, 2))
    assert refused.value.code == 2
    assert line.is_open, "a refusal is an answer"
    theirs = AsyncModbusTcpClient("127.0.0.1", port=pymodbus_tcp)
    await theirs.connect()
    answer = await theirs.read_holding_registers(3, count=20, device_id=1)
    theirs.close()
    assert answer.registers == registers(await line.exchange(1, request(3, 3, 20)))
    line.close()


async def test_pymodbus_rtu(serial_pair: SocatPair) -> None:
    device = SimDevice(9, [SimData(0, values=VALUES, datatype=DataType.REGISTERS)])
    server = ModbusSerialServer(device, port=str(serial_pair.b), baudrate=19_200, trace_pdu=heard)
    serving = asyncio.create_task(server.serve_forever())
    line = await opened(RtuSettings(port=str(serial_pair.a), baud=19_200, timeout_s=1.0, quiet_s=0.2))
    async with asyncio.timeout(20):
        while True:  # until the server has the port
            try:
                assert registers(await line.exchange(9, request(3, 0, 10), 0.2)) == VALUES[:10]
                break
            except NoAnswer:
                continue
    for count in (1, 2, 60, 125):
        assert registers(await line.exchange(9, request(4, 0, count))) == VALUES[:count]
    with pytest.raises(DeviceRefused, match="exception 4"):  # what it says for a unit that it does not have
        await line.exchange(10, request(3, 0, 2))
    assert registers(await line.exchange(9, request(3, 5, 2))) == VALUES[5:7]
    line.close()
    await server.shutdown()
    serving.cancel()
    await asyncio.wait([serving])


async def test_libmodbus_tcp(libmodbus_tcp: LibmodbusTcp) -> None:
    """Its server misbehaves on purpose at some registers, and ends with its only connection."""
    line = await opened(TcpSettings(host="127.0.0.1", port=libmodbus_tcp.port, timeout_s=2.0))
    unit, first = libmodbus.UNIT, libmodbus.HOLDING_ADDRESS
    assert registers(await line.exchange(unit, request(3, first, 3))) == [0, 0, 0]
    (word,) = registers(await line.exchange(unit, request(4, libmodbus.INPUT_ADDRESS, 1)))
    assert word == libmodbus.INPUT_VALUE
    bits = await line.exchange(unit, request(2, libmodbus.DISCRETE_ADDRESS, libmodbus.DISCRETE_COUNT))
    assert bits[2:] == libmodbus.DISCRETE_BITS
    for address, code in ((first + 0x10, 6), (0xFFF0, 2)):
        with pytest.raises(DeviceRefused) as refused:
            await line.exchange(unit, request(3, address, 1))
        assert refused.value.code == code
    started = asyncio.get_running_loop().time()
    assert registers(await line.exchange(unit, request(3, first + 0x12, 1))) == [0]  # after half a second
    assert asyncio.get_running_loop().time() - started > 0.4
    with pytest.raises(SourceError):  # wrong transaction and unit
        await line.exchange(unit, request(3, first + 0x11, 1), 0.3)
    assert line.counters.answers == 4
    line.close()


async def test_libmodbus_time_out_closes_the_socket(libmodbus_tcp: LibmodbusTcp) -> None:
    line = await opened(TcpSettings(host="127.0.0.1", port=libmodbus_tcp.port))
    with pytest.raises(NoAnswer):
        await line.exchange(libmodbus.UNIT, request(3, libmodbus.HOLDING_ADDRESS + 0x12, 1), 0.1)
    assert not line.is_open
    with pytest.raises(LinkDown, match="not connected"):
        await line.exchange(libmodbus.UNIT, request(3, libmodbus.HOLDING_ADDRESS, 1))


async def test_libmodbus_rtu_on_a_paced_line(paced_line: PacedLine, tmp_path: Path) -> None:
    with LibmodbusRtu(tmp_path / "server", paced_line.b):
        line = await opened(RtuSettings(port=str(paced_line.a), timeout_s=1.0, quiet_s=0.3))
        assert registers(await line.exchange(libmodbus.UNIT, request(3, libmodbus.HOLDING_ADDRESS, 10))) == [0] * 10
        with pytest.raises(DeviceRefused):
            await line.exchange(libmodbus.UNIT, request(3, 0xFFF0, 1))
        bits = await line.exchange(libmodbus.UNIT, request(2, libmodbus.DISCRETE_ADDRESS, libmodbus.DISCRETE_COUNT))
        assert bits[2:] == libmodbus.DISCRETE_BITS
        line.close()


async def test_modbus_tk(tmp_path: Path) -> None:
    with ModbusTkSlave(tmp_path / "slave", VALUES[:50], unit=3, address=100) as slave:
        line = await opened(TcpSettings(host="127.0.0.1", port=slave.port))
        assert registers(await line.exchange(3, request(3, 100, 50))) == VALUES[:50]
        assert registers(await line.exchange(3, request(4, 120, 2))) == VALUES[20:22]
        with pytest.raises(DeviceRefused):
            await line.exchange(3, request(3, 0, 2))
        line.close()


def test_frames_are_pymodbus_frames() -> None:
    """Our checksum and request against theirs."""
    for start, count in ((0, 1), (100, 125), (65535, 1)):
        theirs = ReadHoldingRegistersRequest(address=start, count=count, dev_id=17)
        assert request(3, start, count) == bytes((3,)) + theirs.encode()
        frame = bytes((17,)) + request(3, start, count)
        assert int.from_bytes(crc16(frame), "big") == FramerRTU.compute_CRC(frame)


def test_known_checksum() -> None:
    assert crc16(bytes.fromhex("01030200FA")).hex() == "3807"
    assert crc16(b"123456789") == b"\x37\x4b"


@pytest.mark.parametrize(
    ("function", "start", "count"),
    [
        (5, 0, 1),
        (6, 0, 1),
        (15, 0, 1),
        (16, 0, 1),
        (22, 0, 1),
        (3, 0, 0),
        (3, 0, 126),
        (1, 0, 2001),
        (3, 65535, 2),
        (4, -1, 1),
    ],
)
def test_only_reading_within_bounds(function: int, start: int, count: int) -> None:
    with pytest.raises(ValueError, match="read"):
        request(function, start, count)


def test_fault_says_what_is_wrong() -> None:
    asked = request(3, 0, 2)
    assert data_bytes(asked) == 4
    assert fault(asked, 4, b"\x03\x04abcd") is None
    assert "empty" in str(fault(asked, 4, b""))
    assert "2 data bytes announced instead of 4" in str(fault(asked, 4, b"\x03\x02ab"))
    assert "function 4 answers function 3" in str(fault(asked, 4, b"\x04\x04abcd"))
    assert "gateway" in str(fault(asked, 4, b"\x83\x0a"))


def test_counters_are_jsonable() -> None:
    assert Counters(requests=2).as_dict()["requests"] == 2
