"""A whole site as processes for campaigns: plant, gateway, hub, mosquitto, InfluxDB; killed and restarted at will, watched from outside.

What it saw acknowledged and when it killed is in `seen` and `heard`; what the hub holds is read back as raw entries.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from edge_gateway.cli.client import Client
from edge_gateway.errors import GatewayError
from edge_gateway.record.note import ED25519, Key
from edge_gateway.signer.client import Client as SignerClient
from tests.faults.judge import Seen, Truth, Verdict, judge
from tests.faults.plant import now_us
from tests.faults.watching_proxy import Cable, HttpWatch, MqttWatch, Proxies, Unwatched
from tests.servers.influxd import Influxd
from tests.servers.mosquitto import Mosquitto
from tests.servers.process import REPOSITORY, ServerFailed, ServerProcess, accepts_tcp, free_port, wait_until

GATEWAY, DATABASE = "campaign", "campaign"
_LOOK_EVERY_S = 0.04
_PROFILE = (
    'id = "campaign/{0}"\nvendor = "campaign"\nmodel = "{0}"\nname_zh = "{0}"\nname_en = "{0}"\nverified = "no"\n'
)
_CITED = '[[sources]]\ncite = "made for campaigns"\nverified = "no"\n'
_CHANNEL = '[channels.{0}]\n{1}\nquantity = "state"\nunit = "1"\ndecimals = 0\n'


@dataclass(frozen=True)
class Load:
    """How much happens. `units` poll every `interval_s`, `topics` speak every `publish_s`; with `influx` a database, with `signer` a signer and a hub that cosigns."""

    units: int = 10
    interval_s: float = 0.2
    topics: int = 3
    publish_s: float = 0.1
    influx: bool = False
    signer: bool = False
    segment_entries: int = 32
    planted: str = ""
    extra: str = ""


class Site:
    """See the module's docstring. A context manager: everything started is stopped."""

    def __init__(self, folder: Path, load: Load) -> None:
        self.folder = folder
        self.load = load
        self.seen = Seen()
        self.proxies = Proxies()
        self.heard = self.proxies.heard
        self.cables: dict[str, Cable] = {}
        self.broker = Mosquitto(folder / "mosquitto")
        self.influx = Influxd(folder / "influxd") if load.influx else None
        self._state = folder / "state"
        self._client = Client(self._state / "control.sock", timeout_s=2.0)
        self._looking = threading.Event()
        self._looker = threading.Thread(target=self._look, name="looker", daemon=True)
        self._latest: tuple[str, int] = ("", 0)
        self._started = contextlib.ExitStack()

    # --- beginning and end --------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as started:
            started.enter_context(self.proxies)
            started.enter_context(self.broker)
            self._start_plant(started)
            self._start_hub(started)
            if self.load.signer:
                self._start_signer(started)
            if self.influx is not None:
                started.enter_context(self.influx)
                self.influx.create_database(DATABASE)
                self._influx_port = self.proxies.open(self.influx.port, Unwatched)
                self.cables["influxd"] = self.proxies.cables[self._influx_port]
            self._hub_port = self.proxies.open(self.hub.port, HttpWatch)
            self._broker_port = self.proxies.open(self.broker.port, MqttWatch)
            self.cables |= {"hub": self.proxies.cables[self._hub_port], "broker": self.proxies.cables[self._broker_port]}
            self._profiles()
            self.gateway = self._program("gateway", ["-m", "tests.faults.launch_gateway"], self._answers)
            self.gateway.command += ["--config", str(self.folder / "gateway.toml"), "--state", str(self._state), "run"]
            self.gateway.environment |= {
                "EDGE_FAULTS_SEGMENT": str(self.load.segment_entries), "EDGE_FAULTS_PLANTED": self.load.planted,
                "EDGE_FAULTS_CLOCK": str(self.folder / "clock"),
            }  # fmt: skip
            started.callback(self.gateway.stop)
            self._looker.start()
            started.callback(self._stop_looking)
            self._started = started.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._started.close()

    def _program(self, name: str, arguments: list[str], ready: Callable[[], bool]) -> ServerProcess:
        process = ServerProcess(name, [sys.executable, *arguments], self.folder, ready)
        process.environment = {"PYTHONPATH": f"{REPOSITORY}{os.pathsep}{REPOSITORY / 'src'}"}
        return process

    def _start_plant(self, started: contextlib.ExitStack) -> None:
        ports = self.folder / "ports.json"
        # The broker's PUBACKs reach the publishers late, so that a killed broker has often delivered what it is then sent again.
        broker = self.proxies.open(self.broker.port, Unwatched, answers_late_s=0.05)
        options = {
            "truth": self.truth_path, "ports": ports, "broker": broker, "topics": self.load.topics,
            "every": self.load.publish_s,
        }  # fmt: skip
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        self.plant = self._program("plant", ["-m", "tests.faults.plant", *words], ports.exists)
        started.enter_context(self.plant)
        self._plant_ports: list[int] = json.loads(ports.read_text())

    def _start_hub(self, started: contextlib.ExitStack) -> None:
        port, config = free_port(), self.folder / "hub.toml"
        config.write_text(
            f'listen = "127.0.0.1:{port}"\nstate_dir = "{self.folder}/hub"\n'
            f'[mqtt]\nhost = "127.0.0.1"\nport = {self.broker.port}\n'
        )
        command = ["-c", "from regulator_hub.cli import main; main()"]
        where = ["--config", str(config)]
        add = [sys.executable, *command, "gateways", "add", "--mqtt", *where, GATEWAY]
        added = subprocess.run(add, check=True, capture_output=True, text=True)
        token = self.folder / "token"
        token.write_text(added.stdout.strip())
        token.chmod(0o600)
        self.hub = _Hub(self._program("hub", [*command, "run", *where], lambda: accepts_tcp(port)), port)
        started.enter_context(self.hub.process)

    def _start_signer(self, started: contextlib.ExitStack) -> None:
        """Each side is given the other's key by hand, as people do."""
        folder, self.signer_socket = self.folder / "signer", self.folder / "sign.sock"
        words = ["-m", "tests.faults.launch_signer", "signer", "run", "--folder", str(folder), "--listen", str(self.signer_socket)]
        self.signer = self._program("signer", words, self._signs)
        self.signer.environment["EDGE_FAULTS_PLANTED"] = self.load.planted
        started.enter_context(self.signer)
        public = asyncio.run(SignerClient(self.signer_socket).public())
        self.vkey = Key(f"example.org/{GATEWAY}", ED25519, public)
        hub = [sys.executable, "-c", "from regulator_hub.cli import main; main()"]
        where = ["--config", str(self.folder / "hub.toml")]
        subprocess.run([*hub, "gateways", "key", GATEWAY, str(self.vkey), *where], check=True, capture_output=True)
        (self.folder / "hub.vkey").write_text(subprocess.run([*hub, "key", *where], check=True, capture_output=True, text=True).stdout)

    def _signs(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(str(self.signer_socket))
        except OSError:
            return False
        return True

    # --- configuration ------------------------------------------------------------------------------------------

    @property
    def truth_path(self) -> Path:
        return self.folder / "truth.jsonl"

    def _profiles(self) -> None:
        folder = self.folder / "drivers" / "campaign"
        folder.mkdir(parents=True)
        number = 'function = 3\nregister = 0\ntype = "uint32"'
        half = 'function = 3\nregister = 2\ntype = "uint16"'
        (folder / "unit.toml").write_text(
            _PROFILE.format("unit") + _CITED + "[modbus]\n" + _CHANNEL.format("n", number) + _CHANNEL.format("h", half)
        )
        payload = '[payload]\nformat = "json"\n' + _CHANNEL.format("n", 'path = "n"')
        (folder / "topic.toml").write_text(_PROFILE.format("topic") + _CITED + payload)

    def configure(self, via: str) -> None:
        """Write gateway.toml; `via` is the hub's carrier, `http` or `mqtt`."""
        load = self.load
        hub = (
            f'via = "http"\nurl = "http://127.0.0.1:{self._hub_port}"' if via == "http" else 'via = "mqtt"\nbus = "mq"'
        )
        site = (
            f'[site]\nid = "{GATEWAY}"\norigin = "example.org"\nname_zh = "测试"\nname_en = "Campaign"\n'
            '[clock]\ntrust = "declared"\n[journal]\nmax_bytes = "2GB"\ncommit_every_s = 0.2\n[page]\nlisten = ""\n'
            '[zones.z]\nstage = "storage"\nkind = "frozen-store"\n'
            f'[buses.mq]\nkind = "mqtt"\nhost = "127.0.0.1"\nport = {self._broker_port}\n'
            f'[sinks.hub]\nkind = "hub"\n{hub}\ntoken_file = "{self.folder}/token"\ntimeout_s = 3.0\n'
        )
        text = [site]
        if load.signer:
            text = [f'{site}vkey = "{self.folder}/hub.vkey"\n[signer]\nsocket = "{self.signer_socket}"\n']
        if self.influx is not None:
            text.append(f'[sinks.influx]\nkind = "influxdb1"\nurl = "http://127.0.0.1:{self._influx_port}"\ndatabase = "{DATABASE}"\n')
        for n, port in enumerate(self._plant_ports):
            text.append(f'[buses.b{n}]\nkind = "tcp"\nhost = "127.0.0.1"\nport = {port}\ntimeout_s = 3.0\n')
        for unit in range(1, load.units + 1):
            bus = f"b{unit % len(self._plant_ports)}"
            text.append(
                f'[devices.u{unit}]\nbus = "{bus}"\nunit = {unit}\nprofile = "campaign/unit"\n'
                f"interval_s = {load.interval_s}\n"
            )
            text += [f'[points.u{unit}-{c}]\ndevice = "u{unit}"\nchannel = "{c}"\nzone = "z"\n' for c in "nh"]
        for who in range(load.topics):
            text.append(f'[devices.t{who}]\nbus = "mq"\ntopic = "plant/{who}"\nprofile = "campaign/topic"\n')
            text.append(f'[points.t{who}-n]\ndevice = "t{who}"\nchannel = "n"\nzone = "z"\n')
        (self.folder / "gateway.toml").write_text("".join(text) + load.extra)

    # --- what is watched ----------------------------------------------------------------------------------------

    def _answers(self) -> bool:
        try:
            self._client.get("/v1/position")
        except GatewayError:
            return False
        return True

    def _look(self) -> None:
        while not self._looking.wait(_LOOK_EVERY_S):
            try:
                said = self._client.get("/v1/position")
            except GatewayError:
                continue
            self._latest = (said["epoch"], said["committed_seq"])
            self.seen.position(now_us(), *self._latest)

    def _stop_looking(self) -> None:
        self._looking.set()
        self._looker.join(5.0)

    @property
    def latest(self) -> tuple[str, int]:
        """The epoch and how much of it was last seen committed."""
        return self._latest

    def await_progress(self, entries: int = 5, deadline_s: float = 30.0) -> None:
        """Readings are committed again. Raises TimeoutError."""
        epoch, size = self._latest

        def advanced() -> bool:
            if not self.gateway.running:
                raise ServerFailed(f"the gateway ended by itself:\n{self.gateway.output()[-3000:]}")
            return self._latest[0] != epoch or self._latest[1] >= size + entries

        wait_until(advanced, "readings committed", deadline_s)

    def await_messages(self, deadline_s: float = 40.0) -> None:
        """Messages are acknowledged (again). Raises TimeoutError."""
        before = len(self.heard.acknowledged)
        wait_until(lambda: len(self.heard.acknowledged) > before, "messages acknowledged", deadline_s)

    def await_receipt(self, deadline_s: float = 40.0) -> None:
        """The hub gives receipts (again). Raises TimeoutError."""
        before = self.heard.receipts_seen
        wait_until(lambda: self.heard.receipts_seen > before, "a receipt", deadline_s)

    # --- faults -------------------------------------------------------------------------------------------------

    def kill_gateway(self) -> None:
        """SIGKILL; what was seen committed before is acknowledged."""
        self.gateway.kill()
        self.seen.kills.append(now_us())

    def step_clock(self, offset_us: int) -> None:
        """The gateway's wall clock stands at the true time and ``offset_us`` from now on."""
        fresh = self.folder / "clock.new"
        fresh.write_text(str(offset_us))
        fresh.rename(self.folder / "clock")
        self.gateway.send(signal.SIGUSR2)

    # --- the end ------------------------------------------------------------------------------------------------

    def drain(self, deadline_s: float = 60.0) -> bool:
        """Publishers fall silent, and all that is committed by then reaches the hub; False if it does not in time."""
        os.kill(self.plant.pid, signal.SIGUSR1)
        ends = time.monotonic() + deadline_s
        try:
            wait_until(lambda: self.heard.waiting <= 0, "all messages acknowledged", deadline_s)
            self.await_progress()
            self.seen.ended_us = now_us()
            epoch, size = self._latest
            left = max(1.0, ends - time.monotonic())
            wait_until(lambda: self.hub.sizes().get(epoch, 0) >= size, f"{size} entries at the hub", left)
        except TimeoutError as late:
            self.seen.ended_us = self.seen.ended_us or now_us()
            print(f"not drained: {late}", file=sys.stderr)
            return False
        return True

    def verdict(self) -> Verdict:
        """Stop the gateway in order, so that nothing moves any more, and compare everything with what the hub holds."""
        self.gateway.stop(20.0)
        self._stop_looking()
        return judge(Truth.read(self.truth_path), self.hub.record(), self.seen, self.heard)


class _Hub:
    """The hub's process and its API."""

    def __init__(self, process: ServerProcess, port: int) -> None:
        self.process = process
        self.port = port

    def get(self, path: str) -> bytes:
        """The answer's body; OSError when it does not answer."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1{path}", timeout=20) as answer:
            body: bytes = answer.read()
            return body

    def epochs(self) -> list[dict[str, Any]]:
        """The gateway's epochs as the hub lists them; [] before it ever delivered."""
        for gateway in json.loads(self.get("/gateways"))["gateways"]:
            if gateway["gateway"] == GATEWAY:
                return list(gateway["epochs"])
        return []

    def sizes(self) -> dict[str, int]:
        """Epoch → entries held; {} while the hub is away."""
        try:
            return {epoch["epoch"]: epoch["size"] for epoch in self.epochs()}
        except (OSError, ValueError):
            return {}

    def record(self) -> list[tuple[str, list[bytes]]]:
        """Every epoch's raw entries, in the order in which the hub holds them."""
        found = []
        for epoch in self.epochs():
            lines: list[bytes] = []
            for first in range(0, epoch["size"], 5000):
                path = f"/gateways/{GATEWAY}/entries?epoch={epoch['epoch']}&first={first}&count=5000"
                lines += self.get(path).splitlines()
            found.append((epoch["epoch"], lines))
        return found

    def alarms(self) -> list[dict[str, Any]]:
        """What the hub complained of."""
        return list(json.loads(self.get("/alarms"))["alarms"])
