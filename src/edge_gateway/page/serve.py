"""uvicorn inside our own loop: no signals of its own, ready when it listens, gone when cancelled."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from edge_gateway.errors import ConfigError


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Signals are the gateway's."""
        yield


def listen_tcp(listen: str) -> socket.socket:
    """A listening socket for ``host:port``. Raises ConfigError when it cannot be had."""
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, int(port)))
    except OSError as error:
        sock.close()
        hint = "another program listens there; choose another port" if error.errno == 98 else "choose an address of this machine"
        raise ConfigError(f"cannot listen on {listen}: {error.strerror}", key="page.listen", code="no-listen", hint=hint) from error
    sock.listen(128)
    sock.setblocking(False)
    return sock


def listen_unix(path: Path) -> socket.socket:
    """A listening Unix socket, 0660: its group may use it. Replaces a stale one (the state lock is ours)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o117)
    try:
        sock.bind(str(path))
    finally:
        os.umask(mask)
    sock.listen(32)
    sock.setblocking(False)
    return sock


async def serve(app: Any, sock: socket.socket, *, protocol: Any = "h11") -> None:
    """Serve ``app`` on ``sock`` until cancelled; connections get one second to end."""
    config = uvicorn.Config(
        app,
        http=protocol,
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=1,
        timeout_keep_alive=30,
        limit_concurrency=256,
        h11_max_incomplete_event_size=64 * 1024,
        server_header=False,
        ws="none",
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve([sock]), name="http")
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        server.should_exit = True
        await serving
        raise
    finally:
        sock.close()
