"""VictoriaMetrics as a second /write target: it accepts v1 and v2 writes, also invalid ones, so it judges nothing."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from tests.servers.process import ServerProcess, find_program, free_port


class VictoriaMetrics(ServerProcess):
    """One VictoriaMetrics at `url`; times come back in milliseconds, a metric is named measurement_field."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        program = find_program("victoria-metrics")
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [
            program,
            f"-httpListenAddr=127.0.0.1:{self.port}",
            f"-storageDataPath={folder / 'data'}",
            "-retentionPeriod=100y",
            "-search.latencyOffset=0s",
        ]
        super().__init__("victoria-metrics", command, folder, self._healthy)

    def export(self, match: str) -> list[dict[str, Any]]:
        """Every series that matches a selector: {metric: labels, values: [..], timestamps: [milliseconds]}."""
        self._get("/internal/force_flush")
        text = self._get("/api/v1/export?" + urllib.parse.urlencode({"match[]": match, "start": "0"}))
        return [json.loads(line) for line in text.splitlines()]

    def _get(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:
            return str(answer.read().decode())

    def _healthy(self) -> bool:
        try:
            return self._get("/health") == "OK"
        except OSError:
            return False
