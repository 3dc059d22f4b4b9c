"""Programs of the gateway under a trap (``trap.py``), started in hundredths of a second: a process that has all modules loaded forks them.

``python -m tests.faults.trapped gateway|signer|hub`` serves lines of JSON on its standard input; ``Trapped`` is its client.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from tests.faults.trap import Ended, Trap
from tests.servers.process import REPOSITORY, ServerFailed

#: What each program loads sooner or later.
_MODULES = {
    "gateway": (
        "tests.faults.launch_gateway", "edge_gateway.app.run", "edge_gateway.cli.run", "edge_gateway.sinks.hub_http", "edge_gateway.sinks.hub_mqtt",
        "edge_gateway.sinks.hub_sink", "edge_gateway.sources.modbus", "edge_gateway.sources.mqtt", "edge_gateway.links.logs", "paho.mqtt.client",
        "pymodbus.client",
    ),
    "signer": ("edge_gateway.cli.main", "edge_gateway.cli.signer", "edge_gateway.signer.service", "edge_gateway.links.logs"),
    "hub": ("regulator_hub.cli", "regulator_hub.app", "edge_gateway.links.logs", "paho.mqtt.client"),
}  # fmt: skip


def _gateway() -> None:
    from tests.faults import launch_gateway

    launch_gateway.launch()


def _signer() -> None:
    from edge_gateway.cli.main import main

    main()


def _hub() -> None:
    from regulator_hub.cli import main

    main()


_PROGRAMS: dict[str, Callable[[], None]] = {"gateway": _gateway, "signer": _signer, "hub": _hub}


class _Lines:
    """Lines of JSON from standard input, with nothing held back in a buffer."""

    def __init__(self) -> None:
        self._held = b""

    def take(self) -> dict[str, Any]:
        """The next one; ends the process at its end."""
        while b"\n" not in self._held:
            more = os.read(0, 65536)
            if not more:
                raise SystemExit(0)
            self._held += more
        line, _, self._held = self._held.partition(b"\n")
        return dict(json.loads(line))


def _serve(program: str) -> None:
    for module in _MODULES[program]:
        importlib.import_module(module)
    lines = _Lines()
    _say({"ready": True})
    while True:
        asked = lines.take()
        trap = Trap.start(lambda asked=asked: _run(_PROGRAMS[program], asked), asked["at"])  # type: ignore[misc]
        _say({"pid": trap.pid})

        def told(trap: Trap) -> None:
            said = lines.take()
            if said["arm"]:
                trap.arm(said["arm"])
            if said["signal"]:
                os.kill(trap.pid, said["signal"])

        _say({"ended": asdict(trap.supervise(0, told))})


def _run(program: Callable[[], None], asked: Mapping[str, Any]) -> None:
    log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for descriptor, file in ((0, os.open(os.devnull, os.O_RDONLY)), (1, log), (2, log)):
        os.dup2(file, descriptor)
    os.environ.update(asked["environment"])
    sys.argv = ["edge-gateway", *asked["arguments"]]
    program()


def _say(what: Mapping[str, Any]) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")


class Trapped:
    """One program that is started again and again; stands for a ``ServerProcess`` in a site."""

    def __init__(self, program: str, arguments: Sequence[str], folder: Path, ready: Callable[[], bool], environment: Mapping[str, str] | None = None) -> None:
        self.arguments = list(arguments)
        self.environment = dict(environment or {})
        self.log_path = folder / f"{program}.log"
        self.pid = 0
        self.ended: Ended | None = Ended(0)
        self._ready = ready
        path = f"{REPOSITORY}{os.pathsep}{REPOSITORY / 'src'}"
        command = [sys.executable, "-m", "tests.faults.trapped", program]
        self._server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path})
        assert self._server.stdout is not None
        if json.loads(self._server.stdout.readline()) != {"ready": True}:
            raise ServerFailed(f"the forge of {program} does not start")

    @property
    def running(self) -> bool:
        self.wait(0.0)
        return self.ended is None

    def output(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def begin(self, at: int = 0) -> None:
        """Start; it is killed before its ``at``-th call (0: never)."""
        self._tell({"arguments": self.arguments, "environment": self.environment, "log": str(self.log_path), "at": at})
        self.ended = None
        self.pid = self._hear()["pid"]

    def start(self, deadline_s: float = 30.0) -> None:
        """Start and wait until it serves. Raises ServerFailed."""
        self.begin()
        ends = time.monotonic() + deadline_s
        while not self._ready():
            if not self.running or time.monotonic() > ends:
                raise ServerFailed(f"it does not serve:\n{self.output()[-2000:]}")
            time.sleep(0.01)

    def end(self, *, signal: int = 0, arm: int = 0) -> None:
        """Send a signal, and kill it before so many calls from now on (0: as before)."""
        self._tell({"signal": signal, "arm": arm})

    def wait(self, deadline_s: float) -> Ended | None:
        """How it ended; None while it runs."""
        assert self._server.stdout is not None
        if self.ended is None and select.select([self._server.stdout], [], [], deadline_s)[0]:
            self.ended = Ended(**self._hear()["ended"])
        return self.ended

    def kill(self) -> None:
        if self.running:
            self.end(signal=9)
            self.wait(10.0)

    def stop(self, deadline_s: float = 20.0) -> None:
        """SIGTERM, after the deadline SIGKILL."""
        if self.running:
            self.end(signal=15)
            if self.wait(deadline_s) is None:
                self.kill()

    def close(self) -> None:
        """End it and what forks it."""
        self.kill()
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait(10.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _tell(self, what: Mapping[str, Any]) -> None:
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps(what).encode() + b"\n")
        self._server.stdin.flush()

    def _hear(self) -> dict[str, Any]:
        assert self._server.stdout is not None
        line = self._server.stdout.readline()
        if not line:
            raise ServerFailed("what forks the program ended")
        return dict(json.loads(line))


if __name__ == "__main__":
    _serve(sys.argv[1])
