"""The demonstration's processes: started tied to us, told lines, ended in order; knows not what they do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_END_S = 3.0


class ChildFailed(Exception):
    """A process ended that must not, or did not become ready; the message carries the end of its log."""


class Child:
    """One process. Its stderr goes to ``<folder>/<name>.log``; ``hear`` gives its stdout line by line."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self._process = process
        self._log = log
        self._given_up = False
        self._said: asyncio.Queue[str | None] = asyncio.Queue()
        self._listening = asyncio.create_task(self._listen(), name=f"hear {name}")

    @classmethod
    async def start(cls, name: str, command: Sequence[str], folder: Path) -> Child:
        """Start a program in a session of its own: a terminal's Ctrl-C is for us, who then end it in order."""
        log = folder / f"{name}.log"
        tied = [sys.executable, "-m", "edge_gateway.demo.tether", str(os.getpid()), *command]
        with log.open("ab") as errors:
            process = await asyncio.create_subprocess_exec(
                *tied,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        return cls(name, process, log)

    @property
    def running(self) -> bool:
        """Whether it lives."""
        return self._process.returncode is None

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            self._said.put_nowait(line.decode(errors="replace").rstrip("\n"))
        await self._process.wait()
        self._said.put_nowait(None)

    async def hear(self) -> str:
        """The next line of its stdout. Raises ChildFailed when it ends before."""
        line = await self._said.get()
        if line is None:
            self._said.put_nowait(None)  # whoever asks again hears the same
            raise ChildFailed(self._last_words())
        return line

    async def hear_json(self) -> dict[str, Any]:
        """The next line, which is a JSON object. Raises ChildFailed."""
        heard: dict[str, Any] = json.loads(await self.hear())
        return heard

    async def ended(self) -> None:
        """Wait for its end, which must not come: raises ChildFailed. One that was given up may end."""
        await self._process.wait()
        if self._given_up:
            await asyncio.Event().wait()
        raise ChildFailed(self._last_words())

    def order(self, word: str) -> None:
        """A line to its stdin."""
        assert self._process.stdin is not None
        self._process.stdin.write(word.encode() + b"\n")

    async def end(self, within_s: float = _END_S) -> int:
        """SIGTERM, then SIGKILL; the exit code."""
        if self.running:
            self._signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(within_s):
                    await self._process.wait()
            except TimeoutError:
                self.kill()
        await self._listening
        return await self._process.wait()

    def give_up(self) -> None:
        """SIGKILL, and its end is nobody's fault."""
        self._given_up = True
        self.kill()

    def send(self, number: signal.Signals) -> None:
        """A signal, if it still lives."""
        if self.running:
            self._signal(number)

    def kill(self) -> None:
        """SIGKILL, if it still lives."""
        if self.running:
            self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        # Not the process object's own: it would look for the end first, and take the exit code from those who wait for it.
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, number)

    def _last_words(self) -> str:
        text = self._log.read_text(errors="replace") if self._log.exists() else ""
        return f"{self.name} ended (exit code {self._process.returncode})\n{text[-2000:]}".rstrip()


def program(name: str) -> list[str]:
    """How one of this project's commands is started: the script beside our interpreter, else through its module."""
    script = Path(sys.executable).with_name(name)
    modules: Mapping[str, str] = {"edge-gateway": "edge_gateway.cli", "regulator-hub": "regulator_hub.cli"}
    call = f"import sys; sys.argv[0] = '{name}'; from {modules[name]} import main; main()"
    return [str(script)] if script.exists() else [sys.executable, "-c", call]


def module(name: str, *arguments: str) -> list[str]:
    """How one of the demonstration's own programs is started."""
    return [sys.executable, "-m", f"edge_gateway.demo.{name}", *arguments]
