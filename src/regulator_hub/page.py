"""The hub's live page."""

from __future__ import annotations

import asyncio

from starlette.routing import BaseRoute

from edge_gateway.clock import Clock
from regulator_hub.interpret import Interpreter
from regulator_hub.store.reader import Reader
from regulator_hub.watch import Watch


class Page:
    def __init__(self, reader: Reader, interpreter: Interpreter, watch: Watch, clock: Clock, language: str) -> None:
        self._closed = asyncio.Event()

    def routes(self) -> list[BaseRoute]:
        return []

    async def run(self) -> None:
        await self._closed.wait()

    def close(self) -> None:
        self._closed.set()
