"""SIGHUP with the running gateway: what is untouched misses no slot, what is refused changes nothing and is told everywhere."""

from __future__ import annotations

import itertools
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_gateway.journal.reading import Reading
from tests.cli.site import Gateway, Plant, config_text
from tests.servers.process import free_port

pytestmark = pytest.mark.timing

INTERVAL_S = 0.2


@pytest.fixture(scope="module")
def plant() -> Iterator[Plant]:
    with Plant() as running:
        yield running


@pytest.fixture
def gateway(plant: Plant, tmp_path: Path) -> Iterator[Gateway]:
    page = free_port()
    running = Gateway(tmp_path, config_text(plant.port, page=f"127.0.0.1:{page}", interval_s=INTERVAL_S))
    running.page = page
    with running:
        running.wait(lambda: running.status().get("points", {}).get("normal") == 3, "readings")
        yield running
    assert "Traceback" not in running.log()


def entries(gateway: Gateway, kind: str) -> list[dict[str, Any]]:
    reading = Reading(gateway.state)
    try:
        return [entry for _, entry in reading.entries() if entry["kind"] == kind]
    finally:
        reading.close()


def slots(gateway: Gateway, group: str) -> list[int]:
    return [entry["slot_us"] for entry in entries(gateway, "batch") if entry["group"] == group]


def missed(found: list[int], interval_us: int) -> list[int]:
    """Places where a slot does not follow the one before."""
    return [at for at, (a, b) in enumerate(itertools.pairwise(found)) if b - a != interval_us]


def page(gateway: Gateway, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{gateway.page}{path}", timeout=5) as answer:
        text: str = answer.read().decode()
    return text


def reload(gateway: Gateway, text: str) -> dict[str, Any]:
    """Change the file, send SIGHUP, wait until it was taken or refused; the status after it."""
    before = gateway.status()["config"]
    gateway.write(text)
    gateway.signal(signal.SIGHUP)

    def settled() -> bool:
        now = gateway.status()["config"]
        keys = ("applied_wall_us", "rejected_wall_us")
        return any(now[key] != before[key] for key in keys)

    gateway.wait(settled, "the reload is over")
    return gateway.status()


def test_untouched_devices_miss_no_slot(gateway: Gateway) -> None:
    text = gateway.config.read_text()
    gateway.settle(2.0)
    slower = text.replace(
        'unit = 2\nprofile = "generic/xy-md02"\ninterval_s = 0.2',
        'unit = 2\nprofile = "generic/xy-md02"\ninterval_s = 0.4',
    )
    assert slower != text
    for number in range(3):
        status = reload(gateway, (slower, text)[number % 2])
        assert status["config"]["rejected"] == ""
    without = text.split("\n[zones.cold3]")[0]
    status = reload(gateway, without)
    assert {row["point"] for row in gateway.status()["rows"]} == {"cold1-air", "cold2-air"}
    gateway.settle(1.0)
    gateway.stop()
    found = slots(gateway, "cold1-th.0")
    assert len(found) > 15
    assert missed(found, round(INTERVAL_S * 1e6)) == []
    assert [entry["reason"] for entry in entries(gateway, "config")] == ["start"] + ["reload"] * 4
    changed = {change["key"] for entry in entries(gateway, "config")[1:] for change in entry["changes"]}
    assert "devices.cold2-th.interval_s" in changed


def test_a_changed_bus_says_why_its_rhythm_ends(gateway: Gateway) -> None:
    text = gateway.config.read_text()
    reload(gateway, text.replace("timeout_s = 1.0", "timeout_s = 0.9"))
    gateway.wait(lambda: gateway.status()["points"]["normal"] == 3, "readings again")
    gateway.settle(0.5)
    gateway.stop()
    gaps = [entry for entry in entries(gateway, "gap") if entry.get("reason") == "reconfigured"]
    assert {group for gap in gaps for group in gap["groups"]} == {"cold1-th.0", "cold2-th.0", "cold3-th.0"}
    closed = {entry["gap"] for entry in entries(gateway, "gap") if entry["state"] == "closed"}
    assert {gap["gap"] for gap in gaps} <= closed


def test_a_refused_file_changes_nothing_and_is_told_everywhere(gateway: Gateway) -> None:
    text = gateway.config.read_text()
    status = reload(gateway, text.replace('device = "cold2-th"', 'device = "cold2-ht"'))
    why = status["config"]["rejected"]
    assert "no device 'cold2-ht'" in why
    assert "did you mean 'cold2-th'?" in why
    assert status["points"]["normal"] == 3
    assert "configuration on disk was refused" in status["problems"]
    shown = gateway.verb("status")
    assert (shown.returncode, "REJECTED" in shown.stdout, "no device 'cold2-ht'" in shown.stdout) == (1, True, True)
    chinese = gateway.verb("status", "--lang", "zh")
    assert "磁盘上的新配置被拒绝" in chinese.stdout
    assert "edge_gateway_config_reload_success 0.0" in page(gateway, "/metrics")
    assert "cold2-ht" in page(gateway, "/")
    gateway.settle(0.6)
    status = reload(gateway, text)  # mended: nothing is left of it
    assert status["config"]["rejected"] == ""
    assert "edge_gateway_config_reload_success 1.0" in page(gateway, "/metrics")
    gateway.stop()
    for unit in (1, 2, 3):
        assert missed(slots(gateway, f"cold{unit}-th.0"), round(INTERVAL_S * 1e6)) == []
    events = [entry for entry in entries(gateway, "event") if entry["event"] == "config-rejected"]
    assert [("cold2-ht" in event["why"], event["by"]) for event in events] == [(True, "signal")]


def test_what_needs_a_restart_is_listed_and_stays_as_it_runs(gateway: Gateway) -> None:
    text = gateway.config.read_text()
    wanted = text.replace('id = "tlf-007"', 'id = "tlf-008"').replace("commit_every_s = 0.05", "commit_every_s = 1.0")
    wanted = wanted.replace('name_en = "Sample"', 'name_en = "Renamed"')
    wanted += '\n[sinks.influx]\nkind = "influxdb1"\nurl = "http://127.0.0.1:9"\ndatabase = "edge"\n'
    status = reload(gateway, wanted)
    assert status["config"]["pending_restart"] == ["journal.commit_every_s", "sinks.influx", "site.id"]
    assert (status["site"]["id"], status["site"]["name_en"]) == ("tlf-007", "Renamed")
    assert status["sinks"] == {}
    shown = gateway.verb("status").stdout
    assert "takes effect at the next start: journal.commit_every_s, sinks.influx, site.id" in shown
    assert reload(gateway, text)["config"]["pending_restart"] == []


def test_a_secret_that_vanished_refuses_the_reload(gateway: Gateway) -> None:
    text = gateway.config.read_text()
    more = '\n[buses.zigbee]\nkind = "mqtt"\nhost = "127.0.0.1"\nuser = "gw"\npassword_file = "gone"\n'
    status = reload(gateway, text + more)
    assert "there is no file" in status["config"]["rejected"]
    assert status["points"]["normal"] == 3


def test_reload_over_the_socket_answers_whether_it_was_taken(gateway: Gateway) -> None:
    from edge_gateway.cli.client import Client

    client = Client(gateway.state / "control.sock")
    assert client.post("/v1/reload", {})["rejected"] == ""
    gateway.write("[site\n")
    assert "not TOML" in client.post("/v1/reload", {})["rejected"]
