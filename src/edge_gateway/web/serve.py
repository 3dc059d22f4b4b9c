"""uvicorn inside our own loop: no signals of its own, gone when cancelled; knows no route."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Generator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from edge_gateway.errors import ConfigError

_IN_USE = 98


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._ended = asyncio.Event()

    def end(self) -> None:
        """Take no more; what is under way ends within the time allowed."""
        self.should_exit = True
        self._ended.set()

    async def main_loop(self) -> None:
        """uvicorn looks ten times a second whether it should end, which is most of an idle gateway's waking; here it is
        told. On whole seconds, when others wake too, answers get their new date.
        """
        while not await self.on_tick(0):
            try:
                async with asyncio.timeout(1.0 - asyncio.get_running_loop().time() % 1.0):
                    await self._ended.wait()
            except TimeoutError:
                pass

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Signals are the program's."""
        yield


def listen_tcp(listen: str, *, key: str) -> socket.socket:
    """A listening socket for ``host:port`` (port 0: any free one). Raises ConfigError naming ``key``."""
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, int(port)))
    except (OSError, OverflowError) as error:
        sock.close()
        taken = isinstance(error, OSError) and error.errno == _IN_USE
        hint = "another program listens there; choose another port" if taken else "choose an address of this machine"
        raise ConfigError(f"cannot listen on {listen}: {error}", key=key, code="no-listen", hint=hint) from error
    sock.listen(128)
    sock.setblocking(False)
    return sock


async def serve(
    app: ASGIApp,
    sock: socket.socket,
    *,
    cert_file: str = "",
    key_file: str = "",
    protocol: type[asyncio.Protocol] | None = None,
) -> None:
    """Serve ``app`` on ``sock`` until cancelled; connections then get one second to end. Raises ConfigError for TLS files.

    ``protocol`` takes the place of uvicorn's HTTP (the control socket asks the kernel who connects).
    """
    config = uvicorn.Config(
        app,
        http=protocol or "h11",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,  # who connects is who the kernel says
        server_header=False,
        timeout_graceful_shutdown=1,
        timeout_keep_alive=75,
        limit_concurrency=1024,
        h11_max_incomplete_event_size=64 * 1024,
        ssl_certfile=cert_file or None,
        ssl_keyfile=key_file or None,
        ws="none",
    )
    try:
        config.load()
    except OSError as error:
        sock.close()
        raise ConfigError(f"TLS files cannot be used: {error}", key="cert_file", hint="check paths and rights") from error
    server = _Server(config)
    serving = asyncio.create_task(server.serve([sock]), name="http")
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        server.end()
        await serving
        raise
    finally:
        sock.close()
