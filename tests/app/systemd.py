"""systemd's side for tests: a real datagram socket that is told and hungers, and the gateway started as a service."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

from tests.cli.site import PACK
from tests.servers.process import REPOSITORY

LAUNCHER = REPOSITORY / "tests/app/launch_watched.py"
#: WatchdogSec of these tests (real seconds). The gateway feeds three times as often.
WATCHDOG_S = 3.0
#: How long the hooks block: long enough for systemd to have killed it.
BLOCK_S = 2 * WATCHDOG_S


class Manager:
    """systemd's side of sd_notify: a datagram socket, and what came through it with its time."""

    def __init__(self, folder: Path) -> None:
        self.address = str(folder / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self.said: list[str] = []

    def word(self, timeout_s: float) -> list[str]:
        """The lines of the next datagram; empty when none comes in time."""
        self._socket.settimeout(max(timeout_s, 0.001))
        try:
            lines = self._socket.recv(65_536).decode().splitlines()
        except TimeoutError:
            return []
        self.said += lines
        return lines

    def expect(self, line: str, timeout_s: float) -> None:
        """Wait for a line."""
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            if line in self.word(deadline_s - time.monotonic()):
                return
        raise AssertionError(f"no {line} within {timeout_s} s; said: {self.said[-20:]}")

    def longest_hunger_s(self, span_s: float) -> float:
        """Listen for so long; the longest time between two feeds, as systemd would measure it."""
        started_s = fed_s = time.monotonic()
        longest_s = 0.0
        while (now_s := time.monotonic()) - started_s < span_s:
            fed = "WATCHDOG=1" in self.word(started_s + span_s - now_s)
            now_s = time.monotonic()
            longest_s = max(longest_s, now_s - fed_s)
            if fed:
                fed_s = now_s
        return longest_s

    def drain(self) -> None:
        """Forget what lies in the socket already."""
        while self.word(0.0):
            pass

    def close(self) -> None:
        self._socket.close()


class Watched:
    """The gateway as systemd would start it."""

    def __init__(self, folder: Path, manager: Manager, text: str, *, commit_s: float = 2.0) -> None:
        """``commit_s``: how long intake may commit nothing; short where the plant is read each second."""
        (folder / "rules").mkdir()
        (folder / "rules/house.toml").write_text(PACK, encoding="utf-8")
        config = folder / "gateway.toml"
        config.write_text(text, encoding="utf-8")
        self._log = (folder / "run.log").open("wb")
        arguments = [str(config), str(folder / "state"), str(folder / "control.sock"), str(BLOCK_S), str(commit_s)]
        environment = {**os.environ, "NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": str(int(WATCHDOG_S * 1e6))}
        self.process = subprocess.Popen(
            [sys.executable, str(LAUNCHER), *arguments], env=environment, stdout=self._log, stderr=self._log
        )

    def send(self, number: signal.Signals) -> None:
        """Pull a hook."""
        self.process.send_signal(number)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            self.process.wait(20)
        finally:
            self.process.kill()
            self._log.close()
