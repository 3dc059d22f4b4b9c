"""Listens on a serial line and never speaks: bytes with the instants at which they came; knows no frames."""

from __future__ import annotations

import asyncio
import errno
import os
from typing import TYPE_CHECKING, Protocol

from edge_gateway.errors import LinkDown
from edge_gateway.links.serial import open_port

if TYPE_CHECKING:
    import serial

    from edge_gateway.links.modbus import RtuSettings

#: What is kept of one hearing: beyond it the line is no Modbus line (bytes).
MOST_BYTES = 1_000_000

#: Bytes as they came, each piece with its instant (loop time, s).
Heard = list[tuple[float, bytes]]


class Ear(Protocol):
    """One port, heard only."""

    async def open(self) -> None:
        """Take the port. Raises LinkDown."""
        ...

    def close(self) -> None:
        """Give it back. Harmless when it is closed."""
        ...

    async def hear(self, seconds: float) -> Heard:
        """Everything that comes within ``seconds``. Raises LinkDown when the port goes."""
        ...


def open_ear(settings: RtuSettings) -> Ear:
    """An ear for these settings, not yet open."""
    return SerialEar(settings)


class SerialEar:
    """See ``Ear``."""

    def __init__(self, settings: RtuSettings) -> None:
        self._settings = settings
        self._serial: serial.Serial | None = None
        self._heard: Heard = []
        self._size = 0
        self._gone: asyncio.Future[None] | None = None

    async def open(self) -> None:
        """Take the port."""
        s = self._settings
        self._serial = open_port(s.port, baud=s.baud, parity=s.parity, stopbits=s.stopbits)
        loop = asyncio.get_running_loop()
        self._gone = loop.create_future()
        loop.add_reader(self._serial.fileno(), self._readable)

    def close(self) -> None:
        """Give it back."""
        port, self._serial = self._serial, None
        if port is not None:
            asyncio.get_running_loop().remove_reader(port.fileno())
            port.close()

    async def hear(self, seconds: float) -> Heard:
        """See ``Ear.hear``."""
        assert self._gone is not None
        await asyncio.wait([self._gone], timeout=seconds)
        if self._gone.done():
            self._gone.result()
        heard, self._heard, self._size = self._heard, [], 0
        return heard

    def _readable(self) -> None:
        assert self._serial is not None
        assert self._gone is not None
        try:
            data = os.read(self._serial.fileno(), 512)
            if not data:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
        except BlockingIOError:
            return
        except OSError as error:
            asyncio.get_running_loop().remove_reader(self._serial.fileno())
            if not self._gone.done():
                why = f"{self._settings.port}: {error.strerror or error}"
                self._gone.set_exception(LinkDown(why, hint="was the adaptor unplugged?"))
            return
        self._size += len(data)
        if self._size <= MOST_BYTES:
            self._heard.append((asyncio.get_running_loop().time(), data))
