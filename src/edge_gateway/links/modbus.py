"""A Modbus line as everybody above sees it: open it, ask a unit, get the right answer or an error; knows no registers' meaning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from edge_gateway.links.endpoint import Endpoint
from edge_gateway.links.modbus_frames import FRAMINGS
from edge_gateway.links.modbus_pdu import (
    Counters,
    NoAnswer,
    StillOwed,
    data_bytes,
    device_id_request,
    request,
    server_id_request,
)
from edge_gateway.links.modbus_rtu import RtuLine, Timing
from edge_gateway.links.modbus_tcp import TcpLine
from edge_gateway.links.modbus_trace import Trace
from edge_gateway.links.tls import TlsFiles
from edge_gateway.links.wire import SerialWire, SocketWire

__all__ = [
    "Counters",
    "Line",
    "NoAnswer",
    "RtuSettings",
    "StillOwed",
    "TcpSettings",
    "TlsFiles",
    "data_bytes",
    "device_id_request",
    "open_line",
    "request",
    "server_id_request",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpSettings:
    """A Modbus TCP endpoint, or frames of a serial line through a socket (``framing`` ``rtu`` or ``ascii``).

    ``spacing_s``: from an answer to the next question at least; ``connect_delay_s``: from the connection to the first;
    ``reopen_wait_s``: from a connection's end to the next connection. ``quiet_s`` and ``late_max_s`` are for frames of
    serial lines: see RtuSettings.
    """

    host: str
    port: int = 502
    timeout_s: float = 1.0
    connect_timeout_s: float = 3.0
    framing: Literal["mbap", "rtu", "ascii"] = "mbap"
    spacing_s: float = 0.0
    connect_delay_s: float = 0.0
    reopen_wait_s: float = 0.0
    quiet_s: float = 0.5
    late_max_s: float = 5.0
    tls: TlsFiles | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RtuSettings:
    """A serial line. ``quiet_s``: silence kept after a time-out or a broken frame. ``late_max_s``: an answer that has not
    come by then is taken for lost; until then no question of its shape is asked of that unit."""

    port: str
    baud: int = 9600
    parity: Literal["N", "E", "O"] = "N"
    stopbits: Literal[1, 2] = 1
    bytesize: Literal[7, 8] = 8
    framing: Literal["rtu", "ascii"] = "rtu"
    timeout_s: float = 0.5
    quiet_s: float = 0.5
    late_max_s: float = 5.0
    spacing_s: float = 0.0
    connect_delay_s: float = 0.0


class Line(Protocol):
    """One line, one question at a time: a second one while the first waits is a programming error."""

    counters: Counters
    trace: Trace
    #: True when answers bear their questions' numbers, so that a late one is told from the next.
    numbered: bool

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
        else came), DeviceRefused (an exception), StillOwed (not asked: see ``wait_s``), ValueError (not a reading
        request). After NoAnswer, BadFrame or a cancellation nothing of the old exchange can reach a later one: TCP is
        closed; a serial line keeps quiet first, and asks nothing of the same shape (function, bytes of the answer)
        of that unit until the answer came or ``late_max_s`` is over.
        """
        ...

    def wait_s(self, unit: int, pdu: bytes) -> float:
        """Seconds until ``pdu`` may be asked of ``unit``: 0 unless an answer of its shape is still owed."""
        ...

    def late(self) -> list[dict[str, object]]:
        """The newest late answers (unit, PDU in hex, seconds ago): evidence, never used. At most 16."""
        ...

    def take_over(self, other: object) -> None:
        """Know what answers are owed to ``other``, a line that had the same wire before: they may come to our questions.

        Nothing is taken from one of other settings (no unit of ours understood it), or where answers are numbered.
        """
        ...

    def close(self) -> None:
        """Give the line back. Harmless when it is closed."""
        ...


#: Above 19,200 baud the silence between frames is fixed ("MODBUS over serial line" V1.02, 2.5.1.1).
FIXED_SILENCE_S = 0.00175


def open_line(settings: TcpSettings | RtuSettings) -> Line:
    """The line for these settings, not yet open."""
    if isinstance(settings, RtuSettings):
        return _serial(settings)
    endpoint = Endpoint(
        settings.host,
        settings.port,
        connect_timeout_s=settings.connect_timeout_s,
        connect_delay_s=settings.connect_delay_s,
        reopen_wait_s=settings.reopen_wait_s,
        tls=settings.tls,
    )
    if settings.framing == "mbap":
        return TcpLine(endpoint, timeout_s=settings.timeout_s, spacing_s=settings.spacing_s)
    timing = Timing(
        timeout_s=settings.timeout_s,
        quiet_s=settings.quiet_s,
        late_max_s=settings.late_max_s,
        silence_s=settings.spacing_s,
    )
    trace = Trace("tcp", timeout_s=settings.timeout_s)
    return RtuLine(SocketWire(endpoint), FRAMINGS[settings.framing], timing, trace)


def _serial(settings: RtuSettings) -> Line:
    wire = SerialWire(
        settings.port,
        baud=settings.baud,
        parity=settings.parity,
        stopbits=settings.stopbits,
        bytesize=settings.bytesize,
    )
    byte_s = (1 + settings.bytesize + (settings.parity != "N") + settings.stopbits) / settings.baud
    silence_s = 3.5 * byte_s if settings.baud <= 19_200 else FIXED_SILENCE_S
    timing = Timing(
        timeout_s=settings.timeout_s,
        quiet_s=settings.quiet_s,
        late_max_s=settings.late_max_s,
        byte_s=byte_s,
        silence_s=max(silence_s, settings.spacing_s),
        open_delay_s=settings.connect_delay_s,
    )
    trace = Trace("rtu", timeout_s=settings.timeout_s, baud=settings.baud)
    trace.uart = wire.errors
    return RtuLine(wire, FRAMINGS[settings.framing], timing, trace)
