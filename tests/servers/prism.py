"""prism over InfluxDB's v2 write contract: refuses a request whose form the published contract does not allow."""

from __future__ import annotations

import re
from pathlib import Path

from tests.servers.process import REPOSITORY, TOOLS, ServerProcess, accepts_tcp, find_program, free_port, require_file

CONTRACT = REPOSITORY / "tests" / "data" / "influx-v2-write.yml"
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


class Prism(ServerProcess):
    """One mock at `url`: a valid write is 204, none or wrong authentication 401, any other violation 400.

    The bodies' lines are not parsed. A client forces another status with the header `Prefer: code=503`.
    """

    def __init__(self, folder: Path, contract: Path = CONTRACT, port: int | None = None) -> None:
        node = find_program("node")
        script = require_file(TOOLS / "prism" / "node_modules" / "@stoplight" / "prism-cli" / "dist" / "index.js")
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [node, str(script), "mock", "--host", "127.0.0.1", "--port", str(self.port), str(contract)]
        super().__init__(
            "prism", command, folder, lambda: "is listening on" in self.output() and accepts_tcp(self.port)
        )

    def violations(self) -> list[str]:
        """Every violation that prism reported so far, one line each, in order."""
        lines = _ESCAPES.sub("", self.output()).splitlines()
        return [line for line in lines if "Violation:" in line]
