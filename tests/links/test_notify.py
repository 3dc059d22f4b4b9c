"""Words to the service manager, over real datagram sockets."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_gateway.links.notify import notify


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """What systemd listens on: a socket in the file system, or one with an abstract name (written with @)."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@edge-gateway-test-{tmp_path.name}-{id(tmp_path)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(name.replace("@", "\0", 1) if name.startswith("@") else name)
        listener.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        yield listener


@pytest.mark.parametrize("words", ["READY=1", "STOPPING=1", "WATCHDOG=1\nSTATUS=冷库正常, entry 7"])
def test_words_arrive_whole_in_one_datagram(manager: socket.socket, words: str) -> None:
    assert notify(words)
    assert manager.recv(4096).decode() == words


def test_without_a_manager_nothing_happens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not notify("READY=1")
    for gone in (str(tmp_path / "absent"), "@edge-gateway-nobody", "/" + "x" * 300):
        monkeypatch.setenv("NOTIFY_SOCKET", gone)
        assert not notify("READY=1")
