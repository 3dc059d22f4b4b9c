"""A TCP proxy that misbehaves on demand: delay, black hole, reset, refusal, byte limit; knows no protocol."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import Self

_CHUNK_BYTES = 65536


class FaultProxy:
    """Forwards 127.0.0.1:`port` to a target, and misbehaves as its attributes say, also for open connections.

    `latency_s` delays each chunk one way. `limit_bytes` resets a connection after so many bytes in either direction
    (both directions counted together). `connections` counts accepted ones.
    """

    def __init__(self, target_port: int, target_host: str = "127.0.0.1", port: int = 0) -> None:
        self._target = (target_host, target_port)
        self.port = port
        self.latency_s = 0.0
        self.limit_bytes: int | None = None
        self.connections = 0
        self._flows = asyncio.Event()
        self._flows.set()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def black_hole(self) -> None:
        """From now on bytes vanish into buffers: connections open, nothing comes; `heal` lets them through."""
        self._flows.clear()

    def heal(self) -> None:
        """End a black hole; what was held flows on, as after a cable is plugged in again."""
        self._flows.set()

    def reset(self) -> None:
        """Abort every open connection with RST; new ones are served."""
        for writer in list(self._writers):
            _abort(writer)

    async def refuse(self) -> None:
        """Stop listening (connection refused) and reset what is open; `serve` listens again on the same port."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.reset()
        await asyncio.sleep(0)

    async def serve(self) -> None:
        """Listen; called on entering, and to end a refusal."""
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def __aenter__(self) -> Self:
        await self.serve()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.refuse()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        self.connections += 1
        try:
            await self._join(reader, writer)
        except asyncio.CancelledError:
            # Only leaving the proxy cancels; asyncio.streams would report a cancelled handler as an error.
            _abort(writer)
        except OSError:
            _abort(writer)
        finally:
            self._writers.discard(writer)
            self._tasks.discard(task)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._flows.wait()
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        self._writers.add(far_writer)
        budget = [self.limit_bytes]
        try:
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(reader, far_writer, budget), name="proxy to target")
                pumps.create_task(self._pump(far_reader, writer, budget), name="proxy to client")
        except* OSError:
            _abort(writer)
            _abort(far_writer)
        finally:
            self._writers.discard(far_writer)
            far_writer.close()
            writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, budget: list[int | None]) -> None:
        while True:
            chunk = await reader.read(_CHUNK_BYTES)
            await self._flows.wait()
            if self.latency_s > 0:
                await asyncio.sleep(self.latency_s)
            exhausted = False
            if (left := budget[0]) is not None:
                chunk = chunk[:left]
                budget[0] = left - len(chunk)
                exhausted = budget[0] == 0
            writer.write(chunk)
            await writer.drain()
            if exhausted:
                raise ConnectionResetError("byte limit reached")
            if not chunk:
                with contextlib.suppress(OSError):
                    writer.write_eof()
                return


def _abort(writer: asyncio.StreamWriter) -> None:
    """RST instead of FIN: linger 0."""
    raw = writer.get_extra_info("socket")
    if raw is not None and raw.fileno() >= 0:
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
