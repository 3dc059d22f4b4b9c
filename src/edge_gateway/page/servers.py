"""The two doors: the local page on TCP, the control socket for this machine; each a task, both ours to close."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from edge_gateway.page.control import PeerProtocol, control_app
from edge_gateway.page.live import Live
from edge_gateway.page.site import Site
from edge_gateway.page.web import page_app
from edge_gateway.web.serve import listen_tcp, serve


def _listen_unix(path: Path) -> socket.socket:
    """A listening Unix socket, 0660: its group may use it. Replaces a stale one (the state lock is ours)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind(str(path))
    path.chmod(0o660)
    sock.listen(32)
    sock.setblocking(False)
    return sock


class Servers:
    """Opens the doors in ``run``; ``listening`` returns once connections are taken."""

    def __init__(self, site: Site, *, listen: str, control: Path, language: str = "zh") -> None:
        self._site = site
        self._listen = listen
        self._language = language
        self._control = control
        self._open = asyncio.Event()
        self.page_port = 0

    async def listening(self) -> None:
        """Wait until both doors take connections."""
        await self._open.wait()

    async def run(self) -> None:
        """Serve until cancelled. Raises ConfigError when the page's address cannot be had."""
        control = _listen_unix(self._control)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(serve(control_app(self._site), control, protocol=PeerProtocol), name="control")
                if self._listen:
                    page = listen_tcp(self._listen, key="page.listen")
                    self.page_port = page.getsockname()[1]
                    live = Live(self._site, self._language)
                    group.create_task(live.run(), name="page-news")
                    group.create_task(serve(page_app(self._site, live), page), name="page")
                self._open.set()
        finally:
            self._control.unlink(missing_ok=True)
