"""A small site for tests of the command line: a Modbus TCP server of pymodbus, a configuration, the gateway as a process."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from edge_gateway.cli.client import Client, NotRunning
from tests.servers.process import REPOSITORY, wait_until
from tests.servers.write_ledger import heard

PROGRAM = Path(sys.executable).with_name("edge-gateway")
FROZEN, THAWED = -190, -50  # tenths of a degree


class Plant:
    """XY-MD02 transmitters at units 1 … n of a TCP port, in a thread of their own."""

    def __init__(self, units: int = 3) -> None:
        self._tenths = dict.fromkeys(range(1, units + 1), FROZEN)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.port = 0

    def set(self, unit: int, tenths: int) -> None:
        """What input register 1 holds from now on."""
        self._tenths[unit] = tenths

    def _device(self, unit: int) -> SimDevice:
        async def answer(
            _code: int, start: int, _address: int, _count: int, registers: list[int], _values: object
        ) -> None:
            registers[1 - start] = self._tenths[unit] & 0xFFFF

        return SimDevice(unit, [SimData(0, values=[0, 0, 800, 0], datatype=DataType.REGISTERS)], action=answer)

    async def _start(self) -> ModbusTcpServer:
        devices = [self._device(unit) for unit in self._tenths]
        server = ModbusTcpServer(devices, address=("127.0.0.1", 0), trace_pdu=heard)
        await server.listen()
        assert server.transport is not None
        self.port = server.transport.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        return server

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._server.shutdown(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


def config_text(port: int, *, page: str = "", interval_s: float = 0.2, more: str = "") -> str:
    """A site with three cold stores on one bus, judged by a pack with short delays."""
    text = f"""[site]
id = "tlf-007"
origin = "example.org/xj"
name_zh = "示例站"
name_en = "Sample"

[clock]
trust = "declared"

[journal]
max_bytes = "200MB"
commit_every_s = 0.05

[page]
listen = "{page}"

[rules]
packs = ["house"]

[buses.plc]
kind = "tcp"
host = "127.0.0.1"
port = {port}
timeout_s = 1.0
"""
    for unit in (1, 2, 3):
        text += f"""
[zones.cold{unit}]
stage = "storage"
kind = "frozen-store"

[devices.cold{unit}-th]
bus = "plc"
unit = {unit}
profile = "generic/xy-md02"
interval_s = {interval_s}

[points.cold{unit}-air]
device = "cold{unit}-th"
channel = "temperature"
zone = "cold{unit}"
"""
    return text + more


PACK = """id = "house"
version = "1.0.0"
edition = "2026-11"
name_zh = "测试"
name_en = "Short delays"

[[rule]]
id = "house-air"
kind = "limit"
select = { zone_kind = "frozen-store", quantity = "temperature" }
unit = "Cel"
high = "-18"
violation_after_s = 0.5
severity = "major"
department = "market-regulation"
title_zh = "过高"
title_en = "Too warm"
do_zh = ["关门"]
do_en = ["Shut the door"]
[rule.basis]
standard = "house rule"
clause = "1"
edition = "2026"
effective_from = "2026-01-01"
verified = "no"
source = "the operator"
"""


@contextmanager
def peopled(folder: Path, plant: Plant, secrets: Mapping[str, str]) -> Iterator[Gateway]:
    """A gateway with three points within their limits, and people whose secrets lie in files of their names."""
    for unit in (1, 2, 3):
        plant.set(unit, FROZEN)
    with Gateway(folder, config_text(plant.port)) as found:
        for name, secret in secrets.items():
            (folder / name).write_text(secret + "\n", encoding="utf-8")
            added = found.verb("people", "add", name, "--role", "quality", "--secret-file", str(folder / name), "--reason", "test")
            assert added.returncode == 0, added.stderr
        found.wait(lambda: found.status().get("points", {}).get("normal") == 3, "all points within limits")
        yield found


def program(folder: Path, first: str) -> Path:
    """The gateway's own program behind a test's own ``first``: Python that sets what would be waited for, or how large something is."""
    path = folder / "edge-gateway-first"
    path.write_text(f"#!{sys.executable}\n{first}\nfrom edge_gateway.cli.main import main\nmain()\n")
    path.chmod(0o755)
    return path


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
        process.wait()


class Gateway:
    """`edge-gateway run` as a process in a folder of its own, and its verbs."""

    def __init__(self, folder: Path, text: str) -> None:
        self.folder = folder
        self.config = folder / "gateway.toml"
        self.state = folder / "state"
        self.write(text)
        (folder / "rules").mkdir(exist_ok=True)
        (folder / "rules" / "house.toml").write_text(PACK, encoding="utf-8")
        self.page = 0
        self._process: subprocess.Popen[bytes] | None = None

    def write(self, text: str) -> None:
        """Change the configuration."""
        self.config.write_text(text, encoding="utf-8")

    def verb(self, *arguments: str, timeout_s: float = 30.0) -> subprocess.CompletedProcess[str]:
        """Run a verb to its end."""
        command = [str(PROGRAM), *arguments, "--config", str(self.config), "--state", str(self.state)]
        environment = {**os.environ, "EDGE_GATEWAY_LANG": "en", "PYTHONPATH": str(REPOSITORY / "src")}
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, env=environment, check=False)

    def status(self) -> dict[str, Any]:
        """What `status --json` prints, asked without the price of a program; {} while nobody answers."""
        client = Client(self.state / "control.sock")
        try:
            return client.get("/v1/status") | {"rows": client.get("/v1/points")["points"]}
        except NotRunning:
            return {}

    def start(self) -> Self:
        """Start it, and wait until it answers."""
        self._log = (self.folder / "run.log").open("ab")
        command = [str(PROGRAM), "run", "--config", str(self.config), "--state", str(self.state)]
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log, start_new_session=True)
        weakref.finalize(self, _end, self._process)  # no test leaves one running, however it failed
        self.wait(lambda: self._ended() or self._answers(), "the control socket answers")
        assert not self._ended(), self.log()
        return self

    def _ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def _answers(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(str(self.state / "control.sock"))
        except OSError:
            return False
        return True

    def wait(self, condition: Callable[[], bool], what: str, deadline_s: float = 40.0) -> None:
        """Poll a condition; the gateway's log is told when it does not come true."""
        try:
            wait_until(condition, what, deadline_s)
        except TimeoutError as error:
            raise AssertionError(f"{error}\n{self.log()[-4000:]}") from None

    def log(self) -> str:
        """What the gateway wrote to stderr."""
        return (self.folder / "run.log").read_text(errors="replace")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.terminate()
        try:
            return self._process.wait(15)
        finally:
            self._process.kill()
            self._log.close()

    def kill(self) -> None:
        """As a power cut would, for this process."""
        self.signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()
        self._log.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if not self._ended():
            self.stop()

    def settle(self, seconds: float) -> None:
        """Let real time pass: what is tested here is what happens in it."""
        time.sleep(seconds)
