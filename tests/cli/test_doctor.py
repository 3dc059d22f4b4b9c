"""``doctor`` and the health of lines in status, page and metrics, with a running gateway and without one."""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.site import Gateway, Plant, config_text
from tests.servers.process import free_port

SERIAL = """
[buses.line1]
kind = "rtu"
port = "{port}"
timeout_s = 0.05
late_max_s = 0.5
quiet_s = 0.05
backoff_first_s = 0.2
backoff_most_s = 0.4

[devices.hall-th]
bus = "line1"
unit = 5
profile = "generic/xy-md02"
interval_s = 1

[points.hall-air]
device = "hall-th"
channel = "temperature"
zone = "cold1"
"""


@pytest.fixture(scope="module")
def plant() -> Iterator[Plant]:
    with Plant() as running:
        yield running


@pytest.fixture
def dead_line() -> Iterator[str]:
    """A serial line on which nobody is."""
    master, slave = os.openpty()
    yield os.ttyname(slave)
    os.close(master)
    os.close(slave)


def page(port: int, path: str, language: str = "en") -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", f"{path}{'&' if '?' in path else '?'}lang={language}")
    text = connection.getresponse().read().decode()
    connection.close()
    return text


def test_a_silent_line_is_told_everywhere(plant: Plant, dead_line: str, tmp_path: Path) -> None:
    port = free_port()
    gateway = Gateway(tmp_path, config_text(plant.port, page=f"127.0.0.1:{port}", more=SERIAL.format(port=dead_line)))
    with gateway:

        def codes(bus: str) -> list[str]:
            return [finding["code"] for finding in gateway.status()["buses"][bus]["link"]["findings"]]

        gateway.wait(lambda: codes("line1") == ["silent-line"] and codes("plc") == ["healthy"], "both lines are judged")
        units = gateway.status()["buses"]["line1"]["link"]["units"]
        assert units["5"]["timeouts"] >= 3
        assert units["5"]["frames"] == 0
        shown = gateway.verb("status")
        assert shown.returncode == 1
        assert "unit 5 (hall-th)  nothing answers" in shown.stdout
        assert "likely: no power, or the cable is open; A and B swapped at the unit" in shown.stdout
        assert "next: measure the supply" in shown.stdout
        assert "最可能" not in shown.stdout
        assert "可能原因: 没有供电或线路断开" in gateway.verb("status", "--lang", "zh").stdout

        metrics = page(port, "/metrics")
        assert 'edge_gateway_link_finding{bus="line1",finding="silent-line",unit="5"} 1.0' in metrics
        assert 'edge_gateway_unit_exchanges_total{bus="line1",unit="5",what="timeouts"}' in metrics
        assert 'finding="healthy"' not in metrics
        for language, words in (("en", "nothing answers"), ("zh", "没有任何应答")):
            assert words in page(port, "/", language)

        doctor = gateway.verb("doctor")
        assert doctor.returncode == 1
        assert "[FAIL] bus line1: unit 5 (hall-th)  nothing answers" in doctor.stdout
        assert "[ OK ] bus plc: healthy" in doctor.stdout
        assert f"[ OK ] page reachable: http://127.0.0.1:{port}/" in doctor.stdout
        assert "look closer: edge-gateway doctor bus line1" in doctor.stdout
        assert "fix: measure the supply" in doctor.stdout
        checks = json.loads(gateway.verb("doctor", "--json").stdout)["checks"]
        assert {check["id"]: check["level"] for check in checks}["service"] == "ok"
        assert "[ 故障 ] 总线 line1" in gateway.verb("doctor", "--lang", "zh").stdout

        looked = gateway.verb("doctor", "bus", "line1", "--duration", "5s", "--json")
        told = json.loads(looked.stdout)
        assert (looked.returncode, told["findings"][0]["code"]) == (1, "silent-line")
        assert told["units"]["5"]["timeouts"] > 0, "asked while looking"
        well = gateway.verb("doctor", "bus", "plc", "--duration", "1s")
        assert well.returncode == 0
        assert "[ OK ] plc  healthy" in well.stdout
        unknown = gateway.verb("doctor", "bus", "nowhere", "--duration", "1s")
        assert (unknown.returncode, "lines: plc, line1" in unknown.stderr) == (1, True)


def test_without_a_gateway_the_line_is_asked_directly(plant: Plant, dead_line: str, tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, config_text(plant.port, more=SERIAL.format(port=dead_line)))
    well = gateway.verb("doctor", "bus", "plc", "--duration", "2s")
    assert (well.returncode, well.stderr) == (0, "looking at plc for 2 s; reads only\n")
    assert "unit 1 (cold1-th)  answers" in well.stdout
    assert "[ OK ] plc  healthy" in well.stdout
    silent = gateway.verb("doctor", "bus", "line1", "--duration", "5s")
    assert silent.returncode == 1
    assert "[FAIL] line1  unit 5 (hall-th)  nothing answers" in silent.stdout
    assert "1. no power, or the cable is open" in silent.stdout
    assert "2. A and B swapped at the unit\n          do: swap A and B at this unit" in silent.stdout
    doctor = gateway.verb("doctor")
    assert doctor.returncode == 1
    assert "[FAIL] no running gateway" in doctor.stdout
    assert f"[ OK ] bus line1: {dead_line} can be opened" in doctor.stdout
    gone = Gateway(tmp_path, config_text(plant.port, more=SERIAL.format(port="/dev/not-there")))
    assert "[FAIL] bus line1: /dev/not-there is not there" in gone.verb("doctor").stdout


def test_a_line_that_does_not_exist_and_a_time_that_is_none(plant: Plant, tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, config_text(plant.port))
    nowhere = gateway.verb("doctor", "bus", "nowhere")
    assert (nowhere.returncode, "lines: plc" in nowhere.stderr) == (1, True)
    assert gateway.verb("doctor", "bus", "plc", "--duration", "soon").returncode == 2


def test_a_refused_configuration_is_a_failed_check(plant: Plant, tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, config_text(plant.port).replace("timeout_s", "timeuot_s"))
    doctor = gateway.verb("doctor")
    assert doctor.returncode == 1
    assert "[FAIL] " in doctor.stdout
    assert "fix: edge-gateway check" in doctor.stdout
