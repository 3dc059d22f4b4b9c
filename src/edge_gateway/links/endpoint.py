"""One TCP or TLS connection at a time to one address, with the pauses that some devices need; knows nothing of what is said over it."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable
from typing import TypeVar

from edge_gateway.errors import ConfigError, LinkDown
from edge_gateway.links.tls import TlsFiles


class Connection(asyncio.Protocol):
    """One socket's protocol. ``gone`` is set when the socket really is, at ``gone_s`` (loop time)."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.gone = asyncio.Event()
        self.gone_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self.gone_s = asyncio.get_running_loop().time()
        self.gone.set()

    def drop(self) -> None:
        """Close at once; whatever is still under way is lost, and that is the point."""
        transport, self.transport = self.transport, None
        if transport is not None:
            transport.abort()


C = TypeVar("C", bound=Connection)


class Endpoint:
    """Where to connect. Many devices have one socket only: the old one is gone, and ``reopen_wait_s`` over, before a new one is tried."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        connect_timeout_s: float,
        connect_delay_s: float = 0.0,
        reopen_wait_s: float = 0.0,
        tls: TlsFiles | None = None,
    ) -> None:
        self.name = f"{host}:{port}"
        self._host, self._port = host, port
        self._connect_timeout_s, self._connect_delay_s = connect_timeout_s, connect_delay_s
        self._reopen_wait_s = reopen_wait_s
        self._tls = tls
        self._last: Connection | None = None

    async def connect(self, make: Callable[[], C]) -> C:
        """A new connection; the last one is dropped first. Raises LinkDown with the system's reason."""
        await self._only_one()
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                connection = await self._connected(make)
        except (OSError, TimeoutError) as error:
            raise LinkDown(f"{self.name}: {_why(error)}", hint=_hint(error)) from error
        except ConfigError as error:  # the files have changed since the start
            raise LinkDown(f"{self.name}: {error.why}", hint=error.hint) from error
        self._last = connection
        if self._connect_delay_s:
            try:
                await asyncio.sleep(self._connect_delay_s)
            except asyncio.CancelledError:
                connection.drop()
                raise
        return connection

    async def _only_one(self) -> None:
        loop = asyncio.get_running_loop()
        if self._last is None:
            return
        self._last.drop()
        await self._last.gone.wait()
        if (left_s := self._last.gone_s + self._reopen_wait_s - loop.time()) > 0:
            await asyncio.sleep(left_s)

    async def _connected(self, make: Callable[[], C]) -> C:
        loop = asyncio.get_running_loop()
        if self._tls is None:
            return (await loop.create_connection(make, self._host, self._port))[1]
        name = self._tls.server_name or self._host
        context = self._tls.context()
        return (await loop.create_connection(make, self._host, self._port, ssl=context, server_hostname=name))[1]


def end_of(error: LinkDown) -> tuple[str, str]:
    """How an opening that failed is told to the trace: (what, detail)."""
    detail = error.why.partition(": ")[2]
    if "held" in detail:
        return "held", error.why
    return ("refused" if isinstance(error.__cause__, ConnectionRefusedError) else "unreachable"), detail


def _why(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "no answer to connecting"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return f"no TLS ({error.reason or error})"
    if error.errno is not None and error.errno > 0:  # name resolution has numbers of its own, below 0
        return os.strerror(error.errno)
    return error.strerror or str(error)


def _hint(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return "check ca_file, and server_name if the certificate bears another name"
    if isinstance(error, ssl.SSLError):
        return "does this port speak TLS, and does it know the authority of our cert_file?"
    return "check address, cable and power"
