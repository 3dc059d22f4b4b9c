"""What a scan asks of whom: addresses of serial lines, and endpoints as they are configured; nothing is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from edge_gateway.app.scanning import Scans
from edge_gateway.config.load import load
from edge_gateway.config.scanning import jobs
from edge_gateway.errors import ConfigError, GatewayError
from edge_gateway.links.modbus import TcpSettings

if TYPE_CHECKING:
    from pathlib import Path

    from edge_gateway.config.model import GatewayConfig

SITE = '[site]\nid = "s"\norigin = "example.org/s"\nname_zh = "站"\nname_en = "Site"\n'
BUSES = """
[buses.line]
kind = "rtu"
port = "/dev/ttyUSB0"

[buses.digits]
kind = "ascii"
port = "/dev/ttyUSB1"

[buses.server]
kind = "tcp"
host = "192.0.2.7"
framing = "rtu"
connect_delay_s = 0.25
"""
ZONE = '[zones.z]\nstage = "storage"\nkind = "frozen-store"\n'


def config(folder: Path, more: str = "") -> GatewayConfig:
    (folder / "gateway.toml").write_text(SITE + BUSES + more, encoding="utf-8")
    return load(folder / "gateway.toml", folder / "state").config


@pytest.mark.parametrize("addresses", ["0", "0-5", "247-248", "255"])
@pytest.mark.parametrize("target", ["line", "/dev/ttyUSB7"])
def test_nobody_is_asked_at_an_address_for_everybody(tmp_path: Path, target: str, addresses: str) -> None:
    with pytest.raises(GatewayError) as refused:
        jobs({"target": target, "addresses": addresses}, config(tmp_path), tmp_path)
    assert "1 to 247" in refused.value.hint


@pytest.mark.parametrize("wanted", [{}, {"addresses": "0-255"}, {"every": True}])
def test_a_server_of_serial_frames_is_asked_as_it_is_configured(tmp_path: Path, wanted: dict[str, Any]) -> None:
    (job,) = jobs({"target": "server"} | wanted, config(tmp_path), tmp_path)
    settings = job.settings(None)
    assert isinstance(settings, TcpSettings)
    assert (settings.host, settings.framing, settings.connect_delay_s) == ("192.0.2.7", "rtu", 0.25)
    assert min(job.plan.addresses) == 1
    assert max(job.plan.addresses) <= 247
    (by_host,) = jobs({"target": "192.0.2.7"}, config(tmp_path), tmp_path)
    assert by_host.settings(None) == settings


def test_a_line_of_another_framing_is_no_silent_line(tmp_path: Path) -> None:
    with pytest.raises(GatewayError, match="ASCII"):
        jobs({"target": "digits"}, config(tmp_path), tmp_path)


@pytest.mark.parametrize("bus", ["line", "server"])
def test_no_device_is_everybody(tmp_path: Path, bus: str) -> None:
    about = f'[devices.d]\nbus = "{bus}"\nprofile = "generic/xy-md02"\nunit = 0\ninterval_s = 10\n'
    point = '[points.p]\ndevice = "d"\nchannel = "temperature"\nzone = "z"\n'
    with pytest.raises(ConfigError, match="no address on a serial line"):
        config(tmp_path, ZONE + about + point)


@pytest.mark.parametrize("wrong", [{"listen_s": "x"}, {"listen_s": None}, {"patience_s": "x"}, {"lines": 5}])
async def test_what_is_no_number_is_a_refusal_and_leaves_the_scan_free(tmp_path: Path, wrong: dict[str, Any]) -> None:
    scans = Scans(main=tmp_path / "g.toml", state_dir=tmp_path, config=lambda: None, share=lambda _: None, wall_us=lambda: 0)
    for _ in range(2):
        with pytest.raises(GatewayError, match="cannot be understood"):
            await anext(scans.run({"target": "/dev/ttyUSB7"} | wrong))


def test_listening_has_an_end(tmp_path: Path) -> None:
    (job,) = jobs({"target": "/dev/ttyUSB7", "listen_s": 1e9}, None, tmp_path)
    assert job.listen_s == 600
