"""``edge-gateway signer run`` as a process in a folder of its own."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.cli.site import PROGRAM


class SignerProcess:
    """Starts at once; ``kill`` and ``start`` it again."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.socket = folder / "signer", folder / "sign.sock"
        self.start()

    def start(self) -> None:
        """Start it, and wait until it says that it signs."""
        command = [str(PROGRAM), "signer", "run", "--folder", str(self.folder), "--listen", str(self.socket), "--lang", "en"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert "signing at" in line, line + self.process.stdout.read()

    def kill(self) -> None:
        """As a power cut would, for this process."""
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
