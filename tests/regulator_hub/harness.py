"""A hub in this process or its own, and a gateway that speaks the protocol by hand; no sink of ours, no mocks."""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from edge_gateway.clock import SystemClock
from edge_gateway.wire import hub as wire
from regulator_hub.app import Hub, opened, run_until
from regulator_hub.config import HubToml
from regulator_hub.gateways import Gateways
from tests.servers.process import ServerProcess, accepts_tcp, free_port

GATEWAY = "tlf-007"
EPOCH, OTHER = "0123456789abcdef", "fedcba9876543210"


def registered(state_dir: Path, gateway: str = GATEWAY, *, mqtt: bool = False) -> str:
    """The token of a gateway added to this state folder."""
    return Gateways(state_dir / "gateways").add(gateway, mqtt=mqtt, wall_us=0)


@dataclass
class Running:
    """A hub that serves, with its address and parts."""

    hub: Hub
    url: str
    state_dir: Path


@asynccontextmanager
async def running_hub(state_dir: Path, **settings: Any) -> AsyncIterator[Running]:
    """A hub on a free port of loopback until the block ends."""
    config = HubToml.model_validate({"listen": "127.0.0.1:0", "state_dir": state_dir, **settings})
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    async with opened(config, SystemClock(declared=True)) as hub, asyncio.TaskGroup() as group:
        group.create_task(run_until(hub, stop, address.set_result))
        try:
            yield Running(hub, await address, state_dir)
        finally:
            stop.set()


class HubProcess(ServerProcess):
    """`regulator-hub run` as a process; `patch` is Python that runs in it before the hub."""

    def __init__(self, folder: Path, *, patch: str = "", toml: str = "") -> None:
        self.port = free_port()
        self.state_dir = folder / "state"
        self.url = f"http://127.0.0.1:{self.port}"
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "hub.toml"
        config.write_text(toml)
        program = f"{patch}\nfrom regulator_hub.cli import main\nmain()"
        arguments = ["run", "--config", str(config), "--state-dir", str(self.state_dir), "--listen", f"127.0.0.1:{self.port}"]
        super().__init__("hub", [sys.executable, "-c", program, *arguments], folder, lambda: accepts_tcp(self.port))


@dataclass
class Gateway:
    """A gateway by hand: one session over HTTP, messages with whatever header and body a test wants."""

    url: str
    token: str
    http: aiohttp.ClientSession
    name: str = GATEWAY
    session: str = ""
    n: int = 0
    ssl: Any = True
    log: list[dict[str, Any]] = field(default_factory=list)

    async def post(self, message: bytes, token: str | None = None) -> tuple[int, dict[str, Any]]:
        """Status and JSON of one POST."""
        headers = {"Authorization": f"Bearer {self.token if token is None else token}"}
        address = f"{self.url}/api/v1/gateways/{self.name}/entries"
        async with self.http.post(address, data=message, headers=headers, ssl=self.ssl) as response:
            return response.status, json.loads(await response.read())

    async def hello(self, epochs: list[list[Any]] | None = None) -> dict[str, Any]:
        """Begin a session; the hello's answer."""
        nonce = secrets.token_hex(16)
        status, answer = await self.post(
            wire.encode_message({"kind": "hello", "session": nonce, "n": 0, "epochs": epochs or []})
        )
        assert status == 200, answer
        assert answer["session"].startswith(nonce)
        self.session, self.n = answer["session"], 0
        return dict(answer["hello"])

    async def ask(self, header: dict[str, Any], body: bytes = b"") -> dict[str, Any]:
        """The answer to one message, without its envelope keys; problems come as {"problem": …}."""
        if not self.session:
            await self.hello()
        self.n += 1
        status, answer = await self.post(wire.encode_message({"session": self.session, "n": self.n, **header}, body))
        if status != 200:
            assert answer["status"] == status
            return {"problem": answer}
        assert (answer.pop("v"), answer.pop("session"), answer.pop("n")) == (1, self.session, self.n)
        return answer

    async def entries(self, first: int, entries: list[bytes], epoch: str = EPOCH) -> dict[str, Any]:
        """Entries on the ordered lane."""
        header = {"kind": "entries", "epoch": epoch, "first": first, "count": len(entries)}
        return await self.ask(header, wire.lines(entries))

    async def live(self, copies: dict[int, bytes], epoch: str = EPOCH) -> dict[str, Any]:
        """Copies on the live lane."""
        return await self.ask({"kind": "live", "epoch": epoch, "seqs": list(copies)}, wire.lines(list(copies.values())))

    async def text(self, text: bytes) -> dict[str, Any]:
        """A text."""
        import hashlib

        return await self.ask({"kind": "text", "sha256": hashlib.sha256(text).hexdigest()}, text)

    async def get(self, path: str) -> Any:
        """JSON of the API."""
        async with self.http.get(self.url + path, ssl=self.ssl) as response:
            assert response.status == 200, await response.text()
            return json.loads(await response.read())

    async def eventually(self, path: str, holds: Any, deadline_s: float = 10.0) -> Any:
        """The API's answer once ``holds(answer)``."""
        async with asyncio.timeout(deadline_s):
            while not holds(answer := await self.get(path)):
                await asyncio.sleep(0.02)
            return answer


@asynccontextmanager
async def gateway(url: str, token: str, name: str = GATEWAY) -> AsyncIterator[Gateway]:
    """A gateway by hand, its connections closed at the end."""
    async with aiohttp.ClientSession() as http:
        yield Gateway(url, token, http, name)
