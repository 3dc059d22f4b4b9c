"""The two doors: the local page on TCP, the control socket for this machine; each a task, both ours to close."""

from __future__ import annotations

import asyncio
from pathlib import Path

from edge_gateway.page.control import PeerProtocol, control_app
from edge_gateway.page.serve import listen_tcp, listen_unix, serve
from edge_gateway.page.site import Site
from edge_gateway.page.web import page_app


class Servers:
    """Opens the doors in ``run``; ``listening`` returns once connections are taken."""

    def __init__(self, site: Site, *, listen: str, socket: Path) -> None:
        self._site = site
        self._listen = listen
        self._socket = socket
        self._open = asyncio.Event()
        self.page_port = 0

    async def listening(self) -> None:
        """Wait until both doors take connections."""
        await self._open.wait()

    async def run(self) -> None:
        """Serve until cancelled. Raises ConfigError when the page's address cannot be had."""
        control = listen_unix(self._socket)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(serve(control_app(self._site), control, protocol=PeerProtocol), name="control")
                if self._listen:
                    page = listen_tcp(self._listen)
                    self.page_port = page.getsockname()[1]
                    group.create_task(serve(page_app(self._site), page), name="page")
                self._open.set()
        finally:
            self._socket.unlink(missing_ok=True)
