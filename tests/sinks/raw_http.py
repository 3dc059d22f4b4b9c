"""A raw HTTP/1.1 server that answers what the test says, byte for byte, and keeps what it was sent."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Self


@dataclass
class Request:
    """One request as it came; ``lines`` after decompression."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    lines: list[str] = field(default_factory=list)


#: The answer's bytes; None closes the connection without one.
Answerer = Callable[[Request], Awaitable[bytes | None]]


def answer(status: int, body: bytes = b"", *headers: str) -> bytes:
    """A whole HTTP answer."""
    head = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", *headers]
    if status == 204:
        head.pop(1)
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


class RawHttp:
    """Listens on a free loopback port; ``requests`` is everything that came."""

    def __init__(self, answerer: Answerer) -> None:
        self.answerer = answerer
        self.requests: list[Request] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while True:
                request = await self._read(reader)
                self.requests.append(request)
                said = await self.answerer(request)
                if said is None:
                    return
                writer.write(said)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    @staticmethod
    async def _read(reader: asyncio.StreamReader) -> Request:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, target, _ = head[0].split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        plain = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
        return Request(method, target, headers, body, plain.decode().split("\n"))
