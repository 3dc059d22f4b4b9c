"""systemd's watchdog: fed while work is done, starved in time by each way to hang."""

from __future__ import annotations

import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.systemd import BLOCK_S, WATCHDOG_S, Manager, Watched
from tests.cli.site import Plant, config_text
from tests.servers.process import free_port


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    found = Manager(tmp_path)
    yield found
    found.close()


@pytest.fixture
def plant() -> Iterator[Plant]:
    with Plant() as running:
        yield running


@pytest.fixture
def page() -> int:
    return free_port()


@pytest.fixture
def gateway(tmp_path: Path, manager: Manager, plant: Plant, page: int) -> Iterator[Watched]:
    text = config_text(plant.port, page=f"127.0.0.1:{page}")
    with Watched(tmp_path, manager, text) as running:
        manager.expect("READY=1", 20)
        manager.expect("WATCHDOG=1", WATCHDOG_S)
        yield running


def test_it_is_fed_while_all_is_well_and_says_what_it_does(manager: Manager, gateway: Watched) -> None:
    assert manager.longest_hunger_s(2 * WATCHDOG_S) < WATCHDOG_S
    status = [line for line in manager.said if line.startswith("STATUS=entry ")]
    assert len(status) >= 4
    assert len(set(status)) > 1, "the status moves on with the record"
    gateway.send(signal.SIGTERM)
    manager.expect("STOPPING=1", 10)


@pytest.mark.parametrize(
    ("fault", "recovers"),
    [(signal.SIGUSR1, True), (signal.SIGUSR2, True), (signal.SIGSTOP, True), (signal.SIGWINCH, False), (signal.SIGALRM, False)],
    ids=["event loop blocked", "writer thread blocked", "process stopped", "a source's task gone", "intake waits for ever"],
)
def test_it_starves_in_time_when_work_is_not_done(
    manager: Manager, tmp_path: Path, plant: Plant, fault: signal.Signals, recovers: bool
) -> None:
    # Scaled time: a slot stands unaccounted for its interval and 10 s after 0.5 s.
    text = config_text(plant.port, interval_s=2.0).replace('"declared"', '"declared"\nspeed = 20.0')
    with Watched(tmp_path, manager, text) as gateway:
        manager.expect("READY=1", 20)
        manager.expect("WATCHDOG=1", WATCHDOG_S)
        gateway.send(fault)
        time.sleep(WATCHDOG_S / 3)  # a feed may have been on its way
        manager.drain()
        assert manager.longest_hunger_s(WATCHDOG_S) >= WATCHDOG_S - 0.1, "systemd restarts it"
        if fault is signal.SIGSTOP:
            gateway.send(signal.SIGCONT)
        if recovers:
            manager.expect("WATCHDOG=1", 2 * BLOCK_S)
            assert manager.longest_hunger_s(WATCHDOG_S) < WATCHDOG_S
        assert gateway.process.poll() is None


def test_it_says_why_it_starves_and_is_not_ready_then(
    manager: Manager, gateway: Watched, page: int, tmp_path: Path
) -> None:
    address = f"http://127.0.0.1:{page}"
    assert urllib.request.urlopen(f"{address}/readyz", timeout=5).status == 200
    gateway.send(signal.SIGUSR2)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{address}/readyz", timeout=5)
    assert refused.value.code == 503
    assert refused.value.headers["Content-Type"] == "application/problem+json"
    assert b"writer did not answer" in refused.value.read()
    assert urllib.request.urlopen(f"{address}/healthz", timeout=5).status == 200, "it lives, but is not ready"
    manager.drain()
    manager.expect("WATCHDOG=1", 2 * BLOCK_S)
    assert "watchdog not fed: the journal's writer did not answer within" in (tmp_path / "run.log").read_text()
