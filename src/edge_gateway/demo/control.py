"""Asks the running gateway through its control socket, as the command line does; knows three questions."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import aiohttp


class Control:
    """``position``, ``points``, ``status``, ``violations``; None while nobody answers."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.UnixConnector(path=str(self._socket))
        self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=5.0))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def ask(self, what: str) -> dict[str, Any] | None:
        """The answer to ``GET /v1/<what>``, or None."""
        if self._session is None:
            return None
        try:
            async with self._session.get(f"http://gateway/v1/{what}") as answer:
                body: dict[str, Any] = await answer.json()
                return body
        except (aiohttp.ClientError, OSError, TimeoutError):
            return None
