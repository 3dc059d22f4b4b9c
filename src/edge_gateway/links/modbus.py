"""A Modbus line as everybody above sees it: open it, ask a unit, get the right answer or an error; knows no registers' meaning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from edge_gateway.links.modbus_pdu import (
    Counters,
    NoAnswer,
    data_bytes,
    device_id_request,
    request,
    server_id_request,
)
from edge_gateway.links.modbus_rtu import RtuLine
from edge_gateway.links.modbus_tcp import TcpLine
from edge_gateway.links.modbus_trace import Trace

__all__ = [
    "Counters",
    "Line",
    "NoAnswer",
    "RtuSettings",
    "TcpSettings",
    "data_bytes",
    "device_id_request",
    "open_line",
    "request",
    "server_id_request",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpSettings:
    """A Modbus TCP endpoint."""

    host: str
    port: int = 502
    timeout_s: float = 1.0
    connect_timeout_s: float = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RtuSettings:
    """A serial line. ``quiet_s``: silence kept after a time-out or a broken frame."""

    port: str
    baud: int = 9600
    parity: Literal["N", "E", "O"] = "N"
    stopbits: Literal[1, 2] = 1
    timeout_s: float = 0.5
    quiet_s: float = 0.5


class Line(Protocol):
    """One line, one question at a time: a second one while the first waits is a programming error."""

    counters: Counters
    trace: Trace

    @property
    def is_open(self) -> bool:
        """False also as soon as the peer has closed."""
        ...

    async def open(self) -> None:
        """Connect, or take the port for ourselves alone. Raises LinkDown."""
        ...

    async def exchange(self, unit: int, pdu: bytes, timeout_s: float = 0.0) -> bytes:
        """Ask ``unit`` and return its answer's PDU, which has the function and exactly the data asked for.

        ``pdu`` comes from ``request``, ``server_id_request`` or ``device_id_request``.

        ``timeout_s`` 0 means the line's own. Raises NoAnswer, LinkDown (the line is gone), BadFrame (something
        else came), DeviceRefused (an exception), ValueError (not a reading request). After NoAnswer, BadFrame
        or a cancellation nothing of the old exchange can reach a later one: TCP is closed, a serial line keeps
        quiet first.
        """
        ...

    def close(self) -> None:
        """Give the line back. Harmless when it is closed."""
        ...


def open_line(settings: TcpSettings | RtuSettings) -> Line:
    """The line for these settings, not yet open."""
    if isinstance(settings, TcpSettings):
        return TcpLine(settings.host, settings.port, settings.timeout_s, settings.connect_timeout_s)
    return RtuLine(
        settings.port,
        baud=settings.baud,
        parity=settings.parity,
        stopbits=settings.stopbits,
        timeout_s=settings.timeout_s,
        quiet_s=settings.quiet_s,
    )
