"""A server as a child process: found, started, awaited, killed, its output kept; knows no particular server."""

from __future__ import annotations

import atexit
import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

REPOSITORY = Path(__file__).resolve().parents[2]
TOOLS = REPOSITORY / ".tools"

# Below the kernel's ephemeral range (32768 up), so that no client's socket sits on the port of a server that restarts.
_PORTS = range(12000, 32000)
#: So many test processes beside each other have ports of their own; those given in this one of late.
_APART, _given = 8, deque[int](maxlen=1_000)


class MissingServer(AssertionError):
    """A real server that a test wants is not installed: a failure, never a skip."""


class ServerFailed(AssertionError):
    """A server ended or did not become ready; the message carries the end of its output."""


def find_program(name: str) -> str:
    """The path of a program on PATH or in sbin. Raises MissingServer with what to run."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if found is None:
        raise MissingServer(f"{name} is not installed; run `make servers` as root, or see tests/install_servers.sh")
    return found


def require_file(path: Path) -> Path:
    """The path itself if it exists. Raises MissingServer with what to run."""
    if not path.exists():
        raise MissingServer(f"{path} is missing; run `make servers` as root, or see tests/install_servers.sh")
    return path


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on now; for servers that cannot be told port 0.

    Some begin to listen long after: so tests beside each other draw from ports of their own, and none is given again soon.
    """
    choose = random.SystemRandom()
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    mine = _PORTS[worker % _APART :: _APART]
    for _ in range(200):
        port = choose.choice(mine)
        if port in _given:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            _given.append(port)
            return port
    raise ServerFailed("no free TCP port found between 12000 and 31999")


def wait_until(condition: Callable[[], bool], what: str, deadline_s: float = 10.0) -> None:
    """Poll until the condition holds. Raises TimeoutError naming what was awaited.

    The longer it lasts, the less often: asking a gateway or a hub all the time takes from it what it needs to get there.
    """
    began = time.monotonic()
    while not condition():
        waited_s = time.monotonic() - began
        if waited_s > deadline_s:
            raise TimeoutError(f"{what}: not within {deadline_s} s")
        time.sleep(min(0.2, 0.01 + waited_s / 20))


def accepts_tcp(port: int) -> bool:
    """Whether something on 127.0.0.1 accepts a connection now (this opens and closes one)."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=0.5).close()
    except OSError:
        return False
    return True


def listens_on(port: int) -> bool:
    """Whether a listening IPv4 socket has this port, read from /proc: for servers that a probe would use up."""
    wanted = f":{port:04X}"
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(wanted) and fields[3] == "0A":
            return True
    return False


class ServerProcess:
    """One server: `start`, `stop` (SIGTERM), `kill` (SIGKILL), as a context manager stopped on leaving.

    The command runs in a session of its own, so that its children end with it; output goes to `<folder>/<name>.log`.
    """

    def __init__(self, name: str, command: Sequence[str], folder: Path, ready: Callable[[], bool]) -> None:
        self.name = name
        self.command = list(command)
        self.folder = folder
        self.log_path = folder / f"{name}.log"
        self.environment: dict[str, str] = {}
        self._ready = ready
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id. Raises ServerFailed if it was never started."""
        if self._process is None:
            raise ServerFailed(f"{self.name} was not started")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process lives now."""
        return self._process is not None and self._process.poll() is None

    def output(self) -> str:
        """Everything that it wrote so far, both streams, over all its starts."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def start(self, deadline_s: float = 40.0) -> None:
        """Start it and wait until it serves. Raises ServerFailed with the end of its output."""
        if self.running:
            raise ServerFailed(f"{self.name} runs already")
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, **self.environment},
            )
        atexit.register(self.kill)
        try:
            wait_until(lambda: not self.running or self._ready(), f"{self.name} ready", deadline_s)
        except TimeoutError:
            self.kill()
            raise ServerFailed(
                f"{self.name} did not become ready in {deadline_s} s:\n{self.output()[-2000:]}"
            ) from None
        if not self.running:
            code = self._process.returncode
            raise ServerFailed(f"{self.name} ended at once with code {code}:\n{self.output()[-2000:]}")

    def stop(self, deadline_s: float = 10.0) -> int:
        """End it in order (SIGTERM, after the deadline SIGKILL); the exit code. Nothing happens if it ended before."""
        return self._end(signal.SIGTERM, deadline_s)

    def kill(self) -> int:
        """End it as a power cut would: SIGKILL to it and its children; the exit code."""
        return self._end(signal.SIGKILL, 10.0)

    def restart(self) -> None:
        """`kill` and `start` with the same ports and the same state on disk."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """SIGSTOP: sockets stay open, nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT after `pause`."""
        os.kill(self.pid, signal.SIGCONT)

    def send(self, number: signal.Signals) -> None:
        """Any other signal."""
        os.kill(self.pid, number)

    def _end(self, how: signal.Signals, deadline_s: float) -> int:
        process = self._process
        if process is None:
            return 0
        if process.poll() is None:
            os.kill(process.pid, how)
            try:
                process.wait(deadline_s)
            except subprocess.TimeoutExpired:
                os.kill(process.pid, signal.SIGKILL)
                process.wait(10.0)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # children that outlived it
        atexit.unregister(self.kill)
        return process.returncode

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
