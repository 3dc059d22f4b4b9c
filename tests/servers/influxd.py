"""InfluxDB 1.x as Debian ships it: written to over /write, read back over /query as the judge of what arrived."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from tests.servers.process import ServerProcess, find_program, free_port

_CONFIG = """
reporting-disabled = true
bind-address = "127.0.0.1:{rpc_port}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
  query-log-enabled = false
[http]
  bind-address = "127.0.0.1:{port}"
  log-enabled = false
  auth-enabled = {auth}
[monitor]
  store-enabled = false
"""


class Influxd(ServerProcess):
    """One InfluxDB 1.x at `url`; acknowledged points survive `restart`.

    With `auth`, the first act must be `query("CREATE USER root WITH PASSWORD 'secret' WITH ALL PRIVILEGES")`; then set `login`.
    """

    def __init__(self, folder: Path, *, auth: bool = False, port: int | None = None) -> None:
        program = find_program("influxd")
        folder.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.login: tuple[str, str] | None = None
        config = folder / "influxd.conf"
        config.write_text(
            _CONFIG.format(folder=folder, port=self.port, rpc_port=free_port(), auth="true" if auth else "false")
        )
        super().__init__("influxd", [program, "-config", str(config)], folder, self._pings)

    def create_database(self, name: str) -> None:
        """CREATE DATABASE; nothing happens if it exists."""
        self.query(f'CREATE DATABASE "{name}"')

    def write(self, database: str, lines: bytes, precision: str = "u") -> tuple[int, str]:
        """POST the lines as they are: (status, body). 204 and "" when all were stored."""
        ask = {"db": database, "precision": precision, **self._credentials()}
        request = urllib.request.Request(f"{self.url}/write?{urllib.parse.urlencode(ask)}", data=lines, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode()

    def query(self, statement: str, database: str = "") -> dict[str, Any]:
        """The first result of a statement, times as integer microseconds. Raises AssertionError with influxd's error."""
        address = (
            f"{self.url}/query?{urllib.parse.urlencode(self._credentials())}"  # in the body they are not looked at
        )
        body = urllib.parse.urlencode({"q": statement, "db": database, "epoch": "u"}).encode()
        try:
            with urllib.request.urlopen(address, data=body, timeout=60) as answer:
                reply = json.loads(answer.read())
        except urllib.error.HTTPError as refused:
            raise AssertionError(f"{statement}: {refused.code} {refused.read().decode()}") from None
        result: dict[str, Any] = reply["results"][0]
        assert "error" not in result, f"{statement}: {result['error']}"
        return result

    def points(self, database: str, measurement: str, where: str = "") -> list[dict[str, Any]]:
        """Every stored point of a measurement, in time order, one dict a point: `time` in microseconds, tags and fields."""
        condition = f" WHERE {where}" if where else ""
        result = self.query(f'SELECT * FROM "{measurement}"{condition}', database)
        return [
            dict(zip(series["columns"], row, strict=True))
            for series in result.get("series", ())
            for row in series["values"]
        ]

    def _credentials(self) -> dict[str, str]:
        return {"u": self.login[0], "p": self.login[1]} if self.login else {}

    def _pings(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/ping", timeout=1) as answer:
                return bool(answer.status == 204)
        except OSError:
            return False
