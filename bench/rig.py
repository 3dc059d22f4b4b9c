"""What the benchmarks of the whole gateway share: a field, a receiver, a hub and the gateway as processes, and their CPU.

The gateway is pinned to core 0, everything else to core 1. CPU is the kernel's: run time of all threads.
"""

from __future__ import annotations

import asyncio
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from edge_gateway.cli.client import Client, NotRunning, Refused
from edge_gateway.record.note import ED25519, Key
from edge_gateway.signer.client import Client as SignerClient

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
GATEWAY_CORE, LOAD_CORE = 0, 1

PROFILE = """\
id = "bench/unit"
vendor = "bench"
model = "unit"
name_zh = "基准"
name_en = "Benchmark unit"
verified = "no"
[[sources]]
cite = "made for the benchmark"
verified = "no"
[modbus]
gap_readable = true
"""

#: The changing unit's points: a violation at once, over at once.
PACK = """\
id = "bench"
version = "1.0.0"
edition = "2026-11"
name_zh = "基准"
name_en = "Benchmark"
[[rule]]
id = "at-once"
kind = "limit"
select = { zone_kind = "cutting-room", quantity = "temperature" }
unit = "Cel"
high = "-18"
notice_after_s = 0
violation_after_s = 0
clear_after_s = 0
severity = "major"
department = "market-regulation"
title_zh = "基准"
title_en = "Benchmark"
do_zh = ["无"]
do_en = ["nothing"]
[rule.basis]
standard = "bench"
clause = "bench"
edition = "bench"
effective_from = "unknown"
verified = "no"
source = "made for the benchmark"
"""


@dataclass(slots=True, kw_only=True)
class Plan:
    """What is run. ``units``: devices on one connection; ``influx``: 0 none, 1 or 2; ``changer_s``: 0 none."""

    devices: int = 50
    points: int = 20
    units: int = 1
    interval_s: float = 1.0
    kind: str = "float32"
    every_s: float = 1.0
    influx: int = 1
    hub: bool = True
    sign: bool = False  # a signer beside it, and the hub cosigns
    changer_s: float = 0.0
    calm: bool = False
    launch: tuple[str, ...] = ()  # options of bench/launch.py; empty: the gateway's own command
    env: dict[str, str] = field(default_factory=dict)

    @property
    def asked_per_s(self) -> float:
        """Readings a second."""
        return self.devices * self.units * self.points / self.interval_s


def cpu_s(pid: int) -> float:
    """Seconds that a process' threads ran. Threads that ended are not in it; neither program here ends any."""
    return sum(int(task.read_text().split()[0]) for task in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def rss_mb(pid: int) -> float:
    """Resident memory, in millions of bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def wait_for(what: str, found: Callable[[], bool], seconds: float = 20.0) -> float:
    """Poll until ``found()`` is true; how long it took."""
    started = time.monotonic()
    while not found():
        if time.monotonic() - started > seconds:
            raise SystemExit(f"{what} did not happen within {seconds} s")
        time.sleep(0.02)
    return time.monotonic() - started


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def said(*command: str) -> str:
    """What a command prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Rig:
    """A folder with everything started in it; ``with`` ends it all."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.folder = Path(tempfile.mkdtemp(prefix="bench-"))
        self.state = self.folder / "state"
        self.page_port = free_port()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.client = Client(self.state / "control.sock")

    def __enter__(self) -> Self:
        try:
            return self._begin()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        for name in reversed(list(self.processes)):
            self.stop(name)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _begin(self) -> Self:
        plan, ports = self.plan, self.folder / "ports"
        changer = ["--changer", str(self.folder / "answers.json")] if plan.changer_s else []
        changer += ["--calm"] if plan.calm else []
        registers = plan.points * (2 if plan.kind == "float32" else 1)
        options = ["--devices", plan.devices, "--registers", registers, "--kind", plan.kind, "--every", plan.every_s]
        field_py = [sys.executable, ROOT / "bench" / "field.py"]
        self.start("field", LOAD_CORE, *field_py, *options, "--port-file", ports, *changer)
        expected = plan.devices + bool(plan.changer_s)
        wait_for("the field", lambda: ports.exists() and ports.read_text().count("\n") == expected)
        influx = hub = ""
        if plan.influx:
            port = free_port()
            self.start("receiver", LOAD_CORE, sys.executable, ROOT / "bench" / "receiver.py", port)
            influx = f"http://127.0.0.1:{port}"
        if plan.hub:
            hub = self._hub()
        if plan.sign:
            self._signer()
        configure(self.folder, plan, [int(p) for p in ports.read_text().split()], influx, hub, self.page_port)
        self.start_gateway()
        return self

    def _hub(self) -> str:
        port, config = free_port(), self.folder / "hub.toml"
        config.write_text(f'listen = "127.0.0.1:{port}"\nstate_dir = "{self.folder}/hub"\n')
        program, where = str(BIN / "regulator-hub"), ["--config", str(config)]
        added = said(program, "gateways", "add", *where, "bench")
        token = self.folder / "token"
        token.touch(0o600)
        token.write_text(next(word for word in added.split() if word.startswith("rh_")))
        self.start("hub", LOAD_CORE, program, "run", *where)
        return f"http://127.0.0.1:{port}"

    def _signer(self) -> None:
        """A signing process on the load's core, its key brought to the hub, the hub's to the gateway."""
        socket, config = self.folder / "sign.sock", self.folder / "hub.toml"
        self.start("signer", LOAD_CORE, BIN / "edge-gateway", "signer", "run", "--folder", self.folder / "signer", "--listen", socket)
        wait_for("the signer", socket.exists)
        public = asyncio.run(SignerClient(socket).public())
        program = str(BIN / "regulator-hub")
        said(program, "gateways", "key", "--config", str(config), "bench", str(Key("example.org/bench", ED25519, public)))
        (self.folder / "hub.vkey").write_text(said(program, "key", "--config", str(config)))

    def start(self, name: str, core: int, *command: object) -> None:
        """Start a program pinned to a core; its output goes to a file of its name."""
        words = ["taskset", "-c", str(core), *map(str, command)]
        with (self.folder / f"{name}.log").open("wb") as log:
            env = os.environ | (self.plan.env if name == "gateway" else {})
            self.processes[name] = subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT, env=env)

    def stop(self, name: str) -> None:
        """SIGTERM, then wait."""
        process = self.processes.pop(name)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def start_gateway(self) -> float:
        """Start it; the monotonic time at which it was started."""
        config = self.folder / "gateway.toml"
        command: list[object] = [BIN / "edge-gateway", "--config", config, "--state", self.state, "run"]
        if self.plan.launch:
            command = [sys.executable, ROOT / "bench" / "launch.py", config, self.state, *self.plan.launch]
        started = time.monotonic()
        self.start("gateway", GATEWAY_CORE, *command)
        return started

    def running(self, devices_heard: int = 1) -> float:
        """Wait until so many entries beyond the first few are committed; how long it took."""
        return wait_for("the first readings", lambda: self.committed() > devices_heard + 4, 60.0)

    def committed(self) -> int:
        """Entries that are durable; -1 while the gateway does not answer."""
        if (code := self.processes["gateway"].poll()) is not None:
            raise SystemExit(f"the gateway ended with {code}: {(self.folder / 'gateway.log').read_text()[-2000:]}")
        try:
            return int(self.client.get("/v1/position")["committed_seq"])
        except (NotRunning, Refused):
            return -1

    def status(self) -> dict[str, Any]:
        """As ``edge-gateway status`` sees it."""
        return dict(self.client.get("/v1/status"))

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds of every process so far."""
        return {name: cpu_s(process.pid) for name, process in self.processes.items()}

    def rss_mb(self) -> float:
        """The gateway's resident memory."""
        return rss_mb(self.processes["gateway"].pid)


class Reader:
    """A browser that has the gateway's page open: reads its stream until closed."""

    def __init__(self, port: int) -> None:
        page = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        page.request("GET", "/")
        page.getresponse().read()
        page.request("GET", "/events")
        answer = page.getresponse()
        if answer.status != 200:
            raise SystemExit(f"the page's stream answers {answer.status}")
        self.received = 0
        self._page, self._answer = page, answer
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while data := self._answer.read1(65536):
            self.received += len(data)


def configure(folder: Path, plan: Plan, ports: list[int], influx: str, hub: str, page_port: int) -> None:
    """gateway.toml with a bus for each port, its devices and their points; every point has its rules."""
    drivers = folder / "drivers" / "bench"
    drivers.mkdir(parents=True)
    (drivers / "unit.toml").write_text(profile("unit", plan.points, plan.kind))
    number = profile("changer", 2, "float32").rpartition('quantity = "temperature"\nunit = "Cel"')
    (drivers / "changer.toml").write_text(f'{number[0]}quantity = "count"\nunit = "1"{number[2]}')
    head = (
        '[site]\nid = "bench"\norigin = "example.org"\nname_zh = "基准"\nname_en = "Bench"\n'
        '[clock]\ntrust = "declared"\n'
        f'[journal]\nmax_bytes = "20GB"\ncommit_every_s = 1.0\n[page]\nlisten = "127.0.0.1:{page_port}"\n'
        '[zones.cold]\nstage = "storage"\nkind = "frozen-store"\n'
        '[zones.changing]\nstage = "storage"\nkind = "cutting-room"\n'
    )
    text = [head]
    if influx and plan.influx == 1:
        text.append(f'[sinks.influx]\nkind = "influxdb1"\nurl = "{influx}"\ndatabase = "bench"\n')
    elif influx:
        (folder / "influx-token").write_text("bench")
        (folder / "influx-token").chmod(0o600)
        table = f'kind = "influxdb2"\nurl = "{influx}"\norg = "bench"\nbucket = "bench"\n'
        text.append(f'[sinks.influx]\n{table}token_file = "{folder}/influx-token"\n')
    if hub:
        text.append(f'[sinks.hub]\nkind = "hub"\nvia = "http"\nurl = "{hub}"\ntoken_file = "{folder}/token"\n')
    if plan.sign:
        text.insert(1, f'[signer]\nsocket = "{folder}/sign.sock"\n')
        text.append(f'vkey = "{folder}/hub.vkey"\n')
    for number, port in enumerate(ports[: plan.devices]):
        text.append(f'[buses.b{number}]\nkind = "tcp"\nhost = "127.0.0.1"\nport = {port}\n')
        text += [_device(f"d{number}-{unit}", f"b{number}", unit, plan) for unit in range(1, plan.units + 1)]
    if plan.changer_s:
        (folder / "rules").mkdir()
        (folder / "rules" / "bench.toml").write_text(PACK)
        text.append('[rules]\npacks = ["cold-chain", "bench"]\n')
        text.append(f'[buses.changer]\nkind = "tcp"\nhost = "127.0.0.1"\nport = {ports[-1]}\n')
        text.append(
            f'[devices.changer]\nbus = "changer"\nunit = 1\nprofile = "bench/changer"\ninterval_s = {plan.changer_s}\n'
        )
        text += [f'[points.changer-{n}]\ndevice = "changer"\nchannel = "t{n}"\nzone = "changing"\n' for n in (0, 1)]
    (folder / "gateway.toml").write_text("".join(text))


def _device(name: str, bus: str, unit: int, plan: Plan) -> str:
    points = [f'[points.{name}-{n}]\ndevice = "{name}"\nchannel = "t{n}"\nzone = "cold"\n' for n in range(plan.points)]
    head = f'[devices.{name}]\nbus = "{bus}"\nunit = {unit}\nprofile = "bench/unit"\ninterval_s = {plan.interval_s}\n'
    return head + "".join(points)


def profile(name: str, points: int, kind: str) -> str:
    """A device profile of so many temperatures, one after the other."""
    width, scale = (2, "") if kind == "float32" else (1, "scale = 0.1\n")
    channels = [
        f'[channels.t{n}]\nfunction = 3\nregister = {n * width}\ntype = "{kind}"\n{scale}'
        'quantity = "temperature"\nunit = "Cel"\ndecimals = 2\n'
        for n in range(points)
    ]
    return PROFILE.replace("bench/unit", f"bench/{name}") + "".join(channels)
