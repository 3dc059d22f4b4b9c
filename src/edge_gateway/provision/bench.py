"""A line that one device is set on: read through the read-only line, write one request, nothing else; knows no sheet."""

from __future__ import annotations

import asyncio
import os
import struct
from collections.abc import Sequence

from edge_gateway.errors import BadFrame, GatewayError, LinkDown
from edge_gateway.links.modbus import NoAnswer, RtuSettings, TcpSettings, open_line, request
from edge_gateway.links.modbus_pdu import crc16
from edge_gateway.links.serial import open_port
from edge_gateway.provision.model import Parameter
from edge_gateway.provision.wire import answer_to, writing_request, wrong

Settings = TcpSettings | RtuSettings
#: The running gateway's own devices wait meanwhile: no answer is waited for longer than this (s).
MOST_TIMEOUT_S = 1.0
#: Silence before a writing request, and time for the unit to store it before it is read back (s).
SILENCE_S, STORE_S = 0.05, 0.25
_MBAP = struct.Struct(">HHHB")


async def read(settings: Settings, unit: int, parameter: Parameter) -> list[int]:
    """The parameter's words (or its coil) as they are now. Raises what ``Line.exchange`` raises."""
    line = open_line(settings)
    try:
        await line.open()
        pdu = request(parameter.function, parameter.address, parameter.width)
        answer = await line.exchange(unit, pdu, min(settings.timeout_s, MOST_TIMEOUT_S))
    finally:
        line.close()
    if parameter.function == 1:
        return [answer[2] & 1]
    return list(struct.unpack(f">{parameter.width}H", answer[2:]))


async def speaks(settings: Settings, unit: int, parameter: Parameter) -> bool:
    """Whether anything at all answers as ``unit``: a value, a refusal, or rubbish that is somebody's."""
    try:
        await read(settings, unit, parameter)
    except NoAnswer:
        return False
    except LinkDown as error:
        if isinstance(settings, TcpSettings):  # some gateways close the socket instead of saying nothing
            return False
        raise error from None
    except (BadFrame, GatewayError):
        return True
    return True


async def write(settings: Settings, unit: int, parameter: Parameter, words: Sequence[int]) -> None:
    """Send one writing request and hear the unit take it, on a line of its own.

    Raises DeviceRefused (the unit says no), NoAnswer or BadFrame (nobody knows whether it took it: read it back),
    LinkDown (nothing was sent), ValueError (a broadcast).
    """
    pdu = writing_request(unit, parameter, words)
    timeout_s = min(settings.timeout_s, MOST_TIMEOUT_S)
    if isinstance(settings, TcpSettings):
        reply = await _over_tcp(settings, unit, pdu, timeout_s)
    elif isinstance(settings, RtuSettings):
        reply = await _over_serial(settings, unit, pdu, timeout_s)
    else:
        raise GatewayError("devices on this kind of bus cannot be set from here", hint="use a serial or Modbus TCP bus")
    error = wrong(pdu, reply)
    if error is not None:
        raise error


async def _over_tcp(settings: TcpSettings, unit: int, pdu: bytes, timeout_s: float) -> bytes:
    try:
        async with asyncio.timeout(settings.connect_timeout_s):
            reader, writer = await asyncio.open_connection(settings.host, settings.port)
    except (OSError, TimeoutError) as error:
        why = str(error) or "no answer to connecting"
        raise LinkDown(f"{settings.host}:{settings.port}: {why}") from error
    try:
        writer.write(_MBAP.pack(1, 0, len(pdu) + 1, unit) + pdu)
        async with asyncio.timeout(timeout_s):
            transaction, protocol, length, its_unit = _MBAP.unpack(await reader.readexactly(_MBAP.size))
            reply = await reader.readexactly(max(0, length - 1))
    except TimeoutError:
        raise NoAnswer("no answer in time") from None
    except (OSError, asyncio.IncompleteReadError) as error:
        raise NoAnswer(f"the connection ended: {error}") from error
    finally:
        writer.close()
    if (transaction, protocol, its_unit) != (1, 0, unit):
        raise BadFrame(f"an answer of unit {its_unit}, transaction {transaction}", received=reply)
    return reply


async def _over_serial(settings: RtuSettings, unit: int, pdu: bytes, timeout_s: float) -> bytes:
    port = open_port(settings.port, baud=settings.baud, parity=settings.parity, stopbits=settings.stopbits)
    loop = asyncio.get_running_loop()
    received = bytearray()
    arrived = asyncio.Event()

    def readable() -> None:
        try:
            received.extend(os.read(port.fileno(), 512))
        except BlockingIOError:
            return
        except OSError:
            loop.remove_reader(port.fileno())  # unplugged: the time-out says so
        arrived.set()

    frame = bytes((unit,)) + pdu
    loop.add_reader(port.fileno(), readable)
    try:
        await asyncio.sleep(SILENCE_S)
        received.clear()
        os.write(port.fileno(), frame + crc16(frame))
        wire_s = 2 * (len(frame) + 2) * 11 / settings.baud
        whole = len(answer_to(pdu)) + 3
        try:
            async with asyncio.timeout(wire_s + timeout_s):
                while len(received) < whole and not _refusal(bytes(received), pdu):
                    arrived.clear()
                    await arrived.wait()
        except TimeoutError:
            if not received:
                raise NoAnswer("no answer in time") from None
    except OSError as error:
        raise LinkDown(f"{settings.port}: {error.strerror or error}") from error
    finally:
        loop.remove_reader(port.fileno())
        port.close()
    return _framed(unit, bytes(received))


def _refusal(received: bytes, pdu: bytes) -> bool:
    return len(received) >= 5 and received[1] == pdu[0] | 0x80


def _framed(unit: int, frame: bytes) -> bytes:
    if len(frame) < 5 or crc16(frame[:-2]) != frame[-2:]:
        raise BadFrame("wrong checksum", received=frame)
    if frame[0] != unit:
        raise BadFrame(f"unit {frame[0]} answers for unit {unit}", received=frame)
    return frame[1:-2]
