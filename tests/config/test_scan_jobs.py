"""Which line a scan is of, and how it is spoken to: by bus, port, host or range; what is known there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge_gateway.config.model import GatewayConfig
from edge_gateway.config.scanning import MOST_HOSTS, Job, jobs
from edge_gateway.errors import GatewayError
from edge_gateway.links.modbus import RtuSettings, TcpSettings
from edge_gateway.sources.modbus_scan import Framing

SITE = {"id": "s", "origin": "example.org/s", "name_zh": "站", "name_en": "Site"}
BUSES: dict[str, Any] = {
    "line1": {"kind": "rtu", "port": "/dev/ttyUSB0", "baud": 19200, "parity": "E", "spacing_s": 0.02},
    "old": {"kind": "ascii", "port": "/dev/ttyUSB1", "bytesize": 7, "parity": "E"},
    "plc": {"kind": "tcp", "host": "192.0.2.7", "port": 1502, "framing": "rtu", "reopen_wait_s": 2.0},
    "zigbee": {"kind": "mqtt", "host": "127.0.0.1"},
}
DEVICES = {
    "cold1": {"bus": "line1", "unit": 3, "profile": "generic/xy-md02", "interval_s": 10.0},
    "twin": {"bus": "line1", "unit": 3, "profile": "generic/xy-md02", "interval_s": 10.0},
}
CONFIG = GatewayConfig.model_validate({"site": SITE, "buses": BUSES, "devices": DEVICES})


def job(target: str, **wanted: Any) -> Job:
    (found,) = jobs({"target": target} | wanted, CONFIG, Path("/nonexistent"))
    return found


def test_a_bus_is_scanned_at_its_own_settings_first_and_knows_its_devices() -> None:
    found = job("line1")
    assert found.plan.framings[0] == Framing(19200, "E")
    assert found.known == {("19200-8E1", 3): ["cold1", "twin"]}
    settings = found.settings(Framing(4800))
    assert isinstance(settings, RtuSettings)
    assert (settings.port, settings.baud, settings.parity, settings.spacing_s) == ("/dev/ttyUSB0", 4800, "N", 0.02)
    said = found.announcement()
    assert said["own"] == ["cold1", "twin"]
    assert said["estimate_rest_s"] > said["estimate_s"] > said["late_s"]


def test_the_port_of_a_bus_is_that_bus() -> None:
    assert job("/dev/ttyUSB0").bus == "line1"
    assert job("/dev/ttyUSB7").bus == ""
    assert job("192.0.2.7:1502").bus == "plc"
    assert job("192.0.2.7").bus == ""


@pytest.mark.parametrize("target", ["/dev/watchdog", "/dev/watchdog0", "/dev/null", "/etc/passwd", "/dev/pts/ptmx", "/dev/tty", "/dev/tty0"])
def test_what_is_no_serial_port_is_not_even_opened(target: str) -> None:
    with pytest.raises(GatewayError, match="no serial port"):
        job(target)


def test_a_name_that_leads_to_a_port_is_that_port(tmp_path: Path) -> None:
    (tmp_path / "stable").symlink_to("/dev/ttyACM3")
    assert job(str(tmp_path / "stable")).place == {"port": str(tmp_path / "stable")}
    (tmp_path / "trap").symlink_to("/dev/watchdog")
    with pytest.raises(GatewayError, match="no serial port"):
        job(str(tmp_path / "trap"))


@pytest.mark.parametrize("target", ["192.0.2.9:99999", "192.0.2.9:0", "192.0.2.9:x", "plc.local:1234567"])
def test_a_port_that_cannot_be_is_told(target: str) -> None:
    with pytest.raises(GatewayError, match="no such port"):
        job(target)


def test_each_line_is_spoken_to_as_it_is_configured() -> None:
    through = job("plc").settings(None)
    assert isinstance(through, TcpSettings)
    assert (through.framing, through.reopen_wait_s, through.port) == ("rtu", 2.0, 1502)


def test_a_range_is_what_a_person_names_and_no_more() -> None:
    found = jobs({"target": "192.0.2.0/29"}, CONFIG, Path("/nonexistent"))
    assert [one.place["host"] for one in found] == [f"192.0.2.{n}" for n in range(1, 7)]
    with pytest.raises(GatewayError, match="65536 addresses") as error:
        jobs({"target": "10.0.0.0/16"}, CONFIG, Path("/nonexistent"))
    assert str(MOST_HOSTS) in error.value.hint
    with pytest.raises(GatewayError, match="no range"):
        jobs({"target": "10.0.0/x"}, CONFIG, Path("/nonexistent"))


def test_what_cannot_be_scanned_says_what_can() -> None:
    with pytest.raises(GatewayError, match="several serial lines") as error:
        jobs({}, CONFIG, Path("/nonexistent"))
    assert "line1, old" in error.value.hint
    with pytest.raises(GatewayError, match="no Modbus bus"):
        job("zigbee")
    with pytest.raises(GatewayError, match="no Modbus profile"):
        job("line1", profile="zigbee2mqtt/wsdcgq11lm")


def test_what_is_asked_for_is_what_is_planned() -> None:
    found = job("line1", addresses="1-3,9", lines=["9600-8N1"], listen_s=0)
    assert (found.plan.framings, found.plan.addresses, found.plan.first) == ((Framing(9600),), (1, 2, 3, 9), ())
    assert job("line1", profile="zw/rcl101").plan.block == (3, 0x40, 2)
    assert len(job("line1", every=True).plan.addresses) == 247
    assert job("plc", addresses="1-2").plan.framings == ()
