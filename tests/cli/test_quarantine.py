"""``quarantine`` with the running gateway and a receiver that refuses some lines, then takes them."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.cli.site import Gateway, Plant, config_text


class Receiver(ThreadingHTTPServer):
    """An InfluxDB 1.x that knows one bad word: requests with it are refused as a whole."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bad = b"point=cold3-air"
        self.taken: list[bytes] = []


class _Handler(BaseHTTPRequestHandler):
    server: Receiver
    protocol_version = "HTTP/1.0"  # a connection each, so that none outlives the server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        refused = bool(self.server.bad) and self.server.bad in body
        answer = b'{"error":"partial write: field type conflict"}' if refused else b""
        if not refused:
            self.server.taken.append(body)
        self.send_response(400 if refused else 204)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_list_retry_drop(receiver: Receiver, tmp_path: Path) -> None:
    sink = f'\n[sinks.influx]\nkind = "influxdb1"\nurl = "http://127.0.0.1:{receiver.server_port}"\ndatabase = "edge"\n'
    with Plant() as plant, Gateway(tmp_path, config_text(plant.port, interval_s=1.0, more=sink)) as gateway:

        def items() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = json.loads(gateway.verb("quarantine", "list", "--json").stdout)["items"]
            return found

        gateway.wait(lambda: len(items()) >= 2, "two refused lines", 40)
        first, second = items()[:2]
        assert (first["sink"], "point=cold3-air" in first["line"]) == ("influx", True)
        assert "field type conflict" in first["reason"]
        assert "field type conflict" in gateway.verb("quarantine", "list", "--sink", "influx").stdout
        nothing = gateway.verb("quarantine", "list", "--sink", "other")
        assert (nothing.returncode, nothing.stdout) == (0, "")

        again = gateway.verb("quarantine", "retry", str(first["id"]))
        assert (again.returncode, "refused again" in again.stdout) == (1, True), again
        receiver.bad = b""
        taken = gateway.verb("quarantine", "retry", str(first["id"]))
        assert (taken.returncode, taken.stderr) == (0, "1 of 1 taken\n"), taken
        dropped = gateway.verb("quarantine", "drop", str(second["id"]), "--reason", "tried out")
        assert (dropped.returncode, dropped.stderr) == (0, "1 of 1 dropped\n")
        assert not {first["id"], second["id"]} & {item["id"] for item in items()}
        gone = gateway.verb("quarantine", "drop", str(second["id"]), "--reason", "tried out")
        assert (gone.returncode, gone.stderr) == (1, "0 of 1 dropped\n")


def test_retry_while_the_sink_is_away(tmp_path: Path) -> None:
    receiver = Receiver()
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    sink = f'\n[sinks.influx]\nkind = "influxdb1"\nurl = "http://127.0.0.1:{receiver.server_port}"\ndatabase = "edge"\n'
    with Plant() as plant, Gateway(tmp_path, config_text(plant.port, interval_s=1.0, more=sink)) as gateway:

        def ids() -> list[int]:
            return [item["id"] for item in json.loads(gateway.verb("quarantine", "list", "--json").stdout)["items"]]

        gateway.wait(lambda: bool(ids()), "a refused line", 40)
        receiver.shutdown()
        receiver.server_close()
        away = gateway.verb("quarantine", "retry", str(ids()[0]))
        assert (away.returncode, away.stderr.startswith("error  ")) == (5, True), away
        gateway.wait(lambda: gateway.status()["sinks"]["influx"]["state"] == "unreachable", "status tells")
        assert "UNREACHABLE" in gateway.verb("status").stdout
