"""Serial lines out of pseudo-terminals: socat's pair (unpaced), and a pump that takes the time a real line takes."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.servers.process import REPOSITORY, ServerProcess, find_program


class SocatPair(ServerProcess):
    """Two joined terminals, `a` and `b`; bytes pass at once whatever baud rate is set."""

    def __init__(self, folder: Path) -> None:
        self.a = folder / "tty-a"
        self.b = folder / "tty-b"
        ends = [f"PTY,link={end},rawer" for end in (self.a, self.b)]
        super().__init__("socat", [find_program("socat"), *ends], folder, lambda: self.a.exists() and self.b.exists())


class PacedLine(ServerProcess):
    """Two joined terminals, `a` and `b`, where every byte takes its `bits` / `baud` seconds in each direction.

    No parity or framing errors and no collisions; what this shows is time, not signals.
    """

    def __init__(self, folder: Path, baud: int = 9600, bits: int = 10) -> None:
        self.a = folder / "tty-a"
        self.b = folder / "tty-b"
        command = [sys.executable, "-m", "tests.servers.paced_pump", str(self.a), str(self.b), str(baud), str(bits)]
        super().__init__("paced-line", command, folder, lambda: self.a.exists() and self.b.exists())
        self.environment["PYTHONPATH"] = str(REPOSITORY)
