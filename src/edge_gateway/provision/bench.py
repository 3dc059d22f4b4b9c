"""A line that one device is set on: read through the read-only line, write one request, nothing else; knows no sheet."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Sequence

from edge_gateway.errors import BadFrame, GatewayError, LinkDown
from edge_gateway.links.endpoint import Endpoint
from edge_gateway.links.modbus import Line, NoAnswer, RtuSettings, StillOwed, TcpSettings, open_line, request
from edge_gateway.links.modbus_frames import FRAMINGS
from edge_gateway.links.wire import SerialWire, SocketWire, Wire
from edge_gateway.provision.model import Parameter
from edge_gateway.provision.wire import answer_to, writing_request, wrong

Settings = TcpSettings | RtuSettings
#: The running gateway's own devices wait meanwhile: no answer is waited for longer than this (s).
MOST_TIMEOUT_S = 1.0
#: Silence before a writing request, and time for the unit to store it before it is read back (s).
SILENCE_S, STORE_S = 0.05, 0.25
_MBAP = struct.Struct(">HHHB")


async def read(settings: Settings, unit: int, parameter: Parameter, beside: Line | None = None) -> list[int]:
    """The parameter's words (or its coil) as they are now. Raises what ``Line.exchange`` raises.

    ``beside``: the line, closed meanwhile, of who else asks there.
    """
    line = open_line(settings)
    if beside is not None:
        line.take_over(beside)
    try:
        await line.open()
        pdu = request(parameter.function, parameter.address, parameter.width)
        answer = await line.exchange(unit, pdu, min(settings.timeout_s, MOST_TIMEOUT_S))
    finally:
        line.close()
        if beside is not None:
            beside.take_over(line)
    if parameter.function == 1:
        return [answer[2] & 1]
    return list(struct.unpack(f">{parameter.width}H", answer[2:]))


async def speaks(settings: Settings, unit: int, parameter: Parameter, beside: Line | None = None) -> bool:
    """Whether anything at all answers as ``unit``: a value, a refusal, or rubbish that is somebody's."""
    try:
        await read(settings, unit, parameter, beside)
    except StillOwed:
        raise  # not asked: nobody knows
    except NoAnswer:
        return False
    except LinkDown:
        if isinstance(settings, TcpSettings):  # some gateways close the socket instead of saying nothing
            return False
        raise
    except (BadFrame, GatewayError):
        return True
    return True


async def write(settings: Settings, unit: int, parameter: Parameter, words: Sequence[int]) -> None:
    """Send one writing request and hear the unit take it, on a line of its own.

    Raises DeviceRefused (the unit says no), NoAnswer or BadFrame (nobody knows whether it took it: read it back),
    LinkDown (nothing was sent), ValueError (a broadcast).
    """
    pdu = writing_request(unit, parameter, words)
    reply = await _exchange(settings, unit, pdu)
    error = wrong(pdu, reply)
    if error is not None:
        raise error


async def _exchange(settings: Settings, unit: int, pdu: bytes) -> bytes:
    """Send ``pdu`` once, and find in whatever comes the frame that takes it, or the one that refuses it."""
    wire, encode = _wire(settings)
    taken = encode(unit, answer_to(pdu))
    refusals = {encode(unit, bytes((pdu[0] | 0x80, code))): code for code in range(1, 256)}
    received = bytearray()
    arrived = asyncio.Event()

    def came(data: bytes) -> None:
        received.extend(data)
        arrived.set()

    def answer() -> bytes:
        if taken in received:
            return answer_to(pdu)
        return next((bytes((pdu[0] | 0x80, code)) for frame, code in refusals.items() if frame in received), b"")

    await wire.open(came, lambda _why: None)
    try:
        await asyncio.sleep(max(SILENCE_S, settings.spacing_s))
        received.clear()
        wire.write(encode(unit, pdu))
        async with asyncio.timeout(_wire_s(settings, taken) + min(settings.timeout_s, MOST_TIMEOUT_S)):
            while not (found := answer()):
                arrived.clear()
                await arrived.wait()
        return found
    except TimeoutError:
        if not received:
            raise NoAnswer("no answer in time") from None
        raise BadFrame("the answer does not repeat what was written", received=bytes(received)) from None
    finally:
        wire.close()


def _wire(settings: Settings) -> tuple[Wire, Callable[[int, bytes], bytes]]:
    """A wire of our own, and how a PDU is framed on it."""
    if isinstance(settings, RtuSettings):
        line = {"baud": settings.baud, "bytesize": settings.bytesize, "stopbits": settings.stopbits}
        return SerialWire(settings.port, parity=settings.parity, **line), FRAMINGS[settings.framing].encode
    endpoint = Endpoint(
        settings.host,
        settings.port,
        connect_timeout_s=settings.connect_timeout_s,
        connect_delay_s=settings.connect_delay_s,
        tls=settings.tls,
    )
    return SocketWire(endpoint), _mbap if settings.framing == "mbap" else FRAMINGS[settings.framing].encode


def _mbap(unit: int, pdu: bytes) -> bytes:
    return _MBAP.pack(1, 0, len(pdu) + 1, unit) + pdu


def _wire_s(settings: Settings, frame: bytes) -> float:
    """What the bytes themselves take, there and back: no part of the unit's time to answer."""
    return 2 * (len(frame) + 8) * 11 / settings.baud if isinstance(settings, RtuSettings) else 0.0
