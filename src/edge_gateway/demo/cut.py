"""The line between gateway and hub: a TCP proxy that can be cut, so that connections are refused and open ones reset."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct

_CHUNK_BYTES = 65536


class Line:
    """Forwards 127.0.0.1:``port`` to ``target_port`` until ``cut``; ``mend`` listens on the same port again."""

    def __init__(self) -> None:
        self.port = 0
        self.target_port = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def mend(self) -> None:
        """Listen."""
        if self._server is None:
            self._server = await asyncio.start_server(self._join, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """Refuse new connections, reset open ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._writers:
            linger = struct.pack("ii", 1, 0)  # close sends RST
            with contextlib.suppress(OSError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()

    async def close(self) -> None:
        """Cut for good, and wait until everything that was open has ended."""
        self.cut()
        await asyncio.gather(*self._tasks)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
            self._writers.add(far_writer)
            try:
                await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
            finally:
                self._writers.discard(far_writer)
                far_writer.close()
        except OSError:
            return  # cut, or the hub is not there
        finally:
            self._writers.discard(writer)
            self._tasks.discard(task)
            writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(_CHUNK_BYTES):
        writer.write(chunk)
        await writer.drain()
    writer.close()
