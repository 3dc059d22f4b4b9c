"""The plant's Modbus servers, asked over real sockets and a real terminal."""

from __future__ import annotations

import asyncio
import os
import struct
import time
import tty

from edge_gateway.demo.fieldbus import Heartbeat, SerialLine, TcpServer, Written, crc16


class Answers:
    """Echoes the request's PDU; unit 9 is silent. ``waited`` has what was said of each written answer."""

    def __init__(self) -> None:
        self.waited: list[float] = []

    def __call__(self, unit: int, pdu: bytes) -> tuple[bytes, Written] | None:
        return None if unit == 9 else (pdu, self.waited.append)


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int, unit: int) -> bytes:
    writer.write(struct.pack(">HHHB", number, 0, 6, unit) + b"\x03\x00\x01\x00\x02")
    return await asyncio.wait_for(reader.readexactly(12), 2)


async def test_tcp_answers_with_transaction_and_unit_and_closes_for_all() -> None:
    answers, heartbeat = Answers(), Heartbeat()
    beating = asyncio.create_task(heartbeat.run())
    server = TcpServer(answers, heartbeat)
    port = await server.listen()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for number in (1, 500):
        assert (
            await exchange(reader, writer, number, 3) == struct.pack(">HHHB", number, 0, 6, 3) + b"\x03\x00\x01\x00\x02"
        )
    assert len(answers.waited) == 2
    assert max(answers.waited) < 1
    server.close()
    assert await asyncio.wait_for(reader.read(), 2) == b""
    writer.close()
    beating.cancel()


async def test_a_request_that_waited_while_the_process_slept_is_known_to_have() -> None:
    """The planted fault: an answer after the client's time-out must not count as given in time."""
    answers, heartbeat = Answers(), Heartbeat()
    beating = asyncio.create_task(heartbeat.run())
    server = TcpServer(answers, heartbeat)
    reader, writer = await asyncio.open_connection("127.0.0.1", await server.listen())
    await exchange(reader, writer, 1, 3)
    raw = writer.get_extra_info("socket")
    await asyncio.sleep(0.05)
    os.write(raw.fileno(), struct.pack(">HHHB", 2, 0, 6, 3) + b"\x03\x00\x01\x00\x02")
    time.sleep(0.4)
    await asyncio.wait_for(reader.readexactly(12), 2)
    await asyncio.sleep(0)
    assert answers.waited[-1] >= 0.4
    server.close()
    writer.close()
    beating.cancel()


async def test_what_is_no_modbus_ends_the_connection() -> None:
    server = TcpServer(Answers(), Heartbeat())
    reader, writer = await asyncio.open_connection("127.0.0.1", await server.listen())
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    assert await asyncio.wait_for(reader.read(), 2) == b""
    server.close()
    writer.close()


async def test_serial_units_answer_after_noise_and_silent_ones_do_not() -> None:
    answers = Answers()
    line = SerialLine(answers, Heartbeat())
    running = asyncio.create_task(line.run())
    port = os.open(line.path, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(port)
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    loop.add_reader(port, lambda: reader.feed_data(os.read(port, 256)))
    silent, good = b"\x09\x04\x00\x01\x00\x02", b"\x02\x04\x00\x01\x00\x02"
    os.write(port, silent + crc16(silent) + b"\xff" + good + crc16(good))
    assert await asyncio.wait_for(reader.readexactly(8), 2) == good + crc16(good)
    await asyncio.sleep(0)
    assert len(answers.waited) == 1
    loop.remove_reader(port)
    os.close(port)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def test_the_crc_is_modbus_own() -> None:
    assert crc16(bytes.fromhex("010300400002")) == bytes.fromhex("C5DF")  # a request in a published sketch
