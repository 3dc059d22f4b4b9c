"""A stream of bytes to whoever is at the other end: a serial port or a socket; knows no frames."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from typing import Protocol

import serial

from edge_gateway.links.endpoint import Connection, Endpoint
from edge_gateway.links.serial import line_errors, open_port

#: What came; and why nothing more will.
Received = Callable[[bytes], None]
Lost = Callable[[str], None]


class Wire(Protocol):
    """One wire, opened and closed many times. ``received`` and ``lost`` are called in the loop."""

    name: str
    #: how it is spoken to: what was asked otherwise, no unit has understood
    speech: tuple[object, ...]

    async def open(self, received: Received, lost: Lost) -> None:
        """Take the port, or connect. Raises LinkDown."""
        ...

    def write(self, data: bytes) -> None:
        """Send; what cannot be sent is told through ``lost``."""
        ...

    def close(self) -> None:
        """Give it back; ``lost`` is not called any more. Harmless when it is closed."""
        ...


class SerialWire:
    """A serial port by its name, which is looked up at each opening: an adaptor that comes back may have another number."""

    def __init__(self, port: str, *, baud: int, parity: str, stopbits: int, bytesize: int = 8) -> None:
        self.name = port
        self.speech: tuple[object, ...] = (baud, parity, bytesize)
        self._baud, self._parity, self._stopbits, self._bytesize = baud, parity, stopbits, bytesize
        self._serial: serial.Serial | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._received: Received = _ignore
        self._lost: Lost = _ignore

    async def open(self, received: Received, lost: Lost) -> None:
        self.close()
        self._serial = open_port(
            self.name, baud=self._baud, parity=self._parity, stopbits=self._stopbits, bytesize=self._bytesize
        )
        self._received, self._lost = received, lost
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._serial.fileno(), self._readable)

    def errors(self) -> tuple[int, int] | None:
        """See ``links.serial.line_errors``; None when the port is closed."""
        return line_errors(self._serial.fileno()) if self._serial is not None else None

    def write(self, data: bytes) -> None:
        assert self._serial is not None
        try:
            if os.write(self._serial.fileno(), data) != len(data):
                self._gone(OSError(errno.EAGAIN, "the port takes no more bytes"))
        except OSError as error:
            self._gone(error)

    def close(self) -> None:
        port, self._serial = self._serial, None
        if port is not None:
            assert self._loop is not None
            self._loop.remove_reader(port.fileno())
            port.close()

    def _readable(self) -> None:
        assert self._serial is not None
        try:
            data = os.read(self._serial.fileno(), 512)
        except BlockingIOError:
            return
        except OSError as error:
            self._gone(error)
            return
        if data:
            self._received(data)
        else:
            self._gone(OSError(errno.EIO, os.strerror(errno.EIO)))

    def _gone(self, error: OSError) -> None:
        self.close()
        self._lost(error.strerror or str(error))


class SocketWire:
    """The same through a socket, TLS or not: a serial device server, or a device that puts serial frames into TCP."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.name = endpoint.name
        self.speech: tuple[object, ...] = ()
        self._endpoint = endpoint
        self._stream: _Stream | None = None

    async def open(self, received: Received, lost: Lost) -> None:
        self.close()
        self._stream = await self._endpoint.connect(lambda: _Stream(received, lost))

    def write(self, data: bytes) -> None:
        stream = self._stream
        if stream is not None and stream.transport is not None:
            stream.transport.write(data)
        elif stream is not None:  # it went while the delay after connecting was waited for
            stream.tell_lost()

    def close(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.quiet()
            stream.drop()


class _Stream(Connection):
    def __init__(self, received: Received, lost: Lost) -> None:
        super().__init__()
        self._received, self._lost = received, lost

    def quiet(self) -> None:
        """Nothing is told any more."""
        self._received = self._lost = _ignore

    def data_received(self, data: bytes) -> None:
        self._received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.tell_lost(f" ({exc})" if exc else "")

    def tell_lost(self, why: str = "") -> None:
        """There is nobody at the other end any more."""
        self._lost(f"the other side closed the connection{why}")


def _ignore(_: object) -> None:
    pass
