"""The demonstration's processes as one thing: started in the right order, begun, quieted, judged, and always ended."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from edge_gateway.demo.children import Child, ChildFailed, module, program
from edge_gateway.demo.control import Control
from edge_gateway.demo.cut import Line
from edge_gateway.demo.own_config import own_toml
from edge_gateway.demo.own_site import OwnSite
from edge_gateway.demo.scene import SITE_ID
from edge_gateway.demo.site_config import PACKS, Places, gateway_toml, hub_toml

#: Ports that people know from the documentation; another free one is taken where they are not free.
KNOWN_PORTS = {"page": 8080, "hub": 8090, "plc": 5020, "broker": 1884}
#: Below the kernel's ephemeral range, so that no client's socket takes a port between our look and its use.
_FREE_PORTS = range(12000, 32000)
#: How far an observation may be from the giving of the reading (real seconds): the machine may be busy.
SLACK_S = 2.0
#: Processes that do one thing and end.
_SHORT = ("token", "hub-key", "command-key", "signer-key", "introduction", "compare", "person")
#: What the gateway may take to end: it delivers the rest within 8 s.
END_GATEWAY_S = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteOptions:
    """``interval_s`` is in simulated seconds, ``timeout_s`` in real ones."""

    folder: Path
    sockets: Path
    speed: float
    seed: int
    interval_s: float = 60.0
    timeout_s: float = 1.5
    #: a broker and a database that run already (campaigns); None: the demonstration's own
    broker_port: int | None = None
    mqtt_protocol: str = "3.1.1"
    receiver_url: str = ""
    #: one of ``scenarios``; "" for the demonstration's own story
    scenario: str = ""
    packs: tuple[str, ...] = PACKS
    #: whether the gateway's wall clock can be moved (SIGUSR1)
    clock_jumps: bool = False
    #: another site than the demonstration's, and what its plant is told
    own: OwnSite | None = None
    plan: Mapping[str, Any] | None = None
    #: names of the demonstration (English, Chinese) -> whose part they are
    names: Mapping[tuple[str, str], tuple[str, str]] = field(default_factory=dict)


class Site:
    """``start`` until everything listens, ``begin`` the story, ``quiet``, ``end_gateway``, ``judge``. Leaving it ends all."""

    def __init__(self, options: SiteOptions, *, language: str = "en", known_ports: bool = False) -> None:
        self.options = options
        self.language = language
        self.line = Line()
        self.control = Control(options.sockets / "gateway.sock")
        self.children: list[Child] = []
        self.page_url = self.hub_url = ""
        #: Modbus TCP for other programs than the gateway: what they are answered is in no comparison
        self.guest_ports: dict[str, int] = {}
        self.broker_port = 0
        self._known = known_ports
        self._origin_us = time.time_ns() // 1000
        self._introducing: asyncio.Task[None] | None = None
        self._plant: Child | None = None
        self._gateway: Child | None = None

    @property
    def id(self) -> str:
        """The site's and its gateway's."""
        return SITE_ID if self.options.own is None else self.options.own.id

    @property
    def plant(self) -> Child:
        """The running plant."""
        assert self._plant is not None, "not started"
        return self._plant

    @property
    def gateway(self) -> Child:
        """The running gateway."""
        assert self._gateway is not None, "not started"
        return self._gateway

    @property
    def needed(self) -> list[Child]:
        """The processes that must not end while the demonstration runs."""
        return [child for child in self.children if child.name not in _SHORT]

    async def __aenter__(self) -> Self:
        await self.control.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._introducing is not None:
            self._introducing.cancel()
            await asyncio.gather(self._introducing, return_exceptions=True)
        await self.line.close()
        await self.control.__aexit__()
        for child in reversed(self.children):
            child.kill()
        for child in self.children:
            await child.end()

    async def start(self) -> None:
        """Start everything. Raises ChildFailed."""
        options, folder = self.options, self.options.folder
        (folder / "logs").mkdir()
        self.broker_port = options.broker_port or self._port("broker")
        page_port = self._port("page")
        broker = None if options.broker_port or options.own else self._own_broker()
        (hub, hub_vkey, command_vkey), token, receiver, plant, _ = await _all(
            self._start_hub(), self._token(), self._start_receiver(), self._start_plant(broker), self._start_signer()
        )
        self.hub_url = f"http://127.0.0.1:{hub}"
        self.line.target_port = hub
        await self.line.mend()
        token_file = folder / "hub-token"
        token_file.touch(mode=0o600)
        token_file.write_text(token + "\n")
        (folder / "hub.vkey").write_text(hub_vkey + "\n")
        self.guest_ports, self.page_url = plant["guests"], f"http://127.0.0.1:{page_port}"
        places = Places(
            tcp_ports=plant["ports"], serial=plant["serial"], broker_port=self.broker_port,
            hub_url=f"http://127.0.0.1:{self.line.port}", token_file=token_file, hub_vkey=hub_vkey,
            command_vkey=command_vkey, signer=options.sockets / "sign.sock", receiver_url=receiver, database="demo",
            page=f"127.0.0.1:{page_port}", language=self.language, speed=options.speed, origin_us=self._origin_us,
            interval_s=options.interval_s, timeout_s=options.timeout_s, mqtt_protocol=options.mqtt_protocol, packs=options.packs,
        )  # fmt: skip
        text = gateway_toml(places) if options.own is None else own_toml(options.own.tables, places)
        (folder / "gateway.toml").write_text(text, encoding="utf-8")
        await self.start_gateway()
        self._introducing = asyncio.create_task(self._introduce(), name="introduce the signer")

    async def start_gateway(self) -> None:
        """Start the gateway, at first or after ``kill_gateway``."""
        command = [*program("edge-gateway"), *self._where(), "run", "--log", "warning"]
        if self.options.clock_jumps:
            command = module("jumping", *self._where())
        self._gateway = await self._child("gateway", command)

    def kill_gateway(self) -> None:
        """SIGKILL: what it had not committed is gone."""
        self.gateway.give_up()

    async def person(self, *words: str) -> str:
        """What a person types at the site, and the first line that it says. Raises ChildFailed."""
        return await (await self._child("person", [*program("edge-gateway"), *self._where(), *words])).hear()

    def _where(self) -> list[str]:
        folder = self.options.folder
        places = {"config": folder / "gateway.toml", "state": folder / "state", "socket": self.options.sockets / "gateway.sock"}
        return [word for name, place in places.items() for word in (f"--{name}", str(place))]

    async def begin(self) -> None:
        """Let the story begin. Raises ChildFailed when the hub was not told the signer's key."""
        if self._introducing is not None:
            await self._introducing
        self.plant.order("begin")

    async def hold(self) -> None:
        """The story stops, devices answer on; the line to the hub is whole."""
        await self.line.mend()
        self.plant.order("hold")

    async def quiet(self) -> None:
        """The plant answers nothing from now on: what was answered must arrive."""
        self.plant.order("quiet")

    async def end_gateway(self) -> None:
        """End the gateway in order. Raises ChildFailed when it says that something was wrong."""
        if (code := await self.gateway.end(END_GATEWAY_S)) != 0:
            raise ChildFailed(f"the gateway ended with exit code {code}; see {self.options.folder / 'logs'}")

    async def judge(self, slack_s: float = 0.0) -> dict[str, Any]:
        """What the comparison says; ``slack_s`` more for the time of each reading, in simulated seconds. Raises ChildFailed."""
        options = {
            "truth": str(self.options.folder / "truth.jsonl"),
            "lines": str(self.options.folder / "influx.lines"),
            "hub_url": self.hub_url,
            "gateway": self.id,
            "computed": list(self.options.own.tables["derived"]) if self.options.own else [],
            "slack_us": round((SLACK_S * self.options.speed + slack_s) * 1e6),
        }
        comparison = await self._child(
            "compare", module("compare", "--options-file", str(self._file("compare", options)))
        )
        return await comparison.hear_json()

    # -- one process each ----------------------------------------------------------------------------------------------

    async def _child(self, name: str, command: list[str]) -> Child:
        child = await Child.start(name, command, self.options.folder / "logs")
        self.children.append(child)
        return child

    async def _own_broker(self) -> None:
        await (await self._child("broker", module("broker", "--port", str(self.broker_port)))).hear()

    async def _start_hub(self) -> tuple[int, str, str]:
        """Its port, and the keys by which it cosigns and commands."""
        state = self.options.folder / "hub"
        text = hub_toml(f"127.0.0.1:{self._port('hub')}", state, self.language)
        (self.options.folder / "hub.toml").write_text(text, encoding="utf-8")
        scale = ["--speed", f"{self.options.speed:g}", "--clock-origin-us", str(self._origin_us)]
        config = ["--config", str(self.options.folder / "hub.toml")]
        hub = await self._child("hub", [*program("regulator-hub"), "run", *config, *scale])
        port = int((await hub.hear()).rpartition(":")[2])  # "… listening on 127.0.0.1:8090"
        cosigns, commands = await _all(self._hub_says("hub-key", "key"), self._hub_says("command-key", "command-key"))
        return port, cosigns, commands

    async def _token(self) -> str:
        state = ["--state-dir", str(self.options.folder / "hub")]
        return await (
            await self._child("token", [*program("regulator-hub"), "gateways", "add", self.id, *state])
        ).hear()

    async def _start_signer(self) -> None:
        """The signer has a process and a folder of its own, as at a site (only no user of its own)."""
        where = ["--folder", str(self.options.folder / "signer"), "--listen", str(self.options.sockets / "sign.sock")]
        await self._child("signer", [*program("edge-gateway"), "signer", "run", *where])

    async def _introduce(self) -> None:
        """Take the gateway's key to the hub, as a person does. Raises ChildFailed."""
        socket_path = str(self.options.sockets / "sign.sock")
        config = ["--config", str(self.options.folder / "gateway.toml")]
        command = [*program("edge-gateway"), *config, "signer", "key", "--listen", socket_path]
        key = await (await self._child("signer-key", command)).hear()
        (self.options.folder / "gateway.vkey").write_text(key + "\n")
        await self._hub_says("introduction", "gateways", "key", self.id, key)

    async def _hub_says(self, name: str, *words: str) -> str:
        """The first line of one of the hub's commands. Raises ChildFailed."""
        config = ["--config", str(self.options.folder / "hub.toml")]
        return await (await self._child(name, [*program("regulator-hub"), *words, *config])).hear()

    async def _start_receiver(self) -> str:
        if self.options.receiver_url:
            return self.options.receiver_url
        file = str(self.options.folder / "influx.lines")
        receiver = await self._child("receiver", module("receiver", "--file", file))
        return f"http://127.0.0.1:{(await receiver.hear_json())['ready']['port']}"

    async def _start_plant(self, broker: Any) -> dict[str, Any]:
        options = {
            "seed": self.options.seed,
            "scenario": self.options.scenario,
            "speed": self.options.speed,
            "origin_us": self._origin_us,
            "truth": str(self.options.folder / "truth.jsonl"),
            "broker_port": self.broker_port,
            "interval_s": self.options.interval_s,
            "timeout_s": self.options.timeout_s,
        }
        options |= {"guests": {"plc": self._port("plc"), "stores": 0}} if self.options.plan is None else {"own": dict(self.options.plan)}
        starting = self._child("plant", module("plant", "--options-file", str(self._file("plant", options))))
        self._plant, *_ = await _all(starting, *([broker] if broker else []))
        ready: dict[str, Any] = (await self.plant.hear_json())["ready"]
        return ready

    def _file(self, name: str, options: dict[str, Any]) -> Path:
        path = self.options.folder / f"{name}.json"
        path.write_text(json.dumps(options), encoding="utf-8")
        return path

    def _port(self, name: str) -> int:
        """The known port if it is free and wanted, else any free one."""
        choose = random.SystemRandom()
        wanted = [KNOWN_PORTS[name]] if self._known else []
        for port in wanted + choose.sample(_FREE_PORTS, 50):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
                return port
        raise OSError("no free TCP port on 127.0.0.1")


async def _all(*work: Any) -> list[Any]:
    """All results in order; the first fault ends the others and is raised as it is."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
