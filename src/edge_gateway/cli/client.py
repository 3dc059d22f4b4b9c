"""The command line's way to the running gateway: HTTP over its Unix socket; knows no journal and no port."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from edge_gateway.errors import GatewayError

#: Errors of the gateway that mean: the device did not answer, or not properly.
_NO_ANSWER = frozenset(
    {"SourceError", "LinkDown", "LineGone", "SettingsRefused", "NoAnswer", "StillOwed", "BadFrame", "Garbled", "DeviceRefused"}
)
#: … and: a sink is away.
_NO_NETWORK = frozenset({"SinkError", "Unreachable", "NotAuthorised"})

#: … and: somebody else has the line.
_BUSY = frozenset({"ScanBusy", "PortBusy"})


class NotRunning(GatewayError):
    """No gateway answers at the socket."""

    exit_code = 1


class NotPermitted(GatewayError):
    """The socket is not for this user."""

    exit_code = 6


class Refused(GatewayError):
    """The gateway says no, and why. ``exit_code`` follows from whose no it is, which ``kind`` names."""

    def __init__(self, why: str, *, hint: str = "", kind: str = "") -> None:
        super().__init__(why, hint=hint)
        self.kind = kind
        self.exit_code = 4 if kind in _NO_ANSWER else 5 if kind in _NO_NETWORK else 7 if kind in _BUSY else 1


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("gateway", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Client:
    """One request, one answer."""

    def __init__(self, path: Path, *, timeout_s: float = 30.0) -> None:
        self._path = path
        self._timeout_s = timeout_s

    def get(self, path: str) -> dict[str, Any]:
        """The JSON answer. Raises NotRunning, NotPermitted, Refused."""
        return self._ask("GET", path, None)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The JSON answer to a JSON question. Raises NotRunning, NotPermitted, Refused."""
        return self._ask("POST", path, json.dumps(body))

    def put_file(self, path: str, file: BinaryIO) -> dict[str, Any]:
        """The JSON answer to a file's bytes, sent as they are read. Raises NotRunning, NotPermitted, Refused."""
        return self._ask("POST", path, file, "application/octet-stream")

    def get_file(self, path: str) -> bytes:
        """The bytes that are there. Raises NotRunning, NotPermitted, Refused."""
        connection = _Connection(self._path, self._timeout_s)
        try:
            with self._told():
                connection.request("GET", path)
                response = connection.getresponse()
                data = response.read()
                if response.status >= 400:
                    raise _refused(response.status, json.loads(data or b"{}"))
        finally:
            connection.close()
        return data

    def stream(self, path: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """JSON objects, one a line, as they come; closing the iterator hangs up. Raises NotRunning, NotPermitted, Refused."""
        connection = _Connection(self._path, self._timeout_s)
        try:
            with self._told():
                connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
                response = connection.getresponse()
                if response.status >= 400:
                    raise _refused(response.status, json.loads(response.read() or b"{}"))
            while True:
                with self._told():
                    line = response.readline()
                    event = json.loads(line) if line else None
                if event is None:
                    return
                yield event
        finally:
            connection.close()

    def _ask(self, method: str, path: str, body: str | BinaryIO | None, media: str = "application/json") -> dict[str, Any]:
        connection = _Connection(self._path, self._timeout_s)
        try:
            with self._told():
                connection.request(method, path, body, {"Content-Type": media} if body else {})
                response = connection.getresponse()
                answer = json.loads(response.read() or b"{}")
        finally:
            connection.close()
        if not isinstance(answer, dict):
            raise Refused(f"the gateway at {self._path} gave no proper answer")
        if response.status >= 400:
            raise _refused(response.status, answer)
        return answer

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What may go wrong on the way, as errors of ours."""
        try:
            yield
        except PermissionError:
            hint = "join the group that owns it: sudo usermod -aG edge-gateway $USER, then log in again"
            raise NotPermitted(f"no permission for {self._path}", hint=hint) from None
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            hint = "start it with `edge-gateway run`, or name its folder with --state"
            raise NotRunning(f"no gateway answers at {self._path}", hint=hint) from None
        except TimeoutError:
            hint = "it may be busy; `edge-gateway status` tells"
            raise Refused(f"the gateway did not answer within {self._timeout_s:.0f} s", hint=hint) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Refused(f"the gateway at {self._path} gave no proper answer: {error}") from error


def _refused(status: int, answer: dict[str, Any]) -> Refused:
    why, kind = str(answer.get("why", f"status {status}")), str(answer.get("error", ""))
    return Refused(why, hint=str(answer.get("hint", "")), kind=kind)
