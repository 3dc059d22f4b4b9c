"""What a device says of itself (functions 17 and 43/14) through a line: pymodbus as peer, and answers cut short or too long."""

from __future__ import annotations

import asyncio
import random

import pytest
from pymodbus import ModbusDeviceIdentification
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from edge_gateway.errors import BadFrame, DeviceRefused, SourceError
from edge_gateway.links.modbus import (
    Line,
    NoAnswer,
    RtuSettings,
    TcpSettings,
    device_id_request,
    open_line,
    server_id_request,
)
from edge_gateway.links.modbus_pdu import MOST_PDU, VARIABLE, data_bytes, fault, least
from tests.servers.serial_line import SocatPair
from tests.servers.write_ledger import heard

DEVICE = SimDevice(9, [SimData(0, values=[1, 2], datatype=DataType.REGISTERS)])
IDENTITY = ModbusDeviceIdentification(
    info_name={"VendorName": "Acme", "ProductCode": "TH-2", "MajorMinorRevision": "1.4", "ProductName": "thermometer"}
)


async def identified(line: Line) -> None:
    said = await line.exchange(9, device_id_request(1))
    assert said[:3] == b"\x2b\x0e\x01"
    assert said[7:] == b"\x00\x04Acme\x01\x04TH-2\x02\x031.4"
    regular = await line.exchange(9, device_id_request(2))
    assert b"thermometer" in regular
    alone = await line.exchange(9, device_id_request(4, 1))
    assert alone[6:] == b"\x01\x01\x04TH-2"
    server = await line.exchange(9, server_id_request())
    assert server[0] == 17
    assert len(server) == 2 + server[1]
    line.close()


async def test_over_tcp() -> None:
    server = ModbusTcpServer([DEVICE], address=("127.0.0.1", 0), identity=IDENTITY, trace_pdu=heard)
    await server.listen()
    assert server.transport is not None
    port = server.transport.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    line = open_line(TcpSettings(host="127.0.0.1", port=port))
    await line.open()
    await identified(line)
    await server.shutdown()


async def test_on_a_terminal(serial_pair: SocatPair) -> None:
    server = ModbusSerialServer(DEVICE, port=str(serial_pair.b), baudrate=19_200, identity=IDENTITY, trace_pdu=heard)
    serving = asyncio.create_task(server.serve_forever())
    line = open_line(RtuSettings(port=str(serial_pair.a), baud=19_200, timeout_s=1.0, quiet_s=0.2))
    await line.open()
    async with asyncio.timeout(20):
        while True:  # until the server has the port
            try:
                await line.exchange(9, server_id_request(), 0.2)
                break
            except NoAnswer:
                continue
    await identified(line)
    await server.shutdown()
    serving.cancel()
    await asyncio.wait([serving])


@pytest.mark.parametrize(("code", "object_id"), [(0, 0), (5, 0), (1, -1), (1, 256)])
def test_no_other_device_identification(code: int, object_id: int) -> None:
    with pytest.raises(ValueError, match="device identification"):
        device_id_request(code, object_id)


@pytest.mark.parametrize("pdu", ["2b0d0100", "2b0e0500", "2b0e0000", "2b0e01", "1100", "0800000000", "1800"])
def test_nothing_beside_it_is_asked(pdu: str) -> None:
    with pytest.raises(ValueError, match="read-only"):
        data_bytes(bytes.fromhex(pdu))


GOOD = {
    server_id_request(): [b"\x11\x02\x0a\xff", b"\x11\x00", b"\x11\xfb" + bytes(251)],
    device_id_request(1): [
        b"\x2b\x0e\x01\x01\x00\x00\x02\x00\x01A\x01\x00",
        b"\x2b\x0e\x01\x83\xff\x03\x00",
        b"\x2b\x0e\x01\x01\x00\x00\x01\x00\xf4" + bytes(244),
    ],
}


def test_every_shorter_or_longer_answer_is_refused() -> None:
    for asked, answers in GOOD.items():
        assert data_bytes(asked) == VARIABLE
        for answer in answers:
            assert fault(asked, VARIABLE, answer) is None
            assert least(asked, VARIABLE, answer) == len(answer) <= MOST_PDU
            for cut in range(len(answer)):
                assert isinstance(fault(asked, VARIABLE, answer[:cut]), BadFrame), answer[:cut]
                assert least(asked, VARIABLE, answer[:cut]) > cut, "it is not whole"
            assert isinstance(fault(asked, VARIABLE, answer + b"\x00"), BadFrame)
        assert isinstance(fault(asked, VARIABLE, bytes((asked[0] | 0x80, 1))), DeviceRefused)
    assert least(server_id_request(), VARIABLE, b"\x11\xfc") == 0, "longer than a frame may be"
    assert least(device_id_request(1), VARIABLE, b"\x2b\x0e\x02") == 0, "another code"
    assert least(device_id_request(1), VARIABLE, b"\x2b\x0e\x01\x01\x00\x00\x01\x00\xf5") == 0


def test_random_answers_are_bounded() -> None:
    """N = 20,000, seed 4: whatever comes, the length waited for is within a frame."""
    rng = random.Random(4)
    for _ in range(20_000):
        asked = rng.choice(list(GOOD))
        head = asked[: rng.randrange(4)] + rng.randbytes(rng.randrange(300))
        assert 0 <= least(asked, VARIABLE, head) <= MOST_PDU
        wrong = fault(asked, VARIABLE, head)
        assert wrong is None or isinstance(wrong, SourceError)
